"""What every `ParkedTables` promises, its words in ingest_server/ports.py."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest

from ingest_server.model import Parked, TableName
from ingest_server.ports import ParkedTables
from ingest_server.postgres.connections.pool import open_pool
from ingest_server.postgres.ledger.parked import PostgresParkedTables
from tests.fakes import FakeParkedTables
from tests.make import NOON

THINGS = TableName("odd schema", 'a "name"')
MISSING = Parked(THINGS, NOON, "configuration", "42P01", None, "there is no such table")
REFUSED = Parked(THINGS, NOON + timedelta(1), "refused", "23502", "price", "1000 of its newest 1000 items")


@pytest.fixture(params=["fake", "postgres"])
async def kept(request: pytest.FixtureRequest, database: str) -> AsyncIterator[ParkedTables]:
    if request.param == "fake":
        yield FakeParkedTables()
        return
    pool = await open_pool(database, size=1, statement_seconds=10)
    yield PostgresParkedTables(pool)
    await pool.close()


async def test_what_is_parked_is_kept_as_it_was_said_until_resume(kept: ParkedTables) -> None:
    other = replace(REFUSED, table=TableName("public", "other"))
    await kept.park(MISSING)
    await kept.park(other)
    assert list(await kept.parked()) == [MISSING, other]
    assert await kept.resume(THINGS)
    assert not await kept.resume(THINGS)
    assert list(await kept.parked()) == [other]


async def test_the_first_word_stays_but_refused_items_go_before_a_configuration(kept: ParkedTables) -> None:
    await kept.park(MISSING)
    await kept.park(replace(MISSING, reason="later"))
    assert list(await kept.parked()) == [MISSING]
    await kept.park(REFUSED)
    await kept.park(MISSING)
    assert list(await kept.parked()) == [REFUSED]
    assert not await kept.resume(THINGS, only_configuration=True)
    assert await kept.resume(THINGS)
