"""Spots: points on streets, and how they join the network.

A spot in mid-street leaves in either direction that its street may be driven in, for the share of the street
that is left, and is reached likewise. A spot at the very end of a street stands on the junction. Closed streets
cannot be entered, but whoever stands in one, or on a junction that only closed streets leave, may drive out: through
further closed streets, at free-flow speed, to the nearest junctions that an open street leaves
(`routing.roads.closures`); from there on closed streets are shut.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from routing.errors import BadRoads
from routing.roads.closures import Closures
from routing.roads.metric import Metric, part
from routing.roads.network import Network


@dataclass(frozen=True, slots=True)
class Spot:
    """A point on a street: `fraction` of the way along `arc`, `distance_m` from the location asked for.

    With `one_side`, vehicles come and go along `arc` only, never along the street's other direction.
    """

    arc: int
    fraction: float
    distance_m: float = 0.0
    one_side: bool = False

    def share(self, arc: int) -> float:
        """How far along `arc`, its own or the one that runs the same street the other way, it is."""
        return self.fraction if arc == self.arc else 1 - self.fraction


@dataclass(frozen=True, slots=True, eq=False)
class Sides:
    """Spots seen from each direction of their streets: (L,) arcs, shares of them and whose they are."""

    arc: NDArray[np.int64]
    share: NDArray[np.float64]
    spot: NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Doors:
    """Junctions by which P spots are left, or reached.

    Attributes
    ----------
    first
        (P + 1,) where each spot's doors begin.
    junction, cost
        (D,) the junctions and the packed weights to or from them.
    by
        (D,) the arc driven in part between spot and junction, or -1 if they are the same place.
    behind
        (D,) for doors behind other closed streets the junction at which those begin, else -1.
    """

    first: NDArray[np.int32]
    junction: NDArray[np.int32]
    cost: NDArray[np.float64]
    by: NDArray[np.int64]
    behind: NDArray[np.int64]


def sides(network: Network, spots: Sequence[Spot]) -> Sides:
    """Both directions of each spot's street.

    Raises
    ------
    BadRoads
        If a spot names an arc that the network does not have, or no share of it.
    """
    arc = np.array([spot.arc for spot in spots], np.int64)
    share = np.array([spot.fraction for spot in spots], np.float64)
    bad = np.flatnonzero((arc < 0) | (arc >= network.arcs) | ~((share >= 0) & (share <= 1)))
    if len(bad):
        raise BadRoads(f"Spot {bad[0]} is at {share[bad[0]]} of arc {arc[bad[0]]}.",
                       remedy=f"Arcs of {network.name} go from 0 to {network.arcs - 1}, fractions from 0 to 1.")  # fmt: skip
    opposite = network.reverse[arc].astype(np.int64)
    both = np.flatnonzero((opposite >= 0) & ~np.array([spot.one_side for spot in spots], bool))
    return Sides(np.concatenate([arc, opposite[both]]), np.concatenate([share, 1 - share[both]]),
                 np.concatenate([np.arange(len(spots)), both]))  # fmt: skip


def exits(network: Network, metric: Metric, along: Sides, count: int) -> Doors:
    """How `count` spots are left."""
    at_tail = along.share == 0
    at_end = at_tail | (along.share == 1)
    shut = ~np.isfinite(metric.weight[along.arc])
    leaving = np.where(shut & ~at_end, metric.free[along.arc], metric.weight[along.arc])
    cost = np.where(at_end, 0.0, part(leaving, 1 - along.share))
    junction = np.where(at_tail, network.tail[along.arc], network.head[along.arc]).astype(np.int64)
    by = np.where(at_end, -1, along.arc)
    owner, behind = along.spot, np.full(len(junction), -1)
    if metric.shut:
        closed = Closures(network, metric)
        inside = np.flatnonzero(np.where(at_end, ~closed.left[junction], shut))
        side, found, driven = closed.ways_out(junction[inside])
        side = inside[side]
        owner, behind = np.concatenate([owner, owner[side]]), np.concatenate([behind, junction[side]])
        cost, by = np.concatenate([cost, cost[side] + driven]), np.concatenate([by, by[side]])
        junction = np.concatenate([junction, found])
    return _doors(count, owner, junction, cost, by, behind)


def entries(network: Network, metric: Metric, along: Sides, count: int) -> Doors:
    """How `count` spots are reached."""
    at_head = along.share == 1
    there = at_head | (along.share == 0)
    cost = np.where(there, 0.0, part(metric.weight[along.arc], along.share))
    junction = np.where(at_head, network.head[along.arc], network.tail[along.arc]).astype(np.int64)
    open_ = np.isfinite(cost)
    by = np.where(there, -1, along.arc)
    return _doors(count, along.spot[open_], junction[open_], cost[open_], by[open_], np.full(int(open_.sum()), -1))


def _doors(count: int, spot: NDArray[np.int64], junction: NDArray[np.int64], cost: NDArray[np.float64],
           by: NDArray[np.int64], behind: NDArray[np.int64]) -> Doors:  # fmt: skip
    """The lightest way of each spot to each junction."""
    order = np.lexsort((cost, junction, spot))
    order = order[np.isfinite(cost[order])]
    best = np.ones(len(order), bool)
    best[1:] = (np.diff(spot[order]) != 0) | (np.diff(junction[order]) != 0)
    order = order[best]
    first = np.searchsorted(spot[order], np.arange(count + 1)).astype(np.int32)
    return Doors(first, junction[order].astype(np.int32), cost[order], by[order], behind[order])


@dataclass(frozen=True, slots=True, eq=False)
class Direct:
    """W ways along one street, from share `begin` of an arc to share `end` of it: whose, and their packed weights."""

    source: NDArray[np.int64]
    target: NDArray[np.int64]
    arc: NDArray[np.int64]
    begin: NDArray[np.float64]
    end: NDArray[np.float64]
    weight: NDArray[np.float64]

    def by_source(self, count: int) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float64]]:
        """(S + 1,) where each source's begin, and for each the target and the weight."""
        return _grouped(count, self.source, self.target, self.weight)

    def by_target(self, count: int) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float64]]:
        """The same seen from the targets."""
        return _grouped(count, self.target, self.source, self.weight)


def same_street(metric: Metric, sources: Sides, targets: Sides) -> Direct:
    """All ways along one open street, in driving direction; and from each spot to itself."""
    order = np.argsort(targets.arc, kind="stable")
    low = np.searchsorted(targets.arc[order], sources.arc, "left")
    high = np.searchsorted(targets.arc[order], sources.arc, "right")
    s = np.repeat(np.arange(len(sources.arc)), high - low)
    t = order[np.arange(len(s)) + np.repeat(low - (np.cumsum(high - low) - (high - low)), high - low)]
    ahead = targets.share[t] - sources.share[s]
    weight = np.where(ahead == 0, 0.0, part(metric.weight[sources.arc[s]], ahead))  # who is there is there, closed or not
    fits = np.isfinite(weight) & (ahead >= 0)
    s, t = s[fits], t[fits]
    return Direct(sources.spot[s], targets.spot[t], sources.arc[s], sources.share[s], targets.share[t], weight[fits])


def _grouped(count: int, by: NDArray[np.int64], other: NDArray[np.int64], weight: NDArray[np.float64]
             ) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float64]]:  # fmt: skip
    order = np.argsort(by, kind="stable")
    return np.searchsorted(by[order], np.arange(count + 1)).astype(np.int32), other[order].astype(np.int32), weight[order]
