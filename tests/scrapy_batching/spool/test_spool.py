"""The crawl's own part of the spool, on real files: each item is on disk when it was taken, whatever the disk does."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from scrapy_batching.batching.lines import OpenBatches
from scrapy_batching.spool.crawl import Spool, mistakes_of
from scrapy_batching.spool.disk import probe
from scrapy_batching.spool.folder import RunFolder
from scrapy_batching.spool.runs import find_runs
from tests.scrapy_batching.make import batch, put


class Notes:
    def __init__(self):
        self.failures = []
        self.works = 0

    def disk_failed(self, error):
        self.failures.append(error.reason)

    def disk_works(self):
        self.works += 1


class Bench:
    def __init__(self, directory, **more):
        self.notes = Notes()
        self.in_memory = []
        self.spool = Spool(
            directory, crawl="c", spider="s", observer=self.notes, in_memory=self.in_memory.append, **more
        )

    def gather(self, most_items=3):
        return OpenBatches(
            most_items=most_items,
            most_bytes=10**6,
            most_age=5.0,
            clock=lambda: 0.0,
            place=self.spool.place,
            spare=self.spool.spare,
        )


@pytest.fixture
def bench(tmp_path):
    made = Bench(tmp_path / "spool")
    yield made
    made.spool.end({}, is_told=True)


def on_disk(directory):
    return {file.parent.name: file.read_bytes() for file in directory.glob("*/*/*.ndjson")}


def test_nothing_is_made_before_the_first_item(bench, tmp_path):
    bench.gather()
    assert not (tmp_path / "spool").exists()


def test_each_line_is_on_disk_as_soon_as_it_was_taken(bench, tmp_path):
    batches = bench.gather()
    for n in range(3):
        closed = put(batches, "books", b"%d" % n)
        assert on_disk(tmp_path / "spool") == {"books": b"".join(b"%d\n" % m for m in range(n + 1))}
    (one,) = closed
    assert (one.body(), one.lines, len(one), one.size) == (b"0\n1\n2\n", (), 3, 6)
    assert [half.body() for half in one.halves()] == [b"0\n", b"1\n2\n"]
    assert [quarter.body() for quarter in one.halves()[1].halves()] == [b"1\n", b"2\n"]


def fill(batches, count):
    """What is closed by so many items."""
    return [one for n in range(count) for one in put(batches, "books", b"%d" % n)]


def test_halves_of_a_file_are_named_and_cut_like_those_in_memory(bench):
    (filed,) = fill(bench.gather(), 3)
    memory = replace(filed, lines=(b"0", b"1", b"2"), part=None)
    for one, other in zip(filed.halves(), memory.halves(), strict=True):
        assert (one.id, one.span, one.size, one.body()) == (other.id, other.span, other.size, other.body())


def test_more_tables_than_open_files(tmp_path):
    bench = Bench(tmp_path / "spool", most_open=2)
    batches = bench.gather(most_items=100)
    before = len(list(Path("/dev/fd").iterdir()))
    for n in range(20):
        for table in "abcde":
            put(batches, table, b"%d" % n)
    assert len(list(Path("/dev/fd").iterdir())) - before <= 2 + 1, "and the lock"
    whole = b"".join(b"%d\n" % n for n in range(20))
    assert on_disk(tmp_path / "spool") == dict.fromkeys("abcde", whole)
    assert [one.body() for one in batches.close_all("close")] == [whole] * 5
    bench.spool.end({}, is_told=True)


class Full:
    """A disk with room for so many bytes; a write that does not fit is cut off, as a disk does it."""

    def __init__(self, monkeypatch, room):
        self.room = room
        write = os.write

        def limited(descriptor, line):
            if not self.room:
                raise OSError(28, "No space left on device")
            taken = write(descriptor, line[: self.room])
            self.room -= taken
            return taken

        monkeypatch.setattr("os.write", limited)


def test_a_full_disk_keeps_what_it_has_and_the_rest_waits_in_memory(bench, tmp_path, monkeypatch):
    batches = bench.gather(most_items=4)
    disk = Full(monkeypatch, 12)
    closed = [one for n in range(3) for one in put(batches, "books", b"line%d" % n)]
    (cut,) = closed
    assert (cut.body(), cut.cause) == (b"line0\nline1\n", "disk")
    assert on_disk(tmp_path / "spool") == {"books": b"line0\nline1\n"}
    (rest,) = [one for n in range(3, 6) for one in put(batches, "books", b"line%d" % n)]
    assert (rest.lines, rest.part) == ((b"line2", b"line3", b"line4", b"line5"), None)
    assert bench.in_memory == [6] * 4
    assert bench.notes.failures == ["No space left on device"]
    # The next batch asks the disk again.
    disk.room = 10**6
    (one,) = [one for n in range(4) for one in put(batches, "books", b"more%d" % n)]
    assert one.part is not None
    assert bench.notes.works == 1


def test_a_short_write_is_cut_off_to_the_last_whole_line(bench, tmp_path, monkeypatch):
    batches = bench.gather()
    Full(monkeypatch, 9)
    for n in range(2):
        put(batches, "books", b"line%d" % n)
    assert on_disk(tmp_path / "spool") == {"books": b"line0\n"}
    assert [one.body() for one in batches.close_all("close")] == [b"line1\n"]


def test_a_spool_that_cannot_be_made_leaves_everything_in_memory(tmp_path):
    (tmp_path / "file").write_text("in the way")
    bench = Bench(tmp_path / "file")
    (one,) = fill(bench.gather(), 3)
    assert one.lines == (b"0", b"1", b"2")
    assert bench.notes.failures
    assert bench.in_memory == [2, 2, 2]


def test_the_tally_waits_for_a_disk_that_is_full(bench, monkeypatch):
    bench.spool.count({"batch": "a", "table": "t", "items": 2})
    disk = Full(monkeypatch, 0)
    for _ in range(3):
        bench.spool.count({"dropped": 1})
    bench.spool.count({"batch": "b", "table": "t", "items": 1})
    disk.room = 10**6
    bench.spool.count({"rejected": 1})
    assert bench.spool.run.tally() == [
        {"batch": "a", "table": "t", "items": 2},
        {"dropped": 3},
        {"batch": "b", "table": "t", "items": 1},
        {"rejected": 1},
    ]


def test_a_run_without_a_rest_leaves_nothing(bench, tmp_path):
    (one,) = fill(bench.gather(), 3)
    bench.spool.count({"batch": str(one.id), "table": one.table, "items": 3})
    bench.spool.done(one.part.path)
    bench.spool.end({}, is_told=True)
    assert list((tmp_path / "spool").iterdir()) == []


def test_a_run_whose_totals_nobody_knows_stays(bench, tmp_path):
    (one,) = fill(bench.gather(), 3)
    bench.spool.done(one.part.path)
    bench.spool.end({"items": 3}, is_told=False)
    (run,), _ = find_runs(tmp_path / "spool")
    assert run.read_close() == {"items": 3}
    assert run.left() == ()


def test_without_writing_only_what_is_kept_is_on_disk(tmp_path):
    bench = Bench(tmp_path / "spool", is_writing=False)
    put(bench.gather(), "books", b"1")
    bench.spool.count({"rejected": 1})
    assert not (tmp_path / "spool").exists()
    one = batch(2)
    for _ in range(2):
        path = bench.spool.keep(one)
    assert path.read_bytes() == one.body()
    bench.spool.end({"items": 3}, is_told=True)
    (run,), _ = find_runs(tmp_path / "spool")
    assert [left.id for left in run.left()] == [one.id]
    assert run.read_close() == {"items": 3}
    assert run.claim(), "the crawl has let go of it"
    run.release()


def test_probing_leaves_no_trace_and_no_doubt(tmp_path):
    probe(tmp_path / "a" / "b")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "a").mkdir()
    probe(tmp_path / "a" / "b")
    assert list(tmp_path.rglob("*")) == [tmp_path / "a"]
    for bad in (tmp_path / "file" / "x", tmp_path / "file"):
        (tmp_path / "file").write_text("in the way")
        (mistake,) = mistakes_of(bad)
        assert str(mistake).startswith(f"BATCHING_SPOOL_DIR = {bad}: cannot be made or written there (")
    assert "write a directory that this user may write to" in mistakes_of(Path("/proc/x"))[0].remedy


def test_many_files_are_flushed_at_once(bench, monkeypatch):
    syncs = []
    monkeypatch.setattr("os.sync", lambda: syncs.append(1))
    bench.spool.sync([bench.spool.keep(batch(1)) for _ in range(3)])
    assert syncs == []
    bench.spool.sync([bench.spool.keep(batch(1)) for _ in range(65)])
    assert syncs == [1]


def test_two_crawls_share_a_directory(tmp_path):
    one, other = Bench(tmp_path), Bench(tmp_path)
    for bench in (one, other):
        put(bench.gather(), "books", b"1")
    assert one.spool.run.path != other.spool.run.path
    assert not RunFolder(other.spool.run.path).claim()
    one.spool.end({}, is_told=True)
    other.spool.end({}, is_told=True)
    assert len(find_runs(tmp_path)[0]) == 2
