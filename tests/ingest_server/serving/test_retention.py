"""What has expired goes, in steps, and the totals of its crawls stay what they were."""

import asyncio
from datetime import timedelta

import asyncpg
import pytest

from ingest_server.errors import Unavailable
from ingest_server.model import Keeping
from ingest_server.postgres.ledger.retention import PostgresRetention
from ingest_server.serving.retention import Retention
from ingest_server.telemetry import Telemetry
from tests import make
from tests.asking import Asker
from tests.fakes import settled_of
from tests.ingest_server.api.problems import is_problem
from tests.ingest_server.postgres.stores import store_over
from tests.ingest_server.telemetry.test_telemetry import figures
from tests.running import running_server

DETAILS, NAMES = timedelta(days=7), timedelta(days=90)


async def no_pause(seconds: float) -> None:
    await asyncio.sleep(0)


async def age(sql: asyncpg.Connection, days: float, *ids: object) -> None:
    await sql.execute(
        "UPDATE ingest.batches SET completed_at = completed_at - make_interval(hours => $1) WHERE id = ANY($2)",
        int(days * 24),
        list(ids),
    )


@pytest.mark.parametrize("steps", [1, 2, 500])
async def test_totals_do_not_shrink_when_batches_expire(
    database: str, sql: asyncpg.Connection, monkeypatch, steps
) -> None:
    monkeypatch.setattr("ingest_server.serving.retention._STEP", steps)
    await sql.execute("CREATE TABLE things (a int PRIMARY KEY)")
    async with store_over(database) as store:
        old = [make.batch({"a": n}, {"a": n}, b"broken", crawl=f"crawl-{n % 2}") for n in range(6)]
        for batch in (*old, *(young := [make.batch({"a": n}, crawl="crawl-1") for n in range(3)])):
            await store.write(batch)
        nameless = make.batch({"a": 9})
        await store.write(nameless)
        await age(sql, 91, *(one.id for one in old), nameless.id)
        before = [await store.ledger.crawl("", f"crawl-{n}", []) for n in range(2)]
        telemetry = Telemetry()
        clock = store.sink._clock
        retention = Retention(PostgresRetention(store.pool), Keeping(), telemetry, clock, pause=no_pause)
        await retention.sweep()
        assert [await store.ledger.crawl("", f"crawl-{n}", []) for n in range(2)] == before
        assert before[1].failed == 3
        assert [await store.ledger.batch("", one.id) for one in (*old, nameless)] == [None] * 7
        assert all([await store.ledger.batch("", one.id) for one in young])
        assert 'ingest_ledger_expired_total{what="names"} 7.0' in figures(telemetry)
        # Again, with another part of the crawl: what has expired adds up.
        await age(sql, 91, *(one.id for one in young))
        await retention.sweep()
        assert [await store.ledger.crawl("", f"crawl-{n}", []) for n in range(2)] == before


async def test_a_retry_s_move_from_failed_to_succeeded_expires_with_its_sum(
    database: str, sql: asyncpg.Connection
) -> None:
    await sql.execute("CREATE TABLE things (a int)")
    async with store_over(database) as store:
        settled = await store.write(make.batch({"a": "x"}, {"a": 1}, crawl="c"))
        letter = settled.errors[0].dead_letter
        await sql.execute(
            "INSERT INTO ingest.retries VALUES ('', $1, 1, 'digest', true, gen_random_uuid(), 'inserted', 'c', $2, now())",
            letter,
            settled.id,
        )
        before = await store.ledger.crawl("", "c", [])
        assert (before.inserted, before.failed) == (2, 0)
        await sql.execute("UPDATE ingest.retries SET settled_at = settled_at - interval '91 days'")
        retention = Retention(PostgresRetention(store.pool), Keeping(), Telemetry(), store.sink._clock, pause=no_pause)
        await retention.sweep()
        assert await sql.fetchval("SELECT count(*) FROM ingest.retries") == 0
        assert await store.ledger.crawl("", "c", []) == before
        await age(sql, 91, settled.id)
        await retention.sweep()
        assert await store.ledger.crawl("", "c", []) == before


