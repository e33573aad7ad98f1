"""Breaks begin in time, and nobody drives for longer at a stretch than may be.

Where rests are taken follows from a route, see `routing.solve.pauses`. What is missed before a plan could change anything is not
held against it.
"""

from __future__ import annotations

from collections.abc import Iterator

from routing.model import ReasonCode
from routing.solve.findings import Violation, Way
from routing.solve.tour import Breach, Tour


def breach(tour: Tour) -> Breach | None:
    """The first break that begins too late."""
    frozen, last = len(tour.crew.frozen), len(tour.visits) - 1
    if last < frozen:
        return None
    missed = next((pause for pause in tour.pauses if pause.late_by and pause.before >= frozen), None)
    return Breach(ReasonCode.BREAK, missed.late_by, "seconds", min(max(missed.before, frozen), last)) if missed else None


def check(way: Way) -> Iterator[Violation]:
    """Every break that work lasts beyond is taken, and begins in time.

    That driving is interrupted, and that a plan tells all rests as they are, follows from its times, which are checked apart.
    """
    crew, frozen = way.crew, len(way.crew.frozen)
    if not way.free:
        return
    for one, rest in zip(crew.breaks, way.rests, strict=False):
        if rest.before >= frozen and not one.earliest <= rest.start <= rest.by:
            yield Violation("break", crew.shift_id, f"it begins at {rest.start}, not from {one.earliest} to {rest.by}")
    missing = crew.breaks[len(way.rests) :]
    if missing and way.over > missing[0].latest:
        yield Violation("break", crew.shift_id, f"works until {way.over} without the break that begins by {missing[0].latest}")
