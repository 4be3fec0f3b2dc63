"""A server that starts up, that is a standby, and that is promoted: what a failover looks like from here."""

from collections.abc import Iterator

import asyncpg
import pytest

from ingest_server.postgres.embedded.embedded import EmbeddedPostgres, temporary_postgres
from ingest_server.postgres.ledger.schema import migrate
from tests.ingest_server.postgres.lines import Line, line_over
from tests.ingest_server.postgres.stores import until
from tests.ingest_server.postgres.test_outages import control
from tests.make import batch


@pytest.fixture
def own_postgres() -> Iterator[EmbeddedPostgres]:
    with temporary_postgres() as server:
        yield server


def some(start: int) -> list:
    return [batch({"id": start + number}, {"id": start + number + 1000}) for number in range(10)]


async def strikes(line: Line, more: int) -> None:
    """So many more tries meet an outage."""
    target = line.figure("ingest_sink_errors_total") + more

    async def struck() -> bool:
        return line.figure("ingest_sink_errors_total") >= target

    await until(struck)


async def test_a_start_up_a_standby_and_its_promotion_are_waited_out(own_postgres: EmbeddedPostgres) -> None:
    admin = await asyncpg.connect(own_postgres.dsn)
    await migrate(admin)
    await admin.execute("CREATE TABLE things (id int PRIMARY KEY)")
    await admin.close()
    options = (own_postgres.data / "postmaster.opts").read_text().split(" ", 1)[1].strip()
    async with line_over(own_postgres.dsn) as line:
        await line.put(*some(0))
        await line.drained()
        for hot_standby, code in (("off", "57P03"), ("on", "25006")):
            control(own_postgres, "stop", "-m", "fast")
            (own_postgres.data / "standby.signal").touch()
            # without -w: a standby that is not hot never says that it is ready
            control(own_postgres, "start", "-W", "-o", f"{options} -c hot_standby={hot_standby}")
            await line.put(*some(10 if code == "57P03" else 20))
            await strikes(line, 5)
            await until(lambda code=code: said(own_postgres, code))
            assert line.settled == 10
        one = await asyncpg.connect(own_postgres.dsn)
        assert await one.fetchval("SELECT pg_is_in_recovery()")
        assert await one.fetchval("SELECT pg_promote()")
        await line.drained()
        assert await one.fetchval("SELECT count(*) FROM things") == 60
        assert await one.fetchval("SELECT count(*) FROM ingest.dead_letters") == 0
        await one.close()


async def said(server: EmbeddedPostgres, code: str) -> bool:
    """Whether that is what it says to whoever comes."""
    try:
        one = await asyncpg.connect(server.dsn)
    except (asyncpg.PostgresError, OSError) as error:
        return getattr(error, "sqlstate", None) == code
    try:
        await one.execute("CREATE TABLE nope ()")
    except asyncpg.PostgresError as error:
        return error.sqlstate == code
    finally:
        await one.close()
    return False
