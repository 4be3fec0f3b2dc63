"""The server's audit reads what the crawl's side writes: the spool's format 1, between wings that do not know each other."""

from pathlib import Path
from uuid import UUID

import pytest

from ingest_server.audit.spooled import Left, Refused, Spools, Tallied, read_spools, undelivered
from ingest_server.model import CrawlClose
from scrapy_batching.batching.batch import Batch
from scrapy_batching.names import half_name, uuid7
from scrapy_batching.spool.folder import RunFolder
from scrapy_batching.spool.stock import Counted
from scrapy_batching.wire.answers import Problem


def write(run: RunFolder, table: str, items: int, *, torn: bytes = b"") -> UUID:
    name = uuid7()
    run.batch_path(table, name).write_bytes(b'{"n":1}\n' * items + torn)
    return name


@pytest.fixture
def run(tmp_path: Path):
    made = RunFolder.create(tmp_path / "spool", crawl="c", spider="s")
    yield made
    made.release()


def read(run: RunFolder, crawl: str = "c") -> Spools:
    return read_spools([run.path.parent], crawl)


def test_a_run_with_whole_open_and_split_batches(run: RunFolder) -> None:
    whole, still_open = write(run, 'odd "table".ä', 3), write(run, "x" * 300, 2, torn=b'{"n":')
    split = write(run, "things", 4)
    run.mark_split(run.batch_path("things", split))
    run.add_tally({"batch": str(whole), "table": 'odd "table".ä', "items": 3})
    run.add_tally({"batch": str(split), "table": "things", "items": 4})
    run.add_tally({"rejected": 2})
    run.add_tally({"dropped": 5})
    (found,) = read(run).runs
    about = run.about
    assert about is not None
    assert (found.path, found.started_at, found.is_held, found.close) == (run.path, about.started_at, True, None)
    lefts = {one.id: one for one in run.left()}
    assert set(found.left) == {
        Left(whole, 'odd "table".ä', 3, lefts[whole].path),
        Left(still_open, "x" * 300, 2, lefts[still_open].path),
        Left(split, "things", 4, lefts[split].path, is_split=True),
    }
    assert found.tallied == (Tallied(whole, 'odd "table".ä', 3), Tallied(split, "things", 4))
    assert (found.items, found.not_encodable, found.dropped) == (3 + 4 + 2 + 2 + 5, 2, 5)


def test_a_long_tally_is_shortened_and_says_the_same(run: RunFolder) -> None:
    gone, there, in_memory, split = uuid7(), write(run, "things", 2), uuid7(), write(run, "things", 4)
    run.mark_split(run.batch_path("things", split))
    for name, items in ((gone, 3), (there, 2), (in_memory, 5), (split, 4)):
        run.add_tally({"batch": str(name), "table": "things", "items": items})
    for name, whole in ((half_name(gone, 0, 1), gone), (half_name(split, 0, 2), split)):
        run.add_tally({"split": str(name), "of": str(whole)}, lasting=True)
    for _ in range(2):
        run.add_tally({"rejected": 1})
        run.add_tally({"dropped": 3})
    write(run, "things", 1)  # still open
    before = read(run).runs[0]
    shorter = run.shorten([in_memory])
    shorter.write()
    since = uuid7()
    run.add_tally({"batch": str(since), "table": "things", "items": 7})
    run.shortened(shorter)
    run.add_tally({"rejected": 1})
    after = read(run).runs[0]
    assert (after.items, after.not_encodable, after.dropped) == (before.items + 7 + 1, 3, 6)
    assert [one.id for one in after.tallied] == [there, in_memory, split, since]
    assert after.gone == 3
    counted = Counted.of(run.tally())
    assert (counted.gone, sum(counted.batches.values()), counted.rejected, counted.dropped) == (3, 18, 3, 6)
    assert counted.splits == {half_name(split, 0, 2)}


def test_a_half_with_a_file_of_its_own_was_counted_with_its_whole(run: RunFolder) -> None:
    whole = uuid7()
    run.add_tally({"batch": str(whole), "table": "things", "items": 4})
    run.batch_path("things", half_name(whole, 2, 4)).write_bytes(b"{}\n{}\n")
    assert read(run).runs[0].items == 4


def test_a_run_that_has_ended(run: RunFolder) -> None:
    run.write_close({"items": 9, "rejected": 1, "dropped": 2, "spooled": 3, "reason": "finished"})
    run.release()
    (found,) = read(run).runs
    assert (found.close, found.is_held) == (CrawlClose(9, 1, 2, 3, "finished"), False)
    assert read(run, "another").runs == ()


def test_what_was_refused_with_its_problem(run: RunFolder) -> None:
    name = uuid7()
    where = run.refuse(
        b'{"n":1}\n{"n":2}\n',
        id=name,
        table="things",
        crawl="c",
        items=2,
        url="http://x",
        reason="r",
        problem=Problem(422, "Unprocessable content", "no item"),
    )
    other = uuid7()
    run.refuse(b"{}\n", id=other, table="t", crawl="d", items=1, url="http://x", reason="a proxy", problem=None)
    (found,) = read(run).refused
    assert found == Refused(name, "things", 2, where, "422 Unprocessable content: no item")
    assert read(run, "d").refused[0].problem == "a proxy"


def test_what_is_foreign_is_left_alone_and_another_format_is_named(run: RunFolder) -> None:
    (run.path / "notes").mkdir()
    (run.path / "notes" / "mine.ndjson").write_text("{}")
    (run.path.parent / "somebody").mkdir()
    (run.path / "about.json").write_bytes(
        (run.path / "about.json").read_bytes().replace(b'"format": 1', b'"format": 2')
    )
    found = read(run)
    assert found.runs == found.refused == ()
    (said,) = found.unread
    assert str(run.path) in said
    assert "format 2" in said


def test_a_directory_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (said,) = read_spools([tmp_path / "none"], "c").unread
    assert str(tmp_path / "none") in said


@pytest.mark.parametrize("size", [1, 2, 5, 8])
def test_the_halves_of_a_batch_have_the_names_that_the_crawl_gives_them(size: int) -> None:
    """Whatever was delivered of them, the rest is what is found."""
    lines = tuple(b"%d" % n for n in range(size))
    whole = Batch(uuid7(), "t", lines, sum(map(len, lines)) + size, 0.0, "count")
    assert list(undelivered(whole.id, size, {whole.id}.__contains__)) == []
    assert list(undelivered(whole.id, size, set().__contains__)) == [(whole.id, size)]
    if size == 1:
        return
    first, second = whole.halves()
    assert first.id == half_name(whole.id, 0, size // 2)
    assert list(undelivered(whole.id, size, {first.id}.__contains__)) == [(second.id, len(second))]
    assert list(undelivered(whole.id, size, {first.id, second.id}.__contains__)) == []
    if len(second) > 1:
        third, fourth = second.halves()
        assert list(undelivered(whole.id, size, {third.id}.__contains__)) == [
            (first.id, len(first)),
            (fourth.id, len(fourth)),
        ]
