"""When drivers will arrive: for each stop ahead the time that half of all days keep, and the one that four of five keep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from routing.eta import chance
from routing.eta.service import Services
from routing.model import Place, Position, kind_of
from routing.solve.pauses import Wheel
from routing.solve.problem import Crew, Problem, Task
from routing.solve.tour import begins

EVEN, SURE = 0.5, 0.8
"""The shares of days on which a driver arrives by `p50`, and by `p80`."""


@dataclass(frozen=True, slots=True)
class Travel:
    """What legs take beyond the time on the road: `extra` (s, parking included), and how far that and the road's time are off.

    `fixed` (s) is the standard deviation whatever the length, `share` that part of it which grows with the time on the road.
    `legs` is what this was learned from; the default is what is believed before the first.
    """

    extra: float = 0.0
    fixed: float = 30.0
    share: float = 0.15
    legs: int = 0

    def of(self, seconds: float) -> tuple[float, float]:
        """The median (s) of a leg and the standard deviation of its logarithm (a lognormal one)."""
        mean = max(1.0, seconds + self.extra)
        variance = np.log1p((self.fixed**2 + (self.share * seconds) ** 2) / mean**2)
        return float(mean * np.exp(-variance / 2)), float(np.sqrt(variance))


@dataclass(frozen=True, slots=True)
class Learned:
    """What has been learned of a depot's drives and visits."""

    services: Services = field(default_factory=Services)
    travel: Travel = field(default_factory=Travel)


@dataclass(frozen=True, slots=True)
class Expected:
    """A stop ahead: when its driver arrives (depot s), at even odds and four times in five.

    `late` is by how many seconds service begins after the last window, four times in five not by more.
    """

    stop_id: str
    p50: int
    p80: int
    late: int


@dataclass(frozen=True, slots=True)
class Forecast:
    """A shift's stops ahead, and by how many seconds it ends too late, four times in five not by more."""

    shift_id: str
    driver_id: str
    stops: tuple[Expected, ...]
    overtime: int


def forecast(problem: Problem, crew: Crew, learned: Learned, *, stated: Mapping[str, int], remaining: float | None = None,
             seen: int | None = None) -> Forecast:  # fmt: skip
    """What is to be expected of a crew if the plan in force stays.

    Parameters
    ----------
    stated
        Service times that the orders say, by stop; what is not there takes what the task says.
    remaining, seen
        Seconds that are left of the leg being driven, and when that was so (depot s); by default those from the crew's place, since
        it was there.
    """
    route = (*crew.frozen, *crew.base)
    columns = _columns(2 * len(route) + 2)
    wheel = Wheel(crew) if crew.rests else None
    place, time = crew.place, np.full(chance.SAMPLES, float(crew.ready))
    live = len(crew.frozen) if crew.departed else 0
    stops = []
    for position, number in enumerate(route):
        task, first = problem.tasks[number], bool(live) and position == 0
        column = 2 * (len(route) - position)  # counted from the end: what is done leaves the rest as it was
        if first and crew.serving:
            arrive = time
        else:
            seconds, _ = problem.leg(place, task.place, int(chance.quantile(time, EVEN)))
            if first and remaining is not None and seen is not None:
                seconds, time = round(remaining), np.full(chance.SAMPLES, float(seen))
            elapsed = max(0.0, problem.now - float(time[0])) if first else 0.0
            if first and wheel is not None:
                wheel.turn(seconds)
            elif wheel is not None:
                half = int(chance.quantile(time, EVEN))
                then, place, (seconds, _) = wheel.drive(
                    problem, position, (place, task.place), half, partial(begins, task), task.service_time)  # fmt: skip
                time = time + (then - half - seconds)
            arrive = time + chance.lasting(column, columns, *learned.travel.of(seconds), elapsed)
        there = crew.setup if first and crew.serving else task.setup_time if task.place != place else 0
        begin, median, sigma = _begin(task, arrive + there), *_service(problem, crew, task, learned, stated)
        elapsed = max(0.0, problem.now - float(begin[0])) if first and crew.serving else 0.0
        time = begin + chance.lasting(column + 1, columns, median, sigma, elapsed)
        even, sure = chance.quantile(arrive, EVEN), chance.quantile(arrive, SURE)
        stops.append(Expected(task.stop_id, round(even), round(sure), _late(task, sure + there)))
        place = task.place
    home = time
    if crew.end_place is not None:
        seconds, _ = problem.leg(place, crew.end_place, int(chance.quantile(time, EVEN)))
        if wheel is not None and route:
            half = int(chance.quantile(time, EVEN))
            way = (place, crew.end_place)
            then, _, (seconds, _) = wheel.drive(problem, len(route), way, half, lambda arrive, _: arrive, None)
            time = time + (then - half - seconds)
        home = time + chance.lasting(0, columns, *learned.travel.of(seconds))
    overtime = max(0.0, chance.quantile(home, SURE) - crew.shift_end)
    return Forecast(crew.shift_id, crew.driver_id, tuple(stops), round(overtime))


