"""For commands: whose crawls and letters they are about, and how a running server with tokens and TLS is asked for them."""

from typing import Any

import aiohttp

from ingest_server.errors import StartRefused
from ingest_server.settings import Settings
from ingest_server.tls import trusting
from ingest_server.tokens.file import read_tokens
from ingest_server.tokens.grant import Known


def whose(settings: Settings, owner: str | None) -> str:
    """The owner that a command is about: the one that was named, else the token's, else everyone's where there are no tokens.

    Raises `StartRefused` where it cannot be said.
    """
    sections = {**read_tokens(settings.tokens_path), **settings.tokens}
    spoken = _of_token(settings, sections) if settings.token is not None and sections else None
    if owner is not None and spoken is not None and owner != spoken:
        raise StartRefused(f"the token is {spoken}'s, and --owner says {owner}", remedy="leave one of them out")
    found = owner if owner is not None else spoken
    if found is None and (sections or settings.tokens_path.exists()):
        names = ", ".join(sections) or "none is left"
        raise StartRefused(
            f"the server has tokens, and so each crawl has an owner ({names})",
            remedy="name it with --owner NAME, or set INGEST_TOKEN; what was sent without a token has the owner ''",
        )
    return found or ""


def session_for(settings: Settings, url: str, *, seconds: float) -> aiohttp.ClientSession:
    """A session that shows the settings' token. The settings' own server is known by its certificate, whatever name that has."""
    more: dict[str, Any] = {}
    if settings.token is not None:
        more["headers"] = {"Authorization": f"Bearer {settings.token.get_secret_value()}"}
    if settings.tls_cert is not None and url == settings.url:
        more["connector"] = aiohttp.TCPConnector(ssl=trusting(settings.tls_cert))
    return aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=seconds), **more)


def _of_token(settings: Settings, sections: Any) -> str:
    assert settings.token is not None
    try:
        grant = Known(sections, settings.schema_).find(settings.token.get_secret_value())
    except ValueError as error:
        raise StartRefused(f"tokens: {error}", remedy=f"mend {settings.tokens_path}") from None
    if grant is None:
        raise StartRefused(
            "the token of INGEST_TOKEN is not known here: it was revoked, or it is another server's",
            remedy="set it to one that ingest-server tokens create showed, or unset it",
        )
    return grant.owner
