"""The checker is fed with what must not be: it finds each, and nothing where all is well."""

import asyncpg
import orjson
import pytest

from loadtests.faults.checker import Sent, check
from loadtests.faults.sequence import TABLES, Plain, index_of, is_bad, item

ITEMS = 1000
CRAWL = "c-0"


@pytest.fixture
async def sql(database):
    connection = await asyncpg.connect(database)
    await connection.execute(TABLES)
    yield connection
    await connection.close()


async def arrive(sql, indices):
    """As the server does it: rows, upserts by revision, dead letters."""
    for index in indices:
        one = item(CRAWL, index)
        table = type(one).__name__.lower()
        if is_bad(index):
            await bury(sql, one, table)
        elif table == "plain":
            await sql.execute("INSERT INTO plain VALUES ($1, $2, $3, $4)", one.crawl, one.n, one.rev, one.price)
        else:
            await sql.execute(
                "INSERT INTO keyed AS old VALUES ($1, $2, $3, $4) ON CONFLICT (crawl, n) DO UPDATE "
                "SET rev = excluded.rev, price = excluded.price WHERE old.rev <= excluded.rev",
                *(one.crawl, one.n, one.rev, one.price),
            )


async def bury(sql, one, table, raw=None):
    await sql.execute(
        "INSERT INTO ingest.dead_letters (owner, id, table_schema, table_name, batch, index, code, message, raw, "
        "attempts, created_at) VALUES ('', gen_random_uuid(), 'public', $1, gen_random_uuid(), 0, 'x', 'x', $2, 1, now())",
        table,
        raw or orjson.dumps(one),
    )


async def found(sql, *, taken=((0, ITEMS - 1),), yielded=((0, ITEMS - 1),)):
    return await check(sql, [Sent(CRAWL, list(taken), list(yielded))])


async def test_all_is_well(sql):
    await arrive(sql, range(ITEMS))
    findings = await found(sql)
    assert (findings.items, findings.lost, findings.twice, findings.breaches) == (ITEMS, 0, 0, [])


async def test_what_was_yielded_and_never_taken_may_arrive_or_not(sql):
    await arrive(sql, range(600))
    findings = await found(sql, taken=[(0, 499)])
    assert (findings.items, findings.lost, findings.twice, findings.breaches) == (500, 0, 0, [])


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM plain WHERE n = 500",
        "DELETE FROM keyed WHERE n = 503",
        "DELETE FROM ingest.dead_letters WHERE table_name = 'plain' AND raw LIKE '%\"n\":408,%'",
        "UPDATE keyed SET rev = 1, price = 21 * 7 % 1000 + 1 WHERE n = 21",  # 39 sent 21 again, and is gone
    ],
)
async def test_a_lost_item_is_found(sql, statement):
    await arrive(sql, range(ITEMS))
    assert await sql.execute(statement) in ("DELETE 1", "UPDATE 1")
    findings = await found(sql)
    assert (findings.lost, findings.twice, findings.breaches) == (1, 0, [])
    assert findings.examples[0].startswith(f"lost {CRAWL}/")


async def test_a_second_row_is_found(sql):
    await arrive(sql, range(ITEMS))
    await sql.execute("INSERT INTO plain SELECT * FROM plain WHERE n IN (10, 12)")
    findings = await found(sql)
    assert (findings.lost, findings.twice, findings.breaches) == (0, 2, [])


async def test_a_row_that_is_buried_too_is_found_twice_and_misplaced(sql):
    await arrive(sql, range(ITEMS))
    await bury(sql, item(CRAWL, 10), "plain")
    findings = await found(sql)
    assert (findings.lost, findings.twice, findings.misplaced) == (0, 1, 1)


@pytest.mark.parametrize("stranger", [Plain("other", 2, 1, 15), Plain(CRAWL, ITEMS, 1, ITEMS * 7 % 1000 + 1)])
async def test_what_nobody_sent_is_found(sql, stranger):
    await arrive(sql, range(ITEMS))
    await sql.execute("INSERT INTO plain VALUES ($1, $2, $3, $4)", stranger.crawl, stranger.n, 1, stranger.price)
    findings = await found(sql)
    assert (findings.lost, findings.twice, findings.foreign) == (0, 0, 1)


async def test_a_letter_that_is_no_item_is_found(sql):
    await arrive(sql, range(ITEMS))
    await bury(sql, None, "plain", raw=b'{"crawl":"c-0","n":')
    assert (await found(sql)).foreign == 1


async def test_another_content_is_found(sql):
    await arrive(sql, range(ITEMS))
    await sql.execute("UPDATE plain SET price = price + 1 WHERE n = 10")
    findings = await found(sql)
    assert findings.altered == 1
    assert findings.breaches == ["1 rows with another content than was sent"]


def test_an_item_leads_back_to_its_index():
    for index in range(ITEMS):
        one = item(CRAWL, index)
        assert index_of(one.n, one.rev) == index
        assert (one.price == "bad") == is_bad(index)
