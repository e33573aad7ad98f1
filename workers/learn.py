"""What the archive teaches: how fast streets are driven, and how long service takes. `python -m workers learn`.

Reads the events and pings that the archiver has written, and writes what follows from them to `<state>/learned`: the speeds of each
map, and what is particular to each depot. Plans and ETAs use it from their next computation on.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from ingest.settings import Settings
from routing import codec
from routing.errors import MapFileError
from routing.eta import matching, service, speeds
from routing.eta.forecast import Learned, learn_travel
from routing.eta.service import Visit
from routing.eta.speeds import Drives, Speeds
from routing.model import Depot, Location, Place
from routing.roads import maps
from routing.roads.day import Day
from routing.roads.metric import Metrics
from routing.roads.profile import DAY, Profile
from routing.roads.snapping import Snapper
from routing.roads.traffic import Overlay
from routing.roads.travel import Leg
from workers import learned, travel

log = logging.getLogger(__name__)

DAYS = 28
"""So far back is read."""

GAP_S = 180.0
"""Between pings farther apart than this anything may have happened."""

LONGEST_S = 2 * 3600
"""What lies longer than this between two stops is no drive."""

_STOP = pl.Struct({"kind": pl.String, "lat": pl.Float64, "lon": pl.Float64, "service_time": pl.Int64, "opens": pl.Int64})
_EVENT = pl.Struct({"stop_id": pl.String, "driver_id": pl.String, "at": pl.Int64, "stop": _STOP})
_PING = pl.List(pl.Struct({"location": pl.Struct({"lat": pl.Float64, "lon": pl.Float64}), "at": pl.Int64, "seq": pl.Int64,
                           "accuracy_m": pl.Float64}))  # fmt: skip


def visits(events: pl.DataFrame) -> pl.DataFrame:
    """Finished stops: depot, driver_id, stop_id, kind, lat, lon, service_time, opens, arrived, left; by driver and time.

    `events` is as archived: depot, type, data. Reports that came twice count once, whatever their order.
    """
    told = events.filter(pl.col("type").is_in(["stop.arrived", "stop.completed"])).with_columns(
        pl.col("data").str.json_decode(_EVENT)).unnest("data").filter(pl.col("stop").is_not_null()).unnest("stop")  # fmt: skip
    key = ["depot", "driver_id", "stop_id"]
    by_type = {kind: told.filter(pl.col("type") == f"stop.{kind}").group_by(key) for kind in ("arrived", "completed")}
    arrived = by_type["arrived"].agg(arrived=pl.col("at").min(), opens=pl.col("opens").min())
    left = by_type["completed"].agg(left=pl.col("at").min(),
                                    **{name: pl.col(name).first() for name in ("kind", "lat", "lon", "service_time")})  # fmt: skip
    return left.join(arrived, on=key).filter(pl.col("left") >= pl.col("arrived")).sort("depot", "driver_id", "left")


def positions(pings: pl.DataFrame) -> pl.DataFrame:
    """Pings one by one: depot, driver, at, lat, lon, accuracy_m; by driver and time. `pings` is as archived: batches."""
    rows = pings.with_columns(pl.col("pings").str.json_decode(_PING)).explode("pings").unnest("pings").unnest("location")
    return rows.select("depot", "driver", "at", "seq", "lat", "lon", "accuracy_m").unique(["depot", "driver", "seq"]).sort(
        "depot", "driver", "at", "seq")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Drive:
    """From one stop to the next: how long it took (s), when it began (hour of the week), and by which way."""

    seconds: float
    hour: int
    free: tuple[float, ...]
    pieces: Drives


def learn(depot: Depot, day: Day, done: pl.DataFrame, seen: pl.DataFrame) -> tuple[list[Visit], list[Drive]]:
    """What the visits and the drives of a depot were; `day` are its roads without closures."""
    mine = done.filter(pl.col("depot") == depot.id)
    found = [Visit(row["kind"], Location(row["lat"], row["lon"]), row["driver_id"], row["service_time"],
                   row["left"] - max(row["arrived"], row["opens"] or 0)) for row in mine.iter_rows(named=True)]  # fmt: skip
    drives = list(_drives(depot, day, mine, seen.filter(pl.col("depot") == depot.id)))
    return found, drives


def _drives(depot: Depot, day: Day, done: pl.DataFrame, seen: pl.DataFrame) -> Iterator[Drive]:
    """Each way from a stop to the next, with what its pings tell of streets on it."""
    snapper = Snapper(day.network)
    for (driver,), stops in done.group_by(["driver_id"], maintain_order=True):
        places = [Place(Location(lat, lon)) for lat, lon in stops.select("lat", "lon").iter_rows()]
        left, arrived = stops["left"].to_list(), stops["arrived"].to_list()
        mine = seen.filter(pl.col("driver") == driver)
        at = mine["at"].to_numpy()
        rows = mine.select("lat", "lon", "at", "accuracy_m").rows()
        pairs = [(number, number + 1) for number in range(len(places) - 1) if 0 < arrived[number + 1] - left[number] < LONGEST_S]
        spots = snapper.nearest(places)
        legs: dict[tuple[int, int], Leg | None] = {}
        for period in range(day.profile.periods):
            some = [pair for pair in pairs if day.profile.period(travel.second_of_day(depot, left[pair[0]])) == period]
            legs |= dict(zip(some, day.roads(period).legs([(spots[a], spots[b]) for a, b in some]), strict=True)) if some else {}
        for a, b in pairs:
            leg = legs[a, b]
            if leg is None:
                continue
            way = matching.way(day.network, day.at(travel.second_of_day(depot, left[a])).metric, leg)
            first, last = np.searchsorted(at, left[a]), np.searchsorted(at, arrived[b], side="right")
            pings = [matching.Ping(*row) for row in rows[first:last]]
            yield Drive(arrived[b] - left[a], _hour(depot, left[a]), tuple(way.free[-1].tolist()), _pieces(depot, day, way, pings))


def _pieces(depot: Depot, day: Day, way: matching.Way, pings: Sequence[matching.Ping]) -> Drives:
    """What lies between pings on the way."""
    along = matching.match(day.network, way, pings)
    at = np.array([ping.at for ping in pings], float)
    good = np.flatnonzero(~np.isnan(along))
    together = (np.diff(good) == 1) & (np.diff(at[good]) <= GAP_S) & (np.diff(along[good]) >= 0) & (np.diff(at[good]) > 0)
    first, last = good[:-1][together], good[1:][together]
    free = way.free_at(along[last]) - way.free_at(along[first]) if len(first) else np.empty((0, way.free.shape[1]))
    hour = np.array([_hour(depot, moment) for moment in at[first]], np.int64)
    return Drives(at[last] - at[first], free, hour)


def joined(parts: Sequence[Drives], classes: int) -> Drives:
    """All pieces in one."""
    if not parts:
        return Drives(np.empty(0), np.empty((0, classes)), np.empty(0, np.int64))
    return Drives(np.concatenate([part.seconds for part in parts]), np.concatenate([part.free for part in parts]),
                  np.concatenate([part.hour for part in parts]))  # fmt: skip


def learned_speeds(drives: Sequence[Drive], prior: Profile) -> Speeds:
    """The speeds of a map."""
    return speeds.learn(joined([drive.pieces for drive in drives], prior.table.shape[1]), prior)


def learned_of(found: Sequence[Visit], drives: Sequence[Drive], known: Speeds) -> Learned:
    """What is particular to a depot, given the speeds of its map."""
    table = np.array(known.table)
    predicted = [float(np.dot(drive.free, table[drive.hour])) for drive in drives]
    return Learned(service.learn(found), learn_travel([drive.seconds for drive in drives], predicted))


def _hour(depot: Depot, at: float) -> int:
    """The hour of the week on a depot's clocks."""
    told = travel.local(depot, at)
    return told.weekday() * 24 + told.hour


