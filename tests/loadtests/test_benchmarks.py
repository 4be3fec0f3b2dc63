import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parents[2]


def test_every_benchmark_runs_once_without_being_measured():
    words = ["-m", "pytest", "-q", "loadtests/benchmarks", "--benchmark-disable"]
    ran = subprocess.run([sys.executable, *words], cwd=HERE, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout
    assert "passed" in ran.stdout
