"""A project of somebody who never heard of us: one line more, and every item that its feed has is in PostgreSQL too."""

import asyncio
import json
import os
import re
import sys
from pathlib import Path

import asyncpg

from tests.acceptance.strangers_project import A_PAGE, PAGES, SPIDERS, serving_site, write_project
from tests.running import running_server
from tests.test_docs import ROOT

TABLES = {
    "dishes-css": '"dishes-css"',
    "dishes-xpath": '"dishes-xpath"',
    "reviews": "review_item",
    "recipes": "recipe_item",
}
ITEMS = PAGES * A_PAGE + 1


async def crawl(project: Path, spider: str, *settings: str) -> str:
    """`scrapy crawl SPIDER`, and what it logged."""
    given = [word for one in settings for word in ("-s", one)]
    run = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "scrapy", "crawl", spider, *given),
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(ROOT), "NO_PROXY": "*"},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await run.communicate()
    log = said.decode()
    assert run.returncode == 0, log
    return log


async def crawl_all(project: Path, *settings: str) -> tuple[dict[str, str], dict[str, list[str]]]:
    """Every spider at once: what each logged, and the lines of each feed in an order that the site's answers do not make."""
    logs = await asyncio.gather(*(crawl(project, spider, *settings) for spider in SPIDERS))
    feeds = {spider: sorted((project / "feeds" / f"{spider}.jl").read_text().splitlines()) for spider in SPIDERS}
    return dict(zip(SPIDERS, logs, strict=True)), feeds


async def test_a_stranger_s_project_runs_with_the_one_line_added_and_all_items_arrive(reachable_path: Path) -> None:
    """Its feed is what it was; PostgreSQL has the same items, of dicts, of an Item with datetimes, of nested attrs."""
    data = reachable_path / "data"
    data.mkdir(mode=0o711)
    project = reachable_path / "kitchen"
    with running_server(cwd=data) as server:
        async with serving_site() as site:
            write_project(project, site)
            _, alone = await crawl_all(project)
            (line,) = re.findall(
                r"^    (ADDONS = .*)$", (ROOT / "docs" / "getting-started.md").read_text(), re.MULTILINE
            )
            with (project / "kitchen" / "settings.py").open("a") as settings:
                settings.write(f"{line}\n")
            # The only thing that is not as the page says: a port of our own, as 8800 may be somebody's.
            logs, feeds = await crawl_all(project, f"BATCHING_URL={server.url}")
        assert feeds == alone
        assert {spider: len(lines) for spider, lines in feeds.items()} == dict.fromkeys(SPIDERS, ITEMS)
        connection = await asyncpg.connect((data / ".ingest" / "postgres.dsn").read_text().strip())
        try:
            for spider, table in TABLES.items():
                rows = await connection.fetch(f"SELECT item FROM {table}")
                stored = [json.loads(row["item"]) for row in rows]
                fed = [json.loads(one) for one in feeds[spider]]
                assert sorted(stored, key=str_of) == sorted(fed, key=str_of), spider
                assert f"{ITEMS} items taken · {ITEMS} delivered · 0 rejected · 0 spooled" in logs[spider]
                assert "'item_dropped_count'" in logs[spider] or spider == "recipes"
                assert "Traceback" not in logs[spider]
        finally:
            await connection.close()


def str_of(item: dict[str, object]) -> str:
    return json.dumps(item, sort_keys=True)
