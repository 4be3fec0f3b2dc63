"""Patches against a reference: whatever fields they have, whatever came twice or is refused, and however it is cut."""

import asyncio
import json
from dataclasses import dataclass

import asyncpg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest_server.model import Merge, Mode, TableOptions
from tests.ingest_server.postgres.stores import store_over
from tests.make import batch

BY_DEFAULT = 2


@dataclass(frozen=True)
class Arrival:
    fields: dict[str, object]
    begins_batch: bool


# `number` says which item it is; the others come and go. A negative `a` is refused, wherever it would be written.
FIELDS = st.fixed_dictionaries(
    {"id": st.integers(1, 3)},
    optional={
        "at": st.none() | st.integers(0, 4),
        "a": st.none() | st.sampled_from([1, 2, -1]),
        "b": st.none() | st.sampled_from(["x", "y"]),
        "c": st.integers(0, 2),
        "unknown": st.integers(0, 2),
        "other": st.integers(0, 2),
    },
)
ARRIVALS = st.lists(st.builds(Arrival, FIELDS, st.booleans()), min_size=1, max_size=20)


def kept(items: list[dict[str, object]], *, is_dated: bool, by_default: int | None) -> dict[object, dict[str, object]]:
    """The reference: one after the other."""
    there: dict[object, dict[str, object]] = {}
    for item in items:
        own = {name: value for name, value in item.items() if name in ("id", "a", "b", "c")}
        rest = {name: value for name, value in item.items() if name in ("unknown", "other")}
        row = there.get(item["id"])
        at = item.get("at", by_default)
        if row is not None and is_dated and row["at"] is not None and (at is None or at < row["at"]):
            continue
        if is_dated or "at" in item:
            own["at"] = at
        row = row or {"a": None, "b": None, "c": 7, "at": None, "rest": None}
        if rest:
            own["rest"] = (row["rest"] or {}) | rest
        there[item["id"]] = row | own
    return there


@pytest.mark.parametrize(
    ("at", "newest_by", "by_default"),
    [("int", None, None), ("int", "at", None), (f"int DEFAULT {BY_DEFAULT}", "at", BY_DEFAULT)],
)
def test_what_stays_does_not_depend_on_how_it_came(
    database: str, at: str, newest_by: str | None, by_default: int | None
) -> None:
    with asyncio.Runner() as runner:
        sql = runner.run(asyncpg.connect(database))
        runner.run(
            sql.execute(
                f"CREATE TABLE things (id int PRIMARY KEY, at {at}, a int CHECK (a > 0), b text, c int NOT NULL DEFAULT 7, "
                "rest jsonb)"
            )
        )
        options = TableOptions(Mode.UPSERT, newest_by=newest_by, catch_all="rest", merge=Merge.PATCH)
        opened = store_over(database, options={"things": options})
        store = runner.run(opened.__aenter__())

        async def arrive(arrivals: list[Arrival]) -> None:
            await sql.execute("DELETE FROM things")
            groups: list[list[dict[str, object]]] = []
            for one in arrivals:
                if one.begins_batch or not groups:
                    groups.append([])
                groups[-1].append(one.fields)
            taken = []
            for group in groups:
                before = {row["id"]: row["xmin"] for row in await sql.fetch("SELECT id, xmin FROM things")}
                settled = await store.write(batch(*group))
                after = {row["id"]: row["xmin"] for row in await sql.fetch("SELECT id, xmin FROM things")}
                assert settled.inserted == len(after.keys() - before.keys())
                assert settled.updated == sum(before[key] != after[key] for key in before)
                refused = {buried.refusal.index for buried in settled.errors}
                assert all(group[index].get("a") == -1 for index in refused)
                taken += [item for index, item in enumerate(group) if index not in refused]
            found = {row["id"]: dict(row) for row in await sql.fetch("SELECT * FROM things")}
            for row in found.values():
                row["rest"] = row["rest"] and json.loads(row["rest"])
            expected = kept(taken, is_dated=newest_by is not None, by_default=by_default)
            assert found == expected

        @settings(max_examples=80, deadline=None)
        @given(ARRIVALS)
        def check(arrivals: list[Arrival]) -> None:
            runner.run(arrive(arrivals))

        try:
            check()
        finally:
            runner.run(opened.__aexit__(None, None, None))
            runner.run(sql.close())
