"""A depot's travel times: its map, with today's closures, asked by location."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ingest.settings import Settings
from routing.model import Location, Snapshot
from routing.roads import maps
from routing.roads.snapping import MAX_SNAP_M
from routing.roads.traffic import Overlay
from routing.roads.travel import UNREACHABLE, DijkstraTimes, Matrix
from routing.solve.problem import MatrixOf


def matrices(settings: Settings, snapshot: Snapshot, now: int) -> tuple[MatrixOf, MatrixOf]:
    """Travel times on the roads as they are at `now`, and on free roads."""
    path = maps.find(snapshot.depot.map, settings.maps)
    overlay = Overlay.at(maps.network(path), snapshot.road_events, now, version=snapshot.roads)

    def live(locations: Sequence[Location]) -> Matrix:
        return _matrix(path, overlay, locations)

    def free(locations: Sequence[Location]) -> Matrix:
        return _matrix(path, None, locations)

    return live, free


def _matrix(path: Path, overlay: Overlay | None, locations: Sequence[Location]) -> Matrix:
    """Equal places are asked once; a place far off the map, which intake refuses, is nobody's neighbour."""
    if not locations:
        return Matrix(np.zeros((0, 0), np.int32), np.zeros((0, 0), np.int32))
    distinct = list(dict.fromkeys(locations))
    where = {location: number for number, location in enumerate(distinct)}
    spots = maps.snapper(path).nearest(distinct)
    found = DijkstraTimes(maps.network(path), overlay).matrix(spots)
    lost = [number for number, spot in enumerate(spots) if spot.distance_m > 4 * MAX_SNAP_M]
    for table in (found.seconds, found.metres):
        table[:, lost] = UNREACHABLE
    rows = np.array([where[location] for location in locations])
    return Matrix(found.seconds[np.ix_(rows, rows)], found.metres[np.ix_(rows, rows)])
