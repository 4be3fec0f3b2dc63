"""A process full of hostile clients: `python -m loadtests.hostile.attacker PORT SECONDS SHARE NAME…`.

One process, so that its own work does not delay the probes. It prints `ready`, waits
for a line, and prints at the end what was answered, as JSON by attack and status.
"""

import asyncio
import contextlib
import json
import resource
import sys
import time
from collections import Counter
from collections.abc import Sequence

from loadtests.hostile.attacks import ATTACKS, Attack
from loadtests.hostile.wire import attempt

_AGAIN_SECONDS = 0.05


async def attack(port: int, seconds: float, share: float, chosen: Sequence[Attack]) -> dict[str, dict[str, int]]:
    """Attack for so long with this share of each attack's connections; answers by attack and status."""
    seen = {one.name: Counter[str]() for one in chosen}
    ends = time.monotonic() + seconds

    async def client(one: Attack) -> None:
        while time.monotonic() < ends:
            await attempt(port, seen[one.name], one.once)
            await asyncio.sleep(_AGAIN_SECONDS)

    clients = [
        asyncio.create_task(client(one)) for one in chosen for _ in range(max(1, round(one.connections * share)))
    ]
    await asyncio.wait(clients, timeout=seconds)
    for task in clients:
        task.cancel()
    await asyncio.wait(clients, timeout=5)
    return {name: dict(counts) for name, counts in seen.items()}


def main(words: Sequence[str]) -> None:
    port, seconds, share, *names = words
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 8192)) if hard > 0 else 8192, hard))
    chosen = [one for one in ATTACKS if one.name in names]
    for one in chosen:
        one.prepare()
    print("ready", flush=True)
    sys.stdin.readline()
    print(json.dumps(asyncio.run(attack(int(port), float(seconds), float(share), chosen))), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
