"""`newest_by` over two servers with four workers each: whatever comes in which order and how often, the newest stays."""

import asyncio
import itertools
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tests.asking import Asker
from tests.make import NOON
from tests.running import running_server

KEYS = 25
VERSIONS = 40
SENDERS = 8

Item = dict[str, Any]


def versions(chance: random.Random) -> list[Item]:
    """Every key in many versions: some without a time, some that share the newest one, some that the table refuses."""
    items: list[Item] = []
    for key in range(KEYS):
        times = [None if chance.random() < 0.1 else chance.randrange(1, VERSIONS) for _ in range(VERSIONS)]
        if key % 5 == 0:
            times = [None] * VERSIONS if key == 0 else times
        for number, minutes in enumerate(times):
            at = None if minutes is None else (NOON + timedelta(minutes=minutes)).isoformat()
            item = {"id": key, "at": at, "v": f"{key}.{number}"}
            if chance.random() < 0.3:
                item["w"] = "x"  # another group of columns, written on its own: two workers may deadlock
            items.append(item)
        if key % 3 == 0:
            late = NOON + timedelta(minutes=VERSIONS + chance.randrange(5))
            items.append({"id": key, "at": late.isoformat(), "v": "bad"})
    return items


def newest(items: list[Item]) -> dict[int, set[tuple[str | None, str]]]:
    """What may stay of each key: more than one where they share a time, as nobody knows which came later."""
    best: dict[int, set[tuple[str | None, str]]] = {}
    for key in range(KEYS):
        good = [(item["at"], item["v"]) for item in items if item["id"] == key and item["v"] != "bad"]
        last = max(at or "" for at, _ in good)
        best[key] = {(at, v) for at, v in good if (at or "") == last}
    return best


def sendings(items: list[Item], chance: random.Random) -> list[tuple[str, list[Item]]]:
    """Every item in a batch, and every batch once to three times; some come as two halves with names of their own as well."""
    items = chance.sample(items, len(items))
    planned = []
    for number, start in enumerate(range(0, len(items), 20)):
        batch = items[start : start + 20]
        planned += [(f"batch-{number}", batch)] * chance.randrange(1, 4)
        if chance.random() < 0.3:
            planned += [(f"batch-{number}.1", batch[:10]), (f"batch-{number}.2", batch[10:])] * chance.randrange(1, 3)
    return chance.sample(planned, len(planned))


@pytest.fixture
def askers(database: str, tmp_path: Path) -> Iterator[list[Asker]]:
    config = tmp_path / "ingest.toml"
    config.write_text('[table.things]\nmode = "upsert"\nnewest_by = "at"\n')
    flags = ("--database", database, "--config", str(config), "--workers", "4")
    with running_server(*flags, cwd=tmp_path) as one, running_server(*flags, cwd=tmp_path) as other:
        yield [Asker(one.port), Asker(other.port)]


async def send_all(askers: list[Asker], planned: list[tuple[str, list[Item]]], chance: random.Random) -> None:
    """From many connections at once, to either server; returns when all are settled."""
    turns = [(chance.choice(askers), chance.choice([0, 30]), *one) for one in planned]
    taken = iter(turns)

    def sends() -> list[tuple[Asker, str]]:
        sent = []
        for asker, wait, name, items in taken:
            while (answer := asker.send("things", *items, idempotency_key=name, prefer=f"wait={wait}")).status == 409:
                pass
            assert answer.status in (200, 202, 207)
            sent.append((asker, answer.json["id"]))
        return sent

    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(SENDERS) as threads:
        sent = await asyncio.gather(*(loop.run_in_executor(threads, sends) for _ in range(SENDERS)))
        await asyncio.gather(
            *(loop.run_in_executor(threads, asker.settled, batch) for asker, batch in itertools.chain(*sent))
        )


async def stored(sql: asyncpg.Connection) -> dict[int, tuple[str | None, str]]:
    rows = await sql.fetch("SELECT id, at, v FROM things")
    return {row["id"]: (row["at"] and row["at"].isoformat(), row["v"]) for row in rows}


@pytest.mark.parametrize("seed", range(3))
async def test_shuffled_and_resent_batches_end_with_the_newest(
    database: str, sql: asyncpg.Connection, askers: list[Asker], seed: int
) -> None:
    await sql.execute(f"ALTER DATABASE {await sql.fetchval('SELECT current_database()')} SET deadlock_timeout = '10ms'")
    await sql.execute(
        "CREATE TABLE things (id int PRIMARY KEY, at timestamptz, v text CHECK (v <> 'bad'), w text DEFAULT 'd')"
    )
    chance = random.Random(seed)
    items = versions(chance)
    planned = sendings(items, chance)
    await send_all(askers, planned, chance)
    there, may_stay = await stored(sql), newest(items)
    assert there.keys() == may_stay.keys()
    assert {key: one for key, one in there.items() if one not in may_stay[key]} == {}
    # the refused ones are dead letters, once for each name that they came under
    names = {name: [item["v"] for item in batch].count("bad") for name, batch in planned}
    assert await sql.fetchval("SELECT count(*) FROM ingest.dead_letters") == sum(names.values())

    # later arrivals: one with the same time wins, an older one and one without a time do not
    same = [{"id": key, "at": at, "v": "same time"} for key, (at, _) in there.items()]
    older = [
        {"id": key, "at": None if at is None else "2020-01-01T00:00:00Z", "v": "old"} for key, (at, _) in there.items()
    ]
    assert askers[0].send("things", *same, prefer="wait=30").json["updated"] == KEYS
    assert {v for _, v in (await stored(sql)).values()} == {"same time"}
    unchanged = askers[1].send("things", *(item for item in older if item["at"]), prefer="wait=30").json["unchanged"]
    assert unchanged == sum(at is not None for at, _ in there.values())
    # and everything that was sent before, once more
    await send_all(askers, chance.sample(planned, len(planned)), chance)
    assert {v for _, v in (await stored(sql)).values()} == {"same time"}
