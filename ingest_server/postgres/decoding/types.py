"""PostgreSQL's types as pydantic sees them: what a JSON value must be to go into a column, and what asyncpg is handed.

Three ways: types that pydantic knows go as Python values in binary COPY; json and jsonb go as the bytes that were sent; of
every other type the text goes to the type's own input function, in text COPY, whoever made the type.
"""

import ipaddress
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, Field

from ingest_server.model import NAME_BYTES, Column

# PostgreSQL's real: https://www.postgresql.org/docs/current/datatype-numeric.html#DATATYPE-FLOAT
_REAL = 3.4028235e38


def _in_utc(value: datetime) -> datetime:
    # asyncpg takes a naive datetime for local time of this machine; an item says nothing of where the server stands
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value


def _naive_utc(value: datetime) -> datetime:
    if value.tzinfo is None:
        return value
    try:
        return value.astimezone(UTC).replace(tzinfo=None)
    except OverflowError:  # pydantic lets it through a validator, and it would end the whole batch
        raise ValueError("is out of range in UTC") from None


def _time_in_utc(value: time) -> time:
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value


def _naive_time(value: time) -> time:
    return value.replace(tzinfo=None)


def _inet(value: str) -> str:
    ipaddress.ip_interface(value)
    if "%" in value:  # asyncpg would leave it out without a word
        raise ValueError("has a zone, which inet cannot hold")
    return value


def _cidr(value: str) -> str:
    ipaddress.ip_network(value)
    if "%" in value:
        raise ValueError("has a zone, which cidr cannot hold")
    return value


def _name(value: str) -> str:
    if len(value.encode()) > NAME_BYTES:  # PostgreSQL's own word for it looks like a table that nobody can write
        raise ValueError("is too long for a name")
    return value


_TYPES: dict[str, Any] = {
    "int2": Annotated[int, Field(ge=-(2**15), le=2**15 - 1)],
    "int4": Annotated[int, Field(ge=-(2**31), le=2**31 - 1)],
    "int8": Annotated[int, Field(ge=-(2**63), le=2**63 - 1)],
    "oid": Annotated[int, Field(ge=0, le=2**32 - 1)],
    "numeric": Decimal,
    "float4": Annotated[float, Field(ge=-_REAL, le=_REAL)],
    "float8": float,
    "bool": bool,
    "text": str,
    "varchar": str,
    "bpchar": str,
    "name": Annotated[str, AfterValidator(_name)],
    "bytea": bytes,
    "date": date,
    "time": Annotated[time, AfterValidator(_naive_time)],
    "timetz": Annotated[time, AfterValidator(_time_in_utc)],
    "timestamp": Annotated[datetime, AfterValidator(_naive_utc)],
    "timestamptz": Annotated[datetime, AfterValidator(_in_utc)],
    "uuid": UUID,
    "inet": Annotated[str, AfterValidator(_inet)],
    "cidr": Annotated[str, AfterValidator(_cidr)],
    "json": Any,
    "jsonb": Any,
}

JSON_KINDS = frozenset({"json", "jsonb"})
NUMBERS = frozenset({"numeric", "float4", "float8"})
_GEOMETRIC = frozenset({"point", "line", "lseg", "box", "path", "polygon", "circle"})
_OWN = "own type "
# Their input functions take nothing, whatever the text: PostgreSQL fills them itself.
_CLOSED = frozenset({"pg_node_tree", "pg_ndistinct", "pg_dependencies", "pg_mcv_list"}) | {
    "pg_brin_bloom_summary",
    "pg_brin_minmax_multi_summary",
}
# No operator that sorts them, or (jsonb) one that sorts by something else than what an item means.
_WITHOUT_ORDER = _GEOMETRIC | {"json", "jsonb", "xml", "hstore", "jsonpath", "aclitem", "xid", "cid"}
# No equality operator, or one that finds different values equal: geometric types compare areas
# (https://www.postgresql.org/docs/current/functions-geometry.html), citext forgets the case, intervals make 30 days a month.
_COMPARED_AS_TEXT = _GEOMETRIC | {"json", "xml", "citext", "interval", "hstore", "jsonpath"}


def own_kind(name: str) -> str:
    """The kind of a type that is not PostgreSQL's own: it may share its name with one that is."""
    return f"{_OWN}{name}"


def has_order(kind: str) -> bool:
    """Whether values of this kind can be older and newer than one another."""
    return kind not in _WITHOUT_ORDER and not kind.startswith(_OWN)


def is_compared_as_text(kind: str) -> bool:
    """Whether two values are the same where their texts are: of somebody's own type nothing is known but the text."""
    return kind in _COMPARED_AS_TEXT or kind.startswith(_OWN)


def takes_json(kind: str) -> bool:
    """Whether a list or an object is handed on as JSON text: somebody's own type may read it (vector, PostGIS' geometry)."""
    return kind == "hstore" or kind.startswith(_OWN)


def is_textual(column: Column) -> bool:
    """Whether the column's values go to its type's own input function as text."""
    is_enum = column.kind == "enum" and bool(column.labels)
    return not (is_enum or column.kind in _TYPES or column.kind in _CLOSED)


def annotation(column: Column) -> Any | None:
    """The type that a JSON value for this column must have, or None where PostgreSQL takes none from anybody."""
    if column.kind in _CLOSED:
        return None
    element: Any
    if column.kind == "citext":  # asyncpg knows no binary form for it
        element = str
    elif is_textual(column):
        element = Any
    elif column.kind == "enum":
        element = Literal[column.labels]
    else:
        element = _TYPES[column.kind]
    if column.max_length is not None:
        element = Annotated[element, Field(max_length=column.max_length)]
    for _ in range(column.dimensions):
        # the first wrong element is enough: half a million errors take gigabytes
        element = Annotated[list[element | None], Field(fail_fast=True)] if element is not Any else list[Any]
    return element | None if column.nullable and element is not Any else element


def converter(column: Column, annotated: Any) -> Callable[[Any], Any] | None:
    """What makes a model's value fit the column, or None where values of this annotation fit as they are."""
    if column.dimensions or column.kind in JSON_KINDS:
        return None
    convert: Callable[[Any], Any]
    match column.kind:
        case "timestamptz":
            convert = _in_utc
        case "timestamp":
            convert = _naive_utc
        case "time":
            convert = _naive_time
        case "text" | "varchar" | "bpchar" | "citext":
            convert = _text
        case _:
            convert = _value
    plain = _PLAIN.get(column.kind)
    if plain is not None and annotated in (plain, plain | None):
        return None
    return lambda value: None if value is None else convert(value)


_PLAIN: dict[str, type] = {
    "int2": int,
    "int4": int,
    "int8": int,
    "float4": float,
    "float8": float,
    "numeric": Decimal,
    "bool": bool,
    "text": str,
    "varchar": str,
    "bpchar": str,
    "date": date,
    "uuid": UUID,
    "bytea": bytes,
    "interval": timedelta,
}


def _text(value: Any) -> str:
    return str(value.value if isinstance(value, Enum) else value)


def _value(value: Any) -> Any:
    return value.value if isinstance(value, Enum) else value
