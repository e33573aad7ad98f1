"""Changing the plan in force has a price: for each stop of a driver on the road that gets another driver or predecessor.

Until a vehicle has left there is nothing to unlearn, so changes to its route are free. The nearer a stop, the more it costs
(twice as much for the very next). A stop that only has new ones between its predecessor and itself has not been resequenced;
the price, which has to be told from one leg, lets any stop right behind a new one off. How many stops of drivers on the road may
change hands can be bounded: for each of them, what is given and what is taken together. What a driver can keep no longer (declined,
silent, off duty) is no choice of the plan: it has no price, is not counted, and uses up nothing of that bound.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from routing.solve.findings import Violation
from routing.solve.problem import Problem, Solution
from routing.solve.rules.windows import shifted
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
    """What a solution changes of the plan in force, for drivers on the road: stops moved and resequenced, and their price.

    `shifted` are the stops of all drivers that are planned to begin later than promised.
    """

    moved: int = 0
    resequenced: int = 0
    price: int = 0
    shifted: int = 0


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
    """What a solution changes. A stop that was somebody's and is nobody's any more has been moved."""
    mine = held(problem)
    parts = [changed(problem, mine, number, route) for number, route in enumerate(solution.routes)]
    late = sum(shifted(visit, problem.tasks[visit.task]) for crew, route in zip(problem.crews, solution.routes, strict=True)
               for visit in walk(problem, crew, route))  # fmt: skip
    return Disruption(sum(part.moved for part in parts) + len(mine.keys() & set(solution.unassigned)),
                      sum(part.resequenced for part in parts), sum(part.price for part in parts), late)  # fmt: skip


def changed(problem: Problem, mine: dict[int, Held], number: int, route: Sequence[int]) -> Disruption:
    """What one crew's route changes; `mine` is `held(problem)`."""
    moved, resequenced, price = 0, 0, 0
    frozen = problem.crews[number].frozen
    known: int | None = None  # the last stop that is not new
    for position, task in enumerate(route):
        was = mine.get(task)
        if was is not None and was.crew != number:
            moved, price = moved + 1, price + was.move
        elif was is not None and was.before != known:
            resequenced += 1
            price += was.reorder if known == (route[position - 1] if position else None) else 0
        if was is not None or task in frozen:
            known = task
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
