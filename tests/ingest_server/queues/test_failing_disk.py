"""A disk that fails: 503 and never a lie, loud once each way, and nothing that was promised is forgotten."""

import asyncio
import sqlite3

import pytest

from ingest_server.errors import Overloaded
from ingest_server.queues import connection
from ingest_server.telemetry import Telemetry
from tests import make
from tests.ingest_server.queues.test_journaled import take
from tests.ingest_server.telemetry.test_telemetry import figures
from tests.journals import files, journaled, until

FULL = sqlite3.OperationalError("database or disk is full")


class Disk:
    """Stands between the journal and SQLite; statements that begin with `fails` raise `error`."""

    def __init__(self) -> None:
        self.fails: tuple[str, ...] = ()
        self.error: Exception = FULL
        self._real = connection.connect

    def connect(self, path, *, create: bool):
        disk, real = self, self._real(path, create=create)

        class Connection:
            def execute(self, sql: str, arguments=()):
                if disk.fails and sql.startswith(disk.fails):
                    raise disk.error
                return real.execute(sql, arguments)

            def close(self) -> None:
                real.close()

        return Connection()


@pytest.fixture
def disk(monkeypatch) -> Disk:
    disk = Disk()
    monkeypatch.setattr(connection, "connect", disk.connect)
    return disk


@pytest.mark.parametrize("statement", ["BEGIN", "INSERT", "COMMIT"])
async def test_a_disk_that_takes_nothing_refuses_until_it_is_well(tmp_path, disk: Disk, caplog, statement: str) -> None:
    telemetry = Telemetry()
    queue = journaled(tmp_path, telemetry=telemetry)
    await queue.open()
    kept, batch = make.batch({"a": 1}), make.batch({"a": 2})
    await queue.put(kept)
    disk.fails = (statement,)
    for _ in range(5):
        with pytest.raises(Overloaded, match="the journal's disk: database or disk is full"):
            await queue.put(batch)
        tried = queue._writer._failures
        await until(lambda tried=tried: queue._writer._failures > tried)
    assert queue.full == "the journal's disk: database or disk is full"
    assert (queue.batches, queue.journal_bytes) == (1, kept.size + 4096)
    assert "ingest_journal_failing 1.0" in figures(telemetry)
    assert await take(queue) == kept, "what was promised is delivered meanwhile"
    await queue.ack(kept.head)
    disk.fails = ()
    await until(lambda: queue.full is None)
    assert "ingest_journal_failing 0.0" in figures(telemetry)
    await queue.put(batch)
    await queue.close()
    again = journaled(tmp_path)
    await again.open()
    assert await take(again) == batch
    assert again.batches == 1, "neither the batch that was acknowledged meanwhile nor one that was refused"
    await again.close()
    assert caplog.text.count("cannot be written (database or disk is full)") == 1
    assert caplog.text.count("can be written again") == 1


async def test_a_group_that_fails_is_refused_as_a_whole(tmp_path, disk: Disk) -> None:
    queue = journaled(tmp_path)
    await queue.open()
    disk.fails = ("COMMIT",)
    done = await asyncio.gather(*[queue.put(make.batch({"a": n})) for n in range(10)], return_exceptions=True)
    assert all(isinstance(one, Overloaded) for one in done)
    assert queue.batches == 0
    await queue.close()


async def test_a_start_on_a_full_disk_settles_what_waits_and_takes_nothing_in(tmp_path, disk: Disk) -> None:
    first = journaled(tmp_path)
    await first.open()
    batch = make.batch({"a": 1})
    await first.put(batch)
    await first.close()
    disk.fails = ("CREATE", "INSERT")
    queue = journaled(tmp_path)
    await queue.open()
    assert queue.full
    assert await take(queue) == batch
    await queue.ack(batch.head)
    disk.fails = ()
    await until(lambda: queue.full is None and len(files(tmp_path)) == 1)
    await queue.put(make.batch({"a": 2}))
    await queue.close()


async def test_a_body_that_cannot_be_read_now_comes_again(tmp_path, disk: Disk, caplog, monkeypatch) -> None:
    from ingest_server.queues import journaled as room

    monkeypatch.setattr(room, "_READ_AGAIN_SECONDS", 0.01)
    queue = journaled(tmp_path, held_bytes=0)
    await queue.open()
    batch = make.batch({"a": 1})
    disk.fails, disk.error = ("SELECT body",), sqlite3.OperationalError("disk I/O error")
    await queue.put(batch)
    taking = asyncio.create_task(take(queue))
    await until(lambda: queue.set_aside_count)
    disk.fails = ()
    assert await taking == batch
    assert "cannot be read from the journal now" in caplog.text
    await queue.close()


async def test_an_own_file_that_turns_out_damaged_is_left_for_a_new_one(tmp_path, disk: Disk) -> None:
    queue = journaled(tmp_path)
    await queue.open()
    kept = make.batch({"a": 1})
    await queue.put(kept)
    disk.fails, disk.error = ("INSERT INTO batches",), sqlite3.DatabaseError("database disk image is malformed")
    with pytest.raises(Overloaded, match="malformed"):
        await queue.put(make.batch({"a": 2}))
    disk.fails = ()
    await until(lambda: queue.full is None)
    assert len(files(tmp_path)) == 2
    await queue.put(make.batch({"a": 2}))
    assert await take(queue) == kept
    await queue.ack(kept.head)
    await until(lambda: len(files(tmp_path)) == 1)
    await queue.close()


async def test_a_disk_that_fails_while_room_is_given_back_is_only_told_of(tmp_path, disk: Disk, monkeypatch) -> None:
    from ingest_server.queues import files as room

    monkeypatch.setattr(room, "_KEEP_FREE_BYTES", 0)
    telemetry = Telemetry()
    queue = journaled(tmp_path, telemetry=telemetry)
    await queue.open()
    batch = make.batch({"a": "x" * 100_000})
    await queue.put(batch)
    disk.fails = ("PRAGMA incremental_vacuum",)
    await queue.ack(batch.head)
    await until(lambda: queue.full)
    await until(lambda: queue.full is None)
    disk.fails = ()
    await queue.put(make.batch({"a": 2}))
    await queue.close()
