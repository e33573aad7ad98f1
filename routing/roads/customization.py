"""Today's travel times laid over a hierarchy: the kernels.

Weights are packed: milliseconds, and behind the point decimetres (see `routing.roads.metric`).
"""

from __future__ import annotations

import numpy as np
from numba import types

from routing.jit import kernel, read, write

_I32, _F64 = types.int32, types.float64
_CSR = types.Tuple((write(_I32), write(_I32), write(_I32), write(_F64)))


@kernel(read(_I32), read(_I32), read(_I32), read(_I32), read(_I32), read(_F64), write(_F64), write(_F64))
def customize(first, triangle, tail, head, arc_edge, weight, up, down):  # type: ignore[no-untyped-def]  # numba
    """Fill in each edge's weight upwards and downwards: the lightest street or way through lower junctions.

    Invariant: when junction x is reached, all edges from x are final; each pair of them then offers the edge
    between their higher ends a way through x (a lower triangle).
    """
    up[:] = np.inf
    down[:] = np.inf
    for arc in range(len(arc_edge)):
        edge = arc_edge[arc]
        if tail[arc] < head[arc]:
            up[edge] = min(up[edge], weight[arc])
        else:
            down[edge] = min(down[edge], weight[arc])
    at = 0
    for x in range(len(first) - 1):
        end = first[x + 1]
        for i in range(first[x], end):
            to_x, from_x = down[i], up[i]
            for j in range(i + 1, end):
                across = triangle[at]
                at += 1
                up[across] = min(up[across], to_x + up[j])
                down[across] = min(down[across], down[j] + from_x)


@kernel(read(_I32), read(_I32), read(_F64), read(_F64), write(_F64), write(_F64))
def perfect(first, triangle, up, down, best_up, best_down):  # type: ignore[no-untyped-def]  # numba
    """The true shortest distances between the ends of each edge, given customized weights.

    Invariant: going down, all edges between junctions above x are true; a way from x that starts upwards
    is one edge and then such a true one (the triangles' other two sides).
    """
    best_up[:] = up
    best_down[:] = down
    end_of_x = len(triangle)
    for x in range(len(first) - 2, -1, -1):
        end = first[x + 1]
        degree = end - first[x]
        end_of_x -= degree * (degree - 1) // 2
        at = end_of_x
        for i in range(first[x], end):
            out, back = best_up[i], best_down[i]
            for j in range(i + 1, end):
                onwards, inwards = best_up[triangle[at]], best_down[triangle[at]]
                at += 1
                other_out, other_back = best_up[j], best_down[j]
                out = min(out, other_out + inwards)
                back = min(back, onwards + other_back)
                best_up[j] = min(other_out, out + onwards)
                best_down[j] = min(other_back, inwards + back)
            best_up[i], best_down[i] = out, back


@kernel(read(_I32), read(_I32), read(_F64), read(_F64), returns=_CSR)
def prune(first, high, weight, best):  # type: ignore[no-untyped-def]  # numba
    """Only the edges that are shortest paths themselves: all that a search needs.

    Returns (N + 1,) starts and, for each edge kept, its higher end, its number and its weight.
    """
    kept = 0
    for k in range(len(weight)):
        kept += weight[k] == best[k] and weight[k] < np.inf
    start = np.zeros(len(first), np.int32)
    above, edge, light = np.empty(kept, np.int32), np.empty(kept, np.int32), np.empty(kept, np.float64)
    filled = 0
    for v in range(len(first) - 1):
        for k in range(first[v], first[v + 1]):
            if weight[k] == best[k] and weight[k] < np.inf:
                above[filled], edge[filled], light[filled] = high[k], k, weight[k]
                filled += 1
        start[v + 1] = filled
    return start, above, edge, light
