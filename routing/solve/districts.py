"""A depot too large for one search, cut into districts: neighbouring routes, with what may be added to them.

Each district is a state of its own with fewer shifts and orders, planned as any other. Put side by side again they are one
problem, whose legs are known within districts only: all that is said of a plan, and the checker's judgement, is of the whole.
Cut anew along other lines each time, districts overlap over time, so that no border stays one.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from routing.model import Progress, RelationKind, Snapshot, order_of, reloads
from routing.roads.travel import UNREACHABLE, Matrix
from routing.solve.problem import Crew, Hours, Problem, Solution, Task, bonds, in_play, of_routes, related

T = TypeVar("T")

GOLDEN = math.pi * (math.sqrt(5) - 1) / 2
"""Angle between the lines of one time and the next (radians): no direction comes again soon, and none is left out for long."""

ASIDE = 0.1
"""So far off the middle (share of the stops) lines go at most."""


@dataclass(frozen=True, slots=True)
class _Point:
    """An order in a plane (degrees of latitude), and how many stops it has."""

    order: str
    x: float
    y: float
    stops: int


def cut(snapshot: Snapshot, most: int, turn: int, *, now: int, times: int = 1) -> list[Snapshot]:
    """A state in districts of about `most` open stops, each with neighbouring routes; the state itself if it has no more.

    There are a multiple of `times` districts, for as many searchers, unless they would have less than a third of that. Stops are
    halved by a line, and the halves by lines across (k-d tree: Bentley 1975); with each `turn` these have another direction and are
    elsewhere off the middle, so that nothing lies on all of them. A route goes where most of its stops are, with all that is bound
    to it, other routes too: no rule is about two districts. Shifts that are over are in none.
    """
    stops = sum(len(order.stop_ids) for order in snapshot.orders.values())
    shifts = sorted(shift.id for shift in snapshot.shifts.values() if in_play(shift, snapshot, now))
    if stops <= most or not shifts:
        return [snapshot]
    scale = math.cos(math.radians(snapshot.depot.location.lat))
    points = [_Point(order.id, scale * place.lon, place.lat, len(order.stop_ids)) for order in snapshot.orders.values()
              for place in [order.place_of(order.stop_ids[0]).location]]  # fmt: skip
    times = min(times, max(1, 3 * stops // most))
    groups = _halved(points, times * math.ceil(stops / (times * most)), turn * GOLDEN, ASIDE * math.cos(turn))
    here = {point.order: (number, point.stops) for number, group in enumerate(groups) for point in group}
    found: list[tuple[set[str], Counter[int]]] = []
    for bound in _bound(snapshot, shifts):
        votes: Counter[int] = Counter()
        for name in sorted(bound & here.keys()):
            number, weight = here[name]
            votes[number] += weight
        found.append((bound, votes))
    manned = sorted({votes.most_common(1)[0][0] for bound, votes in found if votes and not bound.isdisjoint(shifts)}) or [0]
    districts: dict[int, set[str]] = {number: set() for number in manned}
    spare = 0
    for bound, votes in found:
        number = next((number for number, _ in votes.most_common() if number in districts), manned[spare % len(manned)])
        spare += not votes  # who has no stops can go anywhere
        districts[number] |= bound
    parts = [_part(snapshot, names, shifts) for names in districts.values()]
    return parts if len(parts) > 1 else [snapshot]


def _halved(points: Sequence[_Point], parts: int, angle: float, aside: float) -> list[list[_Point]]:
    """Points in so many groups of neighbours with about as many stops each, but for the share `aside`."""
    if parts < 2:
        return [list(points)]
    along = sorted(points, key=lambda point: (point.x * math.cos(angle) + point.y * math.sin(angle), point.order))
    sums = list(accumulate((point.stops for point in along), initial=0))
    first = parts // 2
    share = first / parts + aside
    at = min(range(len(sums)), key=lambda number: abs(sums[number] - sums[-1] * share))
    across = angle + math.pi / 2
    return _halved(along[:at], first, across, -aside / 2) + _halved(along[at:], parts - first, across, -aside / 2)


def _bound(snapshot: Snapshot, shifts: Collection[str]) -> Iterator[set[str]]:
    """Orders and shifts that something holds together, directly or over others: a route, goods, a pin, a relation."""
    mates: dict[str, set[str]] = {name: set() for name in (*shifts, *sorted(snapshot.orders))}

    def tie(one: str, other: str) -> None:
        if one != other and other:
            mates.setdefault(one, set()).add(other)
            mates.setdefault(other, set()).add(one)

    of_driver: dict[str, list[str]] = {}
    for shift in shifts:
        of_driver.setdefault(snapshot.shifts[shift].driver_id, []).append(shift)
        for stop in snapshot.sequences.get(shift, ()):
            tie(shift, order_of(stop))
        for made in snapshot.progress.get(shift, Progress()).trail:
            tie(shift, order_of(made.stop_id))
    for name, shift in snapshot.goods.items():
        if shift in shifts:
            tie(shift, name)
    for order in snapshot.orders.values():
        for shift in of_driver.get(snapshot.held.get(order.id) or order.pin.driver_id or "", ()):
            tie(shift, order.id)
    for order, relation, other in bonds(snapshot):
        if relation.kind is not RelationKind.NOT_TOGETHER:
            tie(order.id, other)
    seen: set[str] = set()
    for name in (*shifts, *sorted(snapshot.orders)):
        waiting, group = [name], set[str]()
        while waiting:
            one = waiting.pop()
            if one not in seen:
                seen.add(one)
                group.add(one)
                waiting += mates[one]
        if group:
            yield group


def _part(snapshot: Snapshot, names: Collection[str], in_play_: Collection[str]) -> Snapshot:
    """The state of some of the shifts in play and orders, with nothing that waits for an answer. What was done in others stays."""

    def of(mapping: Mapping[str, T], keys: Iterable[str]) -> dict[str, T]:
        return {key: mapping[key] for key in keys if key in mapping}

    kept, mine = sorted(snapshot.shifts.keys() & names), sorted(snapshot.orders.keys() & names)
    drivers = [snapshot.shifts[shift].driver_id for shift in kept]
    vehicles = [snapshot.shifts[shift].vehicle_id for shift in kept]
    returns = [order.id for shift in kept for order in reloads(snapshot.shifts[shift], snapshot.depot)]
    over = snapshot.progress.keys() - in_play_
    return replace(
        snapshot, shifts=of(snapshot.shifts, kept), drivers=of(snapshot.drivers, drivers), vehicles=of(snapshot.vehicles, vehicles),
        orders=of(snapshot.orders, mine), goods=of(snapshot.goods, (*mine, *snapshot.closed)),
        declined=of(snapshot.declined, mine), held=of(snapshot.held, mine), positions=of(snapshot.positions, drivers),
        progress=of(snapshot.progress, (*kept, *sorted(over))), sequences=of(snapshot.sequences, kept),
        breaks=of(snapshot.breaks, drivers), rested=of(snapshot.rested, kept),
        unassigned=tuple(order for order in snapshot.unassigned if order in names),
        record_revisions=of(snapshot.record_revisions, (*mine, *kept, *drivers, *vehicles, *returns)), triggers=(), improving=(),
    )  # fmt: skip


class Blocks:
    """A table of legs between places that stand in blocks, one behind the other: `UNREACHABLE` from one block to another."""

    def __init__(self, blocks: Sequence[NDArray[np.int32]]) -> None:
        self._blocks = blocks
        self._firsts = list(accumulate(map(len, blocks), initial=0))
        self._nowhere = np.full(blocks[0].shape[2:], UNREACHABLE, np.int32)

    def __getitem__(self, leg: tuple[int, int]) -> NDArray[np.int32]:
        """One leg."""
        a, b = leg
        block = bisect_right(self._firsts, a) - 1
        first, beyond = self._firsts[block : block + 2]
        found: NDArray[np.int32] = self._blocks[block][a - first, b - first] if first <= b < beyond else self._nowhere
        return found


def _side_by_side(matrices: Sequence[Matrix]) -> Matrix:
    tables = [cast(NDArray[np.int32], Blocks([getattr(matrix, name) for matrix in matrices])) for name in ("seconds", "metres")]
    return Matrix(tables[0], tables[1], matrices[0].roads)


class _Hours(Hours):
    """The hours of districts; one whose legs take as long at all of them has none of its own."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        any_ = next(problem.hours for problem in problems if problem.hours is not None)
        each = [problem.hours or Hours(any_.starts, any_.midnight, (problem.matrix,) * len(any_.starts)) for problem in problems]
        matrices = [_side_by_side(period) for period in zip(*(hours.matrices for hours in each), strict=True)]
        super().__init__(any_.starts, any_.midnight, tuple(matrices))
        self.__dict__["by_period"] = Blocks([hours.by_period for hours in each])


