"""A table's shape with its options on top: what the settings or a model say of it must fit what the catalogue says."""

from collections.abc import Sequence
from dataclasses import replace

from ingest_server.errors import Misconfigured
from ingest_server.model import Column, Merge, Mode, TableOptions, TableSpec
from ingest_server.postgres.decoding.types import has_order
from ingest_server.postgres.tables.keys import UniqueIndex, chosen, is_ambiguous


def configured(spec: TableSpec, indexes: Sequence[UniqueIndex], options: TableOptions) -> TableSpec:
    """The spec with key and options on top. Raises `Misconfigured`, with the remedy, where they do not fit the table."""
    shown = f"{spec.table.schema}.{spec.table.name}"
    index = chosen(indexes, options.key, shown)
    spec = replace(spec, key=() if index is None else index.columns, nulls_meet=index is not None and index.nulls_meet)
    mode = options.mode or _usual_mode(spec, is_named=bool(options.key))
    columns = {column.name: column for column in spec.columns}
    if mode is not Mode.APPEND:
        _check_key(shown, mode, index, indexes)
    if options.merge is Merge.PATCH and mode is not Mode.UPSERT:
        raise Misconfigured(f'table {shown}: merge = "patch" is for mode "upsert", and the mode is "{mode}"')
    if options.merge is Merge.PATCH and any(columns[name].nullable for name in spec.key):
        raise Misconfigured(f'table {shown}: merge = "patch" needs a key whose columns are all NOT NULL')
    if options.newest_by is not None:
        _check_newest_by(shown, mode, options.newest_by, columns.get(options.newest_by))
    if options.catch_all is not None and not _is_jsonb(columns.get(options.catch_all)):
        raise Misconfigured(f'table {shown}: catch_all names "{options.catch_all}", which is no jsonb column of it')
    return replace(
        spec,
        mode=mode,
        newest_by=options.newest_by,
        catch_all=options.catch_all,
        merge=options.merge or Merge.REPLACE,
        unknown=options.unknown,
        unstorable=options.unstorable,
    )


def _check_key(shown: str, mode: Mode, index: UniqueIndex | None, indexes: Sequence[UniqueIndex]) -> None:
    if index is None and is_ambiguous(indexes):
        raise Misconfigured(
            f'table {shown}: mode "{mode}" needs a key, and several unique indexes could be it: name one, '
            f"key = {list(next(one.columns for one in indexes if one.is_immediate))!r}, add a primary key, "
            'or set mode = "append"'
        )
    if index is None:
        raise Misconfigured(
            f'table {shown}: mode "{mode}" needs a primary key: add one, or set mode = "append" (a unique index does as well, '
            "where it is not partial, not of expressions and not DEFERRABLE)"
        )
    if not index.is_immediate:
        raise Misconfigured(
            f"table {shown}: its primary key is DEFERRABLE, which ON CONFLICT cannot use: "
            'make it NOT DEFERRABLE, or set mode = "append"'
        )


def _check_newest_by(shown: str, mode: Mode, name: str, column: Column | None) -> None:
    if column is None:
        raise Misconfigured(f'table {shown}: newest_by names "{name}", which is no column of it')
    if mode is not Mode.UPSERT:
        raise Misconfigured(f'table {shown}: newest_by is for mode "upsert", and the mode is "{mode}"')
    if column.generated:
        raise Misconfigured(
            f'table {shown}: newest_by names "{name}", which PostgreSQL makes itself (GENERATED): '
            "name a column that items bring"
        )
    if not has_order(column.kind):
        raise Misconfigured(f"table {shown}: newest_by names a column of type {column.type}, which has no order")


def _is_jsonb(column: Column | None) -> bool:
    return column is not None and column.kind == "jsonb" and not column.dimensions and not column.generated


def _usual_mode(spec: TableSpec, *, is_named: bool) -> Mode:
    """Upsert where items bring the key; append where there is none, or where the database makes it (serial, identity)."""
    made = {column.name for column in spec.columns if column.has_default or column.generated}
    return Mode.UPSERT if is_named or (spec.key and not made.issuperset(spec.key)) else Mode.APPEND
