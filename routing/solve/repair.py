"""Repair: keep what still holds, take out what does not, put everything else where it costs least. In milliseconds."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import numpy as np

from routing.model import RelationKind
from routing.solve import kernel
from routing.solve.arrays import Arrays
from routing.solve.evaluation import bars, closed, drivable, evaluate
from routing.solve.problem import Problem, Solution, of_routes, one_each
from routing.solve.rules import hold_together
from routing.solve.rules.changes import Held, changed, held
from routing.solve.stopping import Stop, never, slices
from routing.solve.tour import deadline

PLACES = 5
"""Of so many crews that seem cheapest, the best place by the hour is taken."""

RETRIED = 10
"""So many of the tasks that are left out are tried again by the hour, the most important first."""

MANY = 300
"""Above so many tasks to place, as in a plan from scratch, they are not compared with each other but placed in turn."""


def repair(problem: Problem, initial: Solution | None = None, *, stop: Stop = never) -> Solution:
    """Mend a solution (default: the plan in force) with as few changes as possible.

    Stops that a rule now forbids are ejected; they, what is new and what was unassigned are inserted where it costs least,
    the most important and the hardest to place first; stops that are late move if that pays for the change. It takes milliseconds;
    where routes are long and more is left out than fits, `stop` ends the last search for places by the hour.
    """
    arrays = Arrays(problem, neighbours=False)
    mend(arrays, initial)
    before = int(arrays.live.total[kernel.COSTS])
    kernel.move_late(arrays.constants, arrays.live, problem.policy.min_gain)
    kernel.keep_best(arrays.constants, arrays.live)
    found = arrays.solution()
    if found.unassigned and arrays.live.total[kernel.COSTS] != before:  # what has moved may have made room
        mend(arrays, found)
        found = arrays.solution()
    new = [task for task in found.unassigned if not problem.tasks[task].was_unassigned]
    return settle(problem, found, stop=stop, again=new)


def settle(problem: Problem, solution: Solution, *, stop: Stop = never, again: Collection[int] = ()) -> Solution:
    """Hold a solution to the hours of the day, which the kernel does not know.

    Stops that break a rule at the hours they would be driven to are taken out, and put where the kernel finds a place that keeps
    the rules then, or are left out; so are those that are not put back yet when `stop` says so. Of what is left out already some of
    `again` is tried again: the kernel may have found no place for it only because it does not know the hours.
    """
    left = one_each(problem, set(solution.unassigned).intersection(again))
    if problem.hours is None or (not left and drivable(problem, solution)):
        return solution
    routes, waiting = [list(route) for route in solution.routes], list[int]()
    shut = bars(problem, range(len(problem.tasks)))
    for v, (crew, route) in enumerate(zip(problem.crews, routes, strict=True)):
        wrong = [task for task in route[len(crew.frozen) :] if shut[v, task]]
        while len(route) > len(crew.frozen):
            breach = evaluate(problem, crew, route).breach
            if wrong:
                task = wrong.pop()
            elif breach is not None:
                task = route[max(len(crew.frozen), min(breach.position, len(route) - 1))]
            else:
                break
            out = {half for half in (task, problem.tasks[task].pair) if half is not None} - problem.fixed
            waiting += one_each(problem, out.intersection(route))
            route[:] = [other for other in route if other not in out]
    waiting += _torn(problem, routes)
    waiting, left = (sorted(some, key=lambda task: -problem.tasks[task].priority) for some in (waiting, left))
    if waiting or left:
        _put_back(problem, routes, [*waiting, *left[:RETRIED]], stop)
    return of_routes(problem, routes)


def _torn(problem: Problem, routes: list[list[int]]) -> list[int]:
    """Take out what breaks a relation between two routes, or may not be in one; what they are, one for each order."""
    owner = {number: v for v, route in enumerate(routes) for number in route}
    out: set[int] = set()
    for kind, task, other in problem.relations:
        if task in owner and other in owner and (owner[task] == owner[other]) == (kind is RelationKind.NOT_TOGETHER):
            number = task if task not in problem.fixed else other
            pair = problem.tasks[number].pair
            for half in ({number} if pair is None else {number, pair}) & owner.keys() - problem.fixed:
                routes[owner.pop(half)].remove(half)
                out.add(half)
    return one_each(problem, out)


def _put_back(problem: Problem, routes: list[list[int]], waiting: Sequence[int], stop: Stop) -> None:
    """Put tasks into routes: of the places that the kernel finds cheapest, the cheapest that keeps all rules by the hour."""
    arrays, mine = Arrays(problem, neighbours=False), held(problem)

    def price(v: int, route: Sequence[int]) -> int:
        return evaluate(problem, problem.crews[v], route).cost + changed(problem, mine, v, route).price

    offers = np.empty((1, len(problem.crews), 4), np.int64)
    for task in waiting:
        if stop():
            return
        begin(arrays, Solution(tuple(map(tuple, routes)), ()))
        u = arrays.number[task]
        window = arrays.live.node[[u], kernel.OPEN : kernel.CLOSE + 1].astype(np.int64)
        kernel.offers(arrays.constants, arrays.live, u, window, offers)
        found = []
        for v in np.argsort(offers[0, :, 0], kind="stable")[:PLACES].tolist():
            if offers[0, v, 0] < kernel.NO:
                route = inserted(arrays, routes[v], task, *offers[0, v, 2:].tolist())
                good = evaluate(problem, problem.crews[v], route).breach is None
                if good and hold_together(problem, [*routes[:v], route, *routes[v + 1 :]], mine):
                    found.append((price(v, route) - price(v, routes[v]), v, route))
        if not found:  # all other places, too
            halves = [arrays.number[half] for half in (task, problem.tasks[task].pair) if half in arrays.number]
            open_ = [v for v in np.argsort(offers[0, :, 0], kind="stable").tolist() if not arrays.bar[v, halves].any()]
            found = [(cost - price(v, routes[v]), v, way)
                     for v in open_[:PLACES] for cost, way in insertions(problem, mine, v, routes[v], task, stop=stop)
                     if hold_together(problem, [*routes[:v], way, *routes[v + 1 :]], mine)]  # fmt: skip
        if found:
            _, v, route = min(found)
            routes[v] = route


def inserted(arrays: Arrays, route: Sequence[int], task: int, first: int, second: int) -> list[int]:
    """A route with a task behind the kernel's node `first`, and the other half of a pair behind `second`."""
    found = list(route)
    at = found.index(arrays.tasks[first]) + 1 if first < len(arrays.tasks) else len(found) - sum(
        other in arrays.number for other in found)  # fmt: skip
    found.insert(at, task)
    pair = arrays.problem.tasks[task].pair
    if second >= 0 and pair is not None:
        found.insert(found.index(arrays.tasks[second]) + 1, pair)
    return found


