"""`python -m benchmarks.quote`: how long a shipper waits for a quote: all the hours left of the day, over HTTP.

The whole system runs as in `make run`, with one depot of `--open-stops` planned orders and `--drivers` on the road. Quotes for
random places are asked one after the other; with `--share` of them one window is then accepted and confirmed, so that others are
asked while a plan is being made. `first_ms` is the very first quote of a fresh server; it is not among the others.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import aiohttp

from benchmarks.load import SERVICE_S, Client, Town, running, settled, tell
from ingest.settings import ROOT
from routing.roads.network import Network
from workers.supervisor import Stack


def main() -> int:
    """Run and print; the last line is JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quote", description=__doc__)
    parser.add_argument("--map", type=Path, default=ROOT / "data" / "helsinki.map", help="a .map file")
    parser.add_argument("--open-stops", type=int, default=200)
    parser.add_argument("--drivers", type=int, default=10)
    parser.add_argument("--quotes", type=int, default=200)
    parser.add_argument("--share", type=float, default=0.1, help="of quotes that are accepted and confirmed")
    parser.add_argument("--json", action="store_true", help="print the JSON line only")
    arguments = parser.parse_args()
    network = Network.open(arguments.map)
    with running(maps=(arguments.map.parent,)) as stack:
        tell(asyncio.run(_run(stack, network, arguments)), json_only=arguments.json)
    return 0


async def _run(stack: Stack, network: Network, arguments: argparse.Namespace) -> dict[str, Any]:
    dice = random.Random(1)
    async with aiohttp.ClientSession() as session:
        client = Client(stack.url, stack.operator_key, session)
        town = Town(client, "town", network, arguments.drivers, random.Random(1))
        await town.build(arguments.map.stem, arguments.open_stops, {})
        await settled(client, ["town"], seconds=300)
        times: list[float] = []
        accepting: list[float] = []
        windows: list[int] = []
        gone = 0
        for _ in range(arguments.quotes + 1):
            body = {"order": {"depot_id": "town", "kind": "collection", "location": town.place(), "demand": {"parcels": 1},
                              "service_time": SERVICE_S // 3}}  # fmt: skip
            begin = time.perf_counter()
            told = await client.made("/v1/quotes", body)
            times.append(time.perf_counter() - begin)
            windows.append(len(told["windows"]))
            if told["windows"] and dice.random() < arguments.share:
                begin = time.perf_counter()
                try:
                    held = await client.made(f"/v1/quotes/{told['quote_id']}/accept", {"window": 0})
                except RuntimeError as error:  # the plan has become another since it was asked
                    if "window_gone" not in str(error):
                        raise
                    gone += 1
                    continue
                accepting.append(time.perf_counter() - begin)
                await client.made(f"/v1/orders/{held['order']['id']}/confirm", {})
    first, *rest = times
    return {
        "map": arguments.map.stem, "open_stops": arguments.open_stops, "drivers": arguments.drivers, "quotes": len(rest),
        "windows": round(statistics.mean(windows), 1), "first_ms": round(1000 * first, 1),
        "p50_ms": _quantile(rest, 0.5), "p95_ms": _quantile(rest, 0.95), "accept_p50_ms": _quantile(accepting, 0.5),
        "accepted": len(accepting), "gone": gone,
    }  # fmt: skip


def _quantile(times: list[float], share: float) -> float | None:
    ordered = sorted(times)
    return round(1000 * ordered[int(share * (len(ordered) - 1))], 1) if ordered else None


if __name__ == "__main__":
    sys.exit(main())
