"""Who sends what was left: one at a time, and one that is killed or cancelled loses nothing and doubles nothing."""

import asyncio
import json
import signal
import sys

import orjson
import pytest

from scrapy_batching.leftovers.sender import Leftovers
from scrapy_batching.leftovers.telemetry import LeftoverTelemetry
from scrapy_batching.names import uuid7
from scrapy_batching.spool.folder import RunFolder
from scrapy_batching.spool.refusals import Refusal, keep_refused
from scrapy_batching.spool.runs import find_runs
from tests.scrapy_batching.fake_server import Holding, problem, says, takes_at_most
from tests.scrapy_batching.leftovers.leaving import everything, left_by, numbers, run_of, send, way


async def test_a_living_crawl_is_left_alone(server, tmp_path):
    left_by(tmp_path, 2)
    run = run_of(tmp_path)
    assert run.claim()
    await send(tmp_path, server.url)
    assert server.sent == []
    run.release()
    await send(tmp_path, server.url)
    assert numbers(server) == [0, 1]


async def test_two_senders_at_once_send_each_batch_once(server, tmp_path):
    for number in range(6):
        left_by(tmp_path, 1, 2, crawl=f"crawl-{number}")
    await asyncio.gather(*(send(tmp_path, server.url) for _ in range(3)))
    assert len(server.sent) == len(set(server.sent)) == 12
    assert len(server.closes) == 6
    assert everything(tmp_path) == []


async def test_a_run_whose_holder_dies_meanwhile_is_not_forgotten(server, tmp_path):
    left_by(tmp_path, 1, crawl="held")
    left_by(tmp_path, 2, crawl="free")
    held, _ = find_runs(tmp_path)[0]
    assert held.claim()

    async def dies(_server, _request, _body):
        held.release()

    server.tricks.append(dies)
    await send(tmp_path, server.url)
    assert len(server.sent) == 2


async def test_a_kill_between_refusing_and_letting_go_counts_once(server, tmp_path):
    (name,) = left_by(tmp_path, 2, spooled=2)
    refusal = Refusal(id=name, table="books", crawl="old", items=2, url="u", reason="r", problem=None)
    keep_refused(tmp_path, refusal, b'{"n":0}\n{"n":1}\n')
    await send(tmp_path, server.url)
    assert server.sent == []
    assert server.closes[-1] | {"items": 2, "rejected": 2, "spooled": 0} == server.closes[-1]


SENDER = """
import asyncio, sys
from pathlib import Path
from tests.scrapy_batching.leftovers.leaving import send
asyncio.run(send(Path(sys.argv[1]), sys.argv[2]))
"""


@pytest.mark.parametrize("stored_before_the_kill", [1, 2, 5])
async def test_a_sender_that_is_killed_loses_nothing_and_doubles_nothing(server, tmp_path, stored_before_the_kill):
    """The batch that is on its way is stored, its answer never comes, and the process is gone."""
    names = left_by(tmp_path, 1, 2, 3, 1, 2)
    holding = Holding()

    async def stores_and_holds(server, request, body):
        server.store(request, body)
        if len(server.batches) == stored_before_the_kill:
            await holding(server, request, body)

    server.always = stores_and_holds
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", SENDER, str(tmp_path), server.url)
    await holding.reached.wait()
    process.send_signal(signal.SIGKILL)
    await process.wait()
    holding.go.set()
    server.always = None
    assert len(run_of(tmp_path).left()) == 5 - stored_before_the_kill + 1
    await send(tmp_path, server.url)
    assert numbers(server) == list(range(9))
    assert list(server.batches) == [str(name) for name in names]
    assert server.closes[-1] | {"items": 9, "spooled": 0, "rejected": 0} == server.closes[-1]
    assert everything(tmp_path) == []


async def test_a_sending_that_is_cancelled_in_an_outage_lets_go_of_the_lock(server, tmp_path):
    left_by(tmp_path, 2, spooled=2)
    server.always = says(503)
    telemetry = LeftoverTelemetry()
    sending = asyncio.create_task(Leftovers(tmp_path, way(server.url), telemetry).send())
    await server.arrived.wait()
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    assert run_of(tmp_path).claim()
    assert orjson.loads(next(tmp_path.glob("*/close.json")).read_bytes())["spooled"] == 2


