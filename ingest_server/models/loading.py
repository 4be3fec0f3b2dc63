"""The models that the settings name, found and checked before anything starts."""

import importlib
import sys
from dataclasses import dataclass, replace
from pathlib import PurePath

from ingest_server.errors import StartRefused
from ingest_server.model import TableName, TableOptions, TableSpec
from ingest_server.models.table import Table, spec_of
from ingest_server.settings import Settings


@dataclass(frozen=True, slots=True)
class Model:
    """A model and the table that it describes."""

    model: type[Table]
    spec: TableSpec

    def options(self, told: TableOptions | None = None) -> TableOptions:
        """How the table is written. Of what the settings told, only what a model does not say is left.

        Raises `StartRefused` where they tell what belongs into the class line.
        """
        own = TableOptions(self.spec.mode, self.spec.newest_by, self.spec.catch_all, self.spec.merge)
        if told is None:
            return own
        if replace(told, unstorable=TableOptions().unstorable) != TableOptions():
            raise StartRefused(
                f"settings: [table.{self.spec.table.name}] says how a table is written that the model "
                f"{self.model.__name__} describes",
                remedy="say it in the model's class line; only unstorable may stand here",
            )
        return replace(own, unstorable=told.unstorable)


def load_models(settings: Settings) -> dict[TableName, Model]:
    """The models in the modules that the settings name. Raises `StartRefused`."""
    sys.path.insert(0, "")  # as `python -m` does: modules beside the crawl's own
    found: dict[TableName, Model] = {}
    for name in settings.tables:
        try:
            module = importlib.import_module(name)
        except ImportError as error:
            raise StartRefused(
                f"settings: tables names the module {name}, which cannot be imported ({error})",
                remedy=_mended(name) or "start where it can be imported, or set PYTHONPATH",
            ) from None
        except Exception as error:
            raise StartRefused(
                f"settings: tables names the module {name}, which fails while it is imported: "
                f"{type(error).__name__}: {error}",
                remedy=_mended(name) or "mend the module",
            ) from error
        models = [value for value in vars(module).values() if _is_table(value)]
        if not models:
            raise StartRefused(f"module {name} has no model", remedy="write class X(Table) in it")
        for model in models:
            spec = spec_of(model, settings.schema_)
            other = found.setdefault(spec.table, Model(model, spec)).model
            if other is not model:
                raise StartRefused(
                    f"models {other.__qualname__} and {model.__qualname__} both name the table {spec.table.name}",
                    remedy="give one of them table=… of its own, or make it abstract=True",
                )
    return found


def _mended(name: str) -> str | None:
    """What to do where a file is named instead of its module."""
    path = PurePath(name)
    if "/" not in name and path.suffix != ".py":
        return None
    parts = [part for part in path.with_suffix("").parts if part not in ("/", "..")]
    return f"write the module's dotted name: {'.'.join(parts)}"


def _is_table(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, Table) and not value.__declaration__.abstract
