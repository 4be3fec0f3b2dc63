"""Every `journaled` answer comes after a sync of the journal; without the sync the trace says so."""

import shutil

import pytest

from loadtests.faults.needs import NotPossible
from loadtests.faults.trace import Call, examine, trace


def test_every_journaled_answer_comes_after_a_sync(tmp_path, database):
    if shutil.which("strace") is None:
        with pytest.raises(NotPossible, match="strace"):
            trace(tmp_path, database=database)
        return
    traced = trace(tmp_path, database=database, batches=20)
    assert traced.breaches == ()
    assert traced.answers == 20
    assert traced.syncs > 0


def test_a_journal_without_sync_is_found_out(tmp_path, database):
    if shutil.which("strace") is None:
        with pytest.raises(NotPossible, match="strace"):
            trace(tmp_path, database=database)
        return
    traced = trace(tmp_path, database=database, batches=4, launch=["--break", "fsync"])
    assert traced.answers == 4
    assert len(traced.breaches) == 4


def test_without_strace_it_is_not_possible(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(NotPossible, match="strace is not installed"):
        trace(tmp_path, database="postgresql://nobody@127.0.0.1:1/none")


def _calls(*steps: tuple[str, str, str]) -> list[Call]:
    return [Call(name, path, at, at + 0.5, text) for at, (name, path, text) in enumerate(steps)]


WRITE, SYNC = ("pwrite64", "/j-wal", "… one …"), ("fdatasync", "/j-wal", "")
ANSWER = ("sendto", "TCP:[a->b]", "HTTP/1.1 202 Accepted … one …")


@pytest.mark.parametrize(
    ("calls", "is_kept"),
    [
        (_calls(WRITE, SYNC, ANSWER), True),
        (_calls(WRITE, ANSWER, SYNC), False),
        (_calls(SYNC, WRITE, ANSWER), False),
        (_calls(WRITE, SYNC, WRITE, ANSWER), True),  # for a neighbour on the same page
        (_calls(WRITE, ("fsync", "/j", ""), ANSWER), False),
        (_calls(ANSWER), False),
        (_calls(WRITE, SYNC), False),
        ([*_calls(WRITE), Call("fsync", "/j-wal", 0.4, 0.9, ""), Call(*ANSWER[:2], 2, 3, ANSWER[2])], False),
        ([*_calls(WRITE), Call("fsync", "/j-wal", 0.6, 2.5, ""), Call(*ANSWER[:2], 2, 3, ANSWER[2])], False),
    ],
)
def test_only_a_sync_that_lies_between_keeps_the_promise(calls, is_kept):
    assert (examine(calls, ["one"]).breaches == ()) is is_kept
