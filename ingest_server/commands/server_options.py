"""How a command names the running server that it asks, and the token that it asks with."""

from pathlib import Path
from typing import Annotated

import typer

from ingest_server.asking.asking import AskedServer
from ingest_server.errors import StartRefused
from ingest_server.settings import Settings
from ingest_server.tls import trusting

TOKEN = "INGEST_TOKEN"  # noqa: S105  its name, and not a token
"""The variable that holds a token. On the command line it would stand in everybody's list of running programs."""

Url = Annotated[
    str | None, typer.Option("--url", help="the running server; default: where these settings would have it listen")
]
TokenFile = Annotated[
    Path | None, typer.Option("--token-file", help=f"file with the token; default: the variable {TOKEN}")
]


def asked_server(url: str | None, token_file: Path | None, settings: Settings) -> AskedServer:
    """The server at `url`, asked with the token that the file or the environment holds. Raises `StartRefused`."""
    own = trusting(settings.tls_cert) if settings.tls_cert is not None and url in (None, settings.url) else None
    return AskedServer(url or settings.url, _token(token_file, settings), context=own)


def _token(file: Path | None, settings: Settings) -> str | None:
    if file is None:
        return (settings.token.get_secret_value().strip() or None) if settings.token is not None else None
    try:
        token = file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise StartRefused(
            f"the token cannot be read from {file}: {error}", remedy="name a file that holds it"
        ) from None
    if not token or not token.isascii() or not token.isprintable():
        raise StartRefused(f"{file} holds no token", remedy="the file holds the token, on one line")
    return token
