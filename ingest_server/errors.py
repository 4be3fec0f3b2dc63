"""What can go wrong, as one tree; the consequence stands beside each leaf.

    IngestError
    ├── StartRefused            the server does not start; exit code 1 and the remedy
    │   └── EmbeddedUnavailable     no embedded PostgreSQL to be had
"""


class IngestError(Exception):
    """Anything that this package raises on purpose."""


class StartRefused(IngestError):
    """The server cannot start as it is configured. `remedy` says what to do."""

    def __init__(self, what: str, *, remedy: str) -> None:
        self.what = what
        self.remedy = remedy
        super().__init__(f"{what}: {remedy}")


class EmbeddedUnavailable(StartRefused):
    """The embedded PostgreSQL cannot be had."""
