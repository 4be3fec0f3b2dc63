"""The audit of real crawls over the real server: nothing missing, killed with everything in the spool, delivered afterwards."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import asyncpg

from tests.asking import Asker, locked
from tests.running import RunningServer, running_server
from tests.scrapy_batching.crawls import crawled, crawling
from tests.scrapy_batching.test_killed import KILLED


async def audit(crawl: str, url: str, database: str, spool: Path, *more: str) -> tuple[int, dict[str, Any]]:
    words = ("-m", "ingest_server", "audit", crawl, "--json")
    where = ("--database", database, "--url", url, "--spool", str(spool), *more)
    process = await asyncio.create_subprocess_exec(
        sys.executable, *words, *where, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    said, trouble = await process.communicate()
    assert process.returncode in (0, 1), trouble.decode()
    return process.returncode, json.loads(said)


async def test_a_crawl_that_was_delivered_misses_nothing(server: RunningServer, database: str, tmp_path: Path) -> None:
    crawl = await crawled(tmp_path, BATCHING_URL=server.url, BATCHING_BATCH_ITEMS=3, BATCHING_CRAWL_ID="done")
    stats = crawl.batching()
    assert (stats["server/expected"], stats["server/processed"], stats["server/pending"]) == (7, 7, 0)
    assert crawl.stats[0]["finish_reason"] == "finished"
    code, said = await audit("done", server.url, database, crawl.directory / "spool")
    assert (code, said["items"], said["settled"], said["missing"], said["seen"]) == (0, 7, 7, 0, [])


async def test_of_a_killed_crawl_every_item_is_accounted_for_and_then_delivered(
    server: RunningServer, database: str, tmp_path: Path, unused_tcp_port: int
) -> None:
    more = {"BATCHING_BATCH_ITEMS": 300, "KILL_AT": 1_000, "BATCHING_CRAWL_ID": "killed", "LOG_LEVEL": "WARNING"}
    async with crawling(tmp_path, KILLED, BATCHING_URL=f"http://127.0.0.1:{unused_tcp_port}", **more) as crawl:
        assert await crawl.end() == -9
    spool = tmp_path / "spool"
    code, said = await audit("killed", server.url, database, spool)
    waiting = len(crawl.waiting())
    assert (code, said["nowhere"], said["settled"]) == (1, 0, 0)
    assert said["missing"] == sum(one["items"] for one in said["seen"]) == waiting
    assert {one["place"] for one in said["seen"]} == {"spool"}
    assert said["items"] == waiting + said["rejected"] >= 1_000
    await crawled(tmp_path, BATCHING_URL=server.url)
    code, said = await audit("killed", server.url, database, spool)
    assert (code, said["settled"], said["missing"], said["seen"]) == (0, waiting, 0, [])


async def test_what_a_killed_server_had_journaled_is_in_its_journal_and_then_settled(
    database: str, sql: asyncpg.Connection, tmp_path: Path
) -> None:
    await sql.execute("CREATE TABLE things (a int)")
    journal = ("--journal-dir", str(tmp_path / "journal"))
    with running_server("--database", database, *journal) as server:
        asker = Asker(server.port)
        async with locked(sql, "things"):
            batch = asker.send("things", {"a": 1}, {"a": 2}, ingest_crawl="c").json
            assert batch["ack"] == "journaled"
            assert asker.close_crawl("c", 2).json["pending"] == 2
            server.kill()
    code, said = await audit("c", server.url, database, tmp_path, *journal)
    assert (code, said["items"], said["settled"], said["missing"], said["nowhere"]) == (1, 2, 0, 2, 0)
    assert [(one["place"], one["batch"]) for one in said["seen"]] == [("journal", batch["id"])]
    with running_server("--database", database, *journal) as again:
        Asker(again.port).settled(batch["id"])
        code, said = await audit("c", again.url, database, tmp_path, *journal)
        assert (code, said["settled"], said["seen"], said["notes"]) == (0, 2, [], [])
