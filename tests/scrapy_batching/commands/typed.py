"""Types `scrapy batches …` as a person does."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

ROOT = Path(__file__).parents[3]


@contextlib.asynccontextmanager
async def typed(directory: Path, *arguments: str, **settings: object) -> AsyncIterator[asyncio.subprocess.Process]:
    """`scrapy batches …` in a directory without a project; ended by its own id, if the test leaves it running."""
    settings = {"BATCHING_SPOOL_DIR": "spool", "BATCHING_RETRY_BASE": 0.01, "BATCHING_RETRY_MAX": 0.02} | settings
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "scrapy", "batches", *arguments),
        *(part for name, value in settings.items() for part in ("-s", f"{name}={value}")),
        cwd=directory,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def typing(directory: Path, *arguments: str, **settings: object) -> tuple[int, str, str]:
    """Its exit code, and what it wrote."""
    async with typed(directory, *arguments, **settings) as process:
        out, err = await process.communicate()
        assert process.returncode is not None
        return process.returncode, out.decode(), err.decode()
