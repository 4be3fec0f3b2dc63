"""What hostile clients send: made once, small on the wire, large or long to read."""

import gzip
import zlib
from functools import cache

from backports import zstd

MIB = 2**20
DECODED = 64 * MIB
"""What the server takes at most, once decoded."""


def packed(body: bytes) -> bytes:
    return gzip.compress(body, 6, mtime=0)


@cache
def gzip_bomb() -> bytes:
    """A quarter of a mebibyte that would become 256."""
    packer = zlib.compressobj(9, wbits=31)
    return b"".join(packer.compress(bytes(MIB)) for _ in range(256)) + packer.flush()


@cache
def zstd_bomb() -> bytes:
    """Some kilobytes that would become 256 MiB, with the largest window that is taken."""
    packer = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: 23})
    return b"".join(packer.compress(bytes(MIB)) for _ in range(256)) + packer.flush()


@cache
def many_members() -> bytes:
    """Eight mebibytes of gzip members that hold nothing."""
    member = gzip.compress(b"", mtime=0)
    return member * (8 * MIB // len(member))


@cache
def open_arrays() -> bytes:
    """Items of 100,000 arrays that nobody closes."""
    return b"\n".join([b"[" * 100_000] * 50)


@cache
def deep_items() -> bytes:
    """Items as deep as 50,000 arrays, well formed; and one of two million brackets that is not deep at all."""
    deep = b'{"a":' + b"[" * 50_000 + b"]" * 50_000 + b"}"
    wide = b'{"a":[' + b"[]," * 400_000 + b"0]}"
    return packed(b"\n".join([*[deep] * 20, wide]))


@cache
def one_line() -> bytes:
    """64 MiB without a line end."""
    return packed(b'{"a":"' + b"x" * (DECODED - 8) + b'"}')


@cache
def large_items() -> bytes:
    """64 MiB in nine items of seven."""
    return packed(b"\n".join([b'{"a":"' + b"x" * (7 * MIB) + b'"}'] * 9))


@cache
def blank_lines() -> bytes:
    return packed(b"\n" * DECODED)


@cache
def tiny_lines() -> bytes:
    return packed(b"{}\n" * (DECODED // 3))


@cache
def ten_million_numbers() -> bytes:
    return packed(b'{"a":[' + b"0," * 10_000_000 + b"0]}")


@cache
def as_many_values_as_may_be() -> bytes:
    """Four items of 490,000 texts for a column of numbers."""
    return packed(b"\n".join([b'{"numbers":[' + b'"x",' * 490_000 + b'"x"]}'] * 4))


@cache
def json_array() -> bytes:
    """A JSON array of 10,000 items, 60 MiB."""
    return packed(b"[" + b",".join([b'{"a":"' + b"x" * 6000 + b'","b":[1,2,3]}'] * 10_000) + b"]")


@cache
def json_of_escapes() -> bytes:
    """A JSON array of eight items that are nothing but escapes, 56 MiB."""
    return packed(b"[" + b",".join([b'{"a":"' + rb"\u0041" * (7 * MIB // 6) + b'"}'] * 8) + b"]")
