"""`python -m benchmarks.loop`: from an event to the new route at the driver's end of a stream, while depots are busy.

The whole system runs as in `make run`. Each depot keeps its drivers on the road and its number of open stops; over all depots
events come at `--rate` a second, at random moments. A time is taken from before an event is sent to when the last of the drivers
whose routes the answering plan changes has it; `improved` is the same for the improved plan that follows, where one pays for its
disruption. An event that changes nobody's route has no time: `measured` of `events` have one. The burst is 50 orders at one depot
within a second.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import aiohttp

from benchmarks.load import OPENS, Client, Town, at, running, settled
from ingest.settings import ROOT
from routing.roads.network import Network
from workers.supervisor import Stack

BURST = 50
KINDS = {"order_new": 40, "order_cancelled": 30, "order_changed": 12, "stop_failed": 12, "roads_changed": 4, "requested": 2}
"""How often which event, in percent; orders are added or cancelled so that their number holds."""


def main() -> int:
    """Run and print; the last line is JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.loop", description=__doc__)
    parser.add_argument("--map", type=Path, default=ROOT / "data" / "helsinki.map", help="a .map file")
    parser.add_argument("--depots", type=int, default=12)
    parser.add_argument("--drivers", type=int, default=10, help="of each depot")
    parser.add_argument("--open-stops", type=int, default=200, help="of each depot")
    parser.add_argument("--rate", type=float, default=5.0, help="events per second, over all depots")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--workers", type=int, default=1, help="processes that repair")
    parser.add_argument("--policy", type=json.loads, default={}, help="of each depot, as JSON")
    parser.add_argument("--json", action="store_true", help="print the JSON line only")
    arguments = parser.parse_args()
    network = Network.open(arguments.map)
    with running(maps=(arguments.map.parent,), workers=arguments.workers) as stack:
        result = asyncio.run(_run(stack, network, arguments))
    if not arguments.json:
        for name, row in {"first": result["first"], "improved": result["improved"], **result["by_trigger"]}.items():
            print(f"{name:18} " + "  ".join(f"{key} {value}" for key, value in row.items()))
    print(json.dumps(result))
    return 0


class Ear:
    """What all drivers hear, and when events were sent."""

    def __init__(self) -> None:
        self.heard: dict[tuple[str, int], float] = {}
        self.sent: dict[tuple[str, str], float] = {}

    def __call__(self, driver: str, version: int, document: dict[str, Any], when: float) -> None:
        """Note when the last driver had a version."""
        key = (driver.partition(".")[0], version)
        self.heard[key] = max(when, self.heard.get(key, 0.0))


async def _run(stack: Stack, network: Network, arguments: argparse.Namespace) -> dict[str, Any]:
    dice, ear = random.Random(1), Ear()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        client = Client(stack.url, stack.operator_key, session)
        towns = [Town(client, f"town{number}", network, arguments.drivers, random.Random(number))
                 for number in range(arguments.depots)]  # fmt: skip
        for town in towns:
            await town.build(arguments.map.stem, arguments.open_stops, arguments.policy)
        await settled(client, [town.depot for town in towns], seconds=300)
        before = {town.depot: (await client.call("GET", f"/v1/depots/{town.depot}/plans"))[1]["version"] for town in towns}
        streams = [asyncio.create_task(client.stream(driver, ear)) for town in towns for driver in town.crew]
        await asyncio.sleep(2.0)
        until = time.monotonic() + arguments.seconds
        posts: list[asyncio.Task[None]] = []
        sent: Counter[str] = Counter()
        while time.monotonic() < until:
            await asyncio.sleep(dice.expovariate(arguments.rate))
            kind = dice.choices(list(KINDS), list(KINDS.values()))[0]
            sent[kind] += 1
            posts.append(asyncio.create_task(_event(dice.choice(towns), kind, arguments.open_stops, ear)))
        await asyncio.gather(*posts)
        await settled(client, [town.depot for town in towns])
        plans = {town.depot: await _plans(client, town.depot, before[town.depot]) for town in towns}
        burst = await _burst(client, towns[0])
        for stream in streams:
            stream.cancel()
    return _figures(plans, ear) | burst | {"events": sum(sent.values()), "depots": arguments.depots, "drivers": arguments.drivers,
                                           "open_stops": [len(town.open) for town in towns]}  # fmt: skip


