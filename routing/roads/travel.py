"""Travel times and distances between places on a network.

`TravelTimes` is all the rest of the program knows; `DijkstraTimes` answers it with scipy. Places are spots
along streets: each becomes two extra nodes, one to leave from and one to arrive at, joined to its street's
ends by the share of the street that is left, so that a place in mid-street costs what it should.

Time and distance come from one search: a weight is milliseconds plus metres x 2**-21. Sums stay exact in a
double (28 bits of time, 21 of distance), so the path is the fastest one, the shortest among equals, and both
figures are that path's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra

from routing.roads.network import Network
from routing.roads.snapping import Spot
from routing.roads.traffic import Overlay

UNREACHABLE = 10_000_000
"""Seconds (and metres) of a leg that does not exist: longer than any shift, small enough to add up."""

_METRE = 2.0**-21


@dataclass(frozen=True, eq=False)
class Matrix:
    """(P, P) int32 seconds and metres from row to column; `UNREACHABLE` where there is no way."""

    seconds: NDArray[np.int32]
    metres: NDArray[np.int32]

    @cached_property
    def legs(self) -> list[list[int]]:
        """`seconds` as lists, which are faster to look single legs up in than arrays."""
        return list(self.seconds.tolist())

    @cached_property
    def lengths(self) -> list[list[int]]:
        """`metres` as lists."""
        return list(self.metres.tolist())


@dataclass(frozen=True, slots=True, eq=False)
class Leg:
    """The way from one spot to another: seconds, metres, arcs in order and (k, 2) latitudes and longitudes."""

    seconds: int
    metres: int
    arcs: tuple[int, ...]
    line: NDArray[np.float64]


class TravelTimes(Protocol):
    """What planning needs of roads."""

    def matrix(self, spots: Sequence[Spot]) -> Matrix:
        """Times and distances between all pairs."""
        ...


class DijkstraTimes:
    """Travel times by scipy's Dijkstra, one search per place."""

    def __init__(self, network: Network, overlay: Overlay | None = None) -> None:
        self._network = network
        self._overlay = overlay or Overlay.free_flow(network)
        millis = network.seconds.astype(np.float64) * 1000
        metres = np.rint(network.metres).astype(np.float64) * _METRE
        self._free = np.rint(millis) + metres
        self._weight = np.rint(millis * self._overlay.factor) + metres

    def matrix(self, spots: Sequence[Spot]) -> Matrix:
        """Times and distances between all pairs, in O(P (M + N log N))."""
        size = len(spots)
        leave = self._network.nodes + np.arange(size)
        found = dijkstra(self._graph(spots), indices=leave)[:, self._network.nodes + size : self._network.nodes + 2 * size]
        reached = np.isfinite(found)
        millis, metres = np.divmod(np.where(reached, found, 0.0), 1.0)
        seconds = np.where(reached, np.ceil(millis / 1000), UNREACHABLE)
        metres = np.where(reached, np.rint(metres / _METRE), UNREACHABLE)
        np.fill_diagonal(seconds, 0)
        np.fill_diagonal(metres, 0)
        return Matrix(seconds.astype(np.int32), metres.astype(np.int32))

    def leg(self, start: Spot, end: Spot) -> Leg | None:
        """The fastest way between two spots, or None if there is none."""
        nodes = self._network.nodes
        found, before = dijkstra(self._graph([start, end]), indices=nodes, return_predecessors=True)
        if not np.isfinite(found[nodes + 3]):
            return None
        chain = [nodes + 3]
        while chain[-1] != nodes:
            chain.append(int(before[chain[-1]]))
        inner = self._junctions(chain[-2:0:-1])
        arcs, line = self._trace(start, end, inner)
        millis, metres = divmod(float(found[nodes + 3]), 1.0)
        return Leg(int(np.ceil(millis / 1000)), round(metres / _METRE), arcs, line)

    def _graph(self, spots: Sequence[Spot]) -> csr_array:
        """The network with a node to leave each spot from and a node to arrive at it.

        Closed streets are not in it, but whoever stands in one may drive out: behind the spots' nodes lies a second
        layer with a twin for each junction, in which closed streets are open at free-flow speed. Only spots on
        closed streets lead into it, and each of its junctions leads out.
        """
        network, size = self._network, len(spots)
        arc = np.array([spot.arc for spot in spots], np.int64)
        share = np.array([spot.fraction for spot in spots])
        leave, arrive = network.nodes + np.arange(size), network.nodes + size + np.arange(size)
        twin = network.nodes + 2 * size
        opposite = network.reverse[arc].astype(np.int64)
        two_way = opposite >= 0
        out_arc = np.concatenate([arc, opposite[two_way]])
        out_share = np.concatenate([share, 1 - share[two_way]])
        who = np.concatenate([np.arange(size), np.flatnonzero(two_way)])
        inside = ~np.isfinite(self._weight[out_arc])
        leaving = np.where(inside, self._free[out_arc], self._weight[out_arc])
        row = [network.tail, leave[who], network.tail[out_arc]]
        column = [network.head, network.head[out_arc] + np.where(inside, twin, 0), arrive[who]]
        weight = [self._weight, _part(leaving, 1 - out_share), _part(self._weight[out_arc], out_share)]
        if inside.any():
            closed = np.flatnonzero(~np.isfinite(self._weight))
            junctions = np.unique(np.concatenate([network.tail[closed], network.head[closed]]))
            row += [network.tail[closed] + twin, junctions + twin]
            column += [network.head[closed] + twin, junctions]
            weight += [self._free[closed], np.full(len(junctions), _METRE)]
        for i, j, value in _same_street(out_arc, out_share, who, self._weight):
            row.append(leave[i : i + 1])
            column.append(arrive[j : j + 1])
            weight.append(np.array([value]))
        return _lightest(np.concatenate(row), np.concatenate(column), np.concatenate(weight),
                         twin + (network.nodes if inside.any() else 0))  # fmt: skip

    def _junctions(self, chain: list[int]) -> list[int]:
        """A path's nodes as junctions: twins of the second layer are their originals, met twice where it is left."""
        plain = [node if node < self._network.nodes else node - self._network.nodes - 4 for node in chain]
        return [node for number, node in enumerate(plain) if not number or node != plain[number - 1]]

    def _trace(self, start: Spot, end: Spot, inner: list[int]) -> tuple[tuple[int, ...], NDArray[np.float64]]:
        network = self._network
        if not inner:
            arc, a, b = next((arc, a, b) for arc, a in _sides(network, start) for other, b in _sides(network, end)
                             if other == arc and a <= b)  # fmt: skip
            return (arc,), _piece(network.polyline(arc), a, b)
        first = next((arc, a) for arc, a in _sides(network, start) if network.head[arc] == inner[0])
        last = next((arc, b) for arc, b in _sides(network, end) if network.tail[arc] == inner[-1])
        middle = [self._arc_between(a, b) for a, b in zip(inner, inner[1:], strict=False)]
        lines = [_piece(network.polyline(first[0]), first[1], 1.0), *(network.polyline(arc) for arc in middle),
                 _piece(network.polyline(last[0]), 0.0, last[1])]  # fmt: skip
        return (first[0], *middle, last[0]), np.concatenate(lines)

    def _arc_between(self, tail: int, head: int) -> int:
        low, high = np.searchsorted(self._network.tail, [tail, tail + 1])
        arcs = np.arange(low, high)[self._network.head[low:high] == head]
        weight = self._weight if np.isfinite(self._weight[arcs]).any() else self._free
        return int(arcs[np.argmin(weight[arcs])])


