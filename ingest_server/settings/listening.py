"""Where the server listens, and how it may be asked there."""

import ipaddress
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field
from pydantic_settings import NoDecode

from ingest_server.settings.lists import parts


def _hosts(value: list[str]) -> list[str]:
    found = [one.lower().strip("[]") for one in value]
    for one in found:
        if not one or urlsplit(f"//[{one}]" if one.count(":") > 1 else f"//{one}").hostname != one:
            raise ValueError("write names of hosts, without scheme and port")
    return found


def _origins(value: list[str]) -> list[str]:
    for one in value:
        found = urlsplit(one)
        if found.scheme not in ("http", "https") or not found.netloc or one != f"{found.scheme}://{found.netloc}":
            raise ValueError("write https://host or https://host:port, as the browser sends it, without a path")
    return [one.lower() for one in value]


class ListeningSettings(BaseModel):
    """Address, port, TLS, and which hosts and origins are let in."""

    host: str = Field("127.0.0.1", description="address to listen on; beyond loopback only with tokens")
    port: int = Field(8800, ge=0, le=65535, description="port to listen on; 0 lets the system choose")
    max_connections: int = Field(
        2000, ge=8, description="connections at the same time; past it the one that is idle longest makes room"
    )
    head_timeout: float = Field(
        10.0,
        gt=0,
        description="seconds in which the head of a request must have arrived, once it or the connection began",
    )
    idle_timeout: float = Field(75.0, gt=0, description="seconds that a connection may wait for its next request")
    tls_cert: Path | None = Field(
        None,
        description="PEM file with the server's certificate and its chain; read again when it changes, or on SIGHUP",
    )
    tls_key: Path | None = Field(None, description="PEM file with the key; by default it stands in tls_cert too")
    tls_client_ca: Path | None = Field(
        None, description="PEM file with authorities; only clients with a certificate of theirs are let in"
    )
    hosts: Annotated[list[str], NoDecode, BeforeValidator(parts), AfterValidator(_hosts)] = Field(
        default_factory=list,
        description="names under which the server may be asked besides loopback's; by default none on loopback, any beyond",
    )
    origins: Annotated[list[str], NoDecode, BeforeValidator(parts), AfterValidator(_origins)] = Field(
        default_factory=list, description="web pages' origins that may ask from a browser (CORS); by default none"
    )


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a server that listens there."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
