"""What earlier crawls left is delivered by whoever comes next, once, under the same names, and counts come out even."""

import asyncio
import json
import signal
import sys

import orjson
import pytest
from filelock import FileLock

from scrapy_batching.batcher import Batch
from scrapy_batching.folder import RunFolder, find_runs
from scrapy_batching.leftover_telemetry import LeftoverTelemetry
from scrapy_batching.leftovers import Leftovers
from scrapy_batching.names import half_name, uuid7
from scrapy_batching.refusals import Refusal, keep_refused
from tests.scrapy_batching.crawls import NUMBERS, crawled, crawling
from tests.scrapy_batching.fake_server import Holding, acknowledges, drops, problem, says, takes_at_most
from tests.scrapy_batching.leaving import WAITS_TO_BE_KILLED, everything, killed, left_by, send, way


def numbers(server) -> list[int]:
    return sorted(item["n"] for item in server.items)


def run_of(spool) -> RunFolder:
    (run,) = find_runs(spool)[0]
    return run


async def test_a_killed_crawl_is_delivered_and_its_counts_come_out_even(server, free_port, tmp_path):
    """Closed batches and the one that was still open, under the names that the crawl gave them."""
    spool = await killed(tmp_path, HOW_MANY=7, BATCHING_BATCH_ITEMS=3, BATCHING_URL=f"http://127.0.0.1:{free_port}")
    run = run_of(spool)
    names, crawl = [str(one.id) for one in run.left()], run.about.crawl
    assert len(names) == 3
    telemetry = await send(spool, server.url)
    assert server.sent == names
    assert numbers(server) == list(range(7))
    assert {one.crawl for one in server.batches.values()} == {crawl}
    assert server.closes == [
        {"crawl": crawl, "items": 7, "rejected": 0, "dropped": 0, "spooled": 0, "reason": "killed"}
    ]
    assert everything(spool) == []
    assert telemetry.counts["items/delivered"] == 7


async def test_the_next_crawl_delivers_what_the_killed_one_left(server, free_port, tmp_path):
    (tmp_path / "a").mkdir()
    spool = await killed(tmp_path / "a", HOW_MANY=7, BATCHING_URL=f"http://127.0.0.1:{free_port}")
    (tmp_path / "b").mkdir()
    crawl = await crawled(tmp_path / "b", NUMBERS, BATCHING_URL=server.url, BATCHING_SPOOL_DIR=str(spool), HOW_MANY=2)
    assert numbers(server) == [0, 0, 1, 1, 2, 3, 4, 5, 6]
    assert "1 batches with 7 items that earlier crawls left are sent now" in crawl.log
    assert "7 items are delivered, 0 refused, and 0 wait on" in crawl.log
    assert crawl.batching()["leftovers/items/delivered"] == 7
    assert crawl.batching()["items/delivered"] == 2
    assert everything(spool) == []


async def test_a_crawl_that_kept_its_items_in_memory_is_counted_by_its_close(server, free_port, tmp_path):
    """It writes what is left at its end, and no tally."""
    spider = NUMBERS.replace('yield {"n": n}', 'yield {"n": n if n < 5 else object()}')
    away = f"http://127.0.0.1:{free_port}"
    crawl = await crawled(tmp_path, spider, BATCHING_URL=away, BATCHING_SPOOL=False, BATCHING_CLOSE_TIMEOUT=0.1)
    assert len(crawl.waiting()) == 5
    await send(tmp_path / "spool", server.url)
    assert numbers(server) == [0, 1, 2, 3, 4]
    assert server.closes[-1] | {"items": 7, "rejected": 2, "spooled": 0, "reason": "finished"} == server.closes[-1]
    assert everything(tmp_path / "spool") == []


async def test_runs_and_batches_go_oldest_first(server, tmp_path):
    first = [*left_by(tmp_path, 1, 2, crawl="one"), *left_by(tmp_path, 3, crawl="two"), *left_by(tmp_path, 1)]
    await send(tmp_path, server.url)
    assert server.sent == [str(name) for name in first]
    assert [close["crawl"] for close in server.closes] == ["one", "two", "old"]


async def test_an_outage_is_waited_out(server, tmp_path):
    left_by(tmp_path, 2)
    server.tricks.extend([says(503), drops(), drops(after_storing=True), says(429)])
    telemetry = await send(tmp_path, server.url)
    assert numbers(server) == [0, 1]
    assert telemetry.counts["retries"] == 4
    assert everything(tmp_path) == []


