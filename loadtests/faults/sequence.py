"""What is sent, as pure functions of an index: spider, sender and checker agree on them without a word.

A crawl yields the indices 0, 1, 2, … Even ones go to `plain` (no key: append), odd ones to `keyed` (upsert, newest_by).
Every twentieth sends an earlier key of `keyed` again, with the next revision; a few per thousand are bad on purpose.
"""

from dataclasses import dataclass

AGAIN_EVERY = 20
AGAIN_BACK = 18
BAD_EVERY = 400
BAD_AT = (7, 8)
"""Neither is sent again, nor sends again: 7 and 8 are not 1 or 19 modulo 20."""

TABLES = """
CREATE TABLE plain (crawl text NOT NULL, n bigint NOT NULL, rev integer NOT NULL, price bigint NOT NULL);
CREATE TABLE keyed (crawl text, n bigint, rev integer NOT NULL, price bigint NOT NULL, PRIMARY KEY (crawl, n));
CREATE TABLE probe (crawl text NOT NULL, n bigint NOT NULL);
"""

OPTIONS = """
[table.plain]
mode = "append"
[table.keyed]
mode = "upsert"
newest_by = "rev"
[table.probe]
mode = "append"
"""

IS_AGAIN = f"(i % {AGAIN_EVERY} = {AGAIN_EVERY - 1})"
"""SQL, over a column `i`: this index sends an earlier key again."""

IS_BAD = f"(i % {BAD_EVERY} IN {BAD_AT})"
INDEX = f"(n + {AGAIN_BACK} * (rev - 1))"
"""SQL, over the columns of a row: the index that it was yielded with."""

PRICE = "(n * 7 % 1000 + rev)"


@dataclass(slots=True)
class Plain:
    """An item of `plain`."""

    crawl: str
    n: int
    rev: int
    price: int | str


@dataclass(slots=True)
class Keyed:
    """An item of `keyed`."""

    crawl: str
    n: int
    rev: int
    price: int | str


def item(crawl: str, index: int) -> Plain | Keyed:
    if index % 2 == 0:
        return Plain(crawl, index, 1, _price(index, 1))
    if index % AGAIN_EVERY == AGAIN_EVERY - 1:
        n = index - AGAIN_BACK
        return Keyed(crawl, n, 2, _price(n, 2))
    return Keyed(crawl, index, 1, _price(index, 1))


def index_of(n: int, rev: int) -> int:
    return n + AGAIN_BACK * (rev - 1)


def is_bad(index: int) -> bool:
    return index % BAD_EVERY in BAD_AT


def _price(n: int, rev: int) -> int | str:
    return "bad" if is_bad(index_of(n, rev)) else n * 7 % 1000 + rev
