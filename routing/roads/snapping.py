"""From any location to the nearest point of the nearest street."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import shapely
from numpy.typing import NDArray

from routing.errors import BadRoads, OffMap
from routing.model import Kerb, Location, Place
from routing.roads import grid
from routing.roads.network import Network
from routing.roads.spot import Spot

MAX_SNAP_M = 250.0
"""Farther from every street than this, a location is off the map."""

_MIDDLE_M = 1.0
"""Nearer to a street's middle than this, a place lies on both sides."""


class Snapper:
    """A network's streets, found by location. All that it needs is in the map file."""

    def __init__(self, network: Network) -> None:
        self._network = network

    def arrays(self, lat: NDArray[np.float64], lon: NDArray[np.float64]
               ) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:  # fmt: skip
        """The nearest streets of many points at once.

        Returns
        -------
        tuple
            (Q,) arcs, fractions along them, distances in metres, and metres to the right of the arc (left: negative).

        Raises
        ------
        BadRoads
            If a coordinate is no finite number.
        """
        lat, lon = np.broadcast_arrays(np.asarray(lat, np.float64), np.asarray(lon, np.float64))
        if not (np.isfinite(lat).all() and np.isfinite(lon).all()):
            raise BadRoads("A location is no pair of finite numbers.", remedy="Give degrees.")
        network, index = self._network, self._network.grid
        x, y = index.project(lat, lon)
        near, share, distance, side = np.empty(len(x), np.int32), np.zeros(len(x)), np.empty(len(x)), np.zeros(len(x))
        grid.nearest(
            x, y, network.shape_lat, network.shape_lon, index.x_scale, index.y_scale, index.x, index.y, index.cell,
            index.columns, index.rows, index.start, index.segment, near, share, distance, side,
        )  # fmt: skip
        arc, fraction = np.empty(len(x), np.int64), np.empty(len(x))
        grid.along(network.shape_start, network.shape_lat, network.shape_lon, index.x_scale, index.y_scale,
                   near, share, arc, fraction)  # fmt: skip
        return arc, fraction, distance, side

    def nearest(self, places: Sequence[Place]) -> list[Spot]:
        """The nearest spot of each place, however far.

        With a kerb, the spot is on the direction of the street that has the place on that side, and only
        that direction may be used; one-way streets have no choice.
        """
        lat = np.array([place.location.lat for place in places], float)
        lon = np.array([place.location.lon for place in places], float)
        rows = zip(places, *(column.tolist() for column in self.arrays(lat, lon)), strict=True)
        return [self._on_side(Spot(arc, fraction, metres), side, place.kerb) for place, arc, fraction, metres, side in rows]

    def _on_side(self, spot: Spot, side: float, kerb: Kerb) -> Spot:
        if kerb is Kerb.EITHER or abs(side) < _MIDDLE_M:
            return spot
        opposite = int(self._network.reverse[spot.arc])
        if opposite >= 0 and (side > 0) != (kerb is Kerb.RIGHT):
            return Spot(opposite, 1 - spot.fraction, spot.distance_m, one_side=True)
        return Spot(spot.arc, spot.fraction, spot.distance_m, one_side=True)

    def snap(self, location: Location, *, within: float = MAX_SNAP_M) -> Spot:
        """The nearest spot.

        Raises
        ------
        OffMap
            If no street is within `within` metres.
        """
        spot = self.nearest([Place(location)])[0]
        if spot.distance_m > within:
            raise OffMap(
                f"({location.lat}, {location.lon}) is {spot.distance_m:,.0f} m from the nearest street.",
                distance_m=spot.distance_m, remedy=f"Give a place within {within:,.0f} m of a street of this map.",
            )  # fmt: skip
        return spot

    def arcs_within(self, area: shapely.Geometry) -> NDArray[np.int64]:
        """Streets (one arc of each, see `both_ways`) that touch an area given in projected metres."""
        network, index = self._network, self._network.grid
        segments = index.within(*area.bounds)
        arcs = np.unique(np.searchsorted(network.shape_start, segments, side="right") - 1)
        sizes = np.diff(network.shape_start)[arcs]
        points = np.repeat(network.shape_start[arcs] - (np.cumsum(sizes) - sizes), sizes) + np.arange(sizes.sum())
        xy = np.column_stack(index.project(network.shape_lat[points] / 1e7, network.shape_lon[points] / 1e7))
        lines = shapely.linestrings(xy, indices=np.repeat(np.arange(len(arcs)), sizes))
        found: NDArray[np.int64] = arcs[shapely.intersects(lines, area)]
        return found

    def disc(self, centre: Location, radius_m: float) -> shapely.Geometry:
        """A circle in the index's projection."""
        x, y = self._network.grid.project(np.array([centre.lat]), np.array([centre.lon]))
        return shapely.Point(x[0], y[0]).buffer(radius_m)

    def polygon(self, ring: Sequence[Location]) -> shapely.Geometry:
        """A polygon in the index's projection; raises ValueError if it crosses itself or has no area."""
        xy = self._network.grid.project(np.array([place.lat for place in ring]), np.array([place.lon for place in ring]))
        area = shapely.Polygon(np.column_stack(xy))
        if not area.is_valid or area.area == 0:
            raise ValueError("the polygon crosses itself or has no area")
        return area


def both_ways(network: Network, arcs: NDArray[np.int64]) -> NDArray[np.int64]:
    """The arcs and their opposite directions, sorted."""
    opposite = network.reverse[arcs]
    return np.unique(np.concatenate([arcs, opposite[opposite >= 0]]).astype(np.int64))
