"""The Batcher is free of Scrapy, and typed."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

USE = """
import asyncio, sys
from scrapy_batching import Batcher
from scrapy_batching.batching import Batcher as Same, BatchResult

assert Same is Batcher

async def use():
    async with Batcher(lambda items: items, batch_size=2) as batcher:
        (result,) = await batcher.add_batch([1, 2])
        assert result == BatchResult([1, 2])

asyncio.run(use())
print(sorted({name.partition(".")[0] for name in sys.modules} & {"scrapy", "twisted", "aiohttp", "itemadapter"}))
import scrapy_batching
assert set(scrapy_batching.__all__) <= set(dir(scrapy_batching))
scrapy_batching.BatchingPipeline
assert "scrapy" in sys.modules
"""

TYPED = """
from typing import assert_type
import asyncio
from scrapy_batching import Batcher, BatchResult

async def lengths(words: list[str]) -> list[int]:
    return [len(word) for word in words]

async def gathered(words: list[str]) -> list[int | BaseException]:
    return await asyncio.gather(*(asyncio.sleep(0, 1) for _ in words), return_exceptions=True)

def at_once(words: list[str]) -> tuple[float | ValueError, ...]:
    return tuple(float(word) for word in words)

def told(result: BatchResult[int]) -> None:
    number: int = sum(result.successful)

async def use() -> None:
    async with Batcher(lengths, 50, 5.0, True, on_result=told) as batcher:
        assert_type(batcher, Batcher[str, int])
        result = await batcher.add("one")
        assert_type(result, BatchResult[int, str] | None)
        assert_type(await batcher.add_batch(iter(["one"])), list[BatchResult[int, str]])
        if result is not None:
            assert_type(result.successful, list[int])
            assert_type(result.failed, list[tuple[str, Exception]])
            assert_type(await batcher.retry(result), BatchResult[int, str])
            wide: BatchResult[int] = result
        assert_type(batcher.pending_items, tuple[str, ...])
    assert_type(Batcher(gathered), Batcher[str, int])
    assert_type(Batcher(at_once), Batcher[str, float])
    await batcher.add(1)  # wrong: an item is a str
    Batcher(len)  # wrong: not a list of outcomes
    from scrapy_batching import Nothing  # wrong: no such name
"""


def test_scrapy_is_not_loaded_by_it():
    ran = subprocess.run([sys.executable, "-c", USE], capture_output=True, text=True, cwd=ROOT, check=False)
    assert (ran.stdout, ran.stderr) == ("[]\n", "")


@pytest.mark.timeout(60)
def test_a_checker_sees_what_goes_in_and_what_comes_out(tmp_path):
    snippet = tmp_path / "typed.py"
    snippet.write_text(TYPED)
    command = [sys.executable, "-m", "mypy", "--strict", f"--cache-dir={ROOT / '.mypy_cache'}"]
    command += [str(snippet), *map(str, sorted((ROOT / "examples").glob("*.py")))]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    wrong = {number for number, line in enumerate(TYPED.splitlines(), 1) if "# wrong" in line}
    found = [line.split(":")[:2] for line in ran.stdout.splitlines() if ": error:" in line]
    # By the name alone: from its cache mypy tells the directory of the run that filled it.
    assert {(Path(name).name, int(number)) for name, number in found} == {(snippet.name, number) for number in wrong}, (
        ran.stdout
    )
