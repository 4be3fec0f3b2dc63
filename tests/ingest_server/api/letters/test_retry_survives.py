"""Retries while things go wrong or go on: a killed server, a redelivery, a crawl that flows, an audit, owners, modes."""

import asyncio
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest

from ingest_server import retries, wire
from ingest_server.audit.audit import audit
from ingest_server.model import Mode, TableOptions
from ingest_server.ports import LetterFilter
from ingest_server.retries import Retry
from ingest_server.settings import Settings
from tests import make
from tests.asking import Asker, locked, until_blocked
from tests.ingest_server.api.letters.asking_letters import Letters
from tests.ingest_server.postgres.stores import Store, store_over
from tests.running import running_server

BAD = {"name": "Venus", "price": -1}


@pytest.mark.parametrize("grouped", [False, True], ids=["one", "group"])
async def test_a_retry_that_was_accepted_outlives_a_killed_server(
    database: str, sql: asyncpg.Connection, tmp_path: Path, grouped: bool
) -> None:
    await sql.execute("CREATE TABLE things (name text, price numeric CONSTRAINT above CHECK (price > 0))")
    journal = ("--journal-dir", str(tmp_path))
    with running_server("--database", database, *journal) as server:
        own = Letters(Asker(server.port))
        (letter,) = own.bury("things", BAD, ingest_crawl="c")
        await sql.execute("ALTER TABLE things DROP CONSTRAINT above")
        async with locked(sql, "things"):
            if grouped:
                (batch,) = own.retry_group(table="things").json["batches"]
            else:
                batch = own.retry(letter["id"]).json
            assert batch["ack"] == "journaled"
            await until_blocked(sql)
            totals = own.crawl("c")
            assert (totals["total"], totals["pending"], totals["failed"]) == (1, 0, 1)
            server.kill()
    with running_server("--database", database, *journal) as again:
        own = Letters(Asker(again.port))
        assert own.asker.settled(batch["id"])["inserted"] == 1
        assert own.listed() == []
        totals = own.crawl("c")
        assert (totals["batches"], totals["total"], totals["inserted"], totals["failed"]) == (1, 1, 1, 0)
    assert await sql.fetchval("SELECT count(*) FROM things") == 1


async def test_totals_add_up_at_any_moment_while_batches_flow_and_letters_are_retried(database: str, sql) -> None:
    await sql.execute("CREATE TABLE things (n int, price numeric CHECK (price > 0))")
    batches, size = 30, 10
    with running_server("--database", database) as server:
        own = Letters(Asker(server.port))
        is_over = asyncio.Event()

        def send(number: int) -> None:
            items = [{"n": number, "price": 1}] * (size - 1) + [{"n": number, "price": -number - 1}]
            assert own.asker.send("things", *items, ingest_crawl="flow").status == 202

        async def look() -> int:
            looks, seen, moved = 0, 0, 0
            while not is_over.is_set():
                answer = await asyncio.to_thread(own.asker.get, "/v1/crawls/flow")
                if answer.status == 404:
                    continue
                view = await asyncio.to_thread(own.crawl, "flow")
                assert view["total"] >= seen
                assert view["total"] == view["batches"] * size, "a retry's own batch counts nothing"
                seen, moved, looks = view["total"], view["updated"] + view["unchanged"], looks + 1
                assert moved == 0
            return looks

        async def mend() -> int:
            stored = 0
            while stored < batches:
                for letter in await asyncio.to_thread(own.listed, table="things"):
                    item = {"n": letter["item"]["n"], "price": 5}
                    answer = await asyncio.to_thread(own.retry, letter["id"], item, prefer="wait=30")
                    stored += answer.json["inserted"]
            return stored

        looking = asyncio.create_task(look())
        mending = asyncio.create_task(mend())
        await asyncio.gather(*(asyncio.to_thread(send, number) for number in range(batches)))
        assert await mending == batches
        is_over.set()
        assert await looking > 3
        view = own.asker.close_crawl("flow", batches * size, prefer="wait=30").json
        assert (view["missing"], view["inserted"], view["failed"]) == (0, batches * size, 0)
    assert await sql.fetchval("SELECT count(*) FROM things") == batches * size


