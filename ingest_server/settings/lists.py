"""Lists in a variable or a flag."""

from typing import Any


def parts(value: Any) -> Any:
    """`a, b` as a list; a list as it is."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value
