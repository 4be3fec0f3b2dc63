"""Which table an item goes to: what the item says, what the project says, what its class is called."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from scrapy_batching.errors import ItemWithoutTable
from scrapy_batching.items.blame import place_of
from scrapy_batching.names import snake_case, table_called, table_named

ATTRIBUTE = "batching_table"
"""An item's own word about its table."""

Rule = str | Callable[[Any], Any]
"""A table's name as it is sent, or what gives one for an item."""

_ABSENT: Any = object()
_MOST_NAMES = 10_000


class Routing:
    """One crawl's. `tables` says for a class, and for those below it, its table; `spider` is the table of dicts.

    `fixed` holds every class met whose items all go to one table: where it has the item's class, nothing else need be asked.
    """

    def __init__(self, spider: str, tables: Mapping[type, Rule]) -> None:
        self._spider = spider
        self._rules = tables
        self.fixed: dict[type, str] = {}
        self._ways: dict[type, Callable[[Any], str]] = {}
        self._names: dict[str, str] = {}

    def table_of(self, item: Any) -> str:
        """The name as it is sent. Raises ItemWithoutTable, and nothing else, whatever the item's own code does."""
        kind = type(item)
        try:
            way = self._ways.get(kind)
            if way is None:
                way = self._ways[kind] = self._way_of(kind)
            return way(item)
        except ItemWithoutTable:
            raise
        except Exception as error:
            raise ItemWithoutTable(
                kind.__qualname__, f"its code raised {type(error).__name__} {place_of(error)}"
            ) from None

    def _way_of(self, kind: type) -> Callable[[Any], str]:
        own = inspect.getattr_static(kind, ATTRIBUTE, _ABSENT)
        if own is not _ABSENT and not isinstance(own, str):
            return self._own
        rule = self._rule_of(kind) if own is _ABSENT else own
        way = self._called(rule) if callable(rule) else self._constant(kind, rule, is_own=own is not _ABSENT)
        return way if _is_closed(kind) else self._unless_own(way)

    def _rule_of(self, kind: type) -> Rule | None:
        """What BATCHING_TABLES says, of the nearest class that it names."""
        return next((self._rules[one] for one in kind.__mro__ if one in self._rules), None)

    def _constant(self, kind: type, rule: str | None, *, is_own: bool) -> Callable[[Any], str]:
        try:
            if rule is not None:
                table = table_named(rule)
            elif issubclass(kind, dict):
                table = table_called(self._spider)
            else:
                table = table_called(snake_case(kind.__name__))
        except ValueError as error:
            culprit = f"{ATTRIBUTE} of the class: {error}" if is_own else str(error)
            return _refusing(kind, culprit)
        if _is_closed(kind):
            self.fixed[kind] = table
        return lambda _item: table

    def _called(self, rule: Callable[[Any], Any]) -> Callable[[Any], str]:
        return lambda item: self._asked(item, rule, "the callable in BATCHING_TABLES")

    def _own(self, item: Any) -> str:
        return self._asked(item, _own_word, ATTRIBUTE)

    def _unless_own(self, way: Callable[[Any], str]) -> Callable[[Any], str]:
        """`way`, unless the instance has a word of its own: it may be given one at any time."""

        def of(item: Any) -> str:
            return self._own(item) if ATTRIBUTE in item.__dict__ else way(item)

        return of

    def _asked(self, item: Any, ask: Callable[[Any], Any], who: str) -> str:
        kind = type(item).__qualname__
        try:
            said = ask(item)
        except Exception as error:
            # Never the error's text: it may quote the item.
            raise ItemWithoutTable(kind, f"{who} raised {type(error).__name__} {place_of(error)}") from None
        known = self._names.get(said) if type(said) is str else None
        if known is not None:
            return known
        if inspect.iscoroutine(said):
            # Nobody awaits it, which Python would say at a place that is not to blame.
            said.close()
            raise ItemWithoutTable(
                kind, f"{who} is a coroutine, and nothing waits for an item: write it without `async`"
            )
        if not isinstance(said, str):
            raise ItemWithoutTable(kind, f"{who} gave a {type(said).__qualname__} instead of a name")
        said = str.__str__(said)
        try:
            table = table_named(said)
        except ValueError as error:
            raise ItemWithoutTable(kind, f"{who} gave no usable name ({error})") from None
        if len(self._names) >= _MOST_NAMES:
            self._names.clear()
        self._names[said] = table
        return table


def _own_word(item: Any) -> Any:
    said = getattr(item, ATTRIBUTE)
    return said() if callable(said) else said


def _is_closed(kind: type) -> bool:
    """Whether no instance can have attributes that its class does not have."""
    if not kind.__dictoffset__:
        return True
    # scrapy.Item, told by who refuses: this module is read where Scrapy is not.
    return getattr(kind.__setattr__, "__module__", "") == "scrapy.item"


def _refusing(kind: type, culprit: str) -> Callable[[Any], str]:
    def refuse(_item: Any) -> str:
        raise ItemWithoutTable(kind.__qualname__, culprit)

    return refuse
