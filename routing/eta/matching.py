"""Where on a planned leg a driver is: pings matched to the way that was planned, or told apart from it.

A hidden Markov model as in P. Newson and J. Krumm, "Hidden Markov Map Matching Through Noise and Sparseness" (ACM GIS 2009), with
the candidates of a ping taken from the planned way alone, and one state more: off the way. So a street beside the way, or a bend
that comes back to it, misleads nobody, and a leg of a hundred pings takes a few milliseconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from routing.roads import osm
from routing.roads.metric import Metric
from routing.roads.network import Network
from routing.roads.travel import Leg

SIGMA_M = 15.0
"""Standard deviation of a ping's error where the phone does not tell of a larger one, in metres."""

NEAR = 4.0
"""Standard deviations within which a ping may belong to the way."""

APART_M = 60.0
"""Two places of the way that a ping may belong to are so far apart along it."""

CANDIDATES = 4
BETA_M = 40.0
"""Scale of the difference between the way driven from ping to ping and the distance between them, in metres."""

_MOST = 6.0
"""No step from place to place costs more than this: after a gap in the pings anything may be."""

_OFF = 0.5 * 3.0**2
"""What a ping off the way costs: as much as one three standard deviations beside it."""

_SWITCH = 3.0
"""What leaving the way, or coming back to it, costs."""


@dataclass(frozen=True, slots=True, eq=False)
class Ping:
    """A position at a time (depot s); `accuracy_m` as the phone tells it."""

    lat: float
    lon: float
    at: float
    accuracy_m: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Way:
    """A leg as a line of k points.

    Attributes
    ----------
    x, y
        (k,) metres in the network's projection.
    along, seconds
        (k,) metres and seconds from the start, as the roads are.
    free
        (k, classes) free-flow seconds from the start on each class of street.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    along: NDArray[np.float64]
    seconds: NDArray[np.float64]
    free: NDArray[np.float64]

    def seconds_at(self, along: float) -> float:
        """Seconds from the start to a place along the way."""
        return float(np.interp(along, self.along, self.seconds))

    def free_at(self, along: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n, classes) free-flow seconds from the start to places along the way."""
        return np.column_stack([np.interp(along, self.along, column) for column in self.free.T])


def way(network: Network, metric: Metric, leg: Leg) -> Way:
    """The line of a leg, with what it takes; streets that are closed count as if they were free."""
    arcs = np.asarray(leg.arcs, np.int64)
    points = network.polyline(*leg.arcs)
    sizes = network.shape_start[arcs + 1] - network.shape_start[arcs]
    owner = np.repeat(np.arange(len(arcs)), sizes)[:-1]
    x, y = network.grid.project(points[:, 0], points[:, 1])
    steps = np.hypot(np.diff(x), np.diff(y))
    along = np.concatenate([[0.0], np.cumsum(steps)])
    ends = np.cumsum(sizes) - 1
    lengths = along[ends] - along[ends - sizes + 1]
    weight = metric.weight[arcs]
    millis = np.floor(np.where(np.isfinite(weight), weight, metric.free[arcs]))
    pace, free = (np.divide(value, lengths, out=np.zeros(len(arcs)), where=lengths > 0)
                  for value in (millis / 1000, network.seconds[arcs].astype(np.float64)))  # fmt: skip
    classes = np.zeros((len(steps), len(osm.CLASSES)))
    classes[np.arange(len(steps)), network.road_class[arcs][owner]] = steps * free[owner]
    whole = Way(x, y, along, np.concatenate([[0.0], np.cumsum(steps * pace[owner])]),
                np.concatenate([np.zeros((1, classes.shape[1])), np.cumsum(classes, axis=0)]))  # fmt: skip
    return _cut(whole, leg.begin * lengths[0], along[-1] - (1 - leg.end) * lengths[-1])


def _cut(whole: Way, first: float, last: float) -> Way:
    """The part of a way between two places along it."""
    last = max(first, last)
    inside = whole.along[(whole.along > first) & (whole.along < last)]
    at = np.concatenate([[first], inside, [last]])
    columns = [np.interp(at, whole.along, column) for column in (whole.x, whole.y, whole.seconds)]
    free = np.column_stack([np.interp(at, whole.along, column) for column in whole.free.T])
    return Way(columns[0], columns[1], at - first, columns[2] - columns[2][0], free - free[0])


def match(network: Network, on: Way, pings: Sequence[Ping]) -> NDArray[np.float64]:
    """(n,) metres along the way of each ping, in order of their times; NaN for those off the way."""
    x, y = network.grid.project(np.array([ping.lat for ping in pings]), np.array([ping.lon for ping in pings]))
    places, costs = [], []
    for number, ping in enumerate(pings):
        along, apart = _candidates(on, float(x[number]), float(y[number]), max(SIGMA_M, ping.accuracy_m or 0.0))
        places.append(np.append(along, np.nan))
        costs.append(np.append(0.5 * apart**2, _OFF))
    return _cheapest(places, costs, np.hypot(np.diff(x), np.diff(y)))


def _candidates(on: Way, x: float, y: float, sigma: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Places of the way near a point, and how many standard deviations away they are."""
    dx, dy = np.diff(on.x), np.diff(on.y)
    length = dx * dx + dy * dy
    share = np.divide((x - on.x[:-1]) * dx + (y - on.y[:-1]) * dy, length, out=np.zeros(len(dx)), where=length > 0)
    share = np.clip(share, 0.0, 1.0)
    apart = np.hypot(on.x[:-1] + share * dx - x, on.y[:-1] + share * dy - y) / sigma
    along = on.along[:-1] + share * np.diff(on.along)
    found: list[int] = []
    left = np.where(apart <= NEAR, apart, np.inf)
    while len(found) < CANDIDATES and np.isfinite(left).any():
        best = int(np.argmin(left))
        found.append(best)
        left[np.abs(along - along[best]) < APART_M] = np.inf
    return along[found], apart[found]


def _cheapest(places: list[NDArray[np.float64]], costs: list[NDArray[np.float64]], crow: NDArray[np.float64]
              ) -> NDArray[np.float64]:  # fmt: skip
    """The cheapest sequence of states (Viterbi)."""
    if not places:
        return np.empty(0)
    total, came = costs[0], []
    for before, here, cost, distance in zip(places, places[1:], costs[1:], crow, strict=False):
        step = np.minimum(np.abs(here[None] - before[:, None] - distance) / BETA_M, _MOST)  # who goes back is so much off, twice
        off = np.isnan(before)[:, None].astype(int) + np.isnan(here)[None]
        step = np.where(off == 0, step, np.where(off == 1, _SWITCH, 0.0))
        whole = total[:, None] + step
        came.append(np.argmin(whole, axis=0))
        total = whole.min(axis=0) + cost
    state = int(np.argmin(total))
    states = [state]
    for back in reversed(came):
        state = int(back[state])
        states.append(state)
    return np.array([place[state] for place, state in zip(places, reversed(states), strict=True)])
