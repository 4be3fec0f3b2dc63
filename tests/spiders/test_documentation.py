"""The documentation spider on a small tree with the traps of real ones, served by `http.server`."""

import functools
import hashlib
import random
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from scrapy.http import HtmlResponse
from scrapy.utils.test import get_crawler

from spiders.documentation import DocumentationSpider, page_url
from tests.spiders.crawls import crawl

INDEX = """<!doctype html><html lang="en"><head><title>The
  manual</title></head><body><h1>The <em>manual</em></h1><p>Three small words</p>
<a href="a.html">a</a> <a href="a.html#part">the same</a> <a href="./a.html?highlight=word">the same</a>
<a href="../manual/a.html">the same</a> <a href="/manual/%61.html">the same</a>
<a href="index.html">here</a> <a href="/manual/">here</a> <a href="">here</a> <a href="#top">here</a>
<a href="deep">below</a> <a href="deep/">below</a> <a href="deep/index.html#x">below</a>
<a href="caf%C3%A9.html">accent</a> <a href="café.html">accent</a> <a href="two words.html">blank</a>
<a href="two%20words.html">blank</a> <a href="latin1.html">l</a> <a href="utf16.html">u</a> <a href="base64.html">b</a>
<a href="empty.html">e</a> <a href="noise.html">n</a> <a href="nul.html">0</a> <a href="big.html">big</a>
<a href="nested.html">n</a>
<a href="moved.html">m</a> <a href="twin-a.html">t</a> <a href="twin-b.html">t</a> <a href="UPPER.HTML">u</a>
<map><area href="from-map.html"></map> <iframe src="framed.html"></iframe>
<a href="../outside.html">out</a> <a href="/manual-2/x.html">out</a> <a href="http://192.0.2.1/x.html">far</a>
<a href="http://localhost:1/x.html">another host</a> <a href="%2e%2e/outside.html">out</a>
<a href="missing.html">gone</a> <a href="picture.svg">picture</a> <a href="data.json">data</a> <a href="notes.txt">t</a>
<a href="archive.tar.gz">a</a> <a href="mailto:x@example.org">mail</a> <a href="javascript:void(0)">script</a>
<a href="http://[bad">bad</a> <a href="tel:1">tel</a> <a>no link</a>
</body></html>"""

PAGES = {
    "": INDEX.encode(),
    "a.html": b"<title>A</title><body><script>var not_text = 1</script><h2>One</h2><h3> </h3><h2>Two</h2>",
    "deep/": b"<title>Deep</title><a href='..'>up</a><a href='deeper.html'>on</a>",
    "deep/deeper.html": b"<link rel='up' title='Part\xc2\xa0I'><title>Deeper</title>",
    "café.html": "<title>Café</title>".encode(),
    "two words.html": b"<title>Two words</title>",
    "latin1.html": "<meta charset='iso-8859-1'><title>Übersicht</title>".encode("latin-1"),
    "utf16.html": "<title>Sixteen</title><h1>Größe</h1>".encode("utf-16"),
    "base64.html": b"<meta charset='base64'><title>No text encoding</title>",
    "empty.html": b"",
    "noise.html": random.Random(1).randbytes(20_000),
    "nul.html": b"<title>N\0UL</title><body>\0\0 b\0",
    "big.html": b"<title>Big</title><body>" + b"<div><p>word <a href='a.html#x'>a</a></div>" * 30_000,
    "nested.html": b"<title>Nested</title><body>" + b"<div>" * 30_000,
    "moved.html": b"<meta http-equiv='refresh' content='0; url=arrived.html'><title>Moved</title>",
    "arrived.html": b"<title>Arrived</title>",
    "twin-a.html": b"<title>Twin</title>",
    "twin-b.html": b"<title>Twin</title>",
    "UPPER.HTML": b"<title>Upper</title>",
    "from-map.html": b"<title>Map</title>",
    "framed.html": b"<title>Framed</title>",
}
OTHERS = ("manual/picture.svg", "manual/data.json", "manual/notes.txt", "manual/archive.tar.gz", "manual/unlinked.html")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for path, html in PAGES.items():
        file = tmp_path / "www" / "manual" / (f"{path}index.html" if path.endswith("/") or not path else path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(html)
    for path in (*OTHERS, "outside.html", "manual-2/x.html"):
        file = tmp_path / "www" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"<title>not to be crawled</title>")
    return tmp_path / "www"


@pytest.fixture
def asked() -> Counter[str]:
    return Counter()


@pytest.fixture
def served(tree: Path, asked: Counter[str]) -> Iterator[str]:
    class Handler(SimpleHTTPRequestHandler):
        def do_GET(self):
            asked[self.path] += 1
            super().do_GET()

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=tree)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


async def test_every_page_of_the_tree_is_one_item_however_it_is_linked(served, asked, tmp_path):
    crawled = await crawl(tmp_path, "documentation", f"start={served}/manual")
    assert crawled.exit_code == 0, crawled.log
    found = {item["path"]: item for item in crawled.items}
    assert sorted(item["path"] for item in crawled.items) == sorted(PAGES)
    assert crawled.stats["documentation/pages"] == crawled.stats["item_scraped_count"] == len(PAGES)
    assert "log_count/ERROR" not in crawled.stats, crawled.log

    for path, html in PAGES.items():
        assert found[path]["html_sha256"] == hashlib.sha256(html).hexdigest()
        assert found[path]["html_length"] == len(html)
    assert not [path for path in asked if not path.startswith("/manual")]
    assert not [path for path in asked if "#" in path or "?" in path]
    assert {path: count for path, count in asked.items() if count > 1} == {}

    index = found[""]
    assert (index["url"], index["title"], index["h1"]) == (f"{served}/manual/", "The manual", "The manual")
    assert index["language"] == "en"
    assert found["a.html"]["headings"] == ["One", "Two"]
    assert found["a.html"]["words"] == 2
    assert found["a.html"]["text_length"] == len("One Two")
    assert found["deep/"]["section"] == "deep"
    assert found["deep/deeper.html"]["section"] == "Part I"
    assert found["latin1.html"]["title"] == "Übersicht"
    assert found["utf16.html"]["h1"] == "Größe"
    assert found["base64.html"]["title"] == "No text encoding"
    assert found["empty.html"]["title"] is None
    assert found["nul.html"]["title"] == "NUL"
    assert found["big.html"]["links"] == 30_000
    assert found["big.html"]["words"] == 60_000


async def test_a_start_page_elsewhere_is_refused(tmp_path):
    crawled = await crawl(tmp_path, "documentation", "start=http://192.0.2.1/docs/")
    assert crawled.exit_code == 1
    assert "not on this machine" in crawled.log


@pytest.mark.parametrize(
    "link",
    ["/manual/", "/manual/index.html", "/manual/Index.HTM#x", "/manual/?q=1", "/manual/index.html?q=1#x", "/%6Danual/"],
)
def test_one_page_has_one_name(link):
    assert page_url(f"http://127.0.0.1:8000{link}") == "http://127.0.0.1:8000/manual/"


def test_a_page_that_a_redirect_led_out_of_the_tree_is_not_a_page_of_it():
    crawler = get_crawler(DocumentationSpider)
    spider = DocumentationSpider.from_crawler(crawler, start="http://127.0.0.1:8000/manual/")
    assert list(spider.parse_start(page("http://127.0.0.1:8000/manual/")))
    assert list(spider.parse(page("http://127.0.0.1:8000/elsewhere.html"))) == []


def page(url: str) -> HtmlResponse:
    return HtmlResponse(url, body=b"<title>x</title>")
