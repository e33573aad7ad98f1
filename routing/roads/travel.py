"""Travel times, distances and paths between spots on a network, as its roads are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from routing.roads import rphast, spot
from routing.roads.metric import Metric, part, unpack
from routing.roads.network import Network
from routing.roads.paths import path
from routing.roads.spot import Sides, Spot

UNREACHABLE = 10_000_000
"""Seconds (and metres) of a leg that does not exist: longer than any shift, small enough to add up."""

_BLOCK = 2048
"""Rows computed at a time: ten thousand places need little more room than their matrix."""


@dataclass(frozen=True, eq=False)
class Matrix:
    """(S, T) int32 seconds and metres from row to column; `UNREACHABLE` where there is no way.

    `roads` is the version of the roads it was computed on.
    """

    seconds: NDArray[np.int32]
    metres: NDArray[np.int32]
    roads: int = 0

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
        seconds = np.empty((len(sources), len(targets)), np.int32)
        metres = np.empty_like(seconds)
        for begin in range(0, len(sources), _BLOCK):
            rows = slice(begin, begin + _BLOCK)
            unpack(self.packed(sources[rows], targets), UNREACHABLE, seconds[rows], metres[rows])
        return Matrix(seconds, metres, self.metric.roads)

    def packed(self, sources: Sequence[Spot], targets: Sequence[Spot]) -> NDArray[np.float64]:
        """(S, T) packed weights."""
        network, metric, graph = self.network, self.metric, self.network.hierarchy
        start, end = spot.sides(network, sources), spot.sides(network, targets)
        exits, entries = spot.exits(network, metric, start, len(sources)), spot.entries(network, metric, end, len(targets))
        climb = metric.climb_first, metric.climb_high, metric.climb_weight
        fall = metric.fall_first, metric.fall_high, metric.fall_weight
        leave, reach = (exits.first, exits.junction, exits.cost), (entries.first, entries.junction, entries.cost)
        backwards = len(targets) < len(sources)  # the sweep takes the many, whichever end they are
        out = np.full((len(targets), len(sources)) if backwards else (len(sources), len(targets)), np.inf)
        ends = (*fall, *climb, *reach, *leave) if backwards else (*climb, *fall, *leave, *reach)
        if len(exits.junction) and len(entries.junction):
            rphast.many_to_many(graph.first, graph.high, graph.depth, *ends, out)
        if backwards:
            out = np.ascontiguousarray(out.T)
        s, t, weight = spot.same_street(metric, start, end)
        np.minimum.at(out, (s, t), weight)
        return out

    def leg(self, start: Spot, end: Spot) -> Leg | None:
        """The fastest way between two spots, or None if there is none; seconds and metres are the matrix's.

        Raises
        ------
        BadRoads
            If a spot is none of this network's.
        """
        network, metric, graph = self.network, self.metric, self.network.hierarchy
        here, there = spot.sides(network, [start]), spot.sides(network, [end])
        exits, entries = spot.exits(network, metric, here, 1), spot.entries(network, metric, there, 1)
        weight, leave, reach, arcs = path(
            graph.first, graph.high, graph.low_first, graph.low_edge, network.tail, network.head,
            metric.weight, metric.up, metric.down,
            metric.climb_first, metric.climb_high, metric.climb_edge, metric.climb_weight,
            metric.fall_first, metric.fall_high, metric.fall_edge, metric.fall_weight,
            exits.junction, exits.cost, entries.junction, entries.cost,
        )  # fmt: skip
        _, _, direct = spot.same_street(metric, here, there)
        if len(direct) and direct.min() <= weight:
            return self._along_one_street(here, there, float(direct.min()))
        if leave < 0:
            return None
        whole = [*exits.through.get(int(leave), ()), *arcs.tolist()]
        first, last = int(exits.by[leave]), int(entries.by[reach])
        lines = [network.polyline(*whole)]
        if first >= 0:
            lines.insert(0, _piece(network.polyline(first), _share(here, first), 1.0))
        if last >= 0:
            lines.append(_piece(network.polyline(last), 0.0, _share(there, last)))
        line = np.concatenate(lines)
        if len(line) < 2:
            line = _piece(network.polyline(start.arc), start.fraction, start.fraction)
        driven = (arc for arc in (first, *whole, last) if arc >= 0)
        return Leg(*_figures(weight), tuple(driven), line)

    def _along_one_street(self, here: Sides, there: Sides, weight: float) -> Leg:
        for arc, a in zip(here.arc.tolist(), here.share.tolist(), strict=True):
            for other, b in zip(there.arc.tolist(), there.share.tolist(), strict=True):
                if other == arc and a <= b and part(self.metric.weight[[arc]], np.array([b - a]))[0] == weight:
                    return Leg(*_figures(weight), (arc,), _piece(self.network.polyline(arc), a, b))
        raise AssertionError("one of the sides has the weight")


def _figures(weight: float) -> tuple[int, int]:
    """Seconds and metres of a finite packed weight."""
    seconds, metres = np.empty((1, 1), np.int32), np.empty((1, 1), np.int32)
    unpack(np.array([[weight]]), UNREACHABLE, seconds, metres)
    return int(seconds[0, 0]), int(metres[0, 0])


def _share(along: Sides, arc: int) -> float:
    return float(along.share[along.arc == arc][0])


def _piece(line: NDArray[np.float64], start: float, end: float) -> NDArray[np.float64]:
    """The part of a polyline between two fractions of its length (>= 2 points)."""
    steps = np.hypot(np.diff(line[:, 0]), np.diff(line[:, 1]) * np.cos(np.radians(line[:-1, 0])))
    along = np.concatenate([[0], np.cumsum(steps)])
    along /= along[-1] or 1.0
    inside = along[(along > start) & (along < end)]
    at = np.concatenate([[start], inside, [end]])
    return np.column_stack([np.interp(at, along, line[:, 0]), np.interp(at, along, line[:, 1])])