@pytest.mark.parametrize("status", [401, 403, 404])
async def test_what_someone_may_mend_stays_and_goes_when_it_is_mended(server, tmp_path, status):
    """The table's other batches are not tried now; other tables go on. The crawl is told what is left each time."""
    left_by(tmp_path, 2, 3)
    left_by(tmp_path, 1, table="others", crawl="another")

    async def mends(_server, request, _body):
        return problem(status, "not now") if request.match_info["table"] == "books" else None

    server.always = mends
    telemetry = await send(tmp_path, server.url)
    assert len(server.sent) == 2
    assert telemetry.counts["items/waiting"] == 5
    assert f"books: {status} not now" in telemetry.problem
    assert run_of(tmp_path).read_close()["spooled"] == 5
    server.always = None
    await send(tmp_path, server.url)
    assert len(server.items) == 6
    assert [one["spooled"] for one in server.closes if one["crawl"] == "old"] == [5, 0]
    assert everything(tmp_path) == []


async def test_a_refused_batch_lies_with_its_problem_and_is_counted(server, tmp_path):
    bad, _ = left_by(tmp_path, 2, 3, items=6, dropped=1)
    server.tricks.append(says(422, "unknown field", "the table has no column n"))
    await send(tmp_path, server.url)
    said = {"crawl": "old", "items": 6, "rejected": 2, "dropped": 1, "spooled": 0, "reason": "finished"}
    assert server.closes == [said]
    folder = tmp_path / "refused" / "books"
    assert (folder / f"{bad}.ndjson").read_bytes() == b'{"n":0}\n{"n":1}\n'
    about = json.loads((folder / f"{bad}.json").read_text())
    assert (about["crawl"], about["items"], about["problem"]["title"]) == ("old", 2, "unknown field")
    assert [one.name for one in tmp_path.iterdir()] == ["refused"]


async def test_counts_that_differ_are_refused(server, tmp_path):
    left_by(tmp_path, 3)

    server.tricks.append(acknowledges("committed", 200, total=2))
    telemetry = await send(tmp_path, server.url)
    assert telemetry.counts["items/refused"] == 3
    assert len(list(tmp_path.glob("refused/books/*.ndjson"))) == 1


async def test_too_large_goes_as_halves_and_the_mark_is_on_disk_first(server, tmp_path):
    left_by(tmp_path, 7)
    seen = []

    async def at_most_two(server, request, body):
        seen.append([one.name.partition(".")[2] for one in tmp_path.glob("*/books/*.ndjson")])
        return await takes_at_most(2)(server, request, body)

    server.always = at_most_two
    await send(tmp_path, server.url)
    assert numbers(server) == list(range(7))
    assert seen[0] == ["ndjson"]
    assert set(map(tuple, seen[1:])) == {("split.ndjson",)}
    # Before anything is split the server is asked: an earlier try may have been stored.
    assert server.asked == [name for name in server.sent if name not in server.batches]
    assert everything(tmp_path) == []


async def test_what_was_stored_before_is_never_split(server, tmp_path):
    """The crawl was killed before it had the answer, and the limit was lowered since."""
    left_by(tmp_path, 4)
    server.tricks.append(drops(after_storing=True))
    server.always = takes_at_most(2)
    await send(tmp_path, server.url)
    assert numbers(server) == [0, 1, 2, 3]
    assert len(server.batches) == 1


async def test_a_split_batch_goes_as_the_same_parts_after_a_kill_however_large_the_limit_is_now(server, tmp_path):
    """The half that was split was never sent whole again: its quarters would be stored twice."""
    left_by(tmp_path, 8)
    holding = Holding()

    async def holds_the_third_quarter(server, request, body):
        if len(server.batches) == 2:
            await holding(server, request, body)
        return await takes_at_most(2)(server, request, body)

    server.always = holds_the_third_quarter
    sending = asyncio.create_task(send(tmp_path, server.url))
    await holding.reached.wait()
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    assert numbers(server) == [0, 1, 2, 3]
    holding.go.set()
    server.always = None
    await send(tmp_path, server.url)
    assert numbers(server) == list(range(8))
    assert server.closes[-1]["spooled"] == 0
    assert everything(tmp_path) == []


async def test_a_half_with_a_file_of_its_own_is_counted_with_its_whole(server, tmp_path):
    """A crawl whose disk had been full leaves one, when its whole was never on the disk."""
    left_by(tmp_path)
    run = run_of(tmp_path)
    whole = uuid7()
    run.claim()
    run.add_tally({"batch": str(whole), "table": "books", "items": 4})
    run.batch_path("books", half_name(whole, 2, 4)).write_bytes(b'{"n":2}\n{"n":3}\n')
    run.release()
    await send(tmp_path, server.url)
    assert numbers(server) == [2, 3]
    assert server.closes[-1]["items"] == 4


