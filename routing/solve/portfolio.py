"""Portfolio: two searches side by side, on a core each, and in the end what can be put together from both.

Where routes are long and stops not too many, PyVRP searches beside the kernel, if it can express the problem, and each goes on from
what the other has found where that is better. Elsewhere two kernels search from different seeds, for themselves: to exchange plans,
or to share out the routes, has not paid (ADR 23).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from routing.solve import pyvrp_engine
from routing.solve.annealing import Annealing
from routing.solve.arrays import Arrays
from routing.solve.evaluation import drivable, total
from routing.solve.improve import Around
from routing.solve.problem import Problem, Solution
from routing.solve.recombine import Pool
from routing.solve.stopping import Stop, never

LONG, FEW = 20, 250
"""PyVRP is the partner where routes have that many stops on average, and there are no more in all."""

MEETINGS = (0.25, 0.5, 0.75)
"""At these shares of the time the kernel and PyVRP go on from the better plan."""

LEAST_S, JOIN = 0.9, 0.06
"""Searches that last for so long put routes together in the end, which takes at most this share of their time."""

COLLECT, EVERY_S = 0.4, 0.03
"""From this share of the time on, routes are collected to be put together, with so many seconds in between."""


def improve(problem: Problem, initial: Solution | None = None, *, budget: float, stop: Stop = never, seed: int = 1,
            iterations: int | None = None, clock: Callable[[], float] = time.perf_counter) -> Solution:  # fmt: skip
    """Search as `routing.solve.improve` does, for as long, on two cores.

    With a number of iterations two kernels make so many each, one after the other, and the result is always the same.
    """
    around = Around(problem, initial, budget=budget, stop=stop, endless=iterations is not None, clock=clock)
    if around.arrays is None:
        return around.answer
    pair = WithPyvrp if iterations is None and _suits_pyvrp(around.arrays) else TwoKernels
    return around.closed(pair(around, around.arrays, seed, stop, clock).found(iterations))


def _suits_pyvrp(arrays: Arrays) -> bool:
    """Whether PyVRP finds in such a problem what the kernel does not."""
    routes = [route for route, _ in arrays.routes_now() if route]
    return len(routes) * LONG <= sum(map(len, routes)) <= FEW and pyvrp_engine.fits(arrays.problem)


class _Pair:
    """A kernel, and something beside it."""

    def __init__(self, around: Around, arrays: Arrays, seed: int, stop: Stop, clock: Callable[[], float]) -> None:
        self._around, self._arrays, self._seed, self._stop, self._clock = around, arrays, seed, stop, clock
        self._kernel = Annealing(arrays, around.placed, 2 * seed)
        self._joins = around.until >= LEAST_S and arrays.apart
        self._over = threading.Event()

    def found(self, iterations: int | None) -> list[Solution]:
        """The best that each has found, and of what was put together."""
        raise NotImplementedError

    def _share(self) -> float:
        """Of the time before routes are put together, what has passed."""
        return self._around.share() / (1 - JOIN if self._joins else 1)

    def _run(self, search: Annealing, until: float, stop: Stop, pool: Pool) -> None:
        search.run(self._share, until, self._around.until, stop=stop, clock=self._clock, after=self._collecting(search, pool))

    def _collecting(self, search: Annealing, pool: Pool) -> Callable[[], None]:
        """Put a search's routes into its pool now and then."""
        last = self._clock()

        def collect() -> None:
            nonlocal last
            if self._joins and self._share() >= COLLECT and self._clock() >= last + EVERY_S:
                last = self._clock()
                pool.add(search.arrays.routes_now())

        return collect

    def _joined(self, found: list[Solution], pool: Pool, seconds: float) -> list[Solution]:
        """What was found, and what can be put together from that and a pool."""
        if not self._joins or seconds <= 0 or self._stop():
            return found
        for solution in found:
            self._arrays.go_on_from(solution)
            pool.add(self._arrays.routes_now())
        joined = pool.best(min(found, key=lambda one: total(self._around.problem, one)), seconds)
        return found if joined is None or not drivable(self._around.problem, joined) else [*found, joined]


class TwoKernels(_Pair):
    """Two searches of the kernel, from different seeds."""

    def __init__(self, around: Around, arrays: Arrays, seed: int, stop: Stop, clock: Callable[[], float]) -> None:
        super().__init__(around, arrays, seed, stop, clock)
        self._other = Annealing(arrays.twin(), around.placed, 2 * seed + 1)

    def found(self, iterations: int | None) -> list[Solution]:
        """The best of both, and of what was put together."""
        pools, searches = [Pool(self._arrays), Pool(self._arrays)], [self._kernel, self._other]
        if iterations is not None:
            for search, pool in zip(searches, pools, strict=True):
                search.iterate(0, iterations, iterations, stop=self._stop, after=partial(_add, pool, search))
        else:
            with ThreadPoolExecutor(1) as beside:
                other = beside.submit(self._run, self._other, 1.0, self._over.is_set, pools[1])
                try:
                    self._run(self._kernel, 1.0, self._stop, pools[0])
                finally:
                    self._over.set()
                    other.result()
        pools[0].merge(pools[1])
        left = 60.0 if iterations is not None else self._around.left()
        return self._joined([*dict.fromkeys(search.arrays.solution() for search in searches)], pools[0], left)


class WithPyvrp(_Pair):
    """The kernel and PyVRP, which go on from the better plan of both."""

    def found(self, iterations: int | None) -> list[Solution]:
        """The best of both, and of what was put together."""
        pool, pyvrp = Pool(self._arrays), pyvrp_engine.Search(self._around.problem, self._around.answer, self._seed)
        with ThreadPoolExecutor(1) as beside:
            for until in (*MEETINGS, 1.0):
                self._over.clear()
                other = beside.submit(pyvrp.run, partial(self._until, until))
                try:
                    self._run(self._kernel, until, self._stop, pool)
                    if self._stop():
                        self._over.set()
                    other.result()
                finally:
                    self._over.set()
                if self._stop():
                    break
                if until < 1:
                    self._meet(pyvrp)
        return self._joined([*dict.fromkeys((self._arrays.solution(), pyvrp.best))], pool, self._around.left())

    def _until(self, until: float) -> bool:
        return self._over.is_set() or self._share() >= until

    def _meet(self, pyvrp: pyvrp_engine.Search) -> None:
        """Let both go on from the better plan: the kernel from one that is better than where it is."""
        problem, arrays = self._around.problem, self._arrays
        if total(problem, pyvrp.best) < arrays.now + arrays.constant:
            arrays.go_on_from(pyvrp.best)
        pyvrp.start = min(arrays.solution(), pyvrp.best, key=lambda one: total(problem, one))


def _add(pool: Pool, search: Annealing) -> None:
    pool.add(search.arrays.routes_now())
