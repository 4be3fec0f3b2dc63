"""Another user of the machine, for as long as a block takes."""

import contextlib
import os
import pwd
from collections.abc import Iterator


@contextlib.contextmanager
def as_another_user() -> Iterator[None]:
    """Root becomes `nobody`. Who is not root stays, and is kept out by a directory's mode alone: make it 0."""
    if os.geteuid() != 0:
        yield
        return
    other = pwd.getpwnam("nobody").pw_uid
    os.setresuid(other, other, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)
