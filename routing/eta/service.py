"""How long service takes: learned from visits by kind of order, place and driver, as a factor on what the order says."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from routing.model import Location

LEAST_S = 30
"""Orders that say less count as this long: a factor on nothing is nothing."""

SIGMA = 0.5
"""Spread (standard deviation of the logarithm) of a visit where nothing is known."""

_MEDIAN = -(SIGMA**2) / 2
"""The same for its median: on average it takes what the order says."""

_BELIEF = 20.0
"""The prior weighs as much as so many visits."""

_KIND, _DRIVER = 10.0, 40.0
"""Visits after which half is believed of what is particular to a kind, and to a driver."""

_FAR = 1.8
"""Visits that are farther from the usual than this (logarithm) count as if they were no farther."""

_BETWEEN = 0.3
"""Spread from place to place, where too little is known to tell."""


@dataclass(frozen=True, slots=True)
class Visit:
    """A finished stop: `stated` is the order's service time, `seconds` how long it took from when service could begin."""

    kind: str
    location: Location
    driver_id: str
    stated: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Services:
    """What has been learned of a depot's visits; the default is what is believed before the first.

    Attributes
    ----------
    kinds
        Mean logarithm of the factor, by kind.
    places
        What is particular to a place, by kind and place: logarithm, and how much of it is believed (0 to 1).
    drivers
        What is particular to a driver.
    spread
        Standard deviation of the logarithm from visit to visit, by kind.
    between
        The same from place to place.
    """

    kinds: dict[str, float] = field(default_factory=dict)
    places: dict[str, tuple[float, float]] = field(default_factory=dict)
    drivers: dict[str, float] = field(default_factory=dict)
    spread: dict[str, float] = field(default_factory=dict)
    between: float = 0.0
    visits: int = 0

    def of(self, kind: str, location: Location, driver_id: str, stated: int) -> tuple[float, float]:
        """The median (s) of a visit, and the standard deviation of its logarithm; (0, 0) for a stop that takes no time."""
        if stated <= 0:
            return 0.0, 0.0
        effect, believed = self.places.get(place_key(kind, location), (0.0, 0.0))
        factor = self.kinds.get(kind, _MEDIAN) + effect + self.drivers.get(driver_id, 0.0)
        known = float(np.hypot(self.spread.get(kind, SIGMA), self.between * (1 - believed) ** 0.5))
        return max(LEAST_S, stated) * float(np.exp(factor)), known

    def expected(self, kind: str, location: Location, stated: int) -> int:
        """Whole seconds to plan with, whoever comes: the mean."""
        if not self.visits:
            return stated
        median, spread = self.of(kind, location, "", stated)
        return round(float(median * np.exp(spread**2 / 2)))


def place_key(kind: str, location: Location) -> str:
    """A kind at a place, to some ten metres."""
    return f"{kind}|{location.lat:.4f}|{location.lon:.4f}"


