"""No stop that could have been left out makes a shift longer than its limits: stops, metres, seconds at the wheel.

What is behind a crew counts. How long a shift may last is in `shifts`.
"""

from __future__ import annotations

from collections.abc import Iterator

from routing.model import ReasonCode
from routing.solve.findings import Violation, Way
from routing.solve.problem import Crew, Problem
from routing.solve.tour import Breach, Tour, tour

NONE = 1 << 60
"""A limit that nothing reaches."""


def limited(crew: Crew) -> bool:
    """Whether a crew has limits, apart from how long its shift may last."""
    return any(limit is not None for limit in (crew.limits.stops, crew.limits.distance, crew.limits.driving))


def room(problem: Problem, crew: Crew) -> tuple[int, int, int]:
    """Stops, metres and seconds at the wheel that may follow the frozen stops, the way home included.

    Where those already go beyond a limit, there is room for that way home and no more.
    """
    limits = crew.limits
    if not limited(crew):
        return NONE, NONE, NONE
    prefix = tour(problem, crew, crew.frozen, ends_by=0)
    home = _sum(prefix.legs(len(crew.frozen))) if prefix.used else prefix.way_home
    seconds, metres = (whole - ahead for whole, ahead in zip(_sum(prefix.legs()), _sum(prefix.legs(len(crew.frozen))), strict=True))
    return (NONE if limits.stops is None else max(0, limits.stops - len(crew.done) - len(crew.frozen)),
            NONE if limits.distance is None else max(limits.distance - crew.driven[0] - metres, home[1]),
            NONE if limits.driving is None else max(limits.driving - crew.driven[1] - seconds, home[0]))  # fmt: skip


def _sum(legs: list[tuple[int, int]]) -> tuple[int, int]:
    """Seconds and metres of all."""
    return sum(seconds for seconds, _ in legs), sum(metres for _, metres in legs)


def breach(tour: Tour) -> Breach | None:
    """The first stop beyond the number, or the last where the way is too long."""
    frozen, last = len(tour.crew.frozen), len(tour.visits) - 1
    if last < frozen or not limited(tour.crew):
        return None
    stops, metres, seconds = room(tour.problem, tour.crew)
    free = tour.visits[frozen:]
    if len(free) > stops:
        return Breach(ReasonCode.MAX_STOPS, len(free) - stops, "stops", frozen + stops)
    driving, distance = _sum(tour.legs(frozen))
    if distance > metres:
        return Breach(ReasonCode.MAX_DISTANCE, distance - metres, "metres", last)
    return Breach(ReasonCode.MAX_DRIVING, driving - seconds, "seconds", last) if driving > seconds else None


def check(way: Way) -> Iterator[Violation]:
    """Whole shifts, what is behind included, keep within each limit, or within what nobody could change."""
    crew, frozen = way.crew, len(way.crew.frozen)
    if not way.free:
        return
    made = len(crew.done) + len(way.stops)
    if crew.limits.stops is not None and made > crew.limits.stops:
        yield Violation("max_stops", crew.shift_id, f"{made} stops of at most {crew.limits.stops}")
    for code, limit, part in (("max_distance", crew.limits.distance, 0), ("max_driving", crew.limits.driving, 1)):
        legs = [(stop.metres, stop.seconds)[part] for stop in way.stops]
        aside = [(rest.metres, rest.seconds)[part] for rest in way.rests if rest.before < frozen]
        whole = crew.driven[part] + sum(legs) + way.home[1 - part] + sum((rest.metres, rest.seconds)[part] for rest in way.rests)
        anyway = crew.driven[part] + sum(legs[:frozen]) + sum(aside) + way.bare[1 - part]
        if limit is not None and whole > max(limit, anyway):
            yield Violation(code, crew.shift_id, f"{whole} of at most {limit}")
