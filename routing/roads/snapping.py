"""From any location to the nearest point of the nearest street.

Distances are measured in a local equirectangular projection, which is exact to a few centimetres at the
distances at which snapping makes sense.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from routing.errors import OffMap
from routing.model import Location
from routing.roads.network import Network
from routing.roads.streets import EARTH_RADIUS_M

MAX_SNAP_M = 250.0
"""Farther from every street than this, a location is off the map."""


@dataclass(frozen=True, slots=True)
class Spot:
    """A point on a street: `fraction` of the way along `arc`, `distance_m` from the location asked for."""

    arc: int
    fraction: float
    distance_m: float


class Snapper:
    """A resident index of a network's streets."""

    def __init__(self, network: Network) -> None:
        self._cos = float(np.cos(np.radians(network.lat.mean())))
        one_of_each = (network.reverse < 0) | (np.arange(network.arcs) < network.reverse)
        self._arcs = np.flatnonzero(one_of_each)
        sizes = np.diff(network.shape_start)[self._arcs]
        starts = network.shape_start[self._arcs]
        offsets = np.cumsum(sizes) - sizes
        points = np.repeat(starts - offsets, sizes) + np.arange(sizes.sum())
        xy = self._project(network.shape_lat[points] / 1e7, network.shape_lon[points] / 1e7)
        self._lines = shapely.linestrings(xy, indices=np.repeat(np.arange(len(sizes)), sizes))
        self._tree = shapely.STRtree(self._lines)

    def _project(self, lat: NDArray[np.float64], lon: NDArray[np.float64]) -> NDArray[np.float64]:
        scale = np.radians(1.0) * EARTH_RADIUS_M
        return np.column_stack([np.asarray(lon) * self._cos * scale, np.asarray(lat) * scale])

    def nearest(self, locations: Sequence[Location]) -> list[Spot]:
        """The nearest spot of each location, however far."""
        if not locations:
            return []
        xy = self._project(np.array([place.lat for place in locations]), np.array([place.lon for place in locations]))
        points = shapely.points(xy)
        asked, found = self._tree.query_nearest(points, all_matches=False)
        line = np.empty(len(locations), np.int64)
        line[asked] = found
        lines = self._lines[line]
        fraction = shapely.line_locate_point(lines, points, normalized=True)
        distance = shapely.distance(lines, points)
        rows = zip(self._arcs[line].tolist(), fraction.tolist(), distance.tolist(), strict=True)
        return [Spot(arc, share, metres) for arc, share, metres in rows]

    def snap(self, location: Location, *, within: float = MAX_SNAP_M) -> Spot:
        """The nearest spot.

        Raises
        ------
        OffMap
            If no street is within `within` metres.
        """
        spot = self.nearest([location])[0]
        if spot.distance_m > within:
            raise OffMap(
                f"({location.lat}, {location.lon}) is {spot.distance_m:,.0f} m from the nearest street.",
                distance_m=spot.distance_m, remedy=f"Give a place within {within:,.0f} m of a street of this map.",
            )  # fmt: skip
        return spot

    def arcs_within(self, area: shapely.Geometry) -> NDArray[np.int64]:
        """Streets (one arc of each, see `both_ways`) that touch an area given in projected metres."""
        found: NDArray[np.int64] = self._arcs[self._tree.query(area, predicate="intersects")]
        return found

    def disc(self, centre: Location, radius_m: float) -> shapely.Geometry:
        """A circle in the index's projection."""
        x, y = self._project(np.array([centre.lat]), np.array([centre.lon]))[0]
        return shapely.Point(x, y).buffer(radius_m)

    def polygon(self, ring: Sequence[Location]) -> shapely.Geometry:
        """A polygon in the index's projection; raises ValueError if it crosses itself or has no area."""
        xy = self._project(np.array([place.lat for place in ring]), np.array([place.lon for place in ring]))
        area = shapely.Polygon(xy)
        if not area.is_valid or area.area == 0:
            raise ValueError("the polygon crosses itself or has no area")
        return area


def both_ways(network: Network, arcs: NDArray[np.int64]) -> NDArray[np.int64]:
    """The arcs and their opposite directions, sorted."""
    opposite = network.reverse[arcs]
    return np.unique(np.concatenate([arcs, opposite[opposite >= 0]]).astype(np.int64))
