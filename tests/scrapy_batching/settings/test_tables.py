"""BATCHING_TABLES: what may stand in it, and what each mistake in it is told with."""

import pytest
import scrapy
from scrapy.settings import Settings as ScrapySettings

from scrapy_batching.errors import SettingsRefused
from scrapy_batching.settings.reading import read_settings
from scrapy_batching.settings.tables import table_of_dicts
from tests.scrapy_batching.settings import shop

SHOP = "tests.scrapy_batching.settings.shop"


def tables(written):
    return read_settings(ScrapySettings({"BATCHING_TABLES": written})).tables


def refused(written):
    with pytest.raises(SettingsRefused) as caught:
        tables(written)
    assert {one.setting for one in caught.value.mistakes} == {"BATCHING_TABLES"}
    return [str(one) for one in caught.value.mistakes]


def test_classes_and_paths_names_and_functions():
    assert tables(
        {
            shop.Book: "books",
            dict: shop.by_kind,
            "scrapy.Item": f"{SHOP}.by_kind",
        }
    ) == {shop.Book: "books", dict: shop.by_kind, scrapy.Item: shop.by_kind}


def test_the_command_line_gives_json():
    assert tables(f'{{"{SHOP}.Book": "archive.books", "dict": " pages "}}') == {
        shop.Book: "archive.books",
        dict: "pages",
    }
    assert tables(" {} ") == {}


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("{'dict': 'books'}", "this is no JSON at character 2; write a JSON object, as in -s BATCHING_TABLES='{"),
        ("", "this is no JSON at character 1"),
        ('["books"]', "write a JSON object"),
        ('{"dict": "a", "dict": "b"}', "one name stands in it twice"),
        ("[" * 100_000, "this is no JSON"),
        (["books"], "write a dict, as in BATCHING_TABLES = {"),
        (7, "write a dict"),
    ],
)
def test_what_is_no_mapping(written, said):
    (mistake,) = refused(written)
    assert said in mistake
    assert '"myproject.items.Book": "books"}' in mistake
    assert len(mistake) < 500


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("books", "write an import path, as in 'myproject.items.Book'"),
        ("no.such.module.Book", "it cannot be imported (No module named 'no')"),
        (f"{SHOP}.Bok", f"{SHOP} has no Bok: did you mean {SHOP}.Book?"),
        (f"{SHOP}.Nope", f"{SHOP} has no Nope: define it there, or write another path"),
        (f"{SHOP}.by_kind", "left stands an item class or its import path"),
        (shop.Book(), "left stands an item class"),
        (f"{SHOP}.BookSpider", "a spider is no item"),
        ("a b.c", "write an import path"),
    ],
)
def test_what_is_no_class(key, said):
    (mistake,) = refused({key: "books"})
    assert said in mistake
    assert "'books'}" in mistake, "the entry is shown"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("", 'a table is named "name" or "schema.name"'),
        ("a" * 64, "has at most 63 bytes, PostgreSQL's own limit, not 64"),
        ("ä" * 32, "not 64"),
        ("a\0", "no NUL character"),
        ("\ud800", "without lone surrogates"),
        ('"a', 'a table is named "name"'),
        ("a..b", 'a table is named "name"'),
        (f"{SHOP}.by_kin", f"did you mean {SHOP}.by_kind?"),
        (f"{SHOP}.Book", "it leads to no function"),
        (f"{SHOP}.by_two", "with one parameter"),
        pytest.param(shop.by_two, "with one parameter", id="a function of two"),
        (f"{SHOP}.by_waiting", "write it without `async`"),
        (shop.Book, "right stands a table's name, or a function"),
        (7, "right stands a table's name"),
        (None, "right stands a table's name"),
        ("json.dump", "with one parameter"),
        (
            "json.books",
            'define it there, or write another path; if a table in the schema json is meant, write \'"json"."books"\'',
        ),
        ("no.such.function", "it cannot be imported"),
    ],
    ids=str,
)
def test_what_is_no_table(value, said):
    (mistake,) = refused({dict: value})
    assert said in mistake


def test_a_schema_that_is_called_as_a_module_is_written_in_quotes(tmp_path, monkeypatch):
    assert tables({dict: '"json"."books"'}) == {dict: "json.books"}
    # A mere folder is no module: many a project has one that is called `data`.
    (tmp_path / "data").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    assert tables({dict: "data.books"}) == {dict: "data.books"}


def test_a_module_that_fails_is_told_by_class_and_place(tmp_path, monkeypatch):
    (tmp_path / "failing_items.py").write_text("\nraise KeyError('s3cret')\n")
    monkeypatch.syspath_prepend(tmp_path)
    (mistake,) = refused({"failing_items.Book": "books"})
    assert "importing failing_items raised KeyError in <module>, failing_items.py line 2" in mistake
    assert "s3cret" not in mistake


def test_every_entry_has_its_own_mistake_and_one_class_stands_there_once():
    found = refused({shop.Book: "books", f"{SHOP}.Book": "books", "x": "y", dict: ""})
    assert len(found) == 3
    assert "Book stands in it twice, as a class and as a path" in found[0]


def test_a_spider_s_name_that_is_no_table_s_needs_one_for_dicts():
    assert table_of_dicts("books.example", {}) == []
    (mistake,) = table_of_dicts("x" * 64, {shop.Book: "books"})
    assert "63 bytes" in mistake.remedy
    assert "BATCHING_TABLES = {'dict': 'books'}" in mistake.remedy
    assert table_of_dicts("x" * 64, {dict: "books"}) == []
