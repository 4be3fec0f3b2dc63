"""The contract is enough to write a client from: one that was, against a small server that is restarted under it."""

import asyncio
import threading

import pytest

from tests.acceptance.second_client import Outcome, SecondClient
from tests.asking import Asker
from tests.running import RunningServer, running_server

ITEMS = 3000
KEYED = "CREATE TABLE things (id int PRIMARY KEY, name text)"
KEYLESS = "CREATE TABLE things (id int, name text)"


class Restarting:
    """Where the server is; a new one listens on another port."""

    def __init__(self, server: RunningServer) -> None:
        self.server = server
        self.pauses: list[float] = []

    def address(self) -> tuple[str, int]:
        return "127.0.0.1", self.server.port

    def pause(self, seconds: float) -> None:
        """As long as the server says, in a world that is a thousand times faster."""
        self.pauses.append(seconds)
        threading.Event().wait(seconds / 1000)


class Unlucky(SecondClient):
    """Every fifth answer is lost on its way."""

    answers = 0

    def _ask(self, *request):
        answer = super()._ask(*request)
        self.answers += 1
        return None if self.answers % 5 == 0 else answer


@pytest.mark.parametrize("create", [KEYED, KEYLESS], ids=["with a key", "without a key"])
async def test_every_item_is_stored_once_across_a_restart(database: str, sql, create: str) -> None:
    await sql.execute(create)
    small = ("--database", database, "--workers", "2", "--queue-items", "150", "--max-batch-items", "60")
    items = [{"id": number, "name": f"thing {number}"} for number in range(ITEMS)]
    with running_server(*small) as first, running_server(*small) as second:
        where = Restarting(first)

        def deliver(part: int) -> Outcome:
            client = Unlucky(where.address, pause=where.pause)
            try:
                return client.deliver("things", items[part::4], crawl="c", size=100, wait=part % 2)
            finally:
                client.close()

        delivering = [asyncio.create_task(asyncio.to_thread(deliver, part)) for part in range(4)]
        while await sql.fetchval("SELECT count(*) FROM things") < ITEMS // 4:
            pass
        code, log = await asyncio.to_thread(first.terminate)
        assert code == 0, log
        where.server = second
        outcomes = await asyncio.gather(*delivering)
        totals = Asker(second.port).close_crawl("c", ITEMS, prefer="wait=30").json
    assert sum(outcome.succeeded for outcome in outcomes) == ITEMS
    assert sum(outcome.cuts for outcome in outcomes) > 0
    assert sum(outcome.replayed for outcome in outcomes) > 0
    assert where.pauses, "the queue was never full"
    assert max(where.pauses) <= 60
    assert [outcome.kept_aside for outcome in outcomes] == [[]] * 4
    rows = await sql.fetch("SELECT id, count(*) FROM things GROUP BY id")
    assert {(row["id"], row["count"]) for row in rows} == {(number, 1) for number in range(ITEMS)}
    assert (totals["total"], totals["inserted"], totals["missing"], totals["failed"]) == (ITEMS, ITEMS, 0, 0)


async def test_bad_items_are_counted_and_a_batch_that_is_refused_for_good_is_kept_aside(
    server: RunningServer, sql
) -> None:
    await sql.execute(KEYED)
    client = SecondClient(lambda: ("127.0.0.1", server.port), pause=lambda seconds: None)
    outcome = client.deliver("things", [{"id": 1}, {"id": "x"}, {"id": 2}], crawl="c")
    assert (outcome.succeeded, outcome.failed) == (2, 1)
    outcome = client.deliver("a.b.c", [{"id": 1}], crawl="c")
    assert [(items, problem["status"]) for items, problem in outcome.kept_aside] == [([{"id": 1}], 400)]
    client.close()
