"""The files of TLS: whether they can be used, and what is made of them. Blocking."""

import ssl
from pathlib import Path


class _Encrypted(Exception):
    """The key wants a password, and there is nobody to ask."""


def _no_password() -> str:
    # Without it OpenSSL asks the terminal, and a crawl would wait there for ever.
    raise _Encrypted


def context_of(ca: str, cert: str, key: str) -> ssl.SSLContext | None:
    """What the three files (paths; empty: none) make; None without any: the system's authorities and no certificate.

    Raises ValueError or OSError for files that cannot be used; `wrong_with` says which and why.
    """
    if not (ca or cert):
        return None
    context = ssl.create_default_context(cafile=str(Path(ca).expanduser()) if ca else None)
    if cert:
        _load(context, cert, key)
    return context


def wrong_with_ca(ca: str) -> str:
    """Why the file holds no authorities, with the remedy; empty: it does."""
    reason = _unreadable(ca)
    if reason:
        return reason
    try:
        context_of(ca, "", "")
    except (ValueError, OSError):
        return "holds no certificate: write the path of a PEM file with the authority's certificate"
    return ""


def wrong_with_pair(cert: str, key: str) -> tuple[str, str]:
    """Whether `cert` or `key` is to blame (their names in the settings, in small letters), and why; both empty: it is well."""
    for name, path in (("tls_cert", cert), ("tls_key", key)):
        reason = _unreadable(path) if path else ""
        if reason:
            return name, reason
    holder = "tls_key" if key else "tls_cert"
    try:
        _load(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), cert, key)
    except _Encrypted:
        return holder, "the key wants a password: write a PEM file with the key without one, readable by this user only"
    except ssl.SSLError as error:
        if "MISMATCH" in str(error).upper():
            return holder, "this key is not the certificate's: write the pair that belongs together"
        if not _holds(cert, b"CERTIFICATE"):
            return "tls_cert", "holds no certificate: write the path of a PEM file with this client's certificate"
        return holder, "holds no key that can be read: write the path of a PEM file with the certificate's key"
    except (ValueError, OSError) as error:
        return "tls_cert", f"cannot be used ({type(error).__name__}): write the path of a PEM file"
    return "", ""


def _load(context: ssl.SSLContext, cert: str, key: str) -> None:
    keyfile = str(Path(key).expanduser()) if key else None
    context.load_cert_chain(str(Path(cert).expanduser()), keyfile, password=_no_password)


def _unreadable(path: str) -> str:
    try:
        with Path(path).expanduser().open("rb"):
            return ""
    except FileNotFoundError:
        return "there is no such file: write the path of a PEM file"
    except OSError as error:
        return f"cannot be read ({error.strerror or error}): write the path of a PEM file that this user may read"


def _holds(path: str, what: bytes) -> bool:
    return b"-----BEGIN " + what in Path(path).expanduser().read_bytes()
