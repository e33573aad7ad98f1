"""A map's streets as vector tiles: what is to be drawn of them at a zoom, cut as web maps cut the world.

Tiles are those of the Web Mercator grid (`z/x/y`, the north-west one is 0/0, as OpenStreetMap and all web maps have it). Streets
that hardly show at a zoom are left out, and points that fall on the one before.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from routing.roads.network import Network
from routing.roads.osm import CLASSES

EXTENT = 1024
"""Units along a tile's side: a quarter of a pixel where a tile is drawn 256 pixels wide."""

MAX_ZOOM = 19

KINDS = ("motorway", "primary", "secondary", "tertiary", "street", "service")
"""How streets are drawn, the widest first."""

FROM_ZOOM = (0, 9, 11, 12, 13, 15)
"""The zoom from which each of `KINDS` is shown."""

MARGIN = 0.05
"""So far (shares of a tile) beyond its sides streets belong to it, so that wide lines are not cut."""

_OF_CLASS = {"motorway": 0, "trunk": 0, "primary": 1, "secondary": 2, "tertiary": 3, "service": 5}
_KIND = np.array([_OF_CLASS.get(name.removesuffix("_link"), 4) for name in CLASSES], np.uint8)


@dataclass(frozen=True, slots=True, eq=False)
class _Drawn:
    """A map as it is drawn: one arc per street; `x` and `y` of all shape points, and bounds of arcs, as shares of the world."""

    arcs: NDArray[np.int64]
    kind: NDArray[np.uint8]
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


def tile(network: Network, zoom: int, column: int, row: int) -> dict[str, list[list[int]]]:
    """Lines by kind of street; each is `[x, y, dx, dy, dx, dy …]` in units of `EXTENT` from the tile's north-west corner.

    There are none where the grid has no such tile.
    """
    drawn = _drawn(network)
    scale = 2.0**zoom
    low, high = np.array([column - MARGIN, row - MARGIN]) / scale, np.array([column + 1 + MARGIN, row + 1 + MARGIN]) / scale
    shown = np.array([zoom >= least for least in FROM_ZOOM])[drawn.kind]
    chosen = np.flatnonzero(shown & (drawn.high >= low).all(axis=1) & (drawn.low <= high).all(axis=1))
    lines: dict[str, list[list[int]]] = {}
    for kind, line in zip(drawn.kind[chosen], _lines(network, drawn, chosen, scale, column, row), strict=True):
        if len(line) > 2:
            lines.setdefault(KINDS[kind], []).append(line)
    return lines


def _lines(network: Network, drawn: _Drawn, chosen: NDArray[np.int64], scale: float, column: int, row: int) -> list[list[int]]:
    """Each street's points in units of the tile; what falls on one unit is a single point."""
    arcs = drawn.arcs[chosen]
    first = network.shape_start[arcs]
    sizes = network.shape_start[arcs + 1] - first
    begins = np.cumsum(sizes) - sizes
    points = np.repeat(first - begins, sizes) + np.arange(sizes.sum())
    units = np.empty((len(points), 2), np.int64)
    units[:, 0] = np.rint((drawn.x[points] * scale - column) * EXTENT)
    units[:, 1] = np.rint((drawn.y[points] * scale - row) * EXTENT)
    steps = np.diff(units, axis=0, prepend=0)
    steps[begins] = units[begins]
    kept: NDArray[np.bool_] = steps[:, 0].astype(bool) | steps[:, 1].astype(bool)
    kept[begins] = True
    ends = np.cumsum(np.add.reduceat(kept, begins)) if len(begins) else begins
    flat = steps[kept].ravel().tolist()
    return [flat[2 * start : 2 * end] for start, end in zip([0, *ends[:-1]], ends, strict=True)] if len(begins) else []


@lru_cache(maxsize=4)
def _drawn(network: Network) -> _Drawn:
    lat, lon = np.radians(network.shape_lat / 1e7), network.shape_lon / 1e7
    x, y = (lon + 180) / 360, (1 - np.arcsinh(np.tan(lat)) / np.pi) / 2
    arcs = np.flatnonzero((network.reverse < 0) | (network.reverse > np.arange(network.arcs)))
    first = network.shape_start[:-1]
    low = np.column_stack([np.minimum.reduceat(x, first), np.minimum.reduceat(y, first)])[arcs]
    high = np.column_stack([np.maximum.reduceat(x, first), np.maximum.reduceat(y, first)])[arcs]
    return _Drawn(arcs, _KIND[network.road_class[arcs]], x, y, low, high)
