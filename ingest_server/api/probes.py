"""/livez again: the same bytes from anybody get the same answer, two rounds of the loop after they came.

Through aiohttp a request takes six rounds, and among a thousand hostile clients a round is long. What /livez says is that
the loop turns, and that is what it still says. Host, origin and all else that decides stand in the bytes themselves: a
request is answered here only after the very same one was answered the whole way.
"""

from email.utils import formatdate

from aiohttp import web

_BEGINS = b"GET /livez HTTP/1.1\r\n"
_MOST_BYTES = 1024
_MOST_KINDS = 64


class Probes:
    """Probes that were answered before, by their bytes; of one server."""

    def __init__(self) -> None:
        self._answers: dict[bytes, tuple[bytes, bytes]] = {}

    def is_one(self, data: bytes) -> bool:
        """Whether this is a whole request for /livez, without a body."""
        return (
            data.startswith(_BEGINS)
            and len(data) <= _MOST_BYTES
            and data.find(b"\r\n\r\n") == len(data) - 4
            and b"content-length" not in (lowered := data.lower())
            and b"transfer-encoding" not in lowered
        )

    def answer(self, data: bytes) -> bytes | None:
        """The answer to the same bytes, dated now."""
        known = self._answers.get(data)
        return None if known is None else b"%sDate: %s%s" % (known[0], formatdate(usegmt=True).encode(), known[1])

    def learn(self, data: bytes, response: web.StreamResponse) -> None:
        """What these bytes were answered."""
        if len(self._answers) >= _MOST_KINDS or not isinstance(response, web.Response) or response.status != 200:
            return
        if isinstance(response.body, bytes):
            lines = [f"{name}: {value}\r\n" for name, value in response.headers.items() if name != "Date"]
            self._answers[data] = (b"HTTP/1.1 200 OK\r\n", ("\r\n" + "".join(lines) + "\r\n").encode() + response.body)


def ends_there(data: bytes) -> bool:
    """Whether the client wants the connection to end with the answer."""
    return b"connection: close" in data.lower()
