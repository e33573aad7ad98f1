"""`python -m benchmarks.day --map FILE`: event → plan times of a simulated day, over HTTP, on this machine.

The whole system runs as in `make demo`; the times are those that every plan version records: from the oldest event
it answers to its publication.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from demo.world import World
from ingest.settings import Settings
from routing.roads import maps
from routing.roads.importer import import_map
from workers.supervisor import Stack


def main(argv: list[str] | None = None) -> int:
    """Run one day's beginning and print its figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.day", description=__doc__)
    parser.add_argument("--map", required=True, help="anything `python -m routing.roads import` takes, or a .map file")
    parser.add_argument("--orders", type=int, default=100)
    parser.add_argument("--drivers", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--speed", type=float, default=20.0)
    parser.add_argument("--json", action="store_true", help="print the JSON line only")
    arguments = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        base = Settings.read()
        settings = replace(base, state=Path(folder), archive=Path(folder) / "archive", maps=(Path(folder) / "maps",))
        if arguments.map.endswith(maps.SUFFIX):
            network = maps.network(Path(arguments.map))
        else:
            network, _ = import_map(arguments.map, name="city")
        network.save(Path(folder) / "maps" / "city.map")
        with Stack(settings, say=lambda text: None) as stack:
            plans = _run(stack, arguments)
    result = {"map": Path(arguments.map).name, "nodes": network.nodes, "arcs": network.arcs, "orders": arguments.orders,
              "drivers": arguments.drivers, "plans": len(plans)} | _figures(plans)  # fmt: skip
    if not arguments.json:
        print("steps of a repair, median ms: " + ", ".join(f"{step} {ms}" for step, ms in result["repair_steps_p50_ms"].items()))
        for kind, figures in result["by_trigger"].items():
            print(f"{kind:18} {figures['plans']:4} plans  p50 {figures['p50_s']:.3f} s  p95 {figures['p95_s']:.3f} s")
    print(json.dumps(result))
    return 0


def _run(stack: Stack, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    from routing.roads.network import Network

    network = Network.open(stack.settings.state / "maps" / "city.map")
    world = World(url=stack.url, key=stack.operator_key, map_name="city", network=network, depot_id="bench",
                  day=f"{datetime.now(UTC):%Y-%m-%d}", drivers=arguments.drivers, orders=arguments.orders,
                  scale=arguments.speed, order_every=2.0, trouble_every=8.0)  # fmt: skip
    world.build()
    before = world.api.get("/v1/depots/bench/plans")["version"]
    world.start()
    until = time.monotonic() + arguments.seconds
    while time.monotonic() < until:
        stack.watch()
        time.sleep(0.5)
    world.stop()
    plans: list[dict[str, Any]] = []
    while page := world.api.get(f"/v1/depots/bench/plans?after={plans[-1]['version'] if plans else before}")["plans"]:
        plans += page
    return plans


def _figures(plans: list[dict[str, Any]]) -> dict[str, Any]:
    """By trigger kind, for plans that answer just one kind; and over all."""
    by_kind: dict[str, list[float]] = defaultdict(list)
    for plan in plans:
        kinds = {trigger["kind"] for trigger in plan["triggers"]}
        if plan["engine"] == "repair" and plan["latency_s"] is not None:
            by_kind["all"].append(plan["latency_s"])
            by_kind[kinds.pop() if len(kinds) == 1 else "several"].append(plan["latency_s"])
    repairs = [plan["timings"] for plan in plans if plan["engine"] == "repair"]
    medians = {step: _at([timings[step] for timings in repairs], 0.5) for step in sorted(repairs[0] if repairs else ())}
    return {"repair_steps_p50_ms": medians,
            "by_trigger": {kind: {"plans": len(times), "p50_s": _at(times, 0.5), "p95_s": _at(times, 0.95)}
                           for kind, times in sorted(by_kind.items())}}  # fmt: skip


def _at(times: list[float], share: float) -> float:
    return round(sorted(times)[round(share * (len(times) - 1))], 3)


if __name__ == "__main__":
    sys.exit(main())
