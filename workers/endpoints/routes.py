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
from ingest.openapi import describe
from ingest.parsing import headers, query
from ingest.schemas import RouteHeaders, RouteQuery, StreamHeaders, StreamQuery, eta_view
from ingest.store import readers
from workers.live import event
from workers.views import OffersView, RouteView

blueprint = Blueprint("routes", __name__)

MAX_WAIT_S = 60.0
MAX_MISSED = 100
"""Missed versions a stream replays one by one; beyond that it sends the current route once."""


@blueprint.get("/v1/drivers/<driver_id>/route")
@allow(Role.OPERATOR, Role.DRIVER)
@describe({200: RouteView, 304: None}, query=RouteQuery, headers=RouteHeaders)
def route(driver_id: str) -> Response:
    """The route with each stop's state; 304 while `If-None-Match` has its version, after `?wait=` seconds at most."""
    depot, driver = my_driver(driver_id)
    version = readers.route_version(store(), depot.id, driver)
    offer = readers.offer_to(store(), depot.id, driver)
    tag = str(version) if offer is None else f"{version}+{offer.number}"
    wait = min(query(RouteQuery).wait, MAX_WAIT_S)
    said = {"ETag": f'"{tag}"', "Cache-Control": "no-store"}  # states change within a version: a cache would make them old ones
    if request.if_none_match.contains(tag):
        if wait and "X-Lastleg-Subscribed" not in request.headers:
            said["X-Lastleg-Wait"] = f"{driver} {wait}"
        return Response(status=304, headers=said)
    document = readers.route_document(store(), depot.id, driver) or _empty(depot.id, driver)
    document = _joined(depot.id, document) | ({"offer": _told(offer)} if offer else {})
    return Response(json.dumps(document), headers=said, content_type="application/json")


@blueprint.get("/v1/drivers/<driver_id>/offers")
@allow(Role.OPERATOR, Role.DRIVER)
@describe({200: OffersView})
def offers(driver_id: str) -> dict[str, Any]:
    """The offer that waits for a driver's answer, if there is one. It is answered by a stop event, `accepted` or `declined`."""
    depot, driver = my_driver(driver_id)
    offer = readers.offer_to(store(), depot.id, driver)
    return {"offers": [_told(offer)] if offer else []}


def _told(offer: readers.Offer) -> dict[str, Any]:
    """As its driver's app sees it."""
    return offer.view | {"state": offer.state}


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
        known_of = readers.personal(store(), depot_id, stop["order_id"])
        stop["recipient"] = {name: value for name, value in known_of.items() if "proof_" not in name}
    driver = document["driver_id"]
    document["acknowledged"] = readers.acknowledged(store(), depot_id, [driver])[driver]
    return document


@blueprint.get("/v1/drivers/<driver_id>/stream")
@allow(Role.OPERATOR, Role.DRIVER)
@describe({200: str}, query=StreamQuery, headers=StreamHeaders, media="text/event-stream")
def stream(driver_id: str) -> Response:
    """Every version of the route as it is published (`event: route`, `id:` the route version).

    `Last-Event-ID` resumes: up to 100 missed versions come one by one, else the current route as one
    `event: snapshot`.
    """
    depot, driver = my_driver(driver_id)
    told, asked = headers(StreamHeaders).last_event_id, query(StreamQuery).last_event_id
    if "X-Lastleg-Subscribed" not in request.headers:
        return Response(headers={"X-Lastleg-Stream": driver}, content_type="text/event-stream")
    text, version = _catch_up(depot.id, driver, asked if told is None else told)
    return Response(text, headers={"X-Lastleg-Version": str(version)}, content_type="text/event-stream")


def _catch_up(depot_id: str, driver: str, last: int | None) -> tuple[str, int]:
    version = readers.route_version(store(), depot_id, driver)
    offer = readers.offer_to(store(), depot_id, driver)
    told = event("offer", None, json.dumps(_told(offer))) if offer else ""
    if last == version:
        return told, version
    missed = None if last is None or last > version else readers.missed_routes(store(), depot_id, driver, last, MAX_MISSED)
    if missed is None:
        document = readers.route_document(store(), depot_id, driver) or _empty(depot_id, driver)
        return event("snapshot", document["route_version"], json.dumps(document)) + told, document["route_version"]
    return "".join(event("route", number, text) for number, text in missed) + told, max(number for number, _ in missed)
