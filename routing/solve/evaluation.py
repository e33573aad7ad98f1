"""What a route costs, part by part, and whether it may be driven: the prices every engine uses.

The checker deliberately does not use it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from routing.model import ReasonCode
from routing.solve.problem import Crew, Problem, Solution, Task, one_each
from routing.solve.rules import BARS, BREACHES, PRICES, hold_together, relations
from routing.solve.rules.changes import disruption
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


def severed(problem: Problem, crew: Crew, number: int) -> bool:
    """Whether the other half of a pair, being frozen, keeps a task from a crew.

    A delivery goes with its pickup; a pickup comes too late when its delivery is under way.
    """
    task = problem.tasks[number]
    return task.pair in problem.fixed and (not task.second or task.pair not in crew.frozen)


def closed(problem: Problem, crew: Crew, number: int) -> ReasonCode | None:
    """Why a crew may not take a task of a problem, whatever its route; None if it may."""
    bar = barred(crew, problem.tasks[number])
    if bar is None and severed(problem, crew, number):
        return ReasonCode.PRECEDENCE
    return ReasonCode.RELATION if bar is None and relations.severed(problem, crew, number) else bar


_NOBODY = ""
"""A shift that no crew has."""


def bars(problem: Problem, tasks: Sequence[int]) -> NDArray[np.uint8]:
    """(V, n): whether a crew may never take a task, as `closed` says.

    Tasks that are alike are asked once; whose van goods are on matters to that crew alone.
    """
    crews, asked = problem.crews, [problem.tasks[number] for number in tasks]
    found = np.zeros((max(1, len(asked)), len(crews)), np.uint8)  # a row for each task, while they are written
    plain: dict[tuple[object, ...], NDArray[np.uint8]] = {}
    number_of = {crew.shift_id: v for v, crew in enumerate(crews)}
    for u, (number, task) in enumerate(zip(tasks, asked, strict=True)):
        aboard = task.goods_on is not None
        like = (task.skills, task.declined_by, task.excluded, task.only, task.kind, aboard, task.pair is None, task.locked,
                task.bound_to, task.parted_from, task.reload_of)  # fmt: skip
        if like not in plain:
            anybody = replace(task, goods_on=_NOBODY) if aboard else task
            plain[like] = np.array([barred(crew, anybody) is not None for crew in crews], np.uint8)
        found[u] = plain[like]
        if task.goods_on in number_of:
            v = number_of[task.goods_on]
            found[u, v] = barred(crews[v], task) is not None
        if task.pair in problem.fixed:
            found[u] |= [severed(problem, crew, number) for crew in crews]
        if number in problem.relations_of:
            found[u] |= [relations.severed(problem, crew, number) for crew in crews]
    return np.ascontiguousarray(found.T)


def unassigned_price(task: Task, standard: int = UNASSIGNED_PRICE) -> int:
    """Price of leaving a task out: `standard` at priority 0."""
    return standard * (10 + task.priority) // 10


def evaluate(problem: Problem, crew: Crew, route: Sequence[int], *, ends_by: int | None = None) -> RouteCost:
    """Price one route and find its first breach.

    `ends_by` is `tour.deadline(problem, crew)`, given by callers that evaluate many routes of one crew.
    """
    found = tour(problem, crew, route, ends_by=ends_by)
    breach = next((breach for rule in BREACHES if (breach := rule(found)) is not None), None)
    return RouteCost({name: price(found) for name, price in PRICES.items()}, breach)


def drivable(problem: Problem, solution: Solution) -> bool:
    """Whether no route of a solution breaks a rule, nor all of them together."""
    rows = list(zip(problem.crews, solution.routes, strict=True))
    free = [task for crew, route in rows for task in route[len(crew.frozen) :]]
    owner = np.repeat(np.arange(len(rows)), [len(route) - len(crew.frozen) for crew, route in rows])
    return (not bars(problem, free)[owner, np.arange(len(free))].any() and hold_together(problem, solution.routes)
            and all(evaluate(problem, crew, route).breach is None for crew, route in rows))  # fmt: skip


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
