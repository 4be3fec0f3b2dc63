"""One crawl's run on disk: who has it, what is in it, and that nothing of it is lost or taken twice."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from scrapy_batching.names import uuid7
from scrapy_batching.spool.folder import RunFolder
from scrapy_batching.spool.runs import find_runs

HOLDS = """
import sys
from pathlib import Path
from scrapy_batching.spool.folder import RunFolder
run = RunFolder.create(Path(sys.argv[1]), crawl="c", spider="s")
path = run.batch_path("books", __import__("uuid").uuid4())
path.write_bytes(b"{}\\n")
print(run.path, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def run(tmp_path):
    made = RunFolder.create(tmp_path / "spool", crawl="c-1", spider="s")
    yield made
    made.release()


def file(run, table="books", content=b'{"n":1}\n'):
    path = run.batch_path(table, uuid7())
    path.write_bytes(content)
    return path


def test_a_run_says_whose_it_is_and_nobody_else_may_read_it(run):
    about = run.about
    assert (about.format, about.crawl, about.spider, about.pid) == (1, "c-1", "s", os.getpid())
    assert about.started_at.endswith("+00:00")
    assert run.path.stat().st_mode & 0o777 == run.path.parent.stat().st_mode & 0o777 == 0o700


def test_only_one_has_it_at_a_time(run):
    other = RunFolder(run.path)
    assert not other.claim()
    run.release()
    assert other.claim()
    assert not run.claim()
    other.release()


def test_a_sigkill_frees_it_and_leaves_what_is_in_it(tmp_path):
    """Held by the kernel for a process: no stale lock, however it ended."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])},
    )
    with holder:
        run = RunFolder(Path(holder.stdout.readline().strip()))
        assert not run.claim()
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    assert run.claim()
    assert [one.size for one in run.left()] == [3]
    run.release()


def test_a_folder_that_was_removed_meanwhile_is_nobodys(run):
    late = RunFolder(run.path)
    assert run.remove()
    assert not late.claim()
    assert not run.path.exists()


@pytest.mark.parametrize("content", [None, b"", b"[]", b"{", b'{"format": 2, "crawl": "c"}', b'{"format": 1}'])
def test_a_folder_of_another_format_or_of_nobody_is_left_alone(tmp_path, content):
    folder = tmp_path / str(uuid7())
    folder.mkdir()
    (folder / "precious").write_text("somebody else's")
    if content is not None:
        (folder / "about.json").write_bytes(content)
    (tmp_path / "notes.txt").write_text("mine")
    assert find_runs(tmp_path) == ([], [folder, tmp_path / "notes.txt"])
    assert not RunFolder(folder).claim()
    assert (folder / "precious").read_text() == "somebody else's"


def test_a_run_that_was_killed_while_it_was_made_is_neither_foreign_nor_anybodys(tmp_path):
    folder = tmp_path / str(uuid7())
    folder.mkdir()
    (folder / "lock").touch()
    (folder / "about.json.tmp").touch()
    assert find_runs(tmp_path) == ([], [])
    assert find_runs(tmp_path / "not there") == ([], [])


def test_batches_are_found_in_the_order_of_their_names_whatever_their_table(run):
    made = [file(run, table) for table in ("b", "a", 'sp äße/"x".y', "b")]
    made[1] = run.mark_split(made[1])
    found = run.left()
    assert [one.path for one in found] == made
    assert [one.table for one in found] == ["b", "a", 'sp äße/"x".y', "b"]
    assert [one.is_split for one in found] == [False, True, False, False]
    assert run.mark_split(made[1]) == made[1]
    for path in made:
        run.done(path)
        run.done(path)
    assert run.is_empty


def test_what_is_not_ours_is_named_and_keeps_the_folder(run):
    batch = file(run)
    strange = [run.path / "notes.txt", batch.parent / "x.ndjson", batch.parent / "copy.bak"]
    for one in strange:
        one.write_text("?")
    (batch.parent / f"{uuid7()}.ndjson.tmp").write_text("a draft")
    assert sorted(run.foreign()) == sorted(strange)
    with pytest.raises(OSError, match="still holds batches"):
        run.remove()
    run.done(batch)
    assert not run.remove()
    assert all(one.exists() for one in strange)
    assert run.about is None


def test_a_torn_last_line_is_cut_off_and_kept(run):
    path = file(run, content=b'{"n":1}\n{"n":')
    (left,) = run.left()
    torn = run.mend(left)
    assert torn == run.path.parent / "refused" / "books" / f"{left.id}.torn"
    assert (torn.read_bytes(), path.read_bytes()) == (b'{"n":', b'{"n":1}\n')
    assert run.mend(left) is None


def test_the_tally_holds_every_whole_line(run):
    run.add_tally({"batch": "x", "items": 2})
    run.add_tally({"rejected": 1})
    with (run.path / "tally.ndjson").open("ab") as tally:
        tally.write(b'{"dropp')
    assert run.tally() == [{"batch": "x", "items": 2}, {"rejected": 1}]
    assert run.read_close() is None
    run.write_close({"items": 3})
    assert run.read_close() == {"items": 3}


def test_a_split_that_could_not_be_made_to_last_is_none(run, monkeypatch):
    path = file(run)

    def fails(_folder):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("scrapy_batching.spool.folder.fsync_folder", fails)
    with pytest.raises(OSError, match="Input"):
        run.mark_split(path)
    assert [one.path for one in run.left()] == [path]
