"""`python -m benchmarks.giant`: a depot too large for one search, improved in districts, against one undivided search.

Orders at random junctions, every other within two hours; enough vans, all of which leave the depot in the middle of the map at
eight. Both searches go on from the same repaired plan. In districts it is the service that searches: dispatcher, two workers by
`rq worker improve`, commits; its processor seconds are those of all its processes. The undivided search has one core and as many
processor seconds, afresh for each number of them, with the problem's making counted, too. What is told is the cost of the plan as
the evaluator has it, in seconds of driving, and the most memory that a process had.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from app import create_app
from benchmarks.load import running, tell
from benchmarks.memory import StoreAlone
from benchmarks.timing import one_core, status_mb
from ingest.auth import Role, make_key
from ingest.settings import ROOT, Settings
from ingest.store import keys, readers
from ingest.store.connection import Store, connect
from routing.model import Snapshot
from routing.roads.network import Network
from routing.solve import improve
from routing.solve.annealing import GIANT
from routing.solve.evaluation import drivable, total
from routing.solve.problem import current
from workers import replan
from workers.formulation import problem_of

DEPOT = "giant"
DAY = "2030-01-01T"
ROUTE = 40
"""So many stops a van has on average."""


def main() -> int:
    """Run both and print; the last line is JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.giant", description=__doc__)
    parser.add_argument("--map", type=Path, default=ROOT / "data" / "helsinki.map", help="a .map file")
    parser.add_argument("--stops", type=int, default=5000)
    parser.add_argument("--district", type=int, default=None, help="stops; the policy's default unless said")
    parser.add_argument("--budget", type=float, default=30.0, help="seconds of a round")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--cpu", type=lambda text: [float(part) for part in text.split(",")], default=[60.0, 120.0, 240.0],
                        help="processor seconds, by commas")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print the JSON line only")
    arguments = parser.parse_args()
    with running(Improvers, redis_url=None, maps=(arguments.map.parent, ROOT / "data"), workers=arguments.workers) as stack:
        assert isinstance(stack, Improvers)
        client = connect(stack.settings)
        _open(stack.settings, client, arguments)
        snapshot, at = readers.snapshot(client, DEPOT), time.time()
        assert snapshot is not None
        divided = list(_divided(stack, client, max(arguments.cpu)))
        stack.halt()
        whole = [_in_a_process(stack.settings, snapshot, at, seconds) for seconds in arguments.cpu]
    start = divided.pop(0)
    rows = [{"cpu_s": row["cpu_s"], "undivided": row["cost"], "undivided_mb": row["mb"],
             "districts": next((one["cost"] for one in reversed(divided) if one["cpu_s"] <= seconds), None)}
            for row, seconds in zip(whole, arguments.cpu, strict=True)]  # fmt: skip
    if not arguments.json:
        print(f"{arguments.stops} stops, at the start {start['cost']}")
        for row in rows:
            print("  ".join(f"{name} {value}" for name, value in row.items()))
    result = {"stops": arguments.stops, "start": start["cost"], "rows": rows, "curve": divided,
              "districts_mb": max((row["mb"] for row in divided), default=0.0)}  # fmt: skip
    tell(result, json_only=True)
    return 0


class Improvers(StoreAlone):
    """The store and, once it is told, dispatcher and improve workers."""

    going = False

    def commands(self) -> dict[str, list[str]]:
        """What is needed to improve."""
        rq = str(Path(sys.executable).with_name("rq"))
        workers = {f"improve-{number}": [rq, "worker", "improve"] for number in range(self.workers)}
        return {"dispatcher": [sys.executable, "-m", "workers", "dispatch"], **workers} if self.going else {}

    def go(self, client: Store) -> None:
        """Begin."""
        self.going = True
        for name in self.commands():
            self._spawn(name)
        while len(readers.workers_at(client, "improve")) < self.workers:
            time.sleep(0.05)

    def halt(self) -> None:
        """Stop, for what is measured next to have the machine."""
        self.going = False
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            process.wait()
        self.processes.clear()


