"""`python -m benchmarks.eta --map FILE --days 5`: how far ETAs are off, against those of planned times and of straight lines.

A simulated fleet drives in a world that the ETA code cannot see. Roads are 1.4 times as slow in the peaks (7 to 9 and 16 to 19
o'clock) as else; service takes what it takes on average for this kind of order at this place, with a coefficient of variation of
0.5 (gamma distributed, while the code believes in lognormals); phones ping every 15 s with an error of 15 m and lose the network in
bursts, in which pings are lost and taps wait. Each evening what has happened so far is learned as `python -m workers learn` does.
After `--history` days ETAs are recorded: of each stop the first that was given with at most so many minutes to go by itself.

The peers: `planned` are the times of the morning's plan, as static planners show them; `shifted` the same, put off by the driver's
present delay; `straight` are distances as the crow flies at the fleet's own average speed, with the service times that orders say.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ingest.settings import Settings
from routing.eta import forecast
from routing.eta.matching import way
from routing.model import (
    LEARNED,
    Depot,
    Driver,
    Location,
    Order,
    OrderKind,
    Place,
    Policy,
    Position,
    Progress,
    Shift,
    Snapshot,
    StopProgress,
    StopState,
    TimeWindow,
    Vehicle,
    kind_of,
    order_of,
)
from routing.roads import maps, osm
from routing.roads.day import Day
from routing.roads.importer import import_map
from routing.roads.metric import Metrics
from routing.roads.network import Network
from routing.roads.profile import Profile
from routing.roads.snapping import Snapper
from routing.roads.traffic import Overlay
from routing.solve.plan import publishable
from routing.solve.repair import repair
from workers import learn, learned
from workers.formulation import problem_of
from workers.tracking import HORIZONS

MONDAY = 1_893_456_000 - 1_893_456_000 % 604_800 + 4 * 86_400 + 7 * 86_400
"""A Monday's midnight (UTC)."""

HOUR, DAY_S = 3600, 86_400
PEAK, VARIATION, NOISE_M = 1.4, 0.5, 15.0
PEAKS = Profile((0, 7 * HOUR, 9 * HOUR, 16 * HOUR, 19 * HOUR),
                np.repeat([[1.0], [PEAK], [1.0], [PEAK], [1.0]], len(osm.CLASSES), axis=1))  # fmt: skip
PING_S, BURST_EVERY_S, BURST_S = 15, 2400, (60, 420)
LOOK_S = 120
KINDS = {"delivery": (0.6, 120), "collection": (0.25, 180), "service": (0.15, 900)}
"""How many of all orders, and the service time that they say (s): what such orders take on average, of all places."""

REGULAR = 0.7
"""So many orders are for places that are visited often, each with its kind of order; half as many places as a day has stops."""


def main(argv: list[str] | None = None) -> int:
    """Run and print; the last line is JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.eta", description=__doc__)
    parser.add_argument("--map", required=True, help="a .map file, or anything `python -m routing.roads import` takes")
    parser.add_argument("--days", type=int, default=5)
    parser.add_argument("--history", type=int, default=3, help="days of which nothing is recorded")
    parser.add_argument("--drivers", type=int, default=32)
    parser.add_argument("--stops", type=int, default=25, help="of each driver and day")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print the JSON line only")
    arguments = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        result = run(Path(folder), arguments)
    if not arguments.json:
        print(f"{'minutes':>8} {'stops':>6} {'mae':>6} {'planned':>8} {'shifted':>8} {'straight':>9} {'P50':>6} {'P80':>6}")
        for horizon, row in result["horizons"].items():
            print(f"{horizon:>8} {row['stops']:>6} {row['mae_s']:>6} {row['mae_planned_s']:>8} {row['mae_shifted_s']:>8} "
                  f"{row['mae_straight_s']:>9} {row['p50_coverage']:>6.1%} {row['p80_coverage']:>6.1%}")  # fmt: skip
    print(json.dumps(result))
    return 0


def run(folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Days of driving, evenings of learning."""
    settings = Settings.read({"LASTLEG_STATE": str(folder)})
    network = _network(arguments.map, folder / "maps" / "city.map")
    world = World(settings, network, arguments)
    scores: dict[int, list[tuple[float, ...]]] = defaultdict(list)
    events: list[dict[str, Any]] = []
    pings: list[dict[str, Any]] = []
    for number in range(arguments.days):
        day = world.day(number)
        if number >= arguments.history:
            _record(settings, world, day, scores)
        events += [row for drive in day.drives for row in drive.events]
        pings += [row for drive in day.drives for row in drive.batches]
        _learn(settings, world, events, pings)
        if not arguments.json:
            print(f"day {number + 1}: {sum(len(drive.visits) for drive in day.drives)} stops", file=sys.stderr, flush=True)
    return {"map": Path(arguments.map).name, "days": arguments.days, "history": arguments.history, "seed": arguments.seed,
            "horizons": {str(horizon): _scored(np.array(scores[horizon])) for horizon in HORIZONS if scores[horizon]}}  # fmt: skip


