"""Python's types as columns: what `int`, `Decimal | None` or `list[Photo]` in a model becomes in PostgreSQL."""

import dataclasses
import types
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from typing import Annotated, Any, Literal, NamedTuple, NewType, Union, get_args, get_origin
from uuid import UUID

from pydantic import BaseModel, SecretBytes, SecretStr
from typing_extensions import TypeAliasType


class ColumnType(NamedTuple):
    """A column's type as CREATE TABLE takes it, and its name in pg_type."""

    type: str
    kind: str


_JSONB = ColumnType("jsonb", "jsonb")
_TEXT = ColumnType("text", "text")
_TYPES: dict[type, ColumnType] = {
    bool: ColumnType("boolean", "bool"),
    int: ColumnType("bigint", "int8"),
    float: ColumnType("double precision", "float8"),
    Decimal: ColumnType("numeric", "numeric"),
    str: _TEXT,
    bytes: ColumnType("bytea", "bytea"),
    datetime: ColumnType("timestamp with time zone", "timestamptz"),
    date: ColumnType("date", "date"),
    time: ColumnType("time without time zone", "time"),
    timedelta: ColumnType("interval", "interval"),
    UUID: ColumnType("uuid", "uuid"),
    IPv4Address: ColumnType("inet", "inet"),
    IPv6Address: ColumnType("inet", "inet"),
    IPv4Interface: ColumnType("inet", "inet"),
    IPv6Interface: ColumnType("inet", "inet"),
    IPv4Network: ColumnType("cidr", "cidr"),
    IPv6Network: ColumnType("cidr", "cidr"),
}
_JSON_LIKE = (BaseModel, dict, list, set, frozenset, tuple)


def column_type(annotated: Any) -> tuple[ColumnType, bool]:
    """The column for values of this annotation, and whether None is one of them.

    Raises `TypeError` for a type whose values must not, or cannot, be written.
    """
    annotated = _bare(annotated)
    if annotated is None or annotated is type(None):
        return _JSONB, True
    if annotated is Any:
        return _JSONB, True
    origin = get_origin(annotated)
    if origin in (Union, types.UnionType):
        return _of_union(get_args(annotated))
    if origin is Literal:
        return _of_values(get_args(annotated))
    if origin is not None or not isinstance(annotated, type):
        return _JSONB, False
    return _of_class(annotated)


def _bare(annotated: Any) -> Any:
    """The type below `Annotated`, `type X = …` and `NewType`."""
    while True:
        if get_origin(annotated) is Annotated:
            annotated = get_args(annotated)[0]
        elif isinstance(annotated, TypeAliasType):
            annotated = annotated.__value__
        elif isinstance(annotated, NewType):
            annotated = annotated.__supertype__
        else:
            return annotated


def _of_union(parts: tuple[Any, ...]) -> tuple[ColumnType, bool]:
    columns = [column_type(part) for part in parts if part is not type(None)]
    kinds = {kind for kind, _ in columns}
    nullable = len(columns) < len(parts) or any(nullable for _, nullable in columns)
    return (kinds.pop() if len(kinds) == 1 else _JSONB), nullable


def _of_values(values: tuple[Any, ...]) -> tuple[ColumnType, bool]:
    kinds = {column_type(type(value))[0] for value in values if value is not None}
    return (kinds.pop() if len(kinds) == 1 else _JSONB), None in values


def _of_class(annotated: type) -> tuple[ColumnType, bool]:
    if issubclass(annotated, SecretStr | SecretBytes):
        raise TypeError(f"{annotated.__name__} would be stored as asterisks")
    if issubclass(annotated, Enum):
        kinds = {column_type(type(member.value))[0] for member in annotated}
        return (kinds.pop() if len(kinds) == 1 else _TEXT), False
    if issubclass(annotated, _JSON_LIKE) or dataclasses.is_dataclass(annotated):
        return _JSONB, False
    return next((_TYPES[base] for base in annotated.__mro__ if base in _TYPES), _TEXT), False
