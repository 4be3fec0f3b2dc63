"""`python -m ingest_server` is `ingest-server`."""

import sys
from collections.abc import Callable

_EXTRA = "pip install 'scrapy-batching[server,embedded]'"
# As a shell says it: 128 and the signal's number.
_INTERRUPTED = 130


def main() -> None:
    """The entry point of `ingest-server`: a plain install has the command, but not what it needs."""
    try:
        _command()()
    except KeyboardInterrupt:  # also while it is imported, which takes half a second
        sys.exit(_INTERRUPTED)


def _command() -> Callable[[], object]:
    try:
        from ingest_server.cli import cli
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] == "ingest_server":
            raise
        sys.exit(f"ingest-server: the server's extra is not installed ({error.name} is missing): {_EXTRA}")
    return cli


if __name__ == "__main__":
    main()
