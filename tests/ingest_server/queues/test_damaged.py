"""A damaged journal is set aside with a word, what can be read of it is read, and no start is held up."""

import os
from pathlib import Path

import pytest

from ingest_server.model import Batch, BatchHead
from ingest_server.telemetry import Telemetry
from tests import make
from tests.ingest_server.queues.test_journaled import take
from tests.ingest_server.telemetry.test_telemetry import figures
from tests.journals import files, journaled, names, until

COUNT = 30
PAGE = 16384


@pytest.fixture
def batches() -> list[Batch]:
    return [make.batch({"a": number, "text": chr(65 + number % 26) * 40_000}) for number in range(COUNT)]


async def left(path: Path, batches: list[Batch]) -> Path:
    """A file with these batches, as a server leaves it."""
    queue = journaled(path)
    await queue.open()
    for batch in batches:
        await queue.put(batch)
    await queue.close()
    (file,) = files(path)
    return file


async def read(path: Path, telemetry: Telemetry) -> tuple[list[Batch], list[BatchHead]]:
    """What comes back, and what is told lost."""
    lost: list[BatchHead] = []
    restored: list[BatchHead] = []
    queue = journaled(path, restored=restored.append, lost=lost.append, telemetry=telemetry)
    await queue.open()
    await until(lambda: len(restored) == queue.batches + len(lost))
    found = []
    while queue.batches:
        batch = await take(queue)
        found.append(batch)
        await queue.ack(batch.head)
        if len(found) + len(lost) == len(restored):
            break
    await queue.close()
    return found, lost


async def test_what_is_no_database_is_set_aside(tmp_path, caplog) -> None:
    (tmp_path / "journal-garbage.sqlite3").write_bytes(os.urandom(100_000))
    telemetry = Telemetry()
    assert await read(tmp_path, telemetry) == ([], [])
    assert names(tmp_path) == ["journal-garbage.sqlite3.damaged"]
    assert "journal-garbage.sqlite3.damaged: nothing in it can be read" in caplog.text
    assert "ingest_journal_damaged_total 1.0" in figures(telemetry)


@pytest.mark.parametrize("share", [0.3, 0.7])
async def test_of_a_file_that_is_too_short_the_beginning_is_read(tmp_path, batches, caplog, share: float) -> None:
    file = await left(tmp_path, batches)
    os.truncate(file, int(file.stat().st_size * share))
    found, _ = await read(tmp_path, Telemetry())
    assert found == [one for one in batches if one in found], "each once, and whole"
    assert len(found) >= COUNT * share - 6
    assert [name.rpartition(".")[2] for name in names(tmp_path)] == ["damaged"]
    assert f"{len(found)} batches were rescued" in caplog.text


@pytest.mark.parametrize("broken", [[15], [8, 22]])
async def test_a_broken_page_of_heads_costs_only_what_was_on_it(tmp_path, batches, broken: list[int]) -> None:
    file = await left(tmp_path, batches)
    content = bytearray(file.read_bytes())
    for number in broken:
        place = content.index(str(batches[number].id).encode()) // PAGE * PAGE
        content[place : place + PAGE] = os.urandom(PAGE)
    file.write_bytes(content)
    found, lost = await read(tmp_path, Telemetry())
    assert len({one.id for one in found}) == len(found), "each once"
    assert all(one in batches for one in found)
    assert COUNT - 8 * len(broken) <= len(found) < COUNT
    assert lost == []
    for number in (0, COUNT - 1, *([15] if len(broken) > 1 else [])):
        assert batches[number] in found
    assert [name.rpartition(".")[2] for name in names(tmp_path)] == ["damaged"]


async def test_a_body_with_a_flipped_bit_is_lost_aloud_and_its_file_kept(tmp_path, batches, caplog) -> None:
    file = await left(tmp_path, batches)
    content = bytearray(file.read_bytes())
    content[content.index(b"F" * 10_000)] ^= 1
    file.write_bytes(content)
    telemetry = Telemetry()
    found, lost = await read(tmp_path, telemetry)
    assert lost == [batches[5].head]
    assert found == [one for one in batches if one is not batches[5]]
    assert f"lost: batch {batches[5].id}, table things, 1 items" in caplog.text
    assert "it must be sent again" in caplog.text
    assert "ingest_journal_lost_total 1.0" in figures(telemetry)
    assert [name.rpartition(".")[2] for name in names(tmp_path)] == ["damaged"]
    assert await read(tmp_path, Telemetry()) == ([], [])


async def test_a_body_lost_in_a_salvaged_file_is_told_like_a_single_one(tmp_path, batches, caplog) -> None:
    file = await left(tmp_path, batches)
    content = bytearray(file.read_bytes())
    content[content.index(b"F" * 10_000)] ^= 1
    broken = content.index(b"J" * 16_000) // PAGE * PAGE  # its first bytes say where the body goes on
    content[broken : broken + 4] = b"\xff" * 4
    flip_head(content, batches[7])
    file.write_bytes(content)
    telemetry = Telemetry()
    found, _ = await read(tmp_path, telemetry)
    wanted = [one for number, one in enumerate(batches) if number not in (5, 7, 9)]
    assert sorted(found, key=batches.index) == wanted, "each once, and whole"
    for one in (batches[5], batches[9]):
        assert f"lost: batch {one.id}, table things, 1 items, crawl {one.crawl or '-'} cannot be read" in caplog.text
    assert caplog.text.count("lost: batch") == 2, "nobody knows the third's name"
    assert "ingest_journal_lost_total 2.0" in figures(telemetry)
    assert f"{COUNT - 3} batches were rescued from it, 3 rows could not be read" in caplog.text


def flip_head(content: bytearray, batch: Batch) -> None:
    """Its head names another table."""
    content[content.index(b'"public","things"', content.index(str(batch.id).encode())) + 10] ^= 1


async def test_a_head_with_a_flipped_bit_is_not_believed(tmp_path, batches) -> None:
    file = await left(tmp_path, batches)
    content = bytearray(file.read_bytes())
    flip_head(content, batches[7])
    file.write_bytes(content)
    found, _ = await read(tmp_path, Telemetry())
    assert found == [one for one in batches if one is not batches[7]]
    assert [name.rpartition(".")[2] for name in names(tmp_path)] == ["damaged"]
