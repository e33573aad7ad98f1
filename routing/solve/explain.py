"""Why an order is not in any route: for each driver the rule that stands in the way and by how much."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from routing.model import Flag, Reason, ReasonCode, Unassigned
from routing.roads.travel import UNREACHABLE
from routing.solve import kernel
from routing.solve.arrays import Arrays
from routing.solve.evaluation import barred, closed, evaluate
from routing.solve.problem import Problem, Solution, one_each
from routing.solve.repair import begin
from routing.solve.rules import BREACHES
from routing.solve.rules.relations import kept
from routing.solve.tour import Breach, ends_at, tour

MANY = 25
"""So many drivers are named for an order at most: those who come nearest to taking it."""

ALONE = frozenset({ReasonCode.OUTPRIORITISED, ReasonCode.SOLVER_TIMEOUT, ReasonCode.DISRUPTION_BUDGET})
"""Reasons of a driver who could serve the order, were there no others."""

LOADED = frozenset({ReasonCode.DEPARTED, ReasonCode.CAPACITY})
"""Reasons that coming back to the depot may do away with."""

WALKED = 40_000
"""So many stops are walked past at most to measure what is missing: of many orders, or in long routes, fewer drivers each. Where
that is not enough for one each, the shortfalls of the last orders are not told."""


def explain(problem: Problem, solution: Solution) -> tuple[Unassigned, ...]:
    """Reasons for each order that is in no route: one per driver, nearest to fitting first, or `no_vehicle` if there is none."""
    first = sorted(one_each(problem, set(solution.unassigned)))
    if not problem.crews:
        return tuple(Unassigned(problem.tasks[task].order_id, (Reason(ReasonCode.NO_VEHICLE),)) for task in first)
    if not first:
        return ()
    arrays = Arrays(problem, neighbours=False)
    begin(arrays, solution)
    length = 1 + sum(map(len, solution.routes)) // len(solution.routes)
    many = min(MANY, max(1, WALKED // (length * len(first))))
    measured = first[: WALKED // (length * many)]
    return tuple(Unassigned(problem.tasks[task].order_id, _reasons(arrays, solution, task, many, measured=number < len(measured)))
                 for number, task in enumerate(first))  # fmt: skip


def explain_one(problem: Problem, solution: Solution, task: int) -> tuple[Reason, ...]:
    """Reasons why a task that is in no route is in none, one for every driver, nearest to fitting first."""
    if not problem.crews:
        return (Reason(ReasonCode.NO_VEHICLE),)
    arrays = Arrays(problem, neighbours=False)
    begin(arrays, solution)
    return _reasons(arrays, solution, task, len(problem.crews), measured=True)


def flags(problem: Problem, solution: Solution) -> tuple[Flag, ...]:
    """The rules that frozen stops break, once for each rule and route: only what nobody can change breaks any."""
    found = []
    for crew, route in zip(problem.crews, solution.routes, strict=True):
        if not crew.frozen:
            continue
        prefix, whole = (replace(tour(problem, crew, stops), crew=replace(crew, frozen=()), ends_by=ends_at(crew)[0])
                         for stops in (crew.frozen, route))  # fmt: skip
        breaches = [breach for rule in BREACHES if (breach := rule(prefix)) and rule(whole)]  # a pickup's delivery may follow
        wrong = [(breach.position, _as_reason(breach, breach.code, crew.driver_id)) for breach in breaches]
        bars = [barred(crew, problem.tasks[task]) for task in crew.frozen]
        wrong += [(position, Reason(bar, crew.driver_id)) for position, bar in enumerate(bars) if bar]
        found += [Flag(problem.tasks[route[position]].stop_id, reason) for position, reason in wrong]
    return tuple(found)


def _reasons(arrays: Arrays, solution: Solution, task: int, many: int, *, measured: bool) -> tuple[Reason, ...]:
    problem, u = arrays.problem, arrays.number[task]
    least, bars = shortfalls(arrays, task), [closed(problem, crew, task) for crew in problem.crews]
    order = sorted(range(len(problem.crews)), key=lambda v: (bars[v] is not None, least[v, 0]))
    cut_off = _cut_off(problem, task)
    reasons = []
    for v in order[:many]:
        crew, bar = problem.crews[v], bars[v]
        if bar is None and cut_off:
            bar = ReasonCode.CLOSED_ROAD
        if bar is None and not kept(problem, [*solution.routes[:v], (*solution.routes[v], task), *solution.routes[v + 1 :]]):
            bar = ReasonCode.RELATION
        if bar is not None:
            reasons.append(Reason(bar, crew.driver_id))
            continue
        after = int(least[v, 1])
        route = solution.routes[v]
        position = route.index(arrays.tasks[after]) + 1 if after < arrays.constants.n else len(crew.frozen)
        reasons.append(_reason(problem, solution, v, task, position if measured else None))
        if reasons[-1].code is ReasonCode.SOLVER_TIMEOUT and not kernel.allowed(arrays.constants, arrays.live, u, v):
            reasons[-1] = Reason(ReasonCode.DISRUPTION_BUDGET, crew.driver_id)
    return tuple(reasons)


def shortfalls(arrays: Arrays, task: int) -> NDArray[np.int64]:
    """(V, 2): by how much a task does not fit into each crew's route as the kernel has it, and after which of its nodes."""
    least = np.empty((len(arrays.problem.crews), 2), np.int64)
    kernel.shortfalls(arrays.constants, arrays.live, arrays.number[task], least)
    return least


def _reason(problem: Problem, solution: Solution, v: int, task: int, position: int | None) -> Reason:
    """Why a crew does not take a task, at a position of its route; None tells only whether it could if it had no other."""
    crew, route, left = problem.crews[v], solution.routes[v], set(solution.unassigned)
    pair = problem.tasks[task].pair
    wanted = [task, pair] if pair in left else [task]
    alone = _breach(problem, v, [*crew.frozen, *wanted])
    spare = crew.spare(crew.frozen)
    if alone is not None and alone.code in LOADED and spare is not None:
        alone = _breach(problem, v, [*crew.frozen, spare, *wanted])
    if alone is not None:
        return _as_reason(alone, alone.code, crew.driver_id)
    if position is None:
        return Reason(ReasonCode.OUTPRIORITISED, crew.driver_id)
    crowded, spare = _breach(problem, v, [*route[:position], *wanted, *route[position:]]), crew.spare(route)
    if crowded is not None and crowded.code in LOADED and spare is not None:
        crowded = _breach(problem, v, [*route, spare, *wanted])
    if crowded is None:  # it would fit: the engine ran out of time
        return Reason(ReasonCode.SOLVER_TIMEOUT, crew.driver_id)
    return _as_reason(crowded, crowded.code if crowded.code is ReasonCode.RELATION else ReasonCode.OUTPRIORITISED, crew.driver_id)


def _breach(problem: Problem, v: int, route: Sequence[int]) -> Breach | None:
    return evaluate(problem, problem.crews[v], route).breach


def _as_reason(breach: Breach, code: ReasonCode, driver: str) -> Reason:
    return Reason(code, driver, breach.shortfall or None, breach.unit or None)


def _cut_off(problem: Problem, task: int) -> bool:
    """Whether no crew can get there at all (its street is closed or cut off)."""
    place = problem.tasks[task].place
    return all(problem.matrix.seconds[crew.place, place] >= UNREACHABLE for crew in problem.crews)
