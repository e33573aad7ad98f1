"""No dimension is ever over capacity by what a plan may change. What is collected for the depot leaves a van at reloads, too."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from routing.model import OrderKind, ReasonCode
from routing.solve.findings import Violation, Way
from routing.solve.problem import Crew, Problem, Task
from routing.solve.tour import Breach, Tour


def change(task: Task, loaded: bool) -> int:
    """1 where a stop puts goods on the vehicle, -1 where it takes some off.

    Goods from the depot weigh nothing that stand in the frozen prefix of a route that has left, and has not been `loaded` since.
    """
    if task.kind is OrderKind.COLLECTION:
        return 1
    if task.kind is OrderKind.DELIVERY and (task.goods_on is not None or task.pair is not None or loaded):
        return -1
    return 0


def after_prefix(problem: Problem, crew: Crew) -> tuple[int, ...]:
    """What is on board when the frozen stops are done, in each dimension; goods that join at the depot are not counted."""
    return _after(problem, crew)[0]


def collected(problem: Problem, crew: Crew) -> tuple[int, ...]:
    """What of that a reload takes off."""
    return _after(problem, crew)[1]


def _after(problem: Problem, crew: Crew) -> tuple[tuple[int, ...], tuple[int, ...]]:
    load, gathered = list(crew.load), list(crew.collected or [0] * len(crew.load))
    for task in (problem.tasks[number] for number in crew.frozen):
        if task.reload_of is not None:
            load = [amount - more for amount, more in zip(load, gathered, strict=True)]
            gathered = [0] * len(gathered)
            continue
        sign = 0 if task.at_depot else change(task, False)
        load = [amount + sign * more for amount, more in zip(load, task.demand, strict=True)]
        if task.to_depot:
            gathered = [amount + more for amount, more in zip(gathered, task.demand, strict=True)]
    return tuple(load), tuple(gathered)


class _Hold:
    """What is on board in one dimension, stop by stop: goods from the depot join at the start and at reloads, for one trip."""

    def __init__(self, crew: Crew, tasks: Sequence[Task], axis: int) -> None:
        self._tasks, self._axis, self._loaded = tasks, axis, not crew.departed
        self.load, self._gathered = crew.load[axis], crew.collected[axis] if crew.collected else 0
        self.joined = self._join(0)

    def _join(self, first: int) -> int | None:
        """Take on what the trip from a position on delivers; the last of that, or None."""
        last = None
        for position in range(first, len(self._tasks)):
            task = self._tasks[position]
            if task.reload_of is not None or not self._loaded:
                break
            if task.at_depot and task.demand[self._axis]:
                self.load, last = self.load + task.demand[self._axis], position
        return last

    def make(self, position: int) -> None:
        """Make a stop; `joined` is the last of what came aboard there, or None."""
        task, self.joined = self._tasks[position], None
        if task.reload_of is not None:
            self.load, self._gathered, self._loaded = self.load - self._gathered, 0, True
            self.joined = self._join(position + 1)
            return
        self.load += change(task, self._loaded) * task.demand[self._axis]
        self._gathered += task.to_depot * task.demand[self._axis]


def room(problem: Problem, crew: Crew) -> tuple[int, ...]:
    """What still fits on board, in each dimension, if it comes aboard behind the frozen stops and stays to the end of the plan."""
    tasks, found = [problem.tasks[number] for number in (*crew.frozen, *crew.base)], []
    for axis, capacity in enumerate(crew.capacity):
        hold = _Hold(crew, tasks, axis)
        loads = [hold.load]
        for position in range(len(tasks)):
            hold.make(position)
            loads.append(hold.load)
        found.append(capacity - max(loads[len(crew.frozen) :]))
    return tuple(found)


def breach(tour: Tour) -> Breach | None:
    """The first place where what a plan may change puts a dimension over capacity.

    A van that is overloaded already is not judged for that, but takes nothing more.
    """
    crew, frozen = tour.crew, len(tour.crew.frozen)
    for axis, capacity in enumerate(crew.capacity):
        hold, name = _Hold(crew, tour.tasks, axis), tour.problem.dimensions[axis]
        if hold.joined is not None and hold.load > capacity:
            return Breach(ReasonCode.CAPACITY, hold.load - capacity, name, hold.joined)
        worst, at = capacity, -1
        for position, task in enumerate(tour.tasks):
            hold.make(position)
            if hold.joined is not None and hold.joined >= frozen and hold.load > capacity:
                return Breach(ReasonCode.CAPACITY, hold.load - capacity, name, hold.joined)
            if task.kind is OrderKind.COLLECTION and task.demand[axis] and position >= frozen and hold.load > worst:
                worst, at = hold.load, position
        if at >= 0:
            return Breach(ReasonCode.CAPACITY, worst - capacity, name, at)
    return None


def check(way: Way) -> Iterator[Violation]:
    """Neither at the start, nor at a reload, nor anywhere on the way."""
    crew, frozen = way.crew, len(way.crew.frozen)
    reloads = [position for position, stop in enumerate(way.stops) if stop.task.reload_of is not None]
    for axis, name in enumerate(way.problem.dimensions):
        aboard, kept = crew.load[axis], crew.collected[axis] if crew.collected else 0
        for first, last in zip([-1, *reloads], [*reloads, len(way.stops)], strict=True):
            trip = [(position, way.stops[position].task) for position in range(first + 1, last)]
            empty = first < 0 and crew.departed  # nothing from the depot is aboard
            goods = [(position, task.demand[axis]) for position, task in trip if _from_depot(task)]
            new = any(amount for position, amount in goods if position >= frozen)
            if first >= 0:
                aboard, kept = aboard - kept, 0
            aboard += 0 if empty else sum(amount for _, amount in goods)
            if not empty and new and aboard > crew.capacity[axis]:
                yield Violation("capacity", crew.shift_id, f"leaves with {aboard} {name} of {crew.capacity[axis]}")
            for position, task in trip:
                if task.kind == "delivery" and not (empty and _from_depot(task)):
                    aboard -= task.demand[axis]
                if task.kind == "collection":
                    aboard += task.demand[axis]
                    kept += task.demand[axis] if task.pair is None else 0
                    if task.demand[axis] and position >= frozen and aboard > crew.capacity[axis]:
                        yield Violation("capacity", task.stop_id, f"{aboard} {name} on board of {crew.capacity[axis]}")


def _from_depot(task: Task) -> bool:
    return task.kind == "delivery" and task.goods_on is None and task.pair is None
