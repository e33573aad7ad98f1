"""Travel times, distances and paths between spots on a network, as its roads are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from routing.roads import rphast, spot
from routing.roads.closures import Closures
from routing.roads.metric import Metric, unpack
from routing.roads.network import Network
from routing.roads.paths import paths
from routing.roads.spot import Spot

UNREACHABLE = 10_000_000
"""Seconds (and metres) of a leg that does not exist: longer than any shift, small enough to add up."""

@dataclass(frozen=True, eq=False)
class Matrix:
    """(S, T) int32 seconds and metres from row to column; `UNREACHABLE` where there is no way.

    `roads` is the version of the roads it was computed on.
    """

    seconds: NDArray[np.int32]
    metres: NDArray[np.int32]
    roads: int = 0


@dataclass(frozen=True, slots=True)
class Leg:
    """The way from one spot to another.

    `arcs` (one at least) are driven in order, the first from share `begin` of it on, the last up to share `end`.
    """

    seconds: int
    metres: int
    arcs: tuple[int, ...]
    begin: float
    end: float


class Roads:
    """A network with one metric: a state of the roads that never changes. Threads may share it."""

    def __init__(self, network: Network, metric: Metric) -> None:
        self.network = network
        self.metric = metric

    def matrix(self, spots: Sequence[Spot]) -> Matrix:
        """Times and distances between all pairs; nothing from a spot to itself.

        Raises
        ------
        BadRoads
            If a spot is none of this network's.
        """
        found = self.table(spots, spots)
        np.fill_diagonal(found.seconds, 0)
        np.fill_diagonal(found.metres, 0)
        return found

    def table(self, sources: Sequence[Spot], targets: Sequence[Spot]) -> Matrix:
        """Times and distances from each source to each target; see `matrix`."""
        if len(targets) < len(sources):  # the sweep takes the many, whichever end they are
            found = self._table(targets, sources, backwards=True)
            return replace(found, seconds=np.ascontiguousarray(found.seconds.T), metres=np.ascontiguousarray(found.metres.T))
        return self._table(sources, targets, backwards=False)

    def _table(self, one: Sequence[Spot], other: Sequence[Spot], *, backwards: bool) -> Matrix:
        seconds, metres = np.empty((2, len(one), len(other)), np.int32)
        for batch, weights in self._sweep(one, other, backwards=backwards):
            rows = np.empty((2, len(batch), len(other)), np.int32)
            unpack(np.ascontiguousarray(weights[:, : len(batch)].T), UNREACHABLE, *rows)
            seconds[batch], metres[batch] = rows
        return Matrix(seconds, metres, self.metric.roads)

    def packed(self, sources: Sequence[Spot], targets: Sequence[Spot]) -> NDArray[np.float64]:
        """(S, T) packed weights, to the millisecond and the decimetre."""
        found = np.empty((len(sources), len(targets)))
        for batch, weights in self._sweep(sources, targets, backwards=False):
            found[batch] = weights[:, : len(batch)].T
        return found

    def _sweep(self, one: Sequence[Spot], other: Sequence[Spot], *, backwards: bool
               ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float64]]]:  # fmt: skip
        """From one to the other; or, backwards, from the other to the one."""
        network, metric = self.network, self.metric
        sources, targets = (other, one) if backwards else (one, other)
        here, there = spot.sides(network, sources), spot.sides(network, targets)
        exits, entries = spot.exits(network, metric, here, len(sources)), spot.entries(network, metric, there, len(targets))
        direct = spot.same_street(metric, here, there)
        leave, reach = (exits.first, exits.junction, exits.cost), (entries.first, entries.junction, entries.cost)
        climb = metric.climb_first, metric.climb_high, metric.climb_weight
        fall = metric.fall_first, metric.fall_high, metric.fall_weight
        if backwards:
            return rphast.many_to_many(network.hierarchy, fall, climb, reach, leave, direct.by_target(len(targets)))
        return rphast.many_to_many(network.hierarchy, climb, fall, leave, reach, direct.by_source(len(sources)))

    def leg(self, start: Spot, end: Spot) -> Leg | None:
        """The fastest way between two spots, or None if there is none; seconds and metres are the matrix's.

        Raises
        ------
        BadRoads
            If a spot is none of this network's.
        """
        return self.legs([(start, end)])[0]

    def legs(self, pairs: Sequence[tuple[Spot, Spot]]) -> list[Leg | None]:
        """The fastest way of each pair; see `leg`."""
        network, metric, graph = self.network, self.metric, self.network.hierarchy
        here, there = spot.sides(network, [start for start, _ in pairs]), spot.sides(network, [end for _, end in pairs])
        exits, entries = spot.exits(network, metric, here, len(pairs)), spot.entries(network, metric, there, len(pairs))
        weights, leaves, reaches, begin, arcs = paths(
            graph.first, graph.high, graph.low_first, graph.low_edge, network.tail, network.head,
            metric.weight, metric.up, metric.down,
            metric.climb_first, metric.climb_high, metric.climb_edge, metric.climb_weight,
            metric.fall_first, metric.fall_high, metric.fall_edge, metric.fall_weight,
            exits.first, exits.junction, exits.cost, entries.first, entries.junction, entries.cost,
        )  # fmt: skip
        direct = spot.same_street(metric, here, there)
        own = np.flatnonzero(direct.source == direct.target)
        own = own[np.argsort(-direct.weight[own], kind="stable")]
        street = np.full(len(pairs), -1)
        street[direct.source[own]] = own  # of several the last one stays, the lightest
        ways: list[tuple[tuple[int, ...], float, float] | None] = []
        for q, (start, end) in enumerate(pairs):
            along = street[q]
            if along >= 0 and direct.weight[along] <= weights[q]:
                weights[q] = direct.weight[along]
                ways.append(((int(direct.arc[along]),), float(direct.begin[along]), float(direct.end[along])))
            elif leaves[q] < 0:
                ways.append(None)
            else:
                first, last = int(exits.by[leaves[q]]), int(entries.by[reaches[q]])
                behind = int(exits.behind[leaves[q]])
                through = Closures(network, metric).way_out(behind, int(exits.junction[leaves[q]])) if behind >= 0 else ()
                driven = (first, *through, *arcs[begin[q] : begin[q + 1]].tolist(), last)
                whole = tuple(arc for arc in driven if arc >= 0)
                ways.append((whole, start.share(first) if first >= 0 else 0.0, end.share(last) if last >= 0 else 1.0)
                            if whole else ((start.arc,), start.fraction, start.fraction))  # fmt: skip
        seconds, metres = np.empty((2, 1, len(pairs)), np.int32)
        unpack(weights[None], UNREACHABLE, seconds, metres)
        figures = zip(seconds[0].tolist(), metres[0].tolist(), ways, strict=True)
        return [None if way is None else Leg(s, m, *way) for s, m, way in figures]


def line(network: Network, leg: Leg) -> NDArray[np.float64]:
    """(k, 2) latitudes and longitudes along a leg, k >= 2."""
    if len(leg.arcs) == 1:
        return _piece(network.polyline(leg.arcs[0]), leg.begin, leg.end)
    first, *middle, last = leg.arcs
    ends = _piece(network.polyline(first), leg.begin, 1.0), _piece(network.polyline(last), 0.0, leg.end)
    return np.concatenate([ends[0], network.polyline(*middle), ends[1]])


def steps(line: NDArray[np.float64]) -> list[int]:
    """A line as it is told: the first point in 1e-5 degrees, and the steps to each next that is another one."""
    moved = np.diff(np.rint(line * 1e5).astype(np.int64), axis=0, prepend=0)
    kept: list[int] = moved[(moved[:, 0] != 0) | (moved[:, 1] != 0)].ravel().tolist()
    return kept


def _piece(line: NDArray[np.float64], start: float, end: float) -> NDArray[np.float64]:
    """The part of a polyline between two fractions of its length (>= 2 points)."""
    steps = np.hypot(np.diff(line[:, 0]), np.diff(line[:, 1]) * np.cos(np.radians(line[:-1, 0])))
    along = np.concatenate([[0], np.cumsum(steps)])
    along /= along[-1] or 1.0
    inside = along[(along > start) & (along < end)]
    at = np.concatenate([[start], inside, [end]])
    return np.column_stack([np.interp(at, along, line[:, 0]), np.interp(at, along, line[:, 1])])
