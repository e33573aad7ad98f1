"""Ways out of closed areas: from a junction through closed streets to the junctions that open streets leave."""

from __future__ import annotations

import heapq
from functools import cached_property

import numpy as np
from numba import types
from numpy.typing import NDArray

from routing.jit import kernel, read, write
from routing.roads.metric import Metric
from routing.roads.network import Network

_I32, _I64, _F64 = types.int32, types.int64, types.float64

NEAREST = 32
"""Ways out of a closed area that are looked at: the nearest by free-flow time. Who needs another one is far inside."""

FARTHEST = 20_000
"""Junctions that are looked at for them: what is closed farther around than a city is left by nobody."""


@kernel(read(_I64), read(_I32), read(_I64), read(_F64), read(types.boolean), _I64, write(_F64), write(_I64),
        returns=write(_I64))  # fmt: skip
def _nearest_out(first, head, arc, free, left, start, driven, before):  # type: ignore[no-untyped-def]  # numba
    """The junctions, nearest first, at which closed streets are left (Dijkstra).

    `driven` (N,) infinite and `before` (N,) -1 come in, weights and last arcs go out.
    """
    heap = [(0.0, start)]
    driven[start] = 0.0
    found = np.empty(NEAREST, np.int64)
    count, settled = 0, 0
    while len(heap) > 0 and count < NEAREST and settled < FARTHEST:
        weight, v = heapq.heappop(heap)
        if weight > driven[v]:
            continue
        settled += 1
        if left[v] and v != start:
            found[count] = v
            count += 1
        for k in range(first[v], first[v + 1]):
            u, reached = np.int64(head[k]), weight + free[k]
            if reached < driven[u]:
                driven[u] = reached
                before[u] = arc[k]
                heapq.heappush(heap, (reached, u))
    return found[:count]


class Closures:
    """The closed streets of one state of the roads."""

    def __init__(self, network: Network, metric: Metric) -> None:
        self._network, self._metric = network, metric

    @cached_property
    def left(self) -> NDArray[np.bool_]:
        """(N,) whether an open street leaves each junction."""
        found = np.zeros(self._network.nodes, np.bool_)
        found[self._network.tail[np.isfinite(self._metric.weight)]] = True
        return found

    @cached_property
    def _streets(self) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int64], NDArray[np.float64]]:
        """(N + 1,) where each junction's closed streets begin; their heads, arcs and free-flow weights."""
        arc = np.flatnonzero(~np.isfinite(self._metric.weight))
        first = np.searchsorted(self._network.tail[arc], np.arange(self._network.nodes + 1)).astype(np.int64)
        return first, self._network.head[arc], arc, self._metric.free[arc]

    def ways_out(self, starts: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        """From each of S junctions the nearest ways out: which start, junction and packed weight."""
        distinct, which = np.unique(starts, return_inverse=True)
        found = [self._search(int(start))[:2] for start in distinct.tolist()]
        counts = np.array([len(junctions) for junctions, _ in found], np.int64)[which]
        picked = [found[number] for number in which.tolist()]
        junction = np.concatenate([np.empty(0, np.int64), *(junctions for junctions, _ in picked)])
        weight = np.concatenate([np.empty(0), *(weights for _, weights in picked)])
        return np.repeat(np.arange(len(starts)), counts), junction, weight

    def way_out(self, start: int, end: int) -> tuple[int, ...]:
        """The closed arcs from a junction to one of its ways out, in order."""
        _, _, before = self._search(start)
        arcs: list[int] = []
        while end != start:
            arcs.append(int(before[end]))
            end = int(self._network.tail[arcs[-1]])
        return tuple(reversed(arcs))

    def _search(self, start: int) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
        driven, before = np.full(self._network.nodes, np.inf), np.full(self._network.nodes, -1, np.int64)
        found = _nearest_out(*self._streets, self.left, start, driven, before)
        return found, driven[found], before
