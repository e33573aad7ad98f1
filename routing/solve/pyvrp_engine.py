"""PyVRP as an engine, for problems that its model fits; the one module that knows PyVRP.

Its late acceptance compares with ten solutions back instead of its default of 300, which at a few seconds is about
twice as close to the best known solutions on instances of 200 to 400 stops.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pyvrp
from pyvrp import Activity, ActivityType, ProblemData, Route, VehicleType

from routing.model import OrderKind
from routing.roads.travel import UNREACHABLE
from routing.solve.evaluation import barred, drivable, total, unassigned_price
from routing.solve.problem import STANDARD, Crew, Problem, Solution, Task
from routing.solve.repair import complete

HISTORY = 10


def fits(problem: Problem) -> bool:
    """Whether PyVRP can express a problem, as far as we translate it.

    No frozen stops, everybody may do everything, windows single and hard; no pairs, set-up times, promises, pins, overtime,
    or costs of its own of a vehicle. All hours count as the present one: what comes out is judged by the real ones.
    """
    plain = all(len(task.windows) <= 1 and (task.hard or not task.windows) and task.pair is None and not task.setup_time
                and (task.promised, task.not_before, task.position) == (None, None, None) for task in problem.tasks)  # fmt: skip
    still = not any(crew.frozen or crew.serving or crew.overtime or crew.costs != STANDARD for crew in problem.crews)
    return plain and still and bool(problem.crews) and not any(
        barred(crew, task) for task in problem.tasks for crew in problem.crews)  # fmt: skip


def improve(problem: Problem, initial: Solution | None, *, budget: float, stop: Callable[[], bool] = lambda: False, seed: int = 1,
            iterations: int | None = None, clock: Callable[[], float] = time.perf_counter) -> Solution:  # fmt: skip
    """Search from a solution, or from PyVRP's own first one, for `budget` seconds or a number of iterations.

    The better of what comes out and what came in, by our own evaluator. A problem that does not fit comes back as it came.

    Raises
    ------
    ValueError
        If it does not fit and nothing came in.
    """
    began = clock()
    if not fits(problem):
        if initial is None:
            raise ValueError("a problem that PyVRP cannot express needs a solution to come back with")
        return initial
    if initial is not None and (initial.unassigned or not drivable(problem, initial)):  # it would hardly come out of that
        initial = complete(problem, initial)
    kinds = _kinds(problem)
    data = _data(problem, kinds)
    params = pyvrp.SolveParams(ils=pyvrp.IteratedLocalSearchParams(history_length=HISTORY))
    first = None if initial is None or not any(initial.routes) else _encode(data, kinds, initial)
    rule = _Until(clock, began + budget, stop, iterations)
    result = pyvrp.solve(data, rule, seed=seed, collect_stats=False, display=False, params=params, initial_solution=first)
    found = _decode(problem, kinds, result.best)
    if initial is None:
        return found
    return found if drivable(problem, found) and total(problem, found) < total(problem, initial) else initial


class _Until:
    """PyVRP's stop rule: a moment, somebody's word, or a number of iterations."""

    def __init__(self, clock: Callable[[], float], deadline: float, stop: Callable[[], bool], iterations: int | None) -> None:
        self._clock, self._deadline, self._stop, self._left = clock, deadline, stop, iterations

    def __call__(self, best_cost: float) -> bool:
        if self._left is not None:
            self._left -= 1
            return self._left < 0 or self._stop()
        return self._clock() >= self._deadline or self._stop()


def _kinds(problem: Problem) -> list[list[int]]:
    """Crews that are alike for the solver, as one vehicle type each."""
    found: dict[object, list[int]] = {}
    for number, crew in enumerate(problem.crews):
        like = (crew.place, crew.ready, crew.end_place, crew.shift_end, crew.capacity, crew.load)
        found.setdefault(like, []).append(number)
    return list(found.values())


def _data(problem: Problem, kinds: list[list[int]]) -> ProblemData:
    nowhere = len(problem.matrix.seconds)  # where routes with an open end end
    seconds = np.pad(problem.matrix.seconds.astype(np.int64), ((0, 1), (0, 1)))
    metres = np.pad(problem.matrix.metres.astype(np.int64), ((0, 1), (0, 1)))
    cost = seconds + metres // problem.policy.metres_per_second_price
    seconds[nowhere, :nowhere] = cost[nowhere, :nowhere] = UNREACHABLE
    crews = [problem.crews[kind[0]] for kind in kinds]
    depots: dict[int, int] = {}
    for crew in crews:
        for place in (crew.place, nowhere if crew.end_place is None else crew.end_place):
            depots.setdefault(place, len(depots))
    return ProblemData(
        locations=[pyvrp.Location(0, 0) for _ in range(nowhere + 1)],
        clients=[_client(task) for task in problem.tasks], depots=[pyvrp.Depot(place) for place in depots],
        vehicle_types=[
            VehicleType(num_available=len(kind), capacity=list(crew.capacity), start_depot=depots[crew.place],
                        end_depot=depots[nowhere if crew.end_place is None else crew.end_place], tw_early=crew.ready,
                        tw_late=max(crew.shift_end, crew.ready), initial_load=_resting(problem, crew))
            for kind, crew in zip(kinds, crews, strict=True)],
        distance_matrices=[cost], duration_matrices=[seconds],  # type: ignore[list-item]  # its stubs know no plain arrays
    )  # fmt: skip


def _resting(problem: Problem, crew: Crew) -> list[int]:
    """What is on board and no task of this problem takes off."""
    mine = [task.demand for task in problem.tasks if task.goods_on == crew.shift_id]
    return [max(0, amount - sum(demand[axis] for demand in mine)) for axis, amount in enumerate(crew.load)]


def _client(task: Task) -> pyvrp.Client:
    amounts, nothing = list(task.demand), [0] * len(task.demand)
    early, late = (max(0, task.windows[0].start), task.windows[0].end) if task.windows else (0, 2**62)
    return pyvrp.Client(
        task.place, delivery=amounts if task.kind is OrderKind.DELIVERY else nothing,
        pickup=amounts if task.kind is OrderKind.COLLECTION else nothing, service_duration=task.service_time,
        tw_early=early, tw_late=late, prize=unassigned_price(task), required=False)  # fmt: skip


def _encode(data: ProblemData, kinds: list[list[int]], solution: Solution) -> pyvrp.Solution:
    routes = [Route(data, [Activity(ActivityType.CLIENT, task) for task in solution.routes[number]], kind)
              for kind, numbers in enumerate(kinds) for number in numbers if solution.routes[number]]  # fmt: skip
    return pyvrp.Solution(data, routes)


def _decode(problem: Problem, kinds: list[list[int]], found: pyvrp.Solution) -> Solution:
    routes: list[tuple[int, ...]] = [()] * len(problem.crews)
    free = [list(numbers) for numbers in kinds]
    for route in found.routes():
        tasks = tuple(activity.idx for activity in route if activity.is_client())
        routes[free[route.vehicle_type()].pop(0)] = tasks
    placed = {task for tasks in routes for task in tasks}
    return Solution(tuple(routes), tuple(task for task in range(len(problem.tasks)) if task not in placed))
