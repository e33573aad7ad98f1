"""A route as it would be driven: what rules judge and price."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from routing.model import ReasonCode
from routing.solve.pauses import Pause, Wheel
from routing.solve.problem import Crew, Problem, Task


class Visit(NamedTuple):
    """A stop's planned times in depot seconds, and its leg: its seconds and metres, and where it began."""

    task: int
    arrive: int
    begin: int
    leave: int
    late: int
    seconds: int
    metres: int


@dataclass(frozen=True, slots=True)
class Breach:
    """A rule a route breaks, by how much (in `unit`), and from which position on."""

    code: ReasonCode
    shortfall: int
    unit: str
    position: int


@dataclass(frozen=True, slots=True)
class Tour:
    """A crew's whole way. `home` is when it is over; `way_home` its seconds and metres; `ends_by` the end no plan may pass."""

    problem: Problem
    crew: Crew
    tasks: tuple[Task, ...]
    visits: tuple[Visit, ...]
    way_home: tuple[int, int]
    home: int
    ends_by: int
    pauses: tuple[Pause, ...] = ()

    @property
    def used(self) -> bool:
        """Whether the vehicle is on the road, or will be."""
        return bool(self.visits) or self.crew.departed

    def legs(self, first: int = 0) -> list[tuple[int, int]]:
        """Seconds and metres of all that is driven from a position on: to stops, to places of breaks, and home."""
        if not self.used:
            return []
        ways = [(visit.seconds, visit.metres) for visit in self.visits[first:]] + [self.way_home]
        return ways + [(pause.seconds, pause.metres) for pause in self.pauses if pause.place is not None and pause.before >= first]


def begin_service(task: Task, ready: int) -> tuple[int, int]:
    """When service begins for who is ready for it then, and how late that is after the last window (0 in time)."""
    ready = ready if task.not_before is None else max(ready, task.not_before)
    for window in task.windows:
        if ready <= window.end:
            return max(ready, window.start), 0
    return ready, ready - task.windows[-1].end if task.windows else 0


def walk(problem: Problem, crew: Crew, route: Sequence[int], wheel: Wheel | None = None) -> list[Visit]:
    """Times along a route: no waiting but for windows and rests, and nothing frozen ends before now; `wheel` goes along."""
    visits: list[Visit] = []
    if wheel is None and crew.rests:
        wheel = Wheel(crew)
    place, time = crew.place, crew.ready
    live = len(crew.frozen) if crew.departed else 0
    for position, number in enumerate(route):
        task = problem.tasks[number]
        there = crew.setup if live and position == 0 and crew.serving else task.setup_time if task.place != place else 0
        if wheel is None or (live and position == 0):
            seconds, metres = problem.leg(place, task.place, time)
            arrive = time + seconds
            if wheel is not None:
                wheel.turn(seconds)
        else:
            arrive, place, (seconds, metres) = wheel.drive(
                problem, position, (place, task.place), time, partial(begins, task), task.service_time)  # fmt: skip
            there = task.setup_time if task.place != place else 0
        if live and position == 0 and not crew.serving:
            arrive = max(arrive, problem.now)
        begin, late = begin_service(task, arrive + there)
        leave = begin + task.service_time
        if live and position == 0:
            leave = max(leave, problem.now)
        visits.append(Visit(number, arrive, begin, leave, late, seconds, metres))
        place, time = task.place, leave
        if wheel is not None and position < len(crew.frozen):
            wheel.free_from(leave, task.place)
    return visits


def begins(task: Task, arrive: int, place: int) -> int:
    """When service of a task begins for who arrives then from a place."""
    return begin_service(task, arrive + (task.setup_time if task.place != place else 0))[0]


def tour(problem: Problem, crew: Crew, route: Sequence[int], *, ends_by: int | None = None) -> Tour:
    """A route as it would be driven. `ends_by` is `deadline(problem, crew)`, from callers that have many of one crew."""
    wheel = Wheel(crew) if crew.rests else None
    visits = walk(problem, crew, route, wheel)
    way_home, home = _home(problem, crew, visits, wheel)
    return Tour(problem, crew, tuple(problem.tasks[number] for number in route), tuple(visits), way_home, home,
                deadline(problem, crew) if ends_by is None else ends_by, tuple(wheel.pauses) if wheel else ())  # fmt: skip


def deadline(problem: Problem, crew: Crew) -> int:
    """When a shift may last no longer, or, where the frozen prefix already breaks that, the earliest end still possible."""
    wheel = Wheel(crew) if crew.rests else None
    return max(ends_at(crew)[0], _home(problem, crew, walk(problem, crew, crew.frozen, wheel), wheel)[1])


def ends_at(crew: Crew) -> tuple[int, ReasonCode]:
    """The end of shift and overtime, or of the most that it may last, if that is sooner; and which of them it is."""
    ends, limit = crew.shift_end + crew.overtime, crew.limits.duration
    left = crew.ready if crew.left_at is None else crew.left_at
    if limit is not None and left + limit < ends:
        return left + limit, ReasonCode.MAX_DURATION
    return ends, ReasonCode.SHIFT_END


def _home(problem: Problem, crew: Crew, visits: Sequence[Visit], wheel: Wheel | None) -> tuple[tuple[int, int], int]:
    """The way back to the end place and the time there, or when a crew is free after its last stop if it has none."""
    place = problem.tasks[visits[-1].task].place if visits else crew.place
    time = visits[-1].leave if visits else crew.ready
    if crew.end_place is None:
        return (0, 0), time
    seconds, metres = problem.leg(place, crew.end_place, time)
    if wheel is None:
        return (seconds, metres), time + seconds
    home, _, way = wheel.drive(problem, len(visits), (place, crew.end_place), time, lambda arrive, _: arrive, None)
    return way, home
