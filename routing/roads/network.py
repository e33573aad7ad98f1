"""A city's drivable streets as arrays, in one file that opens in milliseconds.

A *node* is a junction (or the end of a street), an *arc* one direction of a street between two nodes.
Arcs are sorted by (tail, head). The file is a JSON header and the raw arrays behind it, each aligned to
64 bytes, so that opening it maps it and every process shares the pages.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from routing.errors import MapFileError

MAGIC = b"LASTLEG MAP\n"
FORMAT = 1
"""Raised whenever the layout changes; other formats are refused with the hint to import again."""

_ALIGN = 64
_REIMPORT = "Make it again: python -m routing.roads import SOURCE --out FILE"


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """Arrays of a map with N nodes, M arcs and G geometry points.

    Attributes
    ----------
    name, attribution, source
        What the map is called, whom to credit, and what it was made from.
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
    """

    name: str
    attribution: str
    source: str
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

    @property
    def nodes(self) -> int:
        """Number of nodes."""
        return len(self.lat)

    @property
    def arcs(self) -> int:
        """Number of arcs."""
        return len(self.tail)

    def polyline(self, arc: int) -> NDArray[np.float64]:
        """(k, 2) latitudes and longitudes of an arc from tail to head, k >= 2."""
        piece = slice(int(self.shape_start[arc]), int(self.shape_start[arc + 1]))
        return np.column_stack([self.shape_lat[piece], self.shape_lon[piece]]) / 1e7

    def save(self, path: Path) -> None:
        """Write the map; a reader never sees half a file."""
        header: dict[str, Any] = {"format": FORMAT, "arrays": {}}
        blocks: list[bytes] = []
        offset = 0
        for field_ in fields(self):
            value = getattr(self, field_.name)
            if isinstance(value, str):
                header[field_.name] = value
                continue
            data = np.ascontiguousarray(value).tobytes()
            header["arrays"][field_.name] = [value.dtype.str, len(value), offset]
            blocks.append(data + b"\0" * (-len(data) % _ALIGN))
            offset += len(blocks[-1])
        text = json.dumps(header).encode()
        head = MAGIC + len(text).to_bytes(8, "little") + text
        temporary = path.with_name(f"{path.name}.{os.getpid()}.part")
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(head + b"\0" * (-len(head) % _ALIGN))
            file.writelines(blocks)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)

    @classmethod
    def open(cls, path: Path) -> Network:
        """Map a file into memory.

        Raises
        ------
        MapFileError
            If the file is missing, empty, cut off, no map, or of another format.
        """
        try:
            raw = np.memmap(path, dtype=np.uint8, mode="r")
        except FileNotFoundError:
            raise MapFileError(f"There is no map at {path}.", remedy=_REIMPORT) from None
        except (ValueError, OSError) as error:
            raise MapFileError(f"{path} cannot be opened: {error}.", remedy=_REIMPORT) from None
        start = len(MAGIC) + 8
        if raw[: len(MAGIC)].tobytes() != MAGIC:
            raise MapFileError(f"{path} is not a map of this program.", remedy=_REIMPORT)
        size = int.from_bytes(raw[len(MAGIC) : start].tobytes(), "little")
        try:
            header = json.loads(raw[start : start + size].tobytes())
        except ValueError:
            raise MapFileError(f"{path} is cut off or damaged.", remedy=_REIMPORT) from None
        if header.get("format") != FORMAT:
            raise MapFileError(
                f"{path} has format {header.get('format')}; this program reads {FORMAT}.", remedy=_REIMPORT
            )
        base = start + size + (-(start + size)) % _ALIGN
        values: dict[str, Any] = {}
        for field_ in fields(cls):
            if field_.name in header["arrays"]:
                dtype, length, offset = header["arrays"][field_.name]
                end = base + offset + np.dtype(dtype).itemsize * length
                if end > len(raw):
                    raise MapFileError(f"{path} is cut off.", remedy=_REIMPORT)
                values[field_.name] = raw[base + offset : end].view(dtype)
            else:
                values[field_.name] = header[field_.name]
        return cls(**values)
