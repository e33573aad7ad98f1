"""Files out: plans and stops as tables, routes and tracks as GeoJSON and GPX, pings and key figures."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from typing import Any

import gpxpy.gpx
import polars as pl

from ingest.schemas import iso
from ingest.settings import Settings
from ingest.store import readers
from ingest.store.connection import Store
from routing.errors import LastlegError
from routing.model import Depot, Location, order_of
from workers import learn, report
from workers.lines import lines

DAY_S = 86_400

WHAT = {
    "routes": ("geojson", "gpx"),
    "stops": ("csv", "parquet", "ndjson", "geojson"),
    "pings": ("csv", "parquet", "ndjson", "geojson", "gpx"),
    "kpis": ("csv", "parquet", "ndjson"),
}
"""What can be had in which formats, the first by default."""

TYPES = {
    "csv": "text/csv",
    "parquet": "application/vnd.apache.parquet",
    "ndjson": "application/x-ndjson",
    "geojson": "application/geo+json",
    "gpx": "application/gpx+xml",
}

FORMULA = r"^[=+\-@\t\r]"
"""What a spreadsheet would reckon with, whoever has written it: in CSV it gets a quote in front."""

MOST = 1_000_000
"""So many pings at most are in one file."""


class CannotExport(LastlegError):
    """Nothing that could be written so."""

    code = "cannot_export"


def export(
    client: Store, settings: Settings, depot: Depot, what: str, form: str, *, days: int, driver: str | None, now: float
) -> bytes:
    """A file of what there is: `routes` and `stops` of the plan in force, `pings` and `kpis` of so many days back (real s: `now`).

    Raises
    ------
    CannotExport
        If that cannot be had in this format, or is too much for one file.
    """
    if form not in WHAT[what]:
        raise CannotExport(f"There are no {what} as {form}.", remedy=f"Ask for {', '.join(WHAT[what])}.")
    if what == "routes":
        found = list(_routes(client, settings, depot, driver, now))
        return _geojson(found) if form == "geojson" else _gpx(depot, found)
    if what == "stops":
        frame = stops(client, depot, driver)
        return _points(frame) if form == "geojson" else _table(frame, form)
    if what == "kpis":
        return _table(report.of(settings, {depot.id: depot}, days=days), form)
    frame = _pings(settings, depot, days, driver, now)
    if form in ("geojson", "gpx"):
        tracks = [_track(str(name), mine) for (name,), mine in frame.group_by(["driver_id"], maintain_order=True)]
        return _geojson(tracks) if form == "geojson" else _gpx(depot, tracks)
    return _table(frame, form)


def stops(client: Store, depot: Depot, driver: str | None = None) -> pl.DataFrame:
    """The stops of the plan in force, in the order of their routes, with their states and expected arrivals."""
    plan = readers.plan(client, depot.id)
    routes = [route for route in (plan.routes if plan else ()) if driver in (None, route.driver_id)]
    ids = [stop.stop_id for route in routes for stop in route.stops]
    progress, etas = readers.progress_of(client, depot.id, ids), readers.etas(client, depot.id, ids)
    orders = readers.orders_of(client, depot, ids)
    rows = []
    for route in routes:
        for number, stop in enumerate(route.stops, 1):
            order, known, eta = orders.get(order_of(stop.stop_id)), progress.get(stop.stop_id), etas.get(stop.stop_id)
            place = order.place_of(stop.stop_id).location if order else None
            rows.append(
                {
                    "plan_version": plan.version if plan else 0,
                    "driver_id": route.driver_id,
                    "vehicle_id": route.vehicle_id,
                    "shift_id": route.shift_id,
                    "position": number,
                    "stop_id": stop.stop_id,
                    "order_id": order_of(stop.stop_id),
                    "external_id": order.external_id if order else None,
                    "lat": place.lat if place else None,
                    "lon": place.lon if place else None,
                    "state": known.state.value if known else "open",
                    "planned_arrive": iso(stop.arrive),
                    "planned_begin": iso(stop.begin),
                    "planned_leave": iso(stop.leave),
                    "late_by": stop.late_by,
                    "eta_p50": iso(eta[0]) if eta else None,
                    "eta_p80": iso(eta[1]) if eta else None,
                    "arrived_at": iso(known.arrived) if known and known.arrived else None,
                    "left_at": iso(known.left) if known and known.left else None,
                }
            )
    return pl.DataFrame(rows, schema=STOPS)


STOPS = {
    "plan_version": pl.Int64,
    "driver_id": pl.String,
    "vehicle_id": pl.String,
    "shift_id": pl.String,
    "position": pl.Int64,
    "stop_id": pl.String,
    "order_id": pl.String,
    "external_id": pl.String,
    "lat": pl.Float64,
    "lon": pl.Float64,
    "state": pl.String,
    "planned_arrive": pl.String,
    "planned_begin": pl.String,
    "planned_leave": pl.String,
    "late_by": pl.Int64,
    "eta_p50": pl.String,
    "eta_p80": pl.String,
    "arrived_at": pl.String,
    "left_at": pl.String,
}


class Track:
    """A line with what it is, moments of its points if they are known, and named places along it."""

    def __init__(
        self,
        name: str,
        told: dict[str, Any],
        points: Sequence[tuple[float, float]],
        moments: Sequence[int] = (),
        places: Sequence[tuple[str, Location, int]] = (),
    ) -> None:
        self.name, self.told, self.points, self.moments, self.places = name, told, list(points), list(moments), list(places)


def _routes(client: Store, settings: Settings, depot: Depot, driver: str | None, now: float) -> Iterator[Track]:
    """Routes along the streets as they are now: from where each shift starts, by its stops, to where it ends."""
    plan = readers.plan(client, depot.id)
    for found in lines(client, settings, depot, plan, now=now, driver=driver) if plan else ():
        told = {
            "driver_id": found.route.driver_id,
            "shift_id": found.route.shift_id,
            "vehicle_id": found.route.vehicle_id,
            "plan_version": plan.version if plan else 0,
            "metres": found.metres,
            "stops": [stop.stop_id for stop in found.stops],
        }
        points = [(float(lat), float(lon)) for leg in found.legs for lat, lon in leg]
        named = [(stop.stop_id, place.location, stop.arrive) for stop, place in zip(found.stops, found.places[1:], strict=False)]
        yield Track(found.route.driver_id, told, points, places=named)


def _pings(settings: Settings, depot: Depot, days: int, driver: str | None, now: float) -> pl.DataFrame:
    """Pings of so many days, as far as they have been archived: half a minute after they came."""
    raw = learn.archived(settings.archive / "pings", now - days * DAY_S, ("depot", "driver", "pings"))
    raw = raw.filter(pl.col("depot") == depot.id, pl.lit(True) if driver is None else pl.col("driver") == driver)
    seen = learn.positions(raw).filter(pl.col("at") >= depot.clock.depot(now - days * DAY_S))
    if len(seen) > MOST:
        raise CannotExport(
            f"That are {len(seen):,} pings; a file has {MOST:,} at most.", remedy="Ask for fewer days, or one driver."
        )
    moment = pl.from_epoch("at", time_unit="s").dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    return seen.select(driver_id="driver", recorded_at=moment, lat="lat", lon="lon", accuracy_m="accuracy_m", seq="seq", at="at")


def _track(name: str, mine: pl.DataFrame) -> Track:
    return Track(name, {"driver_id": name, "pings": len(mine)}, mine.select("lat", "lon").rows(), mine["at"].to_list())


def _table(frame: pl.DataFrame, form: str) -> bytes:
    """A table as a file; days are text but in Parquet."""
    frame = frame.drop("at", strict=False)
    out = io.BytesIO()
    if form == "parquet":
        frame.write_parquet(out)
    elif form == "csv":
        texts = [pl.col(name) for name, kind in frame.schema.items() if kind == pl.String]
        frame.with_columns(_plain(text) for text in texts).write_csv(out)
    else:
        frame.with_columns(pl.selectors.date().dt.to_string("iso")).write_ndjson(out)
    return out.getvalue()


def _plain(text: pl.Expr) -> pl.Expr:
    quoted = pl.concat_str(pl.lit("'"), text)
    return pl.when(text.str.contains(FORMULA)).then(quoted).otherwise(text).alias(text.meta.output_name())


def _points(frame: pl.DataFrame) -> bytes:
    """A table with `lat` and `lon` as points (RFC 7946: longitude first)."""
    return _collection(
        [
            {
                "type": "Feature",
                "geometry": None if row["lat"] is None else {"type": "Point", "coordinates": [row["lon"], row["lat"]]},
                "properties": {name: value for name, value in row.items() if name not in ("lat", "lon")},
            }
            for row in frame.iter_rows(named=True)
        ]
    )


def _geojson(tracks: Sequence[Track]) -> bytes:
    """Lines, and the named places along them, as GeoJSON (RFC 7946)."""
    features: list[dict[str, Any]] = []
    for track in tracks:
        where = [[round(lon, 6), round(lat, 6)] for lat, lon in track.points]
        moments = {"coordTimes": [iso(at) for at in track.moments]} if track.moments else {}
        shape = {"type": "LineString", "coordinates": where} if len(where) > 1 else {"type": "Point", "coordinates": where[0]}
        features.append({"type": "Feature", "geometry": shape, "properties": track.told | moments})
        features += [
            {
                "type": "Feature",
                "geometry": {"type": "Point", "coordinates": [place.lon, place.lat]},
                "properties": {"stop_id": name, "driver_id": track.name, "position": number, "planned_arrive": iso(at)},
            }
            for number, (name, place, at) in enumerate(track.places, 1)
        ]
    return _collection(features)


def _collection(features: Sequence[dict[str, Any]]) -> bytes:
    return json.dumps({"type": "FeatureCollection", "features": list(features)}).encode()


def _gpx(depot: Depot, tracks: Sequence[Track]) -> bytes:
    """Tracks, and the stops as way points, as GPX 1.1."""
    out = gpxpy.gpx.GPX()
    out.creator, out.name = "Lastleg", "".join(letter for letter in depot.name if letter.isprintable())
    for track in tracks:
        segment = gpxpy.gpx.GPXTrackSegment()
        moments: Sequence[int | None] = track.moments or [None] * len(track.points)
        segment.points = [
            gpxpy.gpx.GPXTrackPoint(lat, lon, time=datetime.fromtimestamp(at, UTC) if at is not None else None)
            for (lat, lon), at in zip(track.points, moments, strict=True)
        ]
        out.tracks.append(gpxpy.gpx.GPXTrack(name=track.name))
        out.tracks[-1].segments.append(segment)
        out.waypoints += [
            gpxpy.gpx.GPXWaypoint(place.lat, place.lon, name=name, time=datetime.fromtimestamp(at, UTC))
            for name, place, at in track.places
        ]
    return str(out.to_xml(version="1.1")).encode()


def name_of(depot: Depot, what: str, form: str, day: date) -> str:
    """What a file is called."""
    return f"{depot.id}-{what}-{day.isoformat()}.{form}"
