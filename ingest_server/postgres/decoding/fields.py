"""What is compiled for a table's columns: pydantic's type of an item, and what takes fields out of one."""

import re
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any, NotRequired, Required

import msgspec
from pydantic import ConfigDict
from typing_extensions import TypedDict

from ingest_server.errors import Misconfigured
from ingest_server.model import Column, TableSpec, Unknown
from ingest_server.postgres.decoding.jsontext import members
from ingest_server.postgres.decoding.types import annotation
from ingest_server.postgres.writing.patching import is_patched
from ingest_server.postgres.writing.rows import Row

Fields = dict[str, Any]

# msgspec has no structs with such names; a dict takes them, at some cost.
_NO_STRUCT_NAME = re.compile(r'["\\\x00-\x1f]')


def typed_dict(spec: TableSpec, columns: Sequence[Column]) -> Any:
    """The table's columns as a TypedDict: unlike a class's attributes, its keys may have any name."""
    fields: dict[str, Any] = {}
    for column in columns:
        wanted = annotation(column)
        may_lack = column.nullable or column.has_default or is_patched(spec, column)
        fields[column.name] = NotRequired[wanted] if may_lack else Required[wanted]
    shape = TypedDict("Item", fields, total=False)  # type: ignore[misc]  # its fields are known at run time only
    shape.__pydantic_config__ = ConfigDict(  # type: ignore[attr-defined]  # pydantic's own door for TypedDicts
        extra="forbid" if spec.catch_all is None and spec.unknown is Unknown.REJECT else "allow", allow_inf_nan=False
    )
    return shape


def slicer(names: Sequence[str]) -> Callable[[bytes], Sequence[msgspec.Raw]]:
    """Reads these members of an item as the bytes that were sent; of one that is not there, none."""
    nothing = msgspec.Raw()
    if any(_NO_STRUCT_NAME.search(name) for name in names):
        return lambda raw: [found.get(name, nothing) for found in [members(raw)] for name in names]
    fields = [
        (f"f{position}", msgspec.Raw, msgspec.field(default=nothing, name=name)) for position, name in enumerate(names)
    ]
    decode = msgspec.json.Decoder(msgspec.defstruct("Slices", fields)).decode
    return lambda raw: msgspec.structs.astuple(decode(raw))


def getter(names: tuple[str, ...]) -> Callable[[Fields], Row]:
    """Takes these fields out as a row."""
    if len(names) > 1:
        return itemgetter(*names)
    return lambda fields: tuple(fields[name] for name in names)


def closed(spec: TableSpec) -> dict[str, str]:
    """Columns that no item can fill, and why. Raises `Misconfigured` where the table cannot do without one."""
    found: dict[str, str] = {}
    for column in spec.columns:
        if column.generated:
            found[column.name] = "PostgreSQL makes this column itself (GENERATED): leave it out"
        elif annotation(column) is None:
            if not column.nullable and not column.has_default:
                raise Misconfigured(
                    f"table {spec.table.schema}.{spec.table.name}: column {column.name} is NOT NULL and of type "
                    f"{column.type}, for which PostgreSQL takes no value from anybody: give it a default"
                )
            found[column.name] = f"the column's type is {column.type}, for which PostgreSQL takes no value from anybody"
    return found
