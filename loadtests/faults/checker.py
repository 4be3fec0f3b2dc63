"""The count at the end of a round, in SQL: what was taken is there once, and nothing that nobody sent."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import asyncpg
import orjson

from loadtests.faults.sequence import AGAIN_BACK, INDEX, IS_AGAIN, IS_BAD, PRICE
from loadtests.faults.witness import Ranges


@dataclass(frozen=True, slots=True)
class Sent:
    """What one crawl says: indices that it has handed over, and all that it began to."""

    crawl: str
    taken: Ranges
    yielded: Ranges


@dataclass(slots=True)
class Findings:
    """`items` were taken. An item is lost too where only an older revision of its key is there."""

    items: int = 0
    lost: int = 0
    twice: int = 0
    foreign: int = 0
    altered: int = 0
    misplaced: int = 0
    """Good items among the dead letters, bad ones in a table, items in the other table."""
    examples: list[str] = field(default_factory=list)

    @property
    def breaches(self) -> list[str]:
        words = {
            "foreign": "rows that nobody sent",
            "altered": "rows with another content than was sent",
            "misplaced": "items in the wrong place (good ones buried, or in another table)",
        }
        return [f"{count:,} {said}" for name, said in words.items() if (count := getattr(self, name))]


# Anti-joins by hash: on a server that has just been killed the planner knows nothing of the tables.
_SETUP = """
SET work_mem = '256MB'; SET enable_nestloop = off; SET enable_mergejoin = off; SET jit = off;
CREATE TEMP TABLE taken_ranges (crawl text, first bigint, last bigint);
CREATE TEMP TABLE yielded_ranges (crawl text, first bigint, last bigint);
CREATE TEMP TABLE letters (crawl text, n bigint, rev integer, source text);
"""

_ARRIVED = f"""
CREATE TEMP TABLE taken AS SELECT crawl, i FROM taken_ranges, generate_series(first, last) AS i;
CREATE TEMP TABLE yielded AS SELECT crawl, i FROM yielded_ranges, generate_series(first, last) AS i;
CREATE TEMP TABLE arrived AS SELECT *, CASE WHEN rev IN (1, 2) THEN {INDEX} ELSE -1 END AS i FROM (
    SELECT crawl, n, rev, 'plain' AS place, price <> {PRICE} AS altered FROM plain
    UNION ALL SELECT crawl, n, rev, 'keyed', price <> {PRICE} FROM keyed
    UNION ALL SELECT crawl, n, rev, source || ' letter', false FROM letters) AS x;
ANALYZE taken; ANALYZE yielded; ANALYZE arrived;
"""

_QUESTIONS = {
    "lost": f"""
        SELECT crawl, i AS n FROM taken WHERE NOT {IS_AGAIN}
            AND NOT EXISTS (SELECT FROM arrived WHERE arrived.crawl = taken.crawl AND arrived.n = taken.i)
        UNION ALL
        SELECT crawl, i AS n FROM taken WHERE {IS_AGAIN} AND NOT EXISTS (
            SELECT FROM arrived WHERE arrived.crawl = taken.crawl AND arrived.n = taken.i - {AGAIN_BACK} AND rev = 2)
    """,
    "twice": "SELECT crawl, n FROM (SELECT crawl, n, count(*) AS c FROM arrived GROUP BY 1, 2) AS x, "
    "generate_series(2, c)",
    "foreign": """
        SELECT crawl, n FROM arrived WHERE NOT EXISTS (
            SELECT FROM yielded WHERE yielded.crawl = arrived.crawl AND yielded.i = arrived.i)
    """,
    "altered": "SELECT crawl, n FROM arrived WHERE altered",
    "misplaced": f"""
        SELECT crawl, n FROM arrived
        WHERE (place LIKE '% letter') <> {IS_BAD} OR (place LIKE 'plain%') <> (i % 2 = 0)
    """,
}
_EXAMPLES = 5


async def check(connection: "asyncpg.Connection", sent: Sequence[Sent]) -> Findings:
    """Count everything in the round's database."""
    await connection.execute(_SETUP)
    for name in ("taken", "yielded"):
        ranges = [(one.crawl, first, last) for one in sent for first, last in getattr(one, name)]
        await connection.copy_records_to_table(f"{name}_ranges", records=ranges)
    letters, unreadable = await _letters(connection)
    await connection.copy_records_to_table("letters", records=letters)
    await connection.execute(_ARRIVED)
    found = Findings(items=sum(last - first + 1 for one in sent for first, last in one.taken))
    for name, question in _QUESTIONS.items():
        count, examples = await connection.fetchrow(
            f"WITH found AS ({question}) SELECT (SELECT count(*) FROM found), "
            f"ARRAY(SELECT crawl || '/' || n FROM found ORDER BY 1 LIMIT {_EXAMPLES})"
        )
        setattr(found, name, count)
        found.examples += [f"{name} {example}" for example in examples]
    found.foreign += unreadable
    if unreadable:
        found.examples.append(f"foreign: {unreadable} dead letters that are no item of ours")
    return found


async def _letters(connection: "asyncpg.Connection") -> tuple[list[tuple[str, int, int, str]], int]:
    """Dead letters as items, and how many are none."""
    found, unreadable = [], 0
    for row in await connection.fetch("SELECT raw, table_name FROM ingest.dead_letters"):
        try:
            item = orjson.loads(row["raw"])
            found.append((str(item["crawl"]), int(item["n"]), int(item["rev"]), row["table_name"]))
        except (ValueError, KeyError, TypeError):
            unreadable += 1
    return found, unreadable
