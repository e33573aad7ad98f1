"""Quotes: for a prospective order, the windows it could still be served in, by whom, and what that would cost more."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from routing.model import TimeWindow
from routing.solve import kernel as k
from routing.solve.arrays import Arrays
from routing.solve.evaluation import closed, evaluate
from routing.solve.problem import Problem, Solution
from routing.solve.repair import begin, inserted, insertions, settle
from routing.solve.rules import hold_together
from routing.solve.rules.changes import changed, held
from routing.solve.tour import deadline, walk


@dataclass(frozen=True, slots=True)
class Offer:
    """One driver's best offer for a window: what it would cost more, in seconds of driving, and when service would begin."""

    window: TimeWindow
    driver_id: str
    shift_id: str
    extra_cost: int
    begin: int


def slots(problem: Problem, length: int = 3600) -> list[TimeWindow]:
    """The windows of a length, on the round, from now to the end of the last shift: what to ask for if nothing is wished for."""
    end = max((crew.shift_end + crew.overtime for crew in problem.crews), default=problem.now)
    return [TimeWindow(start, start + length) for start in range(problem.now // length * length, end, length)]


def quote(problem: Problem, task: int, windows: Sequence[TimeWindow]) -> list[Offer]:
    """Offers for a task that is in no route, in each of some windows, the cheapest first; the plan in force stays as it is.

    Parameters
    ----------
    task
        Index of the task, or of the pickup of a pair; `windows` are taken as hard ones in place of its own.
    """
    wanted = problem.tasks[task]
    asked = replace(wanted, windows=(), hard=True)
    problem = replace(problem, tasks=(*problem.tasks[:task], asked, *problem.tasks[task + 1 :]))
    arrays = Arrays(problem, neighbours=False)
    begin(arrays)
    earliest = max(problem.now, wanted.not_before or problem.now)
    open_ = [window for window in windows if window.end >= earliest]
    spans = np.array([(max(window.start, earliest), window.end) for window in open_], np.int64).reshape(-1, 2) - arrays.zero
    found = np.empty((len(open_), len(problem.crews), 4), np.int64)
    k.offers(arrays.constants, arrays.live, arrays.number[task], np.clip(spans, -k.BEYOND, k.BEYOND), found)
    k.keep_best(arrays.constants, arrays.live)  # the plan in force as far as it keeps the rules
    kernels = arrays.solution()
    start = settle(problem, kernels)
    if problem.hours is not None or any(crew.rests for crew in problem.crews):
        offers = _by_the_hour(arrays, kernels, start, task, open_, found)
    else:
        offers = [Offer(open_[s], problem.crews[v].driver_id, problem.crews[v].shift_id, int(found[s, v, 0]),
                        int(found[s, v, 1]) + arrays.zero)
                  for s, v in zip(*np.nonzero(found[:, :, 0] < k.NO), strict=True)]  # fmt: skip
    best: dict[tuple[TimeWindow, str], Offer] = {}
    for offer in (*offers, *_coming_back(problem, start, task, open_)):
        known = best.setdefault((offer.window, offer.shift_id), offer)
        if offer.extra_cost < known.extra_cost:
            best[offer.window, offer.shift_id] = offer
    return sorted(best.values(), key=lambda offer: (offer.window.start, offer.window.end, offer.extra_cost, offer.driver_id))


def _coming_back(problem: Problem, start: Solution, task: int, windows: Sequence[TimeWindow]) -> Iterator[Offer]:
    """Offers of whoever may come back to the depot once more, and would do so at the end of the route."""
    if not any(crew.reloads for crew in problem.crews):
        return
    mine = held(problem)
    wanted = [half for half in (task, problem.tasks[task].pair) if half is not None]
    for v, (crew, route) in enumerate(zip(problem.crews, start.routes, strict=True)):
        spare = crew.spare(route)
        if spare is None or any(closed(problem, crew, other) for other in (spare, *wanted)):
            continue
        longer, ends = (*route, spare, *wanted), deadline(problem, crew)
        if not hold_together(problem, [*start.routes[:v], longer, *start.routes[v + 1 :]]):
            continue
        before = evaluate(problem, crew, route, ends_by=ends).cost + changed(problem, mine, v, route).price
        soonest = next(visit.begin for visit in walk(problem, crew, longer) if visit.task == task)
        for window in (window for window in windows if window.end >= soonest):
            tasks = list(problem.tasks)
            tasks[task] = replace(tasks[task], windows=(window,))
            asked = replace(problem, tasks=tuple(tasks))
            after = evaluate(asked, crew, longer, ends_by=ends)
            if after.breach is None:
                begins = next(visit.begin for visit in walk(asked, crew, longer) if visit.task == task)
                cost = after.cost + changed(asked, mine, v, longer).price
                yield Offer(window, crew.driver_id, crew.shift_id, cost - before, begins)


def _by_the_hour(arrays: Arrays, kernels: Solution, start: Solution, task: int, windows: Sequence[TimeWindow],
                 found: NDArray[np.int64]) -> list[Offer]:  # fmt: skip
    """The same held to the hours of the day: where the kernel's place breaks a rule then, all others of that route are tried.

    `start` is what these leave of the `kernels`.
    """
    ends = [deadline(arrays.problem, crew) for crew in arrays.problem.crews]
    mine = held(arrays.problem)
    before = [evaluate(arrays.problem, crew, route, ends_by=end).cost + changed(arrays.problem, mine, v, route).price
              for v, (crew, route, end) in enumerate(zip(arrays.problem.crews, start.routes, ends, strict=True))]  # fmt: skip
    offers = []
    for s, window in enumerate(windows):
        tasks = list(arrays.problem.tasks)
        tasks[task] = replace(tasks[task], windows=(window,))
        problem = replace(arrays.problem, tasks=tuple(tasks))
        for v in np.flatnonzero(found[s, :, 0] < k.NO).tolist():
            crew = problem.crews[v]
            best: tuple[int, list[int]] | None = None
            if start.routes[v] == kernels.routes[v]:
                route = inserted(arrays, start.routes[v], task, *found[s, v, 2:].tolist())
                priced = evaluate(problem, crew, route, ends_by=ends[v])
                best = (priced.cost + changed(problem, mine, v, route).price, route) if priced.breach is None else None
            if best is None:
                best = min(insertions(problem, mine, v, start.routes[v], task), default=None)
            if best is not None:
                begins = next(visit.begin for visit in walk(problem, crew, best[1]) if visit.task == task)
                offers.append(Offer(window, crew.driver_id, crew.shift_id, best[0] - before[v], begins))
    return offers
