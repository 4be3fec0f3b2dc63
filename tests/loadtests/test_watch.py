import subprocess
import sys

import psutil

from loadtests.watch import Watch, cpu_seconds, resident

BUSY = "import time\nwhile time.process_time() < 0.3: pass\nprint('done', flush=True); input()"
BURNT = 0.3 - 0.03  # the system counts a process's time in ticks of 10 ms, user and system apart


def test_cpu_and_memory_of_a_process_and_its_children_are_seen():
    nested = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {BUSY!r}])"
    with subprocess.Popen(
        [sys.executable, "-c", nested], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as ran:
        with Watch({"server": psutil.Process(ran.pid), "absent": None}, rss_of="server") as watch:
            assert ran.stdout.readline() == "done\n"
        assert set(watch.usage.cpu) == {"server"}
        assert 0.1 < watch.usage.cpu["server"] < 5
        assert watch.usage.rss_peak > resident(psutil.Process(ran.pid)) / 2
        before = cpu_seconds(psutil.Process(ran.pid))
        ran.communicate("\n")
    assert before >= BURNT


def test_the_cpu_of_a_child_that_has_ended_is_not_lost():
    program = (
        f"import subprocess, sys; subprocess.run([sys.executable, '-c', {BUSY!r}]); print('end', flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as ran:
        assert ran.stdout.readline() == "done\n"
        ran.stdin.write("\n")
        ran.stdin.flush()
        assert ran.stdout.readline() == "end\n"
        assert cpu_seconds(psutil.Process(ran.pid)) >= BURNT
        ran.communicate("\n")


def test_without_a_server_no_memory_is_seen():
    with Watch({"loader": psutil.Process()}) as watch:
        pass
    assert watch.usage.rss_peak == 0
    assert watch.usage.cpu["loader"] >= 0
