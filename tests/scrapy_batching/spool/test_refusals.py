"""What was refused for good: whole or not there, under names that every file system takes."""

import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrapy_batching.errors import SpoolFailed
from scrapy_batching.names import uuid7
from scrapy_batching.spool.disk import table_folder
from scrapy_batching.spool.refusals import Refusal, keep_refused
from scrapy_batching.wire.answers import Problem

BODY = b'{"n":0}\n{"n":1}\n'


def refusal(**more):
    known = {"id": uuid7(), "table": "books", "crawl": "c-1", "items": 2, "url": "http://h/x", "reason": "422 No"}
    return Refusal(**(known | {"problem": Problem(422, "No", "because")} | more))


def test_a_batch_and_what_is_known_of_it_lie_side_by_side(tmp_path):
    one = refusal()
    spool = tmp_path / "not" / "there"
    kept = keep_refused(spool, one, BODY)
    assert kept == spool / "refused" / "books" / f"{one.id}.ndjson"
    assert kept.read_bytes() == BODY
    about = json.loads(kept.with_suffix(".json").read_text())
    assert about.pop("refused_at").endswith("+00:00")
    assert about == {
        "id": str(one.id),
        "table": "books",
        "crawl": "c-1",
        "items": 2,
        "url": "http://h/x",
        "reason": "422 No",
        "problem": {"status": 422, "title": "No", "detail": "because"},
    }
    assert not list(tmp_path.rglob("*.tmp"))
    assert spool.stat().st_mode & 0o777 == 0o700


def test_a_batch_that_is_kept_twice_is_there_once(tmp_path):
    one = refusal()
    for _ in range(2):
        keep_refused(tmp_path, one, BODY)
    assert len(list(tmp_path.rglob("*.ndjson"))) == 1


def test_a_write_that_breaks_off_leaves_no_batch_behind(tmp_path, monkeypatch):
    """A crash before the rename leaves a draft, which is no batch; the name appears with the whole content or never."""

    fsync, calls = os.fsync, []

    def broken(number):
        calls.append(number)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        fsync(number)

    # The second file is the batch itself; what is known of it lies there already.
    monkeypatch.setattr("os.fsync", broken)
    with pytest.raises(SpoolFailed, match=r"No space left on device.*BATCHING_SPOOL_DIR") as caught:
        keep_refused(tmp_path, refusal(), BODY)
    assert caught.value.directory == tmp_path
    assert not list(tmp_path.rglob("*.ndjson"))


def test_a_directory_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SpoolFailed, match=r"Not a directory|File exists"):
        keep_refused(tmp_path / "file", refusal(), BODY)


@given(st.text(min_size=1, max_size=300))
def test_any_table_has_a_folder_of_one_plain_name(table):
    name = table_folder(table.encode("utf-8", "replace").decode())
    assert 1 <= len(name) <= 200
    assert name.isascii()
    assert name not in (".", "..")
    assert not set(name) & set('/\\:*?"<>|\0')


def test_long_names_of_tables_are_told_apart():
    assert table_folder("x" * 400 + "a") != table_folder("x" * 400 + "b")
