"""How fast streets are driven: learned from drives by road class and hour of the week, as factors on free-flow times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from routing.roads.profile import DAY, Profile

HOURS = 7 * 24
"""Hours of the week, from Monday's first."""

PERIODS = 6
"""A day's hours are joined to so many periods at most: each costs a matrix."""

_SAME = 0.02
"""Hours whose factors differ less than this (root mean square of the logarithm) are one period."""

_BELIEF_S = (600.0, 300.0, 600.0, 1800.0)
"""Seconds of driving after which half is believed of what is particular to a class, to an hour of the day, to both together, and to
both on a certain weekday."""

_ROUNDS = 6
_PLAUSIBLE = (0.4, 4.0)
"""Factors stay within this."""


@dataclass(frozen=True, slots=True, eq=False)
class Drives:
    """n pieces of drives.

    Attributes
    ----------
    seconds
        (n,) how long each took.
    free
        (n, classes) its free-flow seconds on each class of street.
    hour
        (n,) the hour of the week.
    """

    seconds: NDArray[np.float64]
    free: NDArray[np.float64]
    hour: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Speeds:
    """`table` (168, classes) multiplies free-flow times; `weights` (classes,) are the seconds driven on each class."""

    table: tuple[tuple[float, ...], ...]
    weights: tuple[float, ...]

    def profile(self, weekday: int) -> Profile:
        """The profile of a day (0 is Monday): hours in which streets are driven alike are one period."""
        day = np.array(self.table)[24 * weekday : 24 * weekday + 24]
        weights = np.array(self.weights) + 1.0
        starts = _joined(np.log(day), weights / weights.sum())
        ends = [*starts[1:], 24]
        table = np.array([np.exp(np.log(day[a:b]).mean(axis=0)) for a, b in zip(starts, ends, strict=True)])
        return Profile(tuple(3600 * start for start in starts), table.round(3))


def hours(profile: Profile) -> NDArray[np.float64]:
    """(168, classes) a profile's factors, for every hour of the week."""
    quarters = [profile.table[[profile.period(900 * quarter) for quarter in range(4 * hour, 4 * hour + 4)]].mean(axis=0)
                for hour in range(DAY // 3600)]  # fmt: skip
    return np.tile(np.array(quarters), (7, 1))


def learn(drives: Drives, prior: Profile) -> Speeds:
    """Fit what is particular to classes, hours of the day, both, and both by weekday: factors that little data leave near 1.

    Of a piece on several classes each gets its share of the time by what is believed already, and so on in rounds (as EM does:
    A. P. Dempster, N. M. Laird, D. B. Rubin, 1977).
    """
    table = hours(prior)
    day = drives.hour % 24
    workday = drives.hour // 24 < 5
    slot = day + 24 * ~workday
    for _ in range(_ROUNDS):
        fitted = hours(prior)
        for half, groups in zip(_BELIEF_S, _groupings(slot, drives.hour), strict=True):
            expected = drives.free * fitted[drives.hour]
            believed = drives.free * table[drives.hour]
            whole = believed.sum(axis=1, keepdims=True)
            took = drives.seconds[:, None] * np.divide(believed, whole, out=np.zeros_like(believed), where=whole > 0)
            fitted *= _factors(took, expected, groups, half)
        table = np.clip(fitted, *_PLAUSIBLE)
    return Speeds(tuple(map(tuple, table.round(4).tolist())), tuple(drives.free.sum(axis=0).round().tolist()))


def _groupings(slot: NDArray[np.int64], hour: NDArray[np.int64]) -> Sequence[tuple[NDArray[np.int64], NDArray[np.int64], bool]]:
    """For each level: the group of each piece, that of each hour of the week, and whether classes are apart."""
    week = np.arange(HOURS)
    week_slot = week % 24 + 24 * (week // 24 >= 5)
    none = np.zeros(len(hour), np.int64), np.zeros(HOURS, np.int64)
    return (*none, True), (slot, week_slot, False), (slot, week_slot, True), (hour, week, True)


def _factors(took: NDArray[np.float64], expected: NDArray[np.float64], groups: tuple[NDArray[np.int64], NDArray[np.int64], bool],
             half: float) -> NDArray[np.float64]:  # fmt: skip
    """(168, classes) seconds that pieces took against those expected, by group; shrunk to 1."""
    of_piece, of_hour, apart = groups
    sums = [np.zeros((of_hour.max() + 1, took.shape[1])) for _ in range(2)]
    for total, rows in zip(sums, (took, expected), strict=True):
        np.add.at(total, of_piece, rows)
    if not apart:
        sums = [np.broadcast_to(total.sum(axis=1, keepdims=True), total.shape) for total in sums]
    found: NDArray[np.float64] = ((sums[0] + half) / (sums[1] + half))[of_hour]
    return found


def _joined(day: NDArray[np.float64], weights: NDArray[np.float64]) -> list[int]:
    """The hours at which periods begin: neighbours that differ least are joined until few are left that differ enough."""
    starts = list(range(24))
    while len(starts) > 1:
        ends = [*starts[1:], 24]
        means = [day[a:b].mean(axis=0) for a, b in zip(starts, ends, strict=True)]
        sizes = np.diff([*starts, 24])
        apart = [float(((a - b) ** 2 * weights).sum()) for a, b in zip(means, means[1:], strict=False)]
        price = [gap * m * n / (m + n) for gap, m, n in zip(apart, sizes, sizes[1:], strict=False)]
        cheapest = int(np.argmin(price))
        if len(starts) <= PERIODS and apart[cheapest] ** 0.5 > _SAME:
            break
        del starts[cheapest + 1]
    return starts
