"""The roads through the day: one metric for each period of a profile, all on one topology and one overlay."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from routing.roads.metric import Metric
from routing.roads.network import Network
from routing.roads.profile import Profile
from routing.roads.spot import Spot
from routing.roads.traffic import Overlay
from routing.roads.travel import UNREACHABLE, Leg, Matrix, Roads

MetricOf = Callable[[Network, Overlay, Profile, int], Metric]
"""`routing.roads.metric.customize`, or `Metrics.of`, which looks in its folder first."""


@dataclass(frozen=True, slots=True, eq=False)
class TravelTimes:
    """(P,) matrices between the same places, one for each period of a profile."""

    profile: Profile
    periods: tuple[Matrix, ...]

    def duration(self, start: int, end: int, depart: float) -> int:
        """Seconds from place to place, left at `depart` (second of the local day), or `UNREACHABLE`.

        Rounded up. Who leaves a whole second later does not arrive earlier.
        """
        return _driven(self.profile, [int(matrix.seconds[start, end]) for matrix in self.periods], depart)

    def metres(self, start: int, end: int, depart: float) -> int:
        """Length of the way that is the fastest in the period of departure."""
        return int(self.periods[self.profile.period(depart)].metres[start, end])


class Day:
    """A network with an overlay and a profile. Metrics are made, or opened, when their period is first asked for."""

    def __init__(self, network: Network, overlay: Overlay, profile: Profile, metric_of: MetricOf) -> None:
        self.network = network
        self.overlay = overlay
        self.profile = profile
        self._metric_of = metric_of
        self._roads: dict[int, Roads] = {}

    def roads(self, period: int) -> Roads:
        """The roads as they are in one period."""
        if period not in self._roads:
            self._roads[period] = Roads(self.network, self._metric_of(self.network, self.overlay, self.profile, period))
        return self._roads[period]

    def at(self, second: float) -> Roads:
        """The roads as they are at a second of the local day."""
        return self.roads(self.profile.period(second))

    def travel_times(self, spots: Sequence[Spot]) -> TravelTimes:
        """Times and distances between all pairs, at any hour; see `Roads.matrix`."""
        periods = range(self.profile.periods)
        return TravelTimes(self.profile, tuple(self.roads(period).matrix(spots) for period in periods))

    def leg(self, start: Spot, end: Spot, depart: float) -> Leg | None:
        """The way that is the fastest in the period of departure, and how long it takes through those that follow."""
        way = self.at(depart).leg(start, end)
        if way is None:
            return None
        legs = [self.roads(period).leg(start, end) for period in range(self.profile.periods)]
        return replace(way, seconds=_driven(self.profile, [leg.seconds if leg else UNREACHABLE for leg in legs], depart))


def _driven(profile: Profile, seconds: Sequence[int], depart: float) -> int:
    """Whole seconds of a leg; closures hold all day, so what is cut in one period is cut in all."""
    if seconds[0] >= UNREACHABLE:
        return UNREACHABLE
    return math.ceil(profile.duration(seconds, depart) - 1e-6)
