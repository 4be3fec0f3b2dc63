"""The power loss forgets what was not synced and nothing else; without the sync, what was answered is forgotten: it bites."""

import random
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from loadtests.faults.power import forget, prepare, state_of

_BEGIN = """
import os, sys
from pathlib import Path
from loadtests.faults.power import Notes
root = Path(sys.argv[1])
notes = Notes(root)
"""
_SQLITE = """
from loadtests.faults.power_sqlite import connect_over
one = connect_over(notes)(root / "journal.sqlite3", create=True)
for pragma in ("locking_mode=EXCLUSIVE", "journal_mode=WAL", f"synchronous={sys.argv[2]}", "wal_autocheckpoint=20"):
    list(one.execute(f"PRAGMA {pragma}"))
list(one.execute("CREATE TABLE IF NOT EXISTS batches (number INTEGER PRIMARY KEY, body BLOB)"))
folder = os.open(root, os.O_RDONLY); os.fsync(folder); notes.folder_synced(notes.root)
"""
_FILES = """
from loadtests.faults.power_files import watch_files
watch_files(notes)
from scrapy_batching.spool.disk import append, fsync_file, fsync_folder, write_whole, APPENDING
"""


def killed(root: Path, *parts: str, argument: str = "") -> list[str]:
    """Runs the code until it says that it has done; then it is killed. What it printed."""
    code = "\n".join([*map(textwrap.dedent, parts), "print('done', flush=True)", "sys.stdin.read()"])
    with subprocess.Popen(
        [sys.executable, "-c", code, str(root), argument], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        said = []
        while (line := process.stdout.readline().strip()) not in {"done", ""}:
            said.append(line)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL, said
    return said


_COMMITS = """
for number in range(60):
    list(one.execute("INSERT INTO batches (body) VALUES (?)", (os.urandom(3000),)))
    print(number + 1, flush=True)
list(one.execute("BEGIN"))
for number in range(500):
    list(one.execute("INSERT INTO batches (body) VALUES (?)", (os.urandom(30000),)))
"""
_COUNT = """
assert list(one.execute("PRAGMA integrity_check")) == [("ok",)]
print(list(one.execute("SELECT count(*) FROM batches"))[0][0])
"""


@pytest.mark.parametrize("seed", [None, 1, 2, 3, 4])
def test_what_was_committed_with_full_sync_is_there(tmp_path, seed):
    root = tmp_path / "journal"
    assert killed(root, _BEGIN, _SQLITE, _COMMITS, argument="FULL")[-1] == "60"
    forgotten = forget(root, seed=seed)
    assert killed(root, _BEGIN, _SQLITE, _COUNT, argument="FULL") == ["60"]
    assert seed is not None or forgotten.bytes > 0


def test_what_was_committed_without_sync_is_forgotten(tmp_path):
    root = tmp_path / "journal"
    assert killed(root, _BEGIN, _SQLITE, _COMMITS, argument="OFF")[-1] == "60"
    assert forget(root).bytes > 60 * 3000
    assert (root / "journal.sqlite3").stat().st_size <= 4096  # its first page is synced by the change to WAL
    assert (root / "journal.sqlite3-wal").stat().st_size == 0


_OVERWRITES = """
list(one.execute("INSERT INTO batches (body) VALUES ('old')"))
list(one.execute("PRAGMA wal_checkpoint(TRUNCATE)"))
list(one.execute("PRAGMA synchronous=OFF"))
list(one.execute("UPDATE batches SET body = 'new'"))
list(one.execute("PRAGMA wal_checkpoint(TRUNCATE)"))
"""


def test_what_was_written_over_without_sync_is_as_it_was(tmp_path):
    root = tmp_path / "journal"
    killed(root, _BEGIN, _SQLITE, _OVERWRITES, argument="FULL")
    assert b"new" in (root / "journal.sqlite3").read_bytes()
    forget(root)
    assert b"old" in (root / "journal.sqlite3").read_bytes()


def test_a_second_power_loss_forgets_only_its_own(tmp_path):
    root = tmp_path / "journal"
    for number in (1, 2, 3):
        killed(root, _BEGIN, _SQLITE, _COMMITS, argument="FULL")
        forget(root, seed=number)
        assert killed(root, _BEGIN, _SQLITE, _COUNT, argument="FULL") == [str(60 * number)]


def test_a_second_process_does_not_make_the_first_ones_writes_last(tmp_path):
    root = tmp_path / "spool"
    killed(root, _BEGIN, _FILES, "(root / 'a').write_bytes(b'x' * 5000)")
    killed(root, _BEGIN, _FILES, "")
    assert (root / "a").stat().st_size == 5000  # SIGKILL alone costs nothing
    assert forget(root).names == 1
    assert list(root.iterdir()) == []


_APPEND = """
one = os.open(root / "a", APPENDING, 0o600)
append(one, b"first\\n", 0)
os.fsync(one)
fsync_folder(root)
append(one, b"second\\n", 6)
"""


def test_what_was_appended_after_the_sync_is_forgotten(tmp_path):
    root = tmp_path / "spool"
    killed(root, _BEGIN, _FILES, _APPEND)
    assert (root / "a").read_bytes() == b"first\nsecond\n"
    forget(root)
    assert (root / "a").read_bytes() == b"first\n"


def test_with_a_seed_some_of_what_was_appended_may_stay(tmp_path):
    found = set()
    for seed in range(20):
        root = tmp_path / str(seed)
        prepare(root)
        (root / "a").write_bytes(b"x" * 3000)
        forget(root, seed=seed)
        content = (root / "a").read_bytes()
        assert content == b"x" * len(content)
        found.add(len(content))
    assert {0, 3000} < found


@pytest.mark.parametrize(
    ("code", "left"),
    [
        ("write_whole(root / 'a', b'new')", {"a": b"old"}),
        ("write_whole(root / 'a', b'new'); fsync_folder(root)", {"a": b"new"}),
        ("(root / 'a').unlink()", {"a": b"old"}),
        ("(root / 'a').unlink(); fsync_folder(root)", {}),
        ("(root / 'a').rename(root / 'b')", {"a": b"old"}),
        ("(root / 'a').rename(root / 'b'); fsync_folder(root)", {"b": b"old"}),
        ("(root / 'a').rename(root / 'b'); (root / 'a').write_bytes(b'new'); os.sync()", {"a": b"new", "b": b"old"}),
        ("(root / 'a').write_bytes(b'n')", {"a": b"old"}),
        ("os.truncate(root / 'a', 1)", {"a": b"old"}),
        ("os.truncate(root / 'a', 1); fsync_file(root / 'a')", {"a": b"o"}),
        ("(root / 'd').mkdir(); write_whole(root / 'd' / 'b', b'new'); fsync_folder(root / 'd')", {"a": b"old"}),
        ("(root / 'b').write_bytes(b'new'); fsync_folder(root)", {"a": b"old", "b": b""}),
    ],
)
def test_names_last_with_the_sync_of_their_folder(tmp_path, code, left):
    root = tmp_path / "spool"
    root.mkdir()
    (root / "a").write_bytes(b"old")
    killed(root, _BEGIN, _FILES, code)
    forget(root)
    assert {path.name: path.read_bytes() for path in root.rglob("*") if path.is_file()} == left


def test_on_a_disk_that_keeps_the_order_any_sync_makes_earlier_names_last(tmp_path):
    root = tmp_path / "spool"
    killed(root, _BEGIN, _FILES, "(root / 'd').mkdir(); write_whole(root / 'd' / 'b', b'x'); fsync_folder(root / 'd')")
    forget(root, ordered=True)
    assert (root / "d" / "b").read_bytes() == b"x"


def test_many_removed_files_are_not_kept_for_ever(tmp_path):
    root = tmp_path / "spool"
    killed(
        root, _BEGIN, _FILES, "for n in range(2000): (root / str(n)).write_bytes(b'x' * 9000); (root / str(n)).unlink()"
    )
    assert len(list((state_of(root) / "kept").iterdir())) < 600
    forget(root)
    assert state_of(root).is_dir()


@pytest.mark.parametrize(
    ("code", "left"),
    [
        ("notes.renaming(str(root / 'a'), str(root / 'b'))", {"a": b"old", "b": b"other"}),
        ("notes.removing(str(root / 'a'))", {"a": b"old", "b": b"other"}),
        ("notes.creating(str(root / 'c'))", {"a": b"old", "b": b"other"}),
        ("(root / 'a').rename(root / 'b')", {"a": b"old", "b": b"other"}),
    ],
)
def test_killed_between_the_note_and_the_change_nothing_is_undone_that_was_not_done(tmp_path, code, left):
    root = tmp_path / "spool"
    root.mkdir()
    (root / "a").write_bytes(b"old")
    (root / "b").write_bytes(b"other")
    killed(root, _BEGIN, _FILES, code)
    forget(root)
    assert {path.name: path.read_bytes() for path in root.iterdir()} == left


def test_where_there_are_no_links_what_was_removed_comes_back_as_it_was_synced(tmp_path):
    root = tmp_path / "spool"
    root.mkdir()
    (root / "a").write_bytes(b"old")
    no_links = "def link(*_): raise OSError\nos.link = link"
    killed(root, _BEGIN, _FILES, no_links, "open(root / 'a', 'ab').write(b'new')", "(root / 'a').unlink()")
    forget(root)
    assert (root / "a").read_bytes() == b"old"


def test_a_power_loss_of_what_nobody_watched_says_so(tmp_path):
    with pytest.raises(FileNotFoundError, match="launch --power"):
        forget(tmp_path)


def test_what_survives_a_torn_commit_is_still_a_database(tmp_path):
    """Whatever survives of an unsynced transaction, SQLite takes none of it, or all."""
    for seed in random.Random(7).sample(range(1000), 4):
        root = tmp_path / str(seed)
        killed(root, _BEGIN, _SQLITE, _COMMITS, argument="FULL")
        forget(root, seed=seed)
        assert killed(root, _BEGIN, _SQLITE, _COUNT, argument="FULL") == ["60"]
