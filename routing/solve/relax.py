"""What would let an order be served: of each rule the least that would have to give way, found by trying and held to by inserting.

One rule gives way at a time. Where no single one would do, nothing is told: then several stand in the way of everybody.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import Any

import numpy as np

from routing.model import Limits, ReasonCode, TimeWindow
from routing.solve import kernel
from routing.solve.arrays import Arrays
from routing.solve.evaluation import closed, drivable, evaluate, parts
from routing.solve.explain import shortfalls
from routing.solve.problem import Crew, Problem, Solution
from routing.solve.repair import begin, inserted, insertions
from routing.solve.rules import hold_together
from routing.solve.rules.changes import Held, changed, held
from routing.solve.stopping import Stop, never
from routing.solve.tour import walk

NEAREST = 8
"""So many crews are asked to give way: those that the order comes nearest to fitting."""

MOVED = "moved"
"""In place of a rule's code: another stop goes elsewhere."""

MINUTE = 60
DAY = 86_400

LIMITS = {ReasonCode.MAX_STOPS: "stops", ReasonCode.MAX_DISTANCE: "distance", ReasonCode.MAX_DURATION: "duration",
          ReasonCode.MAX_DRIVING: "driving"}  # fmt: skip

@dataclass(frozen=True, slots=True)
class Relaxation:
    """A rule that gives way (`code`, or `moved`), for whom, by how much, and what the plan costs more then (s of driving).

    The price of leaving the order out is not counted. `skills` are those that would be waived; `stop_id` is the stop that would
    move, to `to_driver_id`.
    """

    code: str
    driver_id: str
    cost: int
    amount: int | None = None
    unit: str | None = None
    skills: tuple[str, ...] = ()
    stop_id: str | None = None
    to_driver_id: str | None = None


@dataclass(frozen=True, slots=True)
class Relaxed:
    """A relaxation, and what shows that it is one: the problem with that much less of a rule, and a plan that serves the order."""

    relaxation: Relaxation
    problem: Problem
    solution: Solution


@dataclass(frozen=True, slots=True)
class _Given:
    """By how much a rule gives way, and the problem with just that."""

    problem: Problem
    amount: int | None = None
    unit: str | None = None
    skills: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """What makes one of a kind smaller than another."""
        return len(self.skills) if self.amount is None else self.amount


def relaxations(problem: Problem, solution: Solution, task: int, *, stop: Stop = never) -> list[Relaxed]:
    """The least relaxation of each kind, the cheapest first, for a task in no route (of a pair, its pickup).

    Nothing where it could be served as all is. `stop` ends the search with what has been found.
    """
    if not problem.crews:
        return []
    arrays = Arrays(problem, neighbours=False)
    begin(arrays, solution)
    mine, least = held(problem), dict[str, tuple[int, int, Relaxed]]()
    for v in _nearest(arrays, task):
        for option in _of_crew(problem, solution, task, v, mine, stop):
            if option is None:
                return []
            size, found = option
            told = found.relaxation
            if told.code not in least or (size, told.cost) < least[told.code][:2]:
                least[told.code] = (size, told.cost, found)
    moved = _moved(arrays, solution, task, stop)
    return sorted([*(found for *_, found in least.values()), *([moved] if moved else [])], key=lambda found: found.relaxation.cost)


def _nearest(arrays: Arrays, task: int) -> list[int]:
    """The crews that come nearest to taking a task, without those who may not and could not be let."""
    problem, least = arrays.problem, shortfalls(arrays, task)[:, 0].tolist()
    may = [v for v, crew in enumerate(problem.crews) if _bars(problem, crew, task) <= {ReasonCode.SKILL}]
    return sorted(may, key=lambda v: least[v])[:NEAREST]


def _halves(problem: Problem, task: int) -> tuple[int, ...]:
    """A task, and the other half of a pair."""
    pair = problem.tasks[task].pair
    return (task,) if pair is None else (task, pair)


def _bars(problem: Problem, crew: Crew, task: int) -> set[ReasonCode]:
    """What keeps a crew from a task, whatever its route."""
    return {bar for half in _halves(problem, task) if (bar := closed(problem, crew, half)) is not None}


