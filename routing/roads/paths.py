"""The fastest paths between places, street by street: elimination-tree queries, and their shortcuts unpacked."""

from __future__ import annotations

import numpy as np
from numba import types

from routing.jit import kernel, read, write

_I32, _I64, _F64 = types.int32, types.int64, types.float64


@kernel(read(_I32), read(_I32), read(_I32), read(_I32), read(_F64), read(_I32), read(_F64), write(_F64), write(_I32))
def _climb(first, high, edge_first, edge_high, edge_weight, junction, cost, distance, via):  # type: ignore[no-untyped-def]  # numba  # fmt: skip
    """Distances from (or, with the edges downwards, to) the doors for all their ancestors; `via` is how.

    `via[v]` is the edge list's entry that v was reached by, or -2 - d for door d.
    """
    for d in range(len(junction)):
        if cost[d] < distance[junction[d]]:
            distance[junction[d]] = cost[d]
            via[junction[d]] = -2 - d
    for d in range(len(junction)):
        v = junction[d]
        while True:
            if distance[v] < np.inf:
                for k in range(edge_first[v], edge_first[v + 1]):
                    reached = distance[v] + edge_weight[k]
                    if reached < distance[edge_high[k]]:
                        distance[edge_high[k]] = reached
                        via[edge_high[k]] = k
            if first[v] == first[v + 1]:
                break
            v = high[first[v]]


@kernel(read(_I32), _I64, returns=_I64)
def _owner(first, entry):  # type: ignore[no-untyped-def]  # numba
    """The junction whose list holds an entry."""
    low, after = 0, len(first) - 1
    while after - low > 1:
        middle = (low + after) >> 1
        if first[middle] <= entry:
            low = middle
        else:
            after = middle
    return low


@kernel(read(_I32), read(_I32), read(_F64), _I64, _I64, _F64, returns=_I64)
def _street(tail, head, weight, start, end, wanted):  # type: ignore[no-untyped-def]  # numba
    """The arc between two junctions with a certain weight, or -1."""
    low, after = 0, len(tail)
    while low < after:
        middle = (low + after) >> 1
        if tail[middle] < start or (tail[middle] == start and head[middle] < end):
            low = middle + 1
        else:
            after = middle
    while low < len(tail) and tail[low] == start and head[low] == end:
        if weight[low] == wanted:
            return low
        low += 1
    return -1


@kernel(read(_I32), read(_I32), read(_I32), read(_I32), read(_I32), read(_I32), read(_F64), read(_F64), read(_F64),
        read(_I64), read(types.boolean), returns=write(_I64))
def _unpack(first, high, low_first, low_edge, tail, head, weight, up, down, edges, upwards):  # type: ignore[no-untyped-def]  # numba  # fmt: skip
    """The arcs of a path of edges.

    An edge is a street of its weight or, if none has it, a way through some lower junction x: down to x and
    up again, with weights that add up to the very number that customization stored.
    """
    found, filled = np.empty(64, np.int64), 0
    stack, rising, size = np.empty(64, np.int64), np.empty(64, np.bool_), 0
    for at in range(len(edges) - 1, -1, -1):
        if size == len(stack):
            stack, rising = np.append(stack, stack), np.append(rising, rising)
        stack[size], rising[size] = edges[at], upwards[at]
        size += 1
    while size:
        size -= 1
        edge, is_up = stack[size], rising[size]
        y, z = _owner(first, edge), high[edge]
        wanted = up[edge] if is_up else down[edge]
        arc = _street(tail, head, weight, y, z, wanted) if is_up else _street(tail, head, weight, z, y, wanted)
        if arc >= 0:
            if filled == len(found):
                found = np.append(found, found)
            found[filled] = arc
            filled += 1
            continue
        for k in range(low_first[y], low_first[y + 1]):
            to_y = low_edge[k]
            x = _owner(first, to_y)
            to_z, after = np.int64(to_y), np.int64(first[x + 1])
            while after - to_z > 1:
                middle = (to_z + after) >> 1
                if high[middle] <= z:
                    to_z = middle
                else:
                    after = middle
            if high[to_z] != z:
                continue
            through = down[to_y] + up[to_z] if is_up else down[to_z] + up[to_y]
            if through == wanted:
                if size + 2 > len(stack):
                    stack, rising = np.append(stack, stack), np.append(rising, rising)
                stack[size], rising[size] = (to_z, True) if is_up else (to_y, True)  # driven second
                stack[size + 1], rising[size + 1] = (to_y, False) if is_up else (to_z, False)
                size += 2
                break
    return found[:filled]


