"""What vehicles cost: once if they are used, by the hour and by the kilometre that they are driven."""

from __future__ import annotations

from routing.solve.tour import Tour


def driving(tour: Tour) -> int:
    """The hours."""
    seconds = [visit.seconds for visit in tour.visits] + [tour.way_home[0]] * tour.used
    return sum(leg * tour.crew.costs.per_hour // 3600 for leg in seconds)


def distance(tour: Tour) -> int:
    """The kilometres."""
    metres = [visit.metres for visit in tour.visits] + [tour.way_home[1]] * tour.used
    return sum(leg * tour.crew.costs.per_km // 1000 for leg in metres)


def price(tour: Tour) -> int:
    """The use."""
    return tour.crew.costs.fixed if tour.used else 0
