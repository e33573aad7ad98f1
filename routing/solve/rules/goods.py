"""Goods have a place.

At the depot they join only vehicles that are there, or that come back for them (reload); aboard they stay where they are, and what
is picked up on the way is delivered afterwards by the same vehicle.
"""

from __future__ import annotations

from collections.abc import Iterator

from routing.model import OrderKind, ReasonCode
from routing.solve.findings import Violation, Way
from routing.solve.problem import Crew, Task
from routing.solve.tour import Breach, Tour


def bars(crew: Crew, task: Task) -> ReasonCode | None:
    """Whose vehicle the goods can never be on, or whose reload it is not."""
    if task.reload_of not in (None, crew.shift_id):
        return ReasonCode.PRECEDENCE
    if task.kind is not OrderKind.DELIVERY or task.pair is not None:
        return None
    if task.goods_on is not None:
        return None if task.goods_on == crew.shift_id else ReasonCode.PRECEDENCE
    return ReasonCode.DEPARTED if crew.departed and not crew.reloads else None


def breach(tour: Tour) -> Breach | None:
    """The first delivery whose goods have not come aboard before, or pickup without its delivery afterwards."""
    for position, task in enumerate(tour.tasks if tour.crew.departed else ()):
        if task.reload_of is not None:
            break
        if position >= len(tour.crew.frozen) and task.at_depot:
            return Breach(ReasonCode.DEPARTED, 0, "", position)
    numbers = [visit.task for visit in tour.visits]
    at = {number: position for position, number in enumerate(numbers)}
    for position in range(len(tour.crew.frozen), len(numbers)):
        task = tour.tasks[position]
        if task.pair is None:
            continue
        other = at.get(task.pair, -1)
        if other < 0 or (other < position) is (task.kind is OrderKind.COLLECTION):
            return Breach(ReasonCode.PRECEDENCE, 0, "", position)
    return None


def check(way: Way) -> Iterator[Violation]:
    """Everything that is delivered has come aboard before, and nothing picked up is kept."""
    number = {task.stop_id: index for index, task in enumerate(way.problem.tasks)}
    left = way.crew.departed  # since the depot was last seen
    aboard: set[int] = set()
    for position, stop in enumerate(way.stops):
        task, mine = stop.task, position >= len(way.crew.frozen)
        if task.reload_of is not None:
            left = False
            if mine and task.reload_of != way.crew.shift_id:
                yield Violation("goods", task.stop_id, f"it is a reload of {task.reload_of}")
        index = number[task.stop_id]
        if task.pair is not None and task.kind == "collection":
            aboard.add(task.pair)
        elif task.pair is not None:
            if mine and index not in aboard:
                yield Violation("goods", task.stop_id, "its goods were not picked up before")
            aboard.discard(index)
        elif mine and task.kind == "delivery" and task.goods_on not in (None, way.crew.shift_id):
            yield Violation("goods", task.stop_id, f"its goods are on {task.goods_on}")
        elif mine and task.kind == "delivery" and task.goods_on is None and left:
            yield Violation("goods", task.stop_id, "its goods are at the depot and the vehicle has left")
    fixed = {way.problem.tasks[index].pair for index in way.crew.frozen}
    for index in sorted(aboard - fixed):
        yield Violation("goods", way.problem.tasks[index].stop_id, "its goods are picked up and not delivered")
