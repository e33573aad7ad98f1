"""Crews that are alike: which of them drives which route is told apart only by who has most of its stops already."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from routing.solve.problem import Problem

Routes = list[tuple[int, ...]]


def recognized(problem: Problem, kinds: Sequence[int], bars: NDArray[np.uint8], routes: Routes) -> Routes:
    """Routes of crews of one kind, given out so that as many stops as possible stay with their crew: nobody swaps for nothing.

    Parameters
    ----------
    kinds
        A number for each crew; crews of one kind can take over each other's whole routes at no price, if no stop bars them.
    bars
        (V, tasks): whether a crew may never take a task.
    """
    alike: dict[int, list[int]] = defaultdict(list)
    for v, kind in enumerate(kinds):
        alike[kind].append(v)
    found = list(routes)
    for crews in alike.values():
        if len(crews) == 1:
            continue
        owner = {task: row for row, v in enumerate(crews) for task in problem.crews[v].base}
        shared = np.zeros((len(crews), len(crews)), np.int64)
        for column, v in enumerate(crews):
            for task in routes[v]:
                if task in owner:
                    shared[owner[task], column] += 1
        if np.count_nonzero(shared) > np.count_nonzero(shared.diagonal()):
            has = np.zeros((len(crews), bars.shape[1]), np.int64)
            for column, v in enumerate(crews):
                has[column, list(routes[v])] = 1
            may = bars[crews].astype(np.int64) @ has.T == 0
            for row, column in enumerate(_assigned(shared, may)):
                found[crews[row]] = routes[crews[column]]
    return found


def _assigned(shared: NDArray[np.int64], may: NDArray[np.bool_]) -> list[int]:
    """By row, its column: the most shared stops in all, and then the most crews that keep their own. All may keep theirs."""
    from ortools.graph.python.linear_sum_assignment import SimpleLinearSumAssignment  # a moment to import, seldom needed

    size = len(shared)
    rows, columns = (index.astype(np.int32) for index in np.nonzero(may | np.eye(size, dtype=np.bool_)))
    model = SimpleLinearSumAssignment()
    model.add_arcs_with_cost(rows, columns, -((size + 1) * shared + np.eye(size, dtype=np.int64))[rows, columns])
    if model.solve() != model.OPTIMAL:
        raise ArithmeticError("an assignment without bounds has no solution")
    return [model.right_mate(row) for row in range(size)]
