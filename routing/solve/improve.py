"""Improve: search from a plan for a better one, by ruin and recreate with exchanges of tails."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from routing.solve import kernel
from routing.solve.arrays import Arrays
from routing.solve.evaluation import drivable, total
from routing.solve.problem import Problem, Solution, current
from routing.solve.repair import complete, mend, settle
from routing.solve.rules.prices import LATE_CAP
from routing.solve.stopping import Stop, Stopped, never

SLICE_S = 0.01
"""Between two questions whether to stop."""

FIRST = 4
"""Iterations of the first slice; later ones are as long as the time allows."""

GRACE_S = 0.02
"""How long after its end a search may still hold what it found to the hours of the day."""

COLD, WARM, END = 1.0, 0.3, 0.03
"""Temperatures: at the start of a search from nothing, from a plan, and at the end, in mean costs of a stop."""

STRING, LONGEST, SPLIT, TIMELY = 12.0, 10.0, 0.5, 0.5
"""Stops taken out in an iteration on average; the longest string; how often one keeps some of its stops; how often routes are
chosen by stops that are near in time as well, and not on the road alone."""

BLINK, OPENING, TAILS, RETRIES = 0.01, 0.05, 0.5, 10
"""How often a place is overlooked, a task opens a route whatever that costs, and tails are exchanged instead of stops taken
out; how many tasks that are left out are tried again each time."""


def improve(problem: Problem, initial: Solution | None = None, *, budget: float, stop: Stop = never,
            seed: int = 1, iterations: int | None = None, clock: Callable[[], float] = time.perf_counter) -> Solution:  # fmt: skip
    """Search from a solution (default: the plan in force) for `budget` seconds, or for a number of iterations.

    The temperature falls exponentially with what is left of the budget. `stop` is asked every 10 ms; where it comes before there
    is anything to search from, what came in comes back, else the best that was found: by the hour of the day if that can be held
    to the hours within `GRACE_S`. The same seed and iterations give the same plan. Never returns anything worse than
    `initial`, if that keeps the rules.
    """
    began = clock()
    came = current(problem) if initial is None else initial
    useful = 2 * len(came.unassigned) <= len(problem.tasks)

    def early() -> bool:
        """Whether there is no time left before the search begins, and a plan to come back with."""
        return stop() or (iterations is None and useful and clock() - began >= budget)

    try:
        arrays = Arrays(problem, stop=early)
        fixed, live = arrays.constants, arrays.live
        live.random[0] = (seed * 0x9E3779B97F4A7C15 + 0x1234567) % 2**64 or 1
        placed = mend(arrays, initial, stop=early)
    except Stopped:
        return came if drivable(problem, came) else complete(problem, came)
    if fixed.n == 0 or fixed.crews == 0:
        return arrays.solution()
    start, until = arrays.solution(), budget
    if problem.hours is not None:
        then = clock()
        held = [settle(problem, option, stop=early) for option in dict.fromkeys((came, start))]
        start = min(held, key=lambda option: total(problem, option))
        until -= 1.5 * (clock() - then)  # so long does it take to judge what is found
    scale = _mean_cost(arrays)
    hot = (COLD if 2 * placed > fixed.n else WARM) * scale
    cold = min(hot, END * scale)
    done, size = 0, FIRST
    while not stop():
        now = clock() - began
        share = done / iterations if iterations is not None else now / until if until > 0 else 1.0
        if share >= 1:
            break
        if iterations is not None:
            size = min(256, iterations - done)
        temperature = hot * (cold / hot) ** share
        kernel.search(fixed, live, arrays.keys, size, temperature, 1.0, STRING, LONGEST, SPLIT, TIMELY, BLINK, OPENING, TAILS,
                      RETRIES)  # fmt: skip
        done += size
        taken = max(clock() - began - now, 1e-6)
        left = max(until - now - taken, 1e-4)
        size = int(min(4 * size, max(1, size * min(SLICE_S, left) / taken)))
    if problem.hours is None:
        return arrays.solution()
    late = min(clock() - began, budget) + GRACE_S
    best = arrays.solution()
    found = settle(problem, best, stop=lambda: iterations is None and clock() - began >= late, again=best.unassigned)
    return min(start, found, key=lambda solution: total(problem, solution))  # prices of the hours, which the search did not know


def _mean_cost(arrays: Arrays) -> float:
    """What a stop costs on average, without those that are left out."""
    total = arrays.live.total
    left = arrays.live.lists[kernel.LEFT_NOW, : total[kernel.LEFT]]
    cost = total[kernel.COSTS] - arrays.constants.price[left, kernel.LEFT_OUT].sum()
    return float(max(1.0, np.minimum(cost, LATE_CAP) / max(1, arrays.constants.n)))
