"""What every `Ledger` promises, its words in ingest_server/ports.py."""

from dataclasses import replace
from datetime import datetime
from uuid import UUID, uuid4

import pytest

from ingest_server.errors import Unavailable
from ingest_server.model import CrawlClose, DeadLetter, Status, TableName
from ingest_server.ports import BatchFilter, LetterFilter, LetterGroup
from tests import make


def place(letter: DeadLetter) -> tuple[datetime, UUID]:
    return letter.created_at, letter.id


@pytest.fixture
async def things(world):
    await world.make_table("things")
    return world


async def test_what_never_was_is_none(world) -> None:
    assert await world.ledger.batch("", uuid4()) is None
    assert await world.ledger.dead_letter("", uuid4()) is None
    assert await world.ledger.crawl("", "c", []) is None
    assert list(await world.ledger.batches("", BatchFilter())) == []
    assert list(await world.ledger.dead_letters("", LetterFilter())) == []
    assert list(await world.ledger.groups("", LetterFilter())) == []


async def test_batches_come_newest_first_filtered_and_in_pages(things) -> None:
    settled = []
    for number in range(6):
        items = [{"a": number}] if number % 3 else [b"broken"]
        settled.append(await things.sink.write(make.batch(*items, crawl=f"crawl-{number % 2}")))
    settled.reverse()
    ledger = things.ledger
    assert list(await ledger.batches("", BatchFilter())) == settled
    first = await ledger.batches("", BatchFilter(limit=4))
    place = (first[-1].completed_at, first[-1].id)
    assert [*first, *await ledger.batches("", BatchFilter(limit=4, before=place))] == settled
    failed = [one for one in settled if one.status is Status.FAILED]
    assert list(await ledger.batches("", BatchFilter(status=Status.FAILED))) == failed
    odd = [one for one in settled if one.crawl == "crawl-1"]
    assert list(await ledger.batches("", BatchFilter(crawl="crawl-1"))) == odd
    assert list(await ledger.batches("", BatchFilter(crawl="crawl-1", status=Status.COMPLETED, limit=1))) == odd[:1]


async def test_a_crawls_totals_leave_out_what_is_said_to_be_on_its_way(things) -> None:
    one = make.batch({"a": 1}, {"a": 2}, b"broken", crawl="c")
    other = make.batch({"a": 3}, crawl="c")
    for batch in (one, other, make.batch({"a": 4}, crawl="another"), make.batch({"a": 5})):
        await things.sink.write(batch)
    totals = await things.ledger.crawl("", "c", [])
    assert (totals.batches, totals.inserted, totals.updated, totals.unchanged, totals.failed) == (2, 3, 0, 0, 1)
    assert totals.expected is None
    totals = await things.ledger.crawl("", "c", [one.id, uuid4()])
    assert (totals.batches, totals.inserted, totals.failed) == (1, 1, 0)


async def test_the_last_close_of_a_crawl_wins_and_makes_it_where_nothing_was_sent(world) -> None:
    await world.ledger.close_crawl("", "c", CrawlClose(5))
    await world.ledger.close_crawl("", "c", CrawlClose(10, rejected=1, dropped=2, spooled=3, reason="finished"))
    totals = await world.ledger.crawl("", "c", [])
    assert (totals.batches, totals.items, totals.expected, totals.reason) == (0, 10, 4, "finished")
    assert totals.closed_at is not None


async def test_dead_letters_come_newest_first_filtered_grouped_and_in_pages(things) -> None:
    await things.sink.write(make.batch({"a": 1}))
    for _ in range(3):
        await things.sink.write(make.batch(b"broken", crawl="c"))
    await things.sink.write(make.batch({"a": 1}))
    ledger = things.ledger
    letters = list(await ledger.dead_letters("", LetterFilter()))
    assert [letter.code for letter in letters] == ["23505", "invalid", "invalid", "invalid"]
    first = await ledger.dead_letters("", LetterFilter(limit=3))
    assert [*first, *await ledger.dead_letters("", LetterFilter(limit=3, after=place(first[-1])))] == letters
    assert list(await ledger.dead_letters("", LetterFilter(code="23505"))) == letters[:1]
    assert list(await ledger.dead_letters("", LetterFilter(crawl="c"))) == letters[1:]
    table = TableName("public", "things")
    assert list(await ledger.dead_letters("", LetterFilter(table=table))) == letters
    assert list(await ledger.dead_letters("", LetterFilter(table=TableName("public", "others")))) == []
    groups = list(await ledger.groups("", LetterFilter()))
    assert groups[0] == LetterGroup(table, "invalid", None, 3)
    assert (groups[1].code, groups[1].count) == ("23505", 1)