def _part(weight: NDArray[np.float64], share: NDArray[np.float64]) -> NDArray[np.float64]:
    """A share of packed weights, with both halves whole again; at least one millisecond, so that it stays an edge."""
    closed = ~np.isfinite(weight)
    millis, metres = np.divmod(np.where(closed, 0.0, weight), 1.0)
    part = np.maximum(np.rint(millis * share), 1.0) + np.rint(metres / _METRE * share) * _METRE
    return np.where(closed, np.inf, part)


def _same_street(arc: NDArray[np.int64], share: NDArray[np.float64], who: NDArray[np.int64],
                 weight: NDArray[np.float64]) -> list[tuple[int, int, float]]:  # fmt: skip
    """Direct links between spots on one street, in driving direction."""
    links = []
    order = np.argsort(arc, kind="stable")
    edges = np.flatnonzero(np.diff(arc[order])) + 1
    for group in np.split(order, edges):
        for i in group:
            for j in group:
                if who[i] != who[j] and share[i] <= share[j]:
                    value = float(_part(weight[arc[i] : arc[i] + 1], share[j : j + 1] - share[i])[0])
                    links.append((int(who[i]), int(who[j]), value))
    return links


def _lightest(row: NDArray[np.int64], column: NDArray[np.int64], weight: NDArray[np.float64], size: int) -> csr_array:
    """A graph that keeps the lightest of parallel edges (scipy would add them up) and drops the closed ones."""
    open_ = np.isfinite(weight)
    row, column, weight = row[open_], column[open_], weight[open_]
    order = np.lexsort((weight, column, row))
    row, column, weight = row[order], column[order], weight[order]
    first = np.ones(len(row), bool)
    first[1:] = (row[1:] != row[:-1]) | (column[1:] != column[:-1])
    return csr_array((np.maximum(weight[first], _METRE), (row[first], column[first])), shape=(size, size))


def _sides(network: Network, spot: Spot) -> list[tuple[int, float]]:
    """A spot seen from each direction of its street."""
    opposite = int(network.reverse[spot.arc])
    return [(spot.arc, spot.fraction)] + ([(opposite, 1 - spot.fraction)] if opposite >= 0 else [])


def _piece(line: NDArray[np.float64], start: float, end: float) -> NDArray[np.float64]:
    """The part of a polyline between two fractions of its length (>= 2 points)."""
    steps = np.hypot(np.diff(line[:, 0]), np.diff(line[:, 1]) * np.cos(np.radians(line[:-1, 0])))
    along = np.concatenate([[0], np.cumsum(steps)])
    along /= along[-1] or 1.0
    inside = along[(along > start) & (along < end)]
    at = np.concatenate([[start], inside, [end]])
    return np.column_stack([np.interp(at, along, line[:, 0]), np.interp(at, along, line[:, 1])])