def _of_crew(problem: Problem, solution: Solution, task: int, v: int, mine: dict[int, Held],
             stop: Stop) -> Iterator[tuple[int, Relaxed] | None]:  # fmt: skip
    """The least relaxation of each kind for one crew, with its size; None if it can take the task as all is."""
    crew, route = problem.crews[v], solution.routes[v]

    def price(problem: Problem, route: Sequence[int]) -> int:
        return evaluate(problem, problem.crews[v], route).cost + changed(problem, mine, v, route).price

    taken = [*solution.routes[:v], (*route, *_halves(problem, task)), *solution.routes[v + 1 :]]
    if not hold_together(problem, taken, mine):
        return
    before = price(problem, route)
    if not _bars(problem, crew, task) and next(insertions(problem, mine, v, route, task, stop=stop), None) is not None:
        yield None
        return
    for code, waived, half in _waivers(problem, v, task):
        if _bars(waived, waived.crews[v], task):
            continue
        ways = ((way, _least(problem, v, code, half, way)) for _, way in insertions(waived, mine, v, route, task, stop=stop))
        options = ((given.size, price(given.problem, way) - before, way, given) for way, given in ways if given is not None)
        best = min(options, key=lambda option: option[:2], default=None)
        if best is not None:
            size, cost, way, given = best
            routes = (*solution.routes[:v], tuple(way), *solution.routes[v + 1 :])
            plan = Solution(routes, tuple(other for other in solution.unassigned if other not in way))
            told = Relaxation(code, crew.driver_id, cost, given.amount, given.unit, given.skills)
            yield size, Relaxed(told, given.problem, plan)


def _waivers(problem: Problem, v: int, task: int) -> Iterator[tuple[ReasonCode, Problem, int]]:
    """For each rule that might stand in the way, the problem without it, and the half of a pair that it concerns."""
    crew, halves = problem.crews[v], _halves(problem, task)
    for half in halves:
        if problem.tasks[half].hard and problem.tasks[half].windows:
            yield ReasonCode.TIME_WINDOW, with_task(problem, half, windows=()), half
    if any(problem.tasks[task].demand):
        yield ReasonCode.CAPACITY, with_crew(problem, v, capacity=tuple(amount + 10**9 for amount in crew.capacity)), task
    yield ReasonCode.SHIFT_END, with_crew(problem, v, overtime=crew.overtime + DAY), task
    for code, name in LIMITS.items():
        if getattr(crew.limits, name) is not None:
            yield code, with_crew(problem, v, limits=_limit(crew, name, None)), task
    if lacking := _lacking(problem, crew, task):
        yield ReasonCode.SKILL, with_crew(problem, v, skills=crew.skills | lacking), task


def _lacking(problem: Problem, crew: Crew, task: int) -> frozenset[str]:
    return frozenset().union(*(problem.tasks[half].skills for half in _halves(problem, task))) - crew.skills


def _least(problem: Problem, v: int, code: ReasonCode, half: int, way: Sequence[int]) -> _Given | None:
    """How much a rule has to give way for a route; None if that is not enough."""
    crew = problem.crews[v]
    if code is ReasonCode.SKILL:
        lacking = _lacking(problem, crew, half)
        return _Given(with_crew(problem, v, skills=crew.skills | lacking), skills=tuple(sorted(lacking)))
    if code is ReasonCode.TIME_WINDOW:
        return _wider(problem, v, half, way)
    amount, unit, exact = 0, "", problem
    while (breach := evaluate(exact, exact.crews[v], way).breach) is not None:
        if breach.code is not code or unit not in ("", breach.unit):  # two dimensions are two relaxations
            return None
        step = MINUTE * ceil(breach.shortfall / MINUTE) if breach.unit == "seconds" else breach.shortfall
        if step <= 0:
            return None
        amount, unit = amount + step, breach.unit
        exact = _given(problem, v, code, amount, unit)
    return _Given(exact, amount, unit)


def _given(problem: Problem, v: int, code: ReasonCode, amount: int, unit: str) -> Problem:
    crew = problem.crews[v]
    if code is ReasonCode.CAPACITY:
        room = tuple(most + amount * (name == unit) for most, name in zip(crew.capacity, problem.dimensions, strict=True))
        return with_crew(problem, v, capacity=room)
    if code is ReasonCode.SHIFT_END:
        return with_crew(problem, v, overtime=crew.overtime + amount)
    name = LIMITS[code]
    return with_crew(problem, v, limits=_limit(crew, name, getattr(crew.limits, name) + amount))