def _network(source: str, path: Path) -> Network:
    path.parent.mkdir(parents=True)
    network = Network.open(Path(source)) if source.endswith(maps.SUFFIX) else import_map(source, name="city")[0]
    network.save(path)
    return Network.open(path)


def _scored(rows: NDArray[np.float64]) -> dict[str, Any]:
    arrived, p50, p80, planned, shifted, straight = rows.T
    errors = {"mae_s": p50, "mae_planned_s": planned, "mae_shifted_s": shifted, "mae_straight_s": straight}
    return {name: round(float(np.abs(arrived - told).mean()), 1) for name, told in errors.items()} | {
        "p50_coverage": round(float((arrived <= p50).mean()), 3), "p80_coverage": round(float((arrived <= p80).mean()), 3),
        "stops": len(rows)}  # fmt: skip


@dataclass
class Drive:
    """A driver's day as it was: stops in order with (arrived, left), and what the phone told when (depot s)."""

    shift_id: str
    driver_id: str
    departed: int
    visits: list[tuple[str, int, int]] = field(default_factory=list)
    told: list[tuple[float, str, str, int]] = field(default_factory=list)
    """When it was heard, what of (departed, arrived, completed), of which stop, when it happened."""
    seen: list[tuple[int, Location]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    batches: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class WorldDay:
    """Orders, their plan, and what came of it."""

    start: int
    orders: dict[str, Order]
    shifts: dict[str, Shift]
    sequences: dict[str, tuple[str, ...]]
    planned: dict[str, int]
    drives: list[Drive] = field(default_factory=list)


class World:
    """A city with regular places, a fleet, and roads and service times of its own."""

    def __init__(self, settings: Settings, network: Network, arguments: argparse.Namespace) -> None:
        self.settings, self.network, self.arguments = settings, network, arguments
        self.rng = np.random.default_rng(arguments.seed)
        self.snapper = Snapper(network)
        self.truth = Day(network, Overlay.free_flow(network), PEAKS, Metrics(settings.state / "truth").of)
        self.prior = Day(network, Overlay.free_flow(network), maps.speeds(learned.UNTIL_THEN, settings.maps),
                         Metrics(settings.state / "prior").of)  # fmt: skip
        centre = self._near(network.lat.mean(), network.lon.mean())
        reach = np.argsort(np.hypot(network.lat - centre.lat, (network.lon - centre.lon) * 0.75))
        self.nodes = reach[: min(len(reach), 20_000)]
        self.depot = Depot("d", "t", "d", "city", centre, ("parcels",), policy=Policy(), speeds=LEARNED)
        self.stops = arguments.drivers * arguments.stops
        self.regular = [(self._somewhere(), self._kind()) for _ in range(self.stops // 2)]
        self.factors: dict[str, float] = {}
        self.drivers = {f"d.{number}": Driver(f"d.{number}", "d", "t") for number in range(arguments.drivers)}
        self.vehicles = {f"d.v{number}": Vehicle(f"d.v{number}", "d", "t", (1000,)) for number in range(arguments.drivers)}

    def _near(self, lat: float, lon: float) -> Location:
        node = int(np.argmin((self.network.lat - lat) ** 2 + (self.network.lon - lon) ** 2))
        return Location(float(self.network.lat[node]), float(self.network.lon[node]))

    def _somewhere(self) -> Location:
        node = int(self.rng.choice(self.nodes))
        aside = self.rng.normal(0, 1e-4, 2)
        return Location(round(float(self.network.lat[node] + aside[0]), 6), round(float(self.network.lon[node] + aside[1]), 6))

    def _kind(self) -> str:
        return str(self.rng.choice(list(KINDS), p=[share for share, _ in KINDS.values()]))

    def day(self, number: int) -> WorldDay:
        """Orders, the morning's plan with the speeds and service times that are told, and the day as it goes."""
        start = MONDAY + number * DAY_S
        orders = {}
        for index in range(self.stops):
            often = self.rng.random() < REGULAR
            place, kind = self.regular[self.rng.integers(len(self.regular))] if often else (self._somewhere(), self._kind())
            opens = start + int(self.rng.integers(7, 15)) * HOUR
            windows = (TimeWindow(opens, opens + 2 * HOUR),) if self.rng.random() < 0.25 else ()
            order_id = f"d.o{number}-{index}"
            orders[order_id] = Order(order_id, "d", "t", "s", OrderKind(kind), place, windows, service_time=KINDS[kind][1],
                                     demand=(0 if kind == "service" else 1,))  # fmt: skip
        shifts = {f"d.s{number}-{index}": Shift(f"d.s{number}-{index}", "d", "t", f"d.{index}", f"d.v{index}", start + 7 * HOUR,
                                                start + 17 * HOUR, self.depot.location, self.depot.location)
                  for index in range(len(self.drivers))}  # fmt: skip
        day = WorldDay(start, orders, shifts, {}, {})
        told = replace(self.depot, speeds=learned.UNTIL_THEN, policy=Policy(learned_service=False))
        static = replace(self.snapshot(day, start + 6 * HOUR), depot=told)
        problem, _ = problem_of(self.settings, static, at=start + 6 * HOUR)
        # no search by the clock: the same seed is the same city, days and routes
        plan = publishable(problem, repair(problem), progress={}, engine="repair")
        for route in plan.routes:
            day.sequences[route.shift_id] = route.sequence
            day.planned |= {stop.stop_id: stop.arrive for stop in route.stops}
        day.drives = [self._drive(day, route.shift_id, route.driver_id) for route in plan.routes]
        return day

    def _takes(self, order: Order) -> float:
        """How long service takes this time."""
        key = f"{order.kind}{order.location}"
        if key not in self.factors:
            self.factors[key] = float(self.rng.lognormal(-0.08, 0.4))
        mean = order.service_time * self.factors[key]
        return float(self.rng.gamma(1 / VARIATION**2, mean * VARIATION**2))

    def _drive(self, day: WorldDay, shift_id: str, driver: str) -> Drive:
        departed = day.start + 7 * HOUR + int(self.rng.integers(0, 600))
        drive = Drive(shift_id, driver, departed)
        bursts = self._bursts(day.start)
        here, time = Place(self.depot.location), float(departed)
        drive.told.append((_heard(bursts, time), "departed", "", departed))
        for stop in day.sequences[shift_id]:
            order = day.orders[order_of(stop)]
            there = Place(order.location)
            arrived = self._travel(drive, bursts, here, there, time)
            opens = next((window.start for window in order.windows if arrived <= window.end), 0)
            left = max(arrived, opens) + self._takes(order)
            drive.seen += [(int(at), self._noisy(order.location)) for at in np.arange(arrived, left, PING_S) if not _in(bursts, at)]
            drive.visits.append((stop, round(arrived), round(left)))
            for kind, at in (("arrived", round(arrived)), ("completed", round(left))):
                drive.told.append((_heard(bursts, at), kind, stop, at))
                drive.events.append(_event(driver, stop, kind, at, order, opens))
            here, time = there, left
        for first in range(0, len(drive.seen), 100):
            drive.batches.append(_batch(driver, drive.seen[first : first + 100]))
        return drive

    def _travel(self, drive: Drive, bursts: list[tuple[float, float]], here: Place, there: Place, time: float) -> float:
        """Drive, with pings on the way; when it arrives."""
        a, b = self.snapper.nearest([here, there])
        leg = self.truth.leg(a, b, time % DAY_S)
        if leg is None:
            return time + 600
        line = way(self.network, self.truth.at(time % DAY_S).metric, leg)
        whole = max(1e-6, float(line.seconds[-1]))
        for at in np.arange(time, time + leg.seconds, PING_S):
            share = (at - time) / leg.seconds * whole
            x, y = (float(np.interp(share, line.seconds, column)) for column in (line.x, line.y))
            if not _in(bursts, at):
                drive.seen.append((int(at), self._noisy(Location(y / self.network.grid.y_scale, x / self.network.grid.x_scale))))
        return time + leg.seconds

    def _noisy(self, place: Location) -> Location:
        grid = self.network.grid
        north, east = self.rng.normal(0, NOISE_M, 2)
        return Location(place.lat + north / grid.y_scale, place.lon + east / grid.x_scale)

    def _bursts(self, start: int) -> list[tuple[float, float]]:
        found, at = [], float(start + 7 * HOUR)
        while at < start + 20 * HOUR:
            at += float(self.rng.exponential(BURST_EVERY_S))
            length = float(self.rng.uniform(*BURST_S))
            found.append((at, at + length))
            at += length
        return found

    def snapshot(self, day: WorldDay, now: int) -> Snapshot:
        """What the service knows at a time."""
        progress, positions, closed = {}, {}, {}
        for drive in day.drives:
            heard = [row[1:] for row in drive.told if row[0] <= now]
            if not heard:
                continue
            times = {(kind, stop): at for kind, stop, at in heard}
            trail = []
            for stop, *_ in drive.visits:
                arrived, left = times.get(("arrived", stop)), times.get(("completed", stop))
                if arrived is None:
                    trail.append(StopProgress(stop, StopState.EN_ROUTE))
                    break
                trail.append(StopProgress(stop, StopState.COMPLETED if left else StopState.ARRIVED, arrived, left))
                if left is None:
                    break
                closed[order_of(stop)] = day.orders[order_of(stop)]
            progress[drive.shift_id] = Progress(drive.departed, False, tuple(trail))
            before = int(np.searchsorted([at for at, _ in drive.seen], now, side="right"))
            if before:
                positions[drive.driver_id] = Position(drive.seen[before - 1][1], drive.seen[before - 1][0])
        goods = {order: shift for shift, stops in day.sequences.items() if shift in progress
                 for order in (order_of(stop) for stop in stops if stop.endswith("delivery")) if order not in closed}
        return Snapshot(
            depot=self.depot, revision=1, version=1, roads=0, drivers=self.drivers, vehicles=self.vehicles, shifts=day.shifts,
            orders={key: order for key, order in day.orders.items() if key not in closed}, closed=closed, goods=goods, declined={},
            absent=(), positions=positions, progress=progress, sequences=day.sequences, unassigned=(), road_events=(),
            record_revisions={}, triggers=())  # fmt: skip


def _in(bursts: list[tuple[float, float]], at: float) -> bool:
    return any(first <= at < last for first, last in bursts)


def _heard(bursts: list[tuple[float, float]], at: float) -> float:
    return next((last for first, last in bursts if first <= at < last), at)


def _event(driver: str, stop: str, kind: str, at: int, order: Order, opens: int) -> dict[str, Any]:
    """As the archive has it."""
    told = {"stop_id": stop, "driver_id": driver, "at": at,
            "stop": {"kind": kind_of(stop), "lat": order.location.lat, "lon": order.location.lon,
                     "service_time": order.service_time, "opens": opens}}  # fmt: skip
    return {"depot": "d", "type": f"stop.{kind}", "data": json.dumps(told)}


def _batch(driver: str, seen: Sequence[tuple[int, Location]]) -> dict[str, Any]:
    rows = [{"location": {"lat": place.lat, "lon": place.lon}, "at": at, "seq": at} for at, place in seen]
    return {"depot": "d", "driver": driver, "pings": json.dumps(rows)}


def _learn(settings: Settings, world: World, events: list[dict[str, Any]], pings: list[dict[str, Any]]) -> None:
    """An evening's `python -m workers learn`."""
    done, seen = learn.visits(pl.DataFrame(events)), learn.positions(pl.DataFrame(pings))
    found, drives = learn.learn(world.depot, world.prior, done, seen)
    known = learn.learned_speeds(drives, world.prior.profile)
    learn.save(learned.folder(settings) / "maps", "city", known)
    learn.save(learned.folder(settings) / "depots", "d", learn.learned_of(found, drives, known))


def _record(settings: Settings, world: World, day: WorldDay, scores: dict[int, list[tuple[float, ...]]]) -> None:
    """Look ahead all day, and hold each stop's ETAs against its arrival."""
    arrived = {stop: at for drive in day.drives for stop, at, _ in drive.visits}
    speed = _crow_speed(world, day)
    told: set[tuple[int, str]] = set()
    beliefs = learned.of(settings, "d")
    last = max(arrived.values())
    for now in range(day.start + 7 * HOUR, last, LOOK_S):
        snapshot = world.snapshot(day, now)
        problem, _ = problem_of(settings, snapshot, at=now)
        for crew in problem.crews:
            if not crew.frozen and not crew.base:
                continue
            seen = snapshot.positions.get(crew.driver_id)
            found = forecast.forecast(problem, forecast.since_seen(problem, crew, seen), beliefs, stated=learned.stated(snapshot))
            straight = dict(_straight(world, snapshot, found, now, speed))
            late = _delay(snapshot, found, day, now)
            for stop in found.stops:
                for horizon in HORIZONS:
                    due = stop.p50 - now <= horizon * 60 and (horizon, stop.stop_id) not in told
                    if due and arrived[stop.stop_id] > now:
                        told.add((horizon, stop.stop_id))
                        planned = day.planned[stop.stop_id]
                        if stop.p50 - now > horizon * 60 - 2 * LOOK_S - 120:  # else it never was that far ahead
                            scores[horizon].append((arrived[stop.stop_id], stop.p50, stop.p80, planned, max(now, planned + late),
                                                    straight[stop.stop_id]))  # fmt: skip


def _delay(snapshot: Snapshot, found: forecast.Forecast, day: WorldDay, now: int) -> int:
    """By how much a driver is behind the morning's plan, as far as is known."""
    trail = snapshot.progress[found.shift_id].trail if found.shift_id in snapshot.progress else ()
    known = [stop.arrived - day.planned[stop.stop_id] for stop in trail if stop.arrived is not None]
    return known[-1] if known else 0


def _crow(a: Location, b: Location) -> float:
    return float(np.hypot((a.lat - b.lat) * 111_195, (a.lon - b.lon) * 111_195 * np.cos(np.radians(a.lat))))


def _crow_speed(world: World, day: WorldDay) -> float:
    """Metres a second as the crow flies, on average over a day: better than a straight-line planner could know."""
    metres = seconds = 0.0
    for drive in day.drives:
        for (a, _, left), (b, arrived, _) in zip(drive.visits, drive.visits[1:], strict=False):
            ends = [day.orders[order_of(stop)].location for stop in (a, b)]
            metres, seconds = metres + _crow(*ends), seconds + arrived - left
    return metres / seconds


def _straight(world: World, snapshot: Snapshot, found: forecast.Forecast, now: int, speed: float) -> Iterator[tuple[str, float]]:
    """Straight lines from where a driver was seen last."""
    progress = snapshot.progress.get(found.shift_id, Progress())
    seen = snapshot.positions.get(found.driver_id)
    here, time = (seen.location, float(seen.at)) if seen else (world.depot.location, float(snapshot.shifts[found.shift_id].start))
    serving = progress.trail[-1] if progress.trail and progress.trail[-1].state is StopState.ARRIVED else None
    if serving is not None:
        time = float(serving.arrived or now)
    elif progress.departed_at is None:
        time = max(time, now)
    for stop in found.stops:
        order = snapshot.orders[order_of(stop.stop_id)]
        there = serving is not None and stop.stop_id == serving.stop_id
        arrive = float(time if there else max(now, time + _crow(here, order.location) / speed))
        yield stop.stop_id, arrive
        opens = next((window.start for window in order.windows if arrive <= window.end), 0)
        here, time = order.location, max(max(arrive, opens) + order.service_time, now)


if __name__ == "__main__":
    sys.exit(main())
