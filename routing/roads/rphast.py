"""Many-to-many travel times: RPHAST on a customized hierarchy, a batch of sources at a time.

From each source a search climbs to the root; then one sweep down over what lies above the targets carries all
sources of a batch along (D. Delling, A. Goldberg, R. Werneck, "Faster batched shortest paths in road networks",
ATMOS 2011). As junctions are numbered in postorder, the sweep is a walk through the elimination tree, and a
junction's ancestors are the walk's own stack: distances are kept by depth, in a table that stays in cache.
"""

from __future__ import annotations

import numpy as np
from numba import types

from routing.roads.jit import kernel, read, write

_I32, _I64, _F64 = types.int32, types.int64, types.float64

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


@kernel(read(_I32), read(_I32), read(_I32),
        read(_I32), read(_I32), read(_F64), read(_I32), read(_I32), read(_F64),
        read(_I32), read(_I32), read(_F64), read(_I32), read(_I32), read(_F64), write(_F64, 2))
def many_to_many(first, high, depth, up_first, up_high, up_weight,  # type: ignore[no-untyped-def]  # numba
                 down_first, down_high, down_weight,
                 exit_first, exit_at, exit_cost, entry_first, entry_at, entry_cost, out):  # fmt: skip
    """Fill `out` (S, T) with packed weights, infinite where there is no way.

    Source s may start at the junctions `exit_at[exit_first[s]:exit_first[s + 1]]` at a cost, target t be
    reached from `entry_at[...]` at a cost.
    """
    sources, targets = len(exit_first) - 1, len(entry_first) - 1
    swept = _above(first, high, entry_at)
    size = len(swept)
    place = np.full(len(first) - 1, -1, np.int32)  # of each swept junction
    arc_first = np.empty(size + 1, np.int32)
    arc_first[0] = 0
    for i in range(size):
        v = swept[i]
        place[v] = i
        arc_first[i + 1] = arc_first[i] + down_first[v + 1] - down_first[v]
    arc_row, arc_weight = np.empty(arc_first[size], np.int32), np.empty(arc_first[size], np.float64)
    for i in range(size):
        base = down_first[swept[i]]
        for k in range(arc_first[i], arc_first[i + 1]):
            arc_row[k] = depth[down_high[base + k - arc_first[i]]]
            arc_weight[k] = down_weight[base + k - arc_first[i]]
    owner = np.empty(len(entry_at), np.int32)
    for t in range(targets):
        owner[entry_first[t] : entry_first[t + 1]] = t
    met = np.argsort(-entry_at.astype(np.int64))  # entries in the order of the sweep
    leaves = np.zeros(sources, np.int32)
    for s in range(sources):
        if exit_first[s] < exit_first[s + 1]:
            leaves[s] = exit_at[exit_first[s]]
    order = np.argsort(leaves)  # neighbours climb the same way
    rows = 0
    for v in swept:
        rows = max(rows, depth[v] + 1)
    work = np.empty((rows, _lanes), np.float64)
    climbed = np.empty((size, _lanes), np.float64)
    slot = np.full(size, -1, np.int32)
    distance = np.full(len(first) - 1, np.inf)
    found = np.empty((targets, _lanes), np.float64)
    row = np.empty(_lanes, np.float64)
    for begin in range(0, sources, _lanes):
        lanes = min(_lanes, sources - begin)
        used = 0
        for lane in range(lanes):
            s = order[begin + lane]
            for e in range(exit_first[s], exit_first[s + 1]):
                distance[exit_at[e]] = min(distance[exit_at[e]], exit_cost[e])
            for e in range(exit_first[s], exit_first[s + 1]):
                v = exit_at[e]
                while True:
                    d = distance[v]
                    if d < np.inf:
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
                    if first[v] == first[v + 1]:
                        break
                    v = high[first[v]]
        found[:, :] = np.inf
        entry = 0
        for i in range(size):
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
        batch = order[begin : begin + lanes]
        for t in range(targets):
            for lane in range(lanes):
                out[batch[lane], t] = found[t, lane]
