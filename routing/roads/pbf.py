"""OpenStreetMap files (`.osm.pbf`, and anything else pyosmium reads) straight into arrays.

Two passes: drivable ways, then the nodes they need. Ways are cut at junctions (nodes that two ways, or one
way twice, pass through) and, in a clipped extract, at missing nodes.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable
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
        progress("reading ways")
        refs, first, way, kmh, road_class, oneway = _ways(path)
        if not len(way):
            raise ImportFailed(f"{path} has no way that vehicles may use.", remedy="Is it an extract of a town?")
        progress(f"{len(way):,} drivable ways; reading their nodes")
        node_id, lat, lon = _nodes(path, refs)
    except RuntimeError as error:
        raise ImportFailed(f"{path} cannot be read: {error}.", remedy="Download it again.") from None
    progress(f"{len(node_id):,} nodes; cutting streets at junctions")
    return _cut(refs, first, way, kmh, road_class, oneway, node_id, lat, lon)


def _ways(path: Path) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.float64],
                               NDArray[np.uint8], NDArray[np.int8]]:  # fmt: skip
    refs, first, way = array("q"), array("q", [0]), array("q")
    kmh, road_class, oneway = array("d"), array("B"), array("b")
    number = {name: index for index, name in enumerate(osm.CLASSES)}
    source: Iterable[Any] = osmium.FileProcessor(str(path), osmium.osm.WAY).with_filter(osmium.filter.KeyFilter("highway"))
    for item in source:
        tags = dict(item.tags)
        if not osm.drivable(tags) or len(item.nodes) < 2:
            continue
        refs.extend(node.ref for node in item.nodes)
        first.append(len(refs))
        way.append(item.id)
        kmh.append(osm.speed(tags))
        road_class.append(number[tags["highway"]])
        oneway.append(osm.direction(tags))
    return (np.array(refs, np.int64), np.array(first, np.int64), np.array(way, np.int64),
            np.array(kmh, np.float64), np.array(road_class, np.uint8), np.array(oneway, np.int8))  # fmt: skip


def _nodes(path: Path, refs: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    needed = np.unique(refs)
    lat, lon = np.full(len(needed), np.nan), np.full(len(needed), np.nan)
    ids, lats, lons = array("q"), array("d"), array("d")
    wanted = osmium.filter.IdFilter(needed[needed > 0].tolist())
    source: Iterable[Any] = osmium.FileProcessor(str(path), osmium.osm.NODE).with_filter(wanted)
    for node in source:
        ids.append(node.id)
        lats.append(node.location.lat)
        lons.append(node.location.lon)
    where = np.searchsorted(needed, np.array(ids, np.int64))
    lat[where], lon[where] = lats, lons
    return needed, lat, lon


def _cut(refs: NDArray[np.int64], first: NDArray[np.int64], way: NDArray[np.int64], kmh: NDArray[np.float64],
         road_class: NDArray[np.uint8], oneway: NDArray[np.int8], node_id: NDArray[np.int64],
         lat: NDArray[np.float64], lon: NDArray[np.float64]) -> tuple[Streets, tuple[str, ...]]:  # fmt: skip
    node = np.searchsorted(node_id, refs)
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
