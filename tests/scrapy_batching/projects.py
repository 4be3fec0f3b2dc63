"""A small Scrapy project on the disk, and Scrapy's command line in it."""

import asyncio
import json
import os
import sys
import textwrap
from pathlib import Path

SPIDER = '''
import scrapy

class Numbers(scrapy.Spider):
    name = "numbers"

    async def start(self):
        for n in range(7):
            yield {"n": n}

    def nothing(self, response):
        """
        @url PAGE
        @returns items 0
        """
        return []
'''
_SETTINGS = {
    "ADDONS": json.dumps({"scrapy_batching.Addon": 500}),
    "REMOTE_CONTROL_ENABLED": False,
    "TELNETCONSOLE_ENABLED": False,
    "BATCHING_RETRY_BASE": 0.01,
    "BATCHING_RETRY_MAX": 0.05,
    "BATCHING_SPOOL_DIR": "spool",
}


def project_in(directory: Path, spider: str = SPIDER, **files: str) -> str:
    """Makes the project `shop` with one spider; further modules by name. Gives a page's address."""
    project = directory / "shop"
    (project / "spiders").mkdir(parents=True)
    page = directory / "page.html"
    page.write_text("<p>a page</p>")
    (directory / "scrapy.cfg").write_text("[settings]\ndefault = shop.settings\n")
    (project / "settings.py").write_text(
        'SPIDER_MODULES = ["shop.spiders"]\n' + textwrap.dedent(files.pop("settings", ""))
    )
    for package in (project, project / "spiders"):
        (package / "__init__.py").touch()
    (project / "spiders" / "one.py").write_text(textwrap.dedent(spider).replace("PAGE", page.as_uri()))
    for name, text in files.items():
        (project / f"{name}.py").write_text(textwrap.dedent(text))
    return page.as_uri()


async def scrapy(directory: Path, *args: str, **settings: object) -> tuple[int, str]:
    """Scrapy's command line there, each setting as `-s`: its exit code and everything it said."""
    given = [part for name, value in (_SETTINGS | settings).items() for part in ("-s", f"{name}={value}")]
    run = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "scrapy", *args, *given),
        cwd=directory,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await run.communicate()
    assert run.returncode is not None
    return run.returncode, out.decode()
