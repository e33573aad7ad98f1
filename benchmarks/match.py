"""`python -m benchmarks.match --drivers 220 --jobs 200`: jobs that cannot wait, matched in one batch, against greedy nearest.

Drivers and jobs stand at random places of a city, with the same seed for everyone. Half of the drivers are on a route. The batch is
timed as the product does it: live travel times, who may take what, and the assignment. The peer gives each job, in the order in
which they came, to the driver who is there first among those still free, by the same travel times. Both count the seconds until all
jobs are picked up; a job that one of them leaves out counts for neither, and is told.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.timing import one_core, timed
from ingest.settings import ROOT
from routing.roads import maps
from routing.roads.importer import import_map
from routing.roads.metric import customize
from routing.roads.network import Network
from routing.roads.spot import Spot
from routing.roads.travel import UNREACHABLE, Roads
from routing.solve.immediate import Job, Unit, chances, match

DATA = Path(os.environ.get("LASTLEG_REFERENCE_DATA", ROOT.parent / "shared" / "data"))
PORTO = DATA / "osm" / "porto.osm.pbf"


def main(argv: list[str] | None = None) -> int:
    """Run and print; the last line is JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.match", description=__doc__)
    parser.add_argument("--map", default=str(PORTO), help="a .map file, or anything `python -m routing.roads import` takes")
    parser.add_argument("--drivers", type=int, default=220)
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--batches", type=int, default=30, help="each with other places")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print the JSON line only")
    arguments = parser.parse_args(argv)
    network = Network.open(Path(arguments.map)) if arguments.map.endswith(maps.SUFFIX) else import_map(arguments.map)[0]
    one_core()
    roads = Roads(network, customize(network))
    rng = np.random.default_rng(arguments.seed)
    rows = [_batch(roads, rng, arguments.drivers, arguments.jobs) for _ in range(arguments.batches)]
    times = sorted(row["ms"] for row in rows)
    result = {
        "map": Path(arguments.map).name, "drivers": arguments.drivers, "jobs": arguments.jobs, "batches": arguments.batches,
        "batch_p50_ms": round(statistics.median(times), 1), "batch_p95_ms": round(times[int(0.95 * (len(times) - 1))], 1),
        **{name: round(statistics.mean(row[name] for row in rows)) for name in
           ("pickup_total_s", "pickup_greedy_s", "left_out", "left_out_greedy")},
    }  # fmt: skip
    if not arguments.json:
        for name, value in result.items():
            print(f"{name:18} {value}")
        print(f"{'saved':18} {1 - result['pickup_total_s'] / result['pickup_greedy_s']:.1%}")
    print(json.dumps(result))
    return 0


def _spots(network: Network, rng: np.random.Generator, count: int) -> list[Spot]:
    arcs, shares = rng.integers(0, network.arcs, count).tolist(), rng.random(count).tolist()
    return [Spot(arc, share) for arc, share in zip(arcs, shares, strict=True)]


def _batch(roads: Roads, rng: np.random.Generator, drivers: int, count: int) -> dict[str, Any]:
    here, onwards, starts = (_spots(roads.network, rng, number) for number in (drivers, drivers, count))
    busy = rng.random(drivers) < 0.5
    legs = roads.legs(list(zip(here, onwards, strict=True)))  # a plan knows them
    units = [Unit(f"u{number}", here[number], ready=int(rng.integers(0, 600)), next=onwards[number], stops=3,
                  onwards=leg.seconds if leg else 0) if busy[number] else Unit(f"u{number}", here[number])
             for number, leg in enumerate(legs)]  # fmt: skip
    jobs = [Job(f"j{number}", start, start, service=60) for number, start in enumerate(starts)]
    found: list[Any] = []
    seconds = timed(lambda: found.extend(match(jobs, units, roads.table)))
    ours = {item.job: item.wait for item in found}
    theirs = _greedy(chances(jobs, units, roads.table).wait)
    both = [number for number in range(count) if f"j{number}" in ours and number in theirs]
    return {"ms": seconds * 1000, "pickup_total_s": sum(ours[f"j{number}"] for number in both),
            "pickup_greedy_s": sum(theirs[number] for number in both), "left_out": count - len(ours),
            "left_out_greedy": count - len(theirs)}  # fmt: skip


def _greedy(wait: np.ndarray) -> dict[int, int]:
    """Each job in turn takes who is there first of those still free."""
    free, found = wait.copy(), {}
    for job in range(len(wait)):
        best = int(np.argmin(free[job]))
        if free[job, best] < UNREACHABLE:
            found[job] = int(free[job, best])
            free[:, best] = UNREACHABLE
    return found


if __name__ == "__main__":
    sys.exit(main())
