"""Simulated annealing by the kernel: how hot it is at what share of its time, in slices that can be stopped."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from routing.solve import kernel
from routing.solve.arrays import Arrays
from routing.solve.rules.prices import LATE_CAP
from routing.solve.stopping import Stop, never

SLICE_S = 0.01
"""Between two questions whether to stop."""

FIRST = 4
"""Iterations of the first slice; later ones are as long as the time allows."""

COLD, WARM, END = 1.0, 0.3, 0.03
"""Temperatures: at the start of a search from nothing, from a plan, and at the end, in mean costs of a stop."""

GIANT = 0.6
"""That from a plan of thousands of stops, of which much is left to change after any search."""

STRING, LONGEST, SPLIT, TIMELY = 12.0, 10.0, 0.5, 0.5
"""Stops taken out in an iteration on average; the longest string; how often one keeps some of its stops; how often routes are
chosen by stops that are near in time as well, and not on the road alone."""

BLINK, OPENING, TAILS, RETRIES = 0.01, 0.05, 0.5, 10
"""How often a place is overlooked, a task opens a route whatever that costs, and tails are exchanged instead of stops taken
out; how many tasks that are left out are tried again each time."""


class Annealing:
    """A search on arrays that hold a plan, of which `placed` tasks had to be placed. It goes on from where it last ended."""

    def __init__(self, arrays: Arrays, placed: int, seed: int, *, warm: float = WARM) -> None:
        self.arrays = arrays
        arrays.live.random[0] = (seed * 0x9E3779B97F4A7C15 + 0x1234567) % 2**64 or 1
        scale = _mean_cost(arrays)
        self._hot = (COLD if 2 * placed > arrays.constants.n else warm) * scale
        self._cold = min(self._hot, END * scale)

    def run(self, share: Callable[[], float], until: float, seconds: float, *, stop: Stop = never,
            clock: Callable[[], float] = time.perf_counter, after: Callable[[], None] | None = None) -> None:  # fmt: skip
        """Search until `share`, of the `seconds` that all is to last, is `until`; `after` is called behind each slice."""
        size = FIRST
        while (now := share()) < until and not stop():
            began = clock()
            self._search(size, now)
            taken = max(clock() - began, 1e-6)
            left = max((until - share()) * seconds, 1e-4)
            size = int(min(4 * size, max(1, size * min(SLICE_S, left) / taken)))
            if after is not None:
                after()

    def iterate(self, first: int, last: int, iterations: int, *, stop: Stop = never,
                after: Callable[[], None] | None = None) -> None:  # fmt: skip
        """The same from one iteration to another of so many: always the same for the same seed."""
        while first < last and not stop():
            size = min(256, last - first)
            self._search(size, first / iterations)
            first += size
            if after is not None:
                after()

    def _search(self, size: int, share: float) -> None:
        temperature, arrays = self._hot * (self._cold / self._hot) ** share, self.arrays
        kernel.search(arrays.constants, arrays.live, arrays.keys, arrays.around, size, temperature, 1.0, STRING, LONGEST, SPLIT,
                      TIMELY, BLINK, OPENING, TAILS, RETRIES)  # fmt: skip


def _mean_cost(arrays: Arrays) -> float:
    """What a stop costs on average, without those that are left out."""
    total = arrays.live.total
    left = arrays.live.lists[kernel.LEFT_NOW, : total[kernel.LEFT]]
    cost = total[kernel.COSTS] - arrays.constants.price[left, kernel.LEFT_OUT].sum()
    return float(max(1.0, np.minimum(cost, LATE_CAP) / max(1, arrays.constants.n)))
