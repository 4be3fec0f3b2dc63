"""`[tokens.NAME]` as a file writes it: ingest.toml, or the file that `ingest-server tokens` keeps."""

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_HASH = re.compile(r"[0-9a-f]{64}")


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _hash(value: str) -> str:
    if _HASH.fullmatch(value) is None:
        raise ValueError("write the SHA-256 of the token, 64 hexadecimal digits in small letters")
    return value


class TokenSection(BaseModel):
    """One name: the hashes of its tokens, and what whoever has one of them may do."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    hash: Annotated[list[Annotated[str, AfterValidator(_hash)]], BeforeValidator(_as_list)] = Field(
        min_length=1, repr=False, description="SHA-256 of the token in hexadecimal; a list while one replaces another"
    )
    tables: Annotated[list[str], BeforeValidator(_as_list)] | None = Field(
        None, description="tables that may be written: `name`, `schema.name`, `schema.*` or `*`; by default every table"
    )
    items_per_second: float | None = Field(None, gt=0, allow_inf_nan=False, description="items that are taken a second")
    bytes_per_second: float | None = Field(
        None, gt=0, allow_inf_nan=False, description="decoded bytes that are taken a second"
    )
    admin: bool = Field(False, description="whether it may read /metrics and let a parked table go on")


def names(sections: Mapping[str, TokenSection]) -> Mapping[str, TokenSection]:
    """The sections as they are. Raises `ValueError` for a name that cannot own anything."""
    for name in sections:
        if NAME.fullmatch(name) is None:
            raise ValueError(f"{name!r} is no name: write 1 to 63 letters, digits, dots, hyphens or underscores")
    return sections
