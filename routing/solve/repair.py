"""Repair: keep what still holds, take out what does not, put everything else where it costs least. In milliseconds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from routing.solve import kernel
from routing.solve.arrays import Arrays
from routing.solve.evaluation import barred, drivable, evaluate
from routing.solve.problem import Problem, Solution
from routing.solve.rules.changes import held, moves
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
    routes, waiting = [list(route) for route in solution.routes], list(solution.unassigned)
    for crew, route in zip(problem.crews, routes, strict=True):
        while len(route) > len(crew.frozen) and (breach := evaluate(problem, crew, route).breach) is not None:
            task = route[max(len(crew.frozen), min(breach.position, len(route) - 1))]
            out = {task, problem.tasks[task].pair} - set(crew.frozen)
            waiting += [other for other in route if other in out]
            route[:] = [other for other in route if other not in out]
    for task in sorted(waiting, key=lambda task: -problem.tasks[task].priority):
        found = _cheapest(problem, routes, task)
        if found is not None:
            routes[found[1]].insert(found[2], task)
    placed = {task for route in routes for task in route}
    return Solution(tuple(map(tuple, routes)), tuple(task for task in range(len(problem.tasks)) if task not in placed))


def _cheapest(problem: Problem, routes: list[list[int]], task: int) -> tuple[int, int, int] | None:
    """The least (price, crew, position) at which a single task keeps all rules, or None."""
    found: list[tuple[int, int, int]] = []
    mine, most = held(problem), problem.policy.max_moves_per_driver
    was, moved = mine.get(task), moves(mine, routes)
    for number, (crew, route) in enumerate(zip(problem.crews, routes, strict=True)):
        elsewhere = was is not None and was.crew != number
        full = elsewhere and most is not None and any(
            problem.crews[v].departed and moved[v] >= most for v in (number, was.crew if was else number))  # fmt: skip
        if full or barred(crew, problem.tasks[task]):
            continue
        before = evaluate(problem, crew, route).cost
        more = (was.move if was and elsewhere else 0) - before
        found += [(cost + more, number, position) for cost, position in insertions(problem, number, route, task)]
    return min(found, default=None)


def insertions(problem: Problem, number: int, route: Sequence[int], task: int) -> Iterator[tuple[int, int]]:
    """Each position at which a single task keeps all rules on one crew's route, and what the whole route costs then."""
    crew = problem.crews[number]
    if problem.tasks[task].pair is not None:
        return
    ends_by = deadline(problem, crew)
    for position in range(len(crew.frozen), len(route) + 1):
        after = evaluate(problem, crew, [*route[:position], task, *route[position:]], ends_by=ends_by)
        if after.breach is None:
            yield after.cost, position


def mend(arrays: Arrays, initial: Solution | None = None) -> int:
    """Begin with a solution (default: the plan in force), mended. How many tasks had to be placed."""
    fixed, live = arrays.constants, arrays.live
    count = begin(arrays, initial)
    if count > MANY:
        kernel.recreate(fixed, live, count, 0.0, True, 9.0, 0.0)
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
