"""`scrapy batches show`: one batch, why it was refused, its first items."""

import json

from scrapy_batching.spool.runs import find_runs
from tests.scrapy_batching.commands.typed import typing
from tests.scrapy_batching.fake_server import says
from tests.scrapy_batching.leftovers.leaving import everything, left_by


async def test_a_batch_that_waits_is_shown_with_its_first_items(tmp_path):
    (name,) = left_by(tmp_path / "spool", 5)
    before = everything(tmp_path / "spool")
    code, out, err = await typing(tmp_path, "show", str(name).upper())
    assert (code, err) == (0, "")
    lines = out.splitlines()
    (run,) = find_runs(tmp_path / "spool")[0]
    assert run.about is not None
    assert lines == [
        f"batch:     {name}",
        "table:     books",
        "crawl:     old",
        "items:     5 in 40 bytes",
        "state:     waiting",
        f"run since: {run.about.started_at[:19].replace('T', ' ')}Z",
        f"file:      {run.left()[0].path.relative_to(tmp_path)}",
        "the next crawl with this spool sends it, or: scrapy batches send",
        '{"n":0}',
        '{"n":1}',
        '{"n":2}',
        "… and 2 more: --items 5",
    ]
    assert everything(tmp_path / "spool") == before


async def test_a_refused_batch_says_why_and_what_sends_it(server, tmp_path):
    (name,) = left_by(tmp_path / "spool", 2)
    server.tricks.append(says(422, "no such column", "price is no number"))
    await typing(tmp_path, "send", BATCHING_URL=server.url)
    code, out, _ = await typing(tmp_path, "show", str(name)[:20], "--items", "1")
    assert code == 0
    assert "state:     refused\n" in out
    assert "reason:    422 no such column: price is no number\n" in out
    assert f"sent to:   {server.url}/v1/tables/books/batches\n" in out
    assert "mend the cause, then: scrapy batches send --refused\n" in out
    assert out.endswith('{"n":0}\n… and 1 more: --items 2\n')


async def test_a_program_reads_the_batch_and_then_its_items_line_by_line(server, tmp_path):
    (name,) = left_by(tmp_path / "spool", 3)
    server.tricks.append(says(422, "no"))
    await typing(tmp_path, "send", BATCHING_URL=server.url)
    code, out, _ = await typing(tmp_path, "show", str(name), "--json", "--items", "100")
    head, *items = map(json.loads, out.splitlines())
    assert code == 0
    assert items == [{"n": 0}, {"n": 1}, {"n": 2}]
    assert (
        head["batch"] | {"id": str(name), "table": "books", "items": 3, "state": "refused", "status": 422}
        == head["batch"]
    )


async def test_a_batch_that_a_crawl_holds_is_shown_without_a_torn_line(tmp_path):
    (name,) = left_by(tmp_path / "spool", 2)
    (living,) = find_runs(tmp_path / "spool")[0]
    assert living.claim()
    with living.left()[0].path.open("ab") as file:
        file.write(b'{"n":')
    code, out, _ = await typing(tmp_path, "show", str(name))
    assert code == 0
    assert "state:     in use by pid " in out
    assert out.endswith('whoever holds it delivers it; it may grow, or go, while you look\n{"n":0}\n{"n":1}\n')


async def test_a_long_item_is_cut_for_a_person_and_whole_for_a_program(tmp_path):
    (name,) = left_by(tmp_path / "spool", 1)
    (run,) = find_runs(tmp_path / "spool")[0]
    run.left()[0].path.write_text(json.dumps({"text": "x" * 2_000}) + "\n")
    _, out, _ = await typing(tmp_path, "show", str(name))
    assert out.splitlines()[-1].endswith("x… (--json shows the whole of it)")
    assert max(map(len, out.splitlines())) < 600
    _, out, _ = await typing(tmp_path, "show", str(name), "--json")
    assert json.loads(out.splitlines()[1]) == {"text": "x" * 2_000}


async def test_an_id_that_is_not_there_or_not_the_only_one_is_told(tmp_path):
    names = left_by(tmp_path / "spool", *[1] * 7)
    code, out, err = await typing(tmp_path, "show", "ffff")
    assert (code, out) == (1, "")
    assert "no batch in spool has an id that begins with ffff" in err
    assert "`scrapy batches status --ids`" in err
    code, _, err = await typing(tmp_path, "show", str(names[0])[:2])
    assert code == 1
    assert "7 batches begin with" in err
    assert str(names[0]) in err
    assert "and 2 more" in err
