"""A stop that is pinned to a driver is that driver's, and one pinned to be first or last is."""

from __future__ import annotations

from collections.abc import Iterator

from routing.model import ReasonCode, Turn
from routing.solve.findings import Violation, Way
from routing.solve.problem import Crew, Task
from routing.solve.tour import Breach, Tour

RANK = {Turn.FIRST: 0, None: 1, Turn.LAST: 2}
"""Along a route, ranks never fall."""


def bars(crew: Crew, task: Task) -> ReasonCode | None:
    """Everybody but the driver it is pinned to."""
    return None if task.only in (None, crew.driver_id) else ReasonCode.PINNED


def breach(tour: Tour) -> Breach | None:
    """The first stop that stands behind one that should be later."""
    highest = 0
    for position, task in list(enumerate(tour.tasks))[len(tour.crew.frozen) :]:
        if RANK[task.turn] < highest:
            return Breach(ReasonCode.PINNED, 0, "", position)
        highest = RANK[task.turn]
    return None


def check(way: Way) -> Iterator[Violation]:
    """Pinned stops are where they are pinned to."""
    free = way.free
    for position, stop in enumerate(free):
        if stop.task.only is not None and stop.task.only != way.crew.driver_id:
            yield Violation("pinned", stop.task.stop_id, f"it is pinned to {stop.task.only}")
        earlier, later = free[:position], free[position + 1 :]
        if stop.task.turn == "first" and any(other.task.turn != "first" for other in earlier):
            yield Violation("pinned", stop.task.stop_id, "it is pinned to be first")
        if stop.task.turn == "last" and any(other.task.turn != "last" for other in later):
            yield Violation("pinned", stop.task.stop_id, "it is pinned to be last")