async def test_two_servers_that_forget_at_once_count_nothing_twice(database: str, sql: asyncpg.Connection) -> None:
    await sql.execute("CREATE TABLE things (a int)")
    async with store_over(database) as store:
        batches = [make.batch({"a": n}, b"broken", crawl="c") for n in range(20)]
        for batch in batches:
            await store.write(batch)
        await age(sql, 91, *(one.id for one in batches))
        before = await store.ledger.crawl("", "c", [])
        kept = PostgresRetention(store.pool)
        cutoff = store.sink._clock() - NAMES
        while sum(await asyncio.gather(*(kept.forget_names(cutoff, 3) for _ in range(4)))):
            pass
        assert await store.ledger.crawl("", "c", []) == before
        assert await sql.fetchval("SELECT count(*) FROM ingest.batches") == 0


async def test_a_batch_whose_details_expired_is_410_and_absorbs_what_is_sent_again(
    database: str, sql: asyncpg.Connection
) -> None:
    await sql.execute("CREATE TABLE things (a int)")
    with running_server("--database", database) as server:
        asker = Asker(server.port)
        first = asker.send("things", {"a": 1}, b"broken", idempotency_key="mine", prefer="wait=30")
        assert first.status == 207
        assert server.terminate()[0] == 0
    await age(sql, 7.1, first.json["id"])
    with running_server("--database", database) as server:
        asker = Asker(server.port)
        path = f"/v1/batches/{first.json['id']}"
        gone = is_problem(asker.get(path), 410)
        assert gone["detail"] == (
            "the details of this batch have expired: 1 of its 2 items were stored, 1 became dead letters"
        )
        while await sql.fetchval("SELECT count(*) FROM ingest.batches WHERE errors <> '[]'"):
            pass
        again = asker.send("things", {"a": 1}, b"broken", idempotency_key="mine", prefer="wait=30")
        assert (again.status, again.headers["Idempotency-Replayed"], again.json["failed"]) == (207, "true", 1)
        assert again.json["errors"] == []
        (listed,) = asker.get("/v1/batches").json["batches"]
        assert (listed["succeeded"], listed["failed"], listed["errors"]) == (1, 1, [])
        assert asker.get(f"/v1/dead-letters/{first.json['errors'][0]['dead_letter']}").status == 200, "letters stay"
        assert server.terminate()[0] == 0
    assert await sql.fetchval("SELECT count(*) FROM things") == 1


async def test_a_page_goes_on_where_its_last_batch_has_expired(database: str, sql: asyncpg.Connection) -> None:
    await sql.execute("CREATE TABLE things (a int)")
    with running_server("--database", database) as server:
        asker = Asker(server.port)
        sent = [asker.send("things", {"a": n}, prefer="wait=30").json["id"] for n in range(4)]
        page = asker.get("/v1/batches?limit=2").json
        assert [one["id"] for one in page["batches"]] == sent[:1:-1]
        await sql.execute("DELETE FROM ingest.batches WHERE id = ANY($1::uuid[])", sent[2:])
        rest = asker.get(f"/v1/batches?limit=2&cursor={page['cursor']}").json
        assert [one["id"] for one in rest["batches"]] == sent[1::-1]


async def test_a_database_that_is_away_is_asked_again_later() -> None:
    asked: list[str] = []
    rounds = asyncio.Event()

    class Away:
        async def forget_details(self, before, most):
            asked.append("details")
            raise Unavailable("away, says the test")

        async def forget_names(self, before, most):
            raise AssertionError("the details come first")

    async def pause(seconds: float) -> None:
        if len(asked) == 3:
            rounds.set()
        await asyncio.sleep(0)

    retention = Retention(Away(), Keeping(), Telemetry(), lambda: make.NOON, pause=pause)
    retention.start()
    await rounds.wait()
    await retention.stop()
    assert set(asked) == {"details"}


def test_details_are_kept_for_seven_days() -> None:
    settled = settled_of(make.batch({"a": 1}))
    keeping = Keeping()
    assert keeping.has_details(settled.completed_at, settled.completed_at + DETAILS - timedelta(seconds=1))
    assert not keeping.has_details(settled.completed_at, settled.completed_at + DETAILS)
    assert keeping.names == NAMES


async def test_the_ledger_s_questions_use_its_indexes(sql: asyncpg.Connection) -> None:
    """Each batch pays for them; a sweep over a ledger of millions must not read all of it."""
    await sql.execute("SET enable_seqscan = off")
    for condition in ("completed_at < now()", "completed_at < now() AND errors <> '[]'"):
        plan = await sql.fetch(
            f"EXPLAIN SELECT owner, id FROM ingest.batches WHERE {condition} ORDER BY completed_at LIMIT 5"
        )
        assert any("Index Scan" in row[0] for row in plan), plan
