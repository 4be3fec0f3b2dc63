"""Limits of control groups, as files of a made-up machine."""

from pathlib import Path

import pytest

from ingest_server.container import memory_there_is

GIB = 2**30
V1 = "30 23 0:26 {root} /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory"
V2 = "30 23 0:26 {root} /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate"


def machine(root: Path, membership: str, mount: str, limits: dict[str, str]) -> int:
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(membership + "\n")
    (root / "proc/self/mountinfo").write_text(f"22 1 8:1 / / rw - ext4 /dev/sda rw\n{mount}\n")
    for name, text in limits.items():
        path = root / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return memory_there_is(root, total=64 * GIB)


@pytest.mark.parametrize(
    ("membership", "mount", "limits", "gibibytes"),
    [
        ("0::/", V2.format(root="/"), {"memory.max": str(2 * GIB)}, 2),
        ("0::/", V2.format(root="/"), {"memory.max": "max"}, 64),
        ("0::/", V2.format(root="/"), {"memory.max": "max", "memory.high": str(3 * GIB)}, 3),
        # a service below a slice: the smallest on the way up counts
        ("0::/a.slice/b", V2.format(root="/"), {"a.slice/b/memory.max": "max", "a.slice/memory.max": str(4 * GIB)}, 4),
        ("0::/a/b", V2.format(root="/"), {"a/b/memory.max": str(GIB), "a/memory.max": str(4 * GIB)}, 1),
        # a container without a namespace of its own sees its group as the top of the mount
        ("0::/docker/c1", V2.format(root="/docker/c1"), {"memory.max": str(5 * GIB)}, 5),
        (
            "0::/docker/c1/job",
            V2.format(root="/docker/c1"),
            {"memory.max": str(5 * GIB), "job/memory.max": str(GIB)},
            1,
        ),
        # the path leads out of what is mounted
        ("0::/../../other", V2.format(root="/"), {"memory.max": str(6 * GIB)}, 6),
        ("4:memory:/", V1.format(root="/"), {"memory/memory.limit_in_bytes": str(2 * GIB)}, 2),
        ("4:memory:/", V1.format(root="/"), {"memory/memory.limit_in_bytes": "9223372036854771712"}, 64),
        (
            "9:name=systemd:/x\n4:cpu,memory:/pod/c",
            V1.format(root="/"),
            {"memory/pod/c/memory.limit_in_bytes": str(8 * GIB), "memory/pod/memory.limit_in_bytes": str(7 * GIB)},
            7,
        ),
        # what is above cannot be seen from inside, but is said
        (
            "4:memory:/docker/c1",
            V1.format(root="/docker/c1"),
            {
                "memory/memory.limit_in_bytes": "9223372036854771712",
                "memory/memory.stat": f"cache 1\nhierarchical_memory_limit {3 * GIB}",
            },
            3,
        ),
        ("3:cpu:/x", V1.format(root="/"), {"memory/memory.limit_in_bytes": str(GIB)}, 64),
        ("no line of the kernel's", "nor this", {}, 64),
    ],
)
def test_the_smallest_limit_on_the_way_up_counts(tmp_path, membership, mount, limits, gibibytes) -> None:
    assert machine(tmp_path, membership, mount, limits) == gibibytes * GIB


def test_a_machine_without_control_groups_has_what_it_has(tmp_path) -> None:
    assert memory_there_is(tmp_path, total=GIB) == GIB
    assert memory_there_is() > GIB // 4
