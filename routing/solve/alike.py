"""Crews that are alike: which of them drives which route is told apart only by who has most of its stops already."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from routing.solve.problem import Problem

Routes = list[tuple[int, ...]]


def recognized(problem: Problem, kinds: Sequence[int], routes: Routes) -> Routes:
    """Routes of crews of one kind, given out so that as many stops as possible stay with their crew: nobody swaps for nothing.

    `kinds` has a number for each crew; crews of one kind can take over each other's whole routes at no price.
    """
    alike: dict[int, list[int]] = defaultdict(list)
    for v, kind in enumerate(kinds):
        alike[kind].append(v)
    found = list(routes)
    for crews in alike.values():
        owner = {task: row for row, v in enumerate(crews) for task in problem.crews[v].base}
        shared = np.zeros((len(crews), len(crews)), np.int64)
        for column, v in enumerate(crews):
            for task in routes[v]:
                if task in owner:
                    shared[owner[task], column] += 1
        if np.count_nonzero(shared) > np.count_nonzero(shared.diagonal()):
            for row, column in enumerate(_assigned(shared)):
                found[crews[row]] = routes[crews[column]]
    return found


def _assigned(shared: NDArray[np.int64]) -> list[int]:
    """By row, its column: the most shared stops in all, and then the most crews that keep their own."""
    from ortools.graph.python.linear_sum_assignment import SimpleLinearSumAssignment  # a moment to import, seldom needed

    size = len(shared)
    rows, columns = np.divmod(np.arange(size * size, dtype=np.int32), np.int32(size))
    model = SimpleLinearSumAssignment()
    model.add_arcs_with_cost(rows, columns, -((size + 1) * shared + np.eye(size, dtype=np.int64)).ravel())
    if model.solve() != model.OPTIMAL:
        raise ArithmeticError("an assignment without bounds has no solution")
    return [model.right_mate(row) for row in range(size)]