class Joined:
    """Districts side by side.

    Attributes
    ----------
    problem
        All of them as one, with crews in the order they have in the whole state, and all that binds its orders. Legs lead nowhere
        from one district to another.
    """

    def __init__(self, problems: Sequence[Problem], snapshot: Snapshot) -> None:
        self._firsts = list(accumulate((len(problem.tasks) for problem in problems), initial=0))
        places = list(accumulate((len(problem.places) for problem in problems), initial=0))
        offsets = list(zip(problems, self._firsts, places, strict=False))
        crews = [_moved_crew(crew, task, place) for problem, task, place in offsets for crew in problem.crews]
        shifts = [crew.shift_id for crew in crews]
        self._order = sorted(range(len(crews)), key=lambda number: (snapshot.shifts[shifts[number]].start, shifts[number]))
        tasks = [_moved_task(task, first, place) for problem, first, place in offsets for task in problem.tasks]
        self.problem = replace(
            problems[0], crews=tuple(crews[number] for number in self._order), tasks=related(tasks, snapshot, shifts),
            places=tuple(place for problem in problems for place in problem.places),
            matrix=_side_by_side([problem.matrix for problem in problems]),
            hours=_Hours(problems) if any(problem.hours is not None for problem in problems) else None,
        )  # fmt: skip

    def solution(self, solutions: Sequence[Solution]) -> Solution:
        """What solutions of the districts come to."""
        moved = list(zip(solutions, self._firsts, strict=False))
        routes = [tuple(first + task for task in route) for solution, first in moved for route in solution.routes]
        return Solution(tuple(routes[number] for number in self._order),
                        tuple(first + task for solution, first in moved for task in solution.unassigned))  # fmt: skip


