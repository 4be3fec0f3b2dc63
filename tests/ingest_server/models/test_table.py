"""`class Property(Table, …)`: what a model says about its table."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from ipaddress import IPv4Address, IPv6Network
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, NewType
from uuid import UUID

import mypy.api
import pytest
from pydantic import AnyUrl, BaseModel, Field, JsonValue, PositiveInt, SecretStr, computed_field
from typing_extensions import TypeAliasType, TypedDict

from ingest_server import Table
from ingest_server.errors import StartRefused
from ingest_server.model import Mode, TableName
from ingest_server.models.annotations import column_type
from ingest_server.models.table import snake_case, spec_of


class Photo(BaseModel):
    url: str


class Size(StrEnum):
    S = "s"


class Level(IntEnum):
    LOW = 1


class Mixed(Enum):
    A = 1
    B = "b"


@dataclass
class Point:
    x: int


class Pair(NamedTuple):
    a: int


class Shape(TypedDict):
    a: int


Reference = NewType("Reference", str)
Alias = TypeAliasType("Alias", Annotated[int, Field(gt=0)])


@pytest.mark.parametrize(
    ("annotated", "type", "nullable"),
    [
        (bool, "boolean", False),
        (int, "bigint", False),
        (float, "double precision", False),
        (Decimal, "numeric", False),
        (str, "text", False),
        (bytes, "bytea", False),
        (datetime, "timestamp with time zone", False),
        (date, "date", False),
        (time, "time without time zone", False),
        (timedelta, "interval", False),
        (UUID, "uuid", False),
        (IPv4Address, "inet", False),
        (IPv6Network, "cidr", False),
        (int | None, "bigint", True),
        (PositiveInt, "bigint", False),
        (PositiveInt | None, "bigint", True),  # Annotated inside a union
        (Annotated[str, Field(max_length=3)] | None, "text", True),
        (Alias, "bigint", False),
        (Reference, "text", False),
        (Literal["a", "b"], "text", False),
        (Literal["a", None], "text", True),  # noqa: PYI061  both ways of writing it
        (Literal[1, 2], "bigint", False),
        (Literal[1, "b"], "jsonb", False),
        (Size, "text", False),
        (Level, "bigint", False),
        (Mixed, "text", False),
        (AnyUrl, "text", False),
        (Path, "text", False),
        (list[str], "jsonb", False),
        (list[str] | None, "jsonb", True),
        (dict[str, int], "jsonb", False),
        (tuple[int, int], "jsonb", False),
        (set[int], "jsonb", False),
        (Photo, "jsonb", False),
        (Point, "jsonb", False),
        (Pair, "jsonb", False),
        (Shape, "jsonb", False),
        (Photo | None, "jsonb", True),
        (int | str, "jsonb", False),
        (Any, "jsonb", True),
        (JsonValue, "jsonb", True),
    ],
    ids=str,
)
def test_types_become_columns(annotated: Any, type: str, nullable: bool) -> None:
    (found, _), is_nullable = column_type(annotated)
    assert (found, is_nullable) == (type, nullable)


def test_a_model_describes_its_table() -> None:
    class PropertyListing(Table, key="reference", newest_by="updated_at", catch_all="rest"):
        reference: str
        price: Decimal | None = None
        updated_at: datetime
        rest: dict[str, Any] = Field(default_factory=dict)

        @computed_field
        @property
        def shown(self) -> str:
            return f"{self.reference}!"

    spec = spec_of(PropertyListing, "shop")
    assert spec.table == TableName("shop", "property_listing")
    assert spec.key == ("reference",)
    assert (spec.mode, spec.newest_by, spec.catch_all) == (Mode.UPSERT, "updated_at", "rest")
    assert [(column.name, column.type, column.nullable) for column in spec.columns] == [
        ("reference", "text", False),
        ("price", "numeric", True),
        ("updated_at", "timestamp with time zone", False),
        ("rest", "jsonb", False),
        ("shown", "text", False),
    ]


def test_keywords_have_useful_defaults() -> None:
    class Titled(Table, title="T"):
        a: int

    assert Titled.model_config["title"] == "T"

    class Plain(Table):
        a: int

    class Named(Table, table='other."odd.name"', key=("a", "b"), mode="ignore"):
        a: int
        b: int

    assert spec_of(Plain, "public").mode is Mode.APPEND
    spec = spec_of(Named, "public")
    assert (spec.table, spec.key, spec.mode) == (TableName("other", "odd.name"), ("a", "b"), Mode.IGNORE)


def test_a_subclass_takes_the_keywords_over_but_is_a_table_of_its_own() -> None:
    class Listing(Table, key="id", newest_by="at", abstract=True):
        id: int
        at: datetime

    class Flat(Listing):
        rooms: int

    class House(Listing, key=("id", "at"), table="houses"):
        garden: bool

    assert Listing.__declaration__.abstract
    assert not Flat.__declaration__.abstract
    assert spec_of(Flat, "public").table.name == "flat"
    assert (spec_of(Flat, "public").key, spec_of(Flat, "public").newest_by) == (("id",), "at")
    assert (spec_of(House, "public").key, spec_of(House, "public").table.name) == (("id", "at"), "houses")


def test_a_field_that_is_excluded_is_no_column() -> None:
    class Thing(Table):
        a: int
        hidden: str = Field(exclude=True)

    assert [column.name for column in spec_of(Thing, "public").columns] == ["a"]


def test_keywords_that_do_not_fit_are_refused_at_once() -> None:
    with pytest.raises(TypeError, match="key names 'no', which is no field"):

        class A(Table, key="no"):
            a: int

    with pytest.raises(TypeError, match="newest_by names 'no'"):

        class B(Table, key="a", newest_by="no"):
            a: int

    with pytest.raises(TypeError, match='mode "upsert" needs key='):

        class C(Table, mode="upsert"):
            a: int

    with pytest.raises(TypeError, match="mode is one of append, upsert, ignore, not 'merge'"):

        class D(Table, mode="merge"):  # type: ignore[arg-type]
            a: int

    with pytest.raises(TypeError, match="'a' is part of the key and may be None"):

        class E(Table, key="a"):
            a: int | None

    with pytest.raises(TypeError, match=r"catch_all names 'a': make it a dict"):

        class F(Table, catch_all="a"):
            a: int

    with pytest.raises(TypeError, match='newest_by is for mode "upsert"'):

        class G(Table, newest_by="a"):
            a: int


def test_models_that_cannot_be_tables_stop_the_start_with_the_remedy() -> None:
    class Secret(Table):
        word: SecretStr

    class Long(Table):
        a: int

    Long.model_fields["x" * 64] = Long.model_fields["a"]

    class Unnamed(Table, table="a.b.c"):
        a: int

    for model, words in ((Secret, "asterisks"), (Long, "longer than the 63 bytes"), (Unnamed, 'set table="name"')):
        with pytest.raises(StartRefused, match=words):
            spec_of(model, "public")


def test_a_name_that_is_defined_further_down_is_found() -> None:
    class Node(Table, key="id"):
        id: int
        next: "Later | None" = None

    with pytest.raises(StartRefused, match="Later is not defined"):
        spec_of(Node, "public")

    class Later(BaseModel):
        a: int

    Node.model_rebuild(_types_namespace={"Later": Later})
    assert spec_of(Node, "public").columns[1].type == "jsonb"


@pytest.mark.parametrize(
    ("name", "table"),
    [("Property", "property"), ("PropertyItem", "property_item"), ("HTTPResult", "http_result"), ("A", "a")],
)
def test_class_names_become_snake_case(name: str, table: str) -> None:
    assert snake_case(name) == table


def test_a_misspelt_keyword_is_refused() -> None:
    with pytest.raises(TypeError, match="there is no class keyword keys; there are table, key"):

        class Typo(Table, keys="a"):  # type: ignore[call-arg]
            a: int


def test_type_checkers_take_the_keywords(tmp_path: Path) -> None:
    module = tmp_path / "models.py"
    module.write_text(
        "from ingest_server import Table\n"
        'class Good(Table, key=("a", "b"), mode="upsert", newest_by="a", catch_all="c", table="t", title="T"):\n'
        "    a: int\n    b: str\n    c: dict[str, int]\n"
    )
    said, _, code = mypy.api.run(["--strict", "--no-incremental", "--follow-imports=silent", str(module)])
    assert code == 0, said
