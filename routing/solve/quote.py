"""Quotes: for a prospective order, the windows it could still be served in, by whom, and what that would cost more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from routing.model import TimeWindow
from routing.solve import kernel
from routing.solve.arrays import Arrays
from routing.solve.evaluation import total, unassigned_price
from routing.solve.problem import Problem, Solution
from routing.solve.repair import begin, settle
from routing.solve.tour import walk


@dataclass(frozen=True, slots=True)
class Offer:
    """One driver's best offer for a window: what it would cost more, in seconds of driving, and when service would begin."""

    window: TimeWindow
    driver_id: str
    shift_id: str
    extra_cost: int
    begin: int


def quote(problem: Problem, task: int, windows: Sequence[TimeWindow]) -> list[Offer]:
    """Offers for a task that is in no route, in each of some windows, the cheapest first; the plan in force stays as it is.

    Parameters
    ----------
    task
        Index of the task, or of the pickup of a pair; `windows` are taken as hard ones in place of its own.
    """
    found = []
    for window in windows:
        tasks = list(problem.tasks)
        tasks[task] = replace(tasks[task], windows=(window,), hard=True)
        asked = replace(problem, tasks=tuple(tasks))
        found += _offers(asked, task, window)
    return sorted(found, key=lambda offer: (offer.window.start, offer.window.end, offer.extra_cost, offer.driver_id))


def _offers(problem: Problem, task: int, window: TimeWindow) -> list[Offer]:
    arrays = Arrays(problem, neighbours=False)
    u, offers = arrays.number[task], []
    for v, crew in enumerate(problem.crews):
        begin(arrays)
        before = _solution(problem, arrays)
        if kernel.price_on(arrays.constants, arrays.live, u, v) >= kernel.NO:
            continue
        kernel.place_on(arrays.constants, arrays.live, u, v)
        after = _solution(problem, arrays)
        if task not in {other for route in after.routes for other in route}:
            continue
        visits = walk(problem, crew, after.routes[v])
        at = next(visit.begin for visit in visits if visit.task == task)
        extra = total(problem, after) - total(problem, before) + unassigned_price(problem.tasks[task])
        offers.append(Offer(window, crew.driver_id, crew.shift_id, extra, at))
    return offers


def _solution(problem: Problem, arrays: Arrays) -> Solution:
    kernel.keep_best(arrays.constants, arrays.live)
    return settle(problem, arrays.solution())
