"""The client's disk copy: whole or not there, under names that every file system takes, and sent again by one command."""

import asyncio
import json
import os
import shutil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrapy_batching.answers import Problem
from scrapy_batching.errors import SpoolFailed
from scrapy_batching.spool import Spool, table_folder
from tests.scrapy_batching.make import batch


def test_a_batch_and_what_is_known_of_it_lie_side_by_side(tmp_path):
    one = batch(2)
    spool = Spool(tmp_path / "not" / "there", crawl="c-1")
    problem = Problem(422, "No", "because")
    kept = spool.keep(one, "refused", url="http://h/x", problem=problem, reason="422 No: because")
    assert kept.path == tmp_path / "not" / "there" / "refused" / "books" / f"{one.id}.ndjson"
    assert kept.path.read_bytes() == b'{"n":0}\n{"n":1}\n'
    about = json.loads(kept.path.with_suffix(".json").read_text())
    assert about == {
        "id": str(one.id),
        "table": "books",
        "crawl": "c-1",
        "items": 2,
        "url": "http://h/x",
        "reason": "422 No: because",
        "problem": {"status": 422, "title": "No", "detail": "because"},
    }
    assert not list(tmp_path.rglob("*.tmp"))


def test_nothing_is_made_before_the_first_batch(tmp_path):
    Spool(tmp_path / "spool", crawl="c")
    assert not (tmp_path / "spool").exists()


def test_a_batch_that_is_kept_twice_is_there_once(tmp_path):
    one = batch()
    spool = Spool(tmp_path, crawl="c")
    for _ in range(2):
        spool.keep(one, "waiting", url="http://h", problem=None, reason="away")
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
        Spool(tmp_path, crawl="c").keep(batch(), "waiting", url="http://h", problem=None, reason="away")
    assert caught.value.directory == tmp_path
    assert not list(tmp_path.rglob("*.ndjson"))


def test_a_directory_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SpoolFailed, match="Not a directory"):
        Spool(tmp_path / "file", crawl="c").keep(batch(), "waiting", url="u", problem=None, reason="away")


@given(st.text(min_size=1, max_size=300))
def test_any_table_has_a_folder_of_one_plain_name(table):
    name = table_folder(table.encode("utf-8", "replace").decode())
    assert 1 <= len(name) <= 200
    assert name.isascii()
    assert name not in (".", "..")
    assert not set(name) & set('/\\:*?"<>|\0')


def test_long_names_of_tables_are_told_apart():
    assert table_folder("x" * 400 + "a") != table_folder("x" * 400 + "b")


@pytest.mark.parametrize("token", [None, "BATCHING_TOKEN"])
async def test_the_command_sends_it_under_its_own_name(server, tmp_path, token):
    assert shutil.which("curl"), "curl is needed for this test: apt-get install curl"
    one = batch(table="späße y'z")
    spool = Spool(tmp_path / "with space", crawl="c'1", token_variable=token)
    url = server.url + "/v1/tables/sp%C3%A4%C3%9Fe%20y%27z/batches"
    kept = spool.keep(one, "waiting", url=url, problem=None, reason="away")
    run = await asyncio.create_subprocess_shell(
        kept.resend, stdout=asyncio.subprocess.PIPE, env={"BATCHING_TOKEN": "t0ken", "PATH": "/usr/bin:/bin"}
    )
    out, _ = await run.communicate()
    assert json.loads(out)["ack"] == "committed"
    (stored,) = server.batches.values()
    assert (stored.id, stored.table, stored.crawl) == (str(one.id), one.table, "c'1")
    assert server.headers[0].get("Authorization") == ("Bearer t0ken" if token else None)
