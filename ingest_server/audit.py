"""`ingest-server audit CRAWL`: what of a crawl is settled, what is missing, and where it was last seen.

Read in the order in which a batch goes, spool, journal, server, database: one that moves on meanwhile is met twice and never
missed, and its name counts it once.
"""

import asyncio
import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import quote, urlencode
from uuid import UUID

import aiohttp
import orjson

from ingest_server.errors import SinkError, StartRefused
from ingest_server.findings import Findings, Seen, found
from ingest_server.postgres.crawls import LatestCrawl, latest, recorded
from ingest_server.postgres.embedded import existing_postgres
from ingest_server.postgres.pool import shown_dsn
from ingest_server.queues.orphans import read_orphans
from ingest_server.settings import Settings
from ingest_server.spooled import Spools, read_spools, usual_directories

OWNER = ""
"""Whose crawl it is: one owner sees everything, until the server has tokens."""
_SECONDS = 30.0
_PAGE = 1000


def audit(settings: Settings, crawl: str, *, spools: Sequence[Path] = (), url: str | None = None) -> Findings:
    """The audit of one crawl. `spools` are directories; without any those of this user's crawls.

    `url` is a running server, by default the one that these settings describe.
    An embedded PostgreSQL that is not running is started for as long as it takes. Raises `StartRefused` where it cannot be
    made: no database, no ledger, no such crawl.
    """
    with _database(settings) as dsn:
        return asyncio.run(_audit(settings, crawl, tuple(spools) or usual_directories(), url or _url(settings), dsn))


async def _audit(settings: Settings, crawl: str, directories: Sequence[Path], url: str, dsn: str) -> Findings:
    spools = read_spools(directories, crawl)
    journals = read_orphans(settings.journal_path, OWNER, crawl)
    waiting, silence = await _waiting(url, crawl)
    names = {one.id for one in spools.refused} | {head.id for _, head in journals.batches}
    names |= {one.id for run in spools.runs for batches in (run.left, run.tallied) for one in batches}
    try:
        row = await recorded(dsn, OWNER, crawl, names)
    except SinkError as error:
        raise _cannot_be_asked(dsn, error) from None
    if row is None:
        raise _no_ledger(dsn)
    _know(crawl, spools, bool(row.totals or row.settled or waiting or journals.batches), row.latest)
    notes = [*spools.unread, *journals.unread]
    if silence is not None:
        notes.append(f"no server was asked for what waits in it: {silence} (name it with --url)")
    unasked = [str(path) for path in journals.in_use] if silence is not None else []
    notes += [f"{path} is in use by a running server, which could not be asked" for path in unasked]
    return found(
        crawl,
        spools=spools,
        waiting=waiting,
        journalled=[
            Seen(
                "journal",
                head.id,
                head.table.shown(settings.schema_),
                head.total,
                str(path),
                "waits for the next server",
            )
            for path, head in journals.batches
        ],
        totals=row.totals,
        settled=row.settled,
        elsewhere=row.elsewhere,
        letters=row.letters,
        notes=notes,
        unasked=unasked,
    )


def latest_crawls(settings: Settings, most: int = 20) -> tuple[LatestCrawl, ...]:
    """So many crawls that the database knows of, newest first. Raises `StartRefused` as `audit` does."""
    with _database(settings) as dsn:
        return asyncio.run(_latest(dsn, most))


async def _latest(dsn: str, most: int) -> tuple[LatestCrawl, ...]:
    try:
        found = await latest(dsn, OWNER, most)
    except SinkError as error:
        raise _cannot_be_asked(dsn, error) from None
    if found is None:
        raise _no_ledger(dsn)
    return found


def _cannot_be_asked(dsn: str, error: SinkError) -> StartRefused:
    return StartRefused(
        f"PostgreSQL at {shown_dsn(dsn)} cannot be asked: {error.reason}",
        remedy="start it, or name the server's database with --database or --data-dir",
    )


def _no_ledger(dsn: str) -> StartRefused:
    return StartRefused(
        f"the database at {shown_dsn(dsn)} has no ledger: no server has used it",
        remedy="name the server's database with --database or --data-dir",
    )


def _know(crawl: str, spools: Spools, is_known: bool, latest: Sequence[str]) -> None:
    if is_known or spools.runs or spools.refused:
        return
    looked = ", ".join(map(str, spools.directories)) or "no spool, for there is none in its usual place"
    known = f"the latest crawls are {', '.join(latest)}" if latest else "this database knows of no crawl at all"
    raise StartRefused(
        f"there is no crawl {crawl}: not in the database, not in the server, and not in {looked}",
        remedy=f"take the id from the crawl's summary line ({known}), or name its spool with --spool"
        " (JOBDIR/batching for a crawl with a JOBDIR)",
    )


@contextlib.contextmanager
def _database(settings: Settings) -> Iterator[str]:
    if settings.database is not None:
        yield settings.database.get_secret_value()
        return
    remedy = "start where the server was started, or name its database with --data-dir or --database"
    with existing_postgres(settings.data_dir, remedy=remedy) as embedded:
        yield embedded.dsn


async def _waiting(url: str, crawl: str) -> tuple[list[Seen], str | None]:
    """What waits in a running server, and None; or why it could not be asked."""
    seen: list[Seen] = []
    cursor: str | None = None
    try:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_SECONDS)) as session:
            while True:
                query = {"crawl": crawl, "limit": str(_PAGE)} | ({"cursor": cursor} if cursor else {})
                address = f"{url.rstrip('/')}/v1/batches?{urlencode(query, quote_via=quote)}"
                async with session.get(address) as response:
                    page = orjson.loads(await response.read())
                    if response.status != 200:
                        return [], f"{url} answered {response.status} {page.get('title', '')}".rstrip()
                batches = page["batches"]
                seen += [
                    Seen("server", UUID(one["id"]), one["table"], one["total"], url, f"{one['status']}, {one['ack']}")
                    for one in batches
                    if one["completed_at"] is None
                ]
                cursor = page["cursor"]
                # Those on their way come first.
                if cursor is None or batches[-1]["completed_at"] is not None:
                    return seen, None
    except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
        return [], f"{url} does not answer ({str(error) or type(error).__name__})"
    except (KeyError, TypeError, AttributeError, IndexError):
        return [], f"{url} is no ingestion server"


def _url(settings: Settings) -> str:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"http://{host}:{settings.port}"
