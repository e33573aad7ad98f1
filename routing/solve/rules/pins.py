"""A stop that is pinned to a driver is that driver's, and one that is pinned to a position is there.

`first` and `last` are before and after everything a plan may still move. A number counts the stops of the shift from 1, those
already made too; if it has gone by, the next position is meant. Where a route is too short to reach it, only stops that are
pinned to a number or last come after.
"""

from __future__ import annotations

from collections.abc import Iterator

from routing.model import ReasonCode, Turn
from routing.solve.findings import Violation, Way
from routing.solve.problem import Crew, Task
from routing.solve.tour import Breach, Tour


def rank(task: Task) -> int:
    """Along a route, ranks never fall."""
    return {Turn.FIRST: 0, Turn.LAST: 2}.get(task.position, 1) if isinstance(task.position, Turn) else 1


def bars(crew: Crew, task: Task) -> ReasonCode | None:
    """Everybody but the driver it is pinned to."""
    return None if task.only in (None, crew.driver_id) else ReasonCode.PINNED


def breach(tour: Tour) -> Breach | None:
    """The first stop that stands where it may not: behind a later one, beyond its number, or short of it before others."""
    highest, behind, frozen = 0, len(tour.crew.done), len(tour.crew.frozen)
    short = False
    for position in range(frozen, len(tour.tasks)):
        task = tour.tasks[position]
        pinned, number = task.position, behind + position + 1
        wanted = max(pinned, behind + frozen + 1) if isinstance(pinned, int) else number
        if rank(task) < highest or number > wanted or (short and pinned in (None, Turn.FIRST)):
            return Breach(ReasonCode.PINNED, 0, "", position)
        highest, short = rank(task), short or number < wanted
    return None


def check(way: Way) -> Iterator[Violation]:
    """Pinned stops are where they are pinned to."""
    free, fixed = way.free, len(way.crew.done) + len(way.crew.frozen)
    for place, stop in enumerate(free):
        pin = stop.task.position
        if stop.task.only is not None and stop.task.only != way.crew.driver_id:
            yield Violation("pinned", stop.task.stop_id, f"it is pinned to {stop.task.only}")
        earlier, later = free[:place], free[place + 1 :]
        if pin == "first" and any(other.task.position != "first" for other in earlier):
            yield Violation("pinned", stop.task.stop_id, "it is pinned to be first")
        if pin == "last" and any(other.task.position != "last" for other in later):
            yield Violation("pinned", stop.task.stop_id, "it is pinned to be last")
        if type(pin) is int and place > max(0, pin - fixed - 1):
            yield Violation("pinned", stop.task.stop_id, f"it is pinned to be number {pin}, not {fixed + place + 1}")
        if type(pin) is int and fixed + place + 1 < pin and any(other.task.position in (None, "first") for other in later):
            yield Violation("pinned", stop.task.stop_id, f"it is pinned to be number {pin}, others come after {fixed + place + 1}")