async def test_the_audit_adds_up_before_during_and_after_a_retry(database: str, sql, tmp_path: Path) -> None:
    await sql.execute("CREATE TABLE things (name text, price numeric CHECK (price > 0))")
    journal = tmp_path / "journal"
    settings = Settings.read({"database": database, "journal_dir": str(journal), "port": "1"}, None)
    spool = tmp_path / "spool"
    spool.mkdir()
    with running_server("--database", database, "--journal-dir", str(journal)) as server:
        own = Letters(Asker(server.port))
        letters = own.bury("things", {"name": "a", "price": 1}, BAD, {"name": "b", "price": -2}, ingest_crawl="c")
        own.asker.close_crawl("c", 3)

        async def audited() -> tuple[int, int, int, int | None, int]:
            found = await asyncio.to_thread(audit, settings, "c", spools=[spool], url=server.url)
            assert found.exit_code == 0
            buried = sum(group.count for group in found.letters)
            return found.succeeded, found.failed, found.batches, found.missing, buried

        assert await audited() == (1, 2, 1, 0, 2)
        async with locked(sql, "things"):
            batch = own.retry(letters[0]["id"], {"name": "a", "price": 2}).json
            await until_blocked(sql)
            assert await audited() == (1, 2, 1, 0, 2)
        own.asker.settled(batch["id"])
        assert await audited() == (2, 1, 1, 0, 1)
        assert own.retry(letters[1]["id"], prefer="wait=30").json["failed"] == 1
        assert await audited() == (2, 1, 1, 0, 1)
        metrics = own.asker.get("/metrics").body.decode()
        assert 'ingest_dead_letters_total{code="23514",table="things"} 2.0' in metrics, "none is counted twice"


async def test_a_redelivered_retry_is_absorbed(store: Store, sql) -> None:
    await sql.execute("CREATE TABLE things (a int)")
    (buried,) = (await store.write(make.batch({"a": "x"}, crawl="c"))).errors
    batch = make.retry("", [Retry(buried.dead_letter, 1, "c", b'{"a": 1}')])
    settled = await store.write(batch)
    assert (settled.crawl, settled.inserted) == (None, 1)
    assert await store.write(batch) == settled
    assert await sql.fetchval("SELECT count(*) FROM things") == 1
    totals = await store.ledger.crawl("", "c", [])
    assert totals is not None
    assert (totals.batches, totals.inserted, totals.failed) == (1, 1, 0)


async def test_a_retry_of_many_isolates_the_bad_ones_and_keeps_the_letters_of_these_alone(store: Store, sql) -> None:
    await sql.execute("CREATE TABLE things (a int CHECK (a <> 13), b text)")
    settled = await store.write(make.batch(*({"a": "x", "b": str(number)} for number in range(40)), crawl="c"))
    made = [
        Retry(one.dead_letter, 1, "c", b'{"a": %d}' % (13 if index % 10 == 3 else index))
        for index, one in enumerate(settled.errors)
    ]
    again = await store.write(make.retry("", made))
    assert (again.inserted, again.failed) == (36, 4)
    assert [one.refusal.index for one in again.errors] == [3, 13, 23, 33]
    assert {one.dead_letter for one in again.errors} == {made[index].letter for index in (3, 13, 23, 33)}
    left = await store.ledger.dead_letters("", LetterFilter())
    assert {(one.id, one.attempts, one.code) for one in left} == {
        (made[index].letter, 2, "23514") for index in (3, 13, 23, 33)
    }
    totals = await store.ledger.crawl("", "c", [])
    assert (totals.inserted, totals.failed) == (36, 4)


async def test_totals_leave_out_what_was_moved_from_a_batch_that_still_counts_as_pending(store: Store, sql) -> None:
    await sql.execute("CREATE TABLE things (a int)")
    batch = make.batch({"a": 1}, {"a": "x"}, crawl="c")
    (buried,) = (await store.write(batch)).errors
    await store.write(make.retry("", [Retry(buried.dead_letter, 1, "c", b'{"a": 1}')]))
    other = await store.write(make.batch({"a": 2}, crawl="c"))
    totals = await store.ledger.crawl("", "c", [batch.id])
    assert (totals.batches, totals.inserted, totals.failed) == (1, other.inserted, 0)


