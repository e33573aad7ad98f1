"""OpenStreetMap files (`.osm.pbf`, and anything else pyosmium reads) straight into arrays.

One pass: nodes' places are kept while they go by (16 bytes each), then come the drivable ways. Ways are cut at
junctions (nodes that two ways, or one way twice, pass through) and, in a clipped extract, at missing nodes.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import osmium
from numpy.typing import NDArray

from routing.errors import ImportFailed
from routing.roads import osm
from routing.roads.streets import Streets, haversine

Progress = Callable[[str], None]


def read(path: Path, progress: Progress) -> tuple[Streets, tuple[str, ...]]:
    """Read the drivable streets of an OpenStreetMap file, with notes on what was cut.

    Raises
    ------
    ImportFailed
        If the file cannot be read or holds no drivable way.
    """
    try:
        progress("reading nodes and ways")
        found = _ways(path)
    except RuntimeError as error:
        raise ImportFailed(f"{path} cannot be read: {error}.", remedy="Download it again.") from None
    if not len(found.way):
        raise ImportFailed(f"{path} has no way that vehicles may use.", remedy="Is it an extract of a town?")
    progress(f"{len(found.way):,} drivable ways; cutting them at junctions")
    return _cut(found)


@dataclass(frozen=True, slots=True, eq=False)
class _Ways:
    """W ways through R nodes: those of way i are `first[i]` to `first[i + 1]`; places are not a number where unknown."""

    way: NDArray[np.int64]
    first: NDArray[np.int64]
    kmh: NDArray[np.float64]
    road_class: NDArray[np.uint8]
    oneway: NDArray[np.int8]
    node: NDArray[np.int64]
    lat: NDArray[np.float64]
    lon: NDArray[np.float64]


def _ways(path: Path) -> _Ways:
    way, first, kmh, road_class, oneway = array("q"), array("q", [0]), array("d"), array("B"), array("b")
    nodes, lat, lon = array("q"), array("d"), array("d")
    number = {name: index for index, name in enumerate(osm.CLASSES)}
    source: Any = osmium.FileProcessor(str(path), osmium.osm.NODE | osmium.osm.WAY).with_locations("flex_mem")
    source = source.with_filter(osmium.filter.EntityFilter(osmium.osm.WAY)).with_filter(osmium.filter.KeyFilter("highway"))
    for item in source:
        tags = dict(item.tags)
        if not osm.drivable(tags) or len(item.nodes) < 2:
            continue
        for node in item.nodes:
            known = node.location.valid()
            nodes.append(node.ref)
            lat.append(node.location.lat if known else math.nan)
            lon.append(node.location.lon if known else math.nan)
        way.append(item.id)
        first.append(len(nodes))
        kmh.append(osm.speed(tags))
        road_class.append(number[tags["highway"]])
        oneway.append(osm.direction(tags))
    return _Ways(np.array(way, np.int64), np.array(first, np.int64), np.array(kmh, np.float64), np.array(road_class, np.uint8),
                 np.array(oneway, np.int8), np.array(nodes, np.int64), np.array(lat), np.array(lon))  # fmt: skip


def _cut(ways: _Ways) -> tuple[Streets, tuple[str, ...]]:
    way, first, kmh, road_class, oneway = ways.way, ways.first, ways.kmh, ways.road_class, ways.oneway
    node_id, seen, node = np.unique(ways.node, return_index=True, return_inverse=True)
    lat, lon = ways.lat[seen], ways.lon[seen]
    way_of = np.repeat(np.arange(len(way)), np.diff(first))
    piece = np.flatnonzero(way_of[1:] == way_of[:-1])
    a, b = node[piece], node[piece + 1]
    missing = np.isnan(lat[a]) | np.isnan(lat[b])
    clipped = len(np.unique(way_of[piece[missing]]))
    piece, a, b = piece[~missing & (a != b)], a[~missing & (a != b)], b[~missing & (a != b)]
    if not len(piece):
        raise ImportFailed("The file has ways but none of their nodes.", remedy="Keep referenced nodes when clipping.")
    junction = np.bincount(node, minlength=len(node_id)) > 1
    junction[node[first[:-1]]] = True
    junction[node[first[1:] - 1]] = True
    owner = way_of[piece]
    begins = np.ones(len(piece), bool)
    begins[1:] = junction[a[1:]] | (owner[1:] != owner[:-1]) | (a[1:] != b[:-1])
    start = np.flatnonzero(begins)
    end = np.append(start[1:], len(piece))
    metres = np.add.reduceat(haversine(lat[a], lon[a], lat[b], lon[b]), start)
    owner, tail, head = owner[start], a[start], b[end - 1]
    forward, backward = np.flatnonzero(oneway[owner] >= 0), np.flatnonzero(oneway[owner] <= 0)
    street = np.concatenate([forward, backward])
    shape_start, points = _shapes(a, b, start, end, forward, backward)
    streets = Streets(
        node_id=node_id, lat=np.nan_to_num(lat), lon=np.nan_to_num(lon),
        tail=np.concatenate([tail[forward], head[backward]]), head=np.concatenate([head[forward], tail[backward]]),
        seconds=metres[street] / (kmh[owner[street]] / 3.6), metres=metres[street], way=way[owner[street]],
        road_class=road_class[owner[street]], shape_start=shape_start, shape_lat=lat[points], shape_lon=lon[points],
    )  # fmt: skip
    notes = (f"clipped  {clipped:,} ways cut at the extract's edge",) if clipped else ()
    return streets, notes


def _shapes(a: NDArray[np.int64], b: NDArray[np.int64], start: NDArray[np.int64], end: NDArray[np.int64],
            forward: NDArray[np.int64], backward: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:  # fmt: skip
    """Node indices of each arc's polyline: its pieces' first nodes and the last piece's end, reversed for backward."""
    length = end - start + 1
    street = np.concatenate([forward, backward])
    sizes = length[street]
    shape_start = np.concatenate([[0], np.cumsum(sizes)])
    step = np.arange(shape_start[-1]) - np.repeat(shape_start[:-1], sizes)
    reverse = np.repeat(np.arange(len(street)) >= len(forward), sizes)
    step = np.where(reverse, np.repeat(sizes, sizes) - 1 - step, step)
    base, last = np.repeat(start[street], sizes), np.repeat(sizes, sizes) - 1
    points = np.where(step == last, b[np.minimum(base + step - 1, len(b) - 1)], a[np.minimum(base + step, len(a) - 1)])
    return shape_start, points
