"""Many-to-many travel times: RPHAST on a customized hierarchy, a batch of sources at a time.

From each source a search climbs to the root; then one sweep down over what lies above the targets carries all
sources of a batch along (D. Delling, A. Goldberg, R. Werneck, "Faster batched shortest paths in road networks",
ATMOS 2011). As junctions are numbered in postorder, the sweep is a walk through the elimination tree, and a
junction's ancestors are the walk's own stack: distances are kept by depth, in a table that stays in cache.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numba import types
from numpy.typing import NDArray

from routing.jit import kernel, read, write
from routing.roads.hierarchy import Hierarchy

_I32, _I64, _F64 = types.int32, types.int64, types.float64

Edges = tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float64]]
"""(N + 1,) where each junction's edges begin; of each its higher end and its packed weight."""

Ends = tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float64]]
"""(P + 1,) where each place's ends begin; of each a junction (or a target) and the packed weight to or from it."""

_lanes = 64
"""Sources swept together: eight to a vector register with AVX-512, and the table by depth still fits in cache."""


@kernel(read(_I32), read(_I32), read(_I32), returns=write(_I32))
def _above(first, high, junctions):  # type: ignore[no-untyped-def]  # numba
    """The junctions and all their ancestors, highest first."""
    mark = np.zeros(len(first) - 1, np.bool_)
    count = 0
    for v in junctions:
        while not mark[v]:
            mark[v] = True
            count += 1
            if first[v] == first[v + 1]:
                break
            v = high[first[v]]
    found = np.empty(count, np.int32)
    for v in range(len(mark)):
        if mark[v]:
            count -= 1
            found[count] = v
    return found


@kernel(read(_I32), read(_I32), read(_I32), read(_I32), read(_I32), read(_F64), read(_I32), read(_I32),
        returns=types.Tuple((write(_I32), write(_I32), write(_I32), write(_I32), write(_F64), write(_I32), write(_I64))))
def _prepare(first, high, depth, down_first, down_high, down_weight, entry_first, entry_at):  # type: ignore[no-untyped-def]  # numba
    """What a sweep to certain targets goes over, in its order.

    Returns the junctions and, of every junction, its place among them or -1; where each one's edges begin, the
    depths of their higher ends and their weights; each entry's target, and the entries in the order they are met.
    """
    swept = _above(first, high, entry_at)
    size = len(swept)
    place = np.full(len(first) - 1, -1, np.int32)
    arc_first = np.zeros(size + 1, np.int32)
    for i in range(size):
        place[swept[i]] = i
        arc_first[i + 1] = arc_first[i] + down_first[swept[i] + 1] - down_first[swept[i]]
    arc_row, arc_weight = np.empty(arc_first[size], np.int32), np.empty(arc_first[size], np.float64)
    for i in range(size):
        base = down_first[swept[i]]
        for k in range(arc_first[i], arc_first[i + 1]):
            arc_row[k] = depth[down_high[base + k - arc_first[i]]]
            arc_weight[k] = down_weight[base + k - arc_first[i]]
    owner = np.empty(len(entry_at), np.int32)
    for t in range(len(entry_first) - 1):
        owner[entry_first[t] : entry_first[t + 1]] = t
    return swept, place, arc_first, arc_row, arc_weight, owner, np.argsort(-entry_at.astype(np.int64))


@kernel(read(_I32), read(_I32), read(_I32), read(_I32), read(_I32), read(_F64),
        read(_I32), read(_I32), read(_I32), read(_I32), read(_F64), read(_I32), read(_I64),
        read(_I32), read(_I32), read(_F64), read(_I32), read(_F64), read(_I32), read(_I32), read(_F64), read(_I64),
        write(_F64), write(_F64), write(_F64, 2), write(_F64, 2), write(_I32), write(_F64, 2))
