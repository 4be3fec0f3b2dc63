"""The command before there is a command line."""

import subprocess
import sys

import pytest

_WITHOUT = "sys.modules['asyncpg'] = None"
_INTERRUPTED = "sys.meta_path.insert(0, type('Finder', (), {'find_spec': interrupt}))"
_WHILE_IT_RUNS = "import ingest_server.cli; ingest_server.cli.cli = interrupt"


def start(before: str) -> subprocess.CompletedProcess[str]:
    program = f"""
import sys
from ingest_server.__main__ import main
def interrupt(*_):
    raise KeyboardInterrupt
{before}
main()
"""
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False)


def test_without_the_extra_it_says_what_to_install() -> None:
    done = start(_WITHOUT)
    assert done.returncode == 1
    assert done.stderr == (
        "ingest-server: the server's extra is not installed (asyncpg is missing):"
        " pip install 'scrapy-batching[server,embedded]'\n"
    )


@pytest.mark.parametrize("when", [_INTERRUPTED, _WHILE_IT_RUNS])
def test_who_is_interrupted_says_nothing(when: str) -> None:
    done = start(when)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
