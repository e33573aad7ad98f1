"""When a computation ends: somebody's word, asked every few milliseconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

Stop = Callable[[], bool]
"""Whether to stop now."""

SLICE_S = 0.005
"""Between two questions whether to stop."""


class Stopped(Exception):
    """Somebody asked to stop before there was anything to return."""


def never() -> bool:
    """Go on to the end."""
    return False


def within(seconds: float, stop: Stop = never) -> Stop:
    """Stop after so many seconds from now, or when `stop` says so."""
    until = time.perf_counter() + seconds
    return lambda: time.perf_counter() > until or stop()


def slices(count: int, stop: Stop) -> Iterator[tuple[int, int]]:
    """Ranges of `count` steps, each as long as may pass between two questions whether to stop.

    Raises
    ------
    Stopped
        If `stop` says so.
    """
    first, size = 0, 4
    while first < count:
        if stop():
            raise Stopped
        began, last = time.perf_counter(), min(first + size, count)
        yield first, last
        size = max(1, min(4 * size, int(size * SLICE_S / max(1e-6, time.perf_counter() - began))))
        first = last
