"""The journal at a round's end, when every server has stopped: no batch waits in any file of it."""

import sqlite3

from loadtests.faults.world import World


def check_journal(made: World) -> None:
    """What waits, cannot be read, or was set aside as damaged is a breach."""
    for path in sorted(made.journal.glob("*")):
        if path.name.endswith(("-wal", "-shm", ".lock")) or not path.is_file():
            continue
        if ".damaged" in path.name:
            made.breach(f"the journal keeps {path.name}")
            continue
        try:
            one = sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True)
            try:
                waiting = one.execute("SELECT count(*) FROM batches").fetchone()[0]
            finally:
                one.close()
        except sqlite3.Error as error:
            made.breach(f"the journal's {path.name} cannot be read: {error}")
            continue
        if waiting:
            made.breach(f"{waiting} batches wait in the journal's {path.name}, though all is settled")
