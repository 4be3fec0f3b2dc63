import asyncio
import re
import signal
import sys

import aiohttp
import pytest
from parsel import Selector

from spiders.listings import Flaw, listings
from spiders.pages import ON_A_PAGE, detail_page
from tests.spiders.crawls import ROOT


@pytest.fixture
async def http(site):
    async with aiohttp.ClientSession(base_url=site.make_url("/")) as session:
        yield session


async def read(http, path, status=200):
    async with http.get(path) as answer:
        assert answer.status == status
        return Selector(await answer.text())


async def test_the_front_page_leads_to_the_list_and_the_list_to_every_property(http):
    path = (await read(http, "/")).css("main a::attr(href)").get()
    found = []
    while path:
        page = await read(http, path)
        cards = page.css("article.card a::attr(href)").getall()
        assert len(cards) <= ON_A_PAGE
        found += cards
        path = page.css("a[rel=next]::attr(href)").get()
    assert found == [listing.path for listing in listings(count=120, seed=7)]


@pytest.mark.parametrize(
    "path", ["/properties?page=0", "/properties?page=6", "/properties?page=x", "/properties/120", "/nothing"]
)
async def test_what_is_not_there_is_404(http, path):
    await read(http, path, status=404)


async def test_a_stumbling_page_fails_once_in_each_round(http):
    path = next(listing.path for listing in listings(count=120, seed=7) if listing.stumbles)
    await read(http, path, status=500)
    await read(http, path)
    async with http.post("/round/1") as answer:
        assert answer.status == 204
    await read(http, path, status=500)
    await read(http, path)


async def test_the_next_round_shows_its_prices(http):
    before, after = listings(count=120, seed=7, round=0), listings(count=120, seed=7, round=1)
    old, new = next(
        (old, new) for old, new in zip(before, after, strict=True) if old.price != new.price and not old.stumbles
    )
    assert (await read(http, old.path)).css("p.price::text").get() == f"{old.currency} {old.price:,}"
    async with http.post("/round/1"):
        pass
    assert (await read(http, new.path)).css("p.price::text").get() == f"{new.currency} {new.price:,}"


def test_a_page_that_is_cut_off_ends_among_the_facts():
    listing = next(listing for listing in listings(count=1000, seed=7) if listing.flaw is Flaw.CUT_OFF)
    html = detail_page(listing)
    assert listing.reference in html
    assert "</html>" not in html
    assert Selector(html).css("time").get() is None


async def test_the_program_says_where_it_listens_and_ends_on_sigterm():
    program = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "spiders.site", "--port", "0", "--listings", "3"),
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )
    try:
        said = (await program.stdout.readline()).decode()
        found = re.fullmatch(r"listening on (http://127\.0\.0\.1:\d+)\n", said)
        assert found, said
        async with aiohttp.ClientSession() as session, session.get(f"{found[1]}/") as answer:
            assert "3 properties" in await answer.text()
        program.send_signal(signal.SIGTERM)
        assert await program.wait() == 0
        assert await program.stdout.read() == b""
    finally:
        if program.returncode is None:
            program.kill()
            await program.wait()
