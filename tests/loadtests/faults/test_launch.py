"""The launcher's hooks over the real server and the real crawl: each is seen to work, each deliberate breach to do harm."""

import asyncio
import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import aiohttp
import asyncpg
import pytest

from loadtests.faults.breaches import BREACHES, BreachFailed, commit_breach
from loadtests.faults.clock import set_clock
from loadtests.faults.launch import words
from loadtests.faults.power import forget
from scrapy_batching.spool.folder import RunFolder

DAY = 86_400.0


@contextlib.contextmanager
def launched(folder: Path, database: str, *hooks: str) -> Iterator[tuple[subprocess.Popen, str]]:
    """The real server with hooks; its process and its URL."""
    log = folder / "server.log"
    with log.open("ab") as said:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "loadtests.faults.launch", *hooks, "--", "server", "run", "--port", "0"),
                *("--data-dir", str(folder / "data"), "--journal-dir", str(folder / "data" / "journal")),
                *("--database", database, "--create-tables"),
            ],
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
        )
    try:
        line = process.stdout.readline()
        assert line.startswith("listening on "), log.read_text()
        yield process, line.removeprefix("listening on ").strip()
    finally:
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


async def send(url: str, number: int, wait: int = 0) -> dict:
    headers = {"Content-Type": "application/x-ndjson", "Idempotency-Key": str(uuid4()), "Prefer": f"wait={wait}"}
    async with (
        aiohttp.ClientSession() as session,
        session.post(
            f"{url}/v1/tables/things/batches", data=json.dumps({"a": number}) + "\n", headers=headers
        ) as answer,
    ):
        assert answer.status in (200, 202), await answer.text()
        return await answer.json()


async def rows(sql: asyncpg.Connection) -> list[int]:
    return [json.loads(row["item"])["a"] for row in await sql.fetch("SELECT item FROM things ORDER BY created_at, id")]


@contextlib.asynccontextmanager
async def locked(database: str):
    """Nobody can write the table: what is sent stays in the journal, and at the workers."""
    one = await asyncpg.connect(database)
    async with one.transaction():
        await one.execute("LOCK TABLE things IN ACCESS EXCLUSIVE MODE")
        yield
    await one.close()


async def settled(folder: Path, database: str, sql: asyncpg.Connection, *hooks: str) -> list[int]:
    """What is in the table after another start, and a stop that settles what waits."""
    with launched(folder, database, *hooks) as (process, url):
        await send(url, 1000, wait=20)
        process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait, 30) == 0
    return [number for number in sorted(await rows(sql)) if number != 1000]


@pytest.mark.parametrize("breaches", [(), ("fsync",)])
async def test_power_loss_of_a_server(tmp_path, database, sql, breaches):
    journal = tmp_path / "data" / "journal"
    with launched(tmp_path, database, *words(power=journal, breaches=breaches)) as (process, url):
        await send(url, 0, wait=20)
        async with locked(database):
            answers = [await send(url, number) for number in range(1, 21)]
            process.kill()
            process.wait()
    assert {answer["ack"] for answer in answers} == {"journaled"}
    assert (forget(journal).bytes > 20 * 16 * 2**10) is bool(breaches)  # a batch takes a page at least
    found = await settled(tmp_path, database, sql)
    assert found == ([0] if breaches else list(range(21)))


@pytest.mark.parametrize("breaches", [(), ("drain",)])
async def test_a_server_that_is_killed_with_batches_at_its_workers(tmp_path, database, sql, breaches):
    with launched(tmp_path, database, *words(breaches=breaches)) as (process, url):
        await send(url, 0, wait=20)
        async with locked(database):
            for number in (1, 2, 3):  # two workers and more take one each; what they took rides with the next write
                await send(url, number)
            await send(url, 4)
            process.kill()
            process.wait()
    found = await settled(tmp_path, database, sql)
    assert (1 in found, found == [0, 1, 2, 3, 4]) == ((False, False) if breaches else (True, True))


@pytest.mark.parametrize("breaches", [(), ("ledger",)])
async def test_a_server_that_is_killed_between_commit_and_acknowledgement(tmp_path, database, sql, breaches):
    with launched(tmp_path, database) as (process, url):
        assert (await send(url, 0, wait=20))["ack"] == "committed"
        process.kill()
        process.wait()
    assert await settled(tmp_path, database, sql, *words(breaches=breaches)) == ([0, 0] if breaches else [0])


async def test_a_clock_that_jumps_by_a_day_and_back(tmp_path, database):
    file = tmp_path / "clock"
    with launched(tmp_path, database, *words(clock=file)) as (_, url):
        for seconds in (0.0, DAY, -DAY, 0.0):
            set_clock(file, seconds)
            answer = await send(url, 1, wait=20)
            assert (answer["status"], answer["ack"]) == ("completed", "committed")
            for name in ("created_at", "completed_at"):
                away = datetime.fromisoformat(answer[name]) - datetime.now(UTC) - timedelta(seconds=seconds)
                assert abs(away) < timedelta(seconds=30), name


