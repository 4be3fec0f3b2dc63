"""The README's quick start, typed as it stands, in a project fresh from `scrapy startproject`."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.test_docs import ROOT, console

SPIDER = """
import scrapy

class YourSpider(scrapy.Spider):
    name = "your_spider"
    start_urls = [{pages!r}]

    def parse(self, response):
        for number in range(1234):
            yield {{"number": number, "title": f"item {{number}} ÄÖ 漢字", "nested": {{"price": 1.5, "none": None}}}}
"""


@pytest.fixture
def project(reachable_path: Path) -> Path:
    """`scrapy startproject`, one spider, and the one line from the README."""
    place = reachable_path
    subprocess.run([sys.executable, "-m", "scrapy", "startproject", "shop", place], check=True, capture_output=True)
    page = place / "page.html"
    page.write_text("<html></html>")
    (place / "shop" / "spiders" / "your_spider.py").write_text(SPIDER.format(pages=page.as_uri()))
    (line,) = re.findall(r"^ADDONS = .*$", (ROOT / "README.md").read_text(), re.MULTILINE)
    with (place / "shop" / "settings.py").open("a") as settings:
        settings.write(f"\n{line}\n")
    return place


def test_the_quick_start_of_the_readme(project: Path, free_port: int) -> None:
    """No table, no model, no server setup: the items arrive in a landing table, and the figures agree."""
    commands = console(ROOT / "README.md")
    assert "ingest-server run" in commands
    crawl = next(command for command in commands if command.startswith("scrapy crawl"))
    look = next(command for command in commands if command.startswith("ingest-server database psql"))
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "INGEST_PORT": str(free_port),
    }
    # the only thing that differs from the README: a port of our own, as 8800 may be somebody's
    with (project / "shop" / "settings.py").open("a") as settings:
        settings.write(f'BATCHING_URL = "http://127.0.0.1:{free_port}"\n')
    server = subprocess.Popen(
        ["ingest-server", "run"],
        cwd=project,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout is not None
        assert server.stdout.readline() == f"listening on http://127.0.0.1:{free_port}\n"
        done = subprocess.run(["sh", "-c", crawl], cwd=project, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        shown = subprocess.run(["sh", "-c", look], cwd=project, env=environment, capture_output=True, text=True)
        assert re.search(r"^\s*1234$", shown.stdout, re.MULTILINE), shown.stdout + shown.stderr + done.stderr
        assert "'batching/items/enqueued': 1234" in done.stderr
        assert "'batching/items/delivered': 1234" in done.stderr
        one = subprocess.run(
            [
                "ingest-server",
                "database",
                "psql",
                "-At",
                "-c",
                "SELECT item FROM your_spider WHERE item->>'number' = '7'",
            ],
            cwd=project,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert one.stdout.strip() == (
            '{"title": "item 7 ÄÖ 漢字", "nested": {"none": null, "price": 1.5}, "number": 7}'
        ), one.stderr
    finally:
        server.send_signal(signal.SIGTERM)
        _, log = server.communicate(timeout=30)
    assert server.returncode == 0, log
