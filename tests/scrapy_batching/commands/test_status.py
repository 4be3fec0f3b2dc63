"""`scrapy batches status`: what lies there, and nothing changes."""

import json
import os

from scrapy_batching.spool.runs import find_runs
from tests.scrapy_batching.commands.typed import typing
from tests.scrapy_batching.fake_server import says
from tests.scrapy_batching.leftovers.leaving import everything, left_by


async def test_status_says_what_lies_there_and_changes_nothing(server, tmp_path):
    spool = tmp_path / "spool"
    left_by(spool, 2, crawl="refused", table="bad")
    server.tricks.append(says(422, "no"))
    assert (await typing(tmp_path, "send", BATCHING_URL=server.url))[0] == 0
    left_by(spool, 2, 3, crawl="waiting")
    left_by(spool, 4, crawl="living")
    waiting, living = find_runs(spool)[0]
    assert living.claim()
    before = everything(spool)
    code, out, _ = await typing(tmp_path, "status", "--json")
    assert code == 0
    found = json.loads(out)
    assert found["spool"] == "spool"
    first, second, third = found["rows"]
    assert first | {
        "run": waiting.path.name,
        "crawl": "waiting",
        "spider": "numbers",
        "table": "books",
        "batches": 2,
        "items": 5,
        "bytes": 40,
        "state": "waiting",
        "pid": os.getpid(),
    } == {**first, "since": first["since"]}
    assert (second["crawl"], second["items"], second["state"]) == ("living", 4, "in use")
    assert (third["run"], third["table"], third["items"], third["state"]) == ("", "bad", 2, "refused")
    code, out, _ = await typing(tmp_path, "status")
    heading, *rows, total = out.splitlines()
    assert total == f"total: 11 items in 4 batches, {sum(row['bytes'] for row in found['rows'])} bytes"
    assert heading.split() == ["run", "crawl", "spider", "since", "table", "batches", "items", "bytes", "state"]
    assert [row.split("  ")[-1].strip() for row in rows] == ["waiting", f"in use by pid {os.getpid()}", "refused"]
    assert f" {first['since'][:19].replace('T', ' ')}Z " in rows[0], "UTC, and said so"
    assert everything(spool) == before
    code, out, err = await typing(tmp_path, "status")
    assert err == ""


async def test_status_tells_every_batch_by_its_id(server, tmp_path):
    spool = tmp_path / "spool"
    (bad,) = left_by(spool, 2, crawl="refused", table="bad")
    server.tricks.append(says(422, "no"))
    await typing(tmp_path, "send", BATCHING_URL=server.url)
    first, second = left_by(spool, 2, 3)
    code, out, _ = await typing(tmp_path, "status", "--ids")
    heading, *rows, total = out.splitlines()
    assert code == 0
    assert heading.split() == ["id", "crawl", "since", "table", "items", "bytes", "state"]
    assert [row.split()[0] for row in rows] == [str(first), str(second), str(bad)]
    assert total.startswith("total: 7 items in 3 batches, ")
    _, out, _ = await typing(tmp_path, "status", "--ids", "--json")
    rows = json.loads(out)["rows"]
    assert [(row["id"], row["items"], row["state"], row["status"]) for row in rows] == [
        (str(first), 2, "waiting", None),
        (str(second), 3, "waiting", None),
        (str(bad), 2, "refused", 422),
    ]
