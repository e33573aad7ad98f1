"""Engines by name. An engine takes a problem and returns a solution; start, budget, stop rule and seed are arguments."""

from __future__ import annotations

from typing import Protocol

from routing.solve import improve, repair
from routing.solve.arrays import Arrays
from routing.solve.evaluation import drivable, total
from routing.solve.problem import Problem, Solution, current
from routing.solve.stopping import Stop, within


class Engine(Protocol):
    """Anything that answers a problem."""

    def __call__(self, problem: Problem, initial: Solution | None = None, *, budget: float, stop: Stop, seed: int = 1) -> Solution:
        """Return a solution within `budget` real seconds, sooner if `stop()` turns true.

        `initial` is where to search from, by default the plan in force. A solution that keeps the rules is never made worse.
        """
        ...


def _repair(problem: Problem, initial: Solution | None = None, *, budget: float, stop: Stop, seed: int = 1) -> Solution:
    del seed
    return repair.repair(problem, initial, stop=within(budget, stop))


def _improve(problem: Problem, initial: Solution | None = None, *, budget: float, stop: Stop, seed: int = 1) -> Solution:
    return improve.improve(problem, initial, budget=budget, stop=stop, seed=seed)


def _portfolio(problem: Problem, initial: Solution | None = None, *, budget: float, stop: Stop, seed: int = 1) -> Solution:
    from routing.solve import portfolio  # here, because importing OR-Tools and PyVRP takes half a second

    return portfolio.improve(problem, initial, budget=budget, stop=stop, seed=seed)


def _ortools(problem: Problem, initial: Solution | None = None, *, budget: float, stop: Stop, seed: int = 1) -> Solution:
    from routing.solve import ortools_engine

    del seed
    start = _start(problem, initial)
    return _identified(problem, start, ortools_engine.improve(problem, start, budget=budget, stop=stop))


def _pyvrp(problem: Problem, initial: Solution | None = None, *, budget: float, stop: Stop, seed: int = 1) -> Solution:
    from routing.solve import pyvrp_engine

    start = _start(problem, initial)
    return _identified(problem, start, pyvrp_engine.improve(problem, start, budget=budget, stop=stop, seed=seed))


def _start(problem: Problem, initial: Solution | None) -> Solution:
    """What a library's engine searches from: what came in if that keeps the rules, else that, or the plan in force, repaired."""
    return initial if initial is not None and drivable(problem, initial) else repair.repair(problem, initial)


def _identified(problem: Problem, start: Solution, found: Solution) -> Solution:
    """What a library's engine has found, with alike crews told apart: to it they are the same."""
    if found == start:
        return found
    return Solution(tuple(Arrays(problem, neighbours=False).recognized(list(found.routes))), found.unassigned)


ORTOOLS_LEG_S, PYVRP_LEG_S = 6e-8, 6e-7
"""Seconds it takes to tell a library of one leg, on the safe side of what `benchmarks.moments` prints."""

ENGINES: dict[str, Engine] = {"repair": _repair, "improve": _improve, "portfolio": _portfolio, "ortools": _ortools, "pyvrp": _pyvrp}
"""The registry: `repair` answers at once, the others search."""


def able(name: str, problem: Problem, budget: float) -> str:
    """The engine that will search: the one asked for, or `improve` where that one cannot tell the problem in its terms in time."""
    if name == "pyvrp":
        from routing.solve import pyvrp_engine

        return name if pyvrp_engine.fits(problem) and PYVRP_LEG_S * pyvrp_engine.legs(problem) <= budget / 2 else "improve"
    if name == "ortools":
        from routing.solve import ortools_engine

        if any(crew.reloads for crew in problem.crews):
            return "improve"
        return name if ORTOOLS_LEG_S * ortools_engine.legs(problem) <= budget / 2 else "improve"
    return name


def pays(problem: Problem, candidate: Solution) -> bool:
    """Whether a candidate may replace the current plan: it mends its breaches, or gains more than the threshold."""
    now = current(problem)
    if not drivable(problem, now):
        return drivable(problem, candidate)
    if candidate == now:
        return False
    return total(problem, now) - total(problem, candidate) >= max(1, problem.policy.min_gain)