def _sweep(first, high, depth, up_first, up_high, up_weight,  # type: ignore[no-untyped-def]  # numba
           swept, place, arc_first, arc_row, arc_weight, owner, met,
           exit_first, exit_at, exit_cost, entry_at, entry_cost, direct_first, direct_to, direct_weight, batch,
           distance, climbed_at, work, climbed, slot, found):  # fmt: skip
    """Fill `found` (T, lanes) with packed weights from the sources of a batch, infinite where there is no way.

    The last arguments but `found` are work space, which comes and goes clean: `distance` and `climbed_at`, the
    distance with which a junction's edges were last climbed, infinite, `slot` -1.
    """
    used = 0
    for lane in range(len(batch)):
        s = batch[lane]
        for e in range(exit_first[s], exit_first[s + 1]):
            distance[exit_at[e]] = min(distance[exit_at[e]], exit_cost[e])
        for e in range(exit_first[s], exit_first[s + 1]):
            v = exit_at[e]
            while True:
                d = distance[v]
                if d < climbed_at[v]:
                    climbed_at[v] = d
                    for k in range(up_first[v], up_first[v + 1]):
                        distance[up_high[k]] = min(distance[up_high[k]], d + up_weight[k])
                if first[v] == first[v + 1]:
                    break
                v = high[first[v]]
        for e in range(exit_first[s], exit_first[s + 1]):
            v = exit_at[e]
            while True:
                d = distance[v]
                if d < np.inf:
                    i = place[v]
                    if i >= 0:
                        if slot[i] < 0:
                            slot[i] = used
                            climbed[used, :] = np.inf
                            used += 1
                        climbed[slot[i], lane] = d
                    distance[v] = np.inf
                    climbed_at[v] = np.inf
                if first[v] == first[v + 1]:
                    break
                v = high[first[v]]
    found[:, :] = np.inf
    row = np.empty(_lanes, np.float64)
    entry = 0
    for i in range(len(swept)):
        if slot[i] >= 0:
            for b in range(_lanes):
                row[b] = climbed[slot[i], b]
            slot[i] = -1
        else:
            for b in range(_lanes):
                row[b] = np.inf
        for k in range(arc_first[i], arc_first[i + 1]):
            weight, above = arc_weight[k], arc_row[k]
            for b in range(_lanes):
                c = work[above, b] + weight
                row[b] = c if c < row[b] else row[b]
        v = swept[i]
        for b in range(_lanes):
            work[depth[v], b] = row[b]
        while entry < len(met) and entry_at[met[entry]] == v:
            t, cost = owner[met[entry]], entry_cost[met[entry]]
            for b in range(_lanes):
                found[t, b] = min(found[t, b], row[b] + cost)
            entry += 1
    for lane in range(len(batch)):
        for k in range(direct_first[batch[lane]], direct_first[batch[lane] + 1]):
            found[direct_to[k], lane] = min(found[direct_to[k], lane], direct_weight[k])


def many_to_many(graph: Hierarchy, up: Edges, down: Edges, exits: Ends, entries: Ends, direct: Ends
                 ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float64]]]:  # fmt: skip
    """Packed weights from S sources to T targets, batch by batch.

    Parameters
    ----------
    up, down
        The metric's edges in the direction of travel: those that sources climb, and those that lead down to targets.
    exits, entries
        The junctions by which sources are left and targets reached.
    direct
        Ways that touch no junction: each source's targets.

    Yields
    ------
    tuple
        (B,) sources and (T, lanes) weights, whose first B columns are theirs; the next batch overwrites them.
    """
    nodes, targets, sources = len(graph.depth), len(entries[0]) - 1, len(exits[0]) - 1
    swept = _prepare(graph.first, graph.high, graph.depth, *down, entries[0], entries[1])
    size = len(swept[0])
    rows = int(graph.depth[swept[0]].max()) + 1 if size else 0
    distance, climbed_at, slot = np.full(nodes, np.inf), np.full(nodes, np.inf), np.full(size, -1, np.int32)
    work, climbed, found = (np.empty((count, _lanes)) for count in (rows, size, targets))
    leaves = np.zeros(sources, np.int32)
    some = np.flatnonzero(np.diff(exits[0]))
    leaves[some] = exits[1][exits[0][some]]
    order = np.argsort(leaves, kind="stable")  # neighbours climb the same way
    for begin in range(0, sources, _lanes):
        batch = order[begin : begin + _lanes]
        _sweep(graph.first, graph.high, graph.depth, *up, *swept, *exits, *entries[1:], *direct, batch,
               distance, climbed_at, work, climbed, slot, found)  # fmt: skip
        yield batch, found
