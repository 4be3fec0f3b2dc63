"""The demo as a person starts it: one line at the end, exit code 0, and nothing left behind."""

import asyncio
import json
import os
import re
import signal
import sys
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parents[2]
LINE = re.compile(r"scraped (\d+) · inserted (\d+) · updated (\d+) · unchanged (\d+) · dead (\d+) · lost (-?\d+)")
COUNT = 60


async def start(*words: str, cwd: Path) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "spiders.demo", "--listings", str(COUNT), *words),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
        # A shell's background ignores SIGINT, and children inherit that: the demo would rightly ignore it too.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def left_behind(directory: str) -> list[str]:
    """Programs that name the demo's directory, or lie in it."""
    found = []
    for program in psutil.process_iter(["pid", "cmdline", "cwd"]):
        told = " ".join([*(program.info["cmdline"] or []), program.info["cwd"] or ""])
        if directory in told:
            found.append(told)
    return found


def is_there(directory: Path) -> bool:
    return directory.exists()


@pytest.fixture
def empty(tmp_path):
    yield tmp_path
    assert list(tmp_path.iterdir()) == [], "the demo wrote into the directory that it was called from"


async def test_the_demo_ends_with_one_line_of_figures_that_agree(empty):
    program = await start(cwd=empty)
    said, complained = (text.decode() for text in await program.communicate())
    assert program.returncode == 0, said + complained
    lines = said.splitlines()
    assert [line for line in lines if LINE.fullmatch(line)] == lines[-1:]
    scraped, inserted, updated, unchanged, dead, lost = map(int, LINE.fullmatch(lines[-1]).groups())
    assert (scraped, inserted, updated, unchanged, dead, lost) == (120, 58, 7, 51, 4, 0)
    assert "first crawl: 60 of 60 items settled" in said
    assert "7 prices changed" in said
    assert complained == ""


async def test_the_figures_as_json_are_all_that_is_on_standard_output(empty):
    program = await start("--json", cwd=empty)
    said, complained = await program.communicate()
    assert program.returncode == 0, complained.decode()
    told = json.loads(said)
    assert (told["scraped"], told["lost"], told["rows"], told["disagreements"]) == (120, 0, 58, [])
    assert [crawl["total"] for crawl in told["crawls"]] == [60, 60]
    assert sum(reason["items"] for reason in told["dead_letters"]) == told["dead"] == 4


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_demo_that_is_stopped_leaves_nothing_running_and_no_directory(empty, number):
    program = await start(cwd=empty)
    first = (await program.stdout.readline()).decode()
    directory = Path(first.split()[-1])
    assert is_there(directory), first
    said = b""
    # The first figures of the first crawl: PostgreSQL, the server, the site and a crawl are running now.
    while b"items settled" not in said:
        line = await program.stdout.readline()
        assert line, (await program.stderr.read()).decode()
        said += line
    assert left_behind(str(directory))
    program.send_signal(number)
    _, complained = await program.communicate()
    assert program.returncode == 128 + number
    assert complained.decode() == "stopped; nothing is left running\n"
    assert left_behind(str(directory)) == []
    assert not is_there(directory)
