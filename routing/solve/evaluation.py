"""What a route costs, part by part, and whether it may be driven: the prices every engine uses.

The checker deliberately does not use it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from routing.model import ReasonCode
from routing.solve.problem import Crew, Problem, Solution, Task, one_each
from routing.solve.rules import BARS, BREACHES, PRICES
from routing.solve.rules.changes import disruption, within_budget
from routing.solve.rules.prices import UNASSIGNED_PRICE
from routing.solve.tour import Breach, tour


@dataclass(frozen=True, slots=True)
class RouteCost:
    """A route's price by part, in seconds of driving, and its first breach if it may not be driven."""

    parts: dict[str, int]
    breach: Breach | None

    @property
    def cost(self) -> int:
        """All parts."""
        return sum(self.parts.values())


def barred(crew: Crew, task: Task) -> ReasonCode | None:
    """Why this crew may never take this task, whatever its route; None if it may."""
    return next((code for bars in BARS if (code := bars(crew, task)) is not None), None)


def unassigned_price(task: Task) -> int:
    """Price of leaving a task out."""
    return UNASSIGNED_PRICE * (10 + task.priority) // 10


def evaluate(problem: Problem, crew: Crew, route: Sequence[int], *, ends_by: int | None = None) -> RouteCost:
    """Price one route and find its first breach.

    `ends_by` is `tour.deadline(problem, crew)`, given by callers that evaluate many routes of one crew.
    """
    found = tour(problem, crew, route, ends_by=ends_by)
    breach = next((breach for rule in BREACHES if (breach := rule(found)) is not None), None)
    return RouteCost({name: price(found) for name, price in PRICES.items()}, breach)


def drivable(problem: Problem, solution: Solution) -> bool:
    """Whether no route of a solution breaks a rule, and no more stops change hands than may."""
    rows = zip(problem.crews, solution.routes, strict=True)
    return within_budget(problem, solution.routes) and all(evaluate(problem, crew, route).breach is None for crew, route in rows)


def parts(problem: Problem, solution: Solution) -> dict[str, int]:
    """The price of a whole solution by part, `changes` and `unassigned` included."""
    found = dict.fromkeys(PRICES, 0)
    for crew, route in zip(problem.crews, solution.routes, strict=True):
        for name, price in evaluate(problem, crew, route).parts.items():
            found[name] += price
    found["changes"] = disruption(problem, solution).price
    found["unassigned"] = sum(unassigned_price(problem.tasks[task]) for task in one_each(problem, set(solution.unassigned)))
    return found


def total(problem: Problem, solution: Solution) -> int:
    """Price of a whole solution, changes of the plan in force included."""
    return sum(parts(problem, solution).values())