def _wider(problem: Problem, v: int, half: int, way: Sequence[int]) -> _Given | None:
    """By how many seconds the nearest window would have to begin earlier or end later, in whole minutes."""
    task = problem.tasks[half]
    free = with_task(problem, half, windows=())
    soonest = next(visit.begin for visit in walk(free, problem.crews[v], way) if visit.task == half)
    options: list[tuple[int, Problem]] = []
    for number, window in enumerate(task.windows):
        late = MINUTE * ceil((soonest - window.end) / MINUTE)
        if late > 0:
            options.append((late, _with_window(problem, half, number, TimeWindow(window.start, window.end + late))))
        elif soonest < window.start:  # it has to begin before that, but no sooner than the rest of the route asks for
            low, high = 1, ceil((window.start - soonest) / MINUTE)
            while low < high:
                middle = (low + high) // 2
                wider = _with_window(problem, half, number, TimeWindow(window.start - MINUTE * middle, window.end))
                if evaluate(wider, wider.crews[v], way).breach is None:
                    high = middle
                else:
                    low = middle + 1
            options.append((MINUTE * low, _with_window(problem, half, number, TimeWindow(window.start - MINUTE * low, window.end))))
    good = [option for option in options if evaluate(option[1], option[1].crews[v], way).breach is None]
    if not good:
        return None
    amount, exact = min(good, key=lambda option: option[0])
    return _Given(exact, amount, "seconds")


def _with_window(problem: Problem, task: int, number: int, window: TimeWindow) -> Problem:
    """With another window in place of one; windows that come to overlap are one."""
    windows = list(problem.tasks[task].windows)
    windows[number] = window
    joined: list[TimeWindow] = []
    for one in sorted(windows, key=lambda one: one.start):
        if joined and one.start <= joined[-1].end:
            joined[-1] = TimeWindow(joined[-1].start, max(joined[-1].end, one.end))
        else:
            joined.append(one)
    return with_task(problem, task, windows=tuple(joined))


def _moved(arrays: Arrays, solution: Solution, task: int, stop: Stop) -> Relaxed | None:
    """The cheapest way to serve a task by putting one other stop elsewhere, which the search has not come upon."""
    problem, before = arrays.problem, _price(arrays.problem, solution)
    best: Relaxed | None = None
    for v in _nearest(arrays, task):
        crew = problem.crews[v]
        for other in solution.routes[v][len(crew.frozen) :]:
            if stop():
                return best
            if problem.tasks[other].pair is not None or _bars(problem, crew, task):
                continue
            routes = [[one for one in route if one != other] for route in solution.routes]
            if not (_cheapest(arrays, routes, task, [v]) and _cheapest(arrays, routes, other, range(len(routes)))):
                continue
            plan = Solution(tuple(map(tuple, routes)), tuple(one for one in solution.unassigned if one not in routes[v]))
            cost = _price(problem, plan) - before
            if drivable(problem, plan) and (best is None or cost < best.relaxation.cost):
                to = next(w for w, route in enumerate(plan.routes) if other in route)
                told = Relaxation(MOVED, crew.driver_id, cost, stop_id=problem.tasks[other].stop_id,
                                  to_driver_id=problem.crews[to].driver_id)  # fmt: skip
                best = Relaxed(told, problem, plan)
    return best


def _cheapest(arrays: Arrays, routes: list[list[int]], task: int, crews: Sequence[int]) -> bool:
    """Put a task into the cheapest of some routes, by the kernel; whether there was one."""
    begin(arrays, Solution(tuple(map(tuple, routes)), ()))
    offers = np.empty((1, len(routes), 4), np.int64)
    u = arrays.number[task]
    kernel.offers(arrays.constants, arrays.live, u, arrays.live.node[[u], kernel.OPEN : kernel.CLOSE + 1].astype(np.int64), offers)
    v = min(crews, key=lambda v: int(offers[0, v, 0]))
    if offers[0, v, 0] >= kernel.NO:
        return False
    routes[v] = inserted(arrays, routes[v], task, *offers[0, v, 2:].tolist())
    return True


def _price(problem: Problem, solution: Solution) -> int:
    costs = parts(problem, solution)
    return sum(costs.values()) - costs["unassigned"]


def with_task(problem: Problem, number: int, **changes: Any) -> Problem:
    """The problem with one task changed."""
    tasks = list(problem.tasks)
    tasks[number] = replace(tasks[number], **changes)
    return replace(problem, tasks=tuple(tasks))


def with_crew(problem: Problem, number: int, **changes: Any) -> Problem:
    """The problem with one crew changed."""
    crews = list(problem.crews)
    crews[number] = replace(crews[number], **changes)
    return replace(problem, crews=tuple(crews))


def _limit(crew: Crew, name: str, most: int | None) -> Limits:
    changes: dict[str, Any] = {name: most}
    return replace(crew.limits, **changes)

