"""A running server asked over HTTP by a person's command: answers as JSON, refusals with a remedy, waiting where it says so."""

import http.client
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import urlencode, urlsplit

import orjson

from ingest_server.errors import StartRefused

# What the contract tells a client to send again: nothing was kept.
_AGAIN = frozenset({408, 409, 429, 502, 503, 504})
_USUAL_WAIT = 1.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; `body` is JSON."""

    status: int
    body: Any = field(repr=False)

    @property
    def detail(self) -> str:
        """A problem's own words."""
        return str(self.body.get("detail", "")) if isinstance(self.body, dict) else ""


class AskedServer:
    """A server by its URL. Every method raises `StartRefused` where it cannot be asked, or asks for more than it is given.

    One that has no room now is asked again for `patience` seconds. The token goes into the header and nowhere else. `context`
    says which certificates are trusted, by default those of the system's authorities.
    """

    def __init__(
        self,
        url: str,
        token: str | None = None,
        *,
        context: ssl.SSLContext | None = None,
        seconds: float = 90.0,
        patience: float = 120.0,
        pause: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.username:
            raise StartRefused(f"{url} is no server's URL", remedy="--url http://127.0.0.1:8800, or https://…")
        self._url = url.rstrip("/")
        self._parts = parts
        self._context = context
        self._headers = {"Accept": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        self._seconds = seconds
        self._patience = patience
        self._pause = pause
        self._clock = clock

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        """The answer, once it is none that asks to come again. 404, 422 and such are the caller's to understand."""
        ends = self._clock() + self._patience
        while True:
            with self._asked(method, path, body, headers) as response:
                answer = Answer(response.status, self._json(response))
                wait = response.headers.get("Retry-After") or ""
            if answer.status in (401, 403):
                raise StartRefused(
                    f"{self._url} answered {answer.status}: {answer.detail}",
                    remedy="name a token that may: INGEST_TOKEN in the environment, or --token-file",
                )
            if answer.status not in _AGAIN:
                return answer
            seconds = float(wait) if wait.isdigit() else _USUAL_WAIT
            if self._clock() + seconds > ends:
                raise StartRefused(
                    f"{self._url} answered {answer.status} for {self._patience:g} seconds: {answer.detail}",
                    remedy="try again later; what was done before stays done",
                )
            self._pause(seconds)

    def lines(self, path: str, **headers: str) -> Iterator[bytes]:
        """The answer's lines as they arrive. One that breaks off is said, and not taken for whole."""
        with self._asked("GET", path, None, headers) as response:
            if response.status != 200:
                raise self.refused(Answer(response.status, self._json(response)))
            try:
                for line in response:
                    yield line.rstrip(b"\n")
            except (http.client.HTTPException, OSError) as error:
                raise StartRefused(
                    f"the stream from {self._url} broke off ({str(error) or type(error).__name__}): it is not whole",
                    remedy="start again; the server's log says why",
                ) from None

    def refused(self, answer: Answer) -> StartRefused:
        """An answer that is final, as an error."""
        remedy = "see docs/protocol.md for what this answer means"
        return StartRefused(
            f"{self._url} answered {answer.status}: {answer.detail or 'no reason given'}", remedy=remedy
        )

    def _connection(self) -> http.client.HTTPConnection:
        host, port = self._parts.hostname, self._parts.port
        assert host is not None
        if self._parts.scheme == "https":
            return http.client.HTTPSConnection(host, port, timeout=self._seconds, context=self._context)
        return http.client.HTTPConnection(host, port, timeout=self._seconds)

    def _asked(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> "_Response":
        names = {name.replace("_", "-").title(): value for name, value in headers.items()}
        connection = self._connection()
        try:
            connection.request(method, self._parts.path.rstrip("/") + path, body, self._headers | names)
            return _Response(connection, connection.getresponse())
        except (http.client.HTTPException, OSError) as error:
            connection.close()
            raise StartRefused(
                f"{self._url} does not answer ({str(error) or type(error).__name__})",
                remedy="start the server, or name it with --url",
            ) from None

    def _json(self, response: "_Response") -> Any:
        try:
            body = response.read()
            return orjson.loads(body) if body else None
        except (orjson.JSONDecodeError, http.client.HTTPException, OSError):
            raise StartRefused(
                f"{self._url} is no ingestion server, or its answer broke off", remedy="name the server with --url"
            ) from None


class _Response:
    """An answer and the connection that it came over, which ends with the block."""

    def __init__(self, connection: http.client.HTTPConnection, response: http.client.HTTPResponse) -> None:
        self._connection = connection
        self._response = response
        self.status = response.status
        self.headers = response.headers
        self.read = response.read

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._response.close()
        self._connection.close()

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._response)


def with_query(path: str, **query: str | None) -> str:
    """The path with those of these that are given."""
    given = {name: value for name, value in query.items() if value is not None}
    return f"{path}?{urlencode(given)}" if given else path
