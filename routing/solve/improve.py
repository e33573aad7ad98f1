"""Improve: search from a plan for a better one, by ruin and recreate with exchanges of tails."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from routing.solve.annealing import WARM, Annealing
from routing.solve.arrays import Arrays
from routing.solve.evaluation import drivable, total
from routing.solve.problem import Problem, Solution, current
from routing.solve.repair import complete, mend, settle
from routing.solve.stopping import Stop, Stopped, never

GRACE_S = 0.02
"""How long after its end a search may still hold what it found to the hours of the day."""


def improve(problem: Problem, initial: Solution | None = None, *, budget: float, stop: Stop = never,
            seed: int = 1, iterations: int | None = None, warm: float = WARM,
            clock: Callable[[], float] = time.perf_counter) -> Solution:  # fmt: skip
    """Search from a solution (default: the plan in force) for `budget` seconds, or for a number of iterations.

    The temperature falls exponentially with what is left of the budget, from `warm` on where there is a plan. `stop` is asked
    every 10 ms; where it comes before there is anything to search from, what came in comes back, else the best that was found: by
    the hour of the day if that can be held to the hours within `GRACE_S`. The same seed and iterations give the same plan. Never
    returns anything worse than `initial`, if that keeps the rules.
    """
    around = Around(problem, initial, budget=budget, stop=stop, endless=iterations is not None, clock=clock)
    if around.arrays is None:
        return around.answer
    search = Annealing(around.arrays, around.placed, seed, warm=warm)
    if iterations is not None:
        search.iterate(0, iterations, iterations, stop=stop)
    else:
        search.run(around.share, 1.0, around.until, stop=stop, clock=clock)
    return around.closed([around.arrays.solution()])


class Around:
    """What is before and behind a search by the kernel.

    Attributes
    ----------
    arrays
        The plan to search from, mended, `placed` tasks of which had to be placed; None where there is nothing to search, or was
        no time to begin: then `answer` is the solution.
    until
        Seconds after the beginning at which a search has to end.
    """

    def __init__(self, problem: Problem, initial: Solution | None, *, budget: float, stop: Stop, endless: bool,
                 clock: Callable[[], float]) -> None:  # fmt: skip
        self._began, self._clock, self._budget, self._endless = clock(), clock, budget, endless
        self.problem, self.until, self.placed = problem, budget, 0
        self.answer = came = current(problem) if initial is None else initial
        self.arrays: Arrays | None = None
        useful = 2 * len(came.unassigned) <= len(problem.tasks)

        def early() -> bool:
            """Whether there is no time left before the search begins, and a plan to come back with."""
            return stop() or (not endless and useful and clock() - self._began >= budget)

        try:
            arrays = Arrays(problem, stop=early)
            self.placed = mend(arrays, initial, stop=early)
        except Stopped:
            self.answer = came if drivable(problem, came) else complete(problem, came)
            return
        self.answer = arrays.solution()
        if arrays.constants.n == 0 or arrays.constants.crews == 0:
            return
        if problem.hours is not None:
            then = clock()
            self.until -= then - self._began  # what does not hold is put elsewhere, which takes arrays of its own
            held = [settle(problem, option, stop=early) for option in dict.fromkeys((came, self.answer))]
            self.answer = min(held, key=lambda option: (not drivable(problem, option), total(problem, option)))
            self.until -= 1.5 * (clock() - then)  # so long does it take to judge what is found
        self.arrays = arrays

    def share(self) -> float:
        """What of the time until then has passed."""
        return (self._clock() - self._began) / self.until if self.until > 0 else 1.0

    def left(self) -> float:
        """Seconds of the budget that are left."""
        return self._budget - (self._clock() - self._began)

    def closed(self, found: Sequence[Solution]) -> Solution:
        """The best of what was found, by the hours of the day, which the search did not know, and of what it began with."""
        if self.problem.hours is None:
            return found[0] if len(found) == 1 else min(found, key=lambda solution: total(self.problem, solution))
        late = min(self._clock() - self._began, self._budget) + GRACE_S

        def overdue() -> bool:
            return not self._endless and self._clock() - self._began >= late

        held = [settle(self.problem, one, stop=overdue, again=one.unassigned) for one in found]
        return min((self.answer, *held), key=lambda solution: total(self.problem, solution))
