"""What pings tell of a driver's progress: arrived, gone again, or standing still on the way.

A stop's fence has two radii, so that a phone's error at its border makes nobody come and go: who is within the inner one is there,
until well outside the outer one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from routing.eta.matching import Ping
from routing.model import Location

INSIDE_M, OUTSIDE_M = 60.0, 200.0
"""Radii of a stop's fence."""

VAGUE_M = 100.0
"""Pings that may be farther off than this tell nothing."""

SOON_S = 120
"""So long after an arrival was reported a ping still tells where."""

GONE_S = 60
"""Who is outside for so long, by two pings at least, has left: others have walked around the corner."""

STILL_M = 50.0
"""Who stays within this of one point stands still."""

_METRES_PER_DEGREE = 111_195.0


@dataclass(frozen=True, slots=True)
class Observed:
    """When a driver came to a stop and left it (depot s), as far as pings show."""

    arrived: int | None = None
    left: int | None = None


def observe(pings: Sequence[Ping], target: Location, *, since: float, arrived: int | None, dwell: int) -> Observed:
    """Whether a driver is, or was, at the stop that is next.

    Parameters
    ----------
    pings
        In order of their times. Those before `since`, and those of a phone that hardly knows where it is, do not count.
    arrived
        When the driver arrived, if that is known. Then leaving is leaving the place where the phone was, too: it may be told from
        the car park, or a pin may be wrong.
    dwell
        Seconds near the stop that make an arrival. Whoever drives past is not there for so long.
    """
    seen = [ping for ping in pings if ping.at >= max(since, arrived or 0.0) and (ping.accuracy_m or 0.0) <= VAGUE_M]
    if not seen:
        return Observed(arrived)
    apart, margin = _apart(seen, target), np.array([ping.accuracy_m or 0.0 for ping in seen])
    if arrived is not None and apart[0] - margin[0] > INSIDE_M and seen[0].at - arrived <= SOON_S:
        apart = np.minimum(apart, _apart(seen, Location(seen[0].lat, seen[0].lon)))
    at = np.array([ping.at for ping in seen])
    first: int | None = None
    last = 0
    for number, metres in enumerate(apart):
        there = arrived is not None or (first is not None and at[last] - at[first] >= dwell)
        if metres <= INSIDE_M + margin[number] / 2:
            first, last = (number if first is None else first), number
        elif there and (apart[number:] - margin[number:] > OUTSIDE_M).all():
            if len(at) - number >= 2 and at[-1] - at[number] >= GONE_S:
                came = arrived if arrived is not None else int(at[first or 0])
                return Observed(came, max(came, int(at[last]) if first is not None else came))
        elif not there and metres > 2 * INSIDE_M:
            first = None
    if arrived is None and first is not None and at[last] - at[first] >= dwell:
        arrived = int(at[first])
    return Observed(arrived)


def standing_since(pings: Sequence[Ping]) -> int | None:
    """Since when a driver has stayed where the last ping was, or None without one."""
    if not pings:
        return None
    apart = _apart(pings, Location(pings[-1].lat, pings[-1].lon))
    moved = np.flatnonzero(apart > STILL_M)
    return int(pings[int(moved[-1]) + 1 if len(moved) else 0].at)


def _apart(pings: Sequence[Ping], place: Location) -> NDArray[np.float64]:
    """Metres from a place."""
    lat, lon = np.array([ping.lat for ping in pings]), np.array([ping.lon for ping in pings])
    east = (lon - place.lon) * np.cos(np.radians(place.lat))
    found: NDArray[np.float64] = np.hypot(lat - place.lat, east) * _METRES_PER_DEGREE
    return found
