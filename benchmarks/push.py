"""`python -m benchmarks.push`: from a commit to its receipt, for a thousand drivers who hold a stream open on one API process.

The whole system runs. Orders come in at `--rate` a second, each for one driver, and now and then all streets of a depot become
slower, which one commit tells all its drivers. Receipt is when the driver's end of the stream has the document, counted from the
plan's `published_at`. Meanwhile every driver's connection is broken off twice, and taken up again by `Last-Event-ID`; in the end
each has to have every version of its route. Memory is what the API process has grown by, for each connection.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import time
from collections import defaultdict
from typing import Any

import aiohttp
import psutil

from benchmarks.load import Client, Town, at, running, settled, tell
from benchmarks.loop import _plans
from ingest.settings import ROOT
from routing.roads.network import Network
from workers.supervisor import Stack

DEPOTS = 10


def main() -> int:
    """Run and print; the last line is JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.push", description=__doc__)
    parser.add_argument("--drivers", type=int, default=1000, help=f"of {DEPOTS} depots together")
    parser.add_argument("--rate", type=float, default=10.0, help="orders per second, over all depots")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--json", action="store_true", help="print the JSON line only")
    arguments = parser.parse_args()
    with running() as stack:
        tell(asyncio.run(_run(stack, arguments)), json_only=arguments.json)
    return 0


class Ears:
    """What each driver hears, over all its connections."""

    def __init__(self) -> None:
        self.heard: dict[str, dict[int, float]] = defaultdict(dict)
        self.last: dict[str, str] = {}

    def __call__(self, driver: str, version: int, document: dict[str, Any], when: float) -> None:
        """Note the first time a driver hears of a version."""
        del document
        self.last[driver] = str(version)
        self.heard[driver].setdefault(version, when)

    async def listen(self, client: Client, driver: str) -> None:
        """Hold a driver's stream, again and again."""
        while True:
            try:
                await client.stream(driver, self, last=self.last.get(driver, ""))
            except (aiohttp.ClientError, TimeoutError):
                await asyncio.sleep(0.1)


async def _run(stack: Stack, arguments: argparse.Namespace) -> dict[str, Any]:
    network = Network.open(ROOT / "data" / "helsinki.map")
    ears, dice = Ears(), random.Random(1)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        client = Client(stack.url, stack.operator_key, session)
        towns = [Town(client, f"town{number}", network, arguments.drivers // DEPOTS, random.Random(number))
                 for number in range(DEPOTS)]  # fmt: skip
        for town in towns:
            await town.build("helsinki", 0, {"improve_budget": 0.5})
            for driver in town.crew:
                await town.order(pin={"driver_id": driver})
        await settled(client, [town.depot for town in towns], seconds=300)
        before = {town.depot: (await client.call("GET", f"/v1/depots/{town.depot}/plans"))[1]["version"] for town in towns}
        memory = _memory(stack)
        drivers = [driver for town in towns for driver in town.crew]
        streams = {driver: asyncio.create_task(ears.listen(client, driver)) for driver in drivers}
        await asyncio.sleep(5.0)
        grown = (_memory(stack) - memory) / len(drivers) / 1024
        until, cuts = time.monotonic() + arguments.seconds, dice.sample(drivers * 2, 2 * len(drivers))
        posts: list[asyncio.Task[Any]] = []
        while (left := until - time.monotonic()) > 0:
            await asyncio.sleep(dice.expovariate(arguments.rate))
            town = dice.choice(towns)
            posts.append(asyncio.create_task(town.order(pin={"driver_id": dice.choice(town.crew)})))
            if len(posts) % 50 == 0:
                posts.append(asyncio.create_task(_slow(dice.choice(towns))))
            while cuts and len(cuts) > 2 * len(drivers) * left / arguments.seconds:
                driver = cuts.pop()
                streams[driver].cancel()
                streams[driver] = asyncio.create_task(ears.listen(client, driver))
        await asyncio.gather(*posts)
        await settled(client, [town.depot for town in towns])
        await asyncio.sleep(3.0)
        plans = {town.depot: await _plans(client, town.depot, before[town.depot]) for town in towns}
        for stream in streams.values():
            stream.cancel()
    return _figures(plans, ears, 2 * len(drivers)) | {"drivers": len(drivers), "kb_per_connection": round(grown, 1)}


async def _slow(town: Town) -> None:
    """All streets of a depot become slower, for a while: that is on everybody's way."""
    body = {"depot_id": town.depot, "kind": "slow", "factor": town.random.uniform(1.2, 2.0), "end": "2030-01-01T17:00:00Z",
            "disc": {"centre": town.place(), "radius_m": 20_000}}  # fmt: skip
    await town.client.made("/v1/road-events", body)


def _memory(stack: Stack) -> int:
    """What the API's processes have resident, in bytes."""
    process = psutil.Process(stack.processes["api"].pid)
    return sum(other.memory_info().rss for other in [process, *process.children(recursive=True)])


def _figures(plans: dict[str, list[dict[str, Any]]], ears: Ears, cut: int) -> dict[str, Any]:
    """Receipts by what was published, and what of it never came."""
    times, missed, most = list[float](), 0, 0
    for versions in plans.values():
        for plan in versions:
            changes = plan["diff"]["routes"]
            most = max(most, len(changes))
            for change in changes:
                when = ears.heard[change["driver_id"]].get(plan["version"])
                missed += when is None
                if when is not None:
                    times.append(1000 * (when - plan["published_at"]))
    return {"receipt_p50_ms": at(times, 0.5), "receipt_p99_ms": at(times, 0.99), "versions": len(times), "versions_missed": missed,
            "most_at_once": most, "connections_cut": cut}  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
