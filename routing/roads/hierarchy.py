"""The contraction hierarchy's topology: which shortcuts there can be, whatever the streets' times are.

Junctions are numbered in the order of their contraction. Contracting one joins all its higher neighbours, so
that an *edge* {low, high} stands for streets and shortcuts between the two, both ways; each junction's higher
neighbours lie on one path to the root, the elimination tree, whose parents are the lowest of them
(J. Dibbelt, B. Strasser, D. Wagner, "Customizable contraction hierarchies", JEA 2016).

The numbering is a postorder of that tree: a junction's descendants come right before it, and counting down
visits each junction with its ancestors still at hand.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import types
from numpy.typing import NDArray

from routing.jit import kernel, read, write
from routing.roads.dissection import dissect

_I32, _I64 = types.int32, types.int64


@dataclass(frozen=True, slots=True, eq=False)
class Hierarchy:
    """K edges over N junctions; those of junction v are `first[v]` to `first[v + 1]`.

    Attributes
    ----------
    first
        (N + 1,) where each junction's edges upwards begin.
    high
        (K,) the higher end, ascending within a junction; the lower end is the junction.
    depth
        (N,) steps to the root of the elimination tree.
    arc_edge
        (M,) the edge that each arc of the network runs along.
    low_first, low_edge
        (N + 1,), (K,) the same edges seen from their higher ends, ascending by the lower.
    triangle
        For each junction and each pair of its edges, in order, the edge between their higher ends.
    """

    first: NDArray[np.int32]
    high: NDArray[np.int32]
    depth: NDArray[np.int32]
    arc_edge: NDArray[np.int32]
    low_first: NDArray[np.int32]
    low_edge: NDArray[np.int32]
    triangle: NDArray[np.int32]

    @property
    def edges(self) -> int:
        """Number of edges."""
        return len(self.high)


def numbering(lat: NDArray[np.float64], lon: NDArray[np.float64], tail: NDArray[np.int64],
              head: NDArray[np.int64]) -> NDArray[np.int64]:  # fmt: skip
    """(N,) the number each junction gets."""
    rank = np.empty(len(lat), np.int64)
    rank[dissect(lat, lon, tail, head)] = np.arange(len(lat))
    first, high = _contract(*_undirected(rank[tail], rank[head], len(lat)))
    found: NDArray[np.int64] = _postorder(first, high)[rank]
    return found


def build(nodes: int, tail: NDArray[np.int32], head: NDArray[np.int32]) -> Hierarchy:
    """The hierarchy of a network whose junctions are numbered by `numbering`, or in any other order."""
    first, high = _contract(*_undirected(tail, head, nodes))
    low = np.repeat(np.arange(nodes), np.diff(first))
    from_above = np.argsort(high, kind="stable").astype(np.int32)
    key = low * nodes + high
    edge = np.searchsorted(key, np.minimum(tail, head).astype(np.int64) * nodes + np.maximum(tail, head))
    return Hierarchy(
        first=first, high=high, depth=_depth(first, high), arc_edge=edge.astype(np.int32),
        low_first=np.searchsorted(high[from_above], np.arange(nodes + 1)).astype(np.int32), low_edge=from_above,
        triangle=_triangles(first, high),
    )  # fmt: skip


def _undirected(tail: NDArray[np.int64] | NDArray[np.int32], head: NDArray[np.int64] | NDArray[np.int32],
                nodes: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:  # fmt: skip
    """Each pair of neighbours once, in a list of its lower end."""
    low, high = np.minimum(tail, head).astype(np.int64), np.maximum(tail, head)
    key = np.unique(low[low != high] * nodes + high[low != high])
    return np.searchsorted(key // nodes, np.arange(nodes + 1)).astype(np.int32), (key % nodes).astype(np.int32)


@kernel(read(_I32), read(_I32), returns=types.UniTuple(write(_I32), 2))
def _contract(street_first, street_high):  # type: ignore[no-untyped-def]  # numba
    """Add the shortcuts: what a junction's higher neighbours are joins those of its parent."""
    nodes = len(street_first) - 1
    child, sibling = np.full(nodes, -1, np.int32), np.full(nodes, -1, np.int32)
    mark = np.full(nodes, -1, np.int32)
    first = np.zeros(nodes + 1, np.int32)
    high = np.empty(4 * len(street_high) + nodes + 16, np.int32)
    filled = 0
    for v in range(nodes):
        begin = filled
        if filled + nodes - v > len(high):  # the most that v can have
            larger = np.empty(2 * len(high) + nodes, np.int32)
            larger[:filled] = high[:filled]
            high = larger
        mark[v] = v
        for k in range(street_first[v], street_first[v + 1]):
            if mark[street_high[k]] != v:
                mark[street_high[k]] = v
                high[filled] = street_high[k]
                filled += 1
        c = child[v]
        while c != -1:
            for k in range(first[c], first[c + 1]):
                if mark[high[k]] != v:
                    mark[high[k]] = v
                    high[filled] = high[k]
                    filled += 1
            c = sibling[c]
        high[begin:filled].sort()
        first[v + 1] = filled
        if filled > begin:
            parent = high[begin]
            sibling[v] = child[parent]
            child[parent] = v
    return first, high[:filled].copy()


@kernel(read(_I32), read(_I32), returns=write(_I32))
def _triangles(first, high):  # type: ignore[no-untyped-def]  # numba
    count = 0
    for x in range(len(first) - 1):
        degree = first[x + 1] - first[x]
        count += degree * (degree - 1) // 2
    found = np.empty(count, np.int32)
    at = 0
    for x in range(len(first) - 1):
        for i in range(first[x], first[x + 1]):
            edge = first[high[i]]
            for j in range(i + 1, first[x + 1]):
                while high[edge] < high[j]:
                    edge += 1
                found[at] = edge
                at += 1
    return found


@kernel(read(_I32), read(_I32), returns=write(_I32))
def _depth(first, high):  # type: ignore[no-untyped-def]  # numba
    depth = np.zeros(len(first) - 1, np.int32)
    for v in range(len(depth) - 1, -1, -1):
        if first[v] < first[v + 1]:
            depth[v] = depth[high[first[v]]] + 1
    return depth


@kernel(read(_I32), read(_I32), returns=write(_I64))
def _postorder(first, high):  # type: ignore[no-untyped-def]  # numba
    """(N,) each junction's place when every junction comes right after its descendants."""
    nodes = len(first) - 1
    size = np.ones(nodes, np.int64)
    for v in range(nodes):
        if first[v] < first[v + 1]:
            size[high[first[v]]] += size[v]
    place, room = np.empty(nodes, np.int64), np.empty(nodes, np.int64)
    forest = nodes  # places from `room[v]` (for a new tree: `forest`) downwards are yet to be taken
    for v in range(nodes - 1, -1, -1):
        if first[v] < first[v + 1]:
            parent = high[first[v]]
            place[v] = room[parent] - 1
            room[parent] -= size[v]
        else:
            place[v] = forest - 1
            forest -= size[v]
        room[v] = place[v]
    return place
