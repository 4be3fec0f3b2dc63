"""All checks, in the order in which a start would meet them."""

import asyncio
import platform
import sys
from collections.abc import AsyncIterator
from importlib.metadata import version

from ingest_server.asking.beside import database_beside
from ingest_server.doctor import database, machine, safety
from ingest_server.doctor.finding import Finding, Level, failure, ok
from ingest_server.doctor.tables import tables
from ingest_server.errors import SinkError, StartRefused
from ingest_server.models.loading import load_models
from ingest_server.postgres.connections.pool import connection, pool_until_done, shown_dsn
from ingest_server.settings import Settings

_LIBRARIES = ("aiohttp", "asyncpg", "pydantic", "orjson")
_SECONDS = 20.0


def examine(settings: Settings) -> list[Finding]:
    """What the checks find. An embedded PostgreSQL that does not run is started for as long as it takes; nothing is changed."""
    found = [_versions(), _models(settings)]
    found += [*safety.tokens(settings), *safety.encryption(settings), *safety.secrets(settings)]
    found += [*machine.open_files(settings), *machine.memory(settings), *machine.disks(settings)]
    return found + _ask(settings)


def exit_code(found: list[Finding], *, is_strict: bool) -> int:
    """1 where something fails, or, strictly, where there is a warning."""
    bad = {Level.FAILURE, Level.WARNING} if is_strict else {Level.FAILURE}
    return int(any(one.level in bad for one in found))


def _versions() -> Finding:
    libraries = ", ".join(f"{name} {version(name)}" for name in _LIBRARIES)
    own = f"scrapy-batching {version('scrapy-batching')}, Python {platform.python_version()} on {sys.platform}"
    return ok("versions", f"{own}, {libraries}")


def _models(settings: Settings) -> Finding:
    try:
        found = load_models(settings)
    except StartRefused as error:
        return failure("models", error.what, error.remedy)
    return ok("models", f"{len(found)} from {', '.join(settings.tables)}" if settings.tables else "none are named")


def _ask(settings: Settings) -> list[Finding]:
    try:
        if settings.database is None and not (settings.data_dir / "postgres").exists():
            return [ok("database", f"none is in {settings.data_dir} yet; ingest-server run makes it")]
        with database_beside(settings) as dsn:
            return asyncio.run(_questions(settings, dsn))
    except StartRefused as error:
        return [failure("database", error.what, error.remedy)]
    except PermissionError:
        place = settings.data_dir.absolute()
        return [failure("database", f"{place} may not be entered", "name another --data-dir, or let this user in")]


async def _questions(settings: Settings, dsn: str) -> list[Finding]:
    shown, found = shown_dsn(dsn), list[Finding]()
    try:
        async with (
            asyncio.timeout(_SECONDS),
            pool_until_done(dsn, size=1, statement_seconds=_SECONDS, pooler=settings.pooler) as pool,
            connection(pool) as one,
        ):
            async for finding in _all(settings, one, shown):
                found.append(finding)
    except SinkError as error:
        found.append(failure("database", f"{shown}: {error.reason}", _REMEDIES.get(error.reason[:2], _USUAL)))
    except TimeoutError:
        found.append(failure("database", f"{shown} did not answer in {_SECONDS:.0f} s", _USUAL))
    except (ValueError, OSError) as error:
        found.append(failure("database", f"no connection ({type(error).__name__})", "postgresql://user@host:5432/name"))
    return found


_USUAL = "check that PostgreSQL runs there and takes connections from here"
_REMEDIES = {
    "28": "check user and password, and pg_hba.conf",
    "3D": "create the database, or name another one",
    "42": "ask for the privilege: see docs/security.md",
    "53": "raise max_connections, or stop what holds them",
}


async def _all(settings: Settings, one: object, shown: str) -> AsyncIterator[Finding]:
    for part in (database.server(one, shown), database.room(one, settings), database.ledger(one)):
        async for finding in part:
            yield finding
    yield await database.commit_time(one)
    async for finding in tables(one, settings):
        yield finding
