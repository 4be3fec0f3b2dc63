"""A real crawl in a process of its own, without batching: what the spider yields, and what Scrapy counted."""

import asyncio
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Crawled:
    exit_code: int
    items: list[dict[str, Any]]
    stats: dict[str, Any]
    log: str


async def crawl(place: Path, spider: str, *arguments: str, settings: Sequence[str] = ()) -> Crawled:
    """`scrapy crawl SPIDER`, its items in a feed below `place`."""
    feed, stats = place / f"{spider}.jsonl", place / f"{spider}.stats.json"
    words = [word for argument in arguments for word in ("-a", argument)]
    words += [word for setting in (*settings, "ADDONS={}", f"STATS_FILE={stats}") for word in ("-s", setting)]
    program = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "scrapy", "crawl", spider, "-O", str(feed), *words),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=place,
        env={**os.environ, "SCRAPY_SETTINGS_MODULE": "spiders.settings", "PYTHONPATH": str(ROOT), "NO_PROXY": "*"},
    )
    try:
        said, _ = await program.communicate()
    finally:
        if program.returncode is None:
            program.kill()
            await program.wait()
    return Crawled(
        exit_code=program.returncode or 0,
        items=[json.loads(line) for line in feed.read_text().splitlines()] if feed.exists() else [],
        stats=json.loads(stats.read_text()) if stats.exists() else {},
        log=said.decode(errors="replace"),
    )
