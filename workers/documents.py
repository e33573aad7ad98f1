"""What is published for people to read: a driver's route, and a plan version's record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from ingest.schemas import iso, window_view
from ingest.store.readers import VersionRecord
from routing.model import (
    PICKUP,
    RELOAD,
    Diff,
    Order,
    OrderKind,
    Plan,
    PlannedStop,
    Route,
    RouteChange,
    Snapshot,
    Trigger,
    kind_of,
    order_of,
)


def route_document(snapshot: Snapshot, plan: Plan, change: RouteChange, orders: dict[str, Order]) -> dict[str, Any]:
    """A driver's whole route with what changed and why. No names or phones: those are joined when it is read."""
    mine = [route for route in plan.routes if route.driver_id == change.driver_id]
    loaded = {stop: there for route in mine for stop, there in loads(route, snapshot.goods).items()}
    return {
        "driver_id": change.driver_id, "depot_id": plan.depot_id, "route_version": plan.version,
        "planned_at": iso(plan.created_at),
        "shifts": [{"shift_id": route.shift_id, "vehicle_id": route.vehicle_id,
                    "stops": [stop_view(stop, orders.get(order_of(stop.stop_id)))
                              | ({"loads": loaded[stop.stop_id]} if stop.stop_id in loaded else {}) for stop in route.stops],
                    "rests": rests_view(route)} | ({"end": asdict(route.end)} if route.end else {})
                   for route in mine],
        "changes": {"gained": change.gained, "lost": change.lost, "reordered": change.reordered,
                    "updated": change.updated},
        "triggers": [trigger_view(trigger) for trigger in plan.triggers if trigger.revision in change.because],
    }  # fmt: skip


def loads(route: Route, goods: Mapping[str, str]) -> dict[str, list[str]]:
    """The orders whose goods come aboard at each reload of a route: those of its trip that are not aboard, nor picked up."""
    found, here, sequence = dict[str, list[str]](), list[str](), set(route.sequence)
    for stop in route.sequence:
        order = order_of(stop)
        if stop.endswith(RELOAD):
            here = found[stop] = []
        elif kind_of(stop) == OrderKind.DELIVERY and goods.get(order) != route.shift_id and order + PICKUP not in sequence:
            here.append(order)
    return found


def rests_view(route: Route) -> list[dict[str, Any]]:
    """The rests of a route, by what they are before."""
    return [{"before": rest.before, "begin": iso(rest.start), "end": iso(rest.end), "driving": rest.driving}
            | ({"location": asdict(rest.location)} if rest.location else {}) for rest in route.rests]  # fmt: skip


def stop_view(stop: PlannedStop, order: Order | None) -> dict[str, Any]:
    """A stop with its planned times."""
    shown: dict[str, Any] = {"stop_id": stop.stop_id, "order_id": order_of(stop.stop_id)}
    if order is not None:
        here = order.half(stop.stop_id)
        shown |= {"kind": order.kind, "location": asdict(here.location), "kerb": here.kerb, "service_time": here.service_time,
                  "windows": [window_view(window) for window in here.windows]}  # fmt: skip
    return shown | {"arrive": iso(stop.arrive), "begin": iso(stop.begin), "leave": iso(stop.leave), "late_by": stop.late_by}


def trigger_view(trigger: Trigger) -> dict[str, Any]:
    """A trigger; `at` is real time in seconds."""
    return {"kind": trigger.kind, "subject": trigger.subject, "revision": trigger.revision, "at": trigger.at}


def version_record(snapshot: Snapshot, plan: Plan, diff: Diff, changed: list[Route]) -> VersionRecord:
    """What is kept of a version: the routes it changed, and why."""
    planned = {route.shift_id for route in plan.routes}
    return VersionRecord(
        version=plan.version, revision=plan.revision, roads=plan.roads, engine=plan.engine, created_at=plan.created_at,
        published_at=plan.published_at, cost=plan.cost, routes=tuple(changed),
        over=tuple(shift for shift in snapshot.sequences if shift not in planned), unassigned=plan.unassigned,
        triggers=plan.triggers, timings=plan.timings, diff=asdict(diff), costs=plan.costs, moved=plan.moved,
        resequenced=plan.resequenced, shifted=plan.shifted, flags=plan.flags,
    )  # fmt: skip
