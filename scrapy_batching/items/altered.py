"""Why a value could not be written as it is: what the counter `batching/items/altered` counts and its log line names."""

from dataclasses import dataclass
from typing import Any

NOT_FINITE = "NaN or an infinity became null"
NO_TIME = "NaT became null"
MISSING = "a missing or masked value became null"
NO_TEXT = "bytes that are no UTF-8 became base64"
ODD_OFFSET = "a time whose offset has seconds was written in UTC"
NO_ZONE = "a time of day lost its zone, which has no offset without a date"


class NoForm(Exception):
    """A value of a known class that has no form as JSON; `culprit` is a type or a reason, never the value."""

    def __init__(self, culprit: str) -> None:
        self.culprit = culprit
        super().__init__(culprit)


@dataclass(frozen=True, slots=True)
class Altered:
    """What a value is written as although it cannot be told back from that, and one of the causes above."""

    value: Any
    cause: str
