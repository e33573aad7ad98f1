"""A driver's route: by polling with an ETag, by long poll, and as a stream of server-sent events.

Flask decides who may read what. What only waits is done by the front (`workers.front`), which Flask tells by
header: `X-Lastleg-Wait: <driver> <seconds>` and `X-Lastleg-Stream: <driver>`. The front subscribes first and then
asks again with `X-Lastleg-Subscribed`, so that nothing published in between is missed.
"""

from __future__ import annotations

import json
from typing import Any

from flask import Blueprint, Response, request

from ingest.auth import Role
from ingest.context import allow, my_driver, store
from ingest.problems import Fault, invalid
from ingest.schemas import eta_view, whole_number
from ingest.store import readers

blueprint = Blueprint("routes", __name__)

MAX_WAIT_S = 60.0
MAX_MISSED = 100
"""Missed versions a stream replays one by one; beyond that it sends the current route once."""


@blueprint.get("/v1/drivers/<driver_id>/route")
@allow(Role.OPERATOR, Role.DRIVER)
def route(driver_id: str) -> Response:
    """The route with each stop's state; 304 while `If-None-Match` has its version, after `?wait=` seconds at most."""
    depot, driver = my_driver(driver_id)
    version = readers.route_version(store(), depot.id, driver)
    wait = _wait()
    headers = {"ETag": f'"{version}"', "Cache-Control": "no-cache"}
    if request.if_none_match.contains(str(version)):
        if wait and "X-Lastleg-Subscribed" not in request.headers:
            headers["X-Lastleg-Wait"] = f"{driver} {wait}"
        return Response(status=304, headers=headers)
    document = readers.route_document(store(), depot.id, driver) or _empty(depot.id, driver)
    return Response(json.dumps(_joined(depot.id, document)), headers=headers, content_type="application/json")


def _wait() -> float:
    try:
        wait = float(request.args.get("wait", 0))
        if not 0 <= wait < float("inf"):
            raise ValueError
        return min(wait, MAX_WAIT_S)
    except ValueError:
        raise invalid([Fault("wrong_type", "", "wait must be a number of seconds.", "?wait=25")]) from None


def _empty(depot_id: str, driver: str) -> dict[str, Any]:
    return {"driver_id": driver, "depot_id": depot_id, "route_version": 0, "shifts": [], "changes": None, "triggers": []}


def _joined(depot_id: str, document: dict[str, Any]) -> dict[str, Any]:
    """A published route with live progress and what the driver needs to know of the recipient."""
    stops = [stop for shift in document["shifts"] for stop in shift["stops"]]
    shifts = {shift["shift_id"] for shift in document["shifts"]}
    holders = readers.holders(store(), depot_id, [stop["stop_id"] for stop in stops])
    progress = readers.progress_of(store(), depot_id, [stop["stop_id"] for stop in stops])
    etas = readers.etas(store(), depot_id, [stop["stop_id"] for stop in stops])
    for stop in stops:
        known = progress.get(stop["stop_id"])
        moved = known is not None and holders.get(stop["stop_id"], "") not in shifts  # another driver has started it
        stop["state"] = "moved" if moved else known.state if known else "open"
        stop |= {"inferred": True} if known and known.inferred else {}
        stop |= {"eta": eta_view(etas[stop["stop_id"]])} if stop["stop_id"] in etas else {}
        stop["recipient"] = readers.personal(store(), depot_id, stop["order_id"])
    return document


@blueprint.get("/v1/drivers/<driver_id>/stream")
@allow(Role.OPERATOR, Role.DRIVER)
def stream(driver_id: str) -> Response:
    """Every version of the route as it is published (`event: route`, `id:` the route version).

    `Last-Event-ID` resumes: up to 100 missed versions come one by one, else the current route as one
    `event: snapshot`.
    """
    depot, driver = my_driver(driver_id)
    last = request.headers.get("Last-Event-ID") or request.args.get("last_event_id") or ""
    if last and whole_number(last) is None:
        raise invalid([Fault("wrong_type", "", "Last-Event-ID must be a route version.", "Send it as it was received.")])
    if "X-Lastleg-Subscribed" not in request.headers:
        return Response(headers={"X-Lastleg-Stream": driver}, content_type="text/event-stream")
    text, version = _catch_up(depot.id, driver, int(last) if last else None)
    return Response(text, headers={"X-Lastleg-Version": str(version)}, content_type="text/event-stream")


def _catch_up(depot_id: str, driver: str, last: int | None) -> tuple[str, int]:
    version = readers.route_version(store(), depot_id, driver)
    if last == version:
        return "", version
    missed = None if last is None or last > version else readers.missed_routes(store(), depot_id, driver, last, MAX_MISSED)
    if missed is None:
        document = readers.route_document(store(), depot_id, driver) or _empty(depot_id, driver)
        return event("snapshot", document["route_version"], json.dumps(document)), document["route_version"]
    return "".join(event("route", number, text) for number, text in missed), max(number for number, _ in missed)


def event(name: str, version: int, data: str) -> str:
    """One server-sent event."""
    return f"event: {name}\nid: {version}\ndata: {data}\n\n"