def with_overruns(problem: Problem, learned: Learned, *, stated: Mapping[str, int]) -> Problem:
    """A problem in which visits that go on for longer than usual are expected to go on: half of those that have lasted so long do.

    Without that every plan would have them end at once.
    """
    tasks = list(problem.tasks)
    for crew in problem.crews:
        if crew.serving and crew.frozen:
            task = tasks[crew.frozen[0]]
            begin = float(_begin(task, np.array([float(crew.ready + crew.setup)]))[0])
            elapsed = problem.now - begin
            median, sigma = _service(problem, crew, task, learned, stated)
            if elapsed > 0 and median > 0:
                whole = chance.quantile(chance.lasting(0, _columns(1), median, sigma, elapsed), EVEN)
                tasks[crew.frozen[0]] = replace(task, service_time=max(task.service_time, round(whole)))
    return replace(problem, tasks=tuple(tasks))


def _columns(least: int) -> int:
    """Rounded up, so that few different tables of samples are made."""
    return -(-least // 64) * 64


def _begin(task: Task, ready: NDArray[np.float64]) -> NDArray[np.float64]:
    """When service begins; `routing.solve.tour.begin_service` for many."""
    ready = ready if task.not_before is None else np.maximum(ready, task.not_before)
    begin = ready
    for window in reversed(task.windows):
        begin = np.where(ready <= window.end, np.maximum(ready, window.start), begin)
    return begin


def _late(task: Task, ready: float) -> int:
    """How late service begins."""
    return round(max(0.0, max(ready, task.not_before or 0) - task.windows[-1].end)) if task.windows else 0


def _service(problem: Problem, crew: Crew, task: Task, learned: Learned, stated: Mapping[str, int]) -> tuple[float, float]:
    """The median of a visit, and the standard deviation of its logarithm."""
    takes = stated.get(task.stop_id, task.service_time)
    return learned.services.of(kind_of(task.stop_id), problem.places[task.place].location, crew.driver_id, takes)


def since_seen(problem: Problem, crew: Crew, seen: Position | None) -> Crew:
    """A crew on the way, going on from where it was last seen since then, not only since now."""
    if seen is None or crew.serving or not crew.departed or problem.places[crew.place] != Place(seen.location):
        return crew
    return replace(crew, ready=min(crew.ready, seen.at))


def learn_travel(taken: Sequence[float], predicted: Sequence[float]) -> Travel:
    """Fit what legs take beyond their time on the road; little data leave the default.

    The variance is a line in the square of the time on the road, by least squares, weighted for what it is itself; then all is
    drawn in until four of five legs are within it: most are hardly off, and a few far.
    """
    if not taken:
        return Travel()
    default = Travel()
    rest = np.array(taken, float) - np.array(predicted, float)
    road = np.array(predicted, float)
    bound = 5 * (default.fixed + default.share * road)
    kept = np.abs(rest - np.median(rest)) < bound  # who had lunch on the way tells nothing of roads
    rest, road = rest[kept], road[kept]
    believed = len(rest) / (len(rest) + 50)
    extra = float(rest.mean()) * believed if len(rest) else 0.0
    squares = (rest - extra) ** 2
    fixed, share = default.fixed**2, default.share**2
    for _ in range(5):
        weight = 1 / (fixed + share * road**2 + 1.0) ** 2
        a = np.array([[weight.sum(), (weight * road**2).sum()], [(weight * road**2).sum(), (weight * road**4).sum()]])
        b = np.array([(weight * squares).sum(), (weight * squares * road**2).sum()])
        found = np.linalg.solve(a + 1e-12 * np.eye(2), b)
        fixed = believed * max(25.0, float(found[0])) + (1 - believed) * default.fixed**2
        share = believed * max(0.0001, float(found[1])) + (1 - believed) * default.share**2
    scaled = (rest - extra) / np.sqrt(fixed + share * road**2) if len(rest) else np.zeros(1)
    even, sure = np.quantile(scaled, [EVEN, SURE])
    width = float(np.clip((sure - even) / NormalDist().inv_cdf(SURE), 0.1, 2.0))
    width = believed * width + (1 - believed)
    return Travel(extra + believed * float(np.median(rest - extra)), width * fixed**0.5, width * share**0.5, len(rest))
