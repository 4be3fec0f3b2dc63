"""The queue on disk: what was put comes back, whoever opens the folder next, and memory holds what it has room for."""

import asyncio
from dataclasses import replace

import pytest

from ingest_server.errors import Overloaded, StartRefused
from ingest_server.model import Batch, BatchHead
from ingest_server.queues import connection
from ingest_server.queues.journaled import JournaledQueue
from ingest_server.telemetry import Telemetry
from ingest_server.wire import fingerprint
from tests import make
from tests.ingest_server.telemetry.test_telemetry import figures
from tests.journals import NEVER, OFTEN, files, journaled, names, until

SECONDS = 10


async def take(queue: JournaledQueue) -> Batch:
    async with asyncio.timeout(SECONDS):
        return await anext(aiter(queue))


async def test_what_was_put_comes_back_whole_and_in_order(tmp_path) -> None:
    batches = [make.batch({"a": number}, table='own."t.ü"', crawl="c", owner="o") for number in range(20)]
    batches.append(make.batch({"items": [{"b": 1}]}, strict=True, form="json"))
    queue = journaled(tmp_path)
    await queue.open()
    for batch in batches:
        await queue.put(batch)
    taken = await take(queue)
    assert taken == batches[0]
    await queue.ack(taken)
    await queue.close()
    restored: list[BatchHead] = []
    later = journaled(tmp_path, restored=restored.append)
    await later.open()
    await until(lambda: len(restored) == 20)
    assert (later.batches, later.items, later.held_bytes) == (20, 20, 0)
    assert [type(one) for one in restored] == [BatchHead] * 20, "no bodies are read at the start"
    for batch in batches[1:]:
        assert await take(later) == batch
        await later.ack(batch.head)
    await later.drain()
    await later.close()
    assert names(tmp_path) == [], "nothing waits, so nothing stays"


async def test_batches_that_wait_together_share_an_fsync(tmp_path) -> None:
    telemetry = Telemetry()
    queue = journaled(tmp_path, telemetry=telemetry, pace=NEVER)
    await queue.open()
    await asyncio.gather(*[queue.put(make.batch({"a": number})) for number in range(64)])
    await queue.close()
    text = figures(telemetry)
    assert "ingest_journal_group_batches_sum 64.0" in text
    fsyncs = float(text.split("ingest_journal_fsync_seconds_count ")[1].split()[0])
    assert fsyncs < 32


async def test_a_batch_is_committed_before_put_returns(tmp_path, monkeypatch) -> None:
    said: list[str] = []
    real = connection.connect

    class Listening:
        def __init__(self, path, *, create: bool) -> None:
            self._one = real(path, create=create)

        def execute(self, sql: str, arguments=()):
            said.append(sql.split()[0])
            return self._one.execute(sql, arguments)

        def close(self) -> None:
            self._one.close()

    monkeypatch.setattr(connection, "connect", Listening)
    queue = journaled(tmp_path, pace=NEVER)
    await queue.open()
    said.clear()
    await queue.put(make.batch({"a": 1}))
    assert said == ["BEGIN", "INSERT", "COMMIT"]
    await queue.close()


async def test_the_file_is_written_as_the_promise_needs(tmp_path) -> None:
    queue = journaled(tmp_path / "deep" / "journal")
    await queue.open()
    own = queue._writer._files._own
    pragmas = {
        name: connection.value_of(own._one, f"PRAGMA {name}")
        for name in ("journal_mode", "synchronous", "locking_mode", "auto_vacuum", "user_version")
    }
    assert pragmas == {
        "journal_mode": "wal",
        "synchronous": 2,
        "locking_mode": "exclusive",
        "auto_vacuum": 2,
        "user_version": 1,
    }
    assert (tmp_path / "deep" / "journal").stat().st_mode & 0o777 == 0o700
    await queue.close()


async def test_memory_holds_what_it_has_room_for_and_the_rest_is_read_again(tmp_path) -> None:
    batches = [make.batch({"a": "x" * 1000}) for _ in range(10)]
    queue = journaled(tmp_path, held_bytes=3500)
    await queue.open()
    for batch in batches:
        await queue.put(batch)
    assert 0 < queue.held_bytes <= 3500
    for batch in batches:
        assert await take(queue) == batch
        await queue.ack(batch.head)
    assert queue.held_bytes == 0
    await queue.close()


async def test_a_batch_that_came_back_and_was_sent_again_meanwhile_is_settled_once(tmp_path) -> None:
    """Its first server died; its sender sent it to this one before this one looked."""
    same, other, batch = make.batch({"a": 1}), make.batch({"a": 2}), make.batch({"a": 3})
    other = replace(other.head, id=batch.id).with_body(other.body)
    restored: list[BatchHead] = []
    queue = journaled(tmp_path, restored=restored.append)
    await queue.open()
    for one in (same, batch):
        await queue.put(one)
    dead = journaled(tmp_path, pace=NEVER)
    dead._writer._look = lambda: None
    await dead.open()
    for one in (same, other):
        await dead.put(one)
    await dead.close()
    await until(lambda: len(queue._behind) == 2)
    assert (queue.batches, restored) == (2, [])
    for one in (same, batch):
        assert await take(queue) == one
        await queue.ack(one.head)
    assert restored == [other.head], "another body under the same name is the sink's to refuse"
    assert await take(queue) == other
    await queue.ack(other.head)
    await queue.close()
    assert names(tmp_path) == []


