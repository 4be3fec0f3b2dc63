"""`python -m ingest_server` is `ingest-server`."""

import sys

_EXTRA = "pip install 'scrapy-batching[server,embedded]'"


def main() -> None:
    """The entry point of `ingest-server`: a plain install has the command, but not what it needs."""
    try:
        from ingest_server.cli import cli
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] == "ingest_server":
            raise
        sys.exit(f"ingest-server: the server's extra is not installed ({error.name} is missing): {_EXTRA}")
    cli()


if __name__ == "__main__":
    main()