@pytest.mark.parametrize(
    ("mode", "item", "moved"),
    [
        (Mode.UPSERT, {"id": 1, "v": "new"}, "updated"),
        (Mode.UPSERT, {"id": 1, "v": "old"}, "unchanged"),
        (Mode.UPSERT, {"id": 2, "v": "new"}, "inserted"),
        (Mode.IGNORE, {"id": 1, "v": "new"}, "unchanged"),
    ],
)
async def test_a_crawls_item_moves_to_where_the_write_mode_puts_it(
    database: str, sql, mode: Mode, item: dict, moved: str
) -> None:
    await sql.execute("CREATE TABLE things (id int PRIMARY KEY, v text)")
    async with store_over(database, options={"things": TableOptions(mode=mode)}) as store:
        (buried,) = (await store.write(make.batch({"id": 1, "v": "old"}, {"id": "x"}, crawl="c"))).errors
        made = Retry(buried.dead_letter, 1, "c", make.ndjson(item).strip())
        assert getattr(await store.write(make.retry("", [made])), moved) == 1
        totals = await store.ledger.crawl("", "c", [])
        assert getattr(totals, moved) == (2 if moved == "inserted" else 1)
        assert totals.inserted + totals.updated + totals.unchanged == 2
        assert totals.failed == 0


async def test_a_landing_tables_row_belongs_to_the_letters_crawl(database: str, sql) -> None:
    async with store_over(database, create_tables=True) as store:
        (buried,) = (await store.write(make.batch(b"broken", crawl="c"))).errors
        await store.write(make.retry("", [Retry(buried.dead_letter, 1, "c", b'{"a": 1}')]))
    assert dict(await sql.fetchrow("SELECT crawl, item FROM things")) == {"crawl": "c", "item": '{"a": 1}'}


async def test_what_conflicted_was_in_no_total_and_moves_nothing(store: Store, sql) -> None:
    await sql.execute("CREATE TABLE things (a int)")
    first = make.batch({"a": 1}, crawl="c")
    await store.write(first)
    (buried,) = (await store.write(make.batch({"a": 2}, id=first.id, crawl="c"))).errors
    assert (await store.write(make.retry("", [Retry(buried.dead_letter, 1, "c", b'{"a": 2}')]))).inserted == 1
    totals = await store.ledger.crawl("", "c", [])
    assert (totals.inserted, totals.failed) == (1, 0)


async def test_another_owners_letter_is_not_there(store: Store, sql) -> None:
    await sql.execute("CREATE TABLE things (a int)")
    (buried,) = (await store.write(make.batch({"a": "x"}, owner="one"))).errors
    settled = await store.write(make.retry("other", [Retry(buried.dead_letter, 1, None, b'{"a": 1}')]))
    assert [one.refusal.code for one in settled.errors] == ["gone"]
    assert await sql.fetchval("SELECT count(*) FROM things") == 0
    assert (await store.ledger.dead_letter("one", buried.dead_letter)).attempts == 1


@pytest.mark.parametrize("staged", [False, True])
async def test_a_batch_of_which_nothing_is_left_to_write_leaves_the_connection_sound(
    database: str, sql, staged: bool
) -> None:
    """The staging table was not made: the next batch over this connection must not believe that it was."""
    await sql.execute(f"CREATE TABLE things (id int {'PRIMARY KEY' if staged else ''})")
    async with store_over(database, size=1) as store:
        (buried,) = (await store.write(make.batch({"id": "x"}))).errors
        await store.ledger.delete_letter("", buried.dead_letter)
        settled = await store.write(make.retry("", [Retry(buried.dead_letter, 1, None, b'{"id": 1}')]))
        assert settled.failed == 1
        assert (await store.write(make.batch({"id": 2}))).inserted == 1


def test_a_body_is_read_as_it_was_written() -> None:
    name = UUID("0190a7e4-1111-7222-8333-444455556666")
    made = [
        Retry(name, 1, None, b'{"a": "x y  z"}'),
        Retry(name, 1234567890, "a-crawl!~", b"{}"),
        Retry(name, 2, "-", b" 1"),
    ]
    body = retries.body_of(made)
    assert retries.read(body) == made
    assert wire.split(body, "retry") == [one.item for one in made]
    assert retries.on_one_line(b' {"a":\r\n\t1} \n') == b'{"a":  \t1}'
