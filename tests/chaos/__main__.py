"""`python -m tests.chaos`: processes are killed, frozen and cut off under load, and the history is judged afterwards.

Prints one JSON object on its last line, and exits with status 1 if an order was lost or doubled, a version went back, a plan was
published that no longer fitted, a request failed for good, or recovery took too long.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis

from demo.api import Api
from ingest.settings import Settings
from ingest.store import embedded, keys, readers, writers
from ingest.store.connection import connect
from tests.chaos import faults
from tests.chaos.history import Event, Found, judge
from tests.chaos.world import World
from tests.conftest import free_port
from workers.supervisor import Stack

RECOVERED_WITHIN_S = 10.0
"""So long a fault is waited for before the next one."""

RECOVERED_S = 5.0
"""Every depot must be answered again within this."""

FROZEN_S = (0.5, 4.0)
"""How long processes are frozen: shorter and longer than a lease."""


AT_PLACES = [f"{kind} at {place}" for place in faults.PLACES for kind in ("kill", "freeze")]
NAMES = ("repair", "improve", "track", "match", "deliver", "load", "dispatcher", "api", "store")
AT_ANY_MOMENT = ["cut", *(f"{kind} {name}" for kind in ("kill", "freeze") for name in NAMES)]
"""What can happen: `cut` breaks all connections to the store at once."""


class Hardened(Stack):
    """The whole system of one machine, twice the workers and dispatchers, each process with places for faults."""

    def commands(self) -> dict[str, list[str]]:
        """What runs, by name."""
        found = super().commands()
        found["api"] = ["tests.chaos.faults:create_front" if part == "app:create_front" else part for part in found["api"]]
        dispatch = [sys.executable, "-m", "tests.chaos.faults", "dispatch"]
        found |= {"dispatcher": dispatch, "dispatcher-2": dispatch}
        return {name: [*command, "-w", "tests.chaos.faults.Worker"] if "worker" in command else command
                for name, command in found.items()}  # fmt: skip


@dataclass
class Chaos:
    """Faults, one after the other, and how long it took until every depot was answered again."""

    stack: Hardened
    luck: random.Random
    only: list[str]
    depots: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    recoveries: list[float] = field(default_factory=list)
    slow: list[str] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)

    def watch(self) -> None:
        """Restart what dies, as `make run` does."""
        while not self._over.wait(0.1):
            self.stack.watch()

    def close(self) -> None:
        """No more restarts."""
        self._over.set()

    def one(self, number: int) -> None:
        """One fault: in turn at a place, and at any moment."""
        if self.only:
            what = self.only[number % len(self.only)]
        else:
            what = AT_PLACES[number // 2 % len(AT_PLACES)] if number % 2 else self.luck.choice(AT_ANY_MOMENT)
        kind, _, where = what.partition(" ")
        done = self._at_place(kind, where[3:]) if where.startswith("at ") else self._now(kind, where)
        if done:
            self.counts[what] += 1

    def _at_place(self, kind: str, place: str) -> bool:
        """Leave it there, and wait until somebody has come by."""
        folder = self.stack.settings.state / "chaos"
        folder.mkdir(exist_ok=True)
        order = folder / place
        (folder / "new").write_text(kind)
        (folder / "new").rename(order)
        until = time.monotonic() + 8
        taken: list[Path] = []
        while not taken and time.monotonic() < until:
            time.sleep(0.02)
            taken = list(folder.glob(f"{place}.*"))
        if not taken:
            order.unlink(missing_ok=True)
            return False
        pid = int(taken[0].suffix[1:])
        taken[0].unlink()
        if kind == "freeze":
            time.sleep(self.luck.uniform(*FROZEN_S))
            _signal(pid, signal.SIGCONT)
        return True

    def _now(self, kind: str, name: str) -> bool:
        if kind == "cut":
            client = redis.Redis.from_url(embedded.url(self.stack.settings), socket_timeout=2)
            try:
                client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            except redis.RedisError:
                return False
            return True
        names = [other for other in self.stack.processes if other.split("-")[0] == name]
        process = self.stack.server if name == "store" else self.stack.processes[self.luck.choice(names)]
        if process is None or process.poll() is not None:
            return False
        family = _family(process.pid)
        if kind == "kill":
            some = family if self.luck.random() < 0.5 else family[:1]
            for pid in some:
                _signal(pid, signal.SIGKILL)
        else:
            for pid in family:
                _signal(pid, signal.SIGSTOP)
            time.sleep(self.luck.uniform(*FROZEN_S))
            for pid in family:
                _signal(pid, signal.SIGCONT)
        return True

    def recover(self, client: Any, what: str) -> None:
        """Ask every depot for a re-solve, wait until that and all from before is answered, and note how long it took."""
        begin, waiting = time.monotonic(), set(self.depots)
        asked: dict[str, int] = {}
        while time.monotonic() < begin + RECOVERED_WITHIN_S:
            waiting -= {depot for depot in waiting if _answered(client, depot, asked)}
            if not waiting:
                self.recoveries.append(time.monotonic() - begin)
                return
            time.sleep(0.02)
        self.recoveries.append(RECOVERED_WITHIN_S)
        self.slow.append(what)


def _answered(client: Any, depot: str, asked: dict[str, int]) -> bool:
    """Whether all triggers up to one that is asked for here are answered."""
    try:
        if depot not in asked:
            asked[depot] = writers.request(client, depot, "chaos", time.time())
        return not client.zcount(keys.depot_key(depot, "triggers"), "-inf", asked[depot])
    except redis.RedisError:
        return False


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _family(pid: int) -> list[int]:
    """A process and all its children."""
    found = [pid]
    for parent in found:
        try:
            found += map(int, Path(f"/proc/{parent}/task/{parent}/children").read_text().split())
        except OSError:
            continue
    return found


def run(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """A whole run; its figures."""
    os.environ |= {"LASTLEG_CHAOS_WITHOUT": arguments.without or ""}
    settings = Settings.read({"LASTLEG_STATE": str(folder), "LASTLEG_PORT": str(free_port())})
    stack = Hardened(settings, say=lambda text: None, workers=2)
    with stack:
        chaos = Chaos(stack, random.Random(arguments.seed), arguments.only)
        threading.Thread(target=chaos.watch, daemon=True).start()
        try:
            return _run(arguments, stack, chaos)
        finally:
            chaos.close()


def _run(arguments: argparse.Namespace, stack: Stack, chaos: Chaos) -> dict[str, Any]:
    client = connect(stack.settings)
    world = World(stack.url, stack.operator_key, depots=arguments.depots, drivers=arguments.drivers, rate=arguments.rate,
                  seed=arguments.seed)  # fmt: skip
    chaos.depots = world.depots
    time.sleep(2)
    until = time.monotonic() + arguments.seconds
    number = 0
    while time.monotonic() < until and sum(chaos.counts.values()) < arguments.faults:
        before = chaos.counts.copy()
        chaos.one(number)
        number += 1
        [what] = (chaos.counts - before) or ["nothing"]
        if what != "nothing" and chaos.luck.random() < 0.7:  # else the next one strikes before all is well again
            chaos.recover(client, what)
            time.sleep(chaos.luck.uniform(0.0, 0.5))
        if arguments.verbose:
            print(f"{time.monotonic() - until + arguments.seconds:6.1f} s  {what}  {chaos.recoveries[-1:]}", file=sys.stderr)
    world.quiet()
    time.sleep(1)
    chaos.recover(client, "the end")
    time.sleep(3)
    statuses, orders = _orders(stack, world)
    world.end()
    found = judge(world.heard, statuses, orders, {depot: _history(client, depot) for depot in world.depots})
    return _figures(chaos, world, found, client, arguments.verbose)


def _orders(stack: Stack, world: World) -> tuple[dict[str, str], list[dict[str, Any]]]:
    """What the API tells of all orders at the end."""
    api = Api(stack.url, stack.operator_key)
    listed: list[dict[str, Any]] = []
    for depot in world.depots:
        cursor = "0"
        while cursor:
            page = api.get(f"/v1/orders?depot_id={depot}&cursor={cursor}")
            listed += page["orders"]
            cursor = page["next_cursor"]
    return {order["id"]: _status(order) for order in listed}, listed


def _status(order: dict[str, Any]) -> str:
    aside = "set_aside" in [reason["code"] for reason in order.get("reasons", ())]
    return "set_aside" if aside else str(order["status"])


def _history(client: Any, depot: str) -> tuple[list[readers.VersionRecord], list[Event]]:
    newest = int(client.get(keys.depot_key(depot, "version")) or 0)
    records = readers.version_records(client, depot, range(1, newest + 1))
    rows = [row for _, row in readers.events(client) if row["depot"] == depot]
    events = [Event(int(row["rev"]), row["type"], json.loads(row["data"])) for row in rows]
    return records, sorted(events, key=lambda event: event.revision)


def _figures(chaos: Chaos, world: World, found: Found, client: Any, verbose: bool) -> dict[str, Any]:
    heard = world.heard
    if verbose:
        for what in (found.lost, found.doubled, found.regressed, found.stale, heard.failed, chaos.slow):
            print(list(what)[:10], file=sys.stderr)
        print(dict(chaos.counts), file=sys.stderr)
    counted = client.hgetall(keys.shared_key("metrics"))
    attempted = sum(float(value) for name, value in counted.items() if name.startswith("commits_refused "))
    times = sorted(chaos.recoveries)
    return {
        "faults": sum(chaos.counts.values()), "orders_accepted": len(heard.accepted), "orders_lost": len(found.lost),
        "orders_doubled": len(found.doubled), "versions_regressed": len(found.regressed), "stale_commits_attempted": int(attempted),
        "stale_commits_published": len(found.stale), "recovery_p50_s": round(times[len(times) // 2], 2),
        "recovery_p99_s": round(times[max(0, -(-len(times) * 99 // 100) - 1)], 2), "requests_failed_after_retry": len(heard.failed),
    }  # fmt: skip


def asked(argv: list[str] | None = None) -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seconds", type=float, default=480.0, help="at most")
    parser.add_argument("--faults", type=int, default=150, help="at most")
    parser.add_argument("--least", type=int, default=100, help="faults without which a run says nothing")
    parser.add_argument("--depots", type=int, default=4)
    parser.add_argument("--drivers", type=int, default=3, help="of each depot")
    parser.add_argument("--rate", type=float, default=4.0, help="orders per second")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--without", choices=faults.WITHOUT, help="take a safeguard out: the run must notice")
    parser.add_argument("--only", type=lambda text: text.split(","), default=[], help="faults, in turn: " + ", ".join(
        [*AT_PLACES, *AT_ANY_MOMENT]))  # fmt: skip
    parser.add_argument("--verbose", action="store_true")
    return parser.parse_args(argv)


def main() -> int:
    """Run, and tell."""
    arguments = asked()
    with tempfile.TemporaryDirectory() as folder:
        figures = run(arguments, Path(folder))
    print(json.dumps(figures))
    return int(bool(wrong(figures)) or figures["faults"] < arguments.least)


def wrong(figures: dict[str, Any]) -> list[str]:
    """What must not be, and is."""
    never = ("orders_lost", "orders_doubled", "versions_regressed", "stale_commits_published", "requests_failed_after_retry")
    return [name for name in never if figures[name]] + ["recovery_p99_s"] * (figures["recovery_p99_s"] > RECOVERED_S)


if __name__ == "__main__":
    sys.exit(main())
