"""Plans: the one in force, every older version with what it changed and why, and the problem behind it."""

from __future__ import annotations

import time
from typing import Any

from flask import Blueprint, Response

from ingest.auth import Role
from ingest.context import allow, my_depot, services, store
from ingest.openapi import describe
from ingest.parsing import query
from ingest.problems import ApiProblem, not_found
from ingest.schemas import LinesQuery, VersionsQuery, eta_view, iso
from ingest.store import readers
from ingest.store.readers import VersionRecord
from routing import codec
from routing.eta.forecast import with_overruns
from routing.model import Depot, Plan, order_of
from routing.roads.travel import steps
from routing.solve.problem import build
from workers import learned, travel
from workers.documents import rests_view, stop_view, trigger_view
from workers.lines import Line, lines
from workers.views import LinesView, PlanView, ProblemFile, VersionsView

blueprint = Blueprint("plans", __name__)

PAGE = 100


@blueprint.get("/v1/depots/<depot_id>/plan")
@allow(Role.OPERATOR)
@describe({200: PlanView})
def current(depot_id: str) -> dict[str, Any]:
    """The plan in force, each stop with its live state."""
    depot = my_depot(depot_id)
    plan = readers.plan(store(), depot.id)
    if plan is None:
        raise ApiProblem(404, "no_plan", "This depot has no plan yet.", "Add a shift and an order.")
    record = readers.version_record(store(), depot.id, plan.version)
    return shown(depot, plan, record, current_version=True)


@blueprint.get("/v1/depots/<depot_id>/plans")
@allow(Role.OPERATOR)
@describe({200: VersionsView}, query=VersionsQuery)
def listing(depot_id: str) -> dict[str, Any]:
    """Versions after one, oldest first, a hundred at most: what each changed for whom, why, and how long it took."""
    depot = my_depot(depot_id)
    newest = readers.plan_version(store(), depot.id)
    after = max(query(VersionsQuery).after, newest - depot.policy.keep_versions - 2 * readers.SNAPSHOT_EVERY)  # older ones are gone
    numbers = range(after + 1, min(newest, after + PAGE) + 1)
    found = readers.version_records(store(), depot.id, numbers)
    return {"version": newest, "plans": [_summary(record) for record in found]}


@blueprint.get("/v1/depots/<depot_id>/plans/<int:version>")
@allow(Role.OPERATOR)
@describe({200: PlanView})
def one(depot_id: str, version: int) -> dict[str, Any]:
    """Any version, whole, with its diff and triggers."""
    depot = my_depot(depot_id)
    found = readers.plan_at(store(), depot.id, version)
    if found is None:
        raise not_found("plan version", str(version))
    return shown(depot, *found)


@blueprint.get("/v1/depots/<depot_id>/plans/<int:version>/lines")
@allow(Role.OPERATOR)
@describe({200: LinesView}, query=LinesQuery)
def drawn(depot_id: str, version: int) -> dict[str, Any]:
    """The ways that a version's routes take along the streets as they are now, leg by leg."""
    depot = my_depot(depot_id)
    plan = readers.plan(store(), depot.id)
    if plan is None or plan.version != version:
        found = readers.plan_at(store(), depot.id, version)
        plan = found[0] if found else None
    if plan is None:
        raise not_found("plan version", str(version))
    driver = query(LinesQuery).driver_id
    found_lines = lines(store(), services().settings, depot, plan, now=time.time(), driver=driver)
    return {"version": version, "lines": [way(one) for one in found_lines]}


@blueprint.get("/v1/depots/<depot_id>/problem")
@allow(Role.OPERATOR)
@describe({200: ProblemFile})
def problem(depot_id: str) -> Response:
    """The state as a problem, for `python -m routing solve|check`: what a bug report needs. No names or phones."""
    depot = my_depot(depot_id)
    snapshot = readers.snapshot(store(), depot.id)
    assert snapshot is not None  # my_depot found it
    now = depot.clock.depot(time.time())
    roads = travel.of(services().settings, snapshot, now)
    expected = learned.applied(services().settings, snapshot)
    problem_ = build(expected, roads.matrix, roads.free_flow, now=now, freeze=0, hours_of=roads.hours)
    found = with_overruns(problem_, learned.of(services().settings, depot.id), stated=learned.stated(snapshot))
    return Response(codec.dumps(found), content_type="application/json")


def way(found: Line) -> dict[str, Any]:
    """A route's line as the API shows it."""
    ends = [*(stop.stop_id for stop in found.stops), None]
    legs = [{"stop_id": stop, "points": steps(leg)} for stop, leg in zip(ends, found.legs, strict=False)]
    route = found.route
    return {"driver_id": route.driver_id, "shift_id": route.shift_id, "metres": found.metres, "legs": legs}


def _summary(record: VersionRecord) -> dict[str, Any]:
    oldest = min((trigger.at for trigger in record.triggers), default=None)
    return {
        "version": record.version, "revision": record.revision, "roads": record.roads, "engine": record.engine,
        "created_at": iso(record.created_at), "published_at": record.published_at, "cost": record.cost,
        "latency_s": round(record.published_at - oldest, 3) if oldest is not None else None,
        "triggers": [trigger_view(trigger) for trigger in record.triggers], "diff": record.diff, "timings": record.timings,
        "costs": record.costs, "disruption": {"moved": record.moved, "resequenced": record.resequenced,
                                              "shifted": record.shifted, "cost": record.costs.get("changes", 0)},
    }  # fmt: skip


def shown(depot: Depot, plan: Plan, record: VersionRecord | None, *, current_version: bool = False) -> dict[str, Any]:
    """A plan as the API shows it, each stop with its live state."""
    stops = [stop.stop_id for route in plan.routes for stop in route.stops]
    progress = readers.progress_of(store(), depot.id, stops)
    orders, etas = readers.orders_of(store(), depot, stops), readers.etas(store(), depot.id, stops) if current_version else {}
    acks = readers.acknowledged(store(), depot.id, sorted({route.driver_id for route in plan.routes}))
    routes = [
        {
            "shift_id": route.shift_id, "driver_id": route.driver_id, "vehicle_id": route.vehicle_id,
            "acknowledged": acks[route.driver_id], "rests": rests_view(route),
            "stops": [stop_view(stop, orders.get(order_of(stop.stop_id)))
                      | {"state": progress[stop.stop_id].state if stop.stop_id in progress else "open"}
                      | ({"eta": eta_view(etas[stop.stop_id])} if stop.stop_id in etas else {})
                      for stop in route.stops],
        } | ({"end": codec.builtins(route.end)} if route.end else {})
        for route in plan.routes
    ]  # fmt: skip
    told = {name: [codec.builtins(item) for item in getattr(plan, name)] for name in ("unassigned", "flags")}
    return (_summary(record) if record else {}) | {"depot_id": depot.id, "routes": routes} | told
