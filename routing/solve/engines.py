"""Engines by name. An engine takes a problem and returns a solution; data, stop rule and budget are arguments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from routing.solve import insertion
from routing.solve.evaluation import evaluate, total
from routing.solve.problem import Problem, Solution, current


class Engine(Protocol):
    """Anything that answers a problem."""

    def __call__(self, problem: Problem, *, budget: float, stop: Callable[[], bool]) -> Solution:
        """Return a solution within `budget` real seconds, sooner if `stop()` turns true."""
        ...


def _insertion(problem: Problem, *, budget: float, stop: Callable[[], bool]) -> Solution:
    del budget  # it takes milliseconds
    return insertion.repair(problem, stop=stop)


def _ortools(problem: Problem, *, budget: float, stop: Callable[[], bool]) -> Solution:
    from routing.solve import ortools_engine  # here, because importing OR-Tools takes half a second

    return ortools_engine.improve(problem, insertion.repair(problem), budget=budget, stop=stop)


ENGINES: dict[str, Engine] = {"insertion": _insertion, "ortools": _ortools}
"""The registry: `insertion` answers at once, `ortools` searches."""


def pays(problem: Problem, candidate: Solution) -> bool:
    """Whether a candidate may replace the current plan: it mends a breach, or gains more than the threshold."""
    now = current(problem)
    if any(evaluate(problem, crew, route).breach for crew, route in zip(problem.crews, now.routes, strict=True)):
        return True
    if candidate == now:
        return False
    return total(problem, now) - total(problem, candidate) >= problem.policy.min_gain
