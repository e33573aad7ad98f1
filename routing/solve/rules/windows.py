"""Hard windows are never missed; soft ones, and times promised to recipients, at a price."""

from __future__ import annotations

from collections.abc import Iterator

from routing.model import ReasonCode
from routing.solve.findings import Violation, Way
from routing.solve.problem import Problem, Task
from routing.solve.rules.prices import LATE_CAP
from routing.solve.tour import Breach, Tour


def late_weight(problem: Problem, task: Task) -> int:
    """Price of one second of lateness."""
    return problem.policy.late_price * (10 + task.priority) // 10


def breach(tour: Tour) -> Breach | None:
    """The first hard window that is missed."""
    for position in range(len(tour.crew.frozen), len(tour.visits)):
        if tour.tasks[position].hard and tour.visits[position].late:
            return Breach(ReasonCode.TIME_WINDOW, tour.visits[position].late, "seconds", position)
    return None


def price(tour: Tour) -> int:
    """What lateness costs, by priority."""
    return sum(min(visit.late * late_weight(tour.problem, task), LATE_CAP)
               for visit, task in zip(tour.visits, tour.tasks, strict=True) if visit.late)  # fmt: skip


def broken(tour: Tour) -> int:
    """What beginning later than promised costs."""
    late = (visit.begin - task.promised for visit, task in zip(tour.visits, tour.tasks, strict=True) if task.promised is not None)
    return tour.problem.policy.promise_price * sum(max(0, seconds) for seconds in late)


def check(way: Way) -> Iterator[Violation]:
    """Nothing hard is late, lateness is flagged by the second, and nothing is planned in the past."""
    for position, stop in enumerate(way.stops):
        if stop.flagged != stop.late:
            yield Violation("late_flag", stop.task.stop_id, f"{stop.late} s late but flagged {stop.flagged}")
        if position >= len(way.crew.frozen) and stop.task.hard and stop.late:
            yield Violation("time_window", stop.task.stop_id, f"{stop.late} s after its last window")
        if position >= len(way.crew.frozen) and stop.reached < way.problem.now:
            yield Violation("in_the_past", stop.task.stop_id, f"it would be reached {way.problem.now - stop.reached} s ago")
