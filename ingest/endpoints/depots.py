"""Depots, with their map, clock and policy."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

from flask import Blueprint

from ingest import context
from ingest.auth import Role
from ingest.context import ALL_ROLES, allow, caller, my_depot, services, store
from ingest.openapi import describe
from ingest.parsing import body, parse
from ingest.problems import ApiProblem, Fault, invalid, not_found
from ingest.schemas import DepotIn, DepotPatch, iso, seconds
from ingest.store import readers, writers
from ingest.views import AsidesView, DepotsView, DepotView, RevisionView, TrialView
from routing.codec import builtins
from routing.errors import BadRoads, MapFileError, OffMap
from routing.model import LEARNED, Access, Clock, Depot, Policy
from routing.roads import maps
from routing.roads.snapping import Snapper

blueprint = Blueprint("depots", __name__)


@blueprint.post("/v1/depots")
@allow(Role.OPERATOR)
@describe({201: DepotView}, body=DepotIn, problems=(409,))
def make() -> tuple[dict[str, Any], int]:
    """Make a depot on one of the installed maps."""
    wanted, right, faults = parse(DepotIn, body())
    faults += _map_faults(right) + _speeds_faults(right.get("speeds"))
    if wanted is None or faults:
        raise invalid(faults)
    now = context.now()
    start = seconds(wanted.clock.start) if wanted.clock.start else now
    identity = wanted.clock.scale == 1.0 and wanted.clock.start is None
    depot = Depot(
        id=wanted.id, tenant=caller().tenant, name=wanted.name or wanted.id, map=wanted.map,
        location=wanted.location.location(), dimensions=tuple(wanted.dimensions),
        clock=Clock() if identity else Clock(wanted.clock.scale, now, float(start)), policy=wanted.policy.policy(Policy()),
        speeds=wanted.speeds, timezone=wanted.timezone, access=tuple(one.area() for one in wanted.access),
    )  # fmt: skip
    if not writers.put_depot(store(), depot, now):
        raise ApiProblem(409, "duplicate", f"There is a depot {depot.id!r} already.", "Choose another id.")
    return view(depot), 201


def _map_faults(right: dict[str, Any]) -> list[Fault]:
    if "map" not in right:
        return []
    try:
        snapper = Snapper(maps.network(maps.find(right["map"], services().settings.maps)))
        if "location" in right:
            snapper.snap(right["location"].location())
    except MapFileError as error:
        return [Fault(error.code, "/map", error.detail, error.remedy)]
    except OffMap as error:
        return [Fault(error.code, "/location", error.detail, error.remedy)]
    return []


def _speeds_faults(name: str | None) -> list[Fault]:
    try:
        if name is not None and name != LEARNED:
            maps.speeds(name, services().settings.maps)
    except BadRoads as error:
        return [Fault("unknown_id", "/speeds", error.detail, error.remedy)]
    return []


@blueprint.get("/v1/depots")
@allow(*ALL_ROLES)
@describe({200: DepotsView})
def listing() -> dict[str, Any]:
    """The depots this key reaches."""
    who = caller()
    depots = (readers.depot(store(), depot_id) for depot_id in readers.depots(store()))
    mine = [depot for depot in depots if depot and depot.tenant == who.tenant and (not who.depots or depot.id in who.depots)]
    return {"depots": [view(depot) for depot in mine]}


@blueprint.get("/v1/depots/<depot_id>")
@allow(*ALL_ROLES)
@describe({200: DepotView})
def one(depot_id: str) -> dict[str, Any]:
    """One depot, with its time."""
    return view(my_depot(depot_id))


@blueprint.patch("/v1/depots/<depot_id>")
@allow(Role.OPERATOR)
@describe({200: DepotView}, body=DepotPatch)
def patch(depot_id: str) -> dict[str, Any]:
    """Change what may change while it runs: name, policy, speeds, time zone, and where not every vehicle fits."""
    depot = my_depot(depot_id)
    wanted, right, faults = parse(DepotPatch, body())
    faults += _speeds_faults(right.get("speeds"))
    if wanted is None or faults:
        raise invalid(faults)

    def change(before: Depot) -> Depot:
        return replace(before, name=wanted.name or before.name, policy=wanted.policy.policy(before.policy),
                       speeds=wanted.speeds or before.speeds, timezone=wanted.timezone or before.timezone,
                       access=before.access if wanted.access is None else tuple(one.area() for one in wanted.access))  # fmt: skip

    changed = writers.change_depot(store(), depot.id, change, context.now())
    services().recent.pop(depot.id, None)
    return view(changed)


@blueprint.post("/v1/depots/<depot_id>/resolve")
@allow(Role.OPERATOR)
@describe({202: RevisionView})
def resolve(depot_id: str) -> tuple[dict[str, Any], int]:
    """Ask for a re-solve now; the plan that answers it has at least this revision."""
    depot = my_depot(depot_id)
    return {"revision": writers.request(store(), depot.id, caller().id, context.now())}, 202


@blueprint.get("/v1/depots/<depot_id>/aside")
@allow(Role.OPERATOR)
@describe({200: AsidesView})
def aside(depot_id: str) -> dict[str, Any]:
    """Orders and road events that plans are made without, because re-solving seems to fail on them."""
    depot = my_depot(depot_id)
    return {"aside": [{"id": record} | builtins(entry) for record, entry in readers.aside(store(), depot.id).items()]}


@blueprint.post("/v1/depots/<depot_id>/aside/<record_id>/try")
@allow(Role.OPERATOR)
@describe({202: TrialView})
def try_again(depot_id: str, record_id: str) -> tuple[dict[str, Any], int]:
    """Let one of them into the next plan, on trial."""
    depot = my_depot(depot_id)
    if not writers.aside(store(), depot.id, [record_id], "on_trial", now=context.now()):
        raise not_found("record aside", record_id)
    return {"id": record_id, "state": "on_trial"}, 202


def view(depot: Depot) -> dict[str, Any]:
    """A depot as the API shows it."""
    return {
        "id": depot.id, "name": depot.name, "map": depot.map, "location": asdict(depot.location),
        "dimensions": list(depot.dimensions), "clock": {"scale": depot.clock.scale, "now": iso(depot.clock.depot(context.now()))},
        "policy": asdict(depot.policy), "speeds": depot.speeds, "timezone": depot.timezone,
        "access": [_area(area) for area in depot.access],
    }  # fmt: skip


def _area(area: Access) -> dict[str, Any]:
    ring = [asdict(place) for place in area.ring]
    shape = {"polygon": ring} if area.radius is None else {"disc": {"centre": ring[0], "radius_m": area.radius}}
    return {"name": area.name, "skills": list(area.skills)} | shape
