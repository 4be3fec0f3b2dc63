"""The audit's look into journals without an owner: nothing is changed, and what cannot be read is told."""

import subprocess
import sys
from pathlib import Path

from ingest_server.model import Batch
from ingest_server.queues.orphans import read_orphans
from tests import make
from tests.ingest_server.queues.test_damaged import flip_head
from tests.journals import files, journaled, until


async def journal_of(folder: Path, *batches: Batch) -> None:
    """As a server leaves it that stops while PostgreSQL is away."""
    queue = journaled(folder)
    await queue.open()
    for one in batches:
        await queue.put(one)
    await queue.close()


async def test_a_journal_is_read_and_stays_as_it_was(tmp_path: Path) -> None:
    batch = make.batch({"a": 1}, {"a": 2}, crawl="c")
    await journal_of(tmp_path, batch, make.batch({"a": 1}, crawl="other"), make.batch({"a": 1}, crawl="c", owner="o"))
    for _ in range(2):
        ((where, head),) = read_orphans(tmp_path, "", "c").batches
        assert (where.parent, head.id, head.total) == (tmp_path, batch.id, 2)
    broken = tmp_path / "journal-x.sqlite3"
    broken.write_bytes(b"nonsense" * 1000)
    (said,) = read_orphans(tmp_path, "", "c").unread
    assert str(broken) in said
    assert broken.exists()
    assert read_orphans(tmp_path / "none", "", "c").batches == ()


async def test_of_a_damaged_journal_the_audit_counts_what_the_next_server_rescues(tmp_path: Path) -> None:
    batches = [make.batch({"a": number}, crawl="c") for number in range(3)]
    await journal_of(tmp_path, *batches)
    (file,) = files(tmp_path)
    content = bytearray(file.read_bytes())
    flip_head(content, batches[1])
    file.write_bytes(content)
    for _ in range(2):
        looked = read_orphans(tmp_path, "", "c")
        assert [head.id for _, head in looked.batches] == [batches[0].id, batches[2].id]
        (said,) = looked.unread
        assert f"{file} is damaged: 2 batches can be read, 1 row cannot" in said
    queue = journaled(tmp_path)
    await queue.open()
    await until(lambda: queue.batches == 2 and not file.exists())
    await queue.close()
    looked = read_orphans(tmp_path, "", "c")
    assert {head.id for _, head in looked.batches} == {batches[0].id, batches[2].id}
    kept = f"{file}.damaged: 1 row of it was not readable when it was set aside; keep it until the audit is done"
    assert looked.unread == (kept,)


def test_a_journal_in_use_is_told(tmp_path: Path) -> None:
    """Its owner is another process, as a server is."""
    code = (
        "import sys; from pathlib import Path; from ingest_server.queues.file import JournalFile;"
        "one = JournalFile.create(Path(sys.argv[1]), 'x'); print('held', flush=True); sys.stdin.read()"
    )
    path = tmp_path / "journal-held.sqlite3"
    owner = subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "held\n"
        assert read_orphans(tmp_path, "", "c").in_use == (path,)
    finally:
        owner.communicate("")
    assert read_orphans(tmp_path, "", "c").in_use == ()
