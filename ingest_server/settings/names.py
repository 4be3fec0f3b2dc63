"""One setting, three names: the flag, the variable, the key of the file."""

import os
from pathlib import Path

PREFIX = "INGEST_"

WITHOUT_FLAG = frozenset({"table", "tokens", "token"})
"""Sections of the file, and a secret: every user of a machine can read command lines."""


def option_name(field: str) -> str:
    """A field's name as users write it: `schema_` is `schema`."""
    return field.rstrip("_")


def environment_name(field: str) -> str:
    """The variable of a field."""
    return f"{PREFIX}{option_name(field).upper()}"


def flag_name(field: str) -> str:
    """The flag of a field."""
    return f"--{option_name(field).replace('_', '-')}"


def config_from_environment() -> Path | None:
    """The file that INGEST_CONFIG names."""
    value = os.environ.get("INGEST_CONFIG")
    return Path(value) if value else None
