"""What a route costs and whether it may be driven: the one evaluator every engine uses.

The checker deliberately does not use it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from routing.model import OrderKind, ReasonCode
from routing.roads.travel import UNREACHABLE
from routing.solve.problem import Crew, Problem, Solution, Task

UNASSIGNED_PRICE = 10_000_000
"""Price of an unassigned order at priority 0: above any lateness, so an order is left out only when it must be."""


LATE_CAP = UNASSIGNED_PRICE // 2
"""The most a late stop costs: however late, serving it is better than leaving it out."""


@dataclass(frozen=True, slots=True)
class Visit:
    """A stop's planned times in depot seconds."""

    task: int
    arrive: int
    begin: int
    leave: int
    late: int


@dataclass(frozen=True, slots=True)
class Breach:
    """A rule a route breaks, by how much (in `unit`), and from which position on."""

    code: ReasonCode
    shortfall: int
    unit: str
    position: int


@dataclass(frozen=True, slots=True)
class RouteCost:
    """A route's price in seconds of driving, and its first breach if it may not be driven."""

    cost: int
    breach: Breach | None


def begin_service(task: Task, arrive: int) -> tuple[int, int]:
    """When service begins after arriving, and how late that is after the last window (0 in time)."""
    for window in task.windows:
        if arrive <= window.end:
            return max(arrive, window.start), 0
    return arrive, arrive - task.windows[-1].end if task.windows else 0


def walk(problem: Problem, crew: Crew, route: Sequence[int]) -> list[Visit]:
    """Times along a route: no waiting but for windows, and nothing frozen ends before now."""
    legs, visits = problem.matrix.legs, []
    place, time = crew.place, crew.ready
    live = len(crew.frozen) if crew.departed else 0
    for position, number in enumerate(route):
        task = problem.tasks[number]
        arrive = time + legs[place][task.place]
        if live and position == 0 and not crew.serving:
            arrive = max(arrive, problem.now)
        begin, late = begin_service(task, arrive)
        leave = begin + task.service_time
        if live and position == 0:
            leave = max(leave, problem.now)
        visits.append(Visit(number, arrive, begin, leave, late))
        place, time = task.place, leave
    return visits


def home_time(problem: Problem, crew: Crew, visits: Sequence[Visit]) -> int:
    """When a crew is back at its end place, or free after its last stop if it has none."""
    place = problem.tasks[visits[-1].task].place if visits else crew.place
    time = visits[-1].leave if visits else crew.ready
    return time if crew.end_place is None else time + problem.matrix.legs[place][crew.end_place]


def deadline(problem: Problem, crew: Crew) -> int:
    """The end of the shift, or, where the frozen prefix already breaks it, the earliest end still possible."""
    return max(crew.shift_end, home_time(problem, crew, walk(problem, crew, crew.frozen)))


def barred(crew: Crew, task: Task) -> ReasonCode | None:
    """Why this crew may never take this task, whatever its route; None if it may."""
    if not task.skills <= crew.skills:
        return ReasonCode.SKILL
    if crew.driver_id in task.declined_by:
        return ReasonCode.DRIVER_DECLINED
    if task.kind is OrderKind.DELIVERY:
        if task.goods_on is not None and task.goods_on != crew.shift_id:
            return ReasonCode.PRECEDENCE
        if task.goods_on is None and crew.departed:
            return ReasonCode.DEPARTED
    if crew.absent and task.goods_on != crew.shift_id:
        return ReasonCode.DRIVER_ABSENT
    return None


def late_weight(problem: Problem, task: Task) -> int:
    """Price of one second of lateness."""
    return problem.policy.late_price * (10 + task.priority) // 10


def unassigned_price(task: Task) -> int:
    """Price of leaving a task out."""
    return UNASSIGNED_PRICE * (10 + task.priority) // 10


