"""A run in which every guard has a reason to bite: each says so, and the exit code is 1."""

import subprocess
import sys

import orjson
import pytest
from typer.testing import CliRunner

from loadtests.__main__ import app
from loadtests.faults import audited, world
from loadtests.faults.servers import Server


@pytest.fixture(scope="module")
def bitten(tmp_path_factory):
    """Exit code and breaches of one short run: memory, a slow recovery, an audit that fails, a process that stays."""
    result = tmp_path_factory.mktemp("guards") / "faults.json"
    with pytest.MonkeyPatch.context() as changed:
        changed.setattr(Server, "look", lambda server: setattr(server, "rss_peak", 2 * world.MEMORY_LIMIT))
        changed.setattr(world, "HEALTHY_SECONDS", -1)
        changed.setattr(audited, "_SECONDS", 0)
        left = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        try:
            words = ["faults", "--fault", "read-only", "--items", "1000", "--seed", "1", "--json", str(result)]
            shown = CliRunner().invoke(app, words)
        finally:
            left.communicate(b"\n")
    return shown.exit_code, "\n".join(orjson.loads(result.read_bytes())["breaches"])


@pytest.mark.parametrize(
    "said",
    [
        "server-0 had 1024 MiB, its limit is 512",
        "s only",
        "audit of r0-crawl-0-0 ended with exit code",
        "was left: ",
    ],
)
def test_a_guard_bites(bitten, said):
    code, breaches = bitten
    assert code == 1
    assert said in breaches
