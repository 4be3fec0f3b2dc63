"""The faults: each strikes where its block begins, and is mended where it ends."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

from loadtests.faults.disks import fill, free
from loadtests.faults.proxy import Reset, Silent, Through
from loadtests.outages.place import HOT, ROLE, TABLES, Place

Struck = contextlib.AbstractAsyncContextManager[None]


@dataclass(frozen=True, slots=True)
class Fault:
    """`code`: what PostgreSQL says. `needs_small_disk`: its data must lie on one. `may_bury`: so many items at most."""

    name: str
    code: str
    strike: Callable[[Place], Struck]
    needs_small_disk: bool = False
    may_bury: int = 0


def _said(on: str, off: str, *, ends: bool = False) -> Callable[[Place], Struck]:
    """Statements that make the fault and mend it; `ends`: the server's sessions are ended, for it holds for new ones."""

    @contextlib.asynccontextmanager
    async def struck(place: Place) -> AsyncIterator[None]:
        await place.execute(on)
        if ends:
            await place.end_sessions()
        yield
        await place.execute(off)
        if ends:
            await place.end_sessions()

    return struck


def _on_each_row(statement: str) -> Callable[[Place], Struck]:
    triggers = "; ".join(
        f"CREATE TRIGGER outage BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION outage()" for table in TABLES
    )
    function = f"CREATE FUNCTION outage() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {statement}; RETURN NEW; END $$"
    return _said(f"{function}; {triggers}", "DROP FUNCTION outage() CASCADE")


@contextlib.asynccontextmanager
async def _repeated(once: Callable[[], "asyncio.Future[None] | object"]) -> AsyncIterator[None]:
    async def again() -> None:
        while True:
            await once()  # type: ignore[misc]  # a coroutine
            await asyncio.sleep(0.02)

    task = asyncio.create_task(again(), name="fault")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@contextlib.asynccontextmanager
async def deadlocks(place: Place) -> AsyncIterator[None]:
    """Somebody writes the same rows in the other order, again and again."""
    other = await place.connect()
    await other.execute("SET deadlock_timeout = '1h'")

    async def once() -> None:
        async with other.transaction():
            for key in HOT:
                await other.execute(f"UPDATE keyed SET v = 'other' WHERE id = {key}")

    async with _repeated(once):
        yield
    await other.close()


@contextlib.asynccontextmanager
async def locked(place: Place) -> AsyncIterator[None]:
    other = await place.connect()
    async with other.transaction():
        await other.execute(f"LOCK TABLE {', '.join(TABLES)}")
        yield
    await other.close()


@contextlib.asynccontextmanager
async def terminated(place: Place) -> AsyncIterator[None]:
    async with _repeated(place.end_sessions):
        yield


@contextlib.asynccontextmanager
async def fast(place: Place) -> AsyncIterator[None]:
    await place.postgres.stop()
    yield
    await place.postgres.start()


@contextlib.asynccontextmanager
async def immediate(place: Place) -> AsyncIterator[None]:
    await place.postgres.immediate()
    yield
    await place.postgres.start()


@contextlib.asynccontextmanager
async def killed(place: Place) -> AsyncIterator[None]:
    await place.postgres.kill()
    yield
    await place.postgres.start()


@contextlib.asynccontextmanager
async def frozen(place: Place) -> AsyncIterator[None]:
    place.postgres.signal_all(signal.SIGSTOP)
    try:
        yield
    finally:
        place.postgres.signal_all(signal.SIGCONT)


@contextlib.asynccontextmanager
async def standby(place: Place) -> AsyncIterator[None]:
    """It comes back as a standby, and is promoted at the end."""
    await place.postgres.stop()
    data: Path = place.postgres.data
    (data / "standby.signal").touch()
    await place.postgres.start()
    yield
    await place.postgres.execute("SELECT pg_promote()")


@contextlib.asynccontextmanager
async def silent(place: Place) -> AsyncIterator[None]:
    place.proxy.behave(Silent())
    yield
    place.proxy.behave(Through())


@contextlib.asynccontextmanager
async def reset(place: Place) -> AsyncIterator[None]:
    place.proxy.behave(Reset())
    yield
    place.proxy.behave(Through())


@contextlib.asynccontextmanager
async def disk_full(place: Place) -> AsyncIterator[None]:
    """PostgreSQL may panic for its WAL, and find no room to come back by itself."""
    assert isinstance(place.disk, Path)
    fill(place.disk)
    yield
    free(place.disk)
    await place.postgres.revive()


@contextlib.asynccontextmanager
async def nearly_all_refused(place: Place) -> AsyncIterator[None]:
    """A migration forgotten: a column that no item has became NOT NULL; mended, and then `resume` is said."""
    for table in TABLES:
        await place.execute(f"ALTER TABLE {table} ADD COLUMN needed int")
        await place.execute(f"ALTER TABLE {table} ADD CHECK (needed IS NOT NULL) NOT VALID")
    await place.until("ingest_table_parked", len(TABLES))
    yield
    for table in TABLES:
        await place.execute(f"ALTER TABLE {table} DROP COLUMN needed")
        async with place.http.post(f"{place.url}/v1/tables/{table}/resume") as answer:
            assert answer.status == 200, await answer.text()


def _renamed(to: str) -> str:
    words = [(one, f"{one}_gone") for one in TABLES]
    return "; ".join(f"ALTER TABLE {old} RENAME TO {new}" for old, new in (words if to else [w[::-1] for w in words]))


FAULTS = (
    Fault("deadlock", "40P01", deadlocks),
    Fault("lock time-out", "55P03", locked),
    Fault("statement time-out", "57014", _on_each_row("PERFORM pg_sleep(60)")),
    Fault("sessions terminated", "57P01", terminated),
    Fault("fast shutdown", "57P01, 57P03", fast),
    Fault("immediate shutdown, recovery", "57P02, 57P03", immediate),
    Fault("killed, recovery", "08006, 57P03", killed),
    Fault("frozen", "none", frozen),
    Fault("network silent", "none", silent),
    Fault("network resets", "none", reset),
    Fault("standby, then promoted", "25006", standby),
    Fault(
        "too many connections",
        "53300",
        _said(f"ALTER ROLE {ROLE} CONNECTION LIMIT 0", f"ALTER ROLE {ROLE} CONNECTION LIMIT -1", ends=True),
    ),
    Fault("disk full", "53100", disk_full, needs_small_disk=True),
    Fault("missing table", "42P01", _said(_renamed("gone"), _renamed(""))),
    Fault(
        "missing privilege",
        "42501",
        _said(f"REVOKE INSERT ON {', '.join(TABLES)} FROM {ROLE}", f"GRANT INSERT ON {', '.join(TABLES)} TO {ROLE}"),
    ),
    Fault("login refused", "28000", _said(f"ALTER ROLE {ROLE} NOLOGIN", f"ALTER ROLE {ROLE} LOGIN", ends=True)),
    Fault("a code that is not listed", "38000", _on_each_row("EXECUTE 'COPY (SELECT 1) TO PROGRAM ''false'''")),
    # Two tables, and of each at most the batches before the one that makes 1,000 items.
    Fault("nearly all refused, then resume", "23514", nearly_all_refused, may_bury=2 * 999),
)
