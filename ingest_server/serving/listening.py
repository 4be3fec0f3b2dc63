"""The port: bound once as a trial before anything is made."""

import asyncio

from ingest_server.errors import StartRefused
from ingest_server.settings import Settings


async def refuse_taken_port(settings: Settings) -> None:
    """Bind once before anything is made: whoever meets a taken port should not wait for initdb first."""
    try:
        trial = await asyncio.get_running_loop().create_server(
            asyncio.Protocol, settings.host, settings.port, start_serving=False
        )
    except OSError as error:
        raise taken(settings, error) from None
    trial.close()
    await trial.wait_closed()


def taken(settings: Settings, error: OSError) -> StartRefused:
    """What to say where nobody can listen."""
    return StartRefused(
        f"cannot listen on {settings.host}:{settings.port} ({error.strerror or error})",
        remedy="end what listens there, or choose another --port",
    )
