"""The crawl's wing with every Scrapy and every Python that it promises, each cell in an environment of its own.

`make check-matrix` runs them all. One alone: `nox -s "scrapy 2.14, python 3.11"`; `nox -l` names them.
"""

import os
import subprocess
import sys
from pathlib import Path

import nox

SCRAPY = ("2.14", "2.18", "2.19")
"""The oldest that is promised, one before the newest, the newest; of each its latest patch."""
PYTHON = ("3.11", "3.12", "3.13", "3.14")
"""The oldest has every Scrapy, the others the newest. Those that are not installed have no cell."""

TESTS = (
    "tests/scrapy_batching",
    "tests/contracts/test_wings.py",
    "tests/contracts/test_spool_reader.py",
    "tests/contracts/test_killed_crawl.py",
)
"""The crawl's wing, and what joins it to the server's."""

nox.options.error_on_missing_interpreters = True


def interpreter(version: str) -> str | None:
    """An interpreter of this version that starts: on PATH, or installed beside the one that runs this."""
    name = f"python{version}"
    beside = sorted(Path(sys.base_prefix).parent.glob(f"*/bin/{name}"))
    for found in (*(Path(folder) / name for folder in os.get_exec_path()), *beside):
        # A name on PATH may belong to a version manager that has no such version switched on.
        if found.is_file() and _version(found) == version:
            return str(found)
    return None


def _version(python: Path) -> str | None:
    asked = [str(python), "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    try:
        return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def cell(scrapy: str, version: str, python: str) -> None:
    """Registers the session of one Scrapy with one Python."""

    @nox.session(name=f"scrapy {scrapy}, python {version}", python=python)
    def crawl_wing(session: nox.Session) -> None:
        """The crawl's wing."""
        session.install("--quiet", "--editable", ".[dev]", f"scrapy~={scrapy}.0")
        session.run("python", "-c", "import scrapy, sys; print('Scrapy', scrapy.__version__, 'Python', sys.version)")
        together = "--numprocesses=2", "--dist=loadfile"
        session.run("python", "-m", "pytest", "--quiet", *together, *(session.posargs or TESTS))


for one in PYTHON:
    at = interpreter(one)
    if at is not None:
        for line in SCRAPY if one == PYTHON[0] else SCRAPY[-1:]:
            cell(line, one, at)
