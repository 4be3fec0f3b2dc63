"""The figures of the demo, and whether those who counted agree: Scrapy, the server, the tables and the site itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spiders.demo.tables import Row
from spiders.listings import Listing


@dataclass(frozen=True)
class Look:
    """One crawl from every side; `before` and `after` are the rows of the table."""

    crawl: str
    stats: Mapping[str, Any]
    totals: Mapping[str, int]
    letters: int
    before: Mapping[str, Row]
    after: Mapping[str, Row]
    truth: Mapping[str, Listing]
    spooled: int = 0

    @property
    def scraped(self) -> int:
        """Items that went through every pipeline, by Scrapy's count."""
        count: int = self.stats.get("item_scraped_count", 0)
        return count

    @property
    def delivered(self) -> int:
        """Items that the server has for good, by the client's count."""
        count: int = self.stats.get("batching/items/delivered", 0)
        return count

    @property
    def changed(self) -> list[str]:
        """Keys of the rows that were there before and are different now."""
        return [key for key, row in self.after.items() if key in self.before and self.before[key] != row]

    def total(self, name: str) -> int:
        """One of the server's totals."""
        return self.totals.get(name, 0)


@dataclass(frozen=True)
class Figures:
    """What the demo ends with."""

    scraped: int
    inserted: int
    updated: int
    unchanged: int
    dead: int

    @property
    def lost(self) -> int:
        """Scraped, and neither in the table nor among the dead letters."""
        return self.scraped - self.inserted - self.updated - self.unchanged - self.dead

    def __str__(self) -> str:
        return (
            f"scraped {self.scraped} · inserted {self.inserted} · updated {self.updated} ·"
            f" unchanged {self.unchanged} · dead {self.dead} · lost {self.lost}"
        )


def figures(looks: Sequence[Look]) -> Figures:
    """The sums over all crawls."""

    def total(name: str) -> int:
        return sum(look.total(name) for look in looks)

    return Figures(
        scraped=sum(look.scraped for look in looks),
        inserted=total("inserted"),
        updated=total("updated"),
        unchanged=total("unchanged"),
        dead=total("failed"),
    )


def disagreements(look: Look) -> list[str]:
    """Every pair of figures that should be equal and is not, as a sentence."""
    new = len(look.after.keys() - look.before.keys())
    kept = len(look.after.keys() & look.before.keys())
    changed = len(look.changed)
    settled = sum(look.total(name) for name in ("inserted", "updated", "unchanged", "failed"))
    pairs = (
        ("items scraped (Scrapy)", look.scraped, "items delivered (client)", look.delivered),
        ("items scraped (Scrapy)", look.scraped, "items received (server)", look.total("total")),
        ("items scraped (Scrapy)", look.scraped, "items settled (server)", settled),
        ("items pending (server)", look.total("pending"), "none", 0),
        ("items missing (server)", look.total("missing"), "none", 0),
        ("batches in the spool", look.spooled, "none", 0),
        ("inserted (server)", look.total("inserted"), "new rows (table)", new),
        ("updated (server)", look.total("updated"), "changed rows (table)", changed),
        ("unchanged (server)", look.total("unchanged"), "rows that stayed as they were (table)", kept - changed),
        ("dead (server)", look.total("failed"), "dead letters (table)", look.letters),
        ("rows (table)", len(look.after), "sound listings (site)", len(look.truth)),
        ("rows that differ from the site", _wrong(look), "none", 0),
    )
    return [
        f"{look.crawl}: {what} is {figure}, but {other_what} is {other}"
        for what, figure, other_what, other in pairs
        if figure != other
    ]


def _wrong(look: Look) -> int:
    """Rows that are not what the site shows, or that the site never showed."""
    return sum(
        key not in look.truth
        or (row["price"], row["updated_at"], row["title"])
        != (look.truth[key].price, look.truth[key].updated_at, look.truth[key].title)
        for key, row in look.after.items()
    )
