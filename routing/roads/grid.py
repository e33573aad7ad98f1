"""A uniform grid over the streets' segments: what is near a point, in microseconds.

Distances are measured in a local equirectangular projection, which is exact to a few centimetres at the
distances at which snapping makes sense. A segment is the piece between two shape points, named by the first.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import types
from numpy.typing import NDArray

from routing.jit import kernel, read, write

_I32, _I64, _F64 = types.int32, types.int64, types.float64

CELL_M = 100.0
"""Side of a cell; larger where a map has little in much room."""

_TIE = 1e-6
"""Square metres by which two distances must differ to be different."""

METRES_PER_DEGREE = np.radians(1.0) * 6_371_008.8


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """C x R cells; cell (column, row) lists `segment[start[i]:start[i + 1]]` with i = column * R + row.

    `x_scale` and `y_scale` are metres per degree of longitude and latitude; `x`, `y` is the corner of the
    first cell in metres, `cell` the side of a cell. `segment` indexes the network's shape points.
    """

    x_scale: float
    y_scale: float
    x: float
    y: float
    cell: float
    columns: int
    rows: int
    start: NDArray[np.int32]
    segment: NDArray[np.int32]

    def project(self, lat: NDArray[np.float64], lon: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Metres east and north in this grid's projection."""
        return np.asarray(lon, np.float64) * self.x_scale, np.asarray(lat, np.float64) * self.y_scale

    def within(self, left: float, low: float, right: float, high: float) -> NDArray[np.int32]:
        """Segments listed in the cells that a rectangle in metres touches; some several times."""
        first, last = max(0, int((left - self.x) // self.cell)), min(self.columns - 1, int((right - self.x) // self.cell))
        bottom, top = max(0, int((low - self.y) // self.cell)), min(self.rows - 1, int((high - self.y) // self.cell))
        if bottom > top:
            return self.segment[:0]
        lists = [self.segment[self.start[column * self.rows + bottom] : self.start[column * self.rows + top + 1]]
                 for column in range(first, last + 1)]  # fmt: skip
        return np.concatenate([self.segment[:0], *lists])


def build(shape_start: NDArray[np.int64], shape_lat: NDArray[np.int32], shape_lon: NDArray[np.int32],
          reverse: NDArray[np.int32]) -> Grid:  # fmt: skip
    """Index one direction of each street."""
    arcs = np.flatnonzero((reverse < 0) | (np.arange(len(reverse)) < reverse))
    sizes = np.diff(shape_start)[arcs] - 1
    segment = np.repeat(shape_start[arcs] - (np.cumsum(sizes) - sizes), sizes) + np.arange(sizes.sum())
    x_scale = METRES_PER_DEGREE * np.cos(np.radians(shape_lat.mean() / 1e7))
    x, y = shape_lon / 1e7 * x_scale, shape_lat / 1e7 * METRES_PER_DEGREE
    wide, tall = x.max() - x.min() + 2, y.max() - y.min() + 2
    cell = max(CELL_M, float(np.sqrt(wide * tall / (4 * len(segment) + 100))))
    columns, rows = int(wide / cell) + 1, int(tall / cell) + 1
    start, found = _fill(x, y, segment, x.min() - 1, y.min() - 1, cell, columns, rows)
    return Grid(x_scale=float(x_scale), y_scale=float(METRES_PER_DEGREE), x=float(x.min() - 1), y=float(y.min() - 1),
                cell=cell, columns=columns, rows=rows, start=start, segment=found)  # fmt: skip


@kernel(read(_F64), read(_F64), read(_I64), _F64, _F64, _F64, _I64, _I64, returns=types.UniTuple(write(_I32), 2))
def _fill(x, y, segment, x0, y0, cell, columns, rows):  # type: ignore[no-untyped-def]  # numba
    """Count, then fill: a segment is listed in each cell whose centre is within half a diagonal of it."""
    start = np.zeros(columns * rows + 1, np.int32)
    found = np.empty(0, np.int32)
    free = np.empty(0, np.int32)
    for counting in (True, False):
        if not counting:
            for i in range(columns * rows):
                start[i + 1] += start[i]
            found = np.empty(start[-1], np.int32)
            free = start[:-1].copy()
        for s in segment:
            left, right = int((min(x[s], x[s + 1]) - x0) / cell), int((max(x[s], x[s + 1]) - x0) / cell)
            low, high = int((min(y[s], y[s + 1]) - y0) / cell), int((max(y[s], y[s + 1]) - y0) / cell)
            dx, dy = x[s + 1] - x[s], y[s + 1] - y[s]
            length = dx * dx + dy * dy
            for column in range(left, right + 1):
                for row in range(low, high + 1):
                    px, py = x0 + (column + 0.5) * cell - x[s], y0 + (row + 0.5) * cell - y[s]
                    share = min(1.0, max(0.0, (px * dx + py * dy) / length)) if length > 0 else 0.0
                    if (px - share * dx) ** 2 + (py - share * dy) ** 2 > 0.5001 * cell * cell:
                        continue
                    i = column * rows + row
                    if counting:
                        start[i + 1] += 1
                    else:
                        found[free[i]] = s
                        free[i] += 1
    return start, found


@kernel(read(_F64), read(_F64), read(_I32), read(_I32), _F64, _F64, _F64, _F64, _F64, _I64, _I64, read(_I32), read(_I32),
        write(_I32), write(_F64), write(_F64), write(_F64))
def nearest(px, py, shape_lat, shape_lon, x_scale, y_scale,  # type: ignore[no-untyped-def]  # numba
            x0, y0, cell, columns, rows, start, segment, near, share, distance, side):  # fmt: skip
    """The nearest segment of each point (Q,), the share of it at which, metres to there, and the side it lies on.

    Rings of cells around the point are searched until no nearer segment can follow: what ring r has not shown
    is at least r cells away. `side` is metres to the right of the segment's direction (negative: left). Beyond a bend,
    where the nearest point is the end of two segments, that one counts which has the point farther to its side.
    """
    for q in range(len(px)):
        column, row = int(np.floor((px[q] - x0) / cell)), int(np.floor((py[q] - y0) / cell))
        best, found = np.inf, -1
        ring = max(0, -column, column - columns + 1, -row, row - rows + 1)  # the first that meets the grid
        last = max(column, columns - 1 - column, row, rows - 1 - row)
        while ring <= last and best > ((ring - 1) * cell) ** 2 * (ring > 0):
            for i in range(max(0, column - ring), min(columns - 1, column + ring) + 1):
                low, high, step = row - ring, row + ring, 2 * ring
                if abs(i - column) == ring:  # a whole side of the ring, not just its two ends
                    low, high, step = max(0, low), min(rows - 1, high), 1
                for j in range(low, high + 1, step):
                    if j < 0 or j >= rows:
                        continue
                    for k in range(start[i * rows + j], start[i * rows + j + 1]):
                        s = segment[k]
                        ax, ay = shape_lon[s] / 1e7 * x_scale - px[q], shape_lat[s] / 1e7 * y_scale - py[q]
                        dx = (shape_lon[s + 1] - shape_lon[s]) / 1e7 * x_scale
                        dy = (shape_lat[s + 1] - shape_lat[s]) / 1e7 * y_scale
                        length = dx * dx + dy * dy
                        f = min(1.0, max(0.0, -(ax * dx + ay * dy) / length)) if length > 0 else 0.0
                        d = (ax + f * dx) ** 2 + (ay + f * dy) ** 2
                        aside = (ay * dx - ax * dy) / np.sqrt(length) if length > 0 else 0.0
                        if d < best - _TIE or (d <= best + _TIE and abs(aside) > abs(side[q])):
                            best, found = min(d, best), s
                            share[q] = f
                            side[q] = aside
            ring += 1
        near[q], distance[q] = found, np.sqrt(best)


@kernel(read(_I64), read(_I32), read(_I32), _F64, _F64, read(_I32), read(_F64), write(_I64), write(_F64))
def along(shape_start, shape_lat, shape_lon, x_scale, y_scale, near, share, arc, fraction):  # type: ignore[no-untyped-def]  # numba  # fmt: skip
    """The arc that each segment is a piece of, and how much of the arc's length lies behind a share of it."""
    for q in range(len(near)):
        found = np.searchsorted(shape_start, np.int64(near[q]), side="right") - 1
        behind, whole = 0.0, 0.0
        for s in range(shape_start[found], shape_start[found + 1] - 1):
            length = np.hypot((shape_lon[s + 1] - shape_lon[s]) / 1e7 * x_scale, (shape_lat[s + 1] - shape_lat[s]) / 1e7 * y_scale)
            if s < near[q]:
                behind += length
            elif s == near[q]:
                behind += share[q] * length
            whole += length
        arc[q] = found
        fraction[q] = min(1.0, behind / whole) if whole > 0 else 0.0
