"""The contract's letters: headers, names and bodies."""

import contextlib
import json
from uuid import UUID, uuid4

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ingest_server import wire
from ingest_server.errors import BadRequest, TooLarge, UnsupportedMedia
from ingest_server.model import TableName
from ingest_server.wire import Preferences

LINES = st.lists(st.binary(max_size=20).filter(lambda line: b"\n" not in line))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=3), max_leaves=5
)


@given(LINES)
@example([b"\xef\xbb\xbf", b" ", b"\r", b"{}\r"])
def test_the_lines_of_a_body_are_its_items_but_for_blank_ones(lines: list[bytes]) -> None:
    body = b"\n".join(lines)
    expected = [line for line in (line.strip(b" \t\r") for line in body.removeprefix(wire.BOM).split(b"\n")) if line]
    assert wire.split(body, "ndjson") == expected
    assert wire.split(b"\n" * 100_001 + body.removeprefix(wire.BOM), "ndjson") == expected


@given(st.lists(VALUES))
def test_the_elements_of_an_array_are_its_items(values: list) -> None:
    text = json.dumps(values)
    for body in (text, "\ufeff" + text, f'{{"items": {text}}}', f' {{ "items" :\n{text} }} '):
        assert [json.loads(item) for item in wire.split(body.encode(), "json")] == values


HALVES = [b"\\ud800", b"\\uDFFF", b"\\ud83d\\u0041", b"\\\\ud800", b"\\ud83d\\ude00", b", ]} [{", b"a"]


@given(
    st.lists(st.lists(st.sampled_from(HALVES), max_size=3).map(b"".join), min_size=1), st.sampled_from([b"", b" \n"])
)
@example([b"\\ud800", b"a"], b"")
def test_half_of_a_surrogate_pair_in_an_array_is_its_own_items_fault(texts: list[bytes], blank: bytes) -> None:
    items = [b'{"a": "' + text + b'"}' for text in texts]
    array = b"[" + blank + (blank + b"," + blank).join(items) + blank + b"]" + blank
    for body in (array, b'{"items": [7], "items": ' + array + b"}" + blank, b'{"items":' + blank + array + b"}"):
        assert wire.split(wire.BOM + body, "json") == items


@given(st.integers(0, 30), st.integers(1, 30), st.sampled_from(["ndjson", "json", "items"]), st.booleans())
def test_more_items_than_are_allowed_are_too_many(count: int, most: int, form: str, many: bool) -> None:
    padding = ["0"] * count
    if many and count:
        padding[0] = json.dumps([0] * 300_002)
    body = {"ndjson": "\n", "json": ","}.get(form, ",").join(padding)
    body = body if form == "ndjson" else f"[{body}]" if form == "json" else f'{{"items":[{body}]}}'
    read = "ndjson" if form == "ndjson" else "json"
    if count > most:
        with pytest.raises(TooLarge) as refused:
            wire.split(body.encode(), read, most)
        assert (refused.value.limit, refused.value.limit_unit) == (most, "items")
    else:
        assert len(wire.split(body.encode(), read, most)) == count


@given(st.binary())
def test_any_body_is_split_or_refused(body: bytes) -> None:
    wire.split(body, "ndjson")
    with contextlib.suppress(BadRequest):
        wire.split(body, "json")


@given(st.binary())
def test_json_is_what_may_stand_inside_json(raw: bytes) -> None:
    if wire.is_json(raw):
        json.loads(b'{"item": ' + raw + b"}")


@pytest.mark.parametrize(
    ("header", "wait", "strict"),
    [
        ("wait=10", 10, False),
        ('WAIT = "10"', 10, False),
        ('wait="1\\0"', 10, False),
        ("wait=3600", 60, False),
        ("wait=00000000000000000099999999999999999999", 60, False),
        ("wait=0, handling=strict", 0, True),
        ('respond-async,wait=5;foo="a,b" , Handling=STRICT', 5, True),
        ('foo="a, wait=3", wait=4', 4, False),
        ("wait=1, wait=2", 1, False),
        ("handling=lenient, handling=strict", None, False),
        ("handling=strict; x; y=z;", None, True),
        ("wait=, wait=5", None, False),
        ("wait", None, False),
        ("wait=-1", None, False),
        ("wait=1.5", None, False),
        ("wait=10 s, handling=strict", None, True),
        ('foo="never closed, wait=3', 3, False),
        ("=3, ;, , wait=2", 2, False),
        ("", None, False),
    ],
)
def test_preferences_are_read_as_rfc_7240_writes_them(header: str, wait: int | None, strict: bool) -> None:
    assert Preferences.parse(header) == Preferences(wait, strict)


@given(st.text(st.sampled_from('wait=10,;" \\handlingstrict\t')))
@example('"' * 8000)
@example("," * 8000)
@example('a=";' * 2000)
def test_any_prefer_header_is_read(header: str) -> None:
    preferences = Preferences.parse(header)
    assert preferences.wait is None or 0 <= preferences.wait <= 60
    assert Preferences.parse(preferences.applied or "") == preferences


NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1).filter(
    lambda name: len(name.encode()) <= 63
)


@given(NAMES, NAMES)
@example("public", 'a."b')
def test_a_tables_name_is_read_as_it_is_shown(schema: str, name: str) -> None:
    table = TableName(schema, name)
    assert TableName.parse(table.shown("public"), "public") == table


@given(st.text())
def test_any_text_is_a_tables_name_or_refused(text: str) -> None:
    try:
        table = TableName.parse(text, "public")
    except ValueError:
        return
    assert TableName.parse(table.shown("public"), "public") == table


def test_a_batchs_id_comes_from_its_name() -> None:
    name = uuid4()
    assert wire.batch_id("owner", str(name)) == wire.batch_id("other", f'"{name}"') == name
    ids = {
        wire.batch_id(owner, key)
        for owner in ("", "one")
        for key in ("a", "b", str(name).upper(), "{" + str(name) + "}")
    }
    assert len(ids) == 8
    assert {one.version for one in ids} == {5}
    # kept for ever: a name sent again after an upgrade must be the same batch
    assert wire.batch_id("", "crawl-1") == UUID("0a9f539f-f2c6-5e23-abae-feafbc990eae")


@pytest.mark.parametrize(
    "header", ["application/json", "APPLICATION/JSON ; charset=UTF-8", 'application/json; charset="utf8"; x=y']
)
def test_the_media_type_is_read_without_its_parameters(header: str) -> None:
    assert wire.form_of(header) == "json"


@pytest.mark.parametrize(
    "header", [None, "", "json", "application/json; charset=utf-16", "application/jsonl", "text/plain"]
)
def test_another_media_type_is_refused(header: str | None) -> None:
    with pytest.raises(UnsupportedMedia):
        wire.form_of(header)
