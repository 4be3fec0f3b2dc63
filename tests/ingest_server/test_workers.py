"""Between queue and sink, over fakes."""

import asyncio

import pytest

from ingest_server.admission import DrainRate
from ingest_server.delivery import Delivery
from ingest_server.errors import Misconfigured
from ingest_server.parking.parking import Parking
from ingest_server.queues.memory import MemoryQueue
from ingest_server.statuses import Statuses, until_settled
from ingest_server.telemetry import Telemetry
from ingest_server.turns import turn
from ingest_server.workers import Workers
from tests import make
from tests.fakes import FakeParkedTables, FakeSink
from tests.make import NOON

SECONDS = 10


class World:
    def __init__(self, count: int = 3) -> None:
        self.sink = FakeSink()
        self.sink.make_table("things")
        self.queue = MemoryQueue(max_items=1000, max_bytes=100_000)
        self.statuses = Statuses()
        self.telemetry = Telemetry()
        self.rate = DrainRate(asyncio.get_running_loop().time)
        self.parking = Parking(
            self.queue, FakeParkedTables(), self.telemetry, lambda: NOON, chance=lambda low, _high: low
        )
        delivery = Delivery(self.sink, self.telemetry, self.parking, pause=asyncio.sleep, chance=lambda low, _high: low)
        self.workers = Workers(self.queue, delivery, self.statuses, self.telemetry, self.rate, count=count)

    async def accept(self, batch):
        await self.queue.put(batch)
        return self.statuses.accepted(batch.head)


@pytest.fixture
async def world():
    world = World()
    yield world
    await world.workers.stop()


async def test_every_batch_is_settled_once_and_who_waits_is_told_before_the_queue_is_empty(world: World) -> None:
    world.workers.start()
    entries = [await world.accept(make.batch({"a": number})) for number in range(50)]
    async with asyncio.timeout(SECONDS):
        await world.queue.drain()
        assert all(entry.settled.done() for entry in entries)
        await world.queue.close()
        await asyncio.gather(*world.workers._tasks)
    assert sorted(world.sink.rows[make.batch({}).table]) == list(range(50))
    assert len(world.sink.written) == 50
    assert world.workers.alive == 0
    assert world.rate.bytes_per_second > 0


async def test_a_batch_in_trouble_holds_no_worker(world: World) -> None:
    world.workers.start()
    await world.accept(make.batch({"a": 1}, table="nowhere"))
    good = await world.accept(make.batch({"a": 2}))
    assert (await until_settled(good, SECONDS)).inserted == 1
    world.sink.make_table("nowhere")
    async with asyncio.timeout(SECONDS):
        await world.queue.drain()


async def test_what_was_accepted_does_not_wait_behind_bodies_that_arrive(world: World) -> None:
    arriving = [asyncio.create_task(turn()) for _ in range(1000)]
    write = world.sink.write

    async def in_steps(batch):
        for _ in range(5):
            await turn()
        return await write(batch)

    world.sink.write = in_steps
    world.workers.start()
    entry = await world.accept(make.batch({"a": 1}))
    await until_settled(entry, SECONDS)
    assert sum(not one.done() for one in arriving) > 900
    await asyncio.gather(*arriving)


async def test_stopping_gives_up_what_is_in_the_middle(world: World) -> None:
    world.sink.raises = [Misconfigured("once")]
    world.workers.start()
    entry = await world.accept(make.batch({"a": 1}))
    await asyncio.sleep(0)
    await world.workers.stop()
    assert not entry.settled.done()
    assert world.queue.batches == 1


async def test_a_worker_that_dies_is_told_of_and_the_others_go_on(world: World, caplog) -> None:
    world.workers.start()
    settled = world.telemetry.settled

    def fails_once(*facts) -> None:
        world.telemetry.settled = settled
        raise RuntimeError("do-not-show-me")

    world.telemetry.settled = fails_once
    await world.accept(make.batch({"a": 1}))
    async with asyncio.timeout(SECONDS):
        await asyncio.wait(world.workers._tasks, return_when=asyncio.FIRST_COMPLETED)
    entry = await world.accept(make.batch({"a": 2}))
    assert (await until_settled(entry, SECONDS)).inserted == 1
    assert "died of an unexpected RuntimeError" in caplog.text
    assert "do-not-show-me" not in caplog.text
