"""No stop that could have been left out makes a shift longer than its overtime or its limit allows; overtime has a price."""

from __future__ import annotations

from collections.abc import Iterator

from routing.solve.findings import Violation, Way
from routing.solve.rules.prices import LATE_CAP
from routing.solve.tour import Breach, Tour, ends_at


def breach(tour: Tour) -> Breach | None:
    """Whether the tour ends after all that is allowed."""
    over = tour.home - tour.ends_by
    if over > 0 and len(tour.visits) > len(tour.crew.frozen):
        return Breach(ends_at(tour.crew)[1], over, "seconds", len(tour.visits) - 1)
    return None


def price(tour: Tour) -> int:
    """What overtime costs."""
    over = max(0, tour.home - tour.crew.shift_end)
    return min(over * tour.problem.policy.overtime_price, LATE_CAP) if tour.used else 0


def check(way: Way) -> Iterator[Violation]:
    """The way is over in time."""
    if way.free and way.over > way.must_end:
        yield Violation("shift_end", way.crew.shift_id, f"ends {way.over - way.must_end} s too late")
