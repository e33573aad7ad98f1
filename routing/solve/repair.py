"""Repair: keep what still holds, take out what does not, put everything else where it costs least. In milliseconds."""

from __future__ import annotations

import numpy as np

from routing.solve import kernel
from routing.solve.arrays import Arrays
from routing.solve.problem import Problem, Solution

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
    return arrays.solution()


def mend(arrays: Arrays, initial: Solution | None = None) -> int:
    """Begin with a solution (default: the plan in force), mended. How many tasks had to be placed."""
    fixed, live = arrays.constants, arrays.live
    begin = arrays.base if initial is None else arrays.sequence(
        [route[len(crew.frozen) :] for crew, route in zip(arrays.problem.crews, initial.routes, strict=True)])  # fmt: skip
    count: int = kernel.begin_with(fixed, live, *begin)
    if count > MANY:
        kernel.recreate(fixed, live, count, 0.0, True, 9.0, 0.0)
    else:
        kernel.insert_with_regret(fixed, live, count, np.empty((count, fixed.crews), np.int64))
    kernel.keep_best(fixed, live)
    return count


def complete(problem: Problem, initial: Solution) -> Solution:
    """A solution with what it leaves out inserted, where that is possible."""
    arrays = Arrays(problem, neighbours=False)
    mend(arrays, initial)
    return arrays.solution()
