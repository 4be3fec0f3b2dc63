"""A model's instance as fields of its table's columns."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from pydantic import AliasChoices, BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import to_json

from ingest_server.errors import Misconfigured
from ingest_server.model import TableSpec
from ingest_server.postgres.decoding.jsontext import TOO_DEEP, holds_nan, too_deep
from ingest_server.postgres.decoding.types import JSON_KINDS, converter
from ingest_server.postgres.writing.patching import is_patched
from ingest_server.postgres.writing.refusals import RefusedError


class Modelled:
    """Compiled for one model over one table. Raises `Misconfigured` where the table lacks what the model has."""

    def __init__(self, spec: TableSpec, model: type[BaseModel]) -> None:
        declared = {name: info for name, info in model.model_fields.items() if not info.exclude}
        self._computed = tuple(model.model_computed_fields)
        self.fields = frozenset((*declared, *self._computed))
        columns = {column.name: column for column in spec.writable}
        lacking = sorted(self.fields.difference(columns))
        if lacking:
            raise Misconfigured(
                f"table {spec.table.schema}.{spec.table.name} lacks column {lacking[0]}, which the model "
                f"{model.__name__} has: add it, or restart the server, which adds columns that may be NULL"
            )
        by_name = bool(model.model_config.get("populate_by_name") or model.model_config.get("validate_by_name"))
        self.columns: dict[str, str] = {
            alias: name
            for name, info in model.model_fields.items()
            for alias in (*_aliases(name, info), *([name] if by_name else []))
        }
        """Fields by what an item may call them."""
        self.aliases: dict[str, str] = {
            name: _aliases(name, info)[0]
            for name, info in declared.items()
            if not by_name and len(_aliases(name, info)) == 1 and _is_plain(columns[name].kind, info)
        }
        """What an item calls a field of which pydantic says nothing but its type, by column."""
        self._json = tuple(name for name in self.fields if columns[name].kind in JSON_KINDS)
        self._converters: list[tuple[str, Callable[[Any], Any]]] = []
        for name in self.fields:
            annotated = declared[name].annotation if name in declared else None
            if (convert := converter(columns[name], annotated)) is not None:
                self._converters.append((name, convert))
        self._hidden = tuple(name for name, info in model.model_fields.items() if info.exclude)
        self.allows_nan = bool(model.model_config.get("allow_inf_nan", True))
        """Whether a number that is none could stand in the table's own columns."""
        self._defaulted = tuple(name for name in declared if columns[name].has_default)
        self._patched = tuple(name for name in declared if is_patched(spec, columns[name]))

    def values(self, valid: BaseModel) -> dict[str, Any]:
        """The instance's values by column. A field that the item lacks and that is None takes the column's default.

        In a patch what the item lacks is not there, whatever the model's default.
        """
        fields: dict[str, Any] = dict(valid.__dict__)
        for name in self._hidden:
            del fields[name]
        for name in self._computed:
            fields[name] = getattr(valid, name)
        for name in self._defaulted:
            if fields[name] is None and name not in valid.model_fields_set:
                del fields[name]
        for name in self._patched:
            if name not in valid.model_fields_set:
                fields.pop(name, None)
        for name, convert in self._converters:
            if name in fields:
                fields[name] = convert(fields[name])
        for name in self._json:
            if fields.get(name) is not None:
                fields[name] = _json_text(name, fields[name])
        return fields


def _json_text(name: str, value: Any) -> str:
    # Else numbers that are none would become null without a word.
    text = to_json(value, by_alias=False, inf_nan_mode="constants")
    if too_deep(text, below=1):
        raise RefusedError(TOO_DEEP, name)
    if holds_nan(text):
        raise RefusedError("holds a number that JSON does not have", name)
    return text.decode()


def _aliases(name: str, info: FieldInfo) -> list[str]:
    """The names that an item may give this field."""
    alias = info.validation_alias
    if alias is None:
        return [name]
    choices = alias.choices if isinstance(alias, AliasChoices) else [alias]
    return [choice if isinstance(choice, str) else str(choice.path[0]) for choice in choices]


def _is_plain(kind: str, info: FieldInfo) -> bool:
    # Only a Decimal may be told its digits as text: another type could mean something else by it.
    return kind == "numeric" and info.annotation in (Decimal, Decimal | None)
