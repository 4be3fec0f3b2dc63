"""Tables as pydantic models: `class Property(Table, key="reference")` makes the table, and says what is valid."""

import re
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Unpack

from pydantic import BaseModel, ConfigDict
from pydantic.errors import PydanticUndefinedAnnotation

from ingest_server.errors import StartRefused
from ingest_server.model import NAME_BYTES, Column, Merge, Mode, TableName, TableSpec
from ingest_server.models.annotations import ColumnType, column_type

ModeName = Literal["append", "upsert", "ignore"]
MergeName = Literal["replace", "patch"]


@dataclass(frozen=True, slots=True)
class Declaration:
    """A model's class line."""

    table: str | None = None
    key: tuple[str, ...] = ()
    mode: Mode | None = None
    newest_by: str | None = None
    merge: Merge | None = None
    catch_all: str | None = None
    abstract: bool = False

    @property
    def write_mode(self) -> Mode:
        """The mode as it was named, or as the key suggests."""
        return self.mode or (Mode.UPSERT if self.key else Mode.APPEND)


class Table(BaseModel):
    """Base of a table's model. A subclass is one table: its fields are the columns, its constraints what is valid.

    Class keywords, which a subclass takes over unless it says otherwise (but for `table` and `abstract`):
        table: `name` or `schema.name`; default: the class's name in snake case, in the server's schema.
        key: column or columns of the primary key; default: none.
        mode: `append`, `upsert` or `ignore`; default: `upsert` with a key, else `append`.
        newest_by: a column; an item with an older value than the row's leaves the row as it is.
        merge: `replace` or `patch`; default: `replace`. A patch writes only the fields that an item has.
        catch_all: a jsonb column that takes fields which the table does not have; default: such items are refused.
        abstract: the class is no table, only a base of others that share its fields.

    Columns: bool boolean, int bigint, float double precision, Decimal numeric, str text, bytes bytea, datetime timestamptz,
    date date, time time, timedelta interval, UUID uuid, IP addresses inet, enums and literals as their values; lists, dicts,
    dataclasses and nested models jsonb; anything else that pydantic knows (a URL, an email) text. `X | None` allows NULL.
    A computed field is a column, too; a field with `exclude=True` is none.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    __declaration__: ClassVar[Declaration] = Declaration(abstract=True)

    # Type checkers read the class keywords here; they are taken up below, where pydantic knows the fields.
    def __init_subclass__(
        cls,
        *,
        table: str | None = None,
        key: str | tuple[str, ...] | None = None,
        mode: ModeName | None = None,
        newest_by: str | None = None,
        merge: MergeName | None = None,
        catch_all: str | None = None,
        abstract: bool = False,
        **kwargs: Unpack[ConfigDict],
    ) -> None:
        """Take the class keywords. Raises `TypeError` for one that there is not."""
        # pydantic has taken those of its configuration out
        if kwargs:
            raise TypeError(
                f"{cls.__name__}: there is no class keyword {', '.join(kwargs)}; there are table, key, mode, newest_by, "
                "merge, catch_all, abstract, and pydantic's own"
            )
        super().__init_subclass__()

    @classmethod
    def __pydantic_init_subclass__(
        cls,
        *,
        table: str | None = None,
        key: str | tuple[str, ...] | None = None,
        mode: ModeName | None = None,
        newest_by: str | None = None,
        merge: MergeName | None = None,
        catch_all: str | None = None,
        abstract: bool = False,
        **kwargs: Any,
    ) -> None:
        """Read the class keywords. Raises `TypeError` where they do not fit the fields."""
        super().__pydantic_init_subclass__(**kwargs)
        if mode not in (None, *Mode):
            raise TypeError(f"{cls.__name__}: mode is one of {', '.join(Mode)}, not {mode!r}")
        if merge not in (None, *Merge):
            raise TypeError(f"{cls.__name__}: merge is one of {', '.join(Merge)}, not {merge!r}")
        above = cls.__declaration__
        cls.__declaration__ = Declaration(
            table=table,
            key=above.key if key is None else (key,) if isinstance(key, str) else tuple(key),
            mode=above.mode if mode is None else Mode(mode),
            newest_by=newest_by or above.newest_by,
            merge=above.merge if merge is None else Merge(merge),
            catch_all=catch_all or above.catch_all,
            abstract=abstract,
        )
        _check(cls)
        if cls.__declaration__.catch_all is not None and cls.model_config.get("extra") != "allow":
            cls.model_config["extra"] = "allow"
            cls.model_rebuild(force=True, raise_errors=False)


def spec_of(model: type[Table], default_schema: str) -> TableSpec:
    """The table that this model describes. Raises `StartRefused` where it describes none."""
    declared = model.__declaration__
    try:
        model.model_rebuild()
        table = TableName.parse(declared.table or snake_case(model.__name__), default_schema)
    except PydanticUndefinedAnnotation as error:
        raise StartRefused(f"model {model.__name__}: {error.name} is not defined", remedy="import it") from None
    except ValueError as error:
        raise StartRefused(f"model {model.__name__}: {error}", remedy='set table="name" in its class line') from None
    columns = []
    for name, annotated in _annotations(model).items():
        if len(name.encode()) > NAME_BYTES:
            raise StartRefused(
                f"model {model.__name__}: the field {name} is longer than the {NAME_BYTES} bytes that a column's name may have",
                remedy="give it a shorter name, and an alias for what items call it",
            )
        declared_type, nullable = _column_of(model, name, annotated)
        columns.append(Column(name, *declared_type, nullable=nullable))
    return TableSpec(
        table,
        tuple(columns),
        declared.key,
        declared.write_mode,
        newest_by=declared.newest_by,
        merge=declared.merge or Merge.REPLACE,
        catch_all=declared.catch_all,
    )


def snake_case(name: str) -> str:
    """`PropertyItem` as `property_item`, `HTTPResult` as `http_result`: the client names tables of item classes alike."""
    return re.sub(r"(?<=[^\W_])(?=[A-Z][a-z])|(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _annotations(model: type[Table]) -> dict[str, Any]:
    """The columns' names and annotations."""
    fields = {name: info.annotation for name, info in model.model_fields.items() if not info.exclude}
    return fields | {name: info.return_type for name, info in model.model_computed_fields.items()}


