"""Hard windows are never missed; soft ones, and times promised to recipients, at a price."""

from __future__ import annotations

from collections.abc import Iterator

from routing.model import ReasonCode
from routing.solve.findings import Violation, Way
from routing.solve.problem import Problem, Task
from routing.solve.rules.prices import LATE_CAP
from routing.solve.tour import Breach, Tour, Visit


def late_weight(problem: Problem, task: Task) -> int:
    """Price of one second of lateness."""
    return problem.policy.late_price * (10 + task.priority) // 10


def promise_weight(problem: Problem, task: Task) -> int:
    """Price of one second beyond what was promised: twice as much for a promise that is due as for one that is far off."""
    policy = problem.policy
    ahead = min(max(0, (task.promised or 0) - problem.now), policy.near)
    return round(policy.promise_price * (2 * policy.near - ahead) / policy.near)


def breach(tour: Tour) -> Breach | None:
    """The first hard window that is missed."""
    for position in range(len(tour.crew.frozen), len(tour.visits)):
        if tour.tasks[position].hard and tour.visits[position].late:
            return Breach(ReasonCode.TIME_WINDOW, tour.visits[position].late, "seconds", position)
    return None


def price(tour: Tour) -> int:
    """What lateness costs, by priority."""
    return sum(_late(tour.problem, visit, task) for visit, task in zip(tour.visits, tour.tasks, strict=True) if visit.late)


def _late(problem: Problem, visit: Visit, task: Task) -> int:
    return min(visit.late * late_weight(problem, task), LATE_CAP)


def broken(tour: Tour) -> int:
    """What beginning later than promised costs; no stop costs more than `LATE_CAP` for that and for its lateness together."""
    rows = [(visit, task) for visit, task in zip(tour.visits, tour.tasks, strict=True) if shifted(visit, task)]
    return sum(min((visit.begin - (task.promised or 0)) * promise_weight(tour.problem, task),
                   LATE_CAP - _late(tour.problem, visit, task)) for visit, task in rows)  # fmt: skip


def shifted(visit: Visit, task: Task) -> bool:
    """Whether service begins later than promised."""
    return task.promised is not None and visit.begin > task.promised


def check(way: Way) -> Iterator[Violation]:
    """Nothing hard is late, lateness is flagged by the second, and nothing is planned in the past."""
    for position, stop in enumerate(way.stops):
        if stop.flagged != stop.late:
            yield Violation("late_flag", stop.task.stop_id, f"{stop.late} s late but flagged {stop.flagged}")
        if position >= len(way.crew.frozen) and stop.task.hard and stop.late:
            yield Violation("time_window", stop.task.stop_id, f"{stop.late} s after its last window")
        if position >= len(way.crew.frozen) and stop.reached < way.problem.now:
            yield Violation("in_the_past", stop.task.stop_id, f"it would be reached {way.problem.now - stop.reached} s ago")
