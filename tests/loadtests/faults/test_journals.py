"""The journal at a round's end: empty, or a breach."""

import sqlite3

import pytest

from loadtests.faults.journals import check_journal
from loadtests.faults.world import World


@pytest.fixture
def made(tmp_path):
    one = World(tmp_path, "x", postgres=None, http=None)
    one.journal.mkdir()
    return one


def leave(made, batches):
    one = sqlite3.connect(made.journal / "journal-1.sqlite3")
    one.execute("CREATE TABLE batches (number INTEGER PRIMARY KEY)")
    one.executemany("INSERT INTO batches VALUES (?)", [(number,) for number in range(batches)])
    one.commit()
    one.close()


def test_a_file_without_a_batch_is_well(made):
    leave(made, 0)
    check_journal(made)
    assert made.breaches == []


def test_a_batch_that_waits_is_a_breach(made):
    leave(made, 2)
    check_journal(made)
    assert made.breaches == ["2 batches wait in the journal's journal-1.sqlite3, though all is settled"]


def test_a_damaged_file_is_a_breach(made):
    (made.journal / "journal-1.sqlite3.damaged").write_bytes(b"")
    (made.journal / "journal-2.sqlite3").write_bytes(b"no database" * 100)
    check_journal(made)
    assert made.breaches[0] == "the journal keeps journal-1.sqlite3.damaged"
    assert made.breaches[1].startswith("the journal's journal-2.sqlite3 cannot be read: ")
