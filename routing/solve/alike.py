"""Crews that are alike: which of them drives which route is told apart only by who has most of its stops already."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from routing.solve.problem import Problem

Routes = list[tuple[int, ...]]


def recognized(problem: Problem, kinds: Sequence[int], routes: Routes) -> Routes:
    """Routes of crews of one kind, given out so that as many stops as possible stay with their crew: nobody swaps for nothing.

    `kinds` has a number for each crew; crews of one kind can take over each other's whole routes at no price.
    """
    owner = {task: v for v, crew in enumerate(problem.crews) for task in crew.base}
    alike: dict[int, list[int]] = defaultdict(list)
    for v, kind in enumerate(kinds):
        alike[kind].append(v)
    found = list(routes)
    for crews in alike.values():
        shared = Counter((owner[task], w) for w in crews for task in routes[w] if task in owner)
        shared = Counter({pair: count for pair, count in shared.items() if pair[0] in crews})
        if any(v != w for v, w in shared):
            for v, w in _assigned(crews, shared).items():
                found[v] = routes[w]
    return found


def _assigned(crews: Sequence[int], shared: Counter[tuple[int, int]]) -> dict[int, int]:
    """By crew, whose route it takes: the most shared stops in all, and then the most crews that keep their own."""
    from ortools.graph.python.linear_sum_assignment import SimpleLinearSumAssignment  # a moment to import, seldom needed

    number, size = {v: row for row, v in enumerate(crews)}, len(crews)
    model = SimpleLinearSumAssignment()
    weight = dict.fromkeys(((row, row) for row in range(size)), 1)
    for (v, w), count in shared.items():
        weight[number[v], number[w]] = (size + 1) * count + (v == w)
    for left in range(size):
        for right in range(size):
            model.add_arc_with_cost(left, right, -weight.get((left, right), 0))
    if model.solve() != model.OPTIMAL:
        raise ArithmeticError("an assignment without bounds has no solution")
    return {v: crews[model.right_mate(row)] for row, v in enumerate(crews)}
