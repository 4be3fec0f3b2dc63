"""What one name may do, and which token speaks for it."""

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ingest_server.model import TableName
from ingest_server.tokens.section import TokenSection

_MARK = "ingest_"
_QUOTED = re.compile(r'"(?:[^"]|"")*"')


@dataclass(frozen=True, slots=True)
class Tables:
    """Which tables: each by its name, or all of a schema, or all there are."""

    every: bool = False
    schemas: frozenset[str] = frozenset()
    names: frozenset[TableName] = frozenset()

    def __contains__(self, table: TableName) -> bool:
        return self.every or table.schema in self.schemas or table in self.names

    @classmethod
    def parse(cls, texts: Iterable[str], schema: str) -> "Tables":
        """Read `name`, `schema.name`, `schema.*` and `*`. Raises `ValueError`."""
        every, schemas, names = False, set(), set()
        for text in texts:
            if text == "*":
                every = True
            elif "*" in _QUOTED.sub("", text.removesuffix(".*")):
                raise ValueError(
                    f"{text} is no table's name (a star in one is double-quoted), nor one of the patterns schema.* and *"
                )
            elif text.endswith(".*"):
                schemas.add(TableName.parse(text.removesuffix("*") + "any", schema).schema)
            else:
                names.add(TableName.parse(text, schema))
        return cls(every, frozenset(schemas), frozenset(names))


@dataclass(frozen=True, slots=True)
class Grant:
    """One owner, and what is granted to it. Rates are a second's; None: no limit."""

    owner: str
    tables: Tables = Tables(every=True)
    items_per_second: float | None = None
    bytes_per_second: float | None = None
    is_admin: bool = False

    @classmethod
    def of_section(cls, name: str, section: TokenSection, schema: str) -> "Grant":
        """What the section says. Raises `ValueError` for a table that cannot be."""
        tables = Tables(every=True) if section.tables is None else Tables.parse(section.tables, schema)
        return cls(name, tables, section.items_per_second, section.bytes_per_second, section.admin)


EVERYONE = Grant("", is_admin=True)
"""Without tokens there is one owner who sees everything."""
NOBODY = Grant("", Tables())
"""Who asks what is open to all, and shows no token that is known."""


def new_token() -> str:
    """A token with 256 bits from the system's source of randomness; its beginning tells scanners for secrets what it is."""
    return _MARK + secrets.token_urlsafe(32)


def digest(token: str) -> bytes:
    """What is kept of a token. Its bits are random, so that a plain hash is enough: there is nothing to guess from."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


class Known:
    """Every token that is known, by its hash."""

    def __init__(self, sections: Mapping[str, TokenSection], schema: str) -> None:
        """Raises `ValueError` for a table that cannot be, and for one hash under two names."""
        self._entries: list[tuple[bytes, Grant]] = []
        owners: dict[str, str] = {}
        for name, section in sections.items():
            grant = Grant.of_section(name, section, schema)
            for one in dict.fromkeys(section.hash):
                if one in owners:
                    raise ValueError(
                        f"one token stands under {owners[one]} and under {name}: give each a token of its own"
                    )
                owners[one] = name
                self._entries.append((bytes.fromhex(one), grant))
        self.owners = frozenset(sections)

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, token: str) -> Grant | None:
        """Whose token it is. Every hash is compared, in constant time: an unknown token costs what a known one does."""
        shown = digest(token)
        found = None
        for known, grant in self._entries:
            if hmac.compare_digest(shown, known):
                found = grant
        return found
