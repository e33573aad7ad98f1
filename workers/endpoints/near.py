"""Who is near, free and able: drivers on duty by how long they would drive to a place."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

from flask import Blueprint

from ingest import context
from ingest.auth import Role
from ingest.context import allow, my_depot, services, snapper_of, store
from ingest.faults import place_faults
from ingest.openapi import describe
from ingest.parsing import query
from ingest.problems import invalid
from ingest.schemas import NearQuery, iso
from ingest.schemas import Place as PlaceIn
from ingest.store import readers
from routing.model import Place
from routing.roads.travel import UNREACHABLE
from workers import travel
from workers.views import NearsView

blueprint = Blueprint("near", __name__)

NEAREST = 200
"""So many are looked at, that are nearest as the crow flies."""

WITHIN_M = 50_000


@blueprint.get("/v1/depots/<depot_id>/near")
@allow(Role.OPERATOR)
@describe({200: NearsView}, query=NearQuery)
def near(depot_id: str) -> dict[str, Any]:
    """Drivers on duty and heard of, the first to be at a place by today's roads first."""
    depot = my_depot(depot_id)
    asked = query(NearQuery)
    where = PlaceIn(lat=asked.lat, lon=asked.lon)
    if faults := place_faults(snapper_of(depot), where, ""):
        raise invalid([replace(fault, parameter="lat") for fault in faults])
    place, skills = where.location(), {skill for skill in asked.skills.split(",") if skill}
    now = depot.clock.depot(context.now())
    found = readers.near(store(), depot.id, place, within=WITHIN_M, most=NEAREST)
    heard = now - depot.policy.silent_after
    able = [driver for driver in readers.on_duty(store(), depot.id, list(found), now)
            if skills <= driver.skills and not (asked.free and driver.stop) and driver.seen_at >= heard]  # fmt: skip
    roads = travel.at(services().settings, depot, readers.records(store(), "road_events", depot.id), now)
    *starts, end = roads.spots([*(Place(found[driver.driver_id].location) for driver in able), Place(place)])
    table = roads.roads.table(starts, [end]) if starts else None
    rows = []
    for number, driver in enumerate(able):
        seconds = int(table.seconds[number, 0]) if table is not None else UNREACHABLE
        if seconds < UNREACHABLE and table is not None:
            here = found[driver.driver_id]
            rows.append({
                "driver_id": driver.driver_id, "shift_id": driver.shift_id, "seconds": seconds,
                "metres": int(table.metres[number, 0]), "crow_m": round(here.metres), "state": driver.state or "free",
                "stop_id": driver.stop, "skills": sorted(driver.skills), "location": asdict(here.location),
                "seen_at": iso(driver.seen_at),
            })  # fmt: skip
    rows.sort(key=lambda row: (row["seconds"], row["driver_id"]))
    return {"drivers": rows[: asked.limit]}