async def test_a_half_that_the_crawl_split_is_not_sent_whole(server, tmp_path):
    """A real crawl, killed while it sends eighths: the limit is raised, and nothing is stored twice."""
    stored_one = asyncio.Event()

    async def one_eighth(server, request, body):
        if server.batches:
            stored_one.set()
            return problem(503, "busy")
        return await takes_at_most(1)(server, request, body)

    server.always = one_eighth
    how = {"HOW_MANY": 8, "BATCHING_BATCH_ITEMS": 8, "BATCHING_URL": server.url}
    async with crawling(tmp_path, WAITS_TO_BE_KILLED, **how) as crawl:
        await stored_one.wait()
        crawl.signal(signal.SIGKILL)
        await crawl.end()
    server.always = None
    await send(tmp_path / "spool", server.url)
    assert numbers(server) == list(range(8))
    assert server.closes[-1] | {"items": 8, "spooled": 0} == server.closes[-1]


async def test_a_split_batch_stays_until_all_its_parts_are_gone(server, tmp_path):
    (name,) = left_by(tmp_path, 4)
    server.tricks.extend([takes_at_most(2), says(422, "no"), says(404, "no such table")])
    await send(tmp_path, server.url)
    assert [one.name for one in tmp_path.glob("*/books/*.split.ndjson")] == [f"{name}.split.ndjson"]
    assert server.closes[-1] | {"spooled": 2, "rejected": 2} == server.closes[-1]
    await send(tmp_path, server.url)
    assert numbers(server) == [2, 3]
    assert server.closes[-1] | {"items": 4, "spooled": 0, "rejected": 2} == server.closes[-1]
    assert [one.name for one in tmp_path.iterdir()] == ["refused"]


async def test_a_torn_last_line_is_cut_off_and_kept(server, tmp_path, caplog):
    (name,) = left_by(tmp_path, 2)
    (file,) = tmp_path.glob("*/books/*.ndjson")
    with file.open("ab") as out:
        out.write(b'{"n":2')
    await send(tmp_path, server.url)
    assert numbers(server) == [0, 1]
    assert (tmp_path / "refused" / "books" / f"{name}.torn").read_bytes() == b'{"n":2'
    assert "the last line of a batch for books was cut off" in caplog.text


async def test_an_empty_file_is_removed(server, tmp_path):
    left_by(tmp_path)
    run = run_of(tmp_path)
    run.batch_path("books", uuid7()).touch()
    await send(tmp_path, server.url)
    assert server.sent == []
    assert everything(tmp_path) == []


async def test_a_file_that_lost_its_items_is_missed_aloud(server, tmp_path, caplog):
    """fsync had not happened before the power went."""
    left_by(tmp_path, 3)
    (file,) = tmp_path.glob("*/books/*.ndjson")
    file.write_bytes(b"")
    await send(tmp_path, server.url)
    assert server.closes[-1]["items"] == 3
    assert "held 3 items and is empty" in caplog.text


async def test_what_is_not_ours_is_named_once_and_left_alone(server, tmp_path, caplog):
    (tmp_path / "notes.txt").write_text("mine")
    other = tmp_path / str(uuid7())
    other.mkdir()
    (other / "about.json").write_text('{"format": 2}')
    left_by(tmp_path, 1)
    run = run_of(tmp_path)
    (run.path / "books" / "mine.txt").write_text("mine")
    (run.path / "mine.txt").write_text("mine")
    await send(tmp_path, server.url)
    assert numbers(server) == [0]
    for path in (tmp_path / "notes.txt", other, run.path / "mine.txt", run.path / "books" / "mine.txt"):
        assert path.exists()
        assert caplog.text.count(f"{path} is no batch of this version's") == 1


async def test_batches_of_nobody_are_named_and_left_alone(server, tmp_path, caplog):
    left_by(tmp_path, 2)
    (about,) = tmp_path.glob("*/about.json")
    about.write_text("{")
    before = everything(tmp_path)
    await send(tmp_path, server.url)
    assert everything(tmp_path) == before
    assert f"{about.parent} is no batch" in caplog.text


async def test_a_crawl_that_was_killed_at_birth_leaves_nothing(server, tmp_path):
    for files in ([], ["lock"], ["lock", "about.json.tmp"]):
        folder = tmp_path / str(uuid7())
        folder.mkdir()
        for name in files:
            (folder / name).touch()
    born = tmp_path / str(uuid7())
    born.mkdir()
    with FileLock(born / "lock"):
        await send(tmp_path, server.url)
        assert [one.name for one in tmp_path.iterdir()] == [born.name]
    assert server.closes == []


