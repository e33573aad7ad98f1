"""A city's drivable streets as arrays, in one file that opens in milliseconds.

A *node* is a junction (or the end of a street), an *arc* one direction of a street between two nodes. Nodes are
numbered in the order in which the hierarchy contracts them, arcs sorted by (tail, head). The file holds all that
does not change with the traffic: streets, their shapes, the hierarchy over them and the index to find them by.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from routing.errors import MapFileError
from routing.roads import arrays
from routing.roads.grid import Grid
from routing.roads.hierarchy import Hierarchy

MAGIC = b"LASTLEG MAP\n"
FORMAT = 3
"""Raised whenever the layout changes; other formats are refused with the hint to import again."""

_REIMPORT = "Make it again: python -m routing.roads import SOURCE --out FILE"
_PARTS = {"hierarchy": Hierarchy, "grid": Grid}


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Network:
    """Arrays of a map with N nodes, M arcs and G geometry points.

    Attributes
    ----------
    name, attribution, source
        What the map is called, whom to credit, and what it was made from.
    fingerprint
        Names this very set of arcs: what belongs to another import of the same city has another one.
    lat, lon
        (N,) degrees.
    osm_id
        (N,) the nodes' ids in OpenStreetMap, or in the graph it came from.
    tail, head
        (M,) node indices.
    seconds, metres
        (M,) free-flow travel time and length.
    way
        (M,) id of the OpenStreetMap way.
    road_class
        (M,) index into `routing.roads.osm.CLASSES`.
    reverse
        (M,) the arc that runs the same street the other way, or -1.
    shape_start
        (M + 1,) where each arc's polyline begins in the shape arrays.
    shape_lat, shape_lon
        (G,) degrees x 1e7, tail and head included.
    hierarchy, grid
        What travel times and snapping are computed with.
    """

    name: str
    attribution: str
    source: str
    fingerprint: str
    lat: NDArray[np.float64]
    lon: NDArray[np.float64]
    osm_id: NDArray[np.int64]
    tail: NDArray[np.int32]
    head: NDArray[np.int32]
    seconds: NDArray[np.float32]
    metres: NDArray[np.float32]
    way: NDArray[np.int64]
    road_class: NDArray[np.uint8]
    reverse: NDArray[np.int32]
    shape_start: NDArray[np.int64]
    shape_lat: NDArray[np.int32]
    shape_lon: NDArray[np.int32]
    hierarchy: Hierarchy
    grid: Grid

    def __repr__(self) -> str:
        return f"<Network {self.name} {self.fingerprint}: {self.nodes:,} nodes, {self.arcs:,} arcs>"

    @property
    def nodes(self) -> int:
        """Number of nodes."""
        return len(self.lat)

    @property
    def arcs(self) -> int:
        """Number of arcs."""
        return len(self.tail)

    def polyline(self, *arcs: int) -> NDArray[np.float64]:
        """(k, 2) latitudes and longitudes of arcs, each from tail to head, end to end; k >= 2 for each of them."""
        chosen = np.array(arcs, np.int64)
        first = self.shape_start[chosen]
        sizes = self.shape_start[chosen + 1] - first
        points = np.repeat(first - (np.cumsum(sizes) - sizes), sizes) + np.arange(sizes.sum())
        return np.column_stack([self.shape_lat[points], self.shape_lon[points]]) / 1e7

    def save(self, path: Path) -> None:
        """Write the map; a reader never sees half a file."""
        values: dict[str, Any] = {"format": FORMAT}
        columns: dict[str, arrays.Array] = {}
        for prefix, part in (("", self), *((f"{name}.", getattr(self, name)) for name in _PARTS)):
            for field_ in fields(part):
                value = getattr(part, field_.name)
                if isinstance(value, np.ndarray):
                    columns[prefix + field_.name] = value
                elif field_.name not in _PARTS:
                    values[prefix + field_.name] = value
        arrays.save(path, MAGIC, values, columns, durable=True)

    @classmethod
    def open(cls, path: Path) -> Network:
        """Map a file into memory.

        Raises
        ------
        MapFileError
            If the file is missing, empty, cut off, no map, or of another format.
        """
        try:
            values, columns = arrays.load(path, MAGIC, verify=True)
        except arrays.Unreadable as error:
            raise MapFileError(error.detail, remedy=_REIMPORT) from None
        if values.get("format") != FORMAT:
            raise MapFileError(
                f"{path} has format {values.get('format')}; this program reads {FORMAT}.", remedy=_REIMPORT
            )
        found: dict[str, Any] = {**values, **columns}
        try:
            parts = {name: _take(part, found, f"{name}.") for name, part in _PARTS.items()}
            return cls(**{field_.name: found[field_.name] for field_ in fields(cls) if field_.name not in _PARTS}, **parts)
        except (KeyError, TypeError) as error:
            raise MapFileError(f"{path} is damaged: {error}.", remedy=_REIMPORT) from None


def _take(part: type, found: dict[str, Any], prefix: str) -> Any:
    return part(**{field_.name: found[prefix + field_.name] for field_ in fields(part)})


def fingerprint(*columns: arrays.Array) -> str:
    """A short name for the contents of arrays."""
    digest = hashlib.blake2b(digest_size=8)
    for column in columns:
        digest.update(np.ascontiguousarray(column).tobytes())
    return digest.hexdigest()
