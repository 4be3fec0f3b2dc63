"""Content-Encoding, undone piece by piece."""

import contextlib
import gzip
import random
import time
import zlib

import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from ingest_server.errors import BadRequest, UnsupportedMedia
from ingest_server.inflate import inflater


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


PACKERS = {
    "identity": ("identity", bytes),
    "gzip": ("gzip", gzip.compress),
    "gzip members": (
        "x-gzip",
        lambda data: b"".join(gzip.compress(data[at : at + 7]) for at in range(0, len(data), 7)) or gzip.compress(b""),
    ),
    "deflate": ("deflate", zlib.compress),
    "raw deflate": ("deflate", raw_deflate),
    "zstd": ("zstd", zstd.compress),
    "zstd frames": ("zstd", lambda data: zstd.compress(data[:9]) + zstd.compress(data[9:])),
}


def inflate(encoding: str, pieces: list[bytes], limit: int | None = None) -> bytes:
    decoder = inflater(encoding)
    whole = b""
    for piece in pieces:
        for part in decoder.feed(piece):
            assert len(part) <= max(len(piece), 256 * 1024)
            whole += part
            if limit is not None and len(whole) > limit:
                return whole
    decoder.finish()
    return whole


def cut(data: bytes, places: list[int]) -> list[bytes]:
    ends = sorted({place % (len(data) + 1) for place in places} | {len(data)})
    return [data[start:end] for start, end in zip([0, *ends], ends, strict=False)]


@pytest.mark.parametrize("name", PACKERS)
@given(data=st.binary(max_size=300), places=st.lists(st.integers(0, 10_000), max_size=8))
def test_what_was_packed_comes_out_however_it_is_cut(name: str, data: bytes, places: list[int]) -> None:
    encoding, pack = PACKERS[name]
    assert inflate(encoding, cut(pack(data), places)) == data


@pytest.mark.parametrize("name", [name for name in PACKERS if name != "identity"])
@given(data=st.binary(min_size=1, max_size=300), missing=st.integers(1, 10_000))
def test_a_stream_that_ends_too_early_is_refused(name: str, data: bytes, missing: int) -> None:
    encoding, pack = PACKERS[name] if "members" not in name and "frames" not in name else PACKERS[name.split()[0]]
    packed = pack(data)
    with pytest.raises(BadRequest):
        inflate(encoding, [packed[: -(missing % len(packed) or 1)]])


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd"])
@given(data=st.binary(max_size=100))
def test_any_bytes_are_inflated_or_refused(encoding: str, data: bytes) -> None:
    with contextlib.suppress(BadRequest):
        inflate(encoding, [data])


@given(
    data=st.binary(max_size=50),
    more=st.binary(min_size=1, max_size=50),
    places=st.lists(st.integers(0, 10_000), max_size=4),
)
def test_a_deflate_stream_that_goes_on_after_its_end_is_refused_wherever_it_is_cut(
    data: bytes, more: bytes, places: list[int]
) -> None:
    whole = zlib.compress(data)
    for rest in (more, zlib.compress(more)):
        for pieces in (cut(whole + rest, places), [whole, rest]):
            with pytest.raises(BadRequest):
                inflate("deflate", pieces)


@pytest.mark.parametrize("name", ["gzip", "deflate", "zstd"])
def test_a_bomb_stops_at_the_limit(name: str) -> None:
    encoding, pack = PACKERS[name]
    limit = 2**20
    assert limit < len(inflate(encoding, [pack(bytes(64 * 2**20))], limit)) <= limit + 256 * 1024


def test_many_gzip_members_take_time_by_their_number_only() -> None:
    def seconds(members: int) -> float:
        body = gzip.compress(b"x") * members
        began = time.process_time()
        assert len(inflate("gzip", [body])) == members
        return time.process_time() - began

    assert seconds(32_000) < 40 * max(seconds(2_000), 0.005)  # quadratic would be 256


def test_a_zstd_window_is_at_most_what_rfc_9659_allows() -> None:
    stream = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: 24})
    wide = stream.compress(bytes(2**20)) + stream.flush()
    with pytest.raises(BadRequest, match="8 MiB"):
        inflate("zstd", [wide])
    stream = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: 23})
    assert inflate("zstd", [stream.compress(bytes(2**20)) + stream.flush()]) == bytes(2**20)


@pytest.mark.parametrize("header", ["br", "gzip, gzip", "gzip,identity", "compress"])
def test_another_encoding_is_refused(header: str) -> None:
    with pytest.raises(UnsupportedMedia):
        inflater(header)


@pytest.mark.parametrize("header", [None, "", " GZip "])
def test_a_header_may_be_missing_or_in_any_case(header: str | None) -> None:
    inflater(header)


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_many_small_streams_are_worked_on_in_steps(encoding: str) -> None:
    one = {"gzip": gzip.compress(b""), "zstd": zstd.compress(b"")}[encoding]
    assert list(inflater(encoding).feed(one * 1600)) == [b"", b"", b""]


def test_a_piece_of_which_nothing_comes_yet_is_no_step() -> None:
    whole = bytes(random.Random(7).choices(range(64), k=200_000))
    pieces = list(inflater("zstd").feed(zstd.compress(whole)))
    assert b"" not in pieces
    assert b"".join(pieces) == whole
