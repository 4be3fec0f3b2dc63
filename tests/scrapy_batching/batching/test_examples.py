"""The documented examples run as they stand, against a real API with a rate limit."""

import asyncio
import importlib.util
import json
import re
import sys
import time
from pathlib import Path

import pytest

from tests.scrapy_batching.batching.places import Places
from tests.scrapy_batching.batching.times import Time

ROOT = Path(__file__).parents[3]
NAMES = [f"place {n}" for n in range(150)]


async def run(*command, cwd):
    child = await asyncio.create_subprocess_exec(
        sys.executable, *command, cwd=cwd, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await child.communicate()
    assert child.returncode == 0, err.decode()
    return out.decode(), err.decode()


def loaded(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "examples" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


async def test_150_look_ups_are_three_calls(tmp_path):
    async with Places(time.monotonic).running() as places:
        out, err = await run(str(ROOT / "examples" / "lookups.py"), f"{places.url}/places", cwd=tmp_path)
    assert [line.rsplit(" ", 2)[0] for line in out.splitlines()] == NAMES
    assert (len(places.calls), places.put_off, err) == (3, 0, "")
    assert [len(call) for call in places.calls] == [50, 50, 50]


async def test_what_the_rate_limit_put_off_is_retried_when_the_api_says():
    clock, pauses = Time(), []

    async def pause(seconds):
        pauses.append(seconds)
        clock.now += seconds

    async with Places(clock, limit=2, seconds=7.0).running() as places:
        found = await loaded("lookups").look_up(f"{places.url}/places", NAMES, pause)
    assert [place["name"] for place in found] == NAMES
    assert [call for calls in places.calls for call in calls] == NAMES
    assert (len(places.calls), places.put_off, pauses) == (3, 1, [7.0])


async def test_a_spider_looks_up_what_it_found(tmp_path):
    async with Places(time.monotonic).running() as places:
        command = ["-m", "scrapy", "runspider", str(ROOT / "examples" / "lookup_spider.py"), "-O", "places.jsonl"]
        site, api = f"site={places.url}/pages/0", f"api={places.url}/places"
        _out, err = await run(*command, "-a", site, "-a", api, "-s", "LOG_LEVEL=WARNING", cwd=tmp_path)
    found = [json.loads(line)["name"] for line in (tmp_path / "places.jsonl").read_text().splitlines()]
    assert sorted(found) == sorted(f"place {n}" for n in range(120))
    assert [len(call) for call in places.calls] == [50, 10, 50, 10]
    assert err == ""


@pytest.mark.parametrize("name", ["lookups", "lookup_spider"])
def test_the_page_shows_the_example_as_it_is(name):
    page = (ROOT / "docs" / "batcher.md").read_text()
    assert f"```python\n{(ROOT / 'examples' / f'{name}.py').read_text()}```" in page


async def test_the_first_program_of_the_page_prints_what_it_says(tmp_path):
    program = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "batcher.md").read_text(), re.DOTALL)[0]
    out, err = await run("-c", program, cwd=tmp_path)
    assert (out, err) == (program.rpartition("  # ")[2], "")
