"""Speeds by hour of the day: how much slower each class of street is in each period.

A leg that lasts beyond a period's end is driven on at the next period's pace (S. Ichoua, M. Gendreau, J.-Y. Potvin,
"Vehicle dispatching with time-dependent travel times", EJOR 2003). So who leaves later never arrives earlier.
"""

from __future__ import annotations

import csv
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from routing.errors import BadRoads
from routing.roads import osm

DAY = 86_400


@dataclass(frozen=True, slots=True, eq=False)
class Profile:
    """P periods of the local day; the last one runs on to the first one's start.

    `starts` are seconds after midnight, ascending; `table` (P, classes) multiplies free-flow travel times of
    `routing.roads.osm.CLASSES`.

    Raises
    ------
    BadRoads
        If starts do not ascend within a day, or a factor is no positive number.
    """

    starts: tuple[int, ...]
    table: NDArray[np.float64]

    def __post_init__(self) -> None:
        ordered = all(a < b for a, b in zip(self.starts, self.starts[1:], strict=False))
        if not self.starts or not ordered or self.starts[0] < 0 or self.starts[-1] >= DAY:
            raise BadRoads(f"Periods start at {self.starts}.", remedy="Give ascending times of one day.")
        if self.table.shape != (len(self.starts), len(osm.CLASSES)) or not (np.isfinite(self.table) & (self.table > 0)).all():
            raise BadRoads("A speed profile has a factor for each period and class, all positive numbers.",
                           remedy=f"{len(self.starts)} periods and {len(osm.CLASSES)} classes are expected.")  # fmt: skip

    @property
    def periods(self) -> int:
        """Number of periods."""
        return len(self.starts)

    def period(self, second: float) -> int:
        """The period at a second of the local day (of any day, past or future)."""
        return (bisect_right(self.starts, second % DAY) - 1) % self.periods

    def duration(self, seconds: Sequence[float], depart: float) -> float:
        """How long a leg takes that is left for at `depart` (second of the local day).

        Parameters
        ----------
        seconds
            (P,) what the leg would take if the period lasted for ever.
        """
        return duration(self.starts, seconds, depart)


def duration(starts: Sequence[int], seconds: Sequence[float], depart: float) -> float:
    """See `Profile.duration`; `starts` are those of the periods."""
    offsets = [start - starts[0] for start in starts]
    at = (depart - starts[0]) % DAY
    period, left, gone = bisect_right(offsets, at) - 1, 1.0, 0.0
    while True:
        end = offsets[period + 1] if period + 1 < len(starts) else DAY
        if left * seconds[period] <= end - at:
            return gone + left * seconds[period]
        left -= (end - at) / seconds[period]
        gone += end - at
        at, period = end % DAY, (period + 1) % len(starts)


FREE_FLOW = Profile((0,), np.ones((1, len(osm.CLASSES))))
"""Every hour is the same."""


def read(path: Path) -> Profile:
    """Read a table: a header `road_class` and the periods' starts (`06:30`), a line for each class.

    Raises
    ------
    BadRoads
        If the file is missing or no such table, or lacks a class.
    """
    try:
        with path.open(newline="") as file:
            header, *lines = [line for line in csv.reader(file) if line and not line[0].startswith("#")]
        rows = {line[0]: [float(cell) for cell in line[1:]] for line in lines}
        starts = [_second(cell) for cell in header[1:]]
        columns = [[rows[name][number] for name in osm.CLASSES] for number in range(len(starts))]
    except OSError as error:
        raise BadRoads(f"{path} cannot be read: {error}.", remedy="Name a table of speeds.") from None
    except KeyError as error:
        raise BadRoads(f"{path} has no road class {error}.", remedy=f"It needs {', '.join(osm.CLASSES)}.") from None
    except (ValueError, IndexError) as error:
        raise BadRoads(f"{path} is no table of speeds: {error}.", remedy="See data/typical.speeds.csv.") from None
    order = np.argsort(starts)
    return Profile(tuple(starts[number] for number in order), np.array(columns, np.float64)[order])


def _second(cell: str) -> int:
    hour, minute = cell.split(":")
    if not 0 <= int(minute) < 60:
        raise ValueError(f"{cell!r} is no time of the day")
    return int(hour) * 3600 + int(minute) * 60
