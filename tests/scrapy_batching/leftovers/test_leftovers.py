"""What earlier crawls left is delivered by whoever comes next, once, under the same names, and counts come out even."""

import pytest
from filelock import FileLock

from scrapy_batching.batching.batch import Batch
from scrapy_batching.names import uuid7
from tests.scrapy_batching.crawls import NUMBERS, crawled
from tests.scrapy_batching.fake_server import drops, says
from tests.scrapy_batching.leftovers.leaving import everything, killed, left_by, numbers, run_of, send


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
    assert "what earlier crawls left is sent now, oldest first: 7 items in 1 batch" in crawl.log
    assert "7 items delivered, 0 refused, 0 waiting on" in crawl.log
    assert crawl.batching()["items/recovered"] == 7
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
    assert "is empty, and what it held is lost: 3 items" in caplog.text


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


async def test_totals_are_told_again_until_the_server_has_them(server, tmp_path, caplog):
    left_by(tmp_path, 2)
    server.on_close.append(says(400, "not now"))
    await send(tmp_path, server.url)
    assert "the totals of crawl old could not be told" in caplog.text
    assert run_of(tmp_path).is_empty
    await send(tmp_path, server.url)
    assert [one["items"] for one in server.closes] == [2, 2]
    assert everything(tmp_path) == []


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


async def test_a_spool_that_is_not_there_is_no_trouble(server, tmp_path):
    telemetry = await send(tmp_path / "none", server.url)
    assert telemetry.problem == ""
