"""Tables that somebody made with SQL, over HTTP: nothing is declared twice, and everything may be sent twice."""

import gzip
import http.client
import json
import random
from uuid import UUID

import asyncpg
import pytest

from ingest_server.names import uuid7
from tests.make import ndjson
from tests.running import RunningServer

# As museums publish them: numbers that are empty, dates as text, nested facts, names in every script.
ARTWORKS = """
CREATE TABLE artworks (
    id integer PRIMARY KEY,
    title text NOT NULL,
    artist varchar(200),
    year smallint CHECK (year BETWEEN 1000 AND 2100),
    width numeric(8,1),
    acquired date,
    on_view boolean NOT NULL DEFAULT false,
    subjects jsonb,
    tags text[],
    seen_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE sightings (LIKE artworks INCLUDING DEFAULTS);
"""


def artwork(number: int, chance: random.Random) -> dict[str, object]:
    item: dict[str, object] = {
        "id": number,
        "title": chance.choice(
            ["The Cholmondeley Ladies", "Überfahrt am Schreckenstein", "富嶽三十六景", 'A "quoted" \\ title']
        ),
        "artist": chance.choice(["Turner, Joseph Mallord William", None]),
        "year": chance.choice([1805, "1805", None]),
        "width": chance.choice([12.5, "12.50", None]),
        "acquired": chance.choice(["1897-01-01", None]),
        "subjects": {"id": number, "children": [{"name": "nature", "weight": 1.10}]},
        "tags": chance.choice([["a,b", "c"], [], None]),
    }
    if chance.random() < 0.5:
        item["on_view"] = chance.choice([True, False])
    return item


def send(server: RunningServer, table: str, body: bytes, name: UUID) -> dict[str, object]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    headers = {
        "Content-Type": "application/x-ndjson",
        "Content-Encoding": "gzip",
        "Idempotency-Key": str(name),
        "Ingest-Crawl": "museum",
        "Prefer": "wait=30",
    }
    connection.request("POST", f"/v1/tables/{table}/batches", gzip.compress(body), headers)
    answer = connection.getresponse()
    found = json.loads(answer.read())
    connection.close()
    assert answer.status in (200, 207), found
    return dict(found)


@pytest.mark.parametrize("table", ["artworks", "sightings"])
async def test_everything_arrives_once_however_often_it_is_sent(
    server: RunningServer, sql: asyncpg.Connection, table: str
) -> None:
    await sql.execute(ARTWORKS)
    chance = random.Random(7)
    items = [artwork(number, chance) for number in range(2000)]
    batches = [(uuid7(), ndjson(*items[start : start + 250])) for start in range(0, len(items), 250)]
    for _ in range(2):
        for name, body in batches:
            settled = send(server, table, body, name)
            assert (settled["succeeded"], settled["inserted"], settled["failed"]) == (250, 250, 0)
    assert await sql.fetchval(f"SELECT count(*) FROM {table}") == 2000
    assert await sql.fetchval("SELECT count(*) FROM ingest.batches WHERE crawl = 'museum'") == 8
    rows = {row["id"]: row for row in await sql.fetch(f"SELECT * FROM {table}")}
    for item in items:
        row = rows[item["id"]]
        assert (row["title"], row["tags"]) == (item["title"], item["tags"])
        assert json.loads(row["subjects"]) == item["subjects"]
        assert row["on_view"] is item.get("on_view", False)
        assert row["year"] == (None if item["year"] is None else 1805)
    # the same items under other names: the key tells them apart from new ones, without a key nothing does
    again = send(server, table, batches[0][1], uuid7())
    if table == "artworks":
        assert (again["inserted"], again["updated"], again["unchanged"]) == (0, 0, 250)
    else:
        assert again["inserted"] == 250


async def test_the_bad_ones_are_dead_letters_and_their_neighbours_are_there(
    server: RunningServer, sql: asyncpg.Connection
) -> None:
    await sql.execute(ARTWORKS)
    chance = random.Random(8)
    wrong = [
        {"year": 99},
        {"title": None},
        {"artist": "x" * 201},
        {"width": "12345678.5"},
        {"extra": 1},
        {"acquired": "soon"},
    ]
    items = [artwork(number, chance) | (wrong[number // 20] if number % 20 == 3 else {}) for number in range(120)]
    settled = send(server, "artworks", ndjson(*items, b"not json"), uuid7())
    assert (settled["succeeded"], settled["failed"], settled["status"]) == (114, 7, "completed")
    errors = {error["index"]: (error["code"], error["column"]) for error in settled["errors"]}  # type: ignore[attr-defined]
    assert errors == {
        3: ("23514", "year"), 23: ("invalid", "title"), 43: ("invalid", "artist"), 63: ("22003", "width"),
        83: ("invalid", "extra"), 103: ("invalid", "acquired"), 120: ("invalid", None),
    }  # fmt: skip
    assert await sql.fetchval("SELECT count(*) FROM artworks") == 114
    assert await sql.fetchval("SELECT count(*) FROM ingest.dead_letters") == 7
    assert "x" * 201 not in json.dumps(settled)


async def test_a_table_is_altered_while_the_server_runs(server: RunningServer, sql: asyncpg.Connection) -> None:
    await sql.execute("CREATE TABLE things (id int PRIMARY KEY, v bigint)")
    send(server, "things", ndjson({"id": 1, "v": 1}), uuid7())
    await sql.execute("ALTER TABLE things ALTER v TYPE double precision, ADD COLUMN w text")
    for number in range(2, 12):
        settled = send(server, "things", ndjson({"id": number, "v": 3, "w": "x"}), uuid7())
        assert settled["inserted"] == 1
    assert await sql.fetchval("SELECT sum(v) FROM things") == 31.0
