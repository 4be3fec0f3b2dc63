"""Pydantic's errors as refusals: index, column and reason, and no word of the item's content."""

from collections.abc import Mapping
from typing import get_args

from pydantic import ValidationError
from pydantic_core import core_schema

from ingest_server.model import NAME_BYTES, Refusal
from ingest_server.postgres.decoding.jsontext import NOT_ONE_OBJECT
from ingest_server.postgres.writing.refusals import INVALID, NULL_REFUSED

_OBJECT_WANTED = frozenset({"dict_type", "model_type", "model_attributes_type", "dataclass_type"})
# Pydantic's own sentences are safe, but for those that quote the value or the words of a model's author.
_SAFE = frozenset(get_args(core_schema.ErrorType)) - {
    *("value_error", "assertion_error", "union_tag_invalid", "uuid_parsing", "get_attribute_error"),
    *("iteration_error", "mapping_type", "datetime_object_invalid", "bytes_invalid_encoding"),
}
_INSTEAD = {"uuid_parsing": "Input should be a valid UUID", "union_tag_invalid": "Input has none of the expected tags"}
_WRONG_KIND = ("_type", "enum", "literal_error")
_RULE = "the table's own rule refused it"


def invalid(index: int, error: ValidationError, columns: Mapping[str, str]) -> Refusal:
    """The refusal of item `index`. `columns` names the column of a field that an item calls otherwise (its alias)."""
    first = error.errors(include_url=False, include_input=False)[0]
    location = first["loc"]
    column = None
    if location:
        field = str(location[0])
        column = columns.get(field, shown(field))
    match first["type"]:
        case "json_invalid":
            return Refusal(index, INVALID, f"{NOT_ONE_OBJECT} ({first['msg'].removeprefix('Invalid JSON: ')})")
        case kind if kind in _OBJECT_WANTED and not location:
            return Refusal(index, INVALID, "is JSON, but not an object")
        case "extra_forbidden" if len(location) == 1:
            return Refusal(index, INVALID, "the table has no such column", column)
        case "missing" if len(location) == 1:
            return Refusal(index, INVALID, "is missing, and the column has neither a default nor NULL", column)
        case kind if kind.endswith(_WRONG_KIND) and len(location) == 1 and _is_null(error):
            return Refusal(index, INVALID, NULL_REFUSED, column)
        case kind if kind not in _SAFE:
            return Refusal(index, INVALID, _INSTEAD.get(kind, _RULE), column, first["msg"])
    inside = ".".join(str(part) for part in location[1:] if isinstance(part, int))
    return Refusal(index, INVALID, first["msg"] + (f" (at {inside})" if inside else ""), column)


def _is_null(error: ValidationError) -> bool:
    return error.errors(include_url=False, include_context=False)[0]["input"] is None


def shown(field: str) -> str:
    """The name of a field that the table does not have, as text that every column of a dead letter can hold."""
    return field.replace("\0", "\N{REPLACEMENT CHARACTER}")[:NAME_BYTES]