def learn(visits: Sequence[Visit]) -> Services:
    """Fit kinds, places and drivers as additive effects on the logarithm, each shrunk to none the less is known of it.

    Place effects are those of a random-effects model, with the spread between places by the method of moments (S. R. Searle,
    G. Casella, C. E. McCulloch, "Variance Components", 1992); effects are fitted in turn, thrice. At last median and spread are set
    so that mean and variance of the visits themselves are met: how late a route gets is a sum, and visits are not quite lognormal.
    """
    useful = [visit for visit in visits if visit.stated > 0 and visit.seconds >= 1]
    if not useful:
        return Services()
    y = np.array([np.log(visit.seconds / max(LEAST_S, visit.stated)) for visit in useful])
    y = np.clip(y, -3.0, 3.0)  # a tap that was forgotten until the evening is no visit of eight hours
    kinds, kind = _numbered(visit.kind for visit in useful)
    places, place = _numbered(place_key(visit.kind, visit.location) for visit in useful)
    drivers, driver = _numbered(visit.driver_id for visit in useful)
    kind_of_place = np.zeros(len(places), np.int64)
    kind_of_place[place] = kind
    of_kind, of_place, of_driver = np.zeros(len(kinds)), np.zeros(len(places)), np.zeros(len(drivers))
    between, spread, believed = _BETWEEN, np.full(len(kinds), SIGMA), np.zeros(len(places))
    seen = np.bincount(place)
    for _ in range(3):
        of_kind = _MEDIAN + _shrunk(y - _MEDIAN - of_place[place] - of_driver[driver], kind, _KIND)
        believed = seen / (seen + (spread[kind_of_place] / max(between, 0.05)) ** 2)
        of_place = believed * np.bincount(place, y - of_kind[kind] - of_driver[driver]) / seen
        of_driver = _shrunk(y - of_kind[kind] - of_place[place], driver, _DRIVER)
        rest = y - of_kind[kind] - of_driver[driver]
        spread, between = _spreads(rest, kind, place, len(kinds))
    shift, spread = _by_moments(y - of_kind[kind] - of_driver[driver], kind, spread)
    of_kind = of_kind + shift
    return Services(
        kinds=dict(zip(kinds, of_kind.tolist(), strict=True)),
        places={name: (round(effect, 4), round(sure, 4)) for name, effect, sure in
                zip(places, of_place.tolist(), believed.tolist(), strict=True)},
        drivers=dict(zip(drivers, of_driver.tolist(), strict=True)), spread=dict(zip(kinds, spread.tolist(), strict=True)),
        between=between, visits=len(useful),
    )  # fmt: skip


def _numbered(names: Iterable[str]) -> tuple[list[str], NDArray[np.int64]]:
    numbers: dict[str, int] = defaultdict(lambda: len(numbers))
    found = np.array([numbers[name] for name in names], np.int64)
    return list(numbers), found


def _shrunk(rest: NDArray[np.float64], group: NDArray[np.int64], half: float) -> NDArray[np.float64]:
    """Means by group, of which half is believed after `half` members."""
    found: NDArray[np.float64] = np.bincount(group, rest) / (np.bincount(group) + half)
    return found


def _spreads(rest: NDArray[np.float64], kind: NDArray[np.int64], place: NDArray[np.int64], kinds: int
             ) -> tuple[NDArray[np.float64], float]:  # fmt: skip
    """From visit to visit at one place, by kind; and from place to place."""
    seen = np.bincount(place)
    mean = np.bincount(place, rest) / seen
    inside = np.bincount(kind, (rest - mean[place]) ** 2, minlength=kinds)
    free = np.bincount(kind, 1 - 1 / seen[place], minlength=kinds)
    spread = np.sqrt((inside + _BELIEF * SIGMA**2) / (free + _BELIEF))
    within = np.zeros(len(seen))
    within[place] = spread[kind] ** 2
    surplus = float(np.sum((mean - mean.mean()) ** 2 - within / seen))
    return spread, float(np.sqrt(max(0.0, (surplus + _BELIEF * _BETWEEN**2) / (len(seen) + _BELIEF))))


def _by_moments(rest: NDArray[np.float64], kind: NDArray[np.int64], spread: NDArray[np.float64]
                ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:  # fmt: skip
    """By kind, how far the mean of the logarithm is to be shifted, and the spread, so that lognormal visits have the moments seen.

    `rest` has what differs from place to place in it: the spread from visit to visit is drawn in by as much as the whole.
    """
    shift, found = np.zeros(len(spread)), spread.copy()
    for number in range(len(spread)):
        here = np.clip(rest[kind == number], -_FAR, _FAR)
        factor = np.exp(here)
        whole = float(np.log1p((factor.std() / factor.mean()) ** 2))
        believed = len(here) / (len(here) + _BELIEF)
        shift[number] = believed * (np.log(factor.mean()) - whole / 2)
        drawn_in = whole**0.5 / max(float(here.std()), 1e-6) if len(here) > 1 else 1.0
        found[number] *= believed * float(np.clip(drawn_in, 0.7, 1.2)) + (1 - believed)
    return shift, found
