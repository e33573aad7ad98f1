"""A stop's skills are all the driver's or the vehicle's."""

from __future__ import annotations

from collections.abc import Iterator

from routing.model import ReasonCode
from routing.solve.findings import Violation, Way
from routing.solve.problem import Crew, Task


def bars(crew: Crew, task: Task) -> ReasonCode | None:
    """Who lacks one."""
    return None if task.skills <= crew.skills else ReasonCode.SKILL


def check(way: Way) -> Iterator[Violation]:
    """Nobody is sent where they lack a skill."""
    for stop in way.free:
        lacking = sorted(stop.task.skills - way.crew.skills)
        if lacking:
            yield Violation("skill", stop.task.stop_id, f"{way.crew.driver_id} lacks {lacking}")
