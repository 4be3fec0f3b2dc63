"""The doctor on the machine: each check at its limit, with figures given to it."""

import os
from pathlib import Path

import pytest

from ingest_server.doctor import machine
from ingest_server.doctor.finding import Finding, Level, shown_bytes
from ingest_server.settings import Settings

GIB = 2**30


def only(findings: object) -> Finding:
    (one,) = findings  # type: ignore[misc]
    return one


def settings(**given: object) -> Settings:
    return Settings.read(given)


@pytest.mark.parametrize(("limit", "level"), [(2068, Level.OK), (2067, Level.WARNING), (-1, Level.OK)])
def test_the_limit_of_open_files(limit: int, level: Level) -> None:
    found = only(machine.open_files(settings(max_connections=2000), limit))
    assert found.level is level
    if level is Level.WARNING:
        assert found.remedy == "ulimit -n 2068, LimitNOFILE=2068 in the unit, or --max-connections 1999"


@pytest.mark.parametrize(
    ("given", "level", "words"),
    [
        ({"memory_limit": GIB}, Level.OK, "the limit is 1.0 GiB of 2.0 GiB"),
        ({"memory_limit": GIB, "memory_hard_limit": 2 * GIB}, Level.FAILURE, "before it is met"),
        ({"memory_limit": GIB, "queue_bytes": 2 * GIB}, Level.WARNING, "queue_bytes alone is 2.0 GiB"),
    ],
)
def test_the_limits_of_memory(given: dict[str, int], level: Level, words: str) -> None:
    found = only(machine.memory(settings(**given), 2 * GIB))
    assert (found.level, words in found.text) == (level, True)


def test_a_journal_that_would_not_fit_a_damaged_one_and_none(tmp_path: Path) -> None:
    usual = {"journal_dir": tmp_path / "not" / "there", "database": "postgresql://somewhere"}
    place, fsync = machine.disks(settings(**usual, journal_bytes=4096))
    assert [place.check, fsync.check] == ["journal", "journal's fsync"]
    assert list(tmp_path.iterdir()) == [], "it makes nothing"
    if place.level is Level.OK:  # a machine whose temporary directory is in memory is warned of that
        huge, _ = machine.disks(settings(**usual, journal_bytes=2**60))
        assert huge.level is Level.WARNING
        assert "may be wanted" in huge.text
    (tmp_path / "journal-1.sqlite3.damaged").touch()
    *_, damaged = machine.disks(settings(journal_dir=tmp_path, database="postgresql://somewhere"))
    assert (damaged.level, "journal-1.sqlite3.damaged" in damaged.text) == (Level.WARNING, True)
    off = only(machine.disks(settings(journal="off", database="postgresql://somewhere")))
    assert off.level is Level.WARNING


def test_a_slow_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "fsync_seconds", lambda _: 0.021)
    _, fsync, *_ = machine.disks(settings(journal_dir=tmp_path, database="postgresql://somewhere"))
    assert (fsync.level, "21.00 ms" in fsync.text) == (Level.WARNING, True)


@pytest.mark.parametrize(
    ("kind", "level"), [("ext4", Level.OK), ("tmpfs", Level.WARNING), ("nfs4", Level.WARNING), ("", Level.OK)]
)
def test_a_disk_that_is_far_or_forgets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, level: Level
) -> None:
    monkeypatch.setattr(machine, "file_system_of", lambda _: kind or None)
    place, *_ = machine.disks(settings(journal_dir=tmp_path, journal_bytes=4096, database="postgresql://somewhere"))
    assert place.level is level


def test_the_kind_of_a_file_system_is_the_innermost_mounts(tmp_path: Path) -> None:
    place = tmp_path / "a b"
    place.mkdir()
    mounts = tmp_path / "mounts"
    escaped = str(place.resolve()).replace(" ", "\\040")
    mounts.write_text(f"/dev/x / ext4 rw 0 0\nserver:/y {escaped} nfs4 rw 0 0\ntmpfs /elsewhere tmpfs rw 0 0\n")
    assert machine.file_system_of(place / "journal", mounts) == "nfs4"
    assert machine.file_system_of(tmp_path, mounts) == "ext4"
    assert machine.file_system_of(place, tmp_path / "none") is None
    with mounts.open("a") as more:
        more.write(f"/dev/z {tmp_path.resolve()} xfs rw 0 0\n")
    assert machine.file_system_of(place, mounts) == "xfs", "what is mounted over a directory hides what is in it"


def test_a_directory_of_somebody_else_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)  # these tests may run as root, who may write anywhere
    (place,) = machine.disks(settings(journal_dir=tmp_path, database="postgresql://somewhere"))
    assert (place.level, "may not write" in place.text) == (Level.FAILURE, True)


def test_bytes_for_people() -> None:
    assert [shown_bytes(size) for size in (0, 1023, 1024, 1.5 * GIB, 2**50)] == [
        *("0 bytes", "1023 bytes", "1.0 KiB", "1.5 GiB", "1024.0 TiB"),
    ]
