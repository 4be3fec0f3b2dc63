"""Who may ask, and with which certificate the server answers: files that are read again while it runs."""

from collections.abc import Sequence

from ingest_server.telemetry.ground import Facts, Ground, log


class AccessFacts(Facts):
    """The files of tokens and TLS. `what` is `tokens` or `certificate`."""

    def __init__(self, ground: Ground) -> None:
        super().__init__(ground)
        self._stale: dict[str, str] = {}
        self._failed = ground.gauge("ingest_reload_failed", "1 while a changed file cannot be used, by file", "file")

    def watches_file(self, what: str) -> None:
        """The server reads this one again when it changes."""
        self._failed.labels(what).set(0)

    def file_was_read(self, what: str, said: str) -> None:
        """A changed file is in use."""
        self._stale.pop(what, None)
        self._failed.labels(what).set(0)
        log.info("%s: the changed file is in use: %s", what, said)

    def file_is_unusable(self, what: str, reason: str) -> None:
        """A changed file cannot be used: what was read before goes on. Logged once for each reason."""
        self._failed.labels(what).set(1)
        if self._stale.get(what) != reason:
            self._stale[what] = reason
            log.error("%s: the changed file cannot be used, and what was read before goes on: %s", what, reason)

    @property
    def stale_files(self) -> Sequence[str]:
        """What to warn of, in words."""
        return tuple(f"the changed file of {what} cannot be used: the log says why" for what in self._stale)
