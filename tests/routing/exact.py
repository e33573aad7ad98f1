"""The oracle for small problems: the least that any plan can cost, by trying all routes of each crew."""

from __future__ import annotations

from itertools import permutations

from routing.solve.evaluation import closed, evaluate, unassigned_price
from routing.solve.problem import Problem, Solution
from routing.solve.rules.changes import disruption
from routing.solve.rules.relations import kept
from routing.solve.tour import deadline


def least_cost(problem: Problem) -> int:
    """The price of the best plan, changes of the plan in force included; `max_moves_per_driver` must be off.

    For each crew the best route of each set of tasks, then the best way to share them out, one crew after the other.
    """
    free = sorted(set(range(len(problem.tasks))) - {task for crew in problem.crews for task in crew.frozen})
    best: dict[tuple[int, ...], int] = {(): 0}
    for v in range(len(problem.crews)):
        routes = _routes(problem, v, free)
        best = {(*sets, mine): cost + price for sets, cost in best.items() for mine, price in routes.items()
                if not sum(sets) & mine}  # fmt: skip
    return min(cost + _left_out(problem, free, sum(sets)) for sets, cost in best.items() if _together(problem, free, sets))


def _together(problem: Problem, free: list[int], sets: tuple[int, ...]) -> bool:
    """Whether sets of tasks, one for each crew, keep the relations between crews."""
    return kept(problem, [[*crew.frozen, *(task for bit, task in enumerate(free) if mine & 1 << bit)]
                          for crew, mine in zip(problem.crews, sets, strict=True)])  # fmt: skip


def _routes(problem: Problem, v: int, free: list[int]) -> dict[int, int]:
    """By set of tasks, as bits of their place in `free`: the cost of the best route."""
    crew = problem.crews[v]
    found: dict[int, int] = {}
    mine = [bit for bit, task in enumerate(free) if closed(problem, crew, task) is None]
    ends_by, others = deadline(problem, crew), [crew.frozen for crew in problem.crews]
    for length in range(len(mine) + 1):
        for bits in permutations(mine, length):
            route = (*crew.frozen, *(free[bit] for bit in bits))
            priced = evaluate(problem, crew, route, ends_by=ends_by)
            if priced.breach is not None:
                continue
            others[v] = route
            cost = priced.cost + disruption(problem, Solution(tuple(others), ())).price
            mask = sum(1 << bit for bit in bits)
            found[mask] = min(found.get(mask, cost), cost)
    return found


def _left_out(problem: Problem, free: list[int], mask: int) -> int:
    """The price of what is in no route, each order once."""
    left = {problem.tasks[task].order_id: problem.tasks[task] for bit, task in enumerate(free)
            if not mask & 1 << bit and problem.tasks[task].reload_of is None}  # fmt: skip
    return sum(unassigned_price(task) for task in left.values())