@pytest.mark.parametrize("files", [[], ["table.json.tmp"], ["table.json", "x.ndjson.tmp"]])
async def test_a_table_that_was_killed_at_birth_does_not_keep_the_folder(server, tmp_path, caplog, files):
    left_by(tmp_path, 1)
    folder = run_of(tmp_path).path / "others"
    folder.mkdir()
    for name in files:
        (folder / name).write_text('{"table": "others"}')
    await send(tmp_path, server.url)
    assert everything(tmp_path) == []
    assert "left alone" not in caplog.text


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


async def test_totals_are_told_again_until_the_server_has_them(server, tmp_path, caplog):
    left_by(tmp_path, 2)
    server.on_close.append(says(400, "not now"))
    await send(tmp_path, server.url)
    assert "the totals of crawl old could not be told" in caplog.text
    assert run_of(tmp_path).is_empty
    await send(tmp_path, server.url)
    assert [one["items"] for one in server.closes] == [2, 2]
    assert everything(tmp_path) == []


async def test_a_kill_between_refusing_and_letting_go_counts_once(server, tmp_path):
    (name,) = left_by(tmp_path, 2, spooled=2)
    refusal = Refusal(id=name, table="books", crawl="old", items=2, url="u", reason="r", problem=None)
    keep_refused(tmp_path, refusal, b'{"n":0}\n{"n":1}\n')
    await send(tmp_path, server.url)
    assert server.sent == []
    assert server.closes[-1] | {"items": 2, "rejected": 2, "spooled": 0} == server.closes[-1]


async def test_a_torn_tally_does_not_swallow_what_is_added(server, tmp_path):
    left_by(tmp_path, 2)
    run = run_of(tmp_path)
    with (run.path / "tally.ndjson").open("ab") as out:
        out.write(b'{"rejec')
    run.batch_path("books", uuid7()).write_bytes(b'{"n":2}\n')
    server.on_close.append(says(400, "not now"))
    await send(tmp_path, server.url)
    await send(tmp_path, server.url)
    assert [one["items"] for one in server.closes] == [3, 3]


async def test_what_was_refused_is_sent_again_when_asked_for(server, tmp_path):
    good, bad = left_by(tmp_path, 2, 3)
    server.tricks.extend([says(422, "a"), says(422, "b")])
    await send(tmp_path, server.url)
    await send(tmp_path, server.url)
    assert len(server.sent) == 2, "nobody sends them unasked"
    server.tricks.extend([says(422, "still"), None])
    telemetry = await send(tmp_path, server.url, refused_too=True)
    assert server.sent[2:] == [str(good), str(bad)]
    assert (telemetry.counts["items/delivered"], telemetry.counts["items/refused"]) == (3, 2)
    assert sorted(one.name for one in tmp_path.glob("refused/books/*")) == [f"{good}.json", f"{good}.ndjson"]
    assert json.loads((tmp_path / "refused" / "books" / f"{good}.json").read_text())["problem"]["title"] == "still"


async def test_a_refused_batch_that_is_too_large_now_goes_as_halves(server, tmp_path):
    left_by(tmp_path, 4)
    server.tricks.append(says(422, "no"))
    await send(tmp_path, server.url)
    server.always = takes_at_most(1)
    await send(tmp_path, server.url, refused_too=True)
    assert numbers(server) == [0, 1, 2, 3]
    assert list(tmp_path.glob("refused/*/*")) == []


async def test_a_defect_keeps_the_batch(server, tmp_path, caplog):
    left_by(tmp_path, 2)

    class Broken:
        def __init__(self, way, observer):
            pass

        async def deliver(self, batch: Batch, **_):
            raise ZeroDivisionError

        async def close_crawl(self, totals, give_up_at, *, wait=0):
            return {"missing": 0}

        async def close(self):
            pass

    telemetry = await send(tmp_path, server.url, connect=Broken)
    assert "please report this" in caplog.text
    assert telemetry.counts["items/waiting"] == 2
    assert run_of(tmp_path).left()


SENDER = """
import asyncio, sys
from pathlib import Path
from tests.scrapy_batching.leaving import send
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


async def test_a_spool_that_is_not_there_is_no_trouble(server, tmp_path):
    telemetry = await send(tmp_path / "none", server.url)
    assert telemetry.problem == ""


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
from tests.scrapy_batching.leaving import send

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
