"""The beat that measures the event loop."""

import asyncio

from prometheus_client import generate_latest

from ingest_server.serving.pulse import Pulse
from ingest_server.telemetry import Telemetry


async def test_a_blocked_event_loop_is_measured() -> None:
    telemetry, beats, now = Telemetry(), asyncio.Event(), 0.0
    pulse = Pulse(telemetry, beats.set, every=0.001, clock=lambda: now)
    pulse.start()
    async with asyncio.timeout(10):
        await beats.wait()
        now += 0.3
        beats.clear()
        await beats.wait()
    await pulse.stop()
    text = generate_latest(telemetry.registry).decode()
    slow = next(line for line in text.splitlines() if 'lag_seconds_bucket{le="0.25"}' in line)
    every = next(line for line in text.splitlines() if "lag_seconds_count" in line)
    assert float(every.split()[-1]) == float(slow.split()[-1]) + 1


async def test_a_pulse_that_dies_is_told_of() -> None:
    died = asyncio.Event()

    class Told(Telemetry):
        def worker_died(self, name: str, error: BaseException) -> None:
            assert (name, type(error)) == ("pulse", ZeroDivisionError)
            died.set()

    def look() -> None:
        raise ZeroDivisionError

    pulse = Pulse(Told(), look, every=0.001)
    pulse.start()
    await asyncio.wait_for(died.wait(), 5)
    await pulse.stop()
