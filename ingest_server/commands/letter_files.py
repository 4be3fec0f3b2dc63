"""Files of letters, and of a repaired item, as a person names them on the command line."""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from ingest_server.errors import StartRefused


class _Line(msgspec.Struct):
    id: str
    item: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


def repaired_items(lines: Iterable[bytes]) -> Iterator[tuple[str, bytes | None]]:
    """Every letter's id and item, of exported lines. Raises `StartRefused` at a line that is none, or without any."""
    decoder = msgspec.json.Decoder(_Line)
    is_empty = True
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            said = decoder.decode(line)
        except msgspec.DecodeError:
            raise StartRefused(
                f"line {number} is no exported letter", remedy="one JSON object a line, with id and item"
            ) from None
        if not isinstance(said.item, msgspec.Raw):
            raise StartRefused(
                f"line {number} has no item", remedy="repair it: put the item, a JSON object, in the place of raw"
            )
        is_empty = False
        yield said.id, bytes(said.item)
    if is_empty:
        raise StartRefused(
            "the file holds no letter", remedy="name what dead-letters export wrote, with repaired items"
        )


def content(path: str) -> bytes:
    """The whole file. Raises `StartRefused`."""
    with opened(path) as file:
        return file.read()


def opened(path: str) -> BinaryIO:
    """The file, or standard input for `-`. Raises `StartRefused`."""
    if path == "-":
        return sys.stdin.buffer
    try:
        return Path(path).open("rb")
    except OSError as error:
        raise StartRefused(
            f"{path} cannot be read: {error.strerror}", remedy="name a file, or - for standard input"
        ) from None