@kernel(read(_I32), read(_I32), read(_I32), write(_F64), write(_I32))
def _forget(first, high, junction, distance, via):  # type: ignore[no-untyped-def]  # numba
    """Undo a climb, so that the next query finds the tables empty."""
    for v in junction:
        while True:
            distance[v] = np.inf
            via[v] = -1
            if first[v] == first[v + 1]:
                break
            v = high[first[v]]


@kernel(read(_I32), read(_I32), read(_I32), read(_I32), read(_I32), read(_I32), read(_F64), read(_F64), read(_F64),
        read(_I32), read(_I32), read(_I32), read(_F64), read(_I32), read(_I32), read(_I32), read(_F64),
        read(_I32), read(_I32), read(_F64), read(_I32), read(_I32), read(_F64),
        returns=types.Tuple((write(_F64), write(_I64), write(_I64), write(_I64), write(_I64))))
def paths(first, high, low_first, low_edge, tail, head, weight, up, down,  # type: ignore[no-untyped-def]  # numba
          climb_first, climb_high, climb_edge, climb_weight, fall_first, fall_high, fall_edge, fall_weight,
          exit_first, exit_at, exit_cost, entry_first, entry_at, entry_cost):  # fmt: skip
    """The best way of each of Q pairs, from the exits of the one to the entries of the other.

    Returns (Q,) packed weights, exits and entries (infinite, -1 and -1 where there is no way), and (Q + 1,) where
    each pair's arcs begin among all arcs.
    """
    nodes, pairs = len(first) - 1, len(exit_first) - 1
    there, back = np.full(nodes, np.inf), np.full(nodes, np.inf)
    by, onwards = np.full(nodes, -1, np.int32), np.full(nodes, -1, np.int32)
    edges, upwards = np.empty(nodes, np.int64), np.empty(nodes, np.bool_)
    weights, leaves, reaches = np.full(pairs, np.inf), np.full(pairs, -1, np.int64), np.full(pairs, -1, np.int64)
    begin = np.zeros(pairs + 1, np.int64)
    found = np.empty(64 * pairs, np.int64)
    for q in range(pairs):
        exits, entries = slice(exit_first[q], exit_first[q + 1]), slice(entry_first[q], entry_first[q + 1])
        _climb(first, high, climb_first, climb_high, climb_weight, exit_at[exits], exit_cost[exits], there, by)
        _climb(first, high, fall_first, fall_high, fall_weight, entry_at[entries], entry_cost[entries], back, onwards)
        best, meeting = np.inf, -1
        for v in entry_at[entries]:
            while True:
                if there[v] + back[v] < best:
                    best, meeting = there[v] + back[v], v
                if first[v] == first[v + 1]:
                    break
                v = high[first[v]]
        begin[q + 1] = begin[q]
        if meeting >= 0:
            count, v = 0, np.int64(meeting)
            while by[v] >= 0:
                edges[count], upwards[count] = climb_edge[by[v]], True
                count += 1
                v = _owner(climb_first, by[v])
            edges[:count] = edges[:count][::-1].copy()
            weights[q], leaves[q], v = best, exit_first[q] - 2 - by[v], np.int64(meeting)
            while onwards[v] >= 0:
                edges[count], upwards[count] = fall_edge[onwards[v]], False
                count += 1
                v = _owner(fall_first, onwards[v])
            reaches[q] = entry_first[q] - 2 - onwards[v]
            arcs = _unpack(first, high, low_first, low_edge, tail, head, weight, up, down, edges[:count], upwards[:count])
            begin[q + 1] += len(arcs)
            while begin[q + 1] > len(found):
                found = np.append(found, found)
            found[begin[q] : begin[q + 1]] = arcs
        _forget(first, high, exit_at[exits], there, by)
        _forget(first, high, entry_at[entries], back, onwards)
    return weights, leaves, reaches, begin, found[: begin[pairs]]
