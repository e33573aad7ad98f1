"""Streets that end where they begin, cut in two: a hierarchy knows junctions with ways between them, not to themselves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from routing.roads.streets import Streets, haversine


def split(streets: Streets) -> Streets:
    """Cut each loop at its middle shape point, which becomes a junction; both directions of a loop share it.

    Loops of two points, which lead nowhere, stay. New junctions have negative ids.
    """
    sizes = np.diff(streets.shape_start)
    loops = np.flatnonzero((streets.tail == streets.head) & (sizes > 2))
    if not len(loops):
        return streets
    middles = np.array([_middle(streets, arc) for arc in loops.tolist()])
    places = np.column_stack([streets.tail[loops], streets.shape_lat[middles] * 1e7, streets.shape_lon[middles] * 1e7])
    new, which = np.unique(np.rint(places).astype(np.int64), axis=0, return_inverse=True)
    node = len(streets.node_id) + which.ravel()
    share = np.array([_share(streets, arc, middle) for arc, middle in zip(loops.tolist(), middles.tolist(), strict=True)])
    metres, seconds, head = streets.metres.copy(), streets.seconds.copy(), streets.head.copy()
    metres[loops], seconds[loops], head[loops] = metres[loops] * share, seconds[loops] * share, node
    last = sizes.copy()
    last[loops] = middles - streets.shape_start[loops] + 1
    first_halves = _points(streets.shape_start[:-1], last)
    second_halves = _points(middles, streets.shape_start[loops + 1] - middles)
    points = np.concatenate([first_halves, second_halves])
    counts = np.concatenate([last, streets.shape_start[loops + 1] - middles])
    return replace(
        streets,
        node_id=np.concatenate([streets.node_id, -1 - np.arange(len(new))]),
        lat=np.concatenate([streets.lat, new[:, 1] / 1e7]), lon=np.concatenate([streets.lon, new[:, 2] / 1e7]),
        tail=np.concatenate([streets.tail, node]), head=np.concatenate([head, streets.head[loops]]),
        seconds=np.concatenate([seconds, streets.seconds[loops] - seconds[loops]]),
        metres=np.concatenate([metres, streets.metres[loops] - metres[loops]]),
        way=np.concatenate([streets.way, streets.way[loops]]),
        road_class=np.concatenate([streets.road_class, streets.road_class[loops]]),
        shape_start=np.concatenate([[0], np.cumsum(counts)]),
        shape_lat=streets.shape_lat[points], shape_lon=streets.shape_lon[points],
    )  # fmt: skip


def _points(first: NDArray[np.int64], counts: NDArray[np.int64]) -> NDArray[np.int64]:
    found: NDArray[np.int64] = np.repeat(first - (np.cumsum(counts) - counts), counts) + np.arange(counts.sum())
    return found


def _middle(streets: Streets, arc: int) -> int:
    """The middle shape point, the same one for either direction."""
    begin, end = int(streets.shape_start[arc]), int(streets.shape_start[arc + 1])
    second, last_but_one = ((streets.shape_lat[at], streets.shape_lon[at]) for at in (begin + 1, end - 2))
    half = (end - begin) // 2
    return begin + half if second <= last_but_one else end - 1 - half


def _share(streets: Streets, arc: int, middle: int) -> float:
    """How much of a loop's length lies before its middle."""
    points = slice(int(streets.shape_start[arc]), int(streets.shape_start[arc + 1]))
    lat, lon = streets.shape_lat[points], streets.shape_lon[points]
    steps = haversine(lat[:-1], lon[:-1], lat[1:], lon[1:])
    return float(steps[: middle - points.start].sum() / (steps.sum() or 1.0))
