"""Items from their JSON bytes to rows for COPY, or to refusals with index, column and reason."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from pydantic import BaseModel, TypeAdapter, ValidationError

from ingest_server.errors import Misconfigured
from ingest_server.model import Column, Refusal, TableSpec, Unknown, Unstorable
from ingest_server.postgres.decoding.arrays import as_deep_as
from ingest_server.postgres.decoding.fields import Fields, closed, getter, slicer, typed_dict
from ingest_server.postgres.decoding.invalid import invalid
from ingest_server.postgres.decoding.jsontext import (
    LONG_NUMBER,
    NOT_ONE_OBJECT,
    NUL,
    TOO_DEEP,
    elements,
    holds_nan,
    holds_nul,
    joined,
    members,
    quoted_number,
    quoted_numbers,
    too_deep,
    with_members,
)
from ingest_server.postgres.decoding.mending import may_be_mended, mended
from ingest_server.postgres.decoding.modelled import Modelled
from ingest_server.postgres.decoding.owntext import own_text, said
from ingest_server.postgres.decoding.types import JSON_KINDS, NUMBERS, is_textual
from ingest_server.postgres.writing.patching import is_patched
from ingest_server.postgres.writing.refusals import INVALID, NULL_REFUSED, RefusedError
from ingest_server.postgres.writing.rows import IGNORED_FIELDS, Decoded, Row, Rows
from ingest_server.turns import Breath


class Decoder:
    """Compiled for one table's shape. Pydantic is the authority on what is valid, straight from the JSON bytes.

    Raises `Misconfigured` where the table can take no item at all, or where model and table have grown apart.
    """

    def __init__(self, spec: TableSpec, model: type[BaseModel] | None = None) -> None:
        self._spec = spec
        self._deeper: dict[tuple[int, ...], Decoder] = {}
        self._closed = closed(spec)
        columns = [column for column in spec.writable if column.name not in self._closed]
        self._modelled = Modelled(spec, model) if model is not None else None
        if self._modelled is not None:
            columns = [column for column in columns if column.name in self._modelled.fields]
        if not columns:
            raise Misconfigured(f"table {spec.table.schema}.{spec.table.name} has no column that an item could fill")
        self._catch_all = spec.catch_all
        self._names = tuple(column.name for column in columns)
        # A patch has the fields that it brings, and the one that says how new it is.
        is_left_out = {column.name: column.has_default or is_patched(spec, column) for column in columns}
        self._defaulted = frozenset(name for name, is_so in is_left_out.items() if is_so)
        self._blank: Fields = {name: None for name, is_so in is_left_out.items() if not is_so}
        self._json = tuple(column.name for column in columns if column.kind in JSON_KINDS)
        self._textual = {column.name: column for column in columns if is_textual(column)}
        self._arrays = frozenset(column.name for column in columns if column.dimensions)
        any_value = (*self._json, *self._textual)
        self._never_null = tuple(column.name for column in columns if column.name in any_value and not column.nullable)
        self._ignores = spec.unknown is Unknown.IGNORE and self._catch_all is None
        self._takes_any_field = self._ignores or self._catch_all is not None
        self._mends = spec.unstorable is Unstorable.REPLACE
        self._numbers = tuple(column.name for column in columns if column.kind in NUMBERS and not column.dimensions)
        self._columns: Mapping[str, str] = {}
        self._known: frozenset[str] = frozenset(self._names)
        adapter: TypeAdapter[Any]
        if model is None or self._modelled is None:
            adapter = TypeAdapter(typed_dict(spec, columns))
            self._numeric = tuple(
                column.name for column in columns if column.kind == "numeric" and not column.dimensions
            )
            self._slices = slicer(any_value) if any_value else None
        else:
            adapter = TypeAdapter(model)
            self._columns = self._modelled.columns
            self._known = frozenset(self._columns)
            self._numeric = tuple(
                self._modelled.aliases[name] for name in self._names if name in self._modelled.aliases
            )
            self._slices = None
        self._numeric_arrays = tuple(
            column.name
            for column in columns
            if column.kind == "numeric" and column.dimensions and self._modelled is None
        )
        # What TypeAdapter.validate_json calls, without its twelve arguments.
        self._validate: Callable[[bytes], Any] = adapter.validator.validate_json
        # So many fields has an item that lacks none.
        self._width = -1 if self._takes_any_field else len(self._names)
        self._numeric_quoted = tuple(f'"{name}"'.encode() for name in self._numeric)
        self._numeric_is_plain = all(name.isascii() and name.isidentifier() for name in self._numeric)

    async def decode(self, items: Sequence[bytes]) -> Decoded:
        """Every item as a row or as a refusal, in order. Never raises. Other coroutines get their turn in between."""
        groups: dict[frozenset[str], tuple[Rows, Callable[[Fields], Row]]] = {}
        decoded = Decoded([], [])
        nothing: frozenset[str] = frozenset()
        breath = Breath(sum(map(len, items)))
        for index, raw in enumerate(items):
            if breath.is_due(len(raw)):
                await breath.take()
            fields = self._fields(index, raw)
            if isinstance(fields, Refusal) and fields.column in self._arrays:
                fields = self._deeper_fields(index, raw, fields)
            if isinstance(fields, Refusal) and self._mends:
                fields = self._mended_fields(index, raw, fields, decoded)
            if isinstance(fields, Refusal):
                decoded.refusals.append(fields)
                continue
            if self._ignores and (unknown := len(fields.keys() - self._known)):
                decoded.altered[IGNORED_FIELDS] += unknown
            missing = self._defaulted.difference(fields) if self._defaulted else nothing
            group = groups.get(missing)
            if group is None:
                names = tuple(name for name in self._names if name not in missing)
                group = groups[missing] = (Rows(names), getter(names))
            rows, row = group
            rows.indexes.append(index)
            rows.values.append(row(fields))
        decoded.groups.extend(rows for rows, _ in groups.values())
        return decoded

    def _deeper_fields(self, index: int, raw: bytes, refusal: Refusal) -> Fields | Refusal:
        """The fields of an item whose arrays have another depth than was declared: PostgreSQL stores them all the same."""
        spec = as_deep_as(raw, self._spec) if self._modelled is None else self._spec
        if spec is self._spec:
            return refusal
        depths = tuple(column.dimensions for column in spec.columns)
        if depths not in self._deeper:
            self._deeper[depths] = Decoder(spec)
        return self._deeper[depths]._fields(index, raw)

    def _mended_fields(self, index: int, raw: bytes, refusal: Refusal, decoded: Decoded) -> Fields | Refusal:
        """The fields of an item that was refused, without what PostgreSQL cannot store, where that was why."""
        if not may_be_mended(raw, has_numbers=bool(self._numbers)):
            return refusal
        whole, counts = mended(raw, self._numbers)
        if not counts:
            return refusal
        fields = self._fields(index, whole)
        if not isinstance(fields, Refusal):
            decoded.altered += counts
        return fields

    def _fields(self, index: int, raw: bytes) -> Fields | Refusal:
        """The item's fields as asyncpg takes them, every column without a default present."""
        # One byte is found ten times faster than two: most items hold no escape at all.
        is_escaped = b"\\" in raw
        try:
            fields = self._valid(raw, is_escaped=is_escaped) if self._modelled is None else self._modelled_fields(raw)
            if self._takes_any_field:
                self._look_at_unknown(fields, raw)
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
        if (
            (self._numeric or self._numeric_arrays)
            and self._may_hold_long_numbers(raw, is_escaped)
            and (replaced := self._long_numbers(raw))
        ):
            fields = {**self._blank, **self._validate(with_members(raw, replaced))}
        if self._slices is not None:
            # JSON columns are handed to PostgreSQL as they were sent, and so is what goes to a type's own input function.
            for name, value in zip((*self._json, *self._textual), self._slices(raw), strict=True):
                if fields.get(name) is None:
                    continue
                column = self._textual.get(name)
                if column is None:
                    fields[name] = self._json_text(name, bytes(value))
                elif isinstance(fields[name], str):
                    fields[name] = said(fields[name], column.kind)
                else:
                    fields[name] = _own_text(column, bytes(value))
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
        # a name may be written with escapes
        if self._numeric_arrays or not self._numeric_is_plain or (is_escaped and b"\\u" in raw):
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
        found = {name: quoted_number(bytes(sent[name])) for name in self._numeric if name in sent}
        found |= {name: quoted_numbers(bytes(sent[name])) for name in self._numeric_arrays if name in sent}
        return {name: quoted for name, quoted in found.items() if quoted is not None}

    def _json_text(self, name: str, value: bytes) -> Any:
        if too_deep(value, below=1):
            raise RefusedError(TOO_DEEP, name)
        if name not in self._arrays:
            return value.decode()
        return [None if part == b"null" else part.decode() for part in map(bytes, elements(value))]

    def _look_at_unknown(self, fields: Fields, raw: bytes) -> None:
        """Pydantic let every field pass: those of closed columns are refused all the same, the others gathered or left out."""
        for name, why in self._closed.items():
            if name in fields:
                raise RefusedError(why, name)
        if self._catch_all is not None:
            self._gather(fields, raw)
        elif holds_nan(raw):
            raise RefusedError(NOT_ONE_OBJECT)

    def _gather(self, fields: Fields, raw: bytes) -> None:
        """The fields that the table does not have, member by member as they were sent, into the catch-all column."""
        name = self._catch_all
        assert name is not None
        foreign = {field: bytes(value) for field, value in members(raw).items() if field not in self._known}
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
        why = None if refusal.column is None else self._closed.get(refusal.column)
        return refusal if why is None else Refusal(index, INVALID, why, refusal.column)


def _own_text(column: Column, raw: bytes) -> Any:
    if too_deep(raw, below=1):
        raise RefusedError(TOO_DEEP, column.name)
    try:
        return own_text(raw, column.kind, column.dimensions)
    except ValueError as error:
        raise RefusedError(str(error), column.name) from None
