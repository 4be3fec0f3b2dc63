"""What this process knows of batches, and who is woken."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest

from ingest_server import statuses as room
from ingest_server.model import BuriedItem, Refusal, Status
from ingest_server.statuses import Statuses, until_all_settled, until_settled
from tests import make
from tests.fakes import settled_of


@pytest.fixture
def statuses() -> Statuses:
    return Statuses()


async def test_a_name_is_received_by_one_request_at_a_time(statuses: Statuses) -> None:
    name = uuid4()
    assert statuses.begin_receiving("", name)
    assert not statuses.begin_receiving("", name)
    assert statuses.begin_receiving("other", name)
    statuses.end_receiving("", name)
    assert statuses.begin_receiving("", name)


async def test_a_batch_goes_from_queued_to_settled_and_wakes_who_waits(statuses: Statuses) -> None:
    batch = make.batch({"a": 1}, crawl="c")
    entry = statuses.accepted(batch)
    assert (entry.status, statuses.waiting("", batch.id), statuses.of_owner("", "c")) == (Status.QUEUED, entry, [entry])
    statuses.processing(batch)
    assert entry.status is Status.PROCESSING
    statuses.queued(batch)
    assert entry.status is Status.QUEUED
    assert await until_settled(entry, 0) is None
    waiters = [asyncio.create_task(until_settled(entry, 30)) for _ in range(3)]
    everybody = asyncio.create_task(until_all_settled([entry]))
    await asyncio.sleep(0)
    outcome = settled_of(batch)
    statuses.settled(batch, outcome)
    assert await asyncio.gather(*waiters) == [outcome] * 3
    assert await everybody
    assert statuses.waiting("", batch.id) is None
    assert statuses.recent("", batch.id) == outcome
    assert statuses.recent("other", batch.id) is None


async def test_a_batch_that_the_disk_lost_is_forgotten_and_who_waits_is_answered(statuses: Statuses) -> None:
    batch = make.batch({}).head
    statuses.restored(batch)
    entry = statuses.waiting("", batch.id)
    waiter = asyncio.create_task(until_settled(entry, 30))
    await asyncio.sleep(0)
    statuses.lost(batch)
    assert await waiter is None
    assert statuses.waiting("", batch.id) is None
    assert statuses.of_owner("") == []


async def test_what_is_accepted_after_the_server_gave_up_keeps_nobody_waiting(statuses: Statuses) -> None:
    statuses.give_up()
    assert await until_settled(statuses.accepted(make.batch({}).head), 30) is None


async def test_who_waits_is_answered_when_the_server_gives_up(statuses: Statuses) -> None:
    entry = statuses.accepted(make.batch({}))
    waiter = asyncio.create_task(until_settled(entry, 30))
    everybody = asyncio.create_task(until_all_settled([entry]))
    await asyncio.sleep(0)
    statuses.give_up()
    assert await waiter is None
    assert not await everybody


async def test_a_time_out_leaves_the_batch_to_others(statuses: Statuses) -> None:
    entry = statuses.accepted(make.batch({}))
    assert await until_settled(entry, 0.001) is None
    assert not entry.settled.done()


async def test_only_so_many_settled_batches_and_errors_are_remembered(statuses: Statuses, monkeypatch) -> None:
    monkeypatch.setattr(room, "_REMEMBERED", 3)
    batches = [make.batch({}) for _ in range(5)]
    errors = tuple(BuriedItem(Refusal(index, "invalid", "…"), uuid4(), make.NOON) for index in range(150))
    for batch in batches:
        statuses.accepted(batch)
        statuses.settled(batch, settled_of(batch, errors=errors))
    assert [statuses.recent("", batch.id) is None for batch in batches] == [True, True, False, False, False]
    assert len(statuses.recent("", batches[-1].id).errors) == 100


async def test_batches_on_their_way_come_newest_first(statuses: Statuses) -> None:
    batches = [replace(make.batch({}), created_at=make.NOON + timedelta(seconds=second)) for second in (2, 1, 3)]
    for batch in batches:
        statuses.accepted(batch)
    statuses.accepted(make.batch({}, owner="other", table="others"))
    assert [entry.batch for entry in statuses.of_owner("")] == [batches[2], batches[0], batches[1]]
    assert statuses.of_owner("", "c") == []
