"""Live roads: road events laid over a network's free-flow times."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from routing.errors import BadRoads, WrongMap
from routing.model import RoadEvent, RoadState
from routing.roads.network import Network


@dataclass(frozen=True, slots=True, eq=False)
class Overlay:
    """`factor` (M,) multiplies each arc's free-flow time; infinity means closed.

    `map` is the fingerprint of the network it is for, `version` names this state of the roads.

    Raises
    ------
    BadRoads
        If a factor is no positive number.
    """

    map: str
    version: int
    factor: NDArray[np.float64]

    def __post_init__(self) -> None:
        bad = np.flatnonzero(~(self.factor > 0))
        if len(bad):
            raise BadRoads(f"The factor of arc {bad[0]} is {self.factor[bad[0]]}.",
                           remedy="Factors are positive: above 1 slows down, infinity closes.")  # fmt: skip

    @classmethod
    def free_flow(cls, network: Network) -> Overlay:
        """No closure, no slow-down."""
        return cls(network.fingerprint, 0, np.ones(network.arcs))

    @classmethod
    def of(cls, network: Network, state: RoadState, *, version: int = 0) -> Overlay:
        """What `state()` of an overlay of this network was made from.

        Raises
        ------
        WrongMap
            If it is of another map.
        """
        factor = np.ones(network.arcs)
        _check_arcs(network, state.map, state.arcs, "A road state")
        factor[list(state.arcs)] = [np.inf if value is None else value for value in state.factors]
        return cls(network.fingerprint, version, factor)

    def state(self) -> RoadState:
        """All that differs from free flow, as plain data."""
        arcs = np.flatnonzero(self.factor != 1.0)
        factors = (None if factor == np.inf else factor for factor in self.factor[arcs].tolist())
        return RoadState(self.map, tuple(arcs.tolist()), tuple(factors))

    @classmethod
    def at(cls, network: Network, events: Iterable[RoadEvent], now: int, *, version: int) -> Overlay:
        """What holds at `now`; where events overlap, the slowest wins.

        Raises
        ------
        WrongMap
            If an event was made on another map, or names arcs that this one does not have.
        """
        factor = np.ones(network.arcs)
        for event in events:
            if event.start <= now < event.end:
                _check_arcs(network, event.map, event.arcs, f"Road event {event.id}")
                arcs = np.asarray(event.arcs, np.int64)
                slow = np.inf if event.factor is None else event.factor
                factor[arcs] = np.maximum(factor[arcs], slow)
        return cls(network.fingerprint, version, factor)


def _check_arcs(network: Network, map_: str, arcs: Sequence[int], what: str) -> None:
    if map_ != network.fingerprint or (arcs and not 0 <= min(arcs) <= max(arcs) < network.arcs):
        raise WrongMap(f"{what} was made on another edition of the map {network.name}.", remedy="End it and report it again.")