async def test_two_queues_share_a_folder_and_none_takes_what_the_other_has(tmp_path) -> None:
    one, other = journaled(tmp_path), journaled(tmp_path)
    await one.open()
    await other.open()
    assert len(files(tmp_path)) == 2
    batch = make.batch({"a": 1})
    await one.put(batch)
    looked = other._writer._look_at
    await until(lambda: other._writer._look_at > looked + OFTEN.look)
    assert (one.batches, other.batches) == (1, 0)
    await one.close()
    assert await take(other) == batch
    await other.ack(batch.head)
    await until(lambda: len(files(tmp_path)) == 1)
    await other.close()


async def test_a_file_for_another_database_or_of_another_format_is_left_alone(tmp_path, caplog) -> None:
    foreign = journaled(tmp_path, destination="elsewhere")
    await foreign.open()
    await foreign.put(make.batch({"a": 1}))
    await foreign.close()
    newer = journaled(tmp_path, destination="test", pace=NEVER)
    await newer.open()
    await newer.put(make.batch({"a": 2}))
    list(newer._writer._files._own._one.execute("PRAGMA user_version=7"))
    await newer.close()
    caplog.clear()
    before = {path: path.read_bytes() for path in files(tmp_path)}
    queue = journaled(tmp_path)
    await queue.open()
    looked = queue._writer._look_at
    await until(lambda: queue._writer._look_at > looked + 2 * OFTEN.look)
    assert queue.batches == 0
    await queue.close()
    assert {path: path.read_bytes() for path in files(tmp_path)} == before
    assert caplog.text.count("it is meant for the database elsewhere, and this server writes to test") == 1
    assert caplog.text.count("its format is 7, and this server reads 1") == 1


async def test_an_empty_file_whose_owner_died_making_it_is_removed(tmp_path) -> None:
    (tmp_path / "journal-0.sqlite3").touch()
    queue = journaled(tmp_path)
    await queue.open()
    assert [path.name for path in files(tmp_path)] != ["journal-0.sqlite3"]
    await queue.close()
    assert names(tmp_path) == []


async def test_the_budget_bounds_what_waits_and_counts_small_batches_by_their_room(tmp_path) -> None:
    queue = journaled(tmp_path, journal_bytes=20_000)
    await queue.open()
    batches = [make.batch({"a": number}) for number in range(4)]
    for batch in batches:
        await queue.put(batch)
    assert queue.full == f"the journal is full: {queue.journal_bytes} bytes wait, of at most 20000"
    with pytest.raises(Overloaded, match="the journal is full"):
        await queue.put(make.batch({"a": 5}))
    await queue.ack(batches[0].head)
    assert queue.full is None
    with pytest.raises(Overloaded, match="no room for this batch"):
        await queue.put(make.batch({"a": "x" * 5000}))
    await queue.put(make.batch({"a": 5}))
    await queue.close()


async def test_the_file_shrinks_after_an_outage(tmp_path, monkeypatch) -> None:
    from ingest_server.queues import file as file_room
    from ingest_server.queues import files as room

    monkeypatch.setattr(room, "_KEEP_FREE_BYTES", 2**20)
    monkeypatch.setattr(file_room, "_LOG_BYTES", 2**20)
    queue = journaled(tmp_path)
    await queue.open()
    batches = [make.batch({"a": "x" * 2**20}) for _ in range(8)]
    for batch in batches:
        await queue.put(batch)
    (own,) = files(tmp_path)
    assert own.stat().st_size > 6 * 2**20
    for batch in batches:
        await queue.ack(batch.head)
    await until(lambda: not queue._writer._files.has_settled and own.stat().st_size < 2 * 2**20)
    await queue.close()


def test_a_body_is_recognised_as_the_wire_names_it() -> None:
    batch = make.batch({"a": 1})
    assert batch.head.fits(batch.body)
    assert not batch.head.fits(batch.body + b" ")
    assert batch.head.fingerprint == fingerprint(batch.body)


async def test_a_folder_that_cannot_be_had_refuses_the_start_and_names_the_remedy(tmp_path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(StartRefused, match="--journal off"):
            await journaled(path).open()


async def test_an_error_of_ours_in_the_writer_refuses_and_keeps_nobody_waiting(tmp_path, monkeypatch, caplog) -> None:
    queue = journaled(tmp_path, held_bytes=0)
    await queue.open()
    await queue.put(make.batch({"a": 0}))

    def breaks(batches) -> None:
        raise RuntimeError("do-not-show-me")

    monkeypatch.setattr(queue._writer._files, "commit", breaks)
    for _ in range(2):
        with pytest.raises(Overloaded, match="the journal's writer died"):
            await asyncio.wait_for(queue.put(make.batch({"a": 1})), SECONDS)
    assert queue.full
    assert queue.batches == 1
    assert "journal died of an unexpected RuntimeError" in caplog.text
    assert "do-not-show-me" not in caplog.text
    await queue.close()