async def test_dead_letters_come_by_column_oldest_first_and_within_so_many_bytes(things) -> None:
    for number in (1, 1, 1, 1):
        await things.sink.write(make.batch({"a": number, "b": "x" * 10} if number else b"{"))
    await things.sink.write(make.batch(b"broken", crawl="c"))
    ledger = things.ledger
    newest_first = list(await ledger.dead_letters("", LetterFilter()))
    oldest_first = list(await ledger.dead_letters("", LetterFilter(oldest_first=True)))
    assert oldest_first == newest_first[::-1]
    for size in (1, 2, 3):
        pages, after = [], None
        while page := await ledger.dead_letters("", LetterFilter(limit=size, after=after, oldest_first=True)):
            pages += page
            after = place(page[-1])
        assert pages == oldest_first
    for bytes_, most in ((1, 1), (len(oldest_first[0].raw) + 1, 2), (2**20, 1000)):
        page = await ledger.dead_letters("", LetterFilter(bytes=bytes_, oldest_first=True))
        assert list(page) == oldest_first[:most]
    unnamed = [letter for letter in newest_first if letter.column is None]
    assert list(await ledger.dead_letters("", LetterFilter(column=""))) == unnamed
    assert list(await ledger.dead_letters("", LetterFilter(column="no such"))) == []
    assert sum(group.count for group in await ledger.groups("", LetterFilter(crawl="c"))) == 1


async def test_a_deleted_letter_is_gone_and_the_pages_behind_it_are_not(things) -> None:
    for _ in range(4):
        await things.sink.write(make.batch(b"broken"))
    ledger = things.ledger
    letters = list(await ledger.dead_letters("", LetterFilter()))
    assert not await ledger.delete_letter("other", letters[1].id)
    assert await ledger.delete_letter("", letters[1].id)
    assert not await ledger.delete_letter("", letters[1].id)
    assert await ledger.dead_letter("", letters[1].id) is None


async def test_letters_that_are_there_are_left_alone_by_an_import(things) -> None:
    await things.sink.write(make.batch(b"broken", b"too", crawl="c"))
    ledger = things.ledger
    letters = list(await ledger.dead_letters("", LetterFilter()))
    changed = [replace(letter, message="changed") for letter in letters]
    assert await ledger.import_letters("", changed) == 0
    await ledger.delete_letter("", letters[0].id)
    assert await ledger.import_letters("", [*changed, *changed]) == 1
    found = {letter.id: letter for letter in await ledger.dead_letters("", LetterFilter())}
    assert found == {letters[0].id: changed[0], letters[1].id: letters[1]}
    assert await ledger.import_letters("other", letters) == 2
    assert await ledger.retried("", letters[0].id, None) is None


async def test_an_owner_never_sees_another_owners(things) -> None:
    settled = await things.sink.write(make.batch({"a": 1}, b"broken", crawl="c", owner="one"))
    await things.ledger.close_crawl("one", "c", CrawlClose(2))
    for owner, sees in (("one", True), ("other", False), ("", False)):
        ledger = things.ledger
        assert (await ledger.batch(owner, settled.id) is not None) is sees
        assert bool(await ledger.batches(owner, BatchFilter())) is sees
        assert (await ledger.crawl(owner, "c", []) is not None) is sees
        assert bool(await ledger.dead_letters(owner, LetterFilter())) is sees
        assert (await ledger.dead_letter(owner, settled.errors[0].dead_letter) is not None) is sees
        assert bool(await ledger.groups(owner, LetterFilter())) is sees


async def test_a_ledger_that_is_away_says_so(world) -> None:
    await world.goes_away()
    ledger = world.ledger
    for asked in (
        ledger.batch("", uuid4()),
        ledger.batches("", BatchFilter()),
        ledger.crawl("", "c", []),
        ledger.close_crawl("", "c", CrawlClose(1)),
        ledger.dead_letters("", LetterFilter()),
        ledger.dead_letter("", uuid4()),
        ledger.groups("", LetterFilter()),
        ledger.delete_letter("", uuid4()),
        ledger.import_letters("", []),
        ledger.retried("", uuid4(), None),
    ):
        with pytest.raises(Unavailable):
            await asked
