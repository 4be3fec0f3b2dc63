"""A short run with everything real, and what ends one: figures of a contender that fails would mean nothing."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import orjson
import psutil
import pytest
from typer.testing import CliRunner

from loadtests.__main__ import app
from loadtests.errors import CountError, PartError
from loadtests.pipeline import run
from loadtests.pipeline.plan import CONTENDERS, Order, Plan
from loadtests.pipeline.stand import Stand
from tests.loadtests.test_page import read

HERE = Path(__file__).parents[3]


ALL = tuple(CONTENDERS)


@pytest.mark.parametrize(
    ("shape", "kind", "contenders", "items"),
    [
        ("one-page", "pydantic", ALL, 300),
        ("page-json", "attrs", ("empty", "ours", "feed"), 300),
        ("page-html", "item", ("empty", "ours", "feed"), 300),
        ("item-a-page", "dict", ("empty", "ours", "feed"), 20),
    ],
)
def test_a_small_run_crawls_counts_and_reports(tmp_path, shape, kind, contenders, items):
    temporary = tmp_path / "t"
    temporary.mkdir()
    page, figures = tmp_path / "x.html", tmp_path / "x.json"
    words = ["--items", "300", "--pages", "20", "--rounds", "1", "--most-one-by-one", "100", "--json", str(figures)]
    words += ["--shapes", shape, "--kinds", kind, "--contenders", ",".join(contenders), "--page", str(page)]
    ran = subprocess.run(
        [sys.executable, "-m", "loadtests", "pipeline", *words],
        cwd=HERE,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "TMPDIR": str(temporary)},
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "goals" in ran.stdout
    found = orjson.loads(figures.read_bytes())
    short = set() if shape.startswith("page-") else {"ours/empty", f"ours/feed:{kind}"}
    whole = short | {f"ours/empty{of}" for of in (f":{shape}", f":{shape}:{kind}")}
    assert set(found["ratios"]) == whole | {f"ours/feed:{shape}:{kind}"}
    assert all(0 < ratio["p10"] <= ratio["median"] <= ratio["p90"] for ratio in found["ratios"].values())
    crawled = {one["contender"]: one for one in found["runs"]}
    assert set(crawled) == set(contenders)
    for contender, one in crawled.items():
        # each row in a table, and each line of the feed, was counted, or the run had failed
        assert one["items"] == min(items, 100 if contender in {"psycopg", "asyncpg"} else items)
        assert one["reason"] == "finished"
        assert one["cpu_seconds"] > 0
        assert 0 <= one["closing_seconds"] < one["seconds"]
    assert found["versions"]["psycopg"] != "absent"
    assert "svg" in read(page.read_text(encoding="utf-8")).seen
    assert list(temporary.iterdir()) == []  # everything that was started is gone
    assert [p for p in psutil.process_iter(["cmdline"]) if str(temporary) in " ".join(p.info["cmdline"] or ())] == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_leaves_nothing(tmp_path, number):
    words = ["--items", "900000", "--shapes", "one-page", "--kinds", "dict", "--contenders", "ours", "--rounds", "1"]
    command = [sys.executable, "-m", "loadtests", "pipeline", *words, "--page", str(tmp_path / "x.html")]
    temporary = tmp_path / "t"
    temporary.mkdir()
    with subprocess.Popen(
        command, cwd=HERE, stderr=subprocess.PIPE, env={**os.environ, "TMPDIR": str(temporary)}
    ) as process:
        # the first line of the spool says that the crawl is in the midst of it
        while process.poll() is None and not list(temporary.rglob("*.ndjson")):
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.05)
        started = psutil.Process(process.pid).children(recursive=True)
        assert started
        process.send_signal(number)
        process.communicate()
    assert process.returncode == 128 + number
    assert [one for one in started if one.is_running() and one.status() != psutil.STATUS_ZOMBIE] == []
    assert list(temporary.iterdir()) == []
    assert not (tmp_path / "x.html").exists()


def order(tmp_path, **changes):
    """Nothing listens on these addresses."""
    nowhere = "http://127.0.0.1:9"
    dsn = "postgresql://nobody@127.0.0.1:9/nothing"
    given = {"contender": "none", "kind": "dict", "shape": "one-page", "items": 3, "seed": 1, "pages": nowhere}
    return Order(**{**given, "server": nowhere, "dsn": dsn, "table": "t", "directory": str(tmp_path), **changes})


async def test_a_crawl_that_gets_no_page_fails_the_run(tmp_path):
    with pytest.raises(PartError, match="got no page"):
        await run.carried_out(order(tmp_path))


@pytest.mark.parametrize("contender", ["psycopg", "asyncpg"])
async def test_a_contender_that_has_no_database_fails_the_run(tmp_path, contender):
    with pytest.raises(PartError, match=contender):
        await run.carried_out(order(tmp_path, contender=contender))


@pytest.fixture
def stand(tmp_path, monkeypatch):
    """A database where nothing is ever found."""
    monkeypatch.setattr(run, "count_rows", lambda dsn, table: 0)
    monkeypatch.setattr(Stand, "clear", lambda self, table: None)
    return Stand("", "", tmp_path)


@pytest.mark.parametrize(
    ("contender", "missed"), [("ours", "rows"), ("psycopg", "rows"), ("feed", "lines"), ("none", "")]
)
async def test_items_that_were_not_stored_fail_the_run(stand, monkeypatch, contender, missed):
    async def scraped(told):
        (Path(told.directory) / "items.jsonl").write_bytes(b"{}\n" * (told.items - 1))
        return run.Crawl(told.items, 1.0, 1.0, 0.0, "finished", 0)

    monkeypatch.setattr(run, "carried_out", scraped)
    plan = Plan(items=(5,))
    if missed:
        with pytest.raises(CountError, match=missed):
            await run.counted(plan, stand, "", plan.places[0], contender)
    else:
        assert (await run.counted(plan, stand, "", plan.places[0], contender)).items == 5


async def test_items_that_were_not_scraped_fail_the_run(stand, monkeypatch):
    async def scraped(told):
        return run.Crawl(told.items - 1, 1.0, 1.0, 0.0, "finished", 0)

    monkeypatch.setattr(run, "carried_out", scraped)
    plan = Plan(items=(5,))
    with pytest.raises(CountError, match="items scraped: expected 5, found 4"):
        await run.counted(plan, stand, "", plan.places[0], "empty")


@pytest.mark.parametrize(
    "words",
    [
        ["--kinds", "dict,frog"],
        ["--kinds", "dict,dict"],
        ["--shapes", ""],
        ["--contenders", "theirs"],
        ["--items", "x"],
    ],
)
def test_a_choice_that_is_none_is_refused(words):
    assert CliRunner().invoke(app, ["pipeline", *words]).exit_code == 2
