"""Scrapy's commands beside `crawl`: those without items leave nothing behind, and end as without us."""

import asyncio
import json

import pytest

from tests.scrapy_batching.runs.shop import Door, counting_door, project, scrapy, tree

OURS = {"scrapy_batching.Addon": 500}
ADDON = f"ADDONS={json.dumps(OURS)}"

COMMANDS = {
    "shell": (0, ["shell", "PAGE", "-c", "response.text"]),
    "shell without a page": (0, ["shell", "-c", "1 + 1"]),
    "shell with a fault": (1, ["shell", "-c", "1 / 0"]),
    "fetch": (0, ["fetch", "PAGE"]),
    "fetch with a spider": (0, ["fetch", "--spider", "numbers", "PAGE"]),
    "parse": (0, ["parse", "PAGE", "--spider", "numbers", "--callback", "nothing"]),
    "parse with items": (0, ["parse", "PAGE", "--spider", "numbers", "--callback", "three"]),
    "parse with pipelines": (0, ["parse", "PAGE", "--spider", "numbers", "--callback", "nothing", "--pipelines"]),
    "check": (0, ["check"]),
    "list": (0, ["list"]),
    "settings": (0, ["settings", "--get", "BOT_NAME"]),
    "version": (0, ["version"]),
    "an unknown one": (2, ["crwal"]),
}


@pytest.fixture
async def door():
    async with counting_door() as one:
        yield one


def traces(directory, log):
    """What a command left: the files below its directory, the threads that live at its end."""
    (threads,) = [line for line in log.splitlines() if line.startswith("THREADS:")]
    return tree(directory), threads


def about(directory, command):
    """The command with the page that lies there."""
    return [(directory / "page.html").as_uri() if part == "PAGE" else part for part in command]


@pytest.mark.parametrize(("expected", "command"), COMMANDS.values(), ids=COMMANDS)
async def test_a_command_without_items_leaves_nothing_and_ends_as_without_us(door: Door, tmp_path, expected, command):
    """No connection, no file or folder, nothing to do at exit, no thread; the same exit code."""
    (tmp_path / "with").mkdir()
    (tmp_path / "without").mkdir()
    ours = project(tmp_path / "with", ADDONS=OURS, BATCHING_URL=door.url)
    others = project(tmp_path / "without")
    (code, log), (code_without, log_without) = await asyncio.gather(
        *(scrapy(one, *about(one, command)) for one in (ours, others))
    )
    assert (code, code_without) == (expected, expected), log
    assert door.knocks == 0
    assert traces(ours, log) == traces(others, log_without)
    assert "AT EXIT: scrapy_batching" not in log
    assert "batching: crawl" not in log


async def test_what_counts_the_traces_sees_them(door: Door, tmp_path):
    """The same looks at a crawl with items, which has all of them."""
    ours = project(tmp_path, ADDONS=OURS, BATCHING_URL=door.url, BATCHING_CLOSE_TIMEOUT=0)
    code, log = await scrapy(ours, "crawl", "numbers")
    assert code == 0, log
    assert door.knocks > 0
    assert "AT EXIT: scrapy_batching" in log
    assert any(line.endswith(".ndjson") for line in tree(ours))


async def test_the_shell_s_crawler_lives_in_another_thread_and_its_pipeline_is_ours(door: Door, tmp_path):
    """It is opened there and never closed."""
    ours = project(tmp_path, ADDONS=OURS, BATCHING_URL=door.url)
    code_ = "(len(response.text), crawler.get_item_pipeline(__import__('scrapy_batching').BatchingPipeline).crawl)"
    code, log = await scrapy(ours, *about(ours, ["shell", "PAGE", "-c", code_]))
    assert code == 0, log
    assert "(13, 'default-" in log
    assert door.knocks == 0


async def test_parse_with_pipelines_delivers_its_items(server, tmp_path):
    ours = project(tmp_path, ADDONS=OURS, BATCHING_URL=server.url)
    asked = ["parse", "PAGE", "--spider", "numbers", "--callback", "three", "--pipelines"]
    code, log = await scrapy(ours, *about(ours, asked))
    assert code == 0, log
    assert sorted(item["n"] for item in server.items) == [0, 1, 2]
    assert [one["items"] for one in server.closes] == [3]
    assert [name for name in tree(ours / "home") if name.endswith(".ndjson")] == []


@pytest.mark.parametrize("command", ["shell without a page", "fetch", "parse with pipelines"])
async def test_a_spool_that_cannot_be_is_nothing_to_a_command_that_is_no_crawl(door: Door, tmp_path, command):
    """Whether it can be written is tried with a file: that is for crawls."""
    (tmp_path / "a file").touch()
    spool = str(tmp_path / "a file" / "spool")
    ours = project(tmp_path, ADDONS=OURS, BATCHING_URL=door.url, BATCHING_SPOOL_DIR=spool)
    (code, log), (code_of_crawl, log_of_crawl) = await asyncio.gather(
        scrapy(ours, *about(ours, COMMANDS[command][1])), scrapy(ours, "crawl", "numbers")
    )
    assert code == 0, log
    assert "BATCHING_SPOOL_DIR" not in log
    assert (code_of_crawl, "BATCHING_SPOOL_DIR" in log_of_crawl and spool in log_of_crawl) == (1, True), log_of_crawl
