"""Where a project's own code failed, said without a word of what it worked on."""

from pathlib import PurePath
from traceback import walk_tb


def place_of(error: BaseException) -> str:
    """`in FUNCTION, FILE line N`, the innermost place of the error; empty where it has none."""
    innermost = None
    for frame, line in walk_tb(error.__traceback__):
        innermost = (frame.f_code, line)
    if innermost is None:
        return ""
    code, line = innermost
    return f"in {code.co_name}, {PurePath(code.co_filename).name} line {line}"