def evaluate(problem: Problem, crew: Crew, route: Sequence[int], *, ends_by: int | None = None) -> RouteCost:
    """Price one route: driving, distance and lateness; and find its first breach.

    `ends_by` is `deadline(problem, crew)`, given by callers that evaluate many routes of one crew.
    """
    fixed = len(crew.frozen)
    legs, lengths, per_metre = problem.matrix.legs, problem.matrix.lengths, problem.policy.metres_per_second_price
    breach = _load_breach(problem, crew, route)
    visits = walk(problem, crew, route)
    cost, place = 0, crew.place
    for position, visit in enumerate(visits):
        task = problem.tasks[visit.task]
        leg = legs[place][task.place]
        cost += leg + lengths[place][task.place] // per_metre
        if visit.late:
            cost += min(visit.late * late_weight(problem, task), LATE_CAP)
        if position >= fixed and breach is None:
            if leg >= UNREACHABLE:
                breach = Breach(ReasonCode.CLOSED_ROAD, 0, "", position)
            elif task.hard and visit.late:
                breach = Breach(ReasonCode.TIME_WINDOW, visit.late, "seconds", position)
        place = task.place
    if crew.end_place is not None and (visits or crew.departed):
        cost += legs[place][crew.end_place] + lengths[place][crew.end_place] // per_metre
    if breach is None and len(visits) > fixed:
        over = home_time(problem, crew, visits) - (ends_by if ends_by is not None else deadline(problem, crew))
        if over > 0:
            breach = Breach(ReasonCode.SHIFT_END, over, "seconds", len(visits) - 1)
    return RouteCost(cost, breach)


def _load_breach(problem: Problem, crew: Crew, route: Sequence[int]) -> Breach | None:
    """The first place where what a plan may change puts a dimension over capacity.

    Goods from the depot are on board from the start of a route that has not left; in one that has left they can
    only stand in the frozen prefix (a driver went there without them) and weigh nothing. A van that is overloaded
    already is not judged for that, but takes nothing more.
    """
    tasks = [problem.tasks[number] for number in route]
    fixed = len(crew.frozen)
    for axis, capacity in enumerate(crew.capacity):
        load, joining = crew.load[axis], None
        for position, task in enumerate(tasks):
            if not crew.departed and task.kind is OrderKind.DELIVERY and task.goods_on is None and task.demand[axis]:
                load, joining = load + task.demand[axis], position
        if joining is not None and load > capacity:
            return Breach(ReasonCode.CAPACITY, load - capacity, problem.dimensions[axis], joining)
        worst, at = capacity, -1
        for position, task in enumerate(tasks):
            if task.kind is OrderKind.DELIVERY and (task.goods_on is not None or not crew.departed):
                load -= task.demand[axis]
            elif task.kind is OrderKind.COLLECTION:
                load += task.demand[axis]
                if task.demand[axis] and position >= fixed and load > worst:
                    worst, at = load, position
        if at >= 0:
            return Breach(ReasonCode.CAPACITY, worst - capacity, problem.dimensions[axis], at)
    return None


def drivable(problem: Problem, solution: Solution) -> bool:
    """Whether no route of a solution breaks a rule."""
    rows = zip(problem.crews, solution.routes, strict=True)
    return all(evaluate(problem, crew, route).breach is None for crew, route in rows)


def disruption(problem: Problem, solution: Solution) -> int:
    """Price of what a solution changes for drivers on the road: stops that changed driver or predecessor.

    Until a vehicle has left there is nothing to unlearn, so changes to its route are free. A stop that only has a new one
    before it now has not been resequenced.
    """
    owner: dict[int, int] = {}
    before: dict[int, int | None] = {}
    for number, crew in enumerate(problem.crews):
        route = crew.frozen + crew.base if crew.departed else ()
        for position, task in enumerate(route):
            owner[task], before[task] = number, route[position - 1] if position else None
    price = 0
    for number, route in enumerate(solution.routes):
        for position, task in enumerate(route):
            if task in owner and owner[task] != number:
                price += problem.policy.move_price
            elif task in owner and before[task] != (previous := route[position - 1] if position else None):
                price += problem.policy.reorder_price if previous is None or previous in owner else 0
    return price


def total(problem: Problem, solution: Solution) -> int:
    """Price of a whole solution, disruption included."""
    cost = sum(evaluate(problem, crew, route).cost for crew, route in zip(problem.crews, solution.routes, strict=True))
    cost += sum(unassigned_price(problem.tasks[task]) for task in solution.unassigned)
    return cost + disruption(problem, solution)
