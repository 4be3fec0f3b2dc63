"""The laboratory from the command line, and what it says as JSON."""

import os
import subprocess
import sys
from pathlib import Path

import orjson

HERE = Path(__file__).parents[3]


def laboratory(tmp_path, *words):
    """Exit code, result, everything that was printed."""
    result = tmp_path / "faults.json"
    place = tmp_path / "t"
    place.mkdir()
    ran = subprocess.run(
        [sys.executable, "-m", "loadtests", "faults", *words, "--json", str(result)],
        cwd=HERE,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "TMPDIR": str(place)},
    )
    said = ran.stdout + ran.stderr
    assert result.exists(), said
    return ran.returncode, orjson.loads(result.read_bytes()), said
