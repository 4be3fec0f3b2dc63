"""Items from their JSON bytes to rows for COPY, or to refusals with index, column and reason."""

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any, NotRequired, Required

import msgspec
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from ingest_server.errors import Misconfigured
from ingest_server.model import Column, Refusal, TableSpec
from ingest_server.postgres.invalid import invalid
from ingest_server.postgres.jsontext import (
    LONG_NUMBER,
    NOT_ONE_OBJECT,
    NUL,
    TOO_DEEP,
    elements,
    holds_nan,
    holds_nul,
    is_long_number,
    joined,
    members,
    too_deep,
    with_members,
)
from ingest_server.postgres.landing import SLICE
from ingest_server.postgres.modelled import Modelled
from ingest_server.postgres.refusals import INVALID, NULL_REFUSED, RefusedError
from ingest_server.postgres.rows import Decoded, Row, Rows
from ingest_server.postgres.types import JSON_KINDS, annotation

Fields = dict[str, Any]

# msgspec has no structs with such names; a dict takes them, at some cost.
_NO_STRUCT_NAME = re.compile(r'["\\\x00-\x1f]')


class Decoder:
    """Compiled for one table's shape. Pydantic is the authority on what is valid, straight from the JSON bytes.

    Raises `Misconfigured` where the table can take no item at all, or where model and table have grown apart.
    """

    def __init__(self, spec: TableSpec, model: type[BaseModel] | None = None) -> None:
        self._unsupported = _unsupported(spec)
        columns = [column for column in spec.writable if column.name not in self._unsupported]
        self._modelled = Modelled(spec, model) if model is not None else None
        if self._modelled is not None:
            columns = [column for column in columns if column.name in self._modelled.fields]
        if not columns:
            raise Misconfigured(f"table {spec.table.schema}.{spec.table.name} has no column that an item could fill")
        self._catch_all = spec.catch_all
        self._names = tuple(column.name for column in columns)
        self._defaulted = frozenset(column.name for column in columns if column.has_default)
        self._blank: Fields = {column.name: None for column in columns if not column.has_default}
        self._json = tuple(column.name for column in columns if column.kind in JSON_KINDS)
        self._arrays = frozenset(column.name for column in columns if column.dimensions)
        self._never_null = tuple(column.name for column in columns if column.kind in JSON_KINDS and not column.nullable)
        self._generated = frozenset(column.name for column in spec.columns if column.generated)
        self._columns: Mapping[str, str] = {}
        adapter: TypeAdapter[Any]
        if model is None or self._modelled is None:
            adapter = TypeAdapter(_typed_dict(spec, columns))
            self._numeric = tuple(column.name for column in columns if _is_numeric(column))
            self._slices = _slicer(self._json) if self._json else None
        else:
            adapter = TypeAdapter(model)
            self._columns = self._modelled.columns
            self._numeric = tuple(
                self._modelled.aliases[name] for name in self._names if name in self._modelled.aliases
            )
            self._slices = None
        # What TypeAdapter.validate_json calls, without its twelve arguments.
        self._validate: Callable[[bytes], Any] = adapter.validator.validate_json
        # So many fields has an item that lacks none.
        self._width = len(self._names) if self._catch_all is None else -1
        self._numeric_quoted = tuple(f'"{name}"'.encode() for name in self._numeric)
        self._numeric_is_plain = all(name.isascii() and name.isidentifier() for name in self._numeric)

    async def decode(self, items: Sequence[bytes]) -> Decoded:
        """Every item as a row or as a refusal, in order. Never raises. Other coroutines get their turn in between."""
        groups: dict[frozenset[str], tuple[Rows, Callable[[Fields], Row]]] = {}
        refusals: list[Refusal] = []
        nothing: frozenset[str] = frozenset()
        for index, raw in enumerate(items):
            if index % SLICE == SLICE - 1:
                await asyncio.sleep(0)
            fields = self._fields(index, raw)
            if isinstance(fields, Refusal):
                refusals.append(fields)
                continue
            missing = self._defaulted.difference(fields) if self._defaulted else nothing
            group = groups.get(missing)
            if group is None:
                names = tuple(name for name in self._names if name not in missing)
                group = groups[missing] = (Rows(names), _getter(names))
            rows, row = group
            rows.indexes.append(index)
            rows.values.append(row(fields))
        return Decoded([rows for rows, _ in groups.values()], refusals)

    def _fields(self, index: int, raw: bytes) -> Fields | Refusal:
        """The item's fields as asyncpg takes them, every column without a default present."""
        # One byte is found ten times faster than two: most items hold no escape at all.
        is_escaped = b"\\" in raw
        try:
            fields = self._valid(raw, is_escaped=is_escaped) if self._modelled is None else self._modelled_fields(raw)
            if self._catch_all is not None:
                self._gather(fields, raw)
            for name in self._never_null:
                if fields.get(name, "") is None:
                    raise RefusedError(NULL_REFUSED, name)
            if is_escaped and b"\\u0000" in raw:
                self._refuse_nul(fields)
        except ValidationError as error:
            return self._refused(index, error)
        except RefusedError as error:
            return Refusal(index, INVALID, error.message, error.column, error.detail)
        except msgspec.DecodeError:
            return Refusal(index, INVALID, NOT_ONE_OBJECT)
        return fields

    def _valid(self, raw: bytes, *, is_escaped: bool) -> Fields:
        fields: Fields = self._validate(raw)
        if len(fields) != self._width:
            fields = {**self._blank, **fields}
        if self._numeric and self._may_hold_long_numbers(raw, is_escaped) and (replaced := self._long_numbers(raw)):
            fields = {**self._blank, **self._validate(with_members(raw, replaced))}
        if self._slices is not None:
            # JSON columns are handed to PostgreSQL as they were sent.
            for name, value in zip(self._json, self._slices(raw), strict=True):
                if fields.get(name) is not None:
                    fields[name] = self._json_text(name, bytes(value))
        return fields

    def _modelled_fields(self, raw: bytes) -> Fields:
        assert self._modelled is not None
        if self._modelled.allows_nan and holds_nan(raw):
            raise RefusedError(NOT_ONE_OBJECT)
        try:
            valid = self._validate(raw)
            if (
                self._numeric
                and self._may_hold_long_numbers(raw, b"\\" in raw)
                and (replaced := self._long_numbers(raw))
            ):
                valid = self._validate(with_members(raw, replaced))
            return self._modelled.values(valid)
        except (ValidationError, msgspec.DecodeError, RefusedError, MemoryError):
            raise
        except Exception as error:
            # a validator of the model's author that stumbled over this item
            detail = f"{type(error).__name__}: {error}"
            raise RefusedError("the table's own rule failed on it", None, detail) from error

    def _refuse_nul(self, fields: Fields) -> None:
        for name in self._names:
            if holds_nul(fields.get(name), is_json=name in self._json):
                raise RefusedError(NUL, name)

    def _may_hold_long_numbers(self, raw: bytes, is_escaped: bool) -> bool:
        """A look that costs next to nothing, and never says no where `_long_numbers` would find one."""
        if not self._numeric_is_plain or (is_escaped and b"\\u" in raw):  # a name may be written with escapes
            return True
        for name in self._numeric_quoted:
            at = raw.find(name)
            while at >= 0:
                if LONG_NUMBER.match(raw, at + len(name)):
                    return True
                at = raw.find(name, at + 1)
        return False

    def _long_numbers(self, raw: bytes) -> dict[str, bytes]:
        """Numbers for numeric columns that pydantic would read as floats, quoted, which it reads digit by digit."""
        sent = members(raw)
        return {
            name: b'"' + number + b'"'
            for name in self._numeric
            if name in sent and is_long_number(number := bytes(sent[name]))
        }

    def _json_text(self, name: str, value: bytes) -> Any:
        if too_deep(value, below=1):
            raise RefusedError(TOO_DEEP, name)
        if name not in self._arrays:
            return value.decode()
        return [None if part == b"null" else part.decode() for part in map(bytes, elements(value))]

    def _gather(self, fields: Fields, raw: bytes) -> None:
        """The fields that the table does not have, member by member as they were sent, into the catch-all column."""
        name = self._catch_all
        assert name is not None
        known = self._columns or self._blank.keys() | self._defaulted
        foreign = {field: bytes(value) for field, value in members(raw).items() if field not in known}
        if not foreign:
            return
        own = fields.get(name)
        if own is not None:
            if not own.startswith("{"):
                message = "is not an object, so that fields which the table does not have cannot go into it"
                raise RefusedError(message, name)
            foreign = {field: bytes(value) for field, value in members(own).items()} | foreign
        gathered = joined(foreign)
        if too_deep(gathered, below=1):
            raise RefusedError(TOO_DEEP, name)
        fields[name] = gathered.decode()

    def _refused(self, index: int, error: ValidationError) -> Refusal:
        refusal = invalid(index, error, self._columns)
        if refusal.column in self._unsupported:
            message = f"the column's type, {self._unsupported[refusal.column]}, is not supported yet"
            return Refusal(index, INVALID, message, refusal.column)
        if refusal.column in self._generated:
            return Refusal(
                index, INVALID, "PostgreSQL makes this column itself (GENERATED): leave it out", refusal.column
            )
        return refusal


