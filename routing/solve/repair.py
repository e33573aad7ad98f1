"""Repair: keep what still holds, take out what does not, put everything else where it costs least. In milliseconds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from routing.solve import kernel
from routing.solve.arrays import AT_ONCE, Arrays, Stopped
from routing.solve.evaluation import barred, drivable, evaluate
from routing.solve.problem import Problem, Solution, one_each
from routing.solve.rules.changes import Held, changed, held, within_budget
from routing.solve.tour import deadline

MANY = 300
"""Above so many tasks to place, as in a plan from scratch, they are not compared with each other but placed in turn."""


def repair(problem: Problem) -> Solution:
    """Mend the plan in force with as few changes as possible.

    Stops that a rule now forbids are ejected; they, what is new and what was unassigned are inserted where it costs least,
    the most important and the hardest to place first; stops that are late move if that pays for the change.
    """
    arrays = Arrays(problem, neighbours=False)
    mend(arrays)
    kernel.move_late(arrays.constants, arrays.live, problem.policy.min_gain)
    kernel.keep_best(arrays.constants, arrays.live)
    return settle(problem, arrays.solution())


def settle(problem: Problem, solution: Solution) -> Solution:
    """Hold a solution to the hours of the day, which the kernel does not know.

    Stops that break a rule at the hours they would be driven to are taken out and put where they cost least, or left out.
    """
    if problem.hours is None or drivable(problem, solution):
        return solution
    routes, waiting = [list(route) for route in solution.routes], list[int]()
    for crew, route in zip(problem.crews, routes, strict=True):
        while len(route) > len(crew.frozen) and (breach := evaluate(problem, crew, route).breach) is not None:
            task = route[max(len(crew.frozen), min(breach.position, len(route) - 1))]
            out = {half for half in (task, problem.tasks[task].pair) if half is not None} - set(crew.frozen)
            waiting += one_each(problem, out.intersection(route))
            route[:] = [other for other in route if other not in out]
    mine = held(problem)
    for task in sorted(waiting, key=lambda task: -problem.tasks[task].priority):
        found = _cheapest(problem, mine, routes, task)
        if found is not None:
            _, number, route = found
            routes[number] = route
    placed = {task for route in routes for task in route}
    return Solution(tuple(map(tuple, routes)), tuple(task for task in range(len(problem.tasks)) if task not in placed))


def _cheapest(problem: Problem, mine: dict[int, Held], routes: list[list[int]], task: int) -> tuple[int, int, list[int]] | None:
    """The least price at which a task, or a pickup with its delivery, keeps all rules on some crew, and its route then."""
    found: list[tuple[int, int, list[int]]] = []
    halves = [problem.tasks[half] for half in (task, problem.tasks[task].pair) if half is not None]
    for number, (crew, route) in enumerate(zip(problem.crews, routes, strict=True)):
        if any(barred(crew, half) for half in halves):
            continue
        before = evaluate(problem, crew, route).cost + changed(problem, mine, number, route).price
        best = min(insertions(problem, mine, number, route, task), default=None)
        if best is not None and within_budget(problem, [*routes[:number], best[1], *routes[number + 1 :]], mine):
            found.append((best[0] - before, number, best[1]))
    return min(found, default=None)


def insertions(problem: Problem, mine: dict[int, Held], number: int, route: Sequence[int],
               task: int) -> Iterator[tuple[int, list[int]]]:  # fmt: skip
    """Each way to put a task, or a pickup with its delivery, into one crew's route that keeps all rules, and what it costs then.

    Changes of the plan in force are in the price; `mine` is `changes.held(problem)`.
    """
    crew, pair = problem.crews[number], problem.tasks[task].pair
    ends_by = deadline(problem, crew)
    for position in range(len(crew.frozen), len(route) + 1):
        ways = [[*route[:position], task, *route[position:]]]
        if pair is not None and not problem.tasks[task].second:
            ways = [[*ways[0][:second], pair, *ways[0][second:]] for second in range(position + 1, len(route) + 2)]
        for way in ways:
            after = evaluate(problem, crew, way, ends_by=ends_by)
            if after.breach is None:
                yield after.cost + changed(problem, mine, number, way).price, way


def mend(arrays: Arrays, initial: Solution | None = None, *, stop: Callable[[], bool] = lambda: False) -> int:
    """Begin with a solution (default: the plan in force), mended. How many tasks had to be placed.

    Raises
    ------
    Stopped
        If `stop` says so, which is asked every few milliseconds of a plan from scratch.
    """
    fixed, live = arrays.constants, arrays.live
    count = begin(arrays, initial)
    if count > MANY:
        kernel.arrange(fixed, live, count, 9.0)
        for first in range(0, count, AT_ONCE):
            if stop():
                raise Stopped
            kernel.recreate(fixed, live, first, min(first + AT_ONCE, count), 0.0, True, 0.0)
    else:
        kernel.insert_with_regret(fixed, live, count, np.empty((count, fixed.crews), np.int64))
    kernel.keep_best(fixed, live)
    return count


def begin(arrays: Arrays, initial: Solution | None = None) -> int:
    """Begin with what of a solution (default: the plan in force) keeps the rules. How many tasks wait to be placed."""
    sequence = arrays.base if initial is None else arrays.sequence(
        [route[len(crew.frozen) :] for crew, route in zip(arrays.problem.crews, initial.routes, strict=True)])  # fmt: skip
    count: int = kernel.begin_with(arrays.constants, arrays.live, *sequence)
    return count


def complete(problem: Problem, initial: Solution) -> Solution:
    """A solution with what it leaves out inserted, where that is possible."""
    arrays = Arrays(problem, neighbours=False)
    mend(arrays, initial)
    return settle(problem, arrays.solution())
