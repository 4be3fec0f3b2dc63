"""The server's certificate, read again when its files change: connections go on, and new ones get the new certificate."""

import hashlib
import math
import ssl
from collections.abc import Callable
from pathlib import Path

from ingest_server.errors import StartRefused
from ingest_server.files import state_of
from ingest_server.telemetry import Telemetry

_LOOK_SECONDS = 1.0
_FILE = "certificate"


class _Encrypted(Exception):
    """The key wants a password, and there is nobody to ask."""


def _no_password() -> str:
    raise _Encrypted  # without it OpenSSL asks the terminal, and the start would wait there for ever


class Certificate:
    """Certificate and key, and the authorities of clients where those need certificates too."""

    def __init__(
        self,
        cert: Path,
        key: Path | None,
        client_ca: Path | None,
        telemetry: Telemetry,
        *,
        clock: Callable[[], float],
    ) -> None:
        """Raises `StartRefused` for files that cannot be used."""
        self._cert, self._key, self._client_ca = cert, key, client_ca
        self._telemetry, self._clock = telemetry, clock
        self._looked = -math.inf
        self._seen = self._state()
        self.context = _context(cert, key, client_ca)
        telemetry.watches_file(_FILE)

    def look(self) -> None:
        """Read the files again if one of them changed; looks at most once a second."""
        now = self._clock()
        if now - self._looked < _LOOK_SECONDS:
            return
        self._looked = now
        if self._state() != self._seen:
            self.read_again()

    def read_again(self) -> None:
        """Read certificate and key again, changed or not. A pair that cannot be used changes nothing.

        While one of the two is new and the other old they do not belong together: they are looked at again when the other comes.
        """
        self._seen = self._state()
        try:
            _context(self._cert, self._key, self._client_ca)  # tried aside: half a change would stop every handshake
        except StartRefused as error:
            self._telemetry.file_is_unusable(_FILE, str(error))
            return
        _load(self.context, self._cert, self._key, self._client_ca)
        self._telemetry.file_was_read(_FILE, f"SHA-256 {fingerprint(self._cert).hex()}")

    def _state(self) -> tuple[object, ...]:
        return tuple(state_of(path) for path in (self._cert, self._key, self._client_ca) if path is not None)


def fingerprint(cert: Path) -> bytes:
    """SHA-256 of the first certificate in a PEM file: the server's own. Raises `ValueError` or `OSError`."""
    return hashlib.sha256(_own(cert)).digest()


def trusting(cert: Path) -> ssl.SSLContext:
    """For a command that asks its own machine's server: trusts this very certificate, whatever name and issuer it has.

    Raises `StartRefused` where there is none in the file.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        context.load_verify_locations(cadata=_own(cert))
    except (OSError, ValueError):
        raise StartRefused(f"settings: tls_cert {cert} cannot be read", remedy="name the server with --url") from None
    return context


def _own(cert: Path) -> bytes:
    begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    return ssl.PEM_cert_to_DER_cert(begin + cert.read_text().split(begin, 1)[-1].split(end, 1)[0] + end)


def _context(cert: Path, key: Path | None, client_ca: Path | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    _load(context, cert, key, client_ca)
    if client_ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _load(context: ssl.SSLContext, cert: Path, key: Path | None, client_ca: Path | None) -> None:
    for name, path in (("tls_cert", cert), ("tls_key", key), ("tls_client_ca", client_ca)):
        try:
            if path is not None:
                path.read_bytes()
        except OSError as error:
            raise StartRefused(
                f"settings: {name} {path} cannot be read ({error.strerror or error})",
                remedy="write the path of a PEM file that the server's user may read",
            ) from None
    try:
        context.load_cert_chain(cert, key, password=_no_password)
    except _Encrypted:
        raise StartRefused(
            f"settings: the key in {key or cert} wants a password",
            remedy="write a PEM file with the key without one, readable by the server's user only",
        ) from None
    except ssl.SSLError as error:
        reason = "this key is not the certificate's" if "MISMATCH" in str(error).upper() else "no such pair is in there"
        raise StartRefused(
            f"settings: tls_cert {cert} and its key cannot be used ({reason})",
            remedy="write PEM files with the server's certificate, its chain and its key",
        ) from None
    if client_ca is not None:
        try:
            context.load_verify_locations(client_ca)
        except ssl.SSLError:
            raise StartRefused(
                f"settings: tls_client_ca {client_ca} holds no certificate",
                remedy="write a PEM file with the certificates of the clients' authorities",
            ) from None
