"""What vehicles cost: once if they are used, by the hour and by the kilometre that they are driven."""

from __future__ import annotations

from routing.solve.tour import Tour


def driving(tour: Tour) -> int:
    """The hours."""
    return sum(seconds * tour.crew.costs.per_hour // 3600 for seconds, _ in tour.legs())


def distance(tour: Tour) -> int:
    """The kilometres."""
    return sum(metres * tour.crew.costs.per_km // 1000 for _, metres in tour.legs())


def price(tour: Tour) -> int:
    """The use."""
    return tour.crew.costs.fixed if tour.used else 0
