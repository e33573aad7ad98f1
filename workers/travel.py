"""A depot's travel times: its map, with today's closures, asked by location."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np

from ingest.settings import Settings
from routing.model import Depot, Place, RoadEvent, Snapshot
from routing.roads import impact, maps
from routing.roads.cache import MatrixCache
from routing.roads.day import Day
from routing.roads.metric import Metrics
from routing.roads.network import Network
from routing.roads.profile import DAY
from routing.roads.snapping import MAX_SNAP_M, Snapper
from routing.roads.spot import Spot
from routing.roads.traffic import Overlay
from routing.roads.travel import UNREACHABLE, Matrix, Roads
from routing.solve.problem import Crew, Hours, Problem
from workers import learned

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class DepotRoads:
    """The roads of a depot as they are at one moment, and what is kept of them on this machine."""

    depot_id: str
    now: int
    midnight: int
    day: Day
    period: int
    metrics: Metrics
    folder: Path

    @property
    def roads(self) -> Roads:
        """With what is closed and how fast it is driven at this hour."""
        return self.day.roads(self.period)

    def matrix(self, places: Sequence[Place]) -> Matrix:
        """Travel times now; a place far off the map, which intake refuses, is nobody's neighbour."""
        spots = self.spots(places)
        return _without(self._cache(self.period).matrix(spots), spots)

    def free_flow(self, places: Sequence[Place]) -> Matrix:
        """Travel times at this hour with no closure and no slow-down."""
        spots = self.spots(places)
        return _without(self.under(Overlay.free_flow(self.day.network)).matrix(spots), spots)

    def hours(self, places: Sequence[Place], until: int) -> Hours | None:
        """Travel times by the hour from now as far as a depot time; None if all that is one period."""
        profile, ahead = self.day.profile, range(self.now, until, 900)
        used = {profile.period(at - self.midnight) for at in ahead} | {self.period}
        if len(used) < 2:
            return None
        spots = self.spots(places)
        each = {period: _without(self._cache(period).matrix(spots), spots) for period in sorted(used)}
        return Hours(profile.starts, self.midnight, tuple(each.get(period, each[self.period]) for period in range(profile.periods)))

    def _cache(self, period: int) -> MatrixCache:
        return MatrixCache(self.folder, self.depot_id, self.day.roads(period))

    def under(self, overlay: Overlay) -> Roads:
        """The roads at this hour under another overlay."""
        return Roads(self.day.network, self.metrics.of(self.day.network, overlay, self.day.profile, self.period))

    def spots(self, places: Sequence[Place]) -> list[Spot]:
        """Where places are on the streets."""
        return Snapper(self.day.network).nearest(places)


def of(settings: Settings, snapshot: Snapshot, now: int) -> DepotRoads:
    """The roads of a snapshot's depot at `now` (depot time)."""
    return at(settings, snapshot.depot, snapshot.road_events, now, version=snapshot.roads)


def at(settings: Settings, depot: Depot, road_events: Iterable[RoadEvent], now: int, *, version: int = 0) -> DepotRoads:
    """The roads of a depot at `now` (depot time), with what is closed or slowed."""
    network = maps.network(maps.find(depot.map, settings.maps))
    folder = settings.state / "roads" / _boot()
    events = [event for event in road_events if _fits(event, network)]
    metrics = Metrics(folder)
    profile = learned.profile(settings, depot, local(depot, now).weekday())
    second = second_of_day(depot, now)
    period = profile.period(second)
    day = Day(network, Overlay.at(network, events, now, version=version), profile, metrics.of)
    return DepotRoads(depot.id, now, now - second, day, period, metrics, folder)


def second_of_day(depot: Depot, moment: float) -> int:
    """Seconds since midnight on the clocks on a depot's walls, at a depot time."""
    told = local(depot, moment)
    return told.hour * 3600 + told.minute * 60 + told.second


def local(depot: Depot, moment: float) -> datetime:
    """The time on the clocks on a depot's walls, at a depot time."""
    return datetime.fromtimestamp(moment, ZoneInfo(depot.timezone))


def touched(roads: DepotRoads, snapshot: Snapshot, problem: Problem) -> set[str]:
    """Stops of the plan in force whose leg closures and slow-downs since have changed: their drivers must hear of it.

    Both sides are driven at this hour's speeds, whenever the plan was made: the hour is nobody's news. Triggers are not
    asked: a road event may begin before its own. Where it is not known what the plan was made on, all stops are touched.
    """
    network, before = roads.day.network, snapshot.planned_on
    if before == roads.day.overlay.state():
        return set()
    legs = [(stop, problem.places[a], problem.places[b]) for crew in problem.crews for stop, a, b in _ahead(problem, crew)]
    if before is None or before.map != network.fingerprint:
        return {stop for stop, _, _ in legs}
    starts, ends = roads.spots([start for _, start, _ in legs]), roads.spots([end for _, _, end in legs])
    found = impact.touched(roads.under(Overlay.of(network, before)), roads.roads, list(zip(starts, ends, strict=True)))
    return {stop for (stop, _, _), yes in zip(legs, found, strict=True) if yes}


def _ahead(problem: Problem, crew: Crew) -> list[tuple[str, int, int]]:
    """A crew's legs: stop, from place, to place. One that it stands at the end of is none; the way home is its last stop's."""
    stops = [problem.tasks[task] for task in (*crew.frozen, *crew.base)]
    places = [crew.place, *(stop.place for stop in stops)]
    legs = [(stop.stop_id, place, stop.place) for place, stop in zip(places, stops, strict=False)]
    if stops and crew.end_place is not None:
        legs.append((stops[-1].stop_id, stops[-1].place, problem.nearest_end(stops[-1].place, crew.end_place, problem.now)))
    return legs[1:] if crew.serving else legs


def _fits(event: RoadEvent, network: Network) -> bool:
    """Whether an event is of this edition of the map: after a new import the old closures cannot be told any more."""
    if event.map != network.fingerprint:
        log.error("road event %s was made on another edition of map %s and is left out; report it again", event.id, network.name)
    return event.map == network.fingerprint


def _without(found: Matrix, spots: Sequence[Spot]) -> Matrix:
    lost = [number for number, spot in enumerate(spots) if spot.distance_m > 4 * MAX_SNAP_M]
    for table in (found.seconds, found.metres):
        table[:, lost] = UNREACHABLE
    np.fill_diagonal(found.seconds, 0)
    np.fill_diagonal(found.metres, 0)
    return found


def forget_earlier_boots(settings: Settings) -> None:
    """Remove what earlier runs of the machine have kept, a day after nobody has written there any more."""
    for folder in (settings.state / "roads").glob("*"):
        if folder.name != _boot() and folder.stat().st_mtime < time.time() - DAY:
            shutil.rmtree(folder, ignore_errors=True)


@lru_cache(maxsize=1)
def _boot() -> str:
    """Names this run of the machine: what is kept for speed is not synced to disk, so none outlives a crash of it."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return "machine"
