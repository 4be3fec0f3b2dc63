"""The sample spiders stay on this machine: whoever points one at a foreign host by mistake is told so."""

from ipaddress import ip_address
from urllib.parse import urlsplit


def require_loopback(url: str, *, argument: str) -> str:
    """Give `url` back if its host is this machine; `argument` is the spider's argument that it came from."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        port_is_sound = parts.port is None or parts.port > 0
    except ValueError:
        parts, host, port_is_sound = urlsplit(""), "", False
    if parts.scheme not in {"http", "https"} or not host or not port_is_sound:
        raise ValueError(f"{argument}={url!r} is no web address: say -a {argument}=http://127.0.0.1:PORT/")
    if not _is_loopback(host):
        raise ValueError(f"{argument}={url!r} is not on this machine: this spider crawls 127.0.0.1, ::1 and localhost")
    return url


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
