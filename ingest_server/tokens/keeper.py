"""The tokens of a running server: those of ingest.toml, and those of a file that is read again when it changes."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path

from ingest_server.errors import StartRefused
from ingest_server.files import state_of
from ingest_server.telemetry import Telemetry
from ingest_server.tokens.file import read_tokens
from ingest_server.tokens.grant import Grant, Known
from ingest_server.tokens.section import TokenSection

_LOOK_SECONDS = 1.0
_FILE = "tokens"


class Tokens:
    """Who may ask, as of at most a second ago.

    Once a token was wanted, one is wanted until the server ends: a file that is removed meanwhile takes its tokens with it and
    lets nobody in. A file that cannot be read leaves things as they were.
    """

    def __init__(
        self,
        fixed: Mapping[str, TokenSection],
        path: Path,
        telemetry: Telemetry,
        *,
        schema: str,
        clock: Callable[[], float],
    ) -> None:
        """Raises `StartRefused` where what is written cannot be meant."""
        self._fixed, self._path, self._telemetry, self._schema, self._clock = fixed, path, telemetry, schema, clock
        self._looked = -math.inf
        self._seen: tuple[int, ...] | None = None
        self.wanted = bool(fixed)
        self._known = Known({}, schema)
        self._read()
        telemetry.watches_file(_FILE)

    @property
    def count(self) -> int:
        """How many tokens are known."""
        return len(self._known)

    def find(self, token: str) -> Grant | None:
        """Whose token it is."""
        return self._known.find(token)

    def look(self) -> None:
        """Read the file again if it changed; looks at most once a second."""
        now = self._clock()
        if now - self._looked < _LOOK_SECONDS:
            return
        self._looked = now
        if state_of(self._path) != self._seen:
            self.read_again()

    def read_again(self) -> None:
        """Read the file again, changed or not. What cannot be read changes nothing."""
        try:
            self._read()
        except StartRefused as error:
            self._telemetry.file_is_unusable(_FILE, str(error))
        else:
            self._telemetry.file_was_read(_FILE, f"{self.count} tokens of {len(self._known.owners)} names")

    def _read(self) -> None:
        self._seen = state_of(self._path)
        found = read_tokens(self._path)
        if both := sorted(set(found) & set(self._fixed)):
            raise StartRefused(
                f"tokens: {', '.join(both)} stands in {self._path} and in the settings' file",
                remedy="leave it in one of them",
            )
        try:
            self._known = Known({**self._fixed, **found}, self._schema)
        except ValueError as error:
            raise StartRefused(f"tokens: {error}", remedy=f"mend [tokens.NAME] there or in {self._path}") from None
        self.wanted = self.wanted or self._seen is not None
