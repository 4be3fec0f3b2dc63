"""What the server does not take of it as it is: halved, kept with its problem, or left until somebody mends it."""

import asyncio
import json
import signal

import pytest

from scrapy_batching.names import half_name, uuid7
from tests.scrapy_batching.crawls import crawling
from tests.scrapy_batching.fake_server import Holding, acknowledges, drops, problem, says, takes_at_most
from tests.scrapy_batching.leftovers.leaving import WAITS_TO_BE_KILLED, everything, left_by, numbers, run_of, send


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