def insertions(problem: Problem, mine: dict[int, Held], number: int, route: Sequence[int], task: int, *,
               stop: Stop = never) -> Iterator[tuple[int, list[int]]]:  # fmt: skip
    """Each way to put a task, or a pickup with its delivery, into one crew's route that keeps all rules, and what it costs then.

    The last one is behind all others and one reload more, if the crew has one left.

    Changes of the plan in force are in the price; `mine` is `changes.held(problem)`. Places after `stop` says so are not tried.
    """
    crew, pair = problem.crews[number], problem.tasks[task].pair
    ends_by, spare = deadline(problem, crew), crew.spare(route)
    both = pair is not None and not problem.tasks[task].second and pair not in problem.fixed

    def ways() -> Iterator[list[int]]:
        for position in range(len(crew.frozen), len(route) + 1):
            way = [*route[:position], task, *route[position:]]
            if pair is not None and both:
                yield from ([*way[:second], pair, *way[second:]] for second in range(position + 1, len(route) + 2))
            else:
                yield way
        if spare is not None and closed(problem, crew, spare) is None:
            yield [*route, spare, task, *([pair] if pair is not None and both else [])]

    for way in ways():
        if stop():
            return
        after = evaluate(problem, crew, way, ends_by=ends_by)
        if after.breach is None:
            yield after.cost + changed(problem, mine, number, way).price, way


def mend(arrays: Arrays, initial: Solution | None = None, *, stop: Stop = never) -> int:
    """Begin with a solution (default: the plan in force), mended. How many tasks had to be placed.

    Raises
    ------
    Stopped
        If `stop` says so, which is asked every few milliseconds.
    """
    fixed, live = arrays.constants, arrays.live
    count = begin(arrays, initial)
    if count > MANY:
        for first, last in slices(count, stop):
            kernel.chain(fixed, live, arrays.keys, first, last, count)
        for first, last in slices(count, stop):
            kernel.recreate(fixed, live, first, last, 0.0, True, 0.0)
    else:
        table, left = np.empty((count, fixed.crews), np.int64), count
        for first, last in slices(count, stop):
            kernel.price_waiting(fixed, live, first, last, table)
        for first, last in slices(count, stop):
            left = kernel.insert_with_regret(fixed, live, left, last - first, table)
    for v, crew in enumerate(arrays.problem.crews):
        if crew.reloads:
            kernel.drop_reloads(fixed, live, v)
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
