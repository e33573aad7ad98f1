"""No dimension is ever over capacity by what a plan may change."""

from __future__ import annotations

from collections.abc import Iterator

from routing.model import OrderKind, ReasonCode
from routing.solve.findings import Violation, Way
from routing.solve.problem import Crew, Problem, Task
from routing.solve.tour import Breach, Tour


def change(task: Task, crew: Crew) -> int:
    """1 where a stop puts goods on the vehicle, -1 where it takes some off.

    Goods from the depot that stand in the frozen prefix of a route that has left never came aboard, and weigh nothing.
    """
    if task.kind is OrderKind.COLLECTION:
        return 1
    if task.kind is OrderKind.DELIVERY and (task.goods_on is not None or task.pair is not None or not crew.departed):
        return -1
    return 0


def joins(task: Task, crew: Crew) -> bool:
    """Whether goods are aboard from the start of a route that has not left, for this stop."""
    return task.kind is OrderKind.DELIVERY and task.goods_on is None and task.pair is None and not crew.departed


def after_prefix(problem: Problem, crew: Crew) -> tuple[int, ...]:
    """What is on board when the frozen stops are done, in each dimension; goods that join at the depot are not counted."""
    load = crew.load
    for task in (problem.tasks[number] for number in crew.frozen):
        sign = change(task, crew) + joins(task, crew)
        load = tuple(amount + sign * more for amount, more in zip(load, task.demand, strict=True))
    return load


def room(problem: Problem, crew: Crew) -> tuple[int, ...]:
    """What still fits on board, in each dimension, if it comes aboard behind the frozen stops and stays to the end of the plan."""
    tasks, load = [problem.tasks[number] for number in crew.base], list(after_prefix(problem, crew))
    for task in tasks:
        load = [amount + joins(task, crew) * more for amount, more in zip(load, task.demand, strict=True)]
    most = list(load)
    for task in tasks:
        load = [amount + change(task, crew) * more for amount, more in zip(load, task.demand, strict=True)]
        most = [max(pair) for pair in zip(most, load, strict=True)]
    return tuple(capacity - amount for capacity, amount in zip(crew.capacity, most, strict=True))


def breach(tour: Tour) -> Breach | None:
    """The first place where what a plan may change puts a dimension over capacity.

    A van that is overloaded already is not judged for that, but takes nothing more.
    """
    crew = tour.crew
    for axis, capacity in enumerate(crew.capacity):
        load, joining = crew.load[axis], None
        for position, task in enumerate(tour.tasks):
            if task.demand[axis] and joins(task, crew):
                load, joining = load + task.demand[axis], position
        if joining is not None and load > capacity:
            return Breach(ReasonCode.CAPACITY, load - capacity, tour.problem.dimensions[axis], joining)
        worst, at = capacity, -1
        for position, task in enumerate(tour.tasks):
            load += change(task, crew) * task.demand[axis]
            if task.kind is OrderKind.COLLECTION and task.demand[axis] and position >= len(crew.frozen) and load > worst:
                worst, at = load, position
        if at >= 0:
            return Breach(ReasonCode.CAPACITY, worst - capacity, tour.problem.dimensions[axis], at)
    return None


def check(way: Way) -> Iterator[Violation]:
    """Neither at the start nor anywhere on the way."""
    crew = way.crew
    for axis, name in enumerate(way.problem.dimensions):
        depot_goods = [stop.task for stop in way.stops
                       if stop.task.kind == "delivery" and stop.task.goods_on is None and stop.task.pair is None]  # fmt: skip
        new = [] if crew.departed else [task.demand[axis] for task in depot_goods]
        aboard = crew.load[axis] + sum(new)
        if any(new) and aboard > crew.capacity[axis]:
            yield Violation("capacity", crew.shift_id, f"leaves with {aboard} {name} of {crew.capacity[axis]}")
        for position, stop in enumerate(way.stops):
            amount = stop.task.demand[axis]
            if stop.task.kind == "delivery" and not (crew.departed and stop.task in depot_goods):
                aboard -= amount
            if stop.task.kind == "collection":
                aboard += amount
                if amount and position >= len(crew.frozen) and aboard > crew.capacity[axis]:
                    yield Violation("capacity", stop.task.stop_id, f"{aboard} {name} on board of {crew.capacity[axis]}")
