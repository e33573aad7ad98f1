"""The best plan that can be put together from routes that searches have passed: set partitioning by OR-Tools CP-SAT."""

from __future__ import annotations

import time
from collections.abc import Sequence

from ortools.sat.python import cp_model

from routing.solve import kernel
from routing.solve.arrays import Arrays
from routing.solve.evaluation import unassigned_price
from routing.solve.problem import Solution, of_routes

MOST = 1500
"""So many routes are put together at most, the newest: with more, CP-SAT has seldom proved anything within a second."""


class Pool:
    """Routes that searches have passed, each once for all crews that are alike, at the least that it was driven for."""

    def __init__(self, arrays: Arrays) -> None:
        self.arrays = arrays
        self._kinds: list[int] = arrays.crew[:, kernel.KIND].tolist()
        self._found: dict[tuple[int, frozenset[int]], tuple[tuple[int, ...], int]] = {}

    def add(self, routes: Sequence[tuple[tuple[int, ...], int]]) -> None:
        """Remember routes by crew, with their prices."""
        for kind, (route, price) in zip(self._kinds, routes, strict=True):
            key = (kind, frozenset(route))
            known = self._found.pop(key, None)  # the newest last
            self._found[key] = (route, price) if known is None or price < known[1] else known

    def merge(self, other: Pool) -> None:
        """Remember all of another pool, too."""
        for key, row in other._found.items():
            if key not in self._found or row[1] < self._found[key][1]:
                self._found[key] = row

    def best(self, hint: Solution, seconds: float) -> Solution | None:
        """The cheapest plan of these routes, those of `hint` among them; None if none was found in time.

        Every task is in one route, or, where `hint` leaves something out, left out at its price; each crew has one route, or none.
        """
        began, problem, alike = time.perf_counter(), self.arrays.problem, self._kinds
        rows = [(kind, tasks, *row) for (kind, tasks), row in self._found.items()]
        idle = {kind: price for kind, tasks, _, price in rows if not tasks}
        rows = [row for row in rows if row[1]][-MOST:]
        hinted = {(kind, frozenset(route[len(crew.frozen) :]))
                  for kind, crew, route in zip(alike, problem.crews, hint.routes, strict=True)}  # fmt: skip
        model = cp_model.CpModel()
        chosen = [model.new_bool_var("") for _ in rows]
        firsts = [task for task in self.arrays.tasks
                  if not problem.tasks[task].second or problem.tasks[task].pair not in self.arrays.number]  # fmt: skip
        covers: dict[int, list[cp_model.IntVar]] = {task: [] for task in firsts}
        crews: dict[int, list[cp_model.IntVar]] = {kind: [] for kind in alike}
        for variable, (kind, tasks, _, _) in zip(chosen, rows, strict=True):
            model.add_hint(variable, (kind, tasks) in hinted)
            crews[kind].append(variable)
            for task in covers.keys() & tasks:
                covers[task].append(variable)
        left = {task: model.new_bool_var("") for task in (covers if hint.unassigned else ())}
        for task, variables in covers.items():
            model.add_exactly_one([*variables, *([left[task]] if task in left else [])])
        for kind, variables in crews.items():
            if kind not in idle:  # nobody knows what it costs to have no stops
                model.add(cp_model.LinearExpr.sum(variables) == alike.count(kind))
            elif len(variables) > alike.count(kind):
                model.add(cp_model.LinearExpr.sum(variables) <= alike.count(kind))
        for task, variable in left.items():
            model.add_hint(variable, task in hint.unassigned)
        prices = [price - idle.get(kind, 0) for kind, _, _, price in rows]
        prices += [unassigned_price(problem.tasks[task]) for task in left]
        model.minimize(cp_model.LinearExpr.weighted_sum([*chosen, *left.values()], prices))
        solver = cp_model.CpSolver()
        solver.parameters.num_workers = 1
        solver.parameters.max_time_in_seconds = max(0.0, seconds - (time.perf_counter() - began))
        solver.parameters.linearization_level = 2  # its relaxation is nearly whole: proofs take a tenth of the time
        solver.parameters.cp_model_probing_level = solver.parameters.symmetry_level = 0
        if solver.solve(model) not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
            return None
        taken: dict[int, list[tuple[int, ...]]] = {kind: [] for kind in alike}
        for variable, (kind, _, route, _) in zip(chosen, rows, strict=True):
            if solver.boolean_value(variable):
                taken[kind].append(route)
        drawn = [(*crew.frozen, *(taken[kind].pop() if taken[kind] else ()))
                 for kind, crew in zip(alike, problem.crews, strict=True)]  # fmt: skip
        routes = self.arrays.recognized(drawn)
        return of_routes(problem, routes)
