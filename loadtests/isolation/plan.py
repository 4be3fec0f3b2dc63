"""What the scenario measures: write modes, ways in which items are bad, and how many of them are."""

import random
from dataclasses import dataclass
from typing import Any

import orjson

from ingest_server.model import Merge, Mode, TableOptions

MODES = {
    "append": TableOptions(Mode.APPEND),
    "upsert": TableOptions(Mode.UPSERT),
    "patch": TableOptions(Mode.UPSERT, merge=Merge.PATCH),
    "ignore": TableOptions(Mode.IGNORE),
}
HAVE_ROWS = frozenset({"upsert", "patch"})
"""Modes that are measured with a row there for each item; the others begin with an empty table."""


@dataclass(frozen=True, slots=True)
class Reason:
    """How an item is bad."""

    says: str
    wrong: dict[str, Any]
    code: str


REASONS = {
    "validation": Reason("validation finds it", {"price": "x"}, "invalid"),
    "copy": Reason("COPY names its line", {"price": "100000.00"}, "22003"),
    "constraint": Reason("a foreign key: no line", {"parent": -1}, "23503"),
}

TABLE = """
CREATE TABLE parents (id int PRIMARY KEY);
INSERT INTO parents SELECT n FROM generate_series(0, 9) n;
CREATE TABLE things (id bigint PRIMARY KEY, parent int NOT NULL REFERENCES parents, price numeric(6, 2) NOT NULL,
                     name text, features jsonb)
"""


@dataclass(frozen=True, slots=True)
class Plan:
    """The options of the command line, with the defaults of a full run."""

    items: int = 1_000
    bad: tuple[int, ...] = (1, 5, 50, 1_000)
    modes: tuple[str, ...] = tuple(MODES)
    reasons: tuple[str, ...] = tuple(REASONS)
    rounds: int = 5
    seed: int = 1

    @property
    def counts(self) -> tuple[int, ...]:
        """How many are bad in the batches of a cell's row: none, which the others are compared with, and the asked ones."""
        return (0, *self.bad)

    @property
    def batches(self) -> int:
        return len(self.modes) * len(self.reasons) * len(self.counts) * self.rounds

    def body(self, chance: random.Random, reason: str, bad: int) -> bytes:
        """A batch's body, in which chance decides where the bad ones stand."""
        wrong = set(chance.sample(range(self.items), bad))
        return b"".join(
            orjson.dumps(_item(chance, number) | (REASONS[reason].wrong if number in wrong else {})) + b"\n"
            for number in range(self.items)
        )


def _item(chance: random.Random, number: int) -> dict[str, Any]:
    return {
        "id": number,
        "parent": chance.randrange(10),
        "price": chance.randrange(1, 900_000) / 100,
        "name": f"{chance.getrandbits(128):032x}",
        "features": {"floor": chance.randrange(12), "tags": [f"{chance.getrandbits(32):08x}" for _ in range(4)]},
    }
