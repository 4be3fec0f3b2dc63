"""What every `Sink` promises, its words in ingest_server/ports.py."""

from uuid import uuid4

import pytest

from ingest_server.errors import Misconfigured, Unavailable
from ingest_server.model import Status, TableName
from ingest_server.ports import LetterFilter
from ingest_server.retries import Retry
from tests import make


@pytest.fixture
async def things(world):
    await world.make_table("things")
    return world


async def test_a_batch_is_settled_with_its_rows_and_its_ledger_row(things) -> None:
    batch = make.batch({"a": 1}, {"a": 2}, crawl="c")
    settled = await things.sink.write(batch)
    assert (settled.id, settled.table, settled.crawl, settled.total) == (batch.id, batch.table, "c", 2)
    assert (settled.inserted, settled.failed, settled.errors, settled.status) == (2, 0, (), Status.COMPLETED)
    assert await things.rows("things") == [1, 2]
    assert await things.ledger.batch("", batch.id) == settled


async def test_a_batch_written_twice_is_absorbed(things) -> None:
    batch = make.batch({"a": 1}, {"a": "x"})
    settled = await things.sink.write(batch)
    assert await things.sink.write(batch) == settled
    assert await things.rows("things") == [1]
    assert len(await things.ledger.dead_letters("", LetterFilter())) == 1


async def test_a_refused_item_is_buried_and_does_not_harm_its_neighbours(things) -> None:
    await things.sink.write(make.batch({"a": 5}))
    batch = make.batch({"a": 1}, {"a": 5}, b"broken", {"a": 2}, crawl="c")
    settled = await things.sink.write(batch)
    assert (settled.inserted, settled.failed, settled.status) == (2, 2, Status.COMPLETED)
    assert [(one.refusal.index, one.refusal.code) for one in settled.errors] == [(1, "23505"), (2, "invalid")]
    assert await things.rows("things") == [1, 2, 5]
    for one, raw in zip(settled.errors, [b'{"a":5}', b"broken"], strict=True):
        letter = await things.ledger.dead_letter("", one.dead_letter)
        assert (letter.raw, letter.batch, letter.crawl, letter.code) == (raw, batch.id, "c", one.refusal.code)
        assert (letter.index, letter.attempts) == (one.refusal.index, 1)


async def test_a_batch_of_which_every_item_is_refused_is_settled_as_failed(things) -> None:
    settled = await things.sink.write(make.batch(b"1", b"2"))
    assert (settled.status, settled.failed) == (Status.FAILED, 2)


async def test_of_a_strict_batch_all_items_are_stored_or_none(things) -> None:
    await things.sink.write(make.batch({"a": 5}))
    settled = await things.sink.write(make.batch({"a": 1}, {"a": 5}, strict=True))
    assert [(one.refusal.index, one.refusal.code) for one in settled.errors] == [(0, "strict"), (1, "23505")]
    assert (settled.inserted, settled.failed) == (0, 2)
    assert await things.rows("things") == [5]
    assert (await things.sink.write(make.batch({"a": 1}, {"a": 2}, strict=True))).inserted == 2


async def test_a_name_that_is_in_the_ledger_with_another_body_stores_nothing_and_loses_nothing(things) -> None:
    first = make.batch({"a": 1})
    await things.sink.write(first)
    settled = await things.sink.write(make.batch({"a": 2}, id=first.id))
    assert (settled.inserted, settled.failed) == (0, 1)
    assert await things.rows("things") == [1]
    assert [letter.raw for letter in await things.ledger.dead_letters("", LetterFilter(code="conflict"))] == [
        b'{"a":2}'
    ]
    assert (await things.ledger.batch("", first.id)).inserted == 1


async def test_one_name_of_two_owners_is_two_batches(things) -> None:
    name = uuid4()
    for number, owner in enumerate(("one", "other")):
        assert (await things.sink.write(make.batch({"a": number}, id=name, owner=owner))).inserted == 1
    assert await things.rows("things") == [0, 1]


async def test_a_retry_that_is_stored_takes_its_letter_away_and_one_that_is_refused_keeps_it(things) -> None:
    sent = make.batch({"a": "x"}, {"a": "y"}, {"a": "z"}, {"a": 5}, crawl="c")
    names = [one.dead_letter for one in (await things.sink.write(sent)).errors]
    await things.ledger.delete_letter("", names[2])
    made = [Retry(name, 1, "c", b'{"a": %d}' % value) for name, value in zip(names, (1, 5, 3), strict=True)]
    settled = await things.sink.write(make.retry("", made))
    assert (settled.crawl, settled.inserted, settled.failed) == (None, 1, 2)
    assert [(one.refusal.code, one.dead_letter) for one in settled.errors] == [("23505", names[1]), ("gone", names[2])]
    assert await things.rows("things") == [1, 5]
    (left,) = await things.ledger.dead_letters("", LetterFilter())
    assert (left.id, left.attempts, left.code, left.raw) == (names[1], 2, "23505", b'{"a":"y"}')
    again = await things.sink.write(make.retry("", made))
    assert (again.id, again.inserted, again.failed, again.completed_at) == (settled.id, 1, 2, settled.completed_at)
    assert await things.rows("things") == [1, 5]


async def test_checking_finds_what_validation_finds_and_stores_nothing(things) -> None:
    batch = make.batch({"a": 1}, {"a": "x"}, strict=True)
    assert [(one.index, one.code) for one in await things.sink.check(batch)] == [(1, "invalid")]
    assert await things.rows("things") == []
    assert await things.ledger.batch("", batch.id) is None


async def test_a_table_that_is_not_there_cannot_be_written_and_loses_nothing(world) -> None:
    batch = make.batch({"a": 1})
    assert await world.sink.spec(batch.table) is None
    with pytest.raises(Misconfigured):
        await world.sink.write(batch)
    assert await world.ledger.batch("", batch.id) is None
    await world.make_table("things")
    assert (await world.sink.write(batch)).inserted == 1


async def test_tables_are_named_with_their_columns(things) -> None:
    spec = await things.sink.spec(TableName("public", "things"))
    assert [(column.name, column.nullable) for column in spec.columns] == [("a", False)]
    assert [one.table for one in await things.sink.tables()] == [TableName("public", "things")]


async def test_a_sink_that_is_away_says_so_and_stores_nothing(things) -> None:
    await things.sink.ping()
    await things.goes_away()
    batch = make.batch({"a": 1})
    for asked in (things.sink.write(batch), things.sink.check(batch), things.sink.tables(), things.sink.ping()):
        with pytest.raises(Unavailable):
            await asked
    with pytest.raises(Unavailable):
        await things.sink.spec(TableName("public", "unknown"))
    assert await things.rows("things") == []
