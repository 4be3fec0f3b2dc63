import re
from html.parser import HTMLParser

import pytest
from rich.console import Console

from loadtests.page import page, write_page
from loadtests.report import COLUMNS, table
from tests.loadtests.made import result

VOID = {"meta", "br", "hr", "img", "link"}


class Reader(HTMLParser):
    """Every element closed in order; what it refers to."""

    def __init__(self):
        super().__init__()
        self.open = []
        self.seen = []
        self.references = []
        self.text = []

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        self.references += [value for name, value in attrs if name in {"src", "href", "data", "action"}]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.text.append(data)


def read(text):
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert reader.open == []
    return reader


@pytest.mark.parametrize("shapes", [("wide",), ("wide", "narrow")])
@pytest.mark.parametrize("mode", ["append", "upsert"])
def test_the_page_needs_nothing_beside_itself(shapes, mode):
    text = page(result(shapes=shapes, mode=mode))
    found = read(text)
    assert found.seen.count("svg") == 1
    assert found.seen.count("table") == len(shapes)
    assert all(reference.startswith("#") for reference in found.references)
    assert not {"script", "link", "img", "iframe", "object"} & set(found.seen)
    assert re.search(r"https?://|//[a-z]|@import|url\((?!#)", text) is None


def test_the_page_holds_every_cell_and_escapes_what_it_was_told():
    made = result(workers=(1, 2), sizes=(10, 100, 1000))
    found = read(page(made))
    assert found.seen.count("td") == 6 * len(COLUMNS)
    assert "a <fast> one & more" in "".join(found.text)


def test_the_same_figures_make_the_same_page():
    assert page(result()) == page(result())


@pytest.mark.parametrize(("workers", "sizes"), [((4,), (500,)), ((1, 2, 3, 4, 5, 6, 7), (10, 20))])
def test_any_grid_can_be_drawn(workers, sizes):
    read(page(result(workers=workers, sizes=sizes)))


def test_the_page_is_written_with_the_directories_that_it_needs(tmp_path):
    write_page(result(), tmp_path / "a" / "b.html")
    assert (tmp_path / "a" / "b.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_the_table_of_the_terminal_says_where_cpu_could_not_be_read():
    console = Console(width=200)
    with console.capture() as captured:
        console.print(table(result(postgres=False), "wide"))
    text = captured.get()
    assert "ceiling" in text
    assert "–" in text
