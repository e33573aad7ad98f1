"""PyVRP as an engine, for problems that its model fits; the one module that knows PyVRP.

Its late acceptance compares with ten solutions back instead of its default of 300, which at a few seconds is about
twice as close to the best known solutions on instances of 200 to 400 stops.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyvrp
from numpy.typing import NDArray
from pyvrp import Activity, ActivityType, ProblemData, Route, VehicleType
from pyvrp.stop import StoppingCriterion

from routing.model import OrderKind
from routing.roads.travel import UNREACHABLE
from routing.solve.evaluation import bars, drivable, total, unassigned_price
from routing.solve.problem import Crew, Problem, Solution, of_routes
from routing.solve.repair import complete
from routing.solve.rules.capacity import after_prefix
from routing.solve.rules.limits import limited
from routing.solve.rules.prices import LIBRARY_PRICE
from routing.solve.stopping import Stop, never
from routing.solve.tour import deadline, walk

HISTORY = 10

END = 2**62
"""After all times."""

MOST = 20_000_000
"""Legs in all matrices together: PyVRP needs one for each set of tasks that a crew may not do."""


def fits(problem: Problem) -> bool:
    """Whether PyVRP can express a problem.

    No promises, positions, relations or limits, no rests or reloads, single windows of pairs, not too many kinds of crews.
    What it cannot express exactly is judged afterwards: prices of changes are left out, all hours count as the present one,
    and soft windows are hard where the plan that came in keeps them, and none elsewhere.
    """
    if not problem.crews or any(task.promised is not None or task.position is not None or task.relations
                                or (task.pair is not None and len(task.windows) > 1) for task in problem.tasks):  # fmt: skip
        return False
    return not any(limited(crew) or crew.rests or crew.reloads for crew in problem.crews) and legs(problem) <= MOST


def legs(problem: Problem) -> int:
    """How many legs PyVRP is told of, in all matrices together."""
    kinds = {(crew.costs.per_hour, crew.costs.per_km, shut) for crew, shut in zip(problem.crews, _shut(problem), strict=True)}
    return len(kinds) * (len(problem.tasks) + 2 * len({crew.place for crew in problem.crews})) ** 2


def improve(problem: Problem, initial: Solution | None, *, budget: float, stop: Stop = never, seed: int = 1,
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
    came = initial
    if initial is not None and (initial.unassigned or not drivable(problem, initial)):  # it would hardly come out of that
        initial = complete(problem, initial)
    model = Model(problem, initial)
    if not model.tasks:
        return came or Solution(tuple(crew.frozen for crew in problem.crews), ())
    found = _solved(model, initial, _Until(clock, began + budget, stop, iterations), seed)
    if came is None or initial is None:
        return found
    return min((option for option in (came, initial, found) if drivable(problem, option)),
               key=lambda option: total(problem, option), default=initial)  # fmt: skip


def _solved(model: Model, start: Solution | None, rule: StoppingCriterion, seed: int) -> Solution:
    """What PyVRP comes to from a solution, or from its own first one."""
    first = model.encode(start) if start is not None and any(start.routes) else None
    params = pyvrp.SolveParams(ils=pyvrp.IteratedLocalSearchParams(history_length=HISTORY))
    return model.decode(pyvrp.solve(model.data, rule, seed=seed, collect_stats=False, display=False, params=params,
                                    initial_solution=first).best)  # fmt: skip


class Search:
    """PyVRP on one problem, time and again: each run goes on from `start`, and `best` is the best of all by our evaluator."""

    def __init__(self, problem: Problem, start: Solution, seed: int) -> None:
        self._problem, self._seed = problem, seed
        self.start = self.best = start
        self._model: Model | None = None

    def run(self, stop: Stop) -> None:
        """Search until `stop` says so."""
        if self._model is None:
            self._model = Model(self._problem, self.start)
        self._seed += 1
        found = _solved(self._model, self.start, lambda _: stop(), self._seed)
        if drivable(self._problem, found) and total(self._problem, found) < total(self._problem, self.best):
            self.best = found


class _Until:
    """PyVRP's stop rule: a moment, somebody's word, or a number of iterations."""

    def __init__(self, clock: Callable[[], float], deadline: float, stop: Stop, iterations: int | None) -> None:
        self._clock, self._deadline, self._stop, self._left = clock, deadline, stop, iterations

    def __call__(self, best_cost: float) -> bool:
        if self._left is not None:
            self._left -= 1
            return self._left < 0 or self._stop()
        return self._clock() >= self._deadline or self._stop()


@dataclass(frozen=True, slots=True)
class _Start:
    """Where a crew can be planned from: after what is frozen."""

    place: int
    ready: int
    load: tuple[int, ...]


def _free(problem: Problem) -> list[int]:
    return [task for task in range(len(problem.tasks)) if task not in problem.fixed]


def _shut(problem: Problem) -> list[bytes]:
    """For each crew, which of the free tasks it may not do."""
    return [bytes(row) for row in bars(problem, _free(problem))]


class Model:
    """A problem as PyVRP's data, and solutions there and back.

    Each task has a location of its own, so that setting up at another place counts as driving there, and who may not do a
    task cannot drive there.
    """

    def __init__(self, problem: Problem, initial: Solution | None) -> None:
        self.problem = problem
        self.tasks = _free(problem)
        self._number = {task: number for number, task in enumerate(self.tasks)}
        self._late = _late(problem, initial)
        self._starts = [_start(problem, crew) for crew in problem.crews]
        self._pairs = [task for task in self.tasks if problem.tasks[task].pair in self._number
                       and problem.tasks[task].kind is OrderKind.COLLECTION]  # fmt: skip
        paired = {half for task in self._pairs for half in (task, problem.tasks[task].pair)}
        self._single = [task for task in self.tasks if task not in paired]
        self._visits = [(task, span) for task in self._single for span in self._times(task)]
        self._kinds: list[list[int]] = []
        self.data = self._data()

    def _data(self) -> ProblemData:
        problem = self.problem
        found: dict[object, list[int]] = {}
        profiles: dict[tuple[int, int, bytes], int] = {}
        ids = [profiles.setdefault((crew.costs.per_hour, crew.costs.per_km, shut), len(profiles))
               for crew, shut in zip(problem.crews, _shut(problem), strict=True)]  # fmt: skip
        for number, (crew, start, profile) in enumerate(zip(problem.crews, self._starts, ids, strict=True)):
            like = (start, crew.end_place, crew.shift_end, deadline(problem, crew), crew.capacity, crew.departed, profile,
                    crew.costs.fixed, self._resting(crew, start))  # fmt: skip
            found.setdefault(like, []).append(number)
        self._kinds = list(found.values())
        where = [problem.tasks[task].place for task in self.tasks]
        depots: dict[int, int] = {}
        for crew, start in zip(problem.crews, self._starts, strict=True):
            for place in (start.place, -1 if crew.end_place is None else crew.end_place):
                depots.setdefault(place, len(where) + len(depots))
        places = np.array([*where, *depots])
        costs: list[Any] = []  # its stubs know no plain arrays
        seconds: list[Any] = []
        for mine in profiles:
            cost, time_ = self._matrices(mine, places)
            costs.append(cost)
            seconds.append(time_)
        numbers = {place: number for number, place in enumerate(depots)}
        types = [self._vehicle(kind, numbers, ids[kind[0]]) for kind in self._kinds]
        clients, groups = self._clients()
        return ProblemData(
            locations=[pyvrp.Location(0, 0) for _ in places], clients=clients, groups=groups,
            depots=[pyvrp.Depot(location) for location in depots.values()], vehicle_types=types,
            distance_matrices=costs, duration_matrices=seconds, shipments=[self._shipment(task) for task in self._pairs],
        )  # fmt: skip

    def _matrices(self, profile: tuple[int, int, bytes], places: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Cost and seconds of each leg; an open end (place -1) costs and takes nothing."""
        per_hour, per_km, shut = profile
        matrix, n = self.problem.matrix, len(self.tasks)
        seconds = matrix.seconds[np.ix_(places, places)].astype(np.int64)
        cost = seconds * per_hour // 3600 + matrix.metres[np.ix_(places, places)].astype(np.int64) * per_km // 1000
        setup = np.array([self.problem.tasks[task].setup_time for task in self.tasks], np.int64)
        seconds[:, :n] += setup * (places[:, None] != places[None, :n])
        closed = np.flatnonzero(np.frombuffer(shut, np.uint8)[:n])
        for table in (seconds, cost):
            table[:, places < 0] = 0
            table[places < 0, :] = UNREACHABLE
            table[:, closed] = UNREACHABLE
            np.fill_diagonal(table, 0)
        return np.minimum(cost, UNREACHABLE), np.minimum(seconds, UNREACHABLE)

    def _vehicle(self, kind: list[int], depots: dict[int, int], profile: int) -> VehicleType:
        problem, crew, start = self.problem, self.problem.crews[kind[0]], self._starts[kind[0]]
        ends_by, resting = deadline(problem, crew), self._resting(crew, start)
        regular = max(0, crew.shift_end - start.ready)
        return VehicleType(
            num_available=len(kind), capacity=list(map(max, crew.capacity, resting)), start_depot=depots[start.place],
            end_depot=depots[-1 if crew.end_place is None else crew.end_place], fixed_cost=0 if crew.departed else crew.costs.fixed,
            tw_early=start.ready, tw_late=max(ends_by, start.ready), start_late=start.ready, shift_duration=regular,
            max_overtime=max(0, ends_by - start.ready - regular), unit_overtime_cost=problem.policy.overtime_price,
            profile=profile, initial_load=list(resting))  # fmt: skip

    def _resting(self, crew: Crew, start: _Start) -> tuple[int, ...]:
        """What is on board and no task of this problem takes off."""
        mine = [self.problem.tasks[task] for task in self._single]
        mine = [task for task in mine if task.goods_on == crew.shift_id or (task.pair is not None and task.pair in crew.frozen)]
        return tuple(max(0, amount - sum(task.demand[axis] for task in mine)) for axis, amount in enumerate(start.load))

    def _times(self, number: int) -> list[tuple[int, int]]:
        """The moments between which service may begin: no earlier than pinned, and at any time after a window that is missed."""
        task = self.problem.tasks[number]
        spans = [(window.start, window.end) for window in task.windows] or [(0, END)]
        if number in self._late:
            spans = [(spans[-1][0], END)]
        earliest = task.not_before or 0
        kept = [(max(0, earliest, early), late) for early, late in spans if late >= max(0, earliest)]
        return kept or [(max(0, earliest), END)]

    def _clients(self) -> tuple[list[pyvrp.Client], list[pyvrp.ClientGroup]]:
        """Each visit that could be made, those in different windows of one task as a group of which one is made."""
        clients: list[pyvrp.Client] = []
        windows: dict[int, list[int]] = {}
        for client, (number, _) in enumerate(self._visits):
            windows.setdefault(number, []).append(client)
        group = {number: index for index, number in enumerate(number for number, mine in windows.items() if len(mine) > 1)}
        groups = [pyvrp.ClientGroup(windows[number], required=False) for number in group]
        for number, (early, late) in self._visits:
            task = self.problem.tasks[number]
            amounts, nothing = list(task.demand), [0] * len(task.demand)
            clients.append(pyvrp.Client(
                self._number[number], delivery=amounts if task.kind is OrderKind.DELIVERY else nothing,
                pickup=amounts if task.kind is OrderKind.COLLECTION else nothing, service_duration=task.service_time,
                tw_early=early, tw_late=late, prize=unassigned_price(task, LIBRARY_PRICE), required=False,
                group=group.get(number)))  # fmt: skip
        return clients, groups

    def _shipment(self, number: int) -> pyvrp.Shipment:
        task = self.problem.tasks[number]
        assert task.pair is not None
        other = self.problem.tasks[task.pair]
        [(early, late)], [(then, by)] = self._times(number), self._times(task.pair)
        prize = unassigned_price(task, LIBRARY_PRICE) if early <= by else 0
        return pyvrp.Shipment(
            self._number[number], self._number[task.pair], early, late, task.service_time, then, max(early, by), other.service_time,
            amount=list(task.demand), prize=prize, required=False)  # fmt: skip

    def encode(self, solution: Solution) -> pyvrp.Solution:
        """A solution as PyVRP's."""
        steps: dict[int, Activity] = {}
        begins = {visit.task: visit.begin for crew, route in zip(self.problem.crews, solution.routes, strict=True)
                  for visit in walk(self.problem, crew, route)}  # fmt: skip
        for client, (task, (early, late)) in enumerate(self._visits):
            if task not in steps or early <= begins.get(task, 0) <= late:
                steps[task] = Activity(ActivityType.CLIENT, client)
        for number, task in enumerate(self._pairs):
            steps[task] = Activity(ActivityType.PICKUP, number)
            steps[self._other(task)] = Activity(ActivityType.DELIVERY, number)
        routes = []
        for kind, numbers in enumerate(self._kinds):
            for number in numbers:
                free = solution.routes[number][len(self.problem.crews[number].frozen) :]
                if free:
                    routes.append(Route(self.data, [steps[task] for task in free], kind))
        return pyvrp.Solution(self.data, routes)

    def _other(self, task: int) -> int:
        pair = self.problem.tasks[task].pair
        assert pair is not None
        return pair

    def decode(self, found: pyvrp.Solution) -> Solution:
        """PyVRP's solution as ours, the frozen stops first."""
        routes = [crew.frozen for crew in self.problem.crews]
        free = [list(numbers) for numbers in self._kinds]
        for route in found.routes():
            number = free[route.vehicle_type()].pop(0)
            routes[number] += tuple(self._task(activity) for activity in route if not activity.is_depot())
        return of_routes(self.problem, routes)

    def _task(self, activity: Activity) -> int:
        if activity.is_client():
            return self._visits[activity.idx][0]
        pickup = self._pairs[activity.idx]
        return pickup if activity.is_pickup() else self._other(pickup)


def _start(problem: Problem, crew: Crew) -> _Start:
    visits = walk(problem, crew, crew.frozen)
    load = after_prefix(problem, crew)
    if not visits:
        return _Start(crew.place, crew.ready, load)
    return _Start(problem.tasks[visits[-1].task].place, visits[-1].leave, load)


def _late(problem: Problem, initial: Solution | None) -> set[int]:
    """Tasks whose soft window the plan that came in does not keep."""
    if initial is None:
        return set()
    late = {task for task in initial.unassigned if not problem.tasks[task].hard}
    for crew, route in zip(problem.crews, initial.routes, strict=True):
        late |= {visit.task for visit in walk(problem, crew, route) if visit.late and not problem.tasks[visit.task].hard}
    return late