async def _event(town: Town, kind: str, level: int, ear: Ear) -> None:
    """Let something happen at a depot."""
    call = town.client.call
    if kind in ("order_new", "order_cancelled"):
        kind = "order_new" if len(town.open) < level else "order_cancelled"
    began = time.time()
    if kind == "order_new":
        subject = await town.order()
    elif kind == "order_cancelled":
        subject = town.any_order()
        await call("DELETE", f"/v1/orders/{subject}")
    elif kind == "order_changed":
        subject = town.random.choice(town.open)
        await call("PATCH", f"/v1/orders/{subject}", {"location": town.place()})
    elif kind == "stop_failed":
        driver = town.random.choice(town.crew)
        route = (await call("GET", f"/v1/drivers/{driver}/route"))[1]
        current = [stop for shift in route["shifts"] for stop in shift["stops"] if stop["state"] in ("en_route", "arrived")]
        if not current:
            return
        subject, began = current[0]["stop_id"], time.time()
        report = {"event_id": f"failed {subject}", "type": "failed", "occurred_at": OPENS, "driver_id": driver}
        await call("POST", f"/v1/stops/{subject}/events", report)
        if current[0]["order_id"] in town.open:
            town.open.remove(current[0]["order_id"])
    elif kind == "roads_changed":
        end = f"2030-01-01T{town.random.randrange(9, 18):02}:00:00Z"
        slow = {"depot_id": town.depot, "kind": "slow", "factor": 5, "disc": {"centre": town.place(), "radius_m": 80}, "end": end}
        subject = (await town.client.made("/v1/road-events", slow))["id"]
    else:
        await call("POST", f"/v1/depots/{town.depot}/resolve")
        return
    ear.sent[kind, subject] = began


async def _plans(client: Client, depot: str, after: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while page := (await client.call("GET", f"/v1/depots/{depot}/plans?after={after}"))[1]["plans"]:
        found += page
        after = page[-1]["version"]
    return found


def _figures(plans: dict[str, list[dict[str, Any]]], ear: Ear) -> dict[str, Any]:
    """First and improved answers, by trigger, from what the drivers heard."""
    times: dict[str, list[float]] = defaultdict(list)
    counts: Counter[str] = Counter()
    steps: dict[str, list[float]] = defaultdict(list)
    for depot, versions in plans.items():
        for plan in versions:
            stage = "first" if plan["engine"] == "repair" else "improved"
            counts[stage] += 1
            for step, milliseconds in plan["timings"].items():
                if stage == "first":
                    steps[step].append(milliseconds)
            when = ear.heard.get((depot, plan["version"]))
            for trigger in plan["triggers"]:
                began = ear.sent.get((trigger["kind"], trigger["subject"]))
                counts["triggers"] += stage == "first"
                if when is not None and began is not None:
                    times[stage].append(when - began)
                    times[f"{stage} {trigger['kind']}"].append(when - began)
    told = {name: {f"p{share}_s": at(values, share / 100) for share in (50, 95, 99)} for name, values in times.items()}
    kinds = sorted({name.split(" ")[1] for name in times if " " in name})
    return {
        "first": told.get("first"), "improved": told.get("improved"),
        "by_trigger": {kind: {"count": len(times[f"first {kind}"]), "first": told.get(f"first {kind}"),
                              "improved": told.get(f"improved {kind}")} for kind in kinds},
        "measured": len(times["first"]), "repair_steps_p50_ms": {step: at(values, 0.5) for step, values in steps.items()},
        "repairs_per_trigger": round(counts["first"] / max(1, counts["triggers"]), 3),
        "improvements_per_trigger": round(counts["improved"] / max(1, counts["triggers"]), 3),
    }  # fmt: skip


async def _burst(client: Client, town: Town) -> dict[str, int]:
    """50 orders at one depot, spread over a second: how many plans that costs."""
    before = (await client.call("GET", f"/v1/depots/{town.depot}/plans"))[1]["version"]
    await asyncio.gather(*(_later(number / BURST, town) for number in range(BURST)))
    await settled(client, [town.depot])
    versions = await _plans(client, town.depot, before)
    repairs = sum(plan["engine"] == "repair" for plan in versions)
    return {"burst_repairs": repairs, "burst_improvements": len(versions) - repairs}


async def _later(seconds: float, town: Town) -> None:
    await asyncio.sleep(seconds)
    await town.order()


if __name__ == "__main__":
    sys.exit(main())