def _typed_dict(spec: TableSpec, columns: Sequence[Column]) -> Any:
    """The table's columns as a TypedDict: unlike a class's attributes, its keys may have any name."""
    fields: dict[str, Any] = {}
    for column in columns:
        wanted = annotation(column)
        fields[column.name] = NotRequired[wanted] if column.nullable or column.has_default else Required[wanted]
    shape = TypedDict("Item", fields, total=False)  # type: ignore[misc]  # its fields are known at run time only
    shape.__pydantic_config__ = ConfigDict(  # type: ignore[attr-defined]  # pydantic's own door for TypedDicts
        extra="forbid" if spec.catch_all is None else "allow", allow_inf_nan=False
    )
    return shape


def _slicer(names: Sequence[str]) -> Callable[[bytes], Sequence[msgspec.Raw]]:
    """Reads these members of an item as the bytes that were sent; of one that is not there, none."""
    nothing = msgspec.Raw()
    if any(_NO_STRUCT_NAME.search(name) for name in names):
        return lambda raw: [found.get(name, nothing) for found in [members(raw)] for name in names]
    fields = [
        (f"f{position}", msgspec.Raw, msgspec.field(default=nothing, name=name)) for position, name in enumerate(names)
    ]
    decode = msgspec.json.Decoder(msgspec.defstruct("Slices", fields)).decode
    return lambda raw: msgspec.structs.astuple(decode(raw))


def _is_numeric(column: Column) -> bool:
    return column.kind == "numeric" and not column.dimensions


def _getter(names: tuple[str, ...]) -> Callable[[Fields], Row]:
    if len(names) > 1:
        return itemgetter(*names)
    return lambda fields: tuple(fields[name] for name in names)


def _unsupported(spec: TableSpec) -> dict[str | None, str]:
    """Columns that cannot be filled yet, with their types. Raises `Misconfigured` where the table cannot do without one."""
    found: dict[str | None, str] = {}
    for column in spec.writable:
        if annotation(column) is None:
            if not column.nullable and not column.has_default:
                raise Misconfigured(
                    f"table {spec.table.schema}.{spec.table.name}: column {column.name} is NOT NULL and its type, "
                    f"{column.type}, is not supported yet: give it a default"
                )
            found[column.name] = column.type
    return found
