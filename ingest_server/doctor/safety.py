"""Who gets in: tokens, TLS, and who else may read the files with secrets."""

import contextlib
import ssl
import stat
import time
import tomllib
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from ingest_server.doctor.finding import Findings, failure, ok, warning
from ingest_server.errors import StartRefused
from ingest_server.settings import Settings
from ingest_server.settings.listening import is_loopback
from ingest_server.telemetry import Telemetry
from ingest_server.tls import Certificate
from ingest_server.tokens.file import read_tokens
from ingest_server.tokens.grant import Known

_SOON_SECONDS = 21 * 86400
_DAY = 86400


def tokens(settings: Settings) -> Findings:
    """Whether there are tokens where they are needed, and the file can be used."""
    try:
        found = {**settings.tokens, **read_tokens(settings.tokens_path)}
        Known(found, settings.schema_)
    except StartRefused as error:
        yield failure("tokens", error.what, error.remedy)
        return
    except ValueError as error:
        yield failure("tokens", str(error), f"mend [tokens.NAME] in the settings' file or in {settings.tokens_path}")
        return
    if found:
        yield ok("tokens", f"{len(found)} known")
    elif is_loopback(settings.host):
        yield ok("tokens", "none: every program on this machine may write and read")
    else:
        yield warning("tokens", f"none, and the server listens on {settings.host}", "ingest-server tokens create NAME")


def encryption(settings: Settings, now: float | None = None) -> Findings:
    """Whether certificate and key can be used, and how long; `now` in seconds since 1970."""
    if settings.tls_cert is None:
        if is_loopback(settings.host):
            yield ok("TLS", "off, on loopback")
        else:
            yield warning("TLS", "off: tokens and items travel in the clear", "--tls-cert, or TLS in front")
        return
    try:
        Certificate(settings.tls_cert, settings.tls_key, settings.tls_client_ca, Telemetry(), clock=time.monotonic)
    except StartRefused as error:
        yield failure("TLS", error.what, error.remedy)
        return
    ends = ssl.cert_time_to_seconds(_not_after(settings.tls_cert, settings.tls_key))
    left = ends - (time.time() if now is None else now)
    said = f"the certificate ends {time.strftime('%Y-%m-%d', time.gmtime(ends))}"
    renew = "renew it; a running server reads the new file by itself"
    if left < 0:
        yield failure("TLS", f"{said}: it has expired", renew)
    elif left < _SOON_SECONDS:
        yield warning("TLS", f"{said}, in {left / _DAY:.0f} days", renew)
    else:
        yield ok("TLS", said)


def secrets(settings: Settings) -> Findings:
    """Files with secrets that others may read."""
    config = type(settings).config_file
    places = []
    if config is not None and _holds_a_secret(config):
        places.append((config, "a password or a token"))
    if settings.tls_cert is not None:
        places.append((settings.tls_key or settings.tls_cert, "the key"))
    open_to_all = [(path, what) for path, what in places if path.exists() and path.stat().st_mode & stat.S_IROTH]
    for path, what in open_to_all:
        yield warning(
            "file modes", f"{path} holds {what}, and everyone on this machine may read it", f"chmod o= {path}"
        )
    if not open_to_all:
        yield ok("file modes", "no file with a secret is open to everyone")


def _holds_a_secret(config: Path) -> bool:
    written = tomllib.loads(config.read_text())
    parts = urlsplit(str(written.get("database", "")))
    return "token" in written or parts.password is not None or "password" in parse_qs(parts.query)


def _not_after(cert: Path, key: Path | None) -> str:
    """When the certificate ends: it is shown to a client of our own that trusts it, in memory, whatever today's date."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(cert, key)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [server.wrap_bio(up, down, server_side=True), client.wrap_bio(down, up)]
    for _ in range(4):
        for end in ends:
            with contextlib.suppress(ssl.SSLWantReadError):
                end.do_handshake()
    shown = ends[1].getpeercert(binary_form=True)
    assert shown is not None
    return _read_not_after(shown)


def _read_not_after(der: bytes) -> str:
    """The end of the validity (RFC 5280, 4.1.2.5) in a certificate, as `ssl.cert_time_to_seconds` reads it."""
    at = _inside(der, _inside(der, 0))  # Certificate, TBSCertificate
    if der[at] == 0xA0:  # the version
        at = _after(der, at)
    for _ in range(3):  # serial number, signature's algorithm, issuer
        at = _after(der, at)
    at = _after(der, _inside(der, at))  # Validity: over notBefore
    kind, text = der[at], der[_inside(der, at) : _after(der, at)].decode("ascii")
    if kind == 0x17:  # UTCTime has two digits for the year
        text = ("20" if text < "50" else "19") + text
    return time.strftime("%b %d %H:%M:%S %Y GMT", time.strptime(text, "%Y%m%d%H%M%SZ"))


def _inside(der: bytes, at: int) -> int:
    return at + 2 + (der[at + 1] & 0x7F if der[at + 1] & 0x80 else 0)


def _after(der: bytes, at: int) -> int:
    begin = _inside(der, at)
    return begin + (int.from_bytes(der[at + 2 : begin]) if der[at + 1] & 0x80 else der[at + 1])
