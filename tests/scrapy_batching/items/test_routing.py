"""Which table an item goes to: the item's word, the project's, the class's name, in this order."""

import dataclasses
import gc
import warnings
from typing import ClassVar

import attrs
import pydantic
import pytest
import scrapy

from scrapy_batching.errors import ItemWithoutTable
from scrapy_batching.items.routing import Routing

SECRET = "s3cret of the page"


class Book(scrapy.Item):
    title = scrapy.Field()


class UsedBook(Book):
    pass


class RareBook(UsedBook):
    pass


class SaysItself(scrapy.Item):
    batching_table = "own"
    batching_tables = scrapy.Field()


@dataclasses.dataclass
class HTTPResult:
    n: int = 0


@dataclasses.dataclass
class WithProperty:
    year: int

    @property
    def batching_table(self):
        return f"books_{self.year}"


class WithMethod(dict):
    def batching_table(self):
        return self["kind"]


@attrs.define
class WithSlot:
    batching_table: str


@attrs.define
class Slotted:
    n: int = 0


class Model(pydantic.BaseModel):
    batching_table: ClassVar[str] = "archive.models"
    n: int = 0


class ModelWithField(pydantic.BaseModel):
    batching_table: str = "by_field"


def table(item, tables=None, spider="shop.example"):
    return Routing(spider, tables or {}).table_of(item)


def refused(item, tables=None, spider="shop"):
    with pytest.raises(ItemWithoutTable) as caught:
        table(item, tables, spider)
    assert SECRET not in str(caught.value)
    assert type(item).__qualname__ in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("item", "name"),
    [
        ({"n": 1}, '"shop.example"'),
        (WithMethod(kind="films"), "films"),
        (Book(), "book"),
        (HTTPResult(), "http_result"),
        (Slotted(), "slotted"),
        (SaysItself(), "own"),
        (WithProperty(1984), "books_1984"),
        (WithSlot("here"), "here"),
        (Model(), "archive.models"),
        (ModelWithField(), "by_field"),
        (ModelWithField(batching_table='"a.b"."c"'), '"a.b".c'),
    ],
    ids=lambda one: type(one).__name__,
)
def test_every_kind_of_item_may_name_its_table_and_has_one_if_it_does_not(item, name):
    assert table(item) == name


def test_what_an_instance_says_goes_before_its_class_whenever_it_is_said():
    routing = Routing("shop", {HTTPResult: "results"})
    one, other = HTTPResult(), HTTPResult()
    assert routing.table_of(one) == "results"
    one.batching_table = "mine"
    assert [routing.table_of(one), routing.table_of(other)] == ["mine", "results"]
    other.batching_table = lambda: "called"
    assert routing.table_of(other) == "called"


def test_the_item_s_word_goes_before_the_project_s():
    assert table(SaysItself(), {SaysItself: "other", object: "any"}) == "own"
    assert table(WithProperty(1), {WithProperty: "other"}) == "books_1"


def test_the_nearest_class_that_is_named_counts():
    tables = {Book: "books", UsedBook: lambda _item: "used", scrapy.Item: "items"}
    assert table(Book(), tables) == "books"
    assert table(UsedBook(), tables) == "used"
    assert table(RareBook(), tables) == "used"
    assert table(SaysItself(), tables) == "own"
    assert table(RareBook(), {scrapy.Item: "items", Book: "books"}) == "books"


def test_dicts_go_to_the_spider_s_name_unless_dict_is_named():
    assert table({}, {Book: "books"}, spider="shop") == "shop"
    assert table({}, {dict: "pages"}) == "pages"
    assert table(type("Row", (dict,), {})(), {dict: "pages"}) == "pages"
    assert table({"kind": "b"}, {dict: lambda item: item["kind"]}) == "b"


def test_a_field_of_that_name_is_data_and_no_word_about_the_table():
    class Catalogue(scrapy.Item):
        batching_table = scrapy.Field()

    assert table(Catalogue(batching_table="x")) == "catalogue"
    assert table({"batching_table": "x"}, spider="shop") == "shop"


def test_a_callable_is_asked_for_each_item_and_a_constant_only_once():
    asked = []

    def by_kind(item):
        asked.append(item)
        return item["kind"]

    routing = Routing("shop", {dict: by_kind})
    assert [routing.table_of({"kind": kind}) for kind in ("a", "b", "a")] == ["a", "b", "a"]
    assert len(asked) == 3
    assert routing.fixed == {}
    fixed = Routing("shop", {Book: "books"})
    for item in ({}, Book(), Slotted(), Model(), HTTPResult()):
        fixed.table_of(item)
    # The others may be given a word of their own at any time.
    assert fixed.fixed == {dict: "shop", Book: "books", Slotted: "slotted"}


def test_a_name_is_sent_in_one_form_however_it_is_written():
    for written in ("shop.books", '"shop".books', 'shop."books"', '"shop"."books"'):
        assert table({}, {dict: lambda _item, name=written: name}) == "shop.books"
    assert table({}, {dict: '"shop.books"'}) == '"shop.books"'


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("", "is named"),
        ("a.b.c", "is named"),
        ('"open', "is named"),
        ("a..b", "is named"),
        ("ä" * 32, "63 bytes, PostgreSQL's own limit, not 64"),
        ("a\0b", "NUL"),
        ("\ud800", "surrogates"),
        (None, "gave a NoneType"),
        (7, "gave a int"),
    ],
)
def test_a_callable_that_gives_no_usable_name_costs_its_item_alone(said, reason):
    names = iter([said, "books"])
    routing = Routing("shop", {dict: lambda _item: next(names)})
    with pytest.raises(ItemWithoutTable, match=reason) as caught:
        routing.table_of({"title": SECRET})
    assert "BATCHING_TABLES" in str(caught.value)
    assert routing.table_of({}) == "books"


def test_what_a_project_s_code_raises_is_told_by_class_and_place_and_never_by_content():
    def by_title(item):
        raise ValueError(item["title"])

    text = refused({"title": SECRET}, {dict: by_title})
    assert "the callable in BATCHING_TABLES raised ValueError in by_title, test_routing.py line" in text

    class Broken(dict):
        @property
        def batching_table(self):
            raise KeyError(self["title"])

    assert "batching_table raised KeyError in batching_table" in refused(Broken(title=SECRET))


def test_a_word_that_is_async_is_refused_and_python_has_nothing_to_add():
    class Waits(dict):
        async def batching_table(self):
            return "books"

    class WaitsAsProperty(dict):
        @property
        async def batching_table(self):
            return "books"

    for item, tables in (
        (Waits(), None),
        (WaitsAsProperty(), None),
        ({}, {dict: lambda _item: Waits().batching_table()}),
    ):
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            assert "is a coroutine, and nothing waits for an item: write it without `async`" in refused(item, tables)
            gc.collect()  # the error holds it until then
        assert said == []


def test_names_that_postgresql_would_cut_are_refused_with_the_remedy():
    long = type("A" * 64, (), {"__slots__": ()})()
    assert "63 bytes" in refused(long)
    assert "name one for it in BATCHING_TABLES" in refused(long)
    assert "63 bytes" in refused({}, spider="x" * 64)
    assert table(long, {type(long): "short"}) == "short"
    assert "batching_table of the class" in refused(type("B", (), {"batching_table": ""})())


def test_what_says_yes_to_every_attribute_says_nothing_about_its_table():
    class Echo:
        def __getattr__(self, name):
            return name

    assert table(Echo()) == "echo"
