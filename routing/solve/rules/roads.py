"""Nobody is sent where no road leads."""

from __future__ import annotations

from collections.abc import Iterator

from routing.model import ReasonCode
from routing.roads.travel import UNREACHABLE
from routing.solve.findings import Violation, Way
from routing.solve.tour import Breach, Tour

NO_WAY = 10_000_000


def breach(tour: Tour) -> Breach | None:
    """The first leg that does not exist."""
    for position in range(len(tour.crew.frozen), len(tour.visits)):
        if tour.visits[position].seconds >= UNREACHABLE:
            return Breach(ReasonCode.CLOSED_ROAD, 0, "", position)
    return None


def check(way: Way) -> Iterator[Violation]:
    """All legs exist."""
    for stop in way.free:
        if stop.seconds >= NO_WAY:
            yield Violation("unreachable", stop.task.stop_id, "there is no way there")
