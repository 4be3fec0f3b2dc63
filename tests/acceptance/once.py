"""Tables of every kind, a batch with good and bad items for them, and the look into the database that finds one copy."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from tests.asking import Answer, Asker
from tests.make import ndjson
from tests.running import PROGRAM, RunningServer, running_server

CHECKED = "(id int{key}, v text CONSTRAINT not_bad CHECK (v <> 'bad'))"
TABLES = {
    "keyed": CHECKED.format(key=" PRIMARY KEY"),
    "keyless": CHECKED.format(key=""),
    "first_wins": CHECKED.format(key=" PRIMARY KEY"),
}
CONFIG = '[table.first_wins]\nmode = "ignore"\n'
KINDS = [*TABLES, "landing"]

GOOD = 40
# The first is found while decoding; the second only by the database, and a landing table takes it as it is.
BODY = ndjson(*({"id": number, "v": "x"} for number in range(GOOD)), b"broken", {"id": GOOD, "v": "bad"})


@dataclass(frozen=True)
class Counts:
    """Rows in the table, different ones among them, dead letters, different ones, and what the ledger says."""

    rows: int
    different_rows: int
    letters: int
    different_letters: int
    ledger: tuple[tuple[int, int], ...]


def one_copy(kind: str) -> Counts:
    good, bad = (GOOD + 1, 1) if kind == "landing" else (GOOD, 2)
    return Counts(good, good, bad, bad, ((good, bad),))


NOTHING = Counts(0, 0, 0, 0, ())


async def counted(sql: asyncpg.Connection, kind: str) -> Counts:
    """What is there of everything that was ever sent to this table."""
    item = "item" if kind == "landing" else "id"
    rows = (0, 0)
    if await sql.fetchval("SELECT to_regclass($1)", kind) is not None:
        rows = await sql.fetchrow(f"SELECT count(*), count(DISTINCT {item}) FROM {kind}")
    letters = await sql.fetchrow(
        "SELECT count(*), count(DISTINCT index) FROM ingest.dead_letters WHERE table_name = $1", kind
    )
    ledger = await sql.fetch("SELECT inserted, failed FROM ingest.batches WHERE table_name = $1", kind)
    return Counts(*rows, *letters, tuple((row["inserted"], row["failed"]) for row in ledger))


async def make_tables(sql: asyncpg.Connection) -> None:
    for name, columns in TABLES.items():
        await sql.execute(f"CREATE TABLE {name} {columns}")


async def empty(sql: asyncpg.Connection) -> None:
    """Every table as it was made, and no landing table."""
    await sql.execute(
        f"TRUNCATE {', '.join(TABLES)}, ingest.batches, ingest.dead_letters; DROP TABLE IF EXISTS landing"
    )


@contextmanager
def servers_over(
    database: str,
    place: Path,
    count: int = 1,
    *,
    env: Mapping[str, str] | None = None,
    program: Sequence[str] = PROGRAM,
) -> Iterator[list[RunningServer]]:
    """So many servers over one database, each able to write every kind of table; what they keep, they keep in `place`."""
    config = place / "ingest.toml"
    config.write_text(CONFIG)
    usual = ("--database", database, "--create-tables", "--config", str(config))
    with ExitStack() as stack:
        yield [stack.enter_context(running_server(*usual, cwd=place, env=env, program=program)) for _ in range(count)]


def send(asker: Asker, table: str, key: str, body: bytes = BODY, wait: int = 0) -> Answer:
    """As a client does: 409 says that the same batch arrives on another connection, and to come again."""
    while (answer := asker.send(table, body=body, idempotency_key=key, prefer=f"wait={wait}")).status == 409:
        assert answer.headers["Retry-After"]
    return answer
