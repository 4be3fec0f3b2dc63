"""A tally that would grow for weeks is shortened, and says the same at every moment."""

import os
import signal
import sys

import pytest

from ingest_server.audit.spooled import read_spools
from scrapy_batching.names import uuid7
from scrapy_batching.spool.folder import RunFolder
from scrapy_batching.spool.stock import Counted
from scrapy_batching.spool.tally import Tally
from tests.scrapy_batching.delivery.bench import Bench


def counted(run: RunFolder) -> int:
    found = Counted.of(run.tally())
    items = found.gone + sum(found.batches.values()) + found.rejected + found.dropped
    assert read_spools([run.path.parent], "c").runs[0].items == items
    return items


def test_it_is_long_from_its_limit_on_and_then_at_twice_what_was_left(tmp_path):
    tally = Tally(tmp_path / "tally", long=300)
    seen = []
    for n in range(40):
        tally.add({"batch": f"{n:08}", "table": "t", "items": 1})
        seen.append(tally.is_long)
        if tally.is_long:
            shorter = tally.shortened(frozenset(f"{m:08}" for m in range(10)))
            shorter.write()
            tally.replace(shorter)
    assert seen.index(True) == 6
    assert 0 < seen.count(True) < 5
    assert sum(line["items"] for line in tally.lines()) == 40
    assert [line["batch"] for line in tally.lines() if "batch" in line][:10] == [f"{m:08}" for m in range(10)]
    tally.close()


STEPS = {"open", "os.remove", "os.rename", "os.truncate"}


def ends_at(step: int) -> None:
    seen = 0

    def hook(event, args):
        nonlocal seen
        if event in STEPS and "tally" in str(args[0]):
            seen += 1
            if seen == step:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def test_a_sigkill_at_any_step_keeps_the_counts(tmp_path):
    run = RunFolder.create(tmp_path / "spool", crawl="c", spider="s")
    name = uuid7()
    run.batch_path("t", name).write_bytes(b"{}\n" * 2)
    run.add_tally({"batch": str(name), "table": "t", "items": 2})
    for _ in range(10):
        run.add_tally({"batch": str(uuid7()), "table": "t", "items": 3})
        run.add_tally({"rejected": 1})
    codes = []
    while 0 not in codes:
        pid = os.fork()
        if not pid:
            ends_at(len(codes) + 1)
            shorter = run.shorten([])
            shorter.write()
            run.add_tally({"dropped": 0})
            run.shortened(shorter)
            os._exit(0)
        codes.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        assert counted(run) == 42
    assert len(codes) > 5
    assert len([line for line in run.tally() if "batch" in line]) == 1
    run.release()


@pytest.fixture
async def bench(server, tmp_path):
    made = Bench(server.url, tmp_path)
    yield made
    await made.end()


async def test_a_crawl_shortens_its_tally_beside_its_work(server, bench, monkeypatch):
    monkeypatch.setattr(Tally.__init__, "__kwdefaults__", {"long": 2_000})
    for _ in range(100):
        one = bench.filed()
        bench.spool.count({"batch": str(one.id), "table": one.table, "items": 3})
        bench.delivery.put(one)
        await bench.delivery.finish(30)
    await bench.delivery.stop()
    run = bench.spool.run
    assert counted(run) == 300
    assert (run.path / "tally.ndjson").stat().st_size < 8_000
    assert run.tally()[0].keys() == {"items"}


async def test_a_disk_that_has_no_room_for_the_shorter_one_keeps_the_long_one(server, bench, monkeypatch, caplog):
    monkeypatch.setattr(Tally.__init__, "__kwdefaults__", {"long": 200})
    real = os.fsync

    def full(_opened):
        raise OSError(28, "No space left on device")

    one = bench.filed()
    bench.spool.count({"batch": str(one.id), "table": one.table, "items": 3})
    for _ in range(10):
        bench.spool.count({"dropped": 1})
        bench.spool.count({"rejected": 1})
    monkeypatch.setattr("os.fsync", full)
    bench.delivery.put(one)
    await bench.delivery.finish(30)
    await bench.delivery.stop()
    monkeypatch.setattr("os.fsync", real)
    assert "No space left" in caplog.text
    assert counted(bench.spool.run) == 23
