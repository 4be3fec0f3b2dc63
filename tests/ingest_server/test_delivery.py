"""One batch to its end, with pauses and chance in the test's hands."""

import pytest

from ingest_server.backoff import Backoff
from ingest_server.delivery import Aside, Delivery
from ingest_server.errors import Contended, Misconfigured, Unavailable
from ingest_server.parking.parking import Parking
from ingest_server.queues.memory import MemoryQueue
from ingest_server.telemetry import Telemetry
from tests import make
from tests.fakes import FakeParkedTables, FakeSink
from tests.make import NOON


class World:
    def __init__(self) -> None:
        self.sink = FakeSink()
        self.sink.make_table("things")
        self.pauses: list[float] = []
        self.telemetry = Telemetry()
        self.queue = MemoryQueue(max_items=1000, max_bytes=100_000)
        self.parking = Parking(self.queue, FakeParkedTables(), self.telemetry, lambda: NOON)
        self.delivery = Delivery(
            self.sink,
            self.telemetry,
            self.parking,
            pause=self._pause,
            chance=lambda _low, high: high,
            backoff=Backoff(0.1, 1.0),
            aside=Backoff(1.0, 4.0),
        )

    async def _pause(self, seconds: float) -> None:
        self.pauses.append(seconds)

    async def deliver(self, *raises: Exception):
        self.sink.raises = list(raises)
        return await self.delivery.deliver(self.batch)

    batch = make.batch({"a": 1})


@pytest.fixture
def world() -> World:
    return World()


async def test_an_outage_is_waited_out_however_long_it_takes(world: World) -> None:
    outcome = await world.deliver(*[Unavailable("away")] * 50)
    assert outcome.inserted == 1
    assert world.pauses == [0.1, 0.2, 0.4, 0.8, *[1.0] * 46]
    assert world.sink.rows[world.batch.table] == [1]
    assert not world.telemetry.sink_is_away


async def test_a_lock_is_tried_again_and_then_waits_aside_longer_each_time(world: World) -> None:
    assert (await world.deliver(*[Contended("deadlock")] * 4)).inserted == 1
    assert world.pauses == [0.1, 0.2, 0.4, 0.8]
    seconds = [(await world.deliver(*[Contended("deadlock")] * 5)).seconds for _ in range(4)]
    assert seconds == [1.5, 2.5, 4.5, 4.5]
    await world.deliver()
    assert (await world.deliver(*[Contended("deadlock")] * 5)).seconds == 1.5, "a success begins anew"


async def test_a_table_that_nobody_can_write_waits_aside_at_once_and_is_told_of(world: World) -> None:
    assert await world.deliver(Misconfigured("no such table", code="42P01")) == Aside()
    assert world.pauses == []
    parked = world.telemetry.wrong_tables[world.batch.table]
    assert (parked.cause, parked.code, parked.reason) == ("configuration", "42P01", "no such table")


async def test_what_nobody_has_listed_is_never_given_up_and_shows_no_content(world: World, caplog) -> None:
    assert await world.deliver(RuntimeError("do-not-show-me")) == Aside(1.5)
    assert "unexpected RuntimeError" in caplog.text
    assert "do-not-show-me" not in caplog.text
    assert world.sink.ledger.settled == {}


@pytest.mark.parametrize("error", [Contended("deadlock"), Misconfigured("no such table")])
async def test_a_sink_that_answers_is_back_though_it_refuses(world: World, error: Exception) -> None:
    await world.deliver(Unavailable("away"), *[error] * 5)
    assert not world.telemetry.sink_is_away
