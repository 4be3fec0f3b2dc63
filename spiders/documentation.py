"""Crawls a tree of HTML documentation: one item for each page. `scrapy crawl documentation -a start=URL`.

A page is named by its path. What else may stand in a link names no other page of a tree of files: the fragment is a
place on the page, the query is for scripts, `index.html` is the directory. So every page is crawled once, however it is
linked.
"""

import hashlib
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

import scrapy
from scrapy.http import HtmlResponse, Response
from scrapy.linkextractors import LinkExtractor
from scrapy.utils.response import get_meta_refresh
from w3lib.url import canonicalize_url

from spiders.items import DocumentationPage
from spiders.loopback import require_loopback

_INDEX_NAMES = ("index.html", "index.htm", "index.xhtml")
_TEXT = "//body//text()[normalize-space() and not(ancestor::script or ancestor::style)]"
_HEADINGS = "//h1 | //h2 | //h3 | //h4 | //h5 | //h6"


class DocumentationSpider(scrapy.Spider):
    """Follows every link that stays inside the directory of the start page."""

    name = "documentation"
    custom_settings = {  # noqa: RUF012  Scrapy's own way to say it
        # A page that only sends the reader on is a page of the tree all the same; `parse` follows where it points.
        "METAREFRESH_ENABLED": False,
    }

    def __init__(self, start: str = "", **arguments: Any) -> None:
        super().__init__(**arguments)
        self.start_page = page_url(require_loopback(start, argument="start"))
        self.tree = ""  # known when the start page has come: `/manual` may have become `/manual/`
        # Where a redirect leads out of this machine, Scrapy's offsite middleware stops it.
        self.allowed_domains = [urlsplit(self.start_page).hostname or ""]
        self._links = LinkExtractor(tags=("a", "area", "frame", "iframe"), attrs=("href", "src"))

    async def start(self) -> AsyncIterator[scrapy.Request]:
        # Not `dont_filter`, as Scrapy's own start would be: pages link back to the first one, which would come twice.
        yield scrapy.Request(self.start_page, self.parse_start)

    def parse_start(self, response: Response) -> Iterator[scrapy.Request | DocumentationPage]:
        self.tree = urljoin(page_url(response.url), ".")
        yield from self.parse(response)

    def parse(self, response: Response) -> Iterator[scrapy.Request | DocumentationPage]:
        assert self.crawler.stats is not None
        if not self._is_inside(response.url):
            self.crawler.stats.inc_value("documentation/outside")
            return
        if not isinstance(response, HtmlResponse):
            self.crawler.stats.inc_value("documentation/not_html")
            return
        self.crawler.stats.inc_value("documentation/pages")
        response = _readable(response)
        yield self._page(response)
        for url in self._pages_linked_from(response):
            yield response.follow(url, self.parse)

    def _pages_linked_from(self, response: HtmlResponse) -> Iterator[str]:
        links = [link.url for link in self._links.extract_links(response)]
        _, refreshed = get_meta_refresh(response)
        for link in [*links, refreshed] if refreshed else links:
            url = page_url(link)
            if self._is_inside(url):
                yield url

    def _is_inside(self, url: str) -> bool:
        # A server may answer for `..`; a crawl of this tree does not ask it to.
        return url.startswith(self.tree) and ".." not in unquote(urlsplit(url).path).split("/")

    def _page(self, response: HtmlResponse) -> DocumentationPage:
        text = " ".join(" ".join(response.xpath(_TEXT).getall()).split())
        url = page_url(response.url)
        return DocumentationPage(
            url=url,
            path=unquote(url.removeprefix(self.tree)),
            title=_words(response.xpath("//title[1]//text()").getall()),
            h1=_words(response.xpath("(//h1)[1]//text()").getall()),
            section=self._section(response, url),
            language=response.xpath("/html/@lang | /html/@*[name()='xml:lang']").get(),
            headings=[
                heading for node in response.xpath(_HEADINGS) if (heading := _words(node.xpath(".//text()").getall()))
            ],
            words=len(text.split()),
            text_length=len(text),
            links=len(response.xpath("//a[@href]")),
            encoding=response.encoding,
            html_length=len(response.body),
            html_sha256=hashlib.sha256(response.body).hexdigest(),
        )

    def _section(self, response: HtmlResponse, url: str) -> str | None:
        """What the page says is above it (DocBook, Sphinx), else the directory that it lies in."""
        above = response.xpath("//link[@rel='up']/@title | //a[@accesskey='u']/@title").get()
        return _words([above or ""]) or unquote(urljoin(url, ".").removeprefix(self.tree)).strip("/") or None


def _readable(response: HtmlResponse) -> HtmlResponse:
    """The response in an encoding that gives text: a page may say `base64`, which Python knows and refuses."""
    try:
        response.text.encode()
    except (LookupError, UnicodeError):
        return response.replace(encoding="utf-8")
    return response


def page_url(url: str) -> str:
    """The one name of the page that a link leads to."""
    whole = urlsplit(canonicalize_url(url))._replace(query="")  # one spelling of `ä`, `%c3%a4` and `%C3%A4` too
    directory, slash, name = whole.path.rpartition("/")
    return whole._replace(path=directory + slash if name.lower() in _INDEX_NAMES else whole.path).geturl()


def _words(texts: list[str]) -> str | None:
    """The text of an element on one line; nothing if there is none."""
    return " ".join("".join(texts).split()) or None
