"""What the scenario measures, and how much of it."""

from dataclasses import asdict, dataclass
from typing import Any

from loadtests.pipeline.listings import KINDS

ONE_PAGE = "one-page"
PAGE_JSON = "page-json"
PAGE_HTML = "page-html"
ITEM_A_PAGE = "item-a-page"
SHAPES = {
    ONE_PAGE: "one page yields all items, nothing is parsed",
    PAGE_JSON: "one JSON document holds all items",
    PAGE_HTML: "one HTML page holds all items",
    ITEM_A_PAGE: "one item a page",
}
LEASTS = {
    ITEM_A_PAGE: ("throughput kept, one item a page", 0.97),
    ONE_PAGE: ("throughput kept, one page yields all items, nothing is parsed", 0.90),
    PAGE_JSON: ("throughput kept, one JSON document holds all items", 0.90),
    PAGE_HTML: ("throughput kept, one HTML page holds all items", 0.90),
}
"""The goal of each shape: the least share of an empty pipeline's throughput."""

CONTENDERS = {
    "none": "no pipeline",
    "empty": "a pipeline that returns the item",
    "ours": "scrapy-batching, default settings, spool on",
    "feed": "Scrapy's JSON Lines feed, a local file",
    "psycopg": "psycopg, INSERT and commit for each item",
    "asyncpg": "asyncpg, a pool, INSERT for each item",
}
ONE_BY_ONE = frozenset({"psycopg", "asyncpg"})
"""They wait for the database with each item; of the items they are given `most_one_by_one`."""


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where a cell stands: the same items, crawled in the same way by every contender."""

    shape: str
    items: int
    kind: str


@dataclass(frozen=True, slots=True)
class Plan:
    """The options of the command line, with the defaults of a full run."""

    items: tuple[int, ...] = (20_000, 100_000)
    pages: int = 5_000
    kinds: tuple[str, ...] = tuple(KINDS)
    shapes: tuple[str, ...] = tuple(SHAPES)
    contenders: tuple[str, ...] = tuple(CONTENDERS)
    rounds: int = 10
    most_one_by_one: int = 5_000
    seed: int = 1

    @property
    def places(self) -> list[Place]:
        """Every cell."""
        # A page that is parsed takes up to a millisecond an item: the first of the sizes is enough.
        first = self.items[:1]
        numbers = {ONE_PAGE: self.items, PAGE_JSON: first, PAGE_HTML: first, ITEM_A_PAGE: (self.pages,)}
        return [Place(shape, items, kind) for shape in self.shapes for items in numbers[shape] for kind in self.kinds]

    @property
    def crawls(self) -> int:
        return len(self.places) * len(self.contenders) * self.rounds

    def items_of(self, place: Place, contender: str) -> int:
        """How many items a contender is given: the slowest need not have all to show what one costs."""
        return min(place.items, self.most_one_by_one) if contender in ONE_BY_ONE else place.items


QUICK: dict[str, Any] = {"items": (10_000,), "pages": 2_000, "rounds": 3, "most_one_by_one": 1_000}
"""What `--quick` says instead."""


@dataclass(frozen=True, slots=True)
class Order:
    """One crawl, as its process is told."""

    contender: str
    kind: str
    shape: str
    items: int
    seed: int
    pages: str
    """Address of the site."""
    server: str
    """Address of the ingestion server."""
    dsn: str
    table: str
    directory: str
    """For feed and spool."""


@dataclass(frozen=True, slots=True)
class Crawl:
    """What one crawl's process found out about itself.

    `seconds` and `cpu_seconds` (of the process, all threads, user and system) go from the first callback to the end of the
    crawl, closing included; `closing_seconds` from the last item's way out of the pipelines to there.
    """

    items: int
    seconds: float
    cpu_seconds: float
    closing_seconds: float
    reason: str
    errors: int
    """Lines of the log at ERROR and above."""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)
