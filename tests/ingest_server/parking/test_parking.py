"""Which tables are parked, and how they go on; over a queue in memory, with the database's word in the test's hands."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from prometheus_client import generate_latest

from ingest_server.backoff import Backoff
from ingest_server.errors import Misconfigured, NearlyAllRefused, Unavailable
from ingest_server.model import Batch, Refusal, TableName
from ingest_server.parking.parking import Parking
from ingest_server.queues.memory import MemoryQueue
from ingest_server.telemetry import Telemetry
from tests import make
from tests.fakes import FakeParkedTables
from tests.journals import until

THINGS = TableName("public", "things")
MISSING = Misconfigured("42P01 no such table", code="42P01")


class World:
    """One server; two of them over the same `kept` are two servers of one database."""

    def __init__(self, kept: FakeParkedTables) -> None:
        self.kept = kept
        self.telemetry = Telemetry()
        self.queue = MemoryQueue(max_items=100_000, max_bytes=10_000_000)
        self.parking = Parking(
            *(self.queue, kept, self.telemetry, lambda: make.NOON),
            chance=lambda _low, high: high,
            backoff=Backoff(0.001, 0.002),
            look_seconds=0.005,
        )

    async def take(self) -> Batch:
        async with asyncio.timeout(10):
            return await anext(aiter(self.queue))

    def refuse(self, batch: Batch, column: str = "price") -> bool:
        """The batch as a worker meets it whose items are all refused. Whether it is buried."""
        try:
            self.parking.judge(batch, [Refusal(index, "23502", "x", column) for index in range(batch.total)])
        except NearlyAllRefused as error:
            self.parking.nearly_all_refused(batch, error)
            self.queue.set_aside(batch, 0.0)
            return False
        return True

    def fail(self, batch: Batch) -> bool:
        """The batch as a worker meets it whose table cannot be written. Whether it waits for its table."""
        waits = self.parking.misconfigured(batch, MISSING)
        self.queue.set_aside(batch, 3600)
        return waits


@pytest.fixture
def kept() -> FakeParkedTables:
    return FakeParkedTables()


@pytest.fixture
async def worlds(kept: FakeParkedTables, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[list[World]]:
    monkeypatch.setattr("ingest_server.parking.parking._PROBE_SECONDS", 0.01)
    worlds = [World(kept), World(kept)]
    for world in worlds:
        await world.parking.start()
    yield worlds
    for world in worlds:
        await world.parking.stop()
        await world.queue.close()


@pytest.fixture
def world(worlds: list[World]) -> World:
    return worlds[0]


def figures(telemetry: Telemetry) -> str:
    return generate_latest(telemetry.registry).decode()


def hundred(table: str = "things") -> Batch:
    return make.batch(*({"a": number} for number in range(100)), table=table)


async def put(world: World, count: int, table: str = "things") -> list[Batch]:
    batches = [hundred(table) for _ in range(count)]
    for batch in batches:
        await world.queue.put(batch)
    return batches


async def test_a_table_that_cannot_be_written_is_probed_until_it_can_and_goes_on_by_itself(world: World) -> None:
    batches = await put(world, 5)
    assert world.fail(await world.take())
    assert world.parking.tables[THINGS].code == "42P01"
    for _ in range(3):
        assert world.fail(await world.take()), "one batch at a time is let through"
        assert world.queue.set_aside_count == 5
    probe = await world.take()
    world.parking.settled(probe)
    await world.queue.ack(probe)
    assert world.parking.tables == {}
    assert {(await world.take()).id for _ in range(4)} == {batch.id for batch in batches} - {probe.id}
    await until(lambda: not world.kept.kept)


async def test_a_parked_table_survives_a_restart_and_is_loud_again(
    world: World, kept: FakeParkedTables, caplog
) -> None:
    await put(world, 1)
    world.fail(await world.take())
    await until(lambda: kept.kept)
    await world.parking.stop()
    again = World(kept)
    await again.parking.start()
    assert again.parking.tables[THINGS].reason == MISSING.reason
    assert again.queue.waiting(THINGS).batches == 0
    assert caplog.text.count("table things is parked") >= 2
    await again.queue.put(hundred())
    await again.take()  # by the probe
    await again.parking.stop()


async def test_the_batch_that_makes_it_nearly_all_waits_and_so_does_what_is_at_a_worker(world: World) -> None:
    batches = await put(world, 14)
    taken = [await world.take() for _ in range(14)]
    assert [world.refuse(batch) for batch in taken] == [True] * 9 + [False] * 5
    assert world.queue.waiting(THINGS).batches == 14, "the test acknowledges none"
    assert world.queue.set_aside_count == 5
    parked = world.parking.tables[THINGS]
    assert (parked.cause, parked.code, parked.column) == ("refused", "23502", "price")
    assert parked.reason == "1000 of its newest 1000 items were refused with 23502, column price"
    world.parking.judge(batches[0], [])
    world.parking.judge(batches[0], [Refusal(0, "23505", "x", None)])  # another reason is buried as ever


async def test_a_table_that_refused_nearly_all_is_not_probed_and_a_settled_batch_says_nothing(world: World) -> None:
    taken = [(await put(world, 1), await world.take())[1] for _ in range(10)]
    for batch in taken:
        world.refuse(batch)
    world.parking.settled(taken[0])
    await until(lambda: world.kept.kept)
    world.parking.settled(taken[1])
    assert THINGS in world.parking.tables
    assert world.queue.set_aside_count == 1


async def test_resume_begins_anew(world: World) -> None:
    taken = [(await put(world, 1), await world.take())[1] for _ in range(10)]
    for batch in taken:
        world.refuse(batch)
    await until(lambda: world.kept.kept)
    assert await world.parking.resume(THINGS)
    assert world.kept.kept == {}
    assert world.parking.tables == {}
    assert (await world.take()).id == taken[-1].id
    again = [(await put(world, 1), await world.take())[1] for _ in range(10)]
    assert [world.refuse(batch) for batch in again] == [True] * 9 + [False]
    await until(lambda: world.kept.kept)
    assert await world.parking.resume(THINGS)
    assert not await world.parking.resume(THINGS)


async def test_another_server_parks_the_table_too_and_goes_on_with_it(worlds: list[World]) -> None:
    here, there = worlds
    await put(there, 2)
    taken = [(await put(here, 1), await here.take())[1] for _ in range(10)]
    for batch in taken:
        here.refuse(batch)
    await until(lambda: THINGS in there.parking.tables)
    assert there.parking.tables == here.parking.tables
    assert await there.parking.resume(THINGS)
    await until(lambda: not here.parking.tables)
    assert (await there.take()).table == THINGS
    assert (await here.take()).table == THINGS


async def test_what_only_another_server_cannot_write_stops_nobody_else(worlds: list[World]) -> None:
    """As with settings that differ: its word stands, and is its own to take back."""
    here, there = worlds
    await put(here, 1)
    here.fail(await here.take())
    await until(lambda: THINGS in there.parking.tables)
    await put(there, 2)
    probe = await there.take()
    there.parking.settled(probe)
    await there.queue.ack(probe)
    assert there.parking.tables == {}
    assert (await there.take()).table == THINGS
    for _ in range(3):
        here.fail(await here.take())
    assert there.parking.tables == {}
    assert THINGS in here.kept.kept
    probe = await here.take()
    here.parking.settled(probe)
    await until(lambda: not here.kept.kept)
    assert here.parking.tables == {}


async def test_while_the_database_is_away_the_table_is_parked_here_and_kept_later(world: World) -> None:
    world.kept.is_away = True
    await put(world, 1)
    world.fail(await world.take())
    with pytest.raises(Unavailable):
        await world.parking.resume(THINGS)
    assert THINGS in world.parking.tables
    world.kept.is_away = False
    await until(lambda: THINGS in world.kept.kept)


async def test_one_batch_that_always_fails_as_its_table_would_holds_up_nobody_for_long(world: World) -> None:
    poison, *_ = await put(world, 3)
    while True:
        batch = await world.take()
        if batch.id == poison.id:
            if not world.fail(batch):
                break
            continue
        world.parking.settled(batch)
        await world.queue.ack(batch)
        await put(world, 1)
    assert 'ingest_tables_parked_total{cause="configuration",table="things"} 2.0' in figures(world.telemetry)
    assert THINGS not in world.parking.tables
    assert world.queue.set_aside_count == 1
