"""A metric: what each street takes, customized for searching. One file for each map and state of its roads.

A weight packs time and distance into one double: milliseconds, plus decimetres x 2**-25. Sums stay exact (28
bits of time, 25 of distance), so that a path is the fastest one, the shortest among equals, and both figures
are that path's own. Infinity is a closed street.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numba import types
from numpy.typing import NDArray

from routing.errors import BadRoads, WrongMap
from routing.jit import kernel, read, write
from routing.roads import arrays, customization
from routing.roads.network import Network, fingerprint
from routing.roads.profile import FREE_FLOW, Profile
from routing.roads.traffic import Overlay

log = logging.getLogger(__name__)

MAGIC = b"LASTLEG METRIC\n"
FORMAT = 2

KEEP = 32
"""Metrics of a map that stay on disk; beyond that the longest unused go. A process keeps what it has opened."""

_DECIMETRE = 2.0**-25
_PER_METRE = 1 / (10 * _DECIMETRE)
_LONGEST_MS = 2.0**26
"""18.6 hours: nobody waits longer for one street, and sums stay exact."""


def pack(millis: NDArray[np.float64], metres: NDArray[np.float32]) -> NDArray[np.float64]:
    """Weights of streets; infinite milliseconds stay infinite."""
    rounded = np.rint(millis)
    bounded = np.where(np.isfinite(rounded), np.minimum(rounded, _LONGEST_MS), np.inf)
    packed: NDArray[np.float64] = bounded + np.rint(metres.astype(np.float64) * 10) * _DECIMETRE
    return packed


def part(weight: NDArray[np.float64], share: NDArray[np.float64]) -> NDArray[np.float64]:
    """A share of packed weights, both halves whole again."""
    shut = ~np.isfinite(weight)
    millis, decimetres = np.divmod(np.where(shut, 0.0, weight), 1.0)
    piece = np.rint(millis * share) + np.rint(decimetres / _DECIMETRE * share) * _DECIMETRE
    return np.where(shut, np.inf, piece)


@kernel(read(types.float64, 2), types.int64, write(types.int32, 2), write(types.int32, 2))
def unpack(weight, missing, seconds, metres):  # type: ignore[no-untyped-def]  # numba
    """Fill in whole seconds (rounded up, so that nobody is promised too early) and metres; `missing` where infinite."""
    for i in range(weight.shape[0]):
        for j in range(weight.shape[1]):
            if weight[i, j] < np.inf:
                millis = np.floor(weight[i, j])
                seconds[i, j] = np.int32(np.ceil(millis / 1000))
                metres[i, j] = np.int32(np.rint((weight[i, j] - millis) * _PER_METRE))
            else:
                seconds[i, j] = missing
                metres[i, j] = missing


@dataclass(frozen=True, slots=True, eq=False)
class Metric:
    """M arcs' weights, K edges' customized weights, and the edges that searches need.

    Attributes
    ----------
    map, digest
        Fingerprints of the network and of what lies over it.
    roads
        The version of the overlay this was opened for.
    shut
        How many arcs are closed.
    weight, free
        (M,) packed weights of the arcs now, and as if none were closed or slowed.
    up, down
        (K,) packed weights of the hierarchy's edges, from lower to higher end and back.
    climb_*, fall_*
        The edges upwards and downwards that are shortest paths themselves: (N + 1,) where each junction's
        begin, and for each its higher end, its number and its weight.
    """

    map: str
    digest: str
    roads: int
    shut: int
    weight: NDArray[np.float64]
    free: NDArray[np.float64]
    up: NDArray[np.float64]
    down: NDArray[np.float64]
    climb_first: NDArray[np.int32]
    climb_high: NDArray[np.int32]
    climb_edge: NDArray[np.int32]
    climb_weight: NDArray[np.float64]
    fall_first: NDArray[np.int32]
    fall_high: NDArray[np.int32]
    fall_edge: NDArray[np.int32]
    fall_weight: NDArray[np.float64]

    def save(self, path: Path) -> None:
        """Write it for other processes. It can always be computed again, so nothing waits for the disk."""
        columns = {field_.name: getattr(self, field_.name) for field_ in fields(self)}
        values = {name: columns.pop(name) for name in ("map", "digest", "roads", "shut")}
        arrays.save(path, MAGIC, values | {"format": FORMAT}, columns, durable=False)

    @classmethod
    def open(cls, path: Path) -> Metric:
        """Map a file into memory.

        Raises
        ------
        arrays.Unreadable
            If it is missing, damaged or of another format.
        """
        values, columns = arrays.load(path, MAGIC, verify=False)
        if values.pop("format", None) != FORMAT:
            raise arrays.Unreadable(f"{path} has another format.")
        found: dict[str, Any] = {**values, **columns}
        try:
            return cls(**found)
        except TypeError:
            raise arrays.Unreadable(f"{path} is damaged.") from None


def customize(network: Network, overlay: Overlay | None = None, profile: Profile = FREE_FLOW, period: int = 0) -> Metric:
    """Lay an overlay and the speeds of one period over a network.

    Raises
    ------
    WrongMap
        If the overlay was made for another map.
    BadRoads
        If the network has a street whose travel time no street can have.
    """
    overlay = overlay or Overlay.free_flow(network)
    if overlay.map != network.fingerprint or len(overlay.factor) != network.arcs:
        raise WrongMap(f"The overlay belongs to map {overlay.map}, not to {network.name} ({network.fingerprint}).",
                       remedy="Make the overlay from the map it is used on.")  # fmt: skip
    millis = network.seconds.astype(np.float64) * 1000 * profile.table[period][network.road_class]
    bad = np.flatnonzero(~(millis >= 0))
    if len(bad):
        raise BadRoads(f"The travel time of arc {bad[0]} of {network.name} is {network.seconds[bad[0]]} s.",
                       remedy="The map is damaged: import it again.")  # fmt: skip
    free = pack(millis, network.metres)
    weight = pack(_slowed(millis, overlay.factor), network.metres) if (overlay.factor != 1.0).any() else free
    graph = network.hierarchy
    up, down, best_up, best_down = (np.empty(graph.edges) for _ in range(4))
    customization.customize(graph.first, graph.triangle, network.tail, network.head, graph.arc_edge, weight, up, down)
    customization.perfect(graph.first, graph.triangle, up, down, best_up, best_down)
    climb = customization.prune(graph.first, graph.high, up, best_up)
    fall = customization.prune(graph.first, graph.high, down, best_down)
    name, shut = digest(overlay, profile, period), int(np.isinf(weight).sum())
    return Metric(network.fingerprint, name, overlay.version, shut, weight, free, up, down, *climb, *fall)


def _slowed(millis: NDArray[np.float64], factor: NDArray[np.float64]) -> NDArray[np.float64]:
    """A closed street is closed, even one that takes no time."""
    shut = np.isinf(factor)
    return np.where(shut, np.inf, millis * np.where(shut, 1.0, factor))


def digest(overlay: Overlay, profile: Profile, period: int) -> str:
    """What a metric is made of, as a name: the same streets changed the same way are the same metric."""
    changed = np.flatnonzero(overlay.factor != 1.0)
    return fingerprint(changed, overlay.factor[changed], profile.table[period])


class Metrics:
    """The metrics of all maps in one folder, shared by all processes of a machine."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def of(self, network: Network, overlay: Overlay, profile: Profile = FREE_FLOW, period: int = 0) -> Metric:
        """Open a metric, or make it if no process has done so yet. Two may do it at once; both get the same.

        Raises
        ------
        WrongMap
            If the overlay was made for another map.
        """
        path = self._folder / f"{network.fingerprint}-{digest(overlay, profile, period)}.metric"
        try:
            metric = Metric.open(path)
            os.utime(path)
        except (arrays.Unreadable, OSError):
            metric = customize(network, overlay, profile, period)
            self._keep(metric, path)
        return replace(metric, roads=overlay.version)

    def _keep(self, metric: Metric, path: Path) -> None:
        try:
            metric.save(path)
            self._prune(metric.map)
        except OSError as error:
            log.warning("%s cannot be kept for the next process: %s", path, error)

    def _prune(self, map_: str) -> None:
        files = []
        for path in self._folder.glob(f"{map_}-*.metric"):
            try:
                files.append((path.stat().st_mtime_ns, path))
            except FileNotFoundError:
                continue  # another process prunes as well
        for _, path in sorted(files)[:-KEEP]:
            path.unlink(missing_ok=True)
