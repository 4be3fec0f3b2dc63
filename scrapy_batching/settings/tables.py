"""BATCHING_TABLES: which class of items goes to which table."""

from collections.abc import Mapping
from typing import Any

from scrapy import Spider

from scrapy_batching.errors import Mistake
from scrapy_batching.items.routing import Rule
from scrapy_batching.names import table_called, table_named
from scrapy_batching.settings.imports import imported, is_module, takes_an_item
from scrapy_batching.settings.values import Unusable, shown

_NAME = "BATCHING_TABLES"
_CLASS = "myproject.items.Book"


def tables_in(written: Mapping[Any, Any]) -> tuple[dict[type, Rule], list[Mistake]]:
    """For each class its table or what gives one, and the entries that cannot be used."""
    tables: dict[type, Rule] = {}
    mistakes: list[Mistake] = []
    for key, value in written.items():
        try:
            kind = _class_of(key)
            rule = _rule_of(value)
            if kind in tables:
                raise Unusable(f"{kind.__qualname__} stands in it twice, as a class and as a path: write it once")
            tables[kind] = rule
        except Unusable as error:
            mistakes.append(Mistake(_NAME, f"{{{shown(key)}: {shown(value)}}}", str(error)))
    return tables, mistakes


def table_of_dicts(spider: str, tables: Mapping[type, Rule]) -> list[Mistake]:
    """Where dicts go to the spider's name, it has to be a table's name."""
    if dict in tables:
        return []
    try:
        table_called(spider)
    except ValueError as error:
        remedy = f"dicts go to the spider's name, and {error}: name their table, as in {_NAME} = {{'dict': 'books'}}"
        return [Mistake(_NAME, f"(no 'dict' in it; the spider is {shown(spider)})", remedy)]
    return []


def _class_of(key: Any) -> type:
    found = imported(key.strip(), example=_CLASS) if isinstance(key, str) else key
    if not isinstance(found, type):
        raise Unusable(f"left stands an item class or its import path, as in {_CLASS!r}")
    if issubclass(found, Spider):
        raise Unusable("a spider is no item: write the class of its items, or 'dict' in its custom_settings")
    return found


def _rule_of(value: Any) -> Rule:
    if isinstance(value, str):
        value = value.strip()
        if not _is_path(value):
            try:
                return table_named(value)
            except ValueError as error:
                raise Unusable(str(error)) from None
        found = _function_at(value)
    else:
        found = value
    if isinstance(found, type) or not callable(found):
        raise Unusable("right stands a table's name, or a function that gives one for an item, or its import path")
    wrong = takes_an_item(found)
    if wrong:
        raise Unusable(wrong)
    function: Rule = found
    return function


def _is_path(value: str) -> bool:
    """Whether a text is an import path: a table's name has two parts at most, and its schema is not a module's name."""
    if '"' in value or "." not in value:
        return False
    parts = value.split(".")
    return all(parts) and (len(parts) > 2 or is_module(parts[0]))


def _function_at(path: str) -> Any:
    schema, _, table = path.partition(".")
    is_maybe_name = "." not in table
    either = f'; if a table in the schema {schema} is meant, write \'"{schema}"."{table}"\'' if is_maybe_name else ""
    try:
        found = imported(path, example="myproject.tables.of")
    except Unusable as error:
        raise Unusable(f"{error}{either}") from None
    if isinstance(found, type) or not callable(found):
        raise Unusable(f"it leads to no function{either}")
    return found