async def test_a_journal_that_may_not_grow_is_a_full_disk(tmp_path, database):
    with launched(tmp_path, database, *words(file_limit=600 * 2**10)) as (_, url):
        await send(url, 0, wait=20)
        async with aiohttp.ClientSession() as session, locked(database):
            body = json.dumps({"a": "x" * 900_000}) + "\n"
            headers = {"Content-Type": "application/x-ndjson"}
            async with session.post(f"{url}/v1/tables/things/batches", data=body, headers=headers) as answer:
                assert (answer.status, "Retry-After" in answer.headers) == (503, True)


_SPIDER = """
import scrapy

class Few(scrapy.Spider):
    name = "few"
    custom_settings = {"ADDONS": {"scrapy_batching.Addon": 500}, "TELNETCONSOLE_ENABLED": False, "LOG_LEVEL": "ERROR"}

    async def start(self):
        for number in range(10):
            yield {"number": number}
"""


def crawled(tmp_path: Path, port: int, *hooks: str) -> Path:
    """A crawl whose server is away; its spool."""
    (tmp_path / "few.py").write_text(_SPIDER)
    spool = tmp_path / "spool"
    settings = {
        "BATCHING_URL": f"http://127.0.0.1:{port}",
        "BATCHING_SPOOL_DIR": spool,
        "BATCHING_CLOSE_TIMEOUT": 1,
    }
    pairs = [word for name, value in settings.items() for word in ("-s", f"{name}={value}")]
    done = subprocess.run(
        [sys.executable, "-m", "loadtests.faults.launch", *hooks, "--", "crawl", "runspider", "few.py", *pairs],
        cwd=tmp_path,
        env={"PYTHONPATH": str(Path(__file__).parents[3]), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return spool


@pytest.mark.parametrize("ordered", [True, False])
def test_power_loss_of_a_crawls_machine_keeps_what_was_synced(tmp_path, free_port, ordered):
    spool = crawled(tmp_path, free_port, *words(power=tmp_path / "spool"))
    forget(spool, ordered=ordered)
    [left] = [path for path in spool.rglob("*.ndjson") if path.name != "tally.ndjson"]
    assert left.read_bytes().count(b"\n") == 10


def test_a_crawl_whose_clock_is_a_day_ahead(tmp_path, free_port):
    set_clock(tmp_path / "clock", DAY)
    spool = crawled(tmp_path, free_port, *words(clock=tmp_path / "clock"))
    [about] = spool.glob("*/about.json")
    ahead = datetime.fromisoformat(json.loads(about.read_bytes())["started_at"]) - datetime.now(UTC)
    assert abs(ahead - timedelta(days=1)) < timedelta(minutes=1)
    named = UUID(about.parent.name).int >> 80  # UUIDv7: milliseconds
    assert abs(named / 1000 - (datetime.now(UTC) + timedelta(days=1)).timestamp()) < 60


def test_the_rename_that_marks_a_split_is_gone(tmp_path, monkeypatch):
    monkeypatch.setattr(RunFolder, "mark_split", RunFolder.mark_split)
    folder = RunFolder.create(tmp_path, crawl="crawl", spider="spider")
    path = folder.batch_path("things", uuid4())
    path.write_bytes(b"{}\n{}\n")
    commit_breach("rename", "crawl")
    assert folder.mark_split(path) == path
    assert path.exists()
    folder.release()


def test_a_breach_whose_name_is_gone_fails_loudly(monkeypatch):
    monkeypatch.delattr(RunFolder, "mark_split")
    with pytest.raises(BreachFailed, match="RunFolder has no mark_split any more"):
        commit_breach("rename", "crawl")
    with pytest.raises(BreachFailed, match="choose among rename"):
        commit_breach("fsync", "crawl")


def test_words_are_what_the_launcher_reads(tmp_path):
    hooks = words(power=tmp_path, clock=tmp_path / "c", file_limit=2**30, breaches=["rename"])
    assert hooks == [
        "--power",
        str(tmp_path),
        "--clock",
        f"{tmp_path}/c",
        "--file-limit",
        "1073741824",
        "--break",
        "rename",
    ]
    assert set(BREACHES) == {"fsync", "ledger", "drain", "rename"}
    said = subprocess.run(
        [sys.executable, "-m", "loadtests.faults.launch", *hooks, "--", "crawl", "version"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={"PYTHONPATH": str(Path(__file__).parents[3]), "PATH": ""},
    )
    assert said.stdout.startswith("Scrapy "), said.stderr
