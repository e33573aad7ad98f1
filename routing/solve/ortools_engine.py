"""Improvement by OR-Tools' routing solver: the only module that knows its types.

Each crew starts at the end of its frozen prefix with the time and load it has there, so the model holds
decisions only. It has all but numbered positions and the hours of the day; what a change of the plan in force costs is
simplified. Load follows the goods: `L` is what is on board; for a crew still at the depot its start is
tied to the sum of the depot goods it will deliver (`A` at the end of its route).
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ortools.constraint_solver import pywrapcp, routing_enums_pb2

from routing.model import OrderKind, RelationKind
from routing.solve.evaluation import bars, drivable, total, unassigned_price
from routing.solve.problem import Problem, Solution, of_routes
from routing.solve.rules.capacity import after_prefix
from routing.solve.rules.limits import limited, room
from routing.solve.rules.pins import rank
from routing.solve.rules.prices import LIBRARY_PRICE
from routing.solve.rules.windows import late_weight
from routing.solve.stopping import Stop, never
from routing.solve.tour import deadline, walk

MOST = 1 << 40
"""As good as no limit."""

SLICE_S = 0.4
"""The solver holds the interpreter lock while it runs: short slices let the lease be renewed and a newer plan seen."""


def improve(problem: Problem, initial: Solution, *, budget: float, stop: Stop = never,
            solutions: int | None = None, slice_s: float = SLICE_S) -> Solution:  # fmt: skip
    """Search from `initial` for at most `budget` real seconds and return the best plan by our own prices.

    `stop` is asked between slices. `solutions` bounds a plain descent by count instead of by time, for tests.
    Never returns anything worse than `initial`.
    """
    best, best_cost = initial, total(problem, initial)
    if not any(len(crew.frozen) < len(route) for crew, route in zip(problem.crews, initial.routes, strict=True)):
        return best
    until, making = time.monotonic() + budget, 0.0
    while not stop() and until - time.monotonic() > making:
        making = -time.monotonic()
        model = Model(problem)  # OR-Tools searches a model once: a second search on it times out at once
        making += time.monotonic()
        remaining = until - time.monotonic()
        if remaining <= 0:
            break
        found = model.solve(best, seconds=remaining if solutions else min(slice_s, remaining), solutions=solutions)
        if found is None:
            break
        cost = total(problem, found)
        if cost < best_cost and drivable(problem, found):  # an overloaded van is modelled more loosely here
            best, best_cost = found, cost
        if solutions:
            break
    return best


def legs(problem: Problem) -> int:
    """How many legs OR-Tools is told of, in all tables together: those of times, and of each kind of costs."""
    kinds = {(crew.costs.per_hour, crew.costs.per_km, number if crew.departed and crew.base else -1)
             for number, crew in enumerate(problem.crews)}  # fmt: skip
    return (len(kinds) + 1) * (len(problem.tasks) + 2 * len(problem.crews)) ** 2


class Model:
    """One OR-Tools model of a problem."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        fixed = {task for crew in problem.crews for task in crew.frozen}
        self.tasks = [task for task in range(len(problem.tasks)) if task not in fixed]
        self.node = {task: node for node, task in enumerate(self.tasks)}
        self.visits = [walk(problem, crew, crew.frozen) for crew in problem.crews]
        count, crews = len(self.tasks), len(problem.crews)
        starts = list(range(count, count + crews))
        ends = list(range(count + crews, count + 2 * crews))
        self.manager = pywrapcp.RoutingIndexManager(count + 2 * crews, crews, starts, ends)
        self.routing = pywrapcp.RoutingModel(self.manager)
        self._costs_and_times()
        self._limits()
        self._loads()
        self._choices()
        self._pairs()
        self._relations()
        self._ends()

    def _place_of_node(self) -> list[int]:
        """Matrix place of each node; -1 for an open end."""
        problem = self.problem
        starts = [problem.tasks[visits[-1].task].place if visits else crew.place
                  for crew, visits in zip(problem.crews, self.visits, strict=True)]  # fmt: skip
        ends = [-1 if crew.end_place is None else crew.end_place for crew in problem.crews]
        return [*(problem.tasks[task].place for task in self.tasks), *starts, *ends]

    def _costs_and_times(self) -> None:
        problem, routing = self.problem, self.routing
        places = np.array(self._place_of_node())
        open_end = places < 0
        seconds = problem.matrix.seconds[np.ix_(places, places)].astype(np.int64)
        metres = problem.matrix.metres[np.ix_(places, places)].astype(np.int64)
        for matrix in (seconds, metres):
            matrix[:, open_end] = 0
        service = np.array([problem.tasks[task].service_time for task in self.tasks])
        setup = np.array([problem.tasks[task].setup_time for task in self.tasks])
        owner = self._owners()
        tables: dict[tuple[int, int, int], int] = {}  # one table for all who share it: making one takes long
        for number, crew in enumerate(problem.crews):
            like = (crew.costs.per_hour, crew.costs.per_km, number if number in owner else -1)
            if like not in tables:
                mine = seconds * crew.costs.per_hour // 3600 + metres * crew.costs.per_km // 1000
                moved = (owner >= 0) & (owner != number)
                mine[: len(self.tasks)][moved] += problem.policy.move_price  # paid on leaving a stop taken from another
                tables[like] = routing.RegisterTransitMatrix(mine.tolist())
            routing.SetArcCostEvaluatorOfVehicle(tables[like], number)
            if not (crew.departed or crew.frozen):
                routing.SetFixedCostOfVehicle(crew.costs.fixed, number)
        self.legs = (metres, seconds.copy())
        seconds[: len(self.tasks)] += service[:, None]
        seconds[:, : len(self.tasks)] += setup * (places[:, None] != places[None, : len(self.tasks)])
        transit = routing.RegisterTransitMatrix(seconds.tolist())
        ends = [deadline(problem, crew) for crew in problem.crews]
        self.zero = min((crew.ready for crew in problem.crews), default=problem.now) - 1
        last = [window.end for task in self.tasks for window in problem.tasks[task].windows]
        pinned = [problem.tasks[task].not_before or 0 for task in self.tasks]
        self.horizon = max([*ends, *last, *pinned]) - self.zero + 1
        routing.AddDimension(transit, self.horizon, self.horizon, False, "time")
        self.times = routing.GetDimensionOrDie("time")
        for number, (crew, visits) in enumerate(zip(problem.crews, self.visits, strict=True)):
            ready = (visits[-1].leave if visits else crew.ready) - self.zero
            self.times.CumulVar(routing.Start(number)).SetRange(ready, ready)
            self.times.CumulVar(routing.End(number)).SetMax(max(ready, ends[number] - self.zero))

    def _limits(self) -> None:
        """Stops, metres and seconds at the wheel that a crew may come to."""
        routing, crews = self.routing, self.problem.crews
        if not any(limited(crew) for crew in crews):
            return
        rooms = [[min(most, MOST) for most in room(self.problem, crew)] for crew in crews]
        ones = [1] * len(self.tasks) + [0] * (2 * len(crews))
        transits = [routing.RegisterUnaryTransitVector(ones)]
        transits += [routing.RegisterTransitMatrix(table.tolist()) for table in self.legs]
        for name, transit, most in zip(("stops", "metres", "driving"), transits, zip(*rooms, strict=True), strict=True):
            routing.AddDimensionWithVehicleCapacity(transit, 0, list(most), True, name)

    def _owners(self) -> NDArray[np.int64]:
        """The crew on the road that has each task now, or -1."""
        owner = np.full(len(self.tasks), -1, np.int64)
        for number, crew in enumerate(self.problem.crews):
            for task in crew.base if crew.departed else ():
                owner[self.node[task]] = number
        return owner

    def _loads(self) -> None:
        problem, routing = self.problem, self.routing
        solver = routing.solver()
        pad = [0] * (2 * len(problem.crews))
        for axis in range(len(problem.dimensions)):
            change, depot_goods = [], []
            for number in self.tasks:
                task = problem.tasks[number]
                delivery = task.kind is OrderKind.DELIVERY
                sign = -1 if delivery else int(task.kind is OrderKind.COLLECTION)
                change.append(sign * task.demand[axis])
                depot_goods.append(task.demand[axis] if delivery and task.goods_on is None and task.pair is None else 0)
            loads = [max(0, after_prefix(problem, crew)[axis]) for crew in problem.crews]
            capacity = [max(crew.capacity[axis], load) for crew, load in zip(problem.crews, loads, strict=True)]
            routing.AddDimensionWithVehicleCapacity(
                routing.RegisterUnaryTransitVector(change + pad), 0, capacity, False, f"L{axis}")  # fmt: skip
            routing.AddDimensionWithVehicleCapacity(
                routing.RegisterUnaryTransitVector(depot_goods + pad), 0, capacity, True, f"A{axis}")  # fmt: skip
            on_board, taken = routing.GetDimensionOrDie(f"L{axis}"), routing.GetDimensionOrDie(f"A{axis}")
            for number, crew in enumerate(problem.crews):
                start = on_board.CumulVar(routing.Start(number))
                if crew.departed:
                    start.SetRange(loads[number], loads[number])
                else:
                    solver.Add(start == taken.CumulVar(routing.End(number)) + loads[number])

    def _choices(self) -> None:
        """Who may take what, when, and what it costs to leave it out."""
        problem, routing = self.problem, self.routing
        shut = bars(problem, self.tasks)
        for number, index in ((task, self.manager.NodeToIndex(node)) for task, node in self.node.items()):
            task = problem.tasks[number]
            routing.VehicleVar(index).SetValues([-1, *np.flatnonzero(shut[:, self.node[number]] == 0).tolist()])
            routing.AddDisjunction([index], 0 if task.second and task.pair in self.node else unassigned_price(task, LIBRARY_PRICE))
            cumul = self.times.CumulVar(index)
            if task.not_before is not None:
                cumul.SetMin(max(0, task.not_before - self.zero))
            if task.promised is not None and (task.hard or not task.windows):  # one bound for each stop is all there is
                self.times.SetCumulVarSoftUpperBound(index, max(0, task.promised - self.zero), problem.policy.promise_price)
            if not task.windows:
                continue
            cumul.SetMin(max(cumul.Min(), task.windows[0].start - self.zero))
            for before, after in zip(task.windows, task.windows[1:], strict=False):
                cumul.RemoveInterval(before.end + 1 - self.zero, after.start - 1 - self.zero)
            end = task.windows[-1].end - self.zero
            if task.hard and end >= cumul.Min():
                cumul.SetMax(end)
            elif task.hard:
                routing.VehicleVar(index).SetValues([-1])
            else:
                self.times.SetCumulVarSoftUpperBound(index, max(0, end), late_weight(problem, task))

    def _pairs(self) -> None:
        """What is picked up is delivered afterwards by the same vehicle, or neither."""
        routing, solver = self.routing, self.routing.solver()
        for number, node in self.node.items():
            task = self.problem.tasks[number]
            if task.kind is OrderKind.COLLECTION and task.pair in self.node:
                first, second = self.manager.NodeToIndex(node), self.manager.NodeToIndex(self.node[task.pair])
                routing.AddPickupAndDelivery(first, second)
                solver.Add(routing.VehicleVar(first) == routing.VehicleVar(second))
                late = self.horizon * (1 - routing.ActiveVar(second))  # left out, it may be at any time
                solver.Add(self.times.CumulVar(first) <= self.times.CumulVar(second) + late)

    def _relations(self) -> None:
        """What goes together or not, and in which order, as far as both are served."""
        routing, solver, horizon = self.routing, self.routing.solver(), self.horizon
        starts = {crew.frozen[-1]: routing.Start(number) for number, crew in enumerate(self.problem.crews) if crew.frozen}
        for kind, task, other in self.problem.relations:
            if task in self.node and other in starts and kind is RelationKind.DIRECTLY_AFTER:
                later = self.manager.NodeToIndex(self.node[task])
                solver.Add(solver.IsEqualCstVar(routing.NextVar(starts[other]), later) >= routing.ActiveVar(later))
            if task not in self.node or other not in self.node:
                continue
            later, sooner = (self.manager.NodeToIndex(self.node[number]) for number in (task, other))
            both = routing.ActiveVar(later) + routing.ActiveVar(sooner)
            same = solver.IsEqualVar(routing.VehicleVar(later), routing.VehicleVar(sooner))
            if kind is RelationKind.NOT_TOGETHER:
                solver.Add(same + both <= 2)
                continue
            solver.Add(same >= both - 1)
            if kind is RelationKind.AFTER:
                at = self.times.CumulVar(sooner)
                solver.Add(at <= self.times.CumulVar(later) + horizon * (2 - both))
            elif kind is RelationKind.DIRECTLY_AFTER:
                solver.Add(solver.IsEqualCstVar(routing.NextVar(sooner), later) >= routing.ActiveVar(later))

    def _ends(self) -> None:
        """Overtime, and what is pinned to an end of a route."""
        problem, routing = self.problem, self.routing
        for number, crew in enumerate(problem.crews):
            if crew.overtime:
                self.times.SetCumulVarSoftUpperBound(routing.End(number), max(0, crew.shift_end - self.zero),
                                                     problem.policy.overtime_price)  # fmt: skip
        ranks = [rank(problem.tasks[task]) for task in self.tasks]
        for before, mine in enumerate(ranks):
            late = [self.manager.NodeToIndex(after) for after, other in enumerate(ranks) if other < mine]
            if late:
                routing.NextVar(self.manager.NodeToIndex(before)).RemoveValues(late)

    def solve(self, start: Solution, *, seconds: float, solutions: int | None) -> Solution | None:
        """Search from `start`; None if OR-Tools finds that start infeasible."""
        parameters = pywrapcp.DefaultRoutingSearchParameters()
        kinds = routing_enums_pb2.LocalSearchMetaheuristic
        parameters.local_search_metaheuristic = kinds.GUIDED_LOCAL_SEARCH  # it ends by the clock alone
        parameters.time_limit.FromMilliseconds(max(1, int(seconds * 1000)))
        if solutions:
            parameters.local_search_metaheuristic = kinds.GREEDY_DESCENT
            parameters.solution_limit = solutions
        self.routing.CloseModelWithParameters(parameters)
        routes = [[self.manager.NodeToIndex(self.node[task]) for task in route[len(crew.frozen) :]]
                  for crew, route in zip(self.problem.crews, start.routes, strict=True)]  # fmt: skip
        initial = self.routing.ReadAssignmentFromRoutes(routes, True)
        if initial is None:
            return None
        found = self.routing.SolveFromAssignmentWithParameters(initial, parameters)
        return None if found is None else self._solution(found)

    def _solution(self, assignment: Any) -> Solution:
        routes = []
        for number, crew in enumerate(self.problem.crews):
            route = list(crew.frozen)
            index = assignment.Value(self.routing.NextVar(self.routing.Start(number)))
            while not self.routing.IsEnd(index):
                route.append(self.tasks[self.manager.IndexToNode(index)])
                index = assignment.Value(self.routing.NextVar(index))
            routes.append(tuple(route))
        return of_routes(self.problem, routes)