KILLED_AT_EACH_KIND_OF_STEP = """
import asyncio, json, os, signal, sys
from collections import Counter
from pathlib import Path
from tests.scrapy_batching.leftovers.leaving import send

STEPS = {"open", "os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.truncate", "fcntl.flock"}

def kind_of(event):
    # What is done, and the line of the package that does it.
    frame = sys._getframe(2)
    while frame and "scrapy_batching/" not in frame.f_code.co_filename:
        frame = frame.f_back
    return f"{event} {frame.f_code.co_filename}:{frame.f_lineno}" if frame else event

def sends(spool, target=None, number=0):
    # What was done, by kind; ends by SIGKILL before the kind `target` is done for the time `number`.
    seen = Counter()
    def hook(event, args):
        if event in STEPS and (event == "fcntl.flock" or str(args[0]).startswith(str(spool))):
            kind = kind_of(event)
            seen[kind] += 1
            if kind == target and seen[kind] == number:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(hook)
    asyncio.run(send(spool, sys.argv[2]))
    return seen

spools = sorted(Path(sys.argv[1]).iterdir())
read, write = os.pipe()
if not os.fork():
    with open(write, "w") as out:
        json.dump(sends(spools[0]), out)
    os._exit(0)
os.close(write)
with open(read) as said:
    kinds = json.load(said)
os.wait()
targets = [(kind, number) for kind, most in sorted(kinds.items()) for number in sorted({1, most})]
for (kind, number), spool in zip(targets, spools[1:], strict=False):
    pid = os.fork()
    if not pid:
        sends(spool, kind, number)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    print(json.dumps([kind, number, code]))
print(json.dumps(len(targets)))
"""


def everything_at_once(spool, crawl: str) -> None:
    """A killed crawl: 14 items in closed batches for three tables, 2 in an open one with a torn line, 1 rejected."""
    run = RunFolder.create(spool, crawl=crawl, spider="numbers")
    number = 0
    for table, count in (("books", 3), ("bad", 2), ("big", 7), ("books", 2)):
        name = uuid7()
        lines = [b'{"n":%d}\n' % n for n in range(number, number + count)]
        run.batch_path(table, name).write_bytes(b"".join(lines))
        run.add_tally({"batch": str(name), "table": table, "items": count})
        number += count
    run.add_tally({"rejected": 1})
    run.batch_path("books", uuid7()).write_bytes(b'{"n":14}\n{"n":15}\n{"n":1')
    run.release()


async def test_killed_at_any_step_on_the_disk_nothing_is_lost_doubled_or_miscounted(server, tmp_path):
    """SIGKILL before each kind of step that the sender takes on the disk, the first and the last time; then another comes."""

    async def by_table(server, request, body):
        table = request.match_info["table"]
        if table == "bad":
            return problem(422, "no")
        return await takes_at_most(2)(server, request, body) if table == "big" else None

    server.always = by_table
    spools = [tmp_path / f"{step:03}" for step in range(100)]
    for spool in spools:
        everything_at_once(spool, spool.name)
    program = [sys.executable, "-c", KILLED_AT_EACH_KIND_OF_STEP, str(tmp_path), server.url]
    process = await asyncio.create_subprocess_exec(*program, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    *ended, count = [json.loads(line) for line in out.splitlines()]
    assert 30 < count == len(ended), "more kinds of steps than spools"
    # How often a step is taken depends on the order in which the disk names its files; that it is taken does not.
    assert {code for _, number, code in ended if number == 1} == {-signal.SIGKILL}
    assert {code for _, _, code in ended} <= {-signal.SIGKILL, 0}
    for spool in spools[: count + 1]:
        await send(spool, server.url)
        stored = sorted(item["n"] for one in server.batches.values() if one.crawl == spool.name for item in one.items)
        assert stored == [n for n in range(16) if n not in (3, 4)], spool
        refused = [
            json.loads(line)["n"]
            for file in spool.glob("refused/bad/*.ndjson")
            for line in file.read_text().splitlines()
        ]
        assert refused == [3, 4], spool
        assert [one.name for one in spool.iterdir()] == ["refused"], spool
        close = [one for one in server.closes if one["crawl"] == spool.name][-1]
        assert close | {"items": 17, "rejected": 3, "dropped": 0, "spooled": 0} == close, spool
