"""A driver who declined a stop does not get it again, and one who is excluded by the order never does."""

from __future__ import annotations

from collections.abc import Iterator

from routing.model import ReasonCode
from routing.solve.findings import Violation, Way
from routing.solve.problem import Crew, Task


def bars(crew: Crew, task: Task) -> ReasonCode | None:
    """Who declined, or is excluded."""
    if crew.driver_id in task.declined_by:
        return ReasonCode.DRIVER_DECLINED
    return ReasonCode.DRIVER_EXCLUDED if crew.driver_id in task.excluded else None


def check(way: Way) -> Iterator[Violation]:
    """Neither is sent."""
    for stop in way.free:
        for code, drivers in (("declined", stop.task.declined_by), ("excluded", stop.task.excluded)):
            if way.crew.driver_id in drivers:
                yield Violation(code, stop.task.stop_id, f"{way.crew.driver_id} is {code} there")
