"""What lies ahead of drivers on the road as it looks now, against what their plan says of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from routing.eta.forecast import Forecast, since_seen
from routing.model import PlannedStop, Position, Route
from routing.solve.problem import Crew, Problem
from routing.solve.tour import tour


@dataclass(frozen=True, slots=True)
class Outlook:
    """A shift on the road: its stops ahead with the times that are to be expected (depot s), and how far it is to the first.

    `overtime` are seconds beyond the end of the shift, `way_home` those from the last stop. `next_stop` is the one being driven
    to, in `remaining` seconds and `metres`; None for who serves, or has none.
    """

    shift_id: str
    driver_id: str
    stops: tuple[PlannedStop, ...]
    overtime: int
    way_home: int
    next_stop: str | None
    remaining: int
    metres: int


@dataclass(frozen=True, slots=True)
class Setback:
    """By how many seconds a stop (or, at its end, a shift) will be later past what it was due than its plan says."""

    subject: str
    seconds: int


def outlooks(problem: Problem, positions: Mapping[str, Position]) -> list[Outlook]:
    """What is ahead of every driver whose shift has begun and who is heard of, if the plan in force stays.

    `positions` are by driver. A driver goes on from the last one since it was seen, not only since now; who has not left yet, now.
    """
    return [_outlook(problem, since_seen(problem, crew, positions.get(crew.driver_id))) for crew in problem.crews
            if not crew.absent and (crew.departed or (crew.ready <= problem.now and crew.base))]  # fmt: skip


def _outlook(problem: Problem, crew: Crew) -> Outlook:
    whole = tour(problem, crew, (*crew.frozen, *crew.base))
    stops = tuple(PlannedStop(task.stop_id, visit.arrive, visit.begin, visit.leave, visit.late)
                  for task, visit in zip(whole.tasks, whole.visits, strict=True))  # fmt: skip
    driving = crew.departed and bool(crew.frozen) and not crew.serving
    return Outlook(
        shift_id=crew.shift_id, driver_id=crew.driver_id, stops=stops, overtime=max(0, whole.home - crew.shift_end),
        way_home=whole.way_home[0], next_stop=stops[0].stop_id if driving else None,
        remaining=whole.visits[0].seconds if driving else 0, metres=whole.visits[0].metres if driving else 0,
    )  # fmt: skip


def setback(outlook: Outlook, forecast: Forecast, planned: Route, shift_end: int) -> Setback | None:
    """The worst of what is likely to come too late, and is later than `planned`, the route as published; None if nothing is.

    Late is what misses a window, or the end of the shift, one time in five or more often. It counts only by as much as it has
    slipped since it was planned: a plan that is tight, or late already, is no news.
    """
    before = {stop.stop_id: stop for stop in planned.stops}
    found = [Setback(stop.stop_id, min(chance.late - before[stop.stop_id].late_by, stop.arrive - before[stop.stop_id].arrive))
             for stop, chance in zip(outlook.stops, forecast.stops, strict=True) if stop.stop_id in before]  # fmt: skip
    last = before.get(outlook.stops[-1].stop_id) if outlook.stops else None
    if last is not None:
        expected = max(0, last.leave + outlook.way_home - shift_end)
        found.append(Setback(outlook.shift_id, min(forecast.overtime - expected, outlook.stops[-1].leave - last.leave)))
    worst = max(found, key=lambda item: item.seconds, default=None)
    return worst if worst is not None and worst.seconds > 0 else None