def _open(settings: Settings, client: Store, arguments: argparse.Namespace) -> None:
    """The depot with all orders in a plan."""
    network, dice = Network.open(arguments.map), random.Random(1)
    app, key = create_app(settings).test_client(), make_key(client, Role.OPERATOR, tenant="t")[0]

    def made(path: str, body: Any) -> None:
        answer = app.post(f"/v1/{path}", json=body, headers={"Authorization": f"Bearer {key}"})
        assert answer.status_code < 300, answer.text

    def place(node: int) -> dict[str, float]:
        return {"lat": round(float(network.lat[node]), 6), "lon": round(float(network.lon[node]), 6)}

    middle = sorted(range(network.nodes), key=lambda node: network.lat[node])[network.nodes // 2]
    policy = {"improve_budget": arguments.budget, **({"district_stops": arguments.district} if arguments.district else {})}
    made("depots", {"id": DEPOT, "map": arguments.map.stem, "location": place(middle), "dimensions": ["parcels"],
                    "clock": {"scale": 1, "start": f"{DAY}07:00:00Z"}, "policy": policy})  # fmt: skip
    for number in range(arguments.stops // ROUTE):
        driver, van = f"d{number}", f"v{number}"
        made("drivers", {"depot_id": DEPOT, "id": driver})
        made("vehicles", {"depot_id": DEPOT, "id": van, "capacity": {"parcels": 3 * ROUTE // 2}})
        made("shifts", {"depot_id": DEPOT, "id": f"s{number}", "driver_id": f"{DEPOT}.{driver}", "vehicle_id": f"{DEPOT}.{van}",
                        "start": f"{DAY}08:00:00Z", "end": f"{DAY}16:00:00Z"})  # fmt: skip
    for _ in range(arguments.stops):
        hour = dice.randrange(8, 14)
        windows = [{"from": f"{DAY}{hour:02}:00:00Z", "to": f"{DAY}{hour + 2:02}:00:00Z"}] if dice.random() < 0.5 else []
        made("orders", {"depot_id": DEPOT, "kind": "delivery", "location": place(dice.randrange(network.nodes)),
                        "demand": {"parcels": 1}, "service_time": 120, "windows": windows})  # fmt: skip
    client.zadd(keys.shared_key("dirty"), {DEPOT: 0}, xx=True)
    assert replan.repair(client, settings, DEPOT) > 0


def _divided(stack: Improvers, client: Store, seconds: float) -> Iterator[dict[str, float]]:
    """The plan as it is, then each version with the processor seconds and the most memory until then."""
    version, most = 0, 0.0
    stack.go(client)
    roots = [process.pid for name, process in stack.processes.items() if name in stack.commands()]
    before = sum(_processor(pid)[0] for pid in roots)
    while True:
        used = [_processor(pid) for pid in roots]
        spent, most = sum(cpu for cpu, _ in used) - before, max(most, *(mb for _, mb in used))
        now = readers.plan_version(client, DEPOT)
        if now > version:
            plan, version = readers.plan(client, DEPOT), now
            assert plan is not None
            yield {"cpu_s": round(spent, 1), "cost": plan.cost, "mb": round(most)}
        if spent > seconds or client.zscore(keys.shared_key("improvable"), DEPOT) is None:
            return
        time.sleep(0.1)


def _processor(pid: int) -> tuple[float, float]:
    """Processor seconds of a process and all its children, also of those that have ended, and the most memory of one (MB)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        mb = status_mb("VmHWM", pid)
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return 0.0, 0.0
    below = [_processor(int(child)) for child in children]
    return sum(map(int, fields[11:15])) / 100 + sum(cpu for cpu, _ in below), max([mb, *(other for _, other in below)])


def _in_a_process(settings: Settings, snapshot: Snapshot, at: float, seconds: float) -> dict[str, float]:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as alone:
        return alone.submit(_undivided, settings, snapshot, at, seconds).result()


def _undivided(settings: Settings, snapshot: Snapshot, at: float, seconds: float) -> dict[str, float]:
    """One search for so many processor seconds on one core."""
    one_core()
    began = time.process_time()
    problem, _ = problem_of(settings, snapshot, at=at)
    left = seconds - (time.process_time() - began)
    found = improve.improve(problem, current(problem), budget=left, warm=GIANT, clock=time.process_time)
    spent = time.process_time() - began
    assert drivable(problem, found)
    return {"cpu_s": round(spent, 1), "cost": total(problem, found), "mb": round(status_mb("VmHWM"))}


if __name__ == "__main__":
    sys.exit(main())
