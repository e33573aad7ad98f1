"""`python -m benchmarks.console`: how long the console keeps its browser's main thread busy, at a large depot at work.

The whole system runs as in `make run`, with `--stops` planned orders and `--drivers` on the road, each of whom pings every second
from another place; orders come and streets close meanwhile. The system's Chromium, headless, shows the console for `--seconds`,
pans and zooms; its own trace says how long each task of the page's main thread took. `tasks` are those of a millisecond or more.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import shutil
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp

from benchmarks.load import Client, Town, at, running, settled, tell
from ingest.settings import ROOT
from routing.roads.network import Network
from workers.supervisor import Stack

CATEGORIES = ["-*", "devtools.timeline", "disabled-by-default-devtools.timeline", "toplevel", "__metadata"]
TASKS = ("RunTask", "ThreadControllerImpl::RunTask", "ThreadPool_RunTask")
START = datetime(2030, 1, 1, 8, tzinfo=UTC)


def main() -> int:
    """Run and print; the last line is JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.console", description=__doc__)
    parser.add_argument("--map", type=Path, default=ROOT / "data" / "helsinki.map", help="a .map file")
    parser.add_argument("--stops", type=int, default=1000)
    parser.add_argument("--drivers", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--json", action="store_true", help="print the JSON line only")
    arguments = parser.parse_args()
    network = Network.open(arguments.map)
    with running(maps=(arguments.map.parent,)) as stack:
        tell(asyncio.run(_run(stack, network, arguments)), json_only=arguments.json)
    return 0


async def _run(stack: Stack, network: Network, arguments: argparse.Namespace) -> dict[str, Any]:
    async with aiohttp.ClientSession() as session:
        client = Client(stack.url, stack.operator_key, session)
        town = Town(client, "town", network, arguments.drivers, random.Random(1))
        await town.build(arguments.map.stem, arguments.stops, {"improve_budget": 2.0})
        await settled(client, ["town"], seconds=300)
        begun, over = time.monotonic(), asyncio.Event()
        moving = [asyncio.create_task(step) for step in (_drive(town, begun, over), _disturb(town, over))]
        trace = await _watch(stack, arguments.seconds)
        over.set()
        await asyncio.gather(*moving)
    times = _tasks(trace)
    return {
        "stops": arguments.stops, "drivers": arguments.drivers, "seconds": arguments.seconds, "tasks": len(times),
        "p50_ms": at(times, 0.5), "p95_ms": at(times, 0.95), "p99_ms": at(times, 0.99), "max_ms": at(times, 1.0),
        "over_50_ms": sum(value > 50 for value in times),
    }  # fmt: skip


async def _drive(town: Town, begun: float, over: asyncio.Event) -> None:
    """Everybody is a little farther each second."""
    places = {driver: town.place() for driver in town.crew}
    seq = 0
    while not over.is_set():
        seq += 1
        moment = (START + timedelta(seconds=time.monotonic() - begun)).isoformat()
        for driver, place in places.items():
            place["lat"] += town.random.uniform(-1e-4, 1e-4)
            place["lon"] += town.random.uniform(-2e-4, 2e-4)
            await town.client.made(f"/v1/drivers/{driver}/pings", [place | {"recorded_at": moment, "seq": seq}])
        await asyncio.sleep(max(0.0, begun + seq - time.monotonic()))


async def _disturb(town: Town, over: asyncio.Event) -> None:
    """An order every second, and a closed street now and then."""
    number = 0
    while not over.is_set():
        number += 1
        await town.order()
        if number % 5 == 0:
            await town.client.made("/v1/road-events", {"depot_id": town.depot, "kind": "close", "end": "2030-01-01T12:00:00Z",
                                                       "disc": {"centre": town.place(), "radius_m": 40}})  # fmt: skip
        await asyncio.sleep(1)


async def _watch(stack: Stack, seconds: float) -> dict[str, Any]:
    """Look at the console for so long, as a dispatcher would; what the browser has traced."""
    from playwright.async_api import async_playwright

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"])
        page = await browser.new_page(viewport={"width": 1440, "height": 900})
        await page.goto(f"{stack.url}/#{stack.operator_key}")
        await page.wait_for_selector("#routes li button", timeout=60_000)
        await page.wait_for_timeout(3000)
        await browser.start_tracing(page=page, categories=CATEGORIES)
        until = time.monotonic() + seconds
        await page.mouse.move(700, 450)
        while time.monotonic() < until:
            await page.mouse.down()
            await page.mouse.move(700 + random.randrange(-150, 150), 450 + random.randrange(-100, 100), steps=8)
            await page.mouse.up()
            await page.mouse.wheel(0, random.choice([-120, 120]))
            await page.wait_for_timeout(1500)
            await page.mouse.move(700, 450)
        raw = await browser.stop_tracing()
        await browser.close()
    found: dict[str, Any] = json.loads(raw)
    return found


def _tasks(trace: dict[str, Any]) -> list[float]:
    """Durations (ms) of the main thread's tasks, of the process that has most of them to do: the page's."""
    events = trace["traceEvents"]
    named = [row for row in events if row.get("name") == "thread_name"]
    main = {(row["pid"], row["tid"]) for row in named if row["args"]["name"] == "CrRendererMain"}
    by_thread: dict[Any, list[float]] = {}
    for row in events:
        if row.get("ph") == "X" and row["name"] in TASKS and (row["pid"], row["tid"]) in main:
            by_thread.setdefault((row["pid"], row["tid"]), []).append(row.get("dur", 0) / 1000)
    busiest = max(by_thread.values(), key=sum, default=[])
    return [value for value in busiest if value >= 1.0]


if __name__ == "__main__":
    sys.exit(main())
