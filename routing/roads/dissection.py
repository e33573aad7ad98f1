"""The order in which junctions are contracted: nested dissection by inertial flow.

A few roads hold a city together: bridges, underpasses, the streets across a railway. Cut there, number what
lies on either side first and the cut last, and do the same on each side. The cut is a minimum vertex
separator between the outermost quarters along one of a few directions, found as a maximum flow (A. Schild and
C. Sommer, "On balanced separators in road networks", SEA 2015; Dinic's algorithm on the split graph); of the
directions the one whose separator is smallest for what it separates wins. Small separators are all that a
customizable contraction hierarchy needs to be fast (Dibbelt, Strasser and Wagner, JEA 2016).
"""

from __future__ import annotations

import numpy as np
from numba import types
from numpy.typing import NDArray

from routing.jit import kernel, read, write

_I8, _I32, _I64, _F64 = types.int8, types.int32, types.int64, types.float64
_PLENTY = 100

TERMINALS = 0.25
"""The share of a cell on either end, along the direction looked in, that a separator may not reach beyond."""

_DIRECTIONS = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [1.0, -1.0]])


def dissect(lat: NDArray[np.float64], lon: NDArray[np.float64], tail: NDArray[np.int64],
            head: NDArray[np.int64]) -> NDArray[np.int64]:  # fmt: skip
    """The (N,) nodes in the order of their contraction, least important first."""
    nodes = len(lat)
    low, high = np.minimum(tail, head), np.maximum(tail, head)
    key = np.unique(low[low != high] * nodes + high[low != high])
    ends = np.concatenate([key // nodes, key % nodes]), np.concatenate([key % nodes, key // nodes])
    by_tail = np.argsort(ends[0], kind="stable")
    first = np.searchsorted(ends[0][by_tail], np.arange(nodes + 1))
    x = lon * np.cos(np.radians(lat.mean()))
    along = np.ascontiguousarray(_DIRECTIONS @ np.stack([x, lat]))
    order = np.arange(nodes)
    _dissect(first.astype(np.int64), ends[1][by_tail].astype(np.int32), along, TERMINALS, order)
    return order


@kernel(read(_I64), read(_I32), read(_I64), read(_I32), returns=types.Tuple((write(_I32), write(_I32), write(_I32), write(_I8))))
def _split(first, head, cell, local):  # type: ignore[no-untyped-def]  # numba
    """The flow network of a cell: node i enters at 2i and leaves at 2i + 1, through an arc of capacity one.

    That arc stands first in both their lists (empty in the list of 2i + 1, whence it is run back); `back` is
    the same arc seen from its other end.
    """
    size = len(cell)
    start = np.zeros(2 * size + 1, np.int32)
    for i in range(size):
        degree = 1
        for k in range(first[cell[i]], first[cell[i] + 1]):
            degree += local[head[k]] >= 0
        start[2 * i + 1] = start[2 * i] + degree
        start[2 * i + 2] = start[2 * i + 1] + degree
    to, back = np.empty(start[-1], np.int32), np.empty(start[-1], np.int32)
    capacity = np.zeros(start[-1], np.int8)
    free = start[:-1].copy()
    for i in range(size):
        enter, leave = free[2 * i], free[2 * i + 1]
        to[enter], back[enter], capacity[enter] = 2 * i + 1, leave, 1
        to[leave], back[leave] = 2 * i, enter
        free[2 * i] += 1
        free[2 * i + 1] += 1
    for i in range(size):
        for k in range(first[cell[i]], first[cell[i] + 1]):
            j = local[head[k]]
            if j >= 0:
                leave, enter = free[2 * i + 1], free[2 * j]
                to[leave], back[leave], capacity[leave] = 2 * j, enter, _PLENTY
                to[enter], back[enter] = 2 * i + 1, leave
                free[2 * i + 1] += 1
                free[2 * j] += 1
    return start, to, back, capacity


@kernel(read(_I32), read(_I32), read(_I32), write(_I8), read(_I64), _I64, _I64, returns=types.boolean)
def _flow(start, to, back, capacity, rank, quota, bound):  # type: ignore[no-untyped-def]  # numba
    """Send a maximum flow from the first `quota` nodes of `rank` to the last ones; False once it exceeds `bound`."""
    size = len(rank)
    level, queue = np.empty(2 * size, np.int32), np.empty(2 * size, np.int32)
    path, following = np.empty(2 * size, np.int32), np.empty(2 * size, np.int32)
    sink = np.zeros(2 * size, np.bool_)
    for k in range(size - quota, size):
        sink[2 * rank[k] + 1] = True
    total = 0
    while True:
        level[:] = -1
        filled, met = 0, False
        for k in range(quota):
            level[2 * rank[k]] = 0
            queue[filled] = 2 * rank[k]
            filled += 1
        at = 0
        while at < filled and not met:
            v = queue[at]
            at += 1
            for k in range(start[v], start[v + 1]):
                u = to[k]
                if capacity[k] > 0 and level[u] < 0:
                    level[u] = level[v] + 1
                    queue[filled] = u
                    filled += 1
                    met |= sink[u]
        if not met:
            return True
        following[:] = start[:-1]
        for s in range(quota):
            root = 2 * rank[s]
            depth, v = 0, root
            while True:
                if sink[v]:
                    for k in range(depth):
                        capacity[path[k]] -= 1
                        capacity[back[path[k]]] += 1
                    total += 1
                    depth, v = 0, root
                    continue
                k = following[v]
                if k < start[v + 1]:
                    u = to[k]
                    if capacity[k] > 0 and level[u] == level[v] + 1:
                        path[depth] = k
                        depth += 1
                        v = u
                    else:
                        following[v] += 1
                elif depth:
                    depth -= 1
                    v = to[back[path[depth]]]
                    following[v] += 1
                else:
                    break
        if total > bound:
            return False


@kernel(read(_I32), read(_I32), read(_I32), read(_I8), read(_I64), _I64, types.boolean, write(_I8), returns=_F64)
def _sides(start, to, back, capacity, rank, quota, backwards, side):  # type: ignore[no-untyped-def]  # numba
    """Read the minimum cut nearest the sources (or, backwards, the sinks): 0 here, 1 beyond, 2 separator.

    Returns the separator's size for each node of the smaller side.
    """
    size = len(rank)
    seen, queue = np.zeros(2 * size, np.bool_), np.empty(2 * size, np.int32)
    filled = 0
    for k in range(quota):
        v = 2 * rank[size - 1 - k] + 1 if backwards else 2 * rank[k]
        seen[v] = True
        queue[filled] = v
        filled += 1
    at = 0
    while at < filled:
        v = queue[at]
        at += 1
        for k in range(start[v], start[v + 1]):
            open_ = capacity[back[k]] > 0 if backwards else capacity[k] > 0
            if open_ and not seen[to[k]]:
                seen[to[k]] = True
                queue[filled] = to[k]
                filled += 1
    count = np.zeros(3, np.int64)
    for i in range(size):
        near, far = (seen[2 * i + 1], seen[2 * i]) if backwards else (seen[2 * i], seen[2 * i + 1])
        side[i] = 0 if far else (2 if near else 1)
        count[side[i]] += 1
    return count[2] / (min(count[0], count[1]) + 0.01)


@kernel(read(_I64), read(_I32), read(_F64, 2), _F64, write(_I64))
def _dissect(first, head, along, terminals, order):  # type: ignore[no-untyped-def]  # numba
    """Sort `order`, which comes in as any permutation.

    A cell is a slice of `order`; its separator moves to the end of the slice, the two sides become cells.
    """
    nodes = len(order)
    local = np.full(nodes, -1, np.int32)  # a node's number within the cell at work
    begin, end = np.empty(nodes + 1, np.int64), np.empty(nodes + 1, np.int64)
    begin[0], end[0], cells = 0, nodes, 1
    side, best_side = np.empty(nodes, np.int8), np.empty(nodes, np.int8)
    while cells:
        cells -= 1
        low, high = begin[cells], end[cells]
        size = high - low
        if size <= 2:
            continue
        cell = order[low:high].copy()
        for i in range(size):
            local[cell[i]] = i
        arc_first, arc_to, arc_back, capacity = _split(first, head, cell, local)
        for i in range(size):
            local[cell[i]] = -1
        best = np.inf
        quota = max(1, int(size * terminals))
        for direction in range(len(along)):
            rank = np.argsort(along[direction][cell])
            fresh = capacity.copy()
            bound = size if best == np.inf else int(best * (size // 2)) + 1  # no larger separator can win
            if not _flow(arc_first, arc_to, arc_back, fresh, rank, quota, bound):
                continue
            for backwards in range(2):
                price = _sides(arc_first, arc_to, arc_back, fresh, rank, quota, backwards == 1, side)
                if price < best:
                    best = price
                    best_side[:size] = side[:size]
        at = low
        for which in range(3):  # one side, the other, the separator
            start = at
            for i in range(size):
                if best_side[i] == which:
                    order[at] = cell[i]
                    at += 1
            if which < 2 and at - start > 2:
                begin[cells], end[cells] = start, at
                cells += 1
