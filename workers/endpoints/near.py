"""Who is near, free and able: drivers on duty by how long they would drive to a place."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from flask import Blueprint, request

from ingest import context
from ingest.auth import Role
from ingest.context import allow, my_depot, services, store
from ingest.endpoints.fleet import place_faults
from ingest.problems import Fault, invalid
from ingest.schemas import Place as PlaceIn
from ingest.schemas import iso, parse
from ingest.store import readers
from routing.model import Depot, Location, Place
from routing.roads.travel import UNREACHABLE
from workers import travel

blueprint = Blueprint("near", __name__)

MOST, NEAREST = 50, 200
"""So many are told at most, of so many that are nearest as the crow flies."""

WITHIN_M = 50_000


@blueprint.get("/v1/depots/<depot_id>/near")
@allow(Role.OPERATOR)
def near(depot_id: str) -> dict[str, Any]:
    """Drivers on duty and heard of, the first to be at `?lat=&lon=` by today's roads first.

    `skills` (comma separated) leaves out who lacks one, `free=true` who drives to a stop or serves one; `limit` is how many.
    """
    depot = my_depot(depot_id)
    place, skills, free, limit = _asked(depot)
    now = depot.clock.depot(context.now())
    found = readers.near(store(), depot.id, place, within=WITHIN_M, most=NEAREST)
    heard = now - depot.policy.silent_after
    able = [driver for driver in readers.on_duty(store(), depot.id, list(found), now)
            if skills <= driver.skills and not (free and driver.stop) and driver.seen_at >= heard]  # fmt: skip
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
    return {"drivers": rows[:limit]}


def _asked(depot: Depot) -> tuple[Location, set[str], bool, int]:
    arguments = request.args
    try:
        data: dict[str, Any] = {name: float(arguments[name]) for name in ("lat", "lon")}
        limit = int(arguments.get("limit", 10))
    except (KeyError, ValueError):
        raise invalid([Fault("missing", "", "The query needs lat and lon in degrees; limit is a number.",
                             f"GET /v1/depots/{depot.id}/near?lat=60.17&lon=24.94")]) from None  # fmt: skip
    place, _, faults = parse(PlaceIn, data)
    if place is None or not 1 <= limit <= MOST:
        raise invalid(faults or [Fault("out_of_range", "", f"limit is {limit}.", f"Ask for 1 to {MOST}.")])
    faults += place_faults(depot, place, "/lat")
    if faults:
        raise invalid(faults)
    skills = {skill for skill in arguments.get("skills", "").split(",") if skill}
    return place.location(), skills, arguments.get("free", "false") == "true", limit
