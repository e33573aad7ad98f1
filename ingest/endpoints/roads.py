"""Road events: streets closed or slowed, by area or by edge."""

from __future__ import annotations

import secrets
from dataclasses import asdict
from typing import Any

import numpy as np
from flask import Blueprint

from ingest import context
from ingest.auth import Role
from ingest.context import allow, my_depot, my_record, network_of, snapper_of, store
from ingest.openapi import describe
from ingest.parsing import body, parse, query
from ingest.problems import Fault, full, invalid
from ingest.schemas import DepotQuery, RoadEventIn, iso, seconds
from ingest.store import readers, writers
from ingest.views import RoadEventsView, RoadEventView
from routing.model import Depot, RoadEvent
from routing.roads.network import Network
from routing.roads.snapping import both_ways
from routing.roads.travel import steps

blueprint = Blueprint("roads", __name__)


@blueprint.post("/v1/road-events")
@allow(Role.OPERATOR)
@describe({201: RoadEventView}, body=RoadEventIn, problems=(409,))
def close() -> tuple[dict[str, Any], int]:
    """Close or slow streets until `end`. Areas take both directions; `edges` just those named."""
    wanted, right, faults = parse(RoadEventIn, body())
    depot = my_depot(right["depot_id"]) if "depot_id" in right else None
    if wanted is None or depot is None:
        raise invalid(faults)
    now = context.now()
    event = made(depot, wanted, faults, now)
    if faults:
        raise invalid(faults)
    if not writers.put_road_event(store(), event, now=now, start=depot.clock.real(event.start), end=depot.clock.real(event.end)):
        raise full(f"There are {depot.policy.max_records} road events at this depot.", "max_records")
    return view(event, network_of(depot)), 201


def made(depot: Depot, wanted: RoadEventIn, faults: list[Fault], now: float) -> RoadEvent:
    """A road event as a request describes it at a real time (s); what is wrong with it comes to the faults."""
    start = seconds(wanted.start) if wanted.start else depot.clock.depot(now)
    if seconds(wanted.end) <= max(start, depot.clock.depot(now)):
        faults.append(Fault("inconsistent", "/end", "It is over already.", "Give a later end."))
    return RoadEvent(
        id=f"{depot.id}.r{secrets.token_hex(5)}", depot_id=depot.id, tenant=depot.tenant, arcs=_arcs(depot, wanted, faults),
        start=start, end=seconds(wanted.end), factor=wanted.factor, reason=wanted.reason, map=network_of(depot).fingerprint,
    )  # fmt: skip


def _arcs(depot: Depot, wanted: RoadEventIn, faults: list[Fault]) -> tuple[int, ...]:
    snapper = snapper_of(depot)
    network = network_of(depot)
    if wanted.edges is not None:
        faults += [Fault("unknown_id", f"/edges/{number}", f"The map has no edge {edge}.", f"They go to {network.arcs - 1}.")
                   for number, edge in enumerate(wanted.edges) if edge >= network.arcs]  # fmt: skip
        return tuple(sorted(set(wanted.edges)))
    try:
        if wanted.disc is not None:
            where, area = "/disc", snapper.disc(wanted.disc.centre.location(), wanted.disc.radius_m)
        else:
            where, area = "/polygon", snapper.polygon([place.location() for place in wanted.polygon or []])
    except ValueError as error:
        faults.append(Fault("inconsistent", "/polygon", f"{error}."))
        return ()
    arcs = both_ways(network, np.asarray(snapper.arcs_within(area)))
    if not len(arcs):
        faults.append(Fault("off_map", where, "No street is there.", "Draw it over a street of the depot's map."))
    return tuple(arcs.tolist())


@blueprint.get("/v1/road-events")
@allow(Role.OPERATOR)
@describe({200: RoadEventsView}, query=DepotQuery)
def listing() -> dict[str, Any]:
    """What is closed or slowed at a depot, now or later. `outdated`: reported on an earlier edition of its map."""
    depot = my_depot(query(DepotQuery).depot_id)
    network, events = network_of(depot), readers.records(store(), "road_events", depot.id)
    return {"road_events": [view(event, network) for event in events]}


@blueprint.delete("/v1/road-events/<event_id>")
@allow(Role.OPERATOR)
@describe({204: None})
def reopen(event_id: str) -> tuple[str, int]:
    """End a road event early."""
    depot, event = my_record("road_events", event_id)
    writers.drop_road_event(store(), depot.id, event.id, now=context.now())
    return "", 204


def view(event: RoadEvent, network: Network) -> dict[str, Any]:
    """A road event as the API shows it; `outdated` if it was reported on another edition of the map."""
    outdated = event.map != network.fingerprint
    known, lines = set(event.arcs), []
    for arc in () if outdated else event.arcs:
        if network.reverse[arc] not in known or network.reverse[arc] > arc:  # each street once
            lines.append(steps(network.polyline(arc)))
    shown = asdict(event) | {"start": iso(event.start), "end": iso(event.end), "edges": list(event.arcs)}
    del shown["tenant"], shown["arcs"], shown["map"]
    return shown | {"kind": "close" if event.factor is None else "slow", "outdated": outdated, "lines": lines}
