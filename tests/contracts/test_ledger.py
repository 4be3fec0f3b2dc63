"""What every `Ledger` promises, its words in ingest_server/ports.py."""

from uuid import uuid4

import pytest

from ingest_server.errors import Unavailable
from ingest_server.model import CrawlClose, Status, TableName
from ingest_server.ports import BatchFilter, LetterFilter, LetterGroup
from tests import make


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
    assert list(await world.ledger.groups("")) == []


async def test_batches_come_newest_first_filtered_and_in_pages(things) -> None:
    settled = []
    for number in range(6):
        items = [{"a": number}] if number % 3 else [b"broken"]
        settled.append(await things.sink.write(make.batch(*items, crawl=f"crawl-{number % 2}")))
    settled.reverse()
    ledger = things.ledger
    assert list(await ledger.batches("", BatchFilter())) == settled
    first = await ledger.batches("", BatchFilter(limit=4))
    assert [*first, *await ledger.batches("", BatchFilter(limit=4, before=first[-1].id))] == settled
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
    assert [*first, *await ledger.dead_letters("", LetterFilter(limit=3, before=first[-1].id))] == letters
    assert list(await ledger.dead_letters("", LetterFilter(code="23505"))) == letters[:1]
    assert list(await ledger.dead_letters("", LetterFilter(crawl="c"))) == letters[1:]
    table = TableName("public", "things")
    assert list(await ledger.dead_letters("", LetterFilter(table=table))) == letters
    assert list(await ledger.dead_letters("", LetterFilter(table=TableName("public", "others")))) == []
    groups = list(await ledger.groups(""))
    assert groups[0] == LetterGroup(table, "invalid", None, 3)
    assert (groups[1].code, groups[1].count) == ("23505", 1)


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
        assert bool(await ledger.groups(owner)) is sees


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
        ledger.groups(""),
    ):
        with pytest.raises(Unavailable):
            await asked
