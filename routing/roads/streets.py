"""From loose streets to a `Network`: every importer ends here.

`Streets` is what an importer collects, one row per arc; `assemble` keeps the largest strongly connected
part (so that every kept place reaches every other), numbers and sorts it, links the two directions of a street
and builds what travel times and snapping need.
What was cut off is told in the `Report`, never left silently unreachable.
"""

from __future__ import annotations

from dataclasses import dataclass

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from routing.errors import ImportFailed
from routing.roads import grid, hierarchy
from routing.roads.network import Network, fingerprint

LONGEST = 3_000_000
"""Seconds and metres that a street may have at most; what is packed into one number would spill over beyond."""

EARTH_RADIUS_M = 6_371_008.8


@dataclass(frozen=True, slots=True, eq=False)
class Streets:
    """Arcs as collected. `tail` and `head` index `node_id`, `lat`, `lon`; shapes include both ends.

    `seconds` and `metres` are (M,); the shape of arc i, in degrees, is `shape_start[i]` to `shape_start[i + 1]`.
    """

    node_id: NDArray[np.int64]
    lat: NDArray[np.float64]
    lon: NDArray[np.float64]
    tail: NDArray[np.int64]
    head: NDArray[np.int64]
    seconds: NDArray[np.float64]
    metres: NDArray[np.float64]
    way: NDArray[np.int64]
    road_class: NDArray[np.uint8]
    shape_start: NDArray[np.int64]
    shape_lat: NDArray[np.float64]
    shape_lon: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Report:
    """What an import kept and dropped. Lengths in kilometres, counted per arc."""

    nodes: int
    arcs: int
    km: float
    islands: int
    dropped_nodes: int
    dropped_arcs: int
    dropped_km: float
    largest_island: int
    notes: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """The report for people."""
        kept = f"kept     {self.nodes:,} junctions, {self.arcs:,} arcs, {self.km:,.1f} km: each reaches every other"
        dropped = f"dropped  {self.dropped_nodes:,} junctions, {self.dropped_arcs:,} arcs, {self.dropped_km:,.1f} km"
        if self.islands:
            dropped += f", in {self.islands:,} islands or one-way ends (the largest has {self.largest_island:,} junctions)"
        return [kept, dropped, *self.notes]


def haversine(lat_a: NDArray[np.float64], lon_a: NDArray[np.float64],
              lat_b: NDArray[np.float64], lon_b: NDArray[np.float64]) -> NDArray[np.float64]:  # fmt: skip
    """Great-circle distances in metres between arrays of points in degrees."""
    phi_a, phi_b = np.radians(lat_a), np.radians(lat_b)
    half = np.sin((phi_b - phi_a) / 2) ** 2
    half += np.cos(phi_a) * np.cos(phi_b) * np.sin(np.radians(np.asarray(lon_b) - lon_a) / 2) ** 2
    distance: NDArray[np.float64] = 2 * EARTH_RADIUS_M * np.arcsin(np.sqrt(half))
    return distance


def assemble(streets: Streets, *, name: str, attribution: str, source: str,
             notes: tuple[str, ...] = ()) -> tuple[Network, Report]:  # fmt: skip
    """Build the routable network.

    Raises
    ------
    ImportFailed
        If no street is left, or one has ends, times or lengths that no street can have.
    """
    from routing.roads.loops import split  # here, because that module is about this one's streets

    _check(streets, source)
    streets = split(streets)
    usable = streets.tail != streets.head
    if not usable.any():
        raise ImportFailed(
            f"{source} has no street that vehicles may use.", remedy="Is it an OpenStreetMap extract of a town?"
        )
    components = _components(streets, usable)
    keep_node = np.zeros(len(streets.lat), bool)
    keep_node[components[0]] = True
    keep = usable & keep_node[streets.tail] & keep_node[streets.head]
    if not keep.any():
        raise ImportFailed(
            f"{source} has no two places that reach each other both ways.", remedy="Take a larger extract."
        )
    network = pack(streets, keep, keep_node, name=name, attribution=attribution, source=source)
    lost = usable & ~keep
    loops = int((streets.tail == streets.head).sum())
    if loops:
        notes = (*notes, f"loops    {loops:,} arcs that lead nowhere are left out")
    report = Report(
        nodes=network.nodes, arcs=network.arcs, km=float(streets.metres[keep].sum() / 1000),
        islands=len(components) - 1, dropped_nodes=sum(map(len, components[1:])), dropped_arcs=int(lost.sum()),
        dropped_km=float(streets.metres[lost].sum() / 1000),
        largest_island=len(components[1]) if len(components) > 1 else 0, notes=notes,
    )  # fmt: skip
    return network, report


