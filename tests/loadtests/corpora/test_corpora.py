"""Hostile bodies and strings in every place: no 5xx, no hang, every accepted item accounted for; and the judge can say no."""

import json
from pathlib import Path

import pytest

from loadtests.corpora.cases import Case, of_bodies, of_strings, read_bodies, read_strings
from loadtests.corpora.raw import Answer
from loadtests.corpora.scenario import judged, measure
from loadtests.errors import PartError

BODIES = {
    "nothing": b"",
    "a BOM alone": b"\xef\xbb\xbf",
    "UTF-16": '{"label": "x"}'.encode("utf-16"),
    "an array that is not closed": b"[1, 2",
    "open arrays": b"[" * 100_000,
    "deep objects": b'{"a":' * 200 + b"1" + b"}" * 200,
    "NaN": b"[NaN, Infinity, -Infinity]",
    "numbers beyond all types": b'{"amount": 1e999999, "id": 123456789012345678901234567890}',
    "many digits": b'{"amount": 0.' + b"1" * 5_000 + b"}",
    "half a surrogate pair": rb'{"label": "\ud800"}',
    "NUL": rb'{"label": "a\u0000b", "\u0000": 1}',
    "the same key twice": b'{"label": 1, "label": [2]}',
    "no UTF-8": b'{"label": "\xff\xfe"}',
    "a comma too many": b'[{"label": 1},]',
    "a comment": b'{"label": 1} // so',
    "single quotes": b"{'label': 1}",
    "a number alone": b"42",
    "an empty key": b'{"": {"": [""]}}',
}
STRINGS = [
    "",
    " ",
    "\t",
    "..",
    "/",
    '"',
    "';DROP TABLE ingest.batches;--",
    "%00",
    "%s%n",
    "\r\nX: 1",
    "a\x00b",
    "ingest.batches",
    "\u202e",
    "\U0001f9ff" * 20,
    "z\u0351" * 30,
    "\ufdd0",
    "NULL",
    "1e999",
    "\ud83d",
    "İi",
    "x" * 300,
]


def test_whatever_is_sent_nothing_breaks_and_every_item_is_accounted_for() -> None:
    cases = [*of_bodies(BODIES), *of_strings(STRINGS)]
    result = measure(cases)
    assert result["broken"] == []
    assert result["is_well"], result
    assert (result["requests"], result["unaccounted"], result["unsettled"]) == (len(cases), 0, [])
    assert result["stored"] > 100
    assert result["dead_letters"] > 100


CASE = Case("one", "line", b"/", ((b"A", b"b"),), b"{}")


def batch(**counts: int) -> dict[str, object]:
    return {"id": "a", "total": 2, "processed": 2, "failed": 1} | counts


@pytest.mark.parametrize(
    ("answer", "stored", "letters", "is_well"),
    [
        (Answer(207, batch()), 1, 1, True),
        (Answer(207, batch()), 0, 1, False),
        (Answer(207, batch()), 1, 2, False),
        (Answer(202, batch(processed=0)), 1, 1, False),
        (Answer(500, {"title": "Internal server error"}), 0, 0, False),
        (Answer(503), 0, 0, False),
        (Answer(-1), 0, 0, False),
        (Answer(0), 0, 0, True),
    ],
)
def test_the_judge_sees_what_is_wrong(answer: Answer, stored: int, letters: int, is_well: bool) -> None:
    assert judged([CASE], [answer], stored, letters)["is_well"] is is_well


def test_a_batch_that_two_cases_named_alike_is_one() -> None:
    result = judged([CASE, CASE], [Answer(207, batch())] * 2, 1, 1)
    assert (result["is_well"], result["batches"], result["items"]) == (True, 1, 2)


def test_files_are_read_as_they_are_and_a_wrong_one_is_said(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "a.json").write_bytes(b"\xff")
    assert read_bodies([tmp_path]) == {"below/a.json": b"\xff"}
    (tmp_path / "strings.json").write_text(json.dumps(["a", "\ud800"]))
    assert read_strings([tmp_path / "strings.json"]) == ["a", "\ud800"]
    (tmp_path / "object.json").write_text("{}")
    with pytest.raises(PartError, match="no array of strings"):
        read_strings([tmp_path / "object.json"])
    with pytest.raises(PartError, match=r"no file that ends in \.json"):
        read_bodies([tmp_path / "below" / ".."][:0])
