"""Builders of situations: one place for all tests of solving."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from routing.eta.forecast import Learned, Travel
from routing.eta.service import Services
from routing.model import (
    Break,
    Costs,
    Depot,
    Driver,
    Limits,
    Location,
    Order,
    OrderKind,
    Place,
    Progress,
    RelationKind,
    Shift,
    Snapshot,
    StopProgress,
    StopState,
    TimeWindow,
    Trigger,
    TriggerKind,
    Turn,
    Vehicle,
)
from routing.roads.travel import UNREACHABLE, Matrix
from routing.solve.problem import Bond, Crew, Hours, Problem, Task, build, with_ends, with_locks

T0 = 1_900_000_000
HOUR = 3600
CENTRE = Location(0.0, 0.0)
CERTAIN = Learned(Services(kinds={"service": 0.0, "delivery": 0.0}, spread={"service": 1e-6, "delivery": 1e-6}, visits=1),
                  Travel(0.0, 1e-6, 1e-9))  # fmt: skip
"""What is believed where nothing is left to chance."""


def flat(places: Sequence[Place], speed: float = 10.0) -> Matrix:
    """A plane without streets: 1 degree is 1 km, at 10 m/s."""
    xy = np.array([[place.location.lat, place.location.lon] for place in places]).reshape(-1, 2)
    metres = np.hypot(*(xy[:, None] - xy[None]).transpose(2, 0, 1)) * 1000
    return Matrix(np.ceil(metres / speed).astype(np.int32), np.rint(metres).astype(np.int32))


def order(name: str, lat: float, lon: float, kind: str = "delivery", **changes: Any) -> Order:
    """An order of 1 parcel, 60 s of service and no window."""
    values: dict[str, Any] = {"demand": (0,) if kind == "service" else (1,), "service_time": 60} | changes
    return Order(f"d.{name}", "d", "t", "s", OrderKind(kind), Location(lat, lon), **values)


class Situation:
    """A depot at the centre; drivers `a`, `b` ... with vans of 10 parcels, from T0 to T0 + 8 h."""

    def __init__(self, drivers: int = 1, *, capacity: int = 10, hours: float = 8, open_end: bool = False) -> None:
        names = [chr(ord("a") + number) for number in range(drivers)]
        self.depot = Depot("d", "t", "d", "flat", CENTRE, ("parcels",))
        self.drivers = {f"d.{n}": Driver(f"d.{n}", "d", "t") for n in names}
        self.vehicles = {f"d.van-{n}": Vehicle(f"d.van-{n}", "d", "t", (capacity,)) for n in names}
        self.shifts = {f"d.day-{n}": Shift(f"d.day-{n}", "d", "t", f"d.{n}", f"d.van-{n}", T0, int(T0 + hours * HOUR), CENTRE,
                                           None if open_end else CENTRE) for n in names}  # fmt: skip
        self.orders: dict[str, Order] = {}
        self.changes: dict[str, Any] = {}

    def add(self, *orders: Order) -> Situation:
        """With these orders."""
        self.orders |= {item.id: item for item in orders}
        return self

    def on_the_road(self, name: str, sequence: list[str], *, at: int = T0, arrived: bool = False,
                    done: Sequence[str] = ()) -> Situation:  # fmt: skip
        """Driver `name` left at `at` with a route, is on the way to its first stop (or there), with goods aboard."""
        shift = f"d.day-{name}"
        trail = [StopProgress(stop, StopState.COMPLETED, at, at) for stop in done]
        if sequence:
            state = StopState.ARRIVED if arrived else StopState.EN_ROUTE
            trail.append(StopProgress(sequence[0], state, at if arrived else None))
        self.changes.setdefault("progress", {})[shift] = Progress(at, False, tuple(trail))
        self.changes.setdefault("sequences", {})[shift] = (*done, *sequence)
        goods = {stop.rpartition(".")[0]: shift for stop in sequence if stop.endswith(".delivery")}
        self.changes.setdefault("goods", {}).update(goods)
        return self

    def snapshot(self, **changes: Any) -> Snapshot:
        """The state, at revision 7 of version 3."""
        values: dict[str, Any] = {
            "depot": self.depot, "revision": 7, "version": 3, "roads": 0, "drivers": self.drivers, "vehicles": self.vehicles,
            "shifts": self.shifts, "orders": self.orders, "closed": {}, "goods": {}, "declined": {}, "absent": (),
            "positions": {}, "progress": {}, "sequences": {}, "unassigned": (), "road_events": (), "record_revisions": {},
            "triggers": (Trigger(TriggerKind.REQUESTED, "x", 7, 0.0),),
        }  # fmt: skip
        return Snapshot(**(values | self.changes | changes))

    def problem(self, *, now: int = T0, freeze: int = 0, matrix: Any = flat, **changes: Any) -> Problem:
        """The problem at `now`."""
        return build(self.snapshot(**changes), matrix, flat, now=now, freeze=freeze)


def rich_problem(seed: int, **size: int) -> Problem:
    """A live situation with every rule in it that a problem can have; each about half of the time."""
    rng = np.random.default_rng(seed)
    situation, now = random_situation(seed, **size)
    problem = situation.problem(now=now, freeze=int(rng.choice([0, 600])))
    maybe = lambda: bool(rng.random() < 0.5)  # noqa: E731  # a name for one expression
    names = [crew.driver_id for crew in problem.crews]
    setup, excluded, earliest, promised, pinned, positions, pairs, overtime, costs = (maybe() for _ in range(9))
    tasks = list(problem.tasks)
    for number, task in enumerate(tasks):
        tasks[number] = replace(
            task, setup_time=int(rng.integers(0, 300)) if setup else 0,
            excluded=frozenset(rng.choice(names, 1).tolist()) if excluded and rng.random() < 0.2 else frozenset(),
            not_before=now + int(rng.integers(-HOUR, 2 * HOUR)) if earliest and rng.random() < 0.3 else None,
            promised=now + int(rng.integers(-600, 2 * HOUR)) if promised and rng.random() < 0.4 else None,
            only=str(rng.choice(names)) if pinned and rng.random() < 0.2 else None,
            position=_position(rng) if positions and rng.random() < 0.3 else None,
            place=int(rng.choice([other.place for other in tasks])) if setup and rng.random() < 0.2 else task.place)  # fmt: skip
    if pairs:
        frozen = {number for crew in problem.crews for number in crew.frozen}
        for a in range(0, len(tasks) - 1, 4):
            b = a + 1
            if (b in frozen and a in frozen) or any(tasks[number].goods_on for number in (a, b)):
                continue
            amount = (int(rng.integers(0, 4)),)
            tasks[a] = replace(tasks[a], kind=OrderKind.COLLECTION, pair=b, demand=amount)
            tasks[b] = replace(tasks[b], kind=OrderKind.DELIVERY, pair=a, demand=amount, order_id=tasks[a].order_id, goods_on=None,
                               priority=tasks[a].priority)  # fmt: skip
    own = lambda: Costs(*(int(rng.choice(choice)) for choice in ([0, 0, 1000], [50, 100], [3600, 5400])))  # noqa: E731
    crews = [replace(crew, overtime=int(rng.integers(0, HOUR)) if overtime else 0, costs=own() if costs else Costs())
             for crew in problem.crews]  # fmt: skip
    crews = [replace(crew, setup=tasks[crew.frozen[0]].setup_time if crew.serving and maybe() else 0) for crew in crews]
    policy = replace(problem.policy, near=int(rng.choice([1, 7200])), max_moves_per_driver=1 if maybe() else None)
    crews = [replace(crew, locked=not crew.absent and bool(rng.random() < 0.15)) for crew in crews]
    if maybe():
        crews = [_limited(rng, crew) for crew in crews]
    if maybe():
        crews = [_resting(rng, crew, now) if maybe() else crew for crew in crews]
    if maybe():
        tasks = _related(rng, tasks, [crew.shift_id for crew in crews])
    if maybe():
        choices = [tuple(rng.choice(len(problem.places), 2, replace=False).tolist()) for _ in range(2)]
        crews = [replace(crew, end_places=choices[rng.integers(2)]) if crew.end_place is not None and maybe() else crew
                 for crew in crews] if len(problem.places) > 1 else crews  # fmt: skip
    if maybe():
        where = [None, *range(len(problem.places))]
        crews = [replace(crew, break_places=tuple(where[rng.integers(len(where))] for _ in crew.breaks)) for crew in crews]
    if maybe():
        tasks, crews = _reloading(rng, tasks, crews, len(problem.places))
    return with_ends(replace(problem, tasks=with_locks(tasks, crews), crews=tuple(crews), policy=policy))


def _limited(rng: np.random.Generator, crew: Crew) -> Crew:
    def some(low: int, high: int) -> int | None:
        return int(rng.integers(low, high)) if rng.random() < 0.5 else None

    limits = Limits(some(1, 8), some(5000, 40_000), some(HOUR, 5 * HOUR), some(HOUR // 6, HOUR))
    driven = (int(rng.integers(0, 10_000)), int(rng.integers(0, 1000))) if crew.departed else (0, 0)
    return replace(crew, limits=limits, driven=driven, left_at=crew.ready - int(rng.integers(0, HOUR)) if crew.departed else None)


def _resting(rng: np.random.Generator, crew: Crew, now: int) -> Crew:
    breaks, moment = [], now
    for _ in range(int(rng.integers(0, 3))):
        moment += int(rng.integers(-1800, HOUR))
        breaks.append(Break(moment, moment + int(rng.integers(0, HOUR)), int(rng.choice([600, 1800, 2700]))))
        moment = breaks[-1].latest + breaks[-1].duration
    stretch = int(rng.integers(300, HOUR)) if rng.random() < 0.5 else None
    return replace(crew, breaks=tuple(breaks), limits=replace(crew.limits, stretch=stretch, rest=int(rng.choice([300, 900]))),
                   wheel=int(rng.integers(0, 600)) if crew.departed else 0)  # fmt: skip


def _related(rng: np.random.Generator, tasks: list[Task], shifts: list[str]) -> list[Task]:
    """Some bound to others, or to what was done in a shift."""
    found, firsts = list(tasks), [number for number, task in enumerate(tasks) if not task.second]
    for number in firsts:
        if rng.random() < 0.4 and len(firsts) > 1:
            kind, other = RelationKind(rng.choice(list(RelationKind))), int(rng.choice(list({*firsts} - {number})))
            behind = kind in (RelationKind.AFTER, RelationKind.DIRECTLY_AFTER)
            pair = tasks[other].pair
            found[number] = replace(found[number], relations=(Bond(kind, pair if behind and pair is not None else other),))
        if rng.random() < 0.1:
            found[number] = replace(found[number], bound_to=str(rng.choice(shifts)))
        if rng.random() < 0.1:
            found[number] = replace(found[number], parted_from=frozenset(rng.choice(shifts, 1).tolist()))
    return found


def _reloading(rng: np.random.Generator, tasks: list[Task], crews: list[Crew], places: int) -> tuple[list[Task], list[Crew]]:
    """Some may come back to the depot; some are on their way there, or have planned to."""
    found, able = list(tasks), []
    like = next((task for task in tasks if task.pair is None), None)
    for crew in crews:
        count = int(rng.integers(0, 3)) if like is not None else 0
        numbers = tuple(range(len(found), len(found) + count))
        for number in numbers:
            assert like is not None
            found.append(replace(
                like, stop_id=f"{crew.shift_id}.{number}.reload", order_id=f"{crew.shift_id}.{number}", kind=OrderKind.SERVICE,
                place=int(rng.integers(places)), windows=(), hard=False, service_time=int(rng.integers(0, 900)),
                demand=tuple(0 for _ in like.demand), skills=frozenset(), priority=0, declined_by=frozenset(), goods_on=None,
                was_unassigned=False, setup_time=0, excluded=frozenset(), not_before=None, promised=None, only=None, position=None,
                relations=(), bound_to=None, parted_from=frozenset(), reload_of=crew.shift_id))  # fmt: skip
        crew = replace(crew, reloads=numbers, collected=tuple(int(rng.integers(0, load + 1)) for load in crew.load))
        if numbers and crew.departed and not crew.locked and rng.random() < 0.4:
            if crew.frozen and rng.random() < 0.5:
                crew = replace(crew, frozen=(*crew.frozen, numbers[0]))
            else:
                at = int(rng.integers(0, len(crew.base) + 1))
                crew = replace(crew, base=(*crew.base[:at], numbers[0], *crew.base[at:]))
        able.append(crew)
    return found, able


def _position(rng: np.random.Generator) -> Turn | int:
    positions: list[Turn | int] = [Turn.FIRST, Turn.LAST, *range(1, 6)]
    return positions[rng.integers(7)]


def with_hours(problem: Problem, seed: int) -> Problem:
    """The same on roads that are slower at some hours: three periods, the first change within half an hour."""
    rng = np.random.default_rng(seed)
    seconds = problem.matrix.seconds
    slower = [np.minimum((seconds * factor).astype(np.int32), UNREACHABLE) for factor in (1.0, *rng.uniform(0.8, 2, 2))]
    matrices = tuple(replace(problem.matrix, seconds=table) for table in slower)
    return replace(problem, hours=Hours((0, int(rng.integers(1, 1800)), 7200), problem.now - 60, matrices))


def random_situation(seed: int, *, drivers: int = 3, orders: int = 14) -> tuple[Situation, int]:
    """A live situation with everything in it: skills, windows, hard and soft, goods aboard, absences, declines."""
    rng = np.random.default_rng(seed)
    pick = lambda *values: values[rng.integers(len(values))]  # noqa: E731  # a name for one expression
    found = Situation(drivers, capacity=int(pick(3, 6, 20)), hours=float(pick(2, 8)), open_end=bool(pick(True, False)))
    now = T0 + int(pick(0, 0, 1800, 5400))
    skilled = {f"d.{name}": Driver(f"d.{name}", "d", "t", ("lift",)) for name in "a"[: int(pick(0, 1))]}
    found.drivers |= skilled
    for number in range(orders):
        opens = now + int(rng.integers(-HOUR, 3 * HOUR))
        windows = tuple(TimeWindow(opens + shift, opens + shift + HOUR) for shift in pick((), (0,), (0, 2 * HOUR)))
        lat, lon = rng.uniform(-8, 8, 2).tolist()
        item = order(f"o{number:02}", lat, lon, kind=str(pick("delivery", "delivery", "collection", "service")),
                     windows=windows, hard=bool(pick(True, False, False)), skills=tuple(pick((), (), (), ("lift",))),
                     priority=int(pick(0, 0, 50, 100)), service_time=int(pick(0, 60, 600)))  # fmt: skip
        found.add(item)
    ids = sorted(found.orders)
    for number, name in enumerate(chr(ord("a") + number) for number in range(drivers)):
        mine = ids[number * 3 : number * 3 + int(rng.integers(0, 4))]
        stops = [found.orders[key].stop_id for key in mine if "lift" not in found.orders[key].skills]
        if pick(True, False):
            found.on_the_road(name, stops, at=max(T0, now - 600), arrived=bool(pick(True, False)) and bool(stops))
        else:
            found.changes.setdefault("sequences", {})[f"d.day-{name}"] = tuple(stops)
    if pick(True, False):
        found.changes["absent"] = ("d.b",)
    if pick(True, False):
        found.changes["declined"] = {ids[-1]: ("d.a",), ids[0]: ("d.c",)}
    return found, now
