"""Changing the plan in force has a price: for each stop of a driver on the road that gets another driver or predecessor.

Until a vehicle has left there is nothing to unlearn, so changes to its route are free. The nearer a stop, the more it costs
(twice as much for the very next). A stop that only has a new one before it now has not been resequenced. How many stops may
change hands can be bounded for each driver.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from routing.solve.findings import Violation
from routing.solve.problem import Problem, Solution
from routing.solve.tour import walk


@dataclass(frozen=True, slots=True)
class Held:
    """What the plan in force says of a task: the crew, the task before it (None: none), the prices of changing either."""

    crew: int
    before: int | None
    move: int
    reorder: int


@dataclass(frozen=True, slots=True)
class Disruption:
    """What a solution changes of the plan in force, for drivers on the road: stops moved and resequenced, and their price."""

    moved: int = 0
    resequenced: int = 0
    price: int = 0


def held(problem: Problem) -> dict[int, Held]:
    """The tasks that are a driver's on the road and may still be changed."""
    policy, found = problem.policy, {}
    for number, crew in enumerate(problem.crews):
        if not crew.departed:
            continue
        route = crew.frozen + crew.base
        visits = walk(problem, crew, route)
        for position in range(len(crew.frozen), len(route)):
            ahead = min(max(0, visits[position].begin - problem.now), policy.near)
            rise = 2 * policy.near - ahead
            before = route[position - 1] if position else None
            found[route[position]] = Held(
                number, before, policy.move_price * rise // policy.near, policy.reorder_price * rise // policy.near)  # fmt: skip
    return found


def disruption(problem: Problem, solution: Solution) -> Disruption:
    """What a solution changes."""
    mine = held(problem)
    found = Disruption()
    for number, route in enumerate(solution.routes):
        more = changed(problem, mine, number, route)
        found = Disruption(found.moved + more.moved, found.resequenced + more.resequenced, found.price + more.price)
    return found


def changed(problem: Problem, mine: dict[int, Held], number: int, route: Sequence[int]) -> Disruption:
    """What one crew's route changes; `mine` is `held(problem)`."""
    moved, resequenced, price = 0, 0, 0
    frozen = problem.crews[number].frozen
    for position, task in enumerate(route):
        was = mine.get(task)
        if was is None:
            continue
        previous = route[position - 1] if position else None
        if was.crew != number:
            moved, price = moved + 1, price + was.move
        elif was.before != previous and (previous is None or previous in mine or previous in frozen):
            resequenced, price = resequenced + 1, price + was.reorder
    return Disruption(moved, resequenced, price)


def moves(mine: dict[int, Held], routes: Sequence[Sequence[int]]) -> Counter[int]:
    """By crew, how many stops of drivers on the road it has given or taken."""
    found: Counter[int] = Counter()
    for number, route in enumerate(routes):
        for task in route:
            if task in mine and mine[task].crew != number:
                found.update((number, mine[task].crew))
    return found


def within_budget(problem: Problem, routes: Sequence[Sequence[int]], mine: dict[int, Held] | None = None) -> bool:
    """Whether no driver on the road gains and loses more than the depot allows; `mine` is `held(problem)`, if it is at hand."""
    most = problem.policy.max_moves_per_driver
    if most is None:
        return True
    found = moves(held(problem) if mine is None else mine, routes)
    return all(found[number] <= most for number, crew in enumerate(problem.crews) if crew.departed)


def check(problem: Problem, routes: dict[str, list[str]]) -> Iterator[Violation]:
    """No driver on the road gains and loses more than the depot allows."""
    most = problem.policy.max_moves_per_driver
    if most is None:
        return
    had = {problem.tasks[task].stop_id: crew.shift_id for crew in problem.crews if crew.departed for task in crew.base}
    moves: Counter[str] = Counter()
    for shift, stops in routes.items():
        for stop in stops:
            if had.get(stop, shift) != shift:
                moves[shift] += 1
                moves[had[stop]] += 1
    for crew in problem.crews:
        if crew.departed and moves[crew.shift_id] > most:
            yield Violation("disruption_budget", crew.shift_id, f"{moves[crew.shift_id]} stops change hands of {most}")
