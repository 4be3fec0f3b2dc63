"""Between the body and the answer: what happens to a batch while the disk has it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from types import SimpleNamespace

import aiohttp
import pytest
from aiohttp import web

from ingest_server.admission import Admission, DrainRate
from ingest_server.api.application import application, runner
from ingest_server.api.context import Context
from ingest_server.model import Batch
from ingest_server.parking.parking import Parking
from ingest_server.queues.memory import MemoryQueue
from ingest_server.statuses import Statuses
from ingest_server.telemetry import Telemetry
from tests import make
from tests.fakes import FakeLedger, FakeParkedTables, FakeSink
from tests.journals import until

SECONDS = 10


class SlowQueue(MemoryQueue):
    """Its disk takes a batch when the test says so."""

    def __init__(self) -> None:
        super().__init__(max_items=100, max_bytes=10_000)
        self.has_begun, self.may_go_on = asyncio.Event(), asyncio.Event()

    async def put(self, batch: Batch) -> None:
        self.has_begun.set()
        await self.may_go_on.wait()
        await super().put(batch)


class World:
    def __init__(self) -> None:
        self.queue, self.statuses, self.ledger = SlowQueue(), Statuses(), FakeLedger()
        sink = FakeSink(self.ledger)
        sink.make_table("things")
        rate = DrainRate(asyncio.get_running_loop().time)
        memory = SimpleNamespace(resident=0, limit=1)
        self.admission = Admission(self.queue, rate, memory, max_bytes=10_000)
        telemetry = Telemetry()
        parking = Parking(self.queue, FakeParkedTables(), telemetry, lambda: make.NOON)
        self.context = Context(
            *(self.admission, self.queue, self.statuses, parking, sink, self.ledger, telemetry),
            *(lambda: make.NOON, lambda: 1),
        )
        self.url = ""
        self.session: aiohttp.ClientSession

    def send(self, batch: Batch) -> "asyncio.Task[aiohttp.ClientResponse]":
        headers = {"Content-Type": "application/x-ndjson", "Idempotency-Key": str(batch.id)}
        path = f"{self.url}/v1/tables/things/batches"
        return asyncio.ensure_future(self.session.post(path, data=batch.body, headers=headers))

    async def shown(self, batch: Batch) -> int:
        async with self.session.get(f"{self.url}/v1/batches/{batch.id}") as answer:
            return answer.status


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    served = runner(application(world.context))
    await served.setup()
    await web.TCPSite(served, "127.0.0.1", 0).start()
    world.url = f"http://127.0.0.1:{served.addresses[0][1]}"
    async with aiohttp.ClientSession() as world.session:
        yield world
    await served.cleanup()


async def test_nobody_is_told_of_a_batch_before_it_is_on_disk(world: World) -> None:
    batch = make.batch({"a": 1})
    first = world.send(batch)
    await asyncio.wait_for(world.queue.has_begun.wait(), SECONDS)
    assert await world.shown(batch) == 404
    async with await world.send(batch) as again:
        assert again.status == 409
    world.queue.may_go_on.set()
    async with await first as answer:
        assert answer.status == 202
    assert await world.shown(batch) == 200


async def test_a_request_that_is_cancelled_while_the_disk_has_its_batch_is_accepted_all_the_same(world: World) -> None:
    batch = make.batch({"a": 1})
    before = asyncio.all_tasks()
    sending = world.send(batch)
    await asyncio.wait_for(world.queue.has_begun.wait(), SECONDS)
    serving = [one for one in asyncio.all_tasks() - before if "RequestHandler" in repr(one.get_coro())]
    assert serving
    for one in serving:
        one.cancel()
    with contextlib.suppress(aiohttp.ClientError):
        await asyncio.wait_for(sending, SECONDS)
    async with await world.send(batch) as again:
        assert again.status == 409, "the name is not free: whether the batch was kept is not known yet"
    assert world.admission.receiving_bytes == batch.size
    world.queue.may_go_on.set()
    await until(lambda: world.statuses.waiting("", batch.id))
    async with await world.send(batch) as again:
        assert (again.status, again.headers["Idempotency-Replayed"]) == (202, "true")
    assert (world.queue.batches, world.admission.receiving_bytes) == (1, 0)


@pytest.mark.parametrize("same", [True, False])
async def test_a_batch_that_comes_back_from_a_journal_while_it_is_sent_again_is_one(world: World, same: bool) -> None:
    batch = make.batch({"a": 1})
    ask = world.ledger.batch

    async def comes_back(owner: str, name) -> None:
        if world.statuses.waiting(owner, name) is None:
            world.statuses.restored(make.batch({"a": 1 if same else 2}, id=name).head)
        return await ask(owner, name)

    world.ledger.batch = comes_back
    world.queue.may_go_on.set()
    async with await world.send(batch) as answer:
        assert answer.status == (202 if same else 422)
        assert answer.headers.get("Idempotency-Replayed") == ("true" if same else None)
    assert world.queue.batches == 0
