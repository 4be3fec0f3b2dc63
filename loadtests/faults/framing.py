"""HTTP/1.1 as a relay sees it: where a head ends and how far a body goes. Nothing else of the protocol matters here."""

from collections.abc import Iterator
from dataclasses import dataclass

_MOST_HEAD = 64 * 1024


@dataclass(frozen=True, slots=True)
class Piece:
    """Some bytes of one request or one answer. `starts` and `ends` say whether it begins or ends there."""

    data: bytes | memoryview
    starts: bool
    ends: bool
    method: str = ""
    length: int = 0
    """Bytes of the whole body as the head announces them; 0 for none, -1 for chunks. Only where it `starts`."""


class Framing:
    """Cuts one direction of a connection into pieces. `feed` takes bytes as they come.

    What does not begin as HTTP does (PostgreSQL's own protocol) is `opaque`: its pieces neither start nor end.
    """

    def __init__(self, *, answers: bool) -> None:
        self._answers = answers
        self._head = bytearray()
        self._left = 0
        self._in_body = False
        self._tail = b""
        self.opaque = False
        self.bodyless = False
        """Set by whoever knows that the next answer has no body (it answers HEAD)."""

    def feed(self, data: bytes) -> Iterator[Piece]:
        """The pieces in `data`, after what was fed before. A head comes whole, once it is whole."""
        rest = memoryview(data)
        while len(rest):
            if self.opaque:
                yield Piece(rest, starts=False, ends=False)
                return
            if self._in_body:
                piece, rest = self._body(rest)
                yield piece
                continue
            had = len(self._head)
            self._head += rest
            end = self._head.find(b"\r\n\r\n", max(0, had - 3))
            if not self._begins_well() or (end < 0 and len(self._head) > _MOST_HEAD):
                self.opaque = True
                yield Piece(bytes(self._head), starts=False, ends=False)
                return
            if end < 0:
                return
            head = bytes(self._head[: end + 4])
            rest = rest[len(head) - had :]
            self._head.clear()
            yield self._started(head)

    def _begins_well(self) -> bool:
        first = bytes(self._head[:5])
        return b"HTTP/".startswith(first) if self._answers else first[:1].isupper()

    def _started(self, head: bytes) -> Piece:
        first, *lines = head.split(b"\r\n")
        fields = {name.strip().lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}
        length = int(fields.get(b"content-length", b"0"))
        if fields.get(b"transfer-encoding", b"").lower().endswith(b"chunked"):
            length = -1
        interim = False
        if self._answers:
            status = first.split(b" ", 2)[1]
            interim = status[:1] == b"1"
            if interim or self.bodyless or status in (b"204", b"304"):
                length = 0
            elif length == 0 and b"content-length" not in fields:
                self.opaque = True  # its body goes on until the connection ends
        self._left, self._tail = length, b""
        self._in_body = length != 0
        ends = not self._in_body and not interim and not self.opaque
        return Piece(
            head, starts=not interim, ends=ends, method=first.split(b" ", 1)[0].decode("latin-1"), length=length
        )

    def _body(self, rest: memoryview) -> tuple[Piece, memoryview]:
        if self._left < 0:  # chunks: the next of this side's heads comes only after the other side has spoken
            self._tail = (self._tail + bytes(rest[-5:]))[-5:]
            ends = self._tail == b"0\r\n\r\n"
            self._in_body = not ends
            return Piece(rest, starts=False, ends=ends), rest[len(rest) :]
        part, rest = rest[: self._left], rest[self._left :]
        self._left -= len(part)
        self._in_body = self._left > 0
        return Piece(part, starts=False, ends=not self._in_body), rest
