"""Live roads: road events laid over a network's free-flow times."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from routing.model import RoadEvent
from routing.roads.network import Network


@dataclass(frozen=True, slots=True, eq=False)
class Overlay:
    """`factor` (M,) multiplies each arc's free-flow time; infinity means closed. `version` names this state."""

    version: int
    factor: NDArray[np.float64]

    @classmethod
    def free_flow(cls, network: Network) -> Overlay:
        """No closure, no slow-down."""
        return cls(0, np.ones(network.arcs))

    @classmethod
    def at(cls, network: Network, events: Iterable[RoadEvent], now: int, *, version: int) -> Overlay:
        """What holds at `now`; where events overlap, the slowest wins."""
        factor = np.ones(network.arcs)
        for event in events:
            if event.start <= now < event.end:
                arcs = np.asarray(event.arcs, np.int64)
                slow = np.inf if event.factor is None else event.factor
                factor[arcs] = np.maximum(factor[arcs], slow)
        return cls(version, factor)
