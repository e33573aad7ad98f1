"""A locked route stays as its dispatcher wants it: nothing joins it. What is in it is pinned to where it is."""

from __future__ import annotations

from collections.abc import Iterator

from routing.model import ReasonCode
from routing.solve.findings import Violation, Way
from routing.solve.problem import Crew, Task


def bars(crew: Crew, task: Task) -> ReasonCode | None:
    """Whose route is locked, but for what is in it."""
    return ReasonCode.LOCKED_ROUTE if crew.locked and not task.locked else None


def check(way: Way) -> Iterator[Violation]:
    """Nothing has joined."""
    for stop in way.free:
        if way.crew.locked and stop.task.order_id not in {way.problem.tasks[task].order_id for task in way.crew.base}:
            yield Violation("locked", stop.task.stop_id, f"the route of {way.crew.driver_id} is locked")
