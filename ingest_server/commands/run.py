"""`ingest-server run`: the server, with its settings as flags."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer

from ingest_server.app import serve
from ingest_server.commands.options import read_settings, refusals, with_settings_as_flags
from ingest_server.logs import write_logs


def _run(config: Path | None = None, **flags: Any) -> None:
    """Run the server. Without any setting: 127.0.0.1:8800, with an embedded PostgreSQL in ./.ingest."""
    with refusals():
        settings = read_settings(config, listens=True, **flags)
        write_logs(settings.log_level, settings.log_format)
        with asyncio.Runner(loop_factory=_loop_factory()) as loop:
            code = loop.run(serve(settings, announce=_announce))
    raise typer.Exit(code)


run = with_settings_as_flags(_run)


def _announce(url: str) -> None:
    print(f"listening on {url}", flush=True)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:  # not to be had on every platform
        return None
    return uvloop.new_event_loop
