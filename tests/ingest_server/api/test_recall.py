"""A batch never waits for a ledger that does not answer."""

import asyncio

from ingest_server.api.recall import Recall
from tests import make
from tests.fakes import FakeLedger


class Ledger(FakeLedger):
    """One that may fall silent, and counts who asks."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0
        self.is_silent = False

    async def batch(self, owner, batch):
        self.asked += 1
        if self.is_silent:
            await asyncio.Event().wait()
        return await super().batch(owner, batch)


async def test_a_name_that_was_settled_is_found():
    ledger, one = Ledger(), make.batch({"a": 1})
    settled = ledger.settled["", one.id] = object()
    assert await Recall(ledger).settled("", one.id) is settled


async def test_a_ledger_that_is_away_knows_nothing_and_is_asked_again():
    ledger, one = Ledger(), make.batch({"a": 1})
    recall = Recall(ledger)
    ledger.is_away = True
    for _ in range(2):
        assert await recall.settled("", one.id) is None
    assert ledger.asked == 2


async def test_a_silent_ledger_is_left_alone_for_a_while():
    ledger, one, now = Ledger(), make.batch({"a": 1}), [100.0]
    settled = ledger.settled["", one.id] = object()
    recall = Recall(ledger, clock=lambda: now[0], seconds=0.01, pause=10)
    ledger.is_silent = True
    assert await recall.settled("", one.id) is None
    ledger.is_silent = False
    assert await recall.settled("", one.id) is None
    assert ledger.asked == 1
    now[0] += 10
    assert await recall.settled("", one.id) is settled
