"""Why there is no answer, said so that somebody can mend it."""

import re
import ssl

import aiohttp

from scrapy_batching.wire.answers import TryAgain
from scrapy_batching.wire.way import Way

_OWN_CA = (
    "its certificate is not trusted: set BATCHING_TLS_CA to a PEM file with the authority that signed it"
    " (if BATCHING_TLS_CA is set, it names another authority); it is tried again all the same"
)
_OTHER_NAME = (
    "its certificate is for another name: write that name in BATCHING_URL, or give it a certificate for this one"
)
_OWN_CERTIFICATE = (
    "it wants a certificate of this client: set BATCHING_TLS_CERT and BATCHING_TLS_KEY to one that it trusts"
)
# What it says of that is lost, now and then: its connection is gone before it is read.
_PERHAPS = (
    "if it wants a certificate of this client: BATCHING_TLS_CERT and BATCHING_TLS_KEY; if it does not run: ingest-server run;"
    " if it runs elsewhere: BATCHING_URL"
)
_PERHAPS_ANOTHER = (
    "if it does not trust this client's certificate: BATCHING_TLS_CERT and BATCHING_TLS_KEY with one of an authority that it"
    " trusts; if it does not run: ingest-server run; if it runs elsewhere: BATCHING_URL"
)
_PERHAPS_TLS = (
    "if it speaks TLS there: write https:// in BATCHING_URL; if it does not run: ingest-server run; if it runs elsewhere:"
    " BATCHING_URL"
)
_NO_TLS = "it does not speak TLS there: write http:// in BATCHING_URL, or check the port"
_NAME_DIFFERS = (62, 64)
"""OpenSSL's X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH."""
_WANTS_ONE = ("CERTIFICATE_REQUIRED", "ALERT_UNKNOWN_CA", "ALERT_BAD_CERTIFICATE", "ALERT_HANDSHAKE_FAILURE")
_PLAIN = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST")


_NOISE = re.compile(r" ssl:(?:\w+|<[^>]*>)")
"""aiohttp's argument, in each of its lines about a connection that could not be made; never an answer to anything."""


def no_answer(error: Exception, timeout: float, way: Way) -> TryAgain:
    """What an exception of a request along `way` means; `timeout` in seconds is what it was given."""
    if isinstance(error, TimeoutError):
        return TryAgain(f"no answer within {timeout:g} s")
    remedy = remedy_of(error)
    # There was a connection, and it was gone without an answer.
    if not remedy and not isinstance(error, aiohttp.ClientConnectorError):
        remedy = _perhaps(way)
    return TryAgain(f"{type(error).__name__}: {_NOISE.sub('', str(error))}", remedy=remedy)


def _perhaps(way: Way) -> str:
    if not way.url.startswith("https:"):
        return _PERHAPS_TLS
    return _PERHAPS_ANOTHER if way.has_certificate else _PERHAPS


def remedy_of(error: BaseException) -> str:
    """What to do about it; empty where it is not about TLS."""
    for one in _chain(error):
        # aiohttp's own wrapper is of this class too, but without a code.
        code = getattr(one, "verify_code", None) if isinstance(one, ssl.SSLCertVerificationError) else None
        if code is not None:
            return _OTHER_NAME if code in _NAME_DIFFERS else _OWN_CA
    said = str(error).upper().replace(" ", "_")
    if any(one in said for one in _WANTS_ONE):
        return _OWN_CERTIFICATE
    if any(one in said for one in _PLAIN) and isinstance(error, aiohttp.ClientSSLError):
        return _NO_TLS
    return ""


def _chain(error: BaseException | None) -> list[BaseException]:
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        inner = getattr(error, "certificate_error", None) or getattr(error, "os_error", None)
        error = inner if isinstance(inner, BaseException) else error.__cause__
    return found
