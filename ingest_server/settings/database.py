"""The database that the server writes to."""

import re
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, Field, SecretStr

# What ends the hosts before their time, or begins them late, stands in a password that nobody escaped.
_URI = re.compile(
    r"postgres(?:ql)?://(?:[^/?#@]*@)?(?:\[[^][/?#@]*\]|[^][/?#@:,]*)(?::\d*)?"
    r"(?:,(?:\[[^][/?#@]*\]|[^][/?#@:,]*)(?::\d*)?)*(?:/[^?#@]*)?(?:\?[^#]*)?"
)


def _connection_string(value: SecretStr) -> SecretStr:
    if _URI.fullmatch(value.get_secret_value()) is None or not _is_split(value.get_secret_value()):
        raise ValueError(
            "no connection string: write postgresql://user@host:5432/name,"
            " and in a password %2F for /, %3F for ?, %23 for #, %40 for @, %25 for %"
        )
    return value


def _is_split(uri: str) -> bool:
    """Whether Python, and with it the driver, takes it apart: newer ones refuse an IPv6 address beside another host."""
    try:
        urlsplit(uri)
    except ValueError:
        return False
    return True


class DatabaseSettings(BaseModel):
    """Which PostgreSQL, and how it is asked."""

    database: Annotated[SecretStr, AfterValidator(_connection_string)] | None = Field(
        None, description="postgresql://user@host/name; by default an embedded PostgreSQL in the data directory"
    )
    data_dir: Path = Field(Path(".ingest"), description="directory for the embedded PostgreSQL and the journal")
    schema_: str = Field("public", alias="schema", description="schema of tables that are named without one")
    pooler: bool = Field(
        False,
        description="on: what database names is PgBouncer in transaction mode; nothing outlasts a transaction then",
    )
    workers: int = Field(4, ge=1, le=256, description="batches that are written at the same time")
    statement_timeout: float = Field(
        60.0, gt=0, description="seconds after which a database statement is given up and tried again"
    )
