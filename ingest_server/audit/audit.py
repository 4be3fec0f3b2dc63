"""`ingest-server audit CRAWL`: what of a crawl is settled, what is missing, and where it was last seen.

Read in the order in which a batch goes, spool, journal, server, database: one that moves on meanwhile is met twice and never
missed, and its name counts it once.
"""

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote, urlencode
from uuid import UUID

import aiohttp
import orjson

from ingest_server.asking.beside import asked_beside
from ingest_server.asking.whose import session_for, whose
from ingest_server.audit.findings import Findings, Seen, found
from ingest_server.audit.spooled import Spools, read_spools, usual_directories
from ingest_server.errors import StartRefused
from ingest_server.postgres.connections.pool import shown_dsn
from ingest_server.postgres.ledger.crawls import LatestCrawl, latest, recorded
from ingest_server.queues.orphans import read_orphans
from ingest_server.settings import Settings

_SECONDS = 30.0
_PAGE = 1000


def audit(
    settings: Settings,
    crawl: str,
    *,
    spools: Sequence[Path] = (),
    url: str | None = None,
    owner: str | None = None,
) -> Findings:
    """The audit of one crawl. `spools` are directories; without any those of this user's crawls.

    `url` is a running server, by default the one that these settings describe; `owner` is by default the token's.
    An embedded PostgreSQL that is not running is started for as long as it takes. Raises `StartRefused` where it cannot be
    made: no database, no ledger, no such crawl.
    """
    whom = whose(settings, owner)
    directories = tuple(spools) or usual_directories()
    return asked_beside(settings, lambda dsn: _audit(settings, whom, crawl, directories, url or settings.url, dsn))


async def _audit(
    settings: Settings, owner: str, crawl: str, directories: Sequence[Path], url: str, dsn: str
) -> Findings:
    spools = read_spools(directories, crawl)
    journals = read_orphans(settings.journal_path, owner, crawl)
    waiting, silence = await _waiting(settings, url, crawl)
    names = {one.id for one in spools.refused} | {head.id for _, head in journals.batches}
    names |= {one.id for run in spools.runs for batches in (run.left, run.tallied) for one in batches}
    row = await recorded(dsn, owner, crawl, names)
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


def latest_crawls(settings: Settings, most: int = 20, *, owner: str | None = None) -> tuple[LatestCrawl, ...]:
    """So many crawls that the database knows of, newest first. Raises `StartRefused` as `audit` does."""
    whom = whose(settings, owner)
    return asked_beside(settings, lambda dsn: _latest(dsn, whom, most))


async def _latest(dsn: str, owner: str, most: int) -> tuple[LatestCrawl, ...]:
    found = await latest(dsn, owner, most)
    if found is None:
        raise _no_ledger(dsn)
    return found


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


async def _waiting(settings: Settings, url: str, crawl: str) -> tuple[list[Seen], str | None]:
    """What waits in a running server, and None; or why it could not be asked."""
    seen: list[Seen] = []
    cursor: str | None = None
    try:
        async with session_for(settings, url, seconds=_SECONDS) as session:
            while True:
                query = {"crawl": crawl, "limit": str(_PAGE)} | ({"cursor": cursor} if cursor else {})
                address = f"{url.rstrip('/')}/v1/batches?{urlencode(query, quote_via=quote)}"
                async with session.get(address) as response:
                    page = orjson.loads(await response.read())
                    if response.status in (401, 403):
                        return [], f"{url} answered {response.status}: set INGEST_TOKEN to a token of this owner's"
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
