"""Where not every vehicle fits: what skills it takes to make a stop at a place."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import shapely

from routing.model import Access, Location

DEGREE_M = 111_195
"""Metres of one degree of latitude."""


def needed(areas: Sequence[Access], places: Sequence[Location]) -> list[frozenset[str]]:
    """The skills that each place asks for: those of all areas that it is in."""
    lat, lon = np.array([[place.lat, place.lon] for place in places], float).reshape(-1, 2).T
    found = [frozenset[str]()] * len(places)
    for area in areas:
        for number in np.flatnonzero(_within(area, lat, lon)).tolist():
            found[number] |= frozenset(area.skills)
    return found


def _within(area: Access, lat: np.ndarray, lon: np.ndarray) -> np.ndarray:
    if area.radius is None:
        return np.asarray(shapely.intersects_xy(shapely.Polygon([(place.lon, place.lat) for place in area.ring]), lon, lat))
    [centre] = area.ring
    east = (lon - centre.lon) * np.cos(np.radians(centre.lat))
    return np.asarray(np.hypot(lat - centre.lat, east) * DEGREE_M <= area.radius)


def sound(ring: Sequence[Location]) -> bool:
    """Whether a ring of places has an area and does not cross itself."""
    polygon = shapely.Polygon([(place.lon, place.lat) for place in ring])
    return bool(polygon.is_valid and polygon.area > 0)
