"""The count at the end: what the crawls took is in the tables, once, and nothing is left on the way."""

import asyncio
import time
from typing import Any

import aiohttp
import asyncpg

from loadtests.soak.crawls import LONG_CRAWL, Short, waiting
from loadtests.soak.numbers import bad_among, keys_among
from loadtests.soak.plan import Plan
from loadtests.soak.results import Check
from loadtests.soak.stand import LONG, SHORT, Stand

SETTLED = "long crawl: items settled"
_SETTLE_SECONDS = 90.0
_LOOK_SECONDS = 0.2
_LOST = f"""
SELECT count(*) FROM unnest($1::text[], $2::bigint[]) AS crawl (run, taken), generate_series(0, taken - 1) AS number
WHERE NOT EXISTS (SELECT FROM {SHORT} WHERE sku = run || '-' || number)
"""
_TWICE = f"SELECT count(*) FROM (SELECT FROM {SHORT} GROUP BY sku HAVING count(*) > 1) AS doubled"


async def audit(stand: Stand, plan: Plan, shorts: list[Short]) -> tuple[Check, ...]:
    """While the server runs, after the last crawl has ended. Waits until nothing is pending, 90 s at most."""
    async with aiohttp.ClientSession() as http:
        totals = await _settled(http, stand.url)
    connection = await asyncpg.connect(stand.postgres.dsn())
    try:
        rows = await connection.fetchval(f"SELECT count(*) FROM {LONG}")
        await connection.execute(f"CREATE INDEX ON {SHORT} (sku)")
        runs, taken = [one.run for one in shorts], [one.taken for one in shorts]
        lost = await connection.fetchval(_LOST, runs, taken)
        twice = await connection.fetchval(_TWICE)
    finally:
        await connection.close()
    items = int(totals.get("items") or totals.get("expected") or 0)
    return (
        Check("long crawl: missing", 0, int(totals.get("missing") or 0)),
        Check("long crawl: pending", 0, int(totals["pending"])),
        Check(SETTLED, items, int(totals["processed"])),
        Check("long crawl: dead letters", bad_among(items, plan.bad_every), int(totals["failed"])),
        Check("long crawl: rows, one a key", keys_among(items, plan.keys, plan.bad_every), rows),
        Check("short crawls: items lost", 0, lost),
        Check("short crawls: items twice", 0, twice),
        Check("spool: batches left", 0, len(waiting(stand.spool))),
    )


async def _settled(http: aiohttp.ClientSession, url: str) -> dict[str, Any]:
    ends = time.monotonic() + _SETTLE_SECONDS
    while True:
        async with http.get(f"{url}/v1/crawls/{LONG_CRAWL}") as answer:
            answer.raise_for_status()
            totals: dict[str, Any] = await answer.json()
        if not totals["pending"] or time.monotonic() > ends:
            return totals
        await asyncio.sleep(_LOOK_SECONDS)
