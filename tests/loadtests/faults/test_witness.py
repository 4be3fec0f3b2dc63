import os
import signal
import subprocess
import sys
from pathlib import Path

from loadtests.faults.witness import TAKEN, YIELDED, Witness

DIES = """
import os, signal, sys
from pathlib import Path
from loadtests.faults.witness import Witness
seen = Witness(Path(sys.argv[1])).bytes
seen[0] = seen[1] = seen[5] = 2
seen[2] = 1
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_crawl_saw_last_is_there(tmp_path):
    witness = Witness(tmp_path / "x.seen", 8)
    here = Path(__file__).parents[3]
    ran = subprocess.run(
        [sys.executable, "-c", DIES, str(tmp_path / "x.seen")], env={**os.environ, "PYTHONPATH": str(here)}, check=False
    )
    assert ran.returncode == -signal.SIGKILL
    assert (witness.taken(), witness.yielded()) == (3, 4)
    assert witness.ranges(taken=True) == [(0, 1), (5, 5)]
    assert witness.ranges(taken=False) == [(0, 2), (5, 5)]
    witness.close()


def test_taken_is_more_than_yielded():
    assert 0 < YIELDED < TAKEN
