"""The oracle: travel times by scipy's Dijkstra on a graph with two extra nodes for each spot.

Closed streets are not in the graph, but whoever stands in one may drive out: behind the spots' nodes lies a second
layer with a twin for each junction, in which closed streets are open at free-flow speed. Only spots on closed
streets, or on junctions that no open street leaves, lead into it; out of it lead the junctions that an open street
leaves. Weights are milliseconds plus decimetres x 2**-25.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra

from routing.roads.network import Network
from routing.roads.spot import Spot
from routing.roads.traffic import Overlay
from routing.roads.travel import UNREACHABLE, Matrix

DECIMETRE = 2.0**-25


class DijkstraTimes:
    """Travel times by one search per place."""

    def __init__(self, network: Network, overlay: Overlay | None = None, factor: NDArray[np.float64] | None = None) -> None:
        self.network = network
        millis = network.seconds.astype(np.float64) * 1000 * (1.0 if factor is None else factor)
        decimetres = np.rint(network.metres.astype(np.float64) * 10) * DECIMETRE
        self.free = np.rint(millis) + decimetres
        self.weight = np.rint(millis * (overlay.factor if overlay else 1.0)) + decimetres

    def matrix(self, spots: Sequence[Spot]) -> Matrix:
        """Times and distances between all pairs."""
        found = self.packed(spots)
        reached = np.isfinite(found)
        millis, decimetres = np.divmod(np.where(reached, found, 0.0), 1.0)
        seconds = np.where(reached, np.ceil(millis / 1000), UNREACHABLE)
        metres = np.where(reached, np.rint(decimetres / DECIMETRE / 10), UNREACHABLE)
        np.fill_diagonal(seconds, 0)
        np.fill_diagonal(metres, 0)
        return Matrix(seconds.astype(np.int32), metres.astype(np.int32))

    def packed(self, spots: Sequence[Spot]) -> NDArray[np.float64]:
        """Packed weights between all pairs."""
        nodes, size = self.network.nodes, len(spots)
        found: NDArray[np.float64] = dijkstra(self._graph(spots), indices=nodes + np.arange(size))
        return found[:, nodes + size : nodes + 2 * size]

    def _graph(self, spots: Sequence[Spot]) -> csr_array:
        network, nodes, size = self.network, self.network.nodes, len(spots)
        shut = ~np.isfinite(self.weight)
        twin = nodes + 2 * size
        left = set(network.tail[~shut].tolist())
        edges: list[tuple[int, int, float]] = []
        sides: list[tuple[int, int, float]] = []  # spot, arc, share
        for number, spot in enumerate(spots):
            sides.append((number, spot.arc, spot.fraction))
            if network.reverse[spot.arc] >= 0 and not spot.one_side:
                sides.append((number, int(network.reverse[spot.arc]), 1 - spot.fraction))
        for number, arc, share in sides:
            leave, arrive = nodes + number, nodes + size + number
            tail, head = int(network.tail[arc]), int(network.head[arc])
            if share in (0.0, 1.0):
                here = head if share else tail
                edges += [(leave, here, 0.0), (here, arrive, 0.0)] + ([] if here in left else [(leave, here + twin, 0.0)])
            else:
                out = self.free[arc] if shut[arc] else self.weight[arc]
                edges += [(leave, head + layer, _part(out, 1 - share)) for layer in ({0, twin} if shut[arc] else {0})]
                edges.append((tail, arrive, _part(self.weight[arc], share)))
            for other, same, ahead in sides:
                if same == arc and ahead >= share:
                    along = _part(self.weight[arc], ahead - share) if ahead > share else 0.0
                    edges.append((leave, nodes + size + other, along))
        closed = np.flatnonzero(shut)
        junctions = np.array(sorted(left), np.int64)
        row, column, weight = (np.array(values) for values in zip(*edges, strict=True))
        return _lightest(
            np.concatenate([network.tail, row, network.tail[closed] + twin, junctions + twin]).astype(np.int64),
            np.concatenate([network.head, column, network.head[closed] + twin, junctions]).astype(np.int64),
            np.concatenate([self.weight, weight, self.free[closed], np.zeros(len(junctions))]), twin + nodes,
        )  # fmt: skip


def _part(weight: float, share: float) -> float:
    if not np.isfinite(weight):
        return float(np.inf)
    millis, decimetres = divmod(weight, 1.0)
    return float(np.rint(millis * share) + np.rint(decimetres / DECIMETRE * share) * DECIMETRE)


def _lightest(row: NDArray[np.int64], column: NDArray[np.int64], weight: NDArray[np.float64], size: int) -> csr_array:
    """A graph that keeps the lightest of parallel edges (scipy would add them up) and drops the closed ones."""
    open_ = np.isfinite(weight)
    row, column, weight = row[open_], column[open_], weight[open_]
    order = np.lexsort((weight, column, row))
    row, column, weight = row[order], column[order], weight[order]
    first = np.ones(len(row), bool)
    first[1:] = (row[1:] != row[:-1]) | (column[1:] != column[:-1])
    return csr_array((weight[first], (row[first], column[first])), shape=(size, size))
