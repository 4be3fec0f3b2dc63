"""docs/dead-letters.md, typed as it stands: bad items, what is wrong with them, repair, retry, gone."""

import asyncio
import re
import shlex
import shutil
import sys
from pathlib import Path

from tests.asking import Asker
from tests.running import RunningServer
from tests.test_docs import ROOT, console

PAGE = ROOT / "docs" / "dead-letters.md"
ITEMS = """\
{"name": "chair", "price": 20}
{"name": "table", "price": "150 €"}
{"name": "lamp", "price": 9.50}
{"price": 3}
{"name": "shelf", "price": "€ 70.25"}
"""


async def typed(command: str, url: str, directory: Path) -> str:
    """What the command prints on both streams; it must end well."""
    places = {
        "http://127.0.0.1:8800": url,
        "ingest-server": f"{sys.executable} -m ingest_server",
        "python ": f"{sys.executable} ",
    }
    for written, here in places.items():
        command = re.sub(rf"(?<![\w/-]){re.escape(written)}", here, command)
    if "-m ingest_server" in command:
        command += f" --url {shlex.quote(url)}"
    shell = await asyncio.create_subprocess_shell(
        command,
        cwd=directory,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "INGEST_JOURNAL_DIR": str(directory), "LANG": "C.UTF-8"},
    )
    output, _ = await shell.communicate()
    assert shell.returncode == 0, (command, output.decode())
    return output.decode()


async def test_the_example_of_the_page_runs_as_it_is_written(server: RunningServer, sql, tmp_path: Path) -> None:
    assert shutil.which("curl")
    await sql.execute("CREATE TABLE offers (name text NOT NULL, price numeric)")
    (tmp_path / "items.ndjson").write_text(ITEMS)
    said = []
    for command in console(PAGE):
        if command.startswith("psql -c "):
            await sql.execute(shlex.split(command)[2])
        else:
            said.append(await typed(command, server.url, tmp_path))
    page = PAGE.read_text()
    shown = re.findall(r"^    (.+)$", page, re.MULTILINE)
    assert set(said[1].splitlines()) == {line for line in shown if "offers" in line}
    for line in (line for line in shown if "offers" not in line):
        assert any(line in output.splitlines() for output in said), line
    rows = await sql.fetch("SELECT name, price::text FROM offers ORDER BY offers.price")
    assert [tuple(row) for row in rows] == [
        (None, "3"),
        ("lamp", "9.5"),
        ("chair", "20"),
        ("shelf", "70.25"),
        ("table", "150"),
    ]
    totals = Asker(server.port).get("/v1/crawls/shop-7").json
    assert (totals["total"], totals["succeeded"], totals["failed"], totals["pending"]) == (5, 5, 0, 0)
