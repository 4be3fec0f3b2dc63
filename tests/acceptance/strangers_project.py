"""A project as strangers write them, without a word about us, and the site that it crawls.

The shape is scrapy/quotesbot's (two spiders that yield dicts, one with CSS and one with XPath), widened by an Item with an
ItemLoader and datetimes, and by attrs classes nested in each other.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

PAGES, A_PAGE = 4, 15
SPIDERS = ("dishes-css", "dishes-xpath", "reviews", "recipes")

FILES = {
    "scrapy.cfg": """
[settings]
default = kitchen.settings
""",
    "kitchen/__init__.py": "",
    "kitchen/spiders/__init__.py": "",
    "kitchen/settings.py": """
BOT_NAME = "kitchen"
SPIDER_MODULES = ["kitchen.spiders"]
NEWSPIDER_MODULE = "kitchen.spiders"
ROBOTSTXT_OBEY = True
ITEM_PIPELINES = {
    "kitchen.pipelines.StripPipeline": 300,
    "kitchen.pipelines.DuplicatesPipeline": 310,
}
FEEDS = {"feeds/%(name)s.jl": {"format": "jsonlines", "encoding": "utf8", "overwrite": True}}
""",
    "kitchen/items.py": """
from datetime import date, datetime
from decimal import Decimal

import attrs
import scrapy
from itemloaders.processors import Join, MapCompose, TakeFirst
from scrapy.loader import ItemLoader


class ReviewItem(scrapy.Item):
    review_id = scrapy.Field()
    text = scrapy.Field()
    stars = scrapy.Field()
    written_at = scrapy.Field()
    edited_at = scrapy.Field()
    visited_on = scrapy.Field()
    words = scrapy.Field()


class ReviewLoader(ItemLoader):
    default_item_class = ReviewItem
    default_output_processor = TakeFirst()
    review_id_in = MapCompose(int)
    text_out = Join(" ")
    stars_in = MapCompose(len)
    written_at_in = MapCompose(datetime.fromisoformat)
    edited_at_in = MapCompose(datetime.fromisoformat)
    visited_on_in = MapCompose(date.fromisoformat)
    words_in = MapCompose(str.split)
    words_out = list


@attrs.define
class Ingredient:
    name: str
    grams: Decimal


@attrs.define
class Step:
    text: str
    minutes: float
    needs: list[Ingredient] = attrs.Factory(list)


@attrs.define
class RecipeItem:
    number: int
    title: str
    first_cooked: date
    steps: list[Step] = attrs.Factory(list)
    by_name: dict[str, Ingredient] = attrs.Factory(dict)
    note: str | None = None
""",
    "kitchen/pipelines.py": """
from itemadapter import ItemAdapter
from scrapy.exceptions import DropItem


class StripPipeline:
    def process_item(self, item):
        adapter = ItemAdapter(item)
        for name, value in adapter.items():
            if isinstance(value, str):
                adapter[name] = value.strip()
        return item


class DuplicatesPipeline:
    def open_spider(self):
        self.seen = set()

    def process_item(self, item):
        adapter = ItemAdapter(item)
        name = adapter.get("dish") or adapter.get("review_id") or adapter.get("number")
        if name in self.seen:
            raise DropItem(f"seen before: {name}")
        self.seen.add(name)
        return item
""",
    "kitchen/spiders/dishes_css.py": """
import scrapy


class DishesCssSpider(scrapy.Spider):
    name = "dishes-css"
    start_urls = ["SITE/"]

    def parse(self, response):
        for dish in response.css("div.dish"):
            yield {
                "dish": dish.css("span.name::text").get(),
                "cook": dish.css("small.cook::text").get(),
                "tags": dish.css("a.tag::text").getall(),
            }
        next_page = response.css("li.next a::attr(href)").get()
        if next_page is not None:
            yield response.follow(next_page)
""",
    "kitchen/spiders/dishes_xpath.py": """
import scrapy


class DishesXPathSpider(scrapy.Spider):
    name = "dishes-xpath"
    start_urls = ["SITE/"]

    def parse(self, response):
        for dish in response.xpath('//div[@class="dish"]'):
            yield {
                "dish": dish.xpath('./span[@class="name"]/text()').get(),
                "cook": dish.xpath('.//small[@class="cook"]/text()').get(),
                "tags": dish.xpath('.//a[@class="tag"]/text()').getall(),
            }
        next_page = response.xpath('//li[@class="next"]/a/@href').get()
        if next_page is not None:
            yield scrapy.Request(response.urljoin(next_page))