def _check(streets: Streets, source: str) -> None:
    for what, ends in (("begins", streets.tail), ("ends", streets.head)):
        out = np.flatnonzero((ends < 0) | (ends >= len(streets.lat)))
        if len(out):
            raise ImportFailed(f"Street {out[0]} of {source} {what} at node {ends[out[0]]}.",
                               remedy=f"Nodes go from 0 to {len(streets.lat) - 1}.")  # fmt: skip
    for what, values in (("travel time", streets.seconds), ("length", streets.metres)):
        bad = np.flatnonzero(~((values >= 0) & (values <= LONGEST)))
        if len(bad):
            raise ImportFailed(f"{len(bad)} streets of {source} have no possible {what}, the first is {values[bad[0]]}.",
                               remedy=f"Give every street a {what} of zero or more.")  # fmt: skip


def _components(streets: Streets, usable: NDArray[np.bool_]) -> list[list[int]]:
    """Strongly connected components, largest first."""
    graph: nx.DiGraph[int] = nx.DiGraph()
    graph.add_edges_from(zip(streets.tail[usable].tolist(), streets.head[usable].tolist(), strict=True))
    return sorted((list(part) for part in nx.strongly_connected_components(graph)), key=len, reverse=True)


def pack(streets: Streets, keep: NDArray[np.bool_], keep_node: NDArray[np.bool_], *,
         name: str, attribution: str, source: str) -> Network:  # fmt: skip
    """A network of the arcs and nodes that are kept, whether or not they reach each other."""
    index = np.cumsum(keep_node) - 1
    lat, lon = streets.lat[keep_node], streets.lon[keep_node]
    number = hierarchy.numbering(lat, lon, index[streets.tail[keep]], index[streets.head[keep]])
    index = number[index]
    arcs = np.flatnonzero(keep)
    arcs = arcs[np.lexsort((streets.seconds[arcs], index[streets.head[arcs]], index[streets.tail[arcs]]))]
    tail, head = index[streets.tail[arcs]].astype(np.int32), index[streets.head[arcs]].astype(np.int32)
    sizes = np.diff(streets.shape_start)[arcs]
    start = np.concatenate([[0], np.cumsum(sizes)])
    points = np.repeat(streets.shape_start[arcs] - start[:-1], sizes) + np.arange(start[-1])
    shape_lat = np.rint(streets.shape_lat[points] * 1e7).astype(np.int32)
    shape_lon = np.rint(streets.shape_lon[points] * 1e7).astype(np.int32)
    seconds, metres = streets.seconds[arcs].astype(np.float32), streets.metres[arcs].astype(np.float32)
    drawn = np.add.reduceat(shape_lat.astype(np.int64), start[:-1]), np.add.reduceat(shape_lon.astype(np.int64), start[:-1])
    reverse, road_class = _reverse(tail, head, streets.way[arcs], *drawn), streets.road_class[arcs]
    node = np.argsort(number)
    return Network(
        name=name, attribution=attribution, source=source,
        fingerprint=fingerprint(tail, head, seconds, metres, road_class, reverse, shape_lat, shape_lon),
        lat=lat[node], lon=lon[node], osm_id=streets.node_id[keep_node][node], tail=tail, head=head,
        seconds=seconds, metres=metres, way=streets.way[arcs], road_class=road_class,
        reverse=reverse, shape_start=start, shape_lat=shape_lat, shape_lon=shape_lon,
        hierarchy=hierarchy.build(len(lat), tail, head), grid=grid.build(start, shape_lat, shape_lon, reverse),
    )  # fmt: skip


def _reverse(tail: NDArray[np.int32], head: NDArray[np.int32], *same: NDArray[np.int64]) -> NDArray[np.int32]:
    """Pair each arc with the one that runs the same street the other way: ends swapped, and the `same` way and shape."""
    waiting: dict[tuple[int, ...], list[int]] = {}
    pairs = np.full(len(tail), -1, np.int32)
    for arc, (a, b, *street) in enumerate(zip(tail.tolist(), head.tolist(), *(column.tolist() for column in same), strict=True)):
        partners = waiting.get((b, a, *street))
        if partners:
            other = partners.pop()
            pairs[arc], pairs[other] = other, arc
        else:
            waiting.setdefault((a, b, *street), []).append(arc)
    return pairs
