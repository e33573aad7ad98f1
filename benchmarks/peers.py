"""Engines side by side: ours, and the solvers people would otherwise use, each at the best settings we know.

All get the same CPU seconds on one core, building their model included. PyVRP runs with a late-acceptance history of 10,
about twice as close as with its default. OR-Tools searches by guided local search in one go, from our repaired plan, which
is better than its own first solutions. VROOM explores at its highest level until its time is up; from a plan in force it
starts afresh, as its Python package takes none.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta

import numpy as np

from routing.model import OrderKind
from routing.roads.travel import UNREACHABLE
from routing.solve import improve, ortools_engine, portfolio, pyvrp_engine, repair
from routing.solve.checker import check
from routing.solve.plan import publishable
from routing.solve.problem import Problem, Solution, of_routes

Peer = Callable[[Problem, Solution | None, float, int], Solution]


def _improve(problem: Problem, initial: Solution | None, budget: float, seed: int) -> Solution:
    return improve.improve(problem, initial, budget=budget, seed=seed, clock=time.process_time)


def _repair(problem: Problem, initial: Solution | None, budget: float, seed: int) -> Solution:
    return repair.repair(problem)


def _pyvrp(problem: Problem, initial: Solution | None, budget: float, seed: int) -> Solution:
    return pyvrp_engine.improve(problem, initial, budget=budget, seed=seed, clock=time.process_time)


def _ortools(problem: Problem, initial: Solution | None, budget: float, seed: int) -> Solution:
    begin = time.perf_counter()
    start = repair.repair(problem) if initial is None else repair.complete(problem, initial)
    return ortools_engine.improve(problem, start, budget=budget - (time.perf_counter() - begin), slice_s=budget)


def _vroom(problem: Problem, initial: Solution | None, budget: float, seed: int) -> Solution:
    import vroom

    begin = time.perf_counter()
    model = vroom.Input()
    cost = problem.matrix.seconds + problem.matrix.metres // problem.policy.metres_per_second_price
    model.set_durations_matrix("car", problem.matrix.seconds.astype(np.uint32))
    model.set_costs_matrix("car", np.minimum(cost, UNREACHABLE).astype(np.uint32))
    for number, crew in enumerate(problem.crews):
        model.add_vehicle(vroom.Vehicle(
            number, start=crew.place, end=crew.place if crew.end_place is None else crew.end_place, profile="car",
            capacity=list(crew.capacity), time_window=vroom.TimeWindow(crew.ready, crew.shift_end)))  # fmt: skip
    for number, task in enumerate(problem.tasks):
        amounts, nothing = list(task.demand), [0] * len(task.demand)
        model.add_job(vroom.Job(
            number, location=task.place, default_service=task.service_time,
            delivery=amounts if task.kind is OrderKind.DELIVERY else nothing,
            pickup=amounts if task.kind is OrderKind.COLLECTION else nothing,
            time_windows=[vroom.TimeWindow(window.start, window.end) for window in task.windows]))  # fmt: skip
    left = max(0.01, budget - (time.perf_counter() - begin))
    found = model.solve(exploration_level=5, nb_threads=1, timeout=timedelta(seconds=left)).routes
    routes: list[list[int]] = [[] for _ in problem.crews]
    for vehicle, kind, job in zip(found["vehicle_id"], found["type"], found["id"], strict=True):
        if kind == "job":
            routes[int(vehicle)].append(int(job))
    return of_routes(problem, routes)


def _portfolio(problem: Problem, initial: Solution | None, budget: float, seed: int) -> Solution:
    return portfolio.improve(problem, initial, budget=budget, seed=seed)


PEERS: dict[str, Peer] = {"improve": _improve, "portfolio": _portfolio, "repair": _repair, "pyvrp": _pyvrp,
                          "ortools": _ortools, "vroom": _vroom}  # fmt: skip

CORES = {"portfolio": 2}
"""Of engines that take more than one."""


def cost(problem: Problem, solution: Solution) -> int | None:
    """What all legs of a solution cost by the matrix alone, or None if the checker refuses it or a task is in no route."""
    if solution.unassigned or check(problem, publishable(problem, solution, progress={}, engine="peer")):
        return None
    found = 0
    price = problem.matrix.seconds.astype(np.int64) + problem.matrix.metres // problem.policy.metres_per_second_price
    for crew, route in zip(problem.crews, solution.routes, strict=True):
        if route:
            path = [crew.place, *(problem.tasks[task].place for task in route), crew.end_place]
            found += sum(int(price[a, b]) for a, b in zip(path, path[1:], strict=False) if b is not None)
    return found


def group(stops: int) -> str:
    """The class of an instance."""
    return next(name for most, name in ((150, "100"), (450, "200-400"), (700, "500-600"), (10**9, "1000")) if stops <= most)
