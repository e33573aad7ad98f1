"""Repair: keep what still holds, take out what does not, put everything else where it costs least."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from routing.solve.evaluation import barred, deadline, evaluate, walk
from routing.solve.problem import Problem, Solution

Stop = Callable[[], bool]


def repair(problem: Problem, *, stop: Stop = lambda: False) -> Solution:
    """Mend the current plan with as few changes as possible.

    Stops that a rule now forbids are ejected; they, what is new and what was unassigned are inserted where
    it costs least, the hardest to place first; stops that have become late move if that pays for the change.
    `stop` is asked between insertions; what is not placed by then stays unassigned.
    """
    ends = [deadline(problem, crew) for crew in problem.crews]
    routes = [_keep(problem, number, ends[number]) for number in range(len(problem.crews))]
    placed = {task for route in routes for task in route}
    waiting = [task for task in range(len(problem.tasks)) if task not in placed]
    _insert_all(problem, routes, waiting, ends, stop)
    _move_late(problem, routes, ends, stop)
    placed = {task for route in routes for task in route}
    left = tuple(task for task in range(len(problem.tasks)) if task not in placed)
    return Solution(tuple(map(tuple, routes)), left)


def cheapest(problem: Problem, routes: list[list[int]], task: int, ends: list[int],
             crews: Iterable[int] | None = None) -> tuple[int, int, int] | None:  # fmt: skip
    """The cheapest feasible (extra cost, crew, position) for a task, or None."""
    best: tuple[int, int, int] | None = None
    for number in range(len(problem.crews)) if crews is None else crews:
        crew = problem.crews[number]
        if barred(crew, problem.tasks[task]):
            continue
        route = routes[number]
        before = evaluate(problem, crew, route, ends_by=ends[number])
        for position in range(len(crew.frozen), len(route) + 1):
            after = evaluate(problem, crew, [*route[:position], task, *route[position:]], ends_by=ends[number])
            if after.breach is None and (best is None or after.cost - before.cost < best[0]):
                best = (after.cost - before.cost, number, position)
    return best


def _keep(problem: Problem, number: int, ends_by: int) -> list[int]:
    """A crew's current route without the stops that break a rule; each breach costs the stop where it shows."""
    crew = problem.crews[number]
    route = [*crew.frozen, *(task for task in crew.base if barred(crew, problem.tasks[task]) is None)]
    fixed = len(crew.frozen)
    while len(route) > fixed:
        breach = evaluate(problem, crew, route, ends_by=ends_by).breach
        if breach is None:
            break
        del route[max(fixed, min(breach.position, len(route) - 1))]
    return route


def _insert_all(problem: Problem, routes: list[list[int]], waiting: list[int], ends: list[int], stop: Stop) -> None:
    """Insert by priority, then by how soon the last window closes (the least room first)."""
    tasks = problem.tasks
    far = problem.now + problem.policy.horizon
    waiting = sorted(waiting, key=lambda task: (
        -tasks[task].priority, tasks[task].windows[-1].end if tasks[task].windows else far, tasks[task].stop_id))  # fmt: skip
    for task in waiting:
        if stop():
            return
        found = cheapest(problem, routes, task, ends)
        if found is not None:  # whatever it costs: an order that can be served is
            routes[found[1]].insert(found[2], task)


def _move_late(problem: Problem, routes: list[list[int]], ends: list[int], stop: Stop) -> None:
    """Try each late stop elsewhere, once; it moves only for a gain above its price and the threshold."""
    policy = problem.policy
    late = [visit.task for crew, route in zip(problem.crews, routes, strict=True)
            for visit in walk(problem, crew, route)[len(crew.frozen):] if visit.late]  # fmt: skip
    for task in late:
        if stop():
            return
        number = next(i for i, route in enumerate(routes) if task in route)
        crew, route = problem.crews[number], routes[number]
        without = [other for other in route if other != task]
        saved = evaluate(problem, crew, route, ends_by=ends[number]).cost
        saved -= evaluate(problem, crew, without, ends_by=ends[number]).cost
        routes[number] = without
        found = cheapest(problem, routes, task, ends)
        price = policy.reorder_price if found and found[1] == number else policy.move_price
        if found is not None and saved - found[0] > price + policy.min_gain:
            routes[found[1]].insert(found[2], task)
        else:
            routes[number] = route