def run(settings: Settings, depots: Sequence[Depot], *, now: float, days: int = DAYS) -> Iterator[str]:
    """Learn from what the archive has of the last days; tells what of."""
    events = archived(settings.archive / "events", now - days * DAY, ("depot", "type", "data"))
    pings = archived(settings.archive / "pings", now - days * DAY, ("depot", "driver", "pings"))
    done, seen = visits(events), positions(pings)
    for name in sorted({depot.map for depot in depots}):
        try:
            network = maps.network(maps.find(name, settings.maps))
        except MapFileError as error:
            yield f"map {name}: {error}"
            continue
        prior = maps.speeds(learned.UNTIL_THEN, settings.maps)
        day = Day(network, Overlay.free_flow(network), prior, Metrics(settings.state / "roads" / "learning").of)
        here = [depot for depot in depots if depot.map == name]
        found = {depot.id: learn(depot, day, done, seen) for depot in here}
        drives = [drive for _, some in found.values() for drive in some]
        known = learned_speeds(drives, prior)
        if drives:
            save(learned.folder(settings) / "maps", name, known)
        yield f"map {name}: {len(drives)} drives, {sum(len(drive.pieces.seconds) for drive in drives)} pieces between pings"
        for depot_id, (was, some) in found.items():
            if was:
                save(learned.folder(settings) / "depots", depot_id, learned_of(was, some, known))
            yield f"depot {depot_id}: {len(was)} visits, {len(some)} drives"


def archived(folder: Path, since: float, columns: Sequence[str]) -> pl.DataFrame:
    """What the archiver has written since a real time: its files are named after their first and last entry, in milliseconds."""
    last = {path: int(path.stem.rpartition("_")[2].partition("-")[0]) for path in sorted(folder.glob("*.parquet"))}
    paths = [path for path, written in last.items() if written >= since * 1000]
    if not paths:
        return pl.DataFrame(schema=dict.fromkeys(columns, pl.String))
    return pl.scan_parquet(paths).select(columns).collect()


def calibration(events: pl.DataFrame) -> pl.DataFrame:
    """How well ETAs have held, by depot and minutes ahead: arrivals, the share by P50 and by P80, mean error (s).

    `events` is as archived: depot, type, data.
    """
    judged = events.filter(pl.col("type") == "eta.judged").with_columns(
        pl.col("data").str.json_decode(pl.Struct({"at": pl.Int64, "told": pl.String}))).unnest("data")  # fmt: skip
    rows = [(depot, int(minutes), at <= float(p50), at <= float(p80), abs(at - float(p50)))
            for depot, at, told in judged.select("depot", "at", "told").iter_rows()
            for minutes, p50, p80 in zip(*(told.split()[part::3] for part in range(3)), strict=True)]  # fmt: skip
    schema = {"depot": pl.String, "minutes": pl.Int64, "p50": pl.Boolean, "p80": pl.Boolean, "error": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row").group_by("depot", "minutes").agg(
        arrivals=pl.len(), by_p50=pl.col("p50").mean(), by_p80=pl.col("p80").mean(), mean_error_s=pl.col("error").mean(),
    ).sort("depot", "minutes")  # fmt: skip


def save(folder: Path, name: str, value: Speeds | Learned) -> None:
    """Write what was learned; a reader never sees half of it."""
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f"{name}.part"
    part.write_bytes(codec.dumps(value))
    part.replace(folder / f"{name}.json")
