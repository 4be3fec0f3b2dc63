"""What ends a run: figures of a run that went wrong mean nothing, so none are reported.

RunError
├── AnswerError    the server answered something else than "every item of this batch is committed"
├── CountError     answers or table do not add up to the items that were sent
└── PartError      server, database or loader did not start, or ended before its time
"""


class RunError(Exception):
    """The run ends without a result; exit code 1."""


class AnswerError(RunError):
    """One batch was not committed whole."""

    def __init__(self, *, batch: str, status: int, said: str) -> None:
        super().__init__(f"batch {batch}: expected 200 and every item committed, the server answered {status}: {said}")
        self.batch = batch
        self.status = status
        self.said = said


class CountError(RunError):
    """Something was lost, or stored twice."""

    def __init__(self, *, what: str, expected: int, found: int) -> None:
        super().__init__(f"{what}: expected {expected:,}, found {found:,}")
        self.what = what
        self.expected = expected
        self.found = found


class PartError(RunError):
    """A part of the run is not there."""

    def __init__(self, *, part: str, said: str) -> None:
        super().__init__(f"{part} failed: {said}")
        self.part = part
        self.said = said
