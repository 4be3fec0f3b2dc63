"""`newest_by` as a property: however one row of arrivals is cut into batches, and whatever is delivered again, what stays is
what a reader of the row would keep: the newest, of equals the later, nothing for something. What leaves the field out has
the column's default there."""

import asyncio
import json
from dataclasses import dataclass
from datetime import timedelta

import asyncpg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest_server.model import Mode, TableOptions
from tests.ingest_server.postgres.stores import store_over
from tests.make import NOON, batch

NEWEST = {"things": TableOptions(Mode.UPSERT, newest_by="at")}
BY_DEFAULT = 2
DATED = f"timestamptz DEFAULT '{(NOON + timedelta(minutes=BY_DEFAULT)).isoformat()}'"


@dataclass(frozen=True)
class Arrival:
    """One item, and what happens before it comes."""

    key: int
    at: int | None
    has_at: bool
    w: str | None
    begins_batch: bool
    redelivered: int | None

    @property
    def is_refused(self) -> bool:
        return self.w == "bad"

    def dated(self, by_default: int | None) -> int | None:
        return self.at if self.at is not None or self.has_at else by_default

    def item(self, v: int) -> dict[str, object]:
        item: dict[str, object] = {"id": self.key, "v": v}
        if self.at is not None or self.has_at:
            item["at"] = None if self.at is None else (NOON + timedelta(minutes=self.at)).isoformat()
        if self.w is not None:
            item["w"] = self.w
        return item


ARRIVALS = st.lists(
    st.builds(
        Arrival,
        key=st.integers(1, 4),
        at=st.none() | st.integers(0, 4),
        has_at=st.booleans(),
        w=st.sampled_from([None, None, None, "x", "bad"]),
        begins_batch=st.booleans(),
        redelivered=st.none() | st.integers(0, 30),
    ),
    min_size=1,
    max_size=30,
)


def kept(arrivals: list[Arrival], by_default: int | None) -> dict[int, tuple[int | None, int]]:
    """The reference: one after the other."""
    there: dict[int, tuple[int | None, int]] = {}
    for v, one in enumerate(arrivals):
        old, at = there.get(one.key, (None, -1))[0], one.dated(by_default)
        if not one.is_refused and (old is None or (at is not None and at >= old)):
            there[one.key] = (at, v)
    return there


@pytest.mark.parametrize(
    ("at", "w", "by_default"),
    [
        ("timestamptz", "text", None),  # every item in one group of columns
        ("timestamptz", "text DEFAULT 'd'", None),
        (DATED, "text", BY_DEFAULT),  # one group, or two that are merged item by item
        (DATED, "text DEFAULT 'd'", BY_DEFAULT),
    ],
)
def test_what_stays_does_not_depend_on_how_it_came(database: str, at: str, w: str, by_default: int | None) -> None:
    with asyncio.Runner() as runner:
        sql = runner.run(asyncpg.connect(database))
        runner.run(sql.execute(f"CREATE TABLE things (id int PRIMARY KEY, at {at}, v int, w {w}, CHECK (w <> 'bad'))"))
        opened = store_over(database, options=NEWEST)
        store = runner.run(opened.__aenter__())

        async def arrive(arrivals: list[Arrival]) -> None:
            await sql.execute("TRUNCATE things, ingest.batches, ingest.dead_letters")
            groups: list[list[tuple[int, Arrival]]] = []
            for v, one in enumerate(arrivals):
                if one.begins_batch or not groups:
                    groups.append([])
                groups[-1].append((v, one))
            batches = []
            for group in groups:
                batches.append(batch(*(one.item(v) for v, one in group)))
                await store.write(batches[-1])
                for _, one in group:
                    if one.redelivered is not None:
                        await store.write(batches[one.redelivered % len(batches)])
            rows = await sql.fetch("SELECT id, at, v FROM things")
            found = {row["id"]: (row["at"] and (row["at"] - NOON) / timedelta(minutes=1), row["v"]) for row in rows}
            assert found == kept(arrivals, by_default)
            # one that lost within its batch was never written, and so perhaps never refused
            raws = await sql.fetch("SELECT raw FROM ingest.dead_letters")
            letters = [json.loads(row["raw"])["v"] for row in raws]
            assert len(letters) == len(set(letters))
            assert set(letters) <= {v for v, one in enumerate(arrivals) if one.is_refused}

        @settings(max_examples=100, deadline=None)
        @given(ARRIVALS)
        def check(arrivals: list[Arrival]) -> None:
            runner.run(arrive(arrivals))

        try:
            check()
        finally:
            runner.run(opened.__aexit__(None, None, None))
            runner.run(sql.close())