def _moved_task(task: Task, first: int, place: int) -> Task:
    return replace(task, place=place + task.place, pair=None if task.pair is None else first + task.pair, relations=())


def _moved_crew(crew: Crew, first: int, place: int) -> Crew:
    return replace(
        crew, place=place + crew.place, end_place=None if crew.end_place is None else place + crew.end_place,
        end_places=tuple(place + end for end in crew.end_places),
        break_places=tuple(None if spot is None else place + spot for spot in crew.break_places),
        reloads=tuple(first + task for task in crew.reloads),
        frozen=tuple(first + task for task in crew.frozen), base=tuple(first + task for task in crew.base),
    )  # fmt: skip


def named(problem: Problem, solution: Solution) -> dict[str, tuple[str, ...]]:
    """Routes by shift, as ids of stops."""
    return {crew.shift_id: tuple(problem.tasks[task].stop_id for task in route)
            for crew, route in zip(problem.crews, solution.routes, strict=True)}  # fmt: skip


def understood(problem: Problem, routes: Mapping[str, Sequence[str]]) -> Solution | None:
    """A solution that somebody has named; None if it is none of this problem."""
    index = {task.stop_id: number for number, task in enumerate(problem.tasks)}
    if routes.keys() != {crew.shift_id for crew in problem.crews}:
        return None
    stops = [stop for route in routes.values() for stop in route]
    if len(set(stops)) < len(stops) or not index.keys() >= set(stops):
        return None
    found = tuple(tuple(index[stop] for stop in routes[crew.shift_id]) for crew in problem.crews)
    if any(route[: len(crew.frozen)] != crew.frozen for crew, route in zip(problem.crews, found, strict=True)):
        return None
    return of_routes(problem, found)
