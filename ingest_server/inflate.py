"""Content-Encoding, undone piece by piece, so that a bomb is refused after the limit and not after the memory."""

import sys
import zlib
from collections.abc import Callable, Iterator
from typing import Protocol

from ingest_server.errors import BadRequest, UnsupportedMedia

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

# What one step may produce. Smaller steps cost calls; larger ones hold the event loop and overshoot the limit by as much.
_STEP = 256 * 1024
# RFC 9659: a sender must not need a larger window. Each stream would get one of what it asks for, up to 2 GiB.
_ZSTD_WINDOW_LOG = 23
# Each gzip member copies what is left of its piece: with small pieces that stays linear (aiohttp's CVE-2026-128131).
_PIECE = 4096
# Some pack each item by itself. Each member costs microseconds, and a mebibyte holds 50,000 empty ones.
_MOST_MEMBERS = 100_000
_MEMBERS_A_STEP = 500


class Inflater(Protocol):
    """Undoes one encoding."""

    window: int
    """Bytes of what it made that it may keep for itself."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Decoded pieces of at most 256 KiB; an empty one where the work so far was a step, and others should get a turn.

        Raises `BadRequest` where the data is not what its header says.
        """

    def finish(self) -> None:
        """Raise `BadRequest` where the stream ended too early."""


class _Identity:
    window = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        yield data

    def finish(self) -> None:
        """Nothing can be missing."""


class _Zlib:
    """gzip with any number of members, or deflate: zlib's own wrapper as RFC 9110 has it, or raw as some clients send it."""

    window = 32 * 2**10

    def __init__(self, name: str) -> None:
        self._name = name
        self._stream: zlib._Decompress | None = None
        self._streams = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        for start in range(0, len(data), _PIECE):
            rest = data[start : start + _PIECE]
            while rest:
                if self._stream is None:
                    if self._name == "deflate" and self._streams:
                        raise BadRequest("the body goes on after the end of its deflate stream")
                    self._streams += 1
                    if self._streams > _MOST_MEMBERS:
                        raise BadRequest(f"the body has more than {_MOST_MEMBERS} gzip members: pack it as one")
                    self._stream = self._open(rest)
                    if self._streams % _MEMBERS_A_STEP == 0:
                        yield b""
                yield from self._decode(rest)
                rest = self._stream.unused_data
                if self._stream.eof:
                    self._stream = None

    def _open(self, data: bytes) -> "zlib._Decompress":
        if self._name == "gzip":
            return zlib.decompressobj(wbits=31)
        # RFC 1950: the low four bits of the first byte are 8 in zlib's wrapper
        return zlib.decompressobj(wbits=15 if data[0] & 0x0F == 8 else -15)

    def _decode(self, data: bytes) -> Iterator[bytes]:
        stream = self._stream
        assert stream is not None
        try:
            piece = stream.decompress(data, _STEP)
            while piece or stream.unconsumed_tail:
                yield piece
                piece = stream.decompress(stream.unconsumed_tail, _STEP)
        except zlib.error:
            raise BadRequest(f"the body is not {self._name}, though Content-Encoding says so") from None

    def finish(self) -> None:
        if self._stream is not None or not self._streams:
            raise BadRequest(f"the {self._name} stream ends too early: send the whole body")


class _Zstd:
    """zstd with any number of frames."""

    window = 2**_ZSTD_WINDOW_LOG

    def __init__(self) -> None:
        self._stream = self._open()
        self._frames = 1
        self._fed = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        for start in range(0, len(data), _PIECE):
            rest = data[start : start + _PIECE]
            while rest:
                if self._stream.eof:
                    self._frames += 1
                    if self._frames > _MOST_MEMBERS:
                        raise BadRequest(f"the body has more than {_MOST_MEMBERS} zstd frames: pack it as one")
                    self._stream = self._open()
                    if self._frames % _MEMBERS_A_STEP == 0:
                        yield b""
                yield from filter(None, self._decode(rest))
                rest = self._stream.unused_data if self._stream.eof else b""
                self._fed = True

    def _open(self) -> zstd.ZstdDecompressor:
        return zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: _ZSTD_WINDOW_LOG})

    def _decode(self, data: bytes) -> Iterator[bytes]:
        try:
            yield self._stream.decompress(data, _STEP)
            while not self._stream.needs_input and not self._stream.eof:
                yield self._stream.decompress(b"", _STEP)
        except zstd.ZstdError:
            raise BadRequest(
                "the body is not zstd with a window of at most 8 MiB, though Content-Encoding says so"
            ) from None

    def finish(self) -> None:
        if not self._fed or not self._stream.eof:
            raise BadRequest("the zstd stream ends too early: send the whole body")


_INFLATERS: dict[str, Callable[[], Inflater]] = {
    "identity": _Identity,
    "gzip": lambda: _Zlib("gzip"),
    "x-gzip": lambda: _Zlib("gzip"),  # RFC 9110, 8.4.1.3: the same as gzip
    "deflate": lambda: _Zlib("deflate"),
    "zstd": _Zstd,
}


def inflater(content_encoding: str | None) -> Inflater:
    """What undoes this Content-Encoding header. Raises `UnsupportedMedia` for anything but one of the contract's own."""
    name = (content_encoding or "identity").strip().lower()
    if name not in _INFLATERS:
        raise UnsupportedMedia("Content-Encoding is one of identity, gzip, deflate and zstd; one only")
    return _INFLATERS[name]()