def _column_of(model: type[Table], name: str, annotated: Any) -> tuple[ColumnType, bool]:
    try:
        return column_type(annotated)
    except TypeError as error:
        raise StartRefused(
            f"model {model.__name__}, field {name}: {error}", remedy="give the field another type, or exclude=True"
        ) from None


def _check(model: type[Table]) -> None:
    """Raise `TypeError` where the class keywords do not fit the fields."""
    declared = model.__declaration__
    name = model.__name__
    fields = _annotations(model)
    if declared.abstract:
        return
    for word, field in (
        *(("key", field) for field in declared.key),
        ("newest_by", declared.newest_by),
        ("catch_all", declared.catch_all),
    ):
        if field is not None and field not in fields:
            raise TypeError(f"{name}: {word} names {field!r}, which is no field of it")
    if declared.write_mode is not Mode.APPEND and not declared.key:
        raise TypeError(f'{name}: mode "{declared.write_mode}" needs key="…"')
    if declared.newest_by is not None and declared.write_mode is not Mode.UPSERT:
        raise TypeError(f'{name}: newest_by is for mode "upsert", and the mode is "{declared.write_mode}"')
    if declared.merge is Merge.PATCH and declared.write_mode is not Mode.UPSERT:
        raise TypeError(f'{name}: merge = "patch" is for mode "upsert", and the mode is "{declared.write_mode}"')
    if not model.__pydantic_complete__:  # a name in an annotation is defined further down: `spec_of` looks again
        return
    if declared.merge is Merge.PATCH:
        _check_patched(model)
    for field in declared.key:
        if column_type(fields[field])[1]:
            raise TypeError(f"{name}: {field!r} is part of the key and may be None: take None out of its type")
    if declared.catch_all is not None and column_type(fields[declared.catch_all])[0].kind != "jsonb":
        raise TypeError(f"{name}: catch_all names {declared.catch_all!r}: make it a dict")


def _check_patched(model: type[Table]) -> None:
    """Raise `TypeError` for a field that a patch may lack and that neither the row nor the model could give it."""
    declared, name = model.__declaration__, model.__name__
    if model.model_computed_fields:
        raise TypeError(
            f"{name}: a patch cannot write the computed field {', '.join(model.model_computed_fields)}: what it is made of "
            "may be missing from the item; let the table generate that column"
        )
    for field, info in model.model_fields.items():
        if info.exclude or info.is_required() or field in (*declared.key, declared.newest_by):
            continue
        if not column_type(info.annotation)[1]:
            raise TypeError(
                f"{name}: a patch may lack {field!r}, and its default is not written, for that would replace what the row has: "
                "let it be None too, or make it required"
            )
