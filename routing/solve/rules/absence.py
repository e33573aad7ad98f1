"""A driver who is silent or off duty keeps what is in the van, and gets nothing else."""

from __future__ import annotations

from collections.abc import Iterator

from routing.model import ReasonCode
from routing.solve.findings import Violation, Way
from routing.solve.problem import Crew, Task


def bars(crew: Crew, task: Task) -> ReasonCode | None:
    """Who is absent, but for goods that are with them."""
    return ReasonCode.DRIVER_ABSENT if crew.absent and task.goods_on != crew.shift_id else None


def check(way: Way) -> Iterator[Violation]:
    """Nobody absent is sent anywhere but with what they have."""
    aboard = {stop.task.stop_id for stop in way.stops if stop.task.goods_on == way.crew.shift_id}
    for stop in way.free:
        if way.crew.absent and stop.task.stop_id not in aboard:
            yield Violation("absent", stop.task.stop_id, f"{way.crew.driver_id} is silent or off duty")
