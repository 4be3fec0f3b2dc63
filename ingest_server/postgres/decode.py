"""Items from their JSON bytes to rows for COPY, or to refusals with index, column and reason."""

import asyncio
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, NotRequired, Required
from uuid import UUID

import msgspec
import orjson
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from ingest_server.errors import Misconfigured
from ingest_server.model import Column, Refusal, TableSpec
from ingest_server.postgres.types import JSON_KINDS, annotation, converter

MAX_DEPTH = 100
# Decoding holds the event loop; after so many items others get their turn.
_SLICE = 200
INVALID = "invalid"
_BRACKETS = re.compile(rb'"(?:[^"\\]|\\.)*"|([\[{])|([\]}])', re.DOTALL)
NUL = "holds a NUL character (\\u0000), which PostgreSQL cannot store"
# Errors whose text a model's author wrote, perhaps around the value: it stays in the dead letter.
_AUTHORS_WORDS = ("value_error", "assertion_error", "union_tag_invalid")

Row = tuple[Any, ...]


@dataclass(slots=True)
class Rows:
    """Rows of one batch that fill the same columns, each with its item's index."""

    columns: tuple[str, ...]
    row: Callable[[dict[str, Any]], Row] = field(repr=False)
    indexes: list[int] = field(default_factory=list)
    values: list[Row] = field(default_factory=list)


@dataclass(slots=True)
class Decoded:
    """A batch, sorted into rows and refusals."""

    groups: list[Rows]
    refusals: list[Refusal]


class Decoder:
    """Compiled for one table's shape. Pydantic is the authority on what is valid, straight from the JSON bytes.

    Raises `Misconfigured` where the table can take no item at all.
    """

    def __init__(self, spec: TableSpec, model: type[BaseModel] | None = None) -> None:
        self._catch_all = spec.catch_all
        self._model = model
        columns = [column for column in spec.writable if annotation(column) is not None]
        self._unsupported = _unsupported(spec)
        self._names = tuple(column.name for column in columns)
        self._defaulted = frozenset(column.name for column in columns if column.has_default)
        self._blank = {column.name: None for column in columns if not column.has_default}
        self._json = tuple(column.name for column in columns if column.kind in JSON_KINDS and not column.dimensions)
        self._never_null = tuple(column.name for column in columns if column.name in self._json and not column.nullable)
        if not columns:
            raise Misconfigured(f"table {spec.table.schema}.{spec.table.name} has no column that an item could fill")
        # JSON columns are handed to PostgreSQL as they were sent: no digit of a number is lost on the way.
        self._slices = msgspec.json.Decoder(
            msgspec.defstruct(
                "Slices",
                [
                    (f"f{position}", msgspec.Raw, msgspec.field(default_factory=msgspec.Raw, name=name))
                    for position, name in enumerate(self._json)
                ],
            )
        )
        self._validator: TypeAdapter[Any] = TypeAdapter(_typed_dict(spec, columns) if model is None else model)
        self._converters = () if model is None else _converters(model, columns)
        self._row = _getter(self._names)

    async def decode(self, items: Sequence[bytes]) -> Decoded:
        """Every item as a row or as a refusal, in order. Other coroutines get their turn in between."""
        groups: dict[frozenset[str], Rows] = {}
        refusals: list[Refusal] = []
        nothing: frozenset[str] = frozenset()
        for index, raw in enumerate(items):
            if index % _SLICE == _SLICE - 1:
                await asyncio.sleep(0)
            fields = self._fields(index, raw)
            if isinstance(fields, Refusal):
                refusals.append(fields)
                continue
            missing = self._defaulted.difference(fields) if self._defaulted else nothing
            group = groups.get(missing)
            if group is None:
                names = tuple(name for name in self._names if name not in missing)
                group = groups[missing] = Rows(names, _getter(names))
            group.indexes.append(index)
            group.values.append(group.row(fields))
        return Decoded(list(groups.values()), refusals)

    def _fields(self, index: int, raw: bytes) -> dict[str, Any] | Refusal:
        """The item's fields as asyncpg takes them, every column without a default present."""
        fault = broken(raw)
        if fault is not None:
            return Refusal(index, INVALID, fault)
        try:
            valid = self._validator.validate_json(raw)
        except ValidationError as error:
            return self._refused(index, error)
        fields = {**self._blank, **valid} if self._model is None else self._of_model(valid)
        if self._json:
            self._put_json(fields, raw)
        for name in self._never_null:
            if fields.get(name, "") is None:
                return Refusal(index, INVALID, "is null, but the column is NOT NULL", name)
        if b"\\u0000" in raw:
            for name in self._names:
                if holds_nul(fields.get(name), is_json=name in self._json):
                    return Refusal(index, INVALID, NUL, name)
        return fields

    def _of_model(self, valid: BaseModel) -> dict[str, Any]:
        fields: dict[str, Any] = {**self._blank, **valid.__dict__}
        for name, convert in self._converters:
            fields[name] = convert(fields[name])
        return fields

    def _put_json(self, fields: dict[str, Any], raw: bytes) -> None:
        if self._model is not None:
            for name in self._json:
                if fields.get(name) is not None:
                    fields[name] = _dumped(fields[name])
        else:
            slices = self._slices.decode(raw)
            for position, name in enumerate(self._json):
                if fields.get(name) is not None:
                    fields[name] = bytes(getattr(slices, f"f{position}")).decode()
        if self._catch_all is not None:
            self._gather(fields, raw)

    def _gather(self, fields: dict[str, Any], raw: bytes) -> None:
        """The fields that the table does not have, member by member as they were sent, into the catch-all column."""
        extra = self._catch_all
        assert extra is not None
        members = _MEMBERS.decode(raw)
        own = members.get(extra)
        known = {*self._names, *(self._model.model_fields if self._model is not None else ())}
        foreign = {name: bytes(value) for name, value in members.items() if name not in known}
        if foreign:
            if own is not None and bytes(own).startswith(b"{"):
                foreign = {**{name: bytes(value) for name, value in _MEMBERS.decode(own).items()}, **foreign}
            parts = (orjson.dumps(name) + b":" + value for name, value in foreign.items())
            fields[extra] = (b"{" + b",".join(parts) + b"}").decode()

    def _refused(self, index: int, error: ValidationError) -> Refusal:
        refusal = _refusal(index, error)
        if refusal.column in self._unsupported:
            message = f"the column's type, {self._unsupported[refusal.column]}, is not supported yet"
            return Refusal(index, INVALID, message, refusal.column)
        return refusal


