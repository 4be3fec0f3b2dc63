"""Who gets in: tokens, certificate, hosts and origins, put together from the settings, and looked after while the server runs."""

import logging
import sys
import time

from ingest_server.api.context import Access
from ingest_server.settings import Settings
from ingest_server.settings.listening import is_loopback
from ingest_server.telemetry import Telemetry
from ingest_server.tls import Certificate
from ingest_server.tokens.keeper import Tokens
from ingest_server.tokens.rates import Budgets

log = logging.getLogger("ingest_server")


class Entrance:
    """What decides who gets in."""

    def __init__(self, settings: Settings, telemetry: Telemetry) -> None:
        """Raises `StartRefused` for files that cannot be used."""
        clock = time.monotonic
        self._settings = settings
        path = settings.tokens_path
        self._tokens = Tokens(settings.tokens, path, telemetry, schema=settings.schema_, clock=clock)
        self.certificate: Certificate | None = None
        if settings.tls_cert is not None:
            self.certificate = Certificate(
                settings.tls_cert, settings.tls_key, settings.tls_client_ca, telemetry, clock=clock
            )
        self.access = Access(
            Budgets(clock),
            self._tokens,
            own_hosts_only=bool(settings.hosts) or is_loopback(settings.host),
            hosts=frozenset(settings.hosts),
            origins=frozenset(settings.origins),
        )
        telemetry.watch("ingest_tokens", "Tokens that are known", lambda: self._tokens.count)

    @property
    def scheme(self) -> str:
        """Of the URL under which the server is asked."""
        return "http" if self.certificate is None else "https"

    def look(self) -> None:
        """Read again what changed."""
        self._tokens.look()
        if self.certificate is not None:
            self.certificate.look()

    def read_again(self) -> None:
        """Read everything again, as SIGHUP asks."""
        self._tokens.read_again()
        if self.certificate is not None:
            self.certificate.read_again()

    def warn(self) -> None:
        """Say what an operator should know about who gets in. Secrets are not shown."""
        settings = self._settings
        if not is_loopback(settings.host):
            if not self._tokens.wanted:
                log.warning("whoever reaches %s may write and read: there are no tokens", settings.host)
            elif self.certificate is None:
                log.warning(
                    "tokens and items travel in the clear beyond this machine: set tls_cert, or have TLS in front"
                )
        if _shows_a_password(sys.argv):
            log.warning(
                "the command line holds the database's password, and every user of this machine can read it:"
                " write INGEST_DATABASE, or database in ingest.toml"
            )


def _shows_a_password(arguments: list[str]) -> bool:
    for one in arguments:
        if "://" in one and "@" in one:
            user = one.partition("://")[2].rpartition("@")[0]
            if ":" in user:
                return True
        if "password=" in one:
            return True
    return False
