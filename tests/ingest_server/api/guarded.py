"""A server with tokens, and who has them."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ingest_server.tokens.file import write_tokens
from ingest_server.tokens.grant import digest
from ingest_server.tokens.section import TokenSection
from tests.asking import Answer, Asker
from tests.running import RunningServer, running_server


def token(name: str) -> str:
    """A token that is easy to find in a log."""
    return f"ingest_secret-of-{name}"


def section(*names: str, **more: Any) -> TokenSection:
    """What is kept of these names' tokens."""
    return TokenSection(hash=[digest(token(name)).hex() for name in names], **more)


@dataclass(frozen=True)
class Named(Asker):
    """Asks with a token, of `owner` unless it is another one."""

    owner: str = ""

    def ask(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None, **more) -> Answer:
        own = {"Authorization": f"Bearer {token(self.owner)}"}
        return super().ask(method, path, body, own | (headers or {}), **more)


@contextlib.contextmanager
def guarded_server(
    directory: Path, database: str, *arguments: str, **sections: TokenSection
) -> Iterator[RunningServer]:
    """A server with landing tables and these tokens."""
    path = directory / "tokens.toml"
    write_tokens(path, sections)
    with running_server("--database", database, "--create-tables", "--tokens-file", str(path), *arguments) as server:
        yield server