class LandingDecoder:
    """For landing tables: the item goes as it is into one jsonb column, beside its crawl and batch."""

    def __init__(self, crawl: str | None, batch: UUID) -> None:
        self._crawl = crawl
        self._batch = batch

    async def decode(self, items: Sequence[bytes]) -> Decoded:
        """Every JSON object as a row, anything else as a refusal."""
        columns = ("crawl", "batch", "item")
        rows = Rows(columns, itemgetter(*columns))
        refusals: list[Refusal] = []
        for index, raw in enumerate(items):
            if index % _SLICE == _SLICE - 1:
                await asyncio.sleep(0)
            fault = broken(raw) or not_an_object(raw)
            if fault is None and b"\\u0000" in raw and holds_nul(raw.decode(), is_json=True):
                fault = NUL
            if fault is not None:
                refusals.append(Refusal(index, INVALID, fault))
                continue
            rows.indexes.append(index)
            rows.values.append((self._crawl, self._batch, raw.decode()))
        return Decoded([rows] if rows.indexes else [], refusals)


def broken(raw: bytes) -> str | None:
    """What is wrong with an item before any table is asked: what pydantic's parser lets pass although JSON does not."""
    if raw.count(b"{") + raw.count(b"[") > MAX_DEPTH and _depth(raw) > MAX_DEPTH:
        return f"is nested deeper than {MAX_DEPTH} levels"
    if b"NaN" in raw or b"Infinity" in raw:
        return not_an_object(raw)
    return None


def not_an_object(raw: bytes) -> str | None:
    """None where the bytes are exactly one JSON object in UTF-8 that PostgreSQL's json types read as we do."""
    try:
        raw.decode()
        _MEMBERS.decode(raw)
        if b"\\u" in raw:
            orjson.loads(raw)
    except UnicodeDecodeError:
        return "is not UTF-8"
    except msgspec.ValidationError:
        return "is JSON, but not an object"
    except orjson.JSONDecodeError as error:
        # it also refuses 1e999, which is JSON, and which jsonb takes
        return "holds half of a surrogate pair" if "surrogate" in error.msg else None
    except (msgspec.DecodeError, RecursionError):
        return "is not one JSON object"
    return None


_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])


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


def _getter(names: tuple[str, ...]) -> Callable[[dict[str, Any]], Row]:
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


def _converters(model: type[BaseModel], columns: Sequence[Column]) -> tuple[tuple[str, Callable[[Any], Any]], ...]:
    found = []
    for column in columns:
        if column.name in model.model_fields:
            convert = converter(column, model.model_fields[column.name].annotation)
            if convert is not None:
                found.append((column.name, convert))
    return tuple(found)


def _dumped(value: Any) -> str:
    if isinstance(value, BaseModel):
        return value.model_dump_json()
    try:
        return orjson.dumps(value, default=_plain).decode()
    except orjson.JSONEncodeError:  # an int beyond 64 bits, which jsonb takes
        return msgspec.json.encode(value, enc_hook=_plain).decode()


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, set | frozenset):
        return list(value)
    return str(value)


def holds_nul(value: Any, *, is_json: bool) -> bool:
    """Whether a text, a list of texts, or JSON text holds the one character that PostgreSQL cannot store."""
    if isinstance(value, str):
        if not is_json:
            return "\0" in value
        # an odd number of backslashes before u0000 is the escape; an even number is text that looks like it
        return re.search(r"(?<!\\)(?:\\\\)*\\u0000", value) is not None
    return isinstance(value, list) and any(holds_nul(part, is_json=False) for part in value)


def _depth(raw: bytes) -> int:
    depth = deepest = 0
    for match in _BRACKETS.finditer(raw):
        if match[1]:
            depth += 1
            deepest = max(deepest, depth)
            if deepest > MAX_DEPTH:
                break
        elif match[2]:
            depth -= 1
    return deepest


def _refusal(index: int, error: ValidationError) -> Refusal:
    first = error.errors(include_url=False, include_input=False)[0]
    location = first["loc"]
    column = str(location[0])[:63] if location else None
    match first["type"]:
        case "json_invalid":
            return Refusal(index, INVALID, f"is not one JSON object ({first['msg'].removeprefix('Invalid JSON: ')})")
        case "dict_type" | "model_type" | "model_attributes_type" if not location:
            return Refusal(index, INVALID, "is JSON, but not an object")
        case "extra_forbidden":
            return Refusal(index, INVALID, "the table has no such column", column)
        case "missing":
            return Refusal(index, INVALID, "is missing, and the column has neither a default nor NULL", column)
        case kind if kind in _AUTHORS_WORDS:
            return Refusal(index, INVALID, "the table's own rule refused it", column, first["msg"])
    inside = ".".join(str(part) for part in location[1:] if isinstance(part, int))
    return Refusal(index, INVALID, first["msg"] + (f" (at {inside})" if inside else ""), column)