""",
    "kitchen/spiders/reviews.py": """
import scrapy

from kitchen.items import ReviewLoader


class ReviewsSpider(scrapy.Spider):
    name = "reviews"
    start_urls = ["SITE/"]

    def parse(self, response):
        for dish in response.css("div.dish"):
            loader = ReviewLoader(selector=dish)
            loader.add_css("review_id", "::attr(data-number)")
            loader.add_css("text", "p.review::text")
            loader.add_css("stars", "b.stars::text")
            loader.add_css("written_at", "time.written::attr(datetime)")
            loader.add_css("edited_at", "time.edited::attr(datetime)")
            loader.add_css("visited_on", "time.visited::attr(datetime)")
            loader.add_css("words", "p.review::text")
            yield loader.load_item()
        yield from response.follow_all(css="li.next a")
""",
    "kitchen/spiders/recipes.py": """
from datetime import date
from decimal import Decimal

import scrapy

from kitchen.items import Ingredient, RecipeItem, Step


class RecipesSpider(scrapy.Spider):
    name = "recipes"
    start_urls = ["SITE/"]

    def parse(self, response):
        yield from response.follow_all(css="a.recipe", callback=self.parse_recipe)
        yield from response.follow_all(css="li.next a")

    def parse_recipe(self, response):
        steps, by_name = [], {}
        for step in response.css("li.step"):
            needs = []
            for one in step.css("i"):
                grams = Decimal(one.attrib["data-grams"])
                needs.append(Ingredient(one.css("::text").get(), grams))
                by_name[needs[-1].name] = needs[-1]
            steps.append(Step(step.css("p::text").get(), float(step.attrib["data-minutes"]), needs))
        yield RecipeItem(
            number=int(response.url.rpartition("/")[2]),
            title=response.css("h1::text").get(),
            first_cooked=date.fromisoformat(response.css("time::attr(datetime)").get()),
            steps=steps,
            by_name=by_name,
        )
""",
}


def write_project(place: Path, site: str) -> None:
    """The files, with the site's address in the spiders."""
    for name, text in FILES.items():
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.lstrip("\n").replace("SITE", site))


def listing(page: int) -> str:
    """One page of dishes; the last of each is the first of the next, so that there is something to drop."""
    numbers = range(page * A_PAGE, (page + 1) * A_PAGE + 1)
    rows = (
        f"""<div class="dish" data-number="{n + 1}">
        <span class="name"> Dish {n} — “Käse” 漢字 &amp; more </span><small class="cook">Cook {n % 7}</small>
        <a class="tag">tag{n % 3}</a><a class="tag">ünï{n % 5}</a><a class="recipe" href="/recipe/{n + 1}">recipe</a>
        <p class="review">A dish  of many words</p><p class="review"> number {n}</p><b class="stars">{"*" * (n % 5 + 1)}</b>
        <time class="written" datetime="2024-02-{n % 28 + 1:02}T12:{n % 60:02}:07.250000+05:30"></time>
        <time class="edited" datetime="2024-03-{n % 28 + 1:02}T00:00:00"></time>
        <time class="visited" datetime="2023-12-{n % 28 + 1:02}"></time></div>"""
        for n in numbers
    )
    onwards = f'<li class="next"><a href="/page/{page + 1}">next</a></li>' if page + 1 < PAGES else ""
    return f"<html><body>{''.join(rows)}<ul>{onwards}</ul></body></html>"


def recipe(number: int) -> str:
    """One recipe, with steps and what they need."""
    steps = "".join(
        f"""<li class="step" data-minutes="{step + 0.5}"><p>Step {step} of {number}</p>
        <i data-grams="{number}.{step}0">flour {step}</i><i data-grams="0.5">salt</i></li>"""
        for step in range(number % 4)
    )
    return (
        f'<html><h1> Recipe {number} </h1><time datetime="1999-01-{number % 28 + 1:02}"></time><ol>{steps}</ol></html>'
    )


@asynccontextmanager
async def serving_site() -> AsyncIterator[str]:
    """The site on a free port of loopback, until the block ends. Gives its address."""

    async def page(request: web.Request) -> web.Response:
        return web.Response(text=listing(int(request.match_info.get("page", "0"))), content_type="text/html")

    async def one(request: web.Request) -> web.Response:
        return web.Response(text=recipe(int(request.match_info["number"])), content_type="text/html")

    app = web.Application()
    app.router.add_get("/", page)
    app.router.add_get("/page/{page}", page)
    app.router.add_get("/recipe/{number}", one)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
