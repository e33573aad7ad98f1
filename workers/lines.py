"""Where routes run: each leg's line along the streets as they are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ingest.settings import Settings
from ingest.store import readers
from ingest.store.connection import Store
from routing.model import Depot, Place, Plan, PlannedStop, Route, order_of
from routing.roads.travel import line
from workers import travel


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """A route's line.

    Attributes
    ----------
    stops
        Those whose orders are still known.
    places
        Where it begins, those stops, and where it ends if that is fixed: one more than there are legs.
    legs
        (k, 2) latitudes and longitudes of each leg, k >= 2; straight where no street leads.
    metres
        Of all legs that streets lead along.
    """

    route: Route
    stops: tuple[PlannedStop, ...]
    places: tuple[Place, ...]
    legs: tuple[NDArray[np.float64], ...]
    metres: int


def lines(client: Store, settings: Settings, depot: Depot, plan: Plan, *, now: float, driver: str | None = None) -> Iterator[Line]:
    """Lines of a plan's routes, or of one driver's, at a real time (s); routes without stops have none."""
    routes = [route for route in plan.routes if driver in (None, route.driver_id)]
    shifts = {shift.id: shift for shift in readers.records(client, "shifts", depot.id)}
    orders = readers.orders_of(client, depot, [stop.stop_id for route in routes for stop in route.stops])
    roads = travel.at(settings, depot, readers.records(client, "road_events", depot.id), depot.clock.depot(now))
    for route in routes:
        shift, known = shifts.get(route.shift_id), [stop for stop in route.stops if order_of(stop.stop_id) in orders]
        if shift is None or not known:
            continue
        stops = [orders[order_of(stop.stop_id)].place_of(stop.stop_id) for stop in known]
        end = route.end or shift.end_location
        places = [Place(shift.start_location), *stops, *([Place(end)] if end else [])]
        spots = roads.spots(places)
        found = roads.roads.legs(list(zip(spots, spots[1:], strict=False)))
        legs = tuple(line(roads.day.network, leg) if leg is not None and leg.arcs else _straight(a, b)
                     for a, b, leg in zip(places, places[1:], found, strict=False))  # fmt: skip
        yield Line(route, tuple(known), tuple(places), legs, sum(leg.metres for leg in found if leg is not None))


def _straight(a: Place, b: Place) -> NDArray[np.float64]:
    return np.array([(a.location.lat, a.location.lon), (b.location.lat, b.location.lon)])
