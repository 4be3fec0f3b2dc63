"""Tables as pydantic models: `class Property(Table, key="reference")` makes the table, and says what is valid."""

import re
import types
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from ipaddress import IPv4Address, IPv6Address
from typing import Any, ClassVar, Literal, Union, get_args, get_origin
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from ingest_server.errors import StartRefused
from ingest_server.model import Column, Mode, TableName, TableOptions, TableSpec

_TYPES: dict[type, tuple[str, str]] = {
    bool: ("boolean", "bool"),
    int: ("bigint", "int8"),
    float: ("double precision", "float8"),
    Decimal: ("numeric", "numeric"),
    str: ("text", "text"),
    bytes: ("bytea", "bytea"),
    datetime: ("timestamp with time zone", "timestamptz"),
    date: ("date", "date"),
    time: ("time without time zone", "time"),
    timedelta: ("interval", "interval"),
    UUID: ("uuid", "uuid"),
    IPv4Address: ("inet", "inet"),
    IPv6Address: ("inet", "inet"),
}
_JSONB = ("jsonb", "jsonb")
_TEXT = ("text", "text")


class Table(BaseModel):
    """Base of a table's model. A subclass is one table: its fields are the columns, its constraints what is valid.

    Class keywords:
        table: `name` or `schema.name`; default: the class's name in snake case, in the server's schema.
        key: column or columns of the primary key; default: none.
        mode: `append`, `upsert` or `ignore`; default: `upsert` with a key, else `append`.
        newest_by: a column; an item with an older value than the row's leaves the row as it is.
        catch_all: a jsonb column that takes fields which the table does not have; default: such items are refused.

    Columns: bool boolean, int bigint, float double precision, Decimal numeric, str text, bytes bytea, datetime timestamptz,
    date date, time time, timedelta interval, UUID uuid, enum text; lists, dicts and nested models jsonb; anything else
    that pydantic knows (a URL, an email) text. `X | None` allows NULL.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    table_address: ClassVar[str] = ""
    table_key: ClassVar[tuple[str, ...]] = ()
    table_options: ClassVar[TableOptions] = TableOptions()

    @classmethod
    def __pydantic_init_subclass__(
        cls,
        *,
        table: str | None = None,
        key: str | tuple[str, ...] = (),
        mode: str | None = None,
        newest_by: str | None = None,
        catch_all: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Read the class keywords. Raises `TypeError` where they do not fit the fields."""
        super().__pydantic_init_subclass__(**kwargs)
        cls.table_address = table or snake_case(cls.__name__)
        cls.table_key = (key,) if isinstance(key, str) else tuple(key)
        for name in (*cls.table_key, *filter(None, (newest_by, catch_all))):
            if name not in cls.model_fields:
                raise TypeError(f"{cls.__name__}: {name!r} is named in the class keywords, but is no field of it")
        if mode not in (None, *Mode):
            raise TypeError(f"{cls.__name__}: mode is one of {', '.join(Mode)}, not {mode!r}")
        if mode in (Mode.UPSERT, Mode.IGNORE) and not cls.table_key:
            raise TypeError(f'{cls.__name__}: mode "{mode}" needs key="…"')
        cls.table_options = TableOptions(Mode(mode) if mode else None, newest_by, catch_all)
        if catch_all is not None:
            cls.model_config["extra"] = "allow"
            cls.model_rebuild(force=True)


def spec_of(model: type[Table], default_schema: str) -> TableSpec:
    """The table that this model describes."""
    try:
        table = TableName.parse(model.table_address, default_schema)
        table.check()
    except ValueError as error:
        raise StartRefused(f"model {model.__name__}: {error}", remedy='set table="name" in its class line') from None
    columns = []
    for name, info in model.model_fields.items():
        declared, nullable = _column_type(info.annotation)
        columns.append(Column(name, *declared, nullable=nullable and name not in model.table_key))
    options = model.table_options
    mode = options.mode or (Mode.UPSERT if model.table_key else Mode.APPEND)
    return TableSpec(
        table, tuple(columns), model.table_key, mode, newest_by=options.newest_by, catch_all=options.catch_all
    )


def snake_case(name: str) -> str:
    """`PropertyItem` as `property_item`, `HTTPResult` as `http_result`: the client names tables of item classes alike."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def _column_type(annotated: Any) -> tuple[tuple[str, str], bool]:
    origin = get_origin(annotated)
    if origin in (Union, types.UnionType):
        parts = [part for part in get_args(annotated) if part is not type(None)]
        nullable = len(parts) < len(get_args(annotated))
        kinds = {_column_type(part)[0] for part in parts}
        return (kinds.pop() if len(kinds) == 1 else _JSONB), nullable
    if origin is Literal:
        kinds = {_column_type(type(value))[0] for value in get_args(annotated)}
        return (kinds.pop() if len(kinds) == 1 else _JSONB), False
    if annotated is Any:
        return _JSONB, True
    if origin is not None or not isinstance(annotated, type):
        return _JSONB, False
    if annotated in _TYPES:
        return _TYPES[annotated], False
    if issubclass(annotated, BaseModel | dict | list | set | frozenset | tuple):
        return _JSONB, False
    if issubclass(annotated, Enum):
        kinds = {_column_type(type(member.value))[0] for member in annotated}
        return (kinds.pop() if len(kinds) == 1 else _TEXT), False
    return next((_TYPES[base] for base in annotated.__mro__ if base in _TYPES), _TEXT), False
