"""What shippers are told: from what has happened to what has become of each order, in numbered events that are kept.

Events of the state name what may have changed; what is told is what stands there when they are read, so that it never says anything
else than the order itself. Any number of processes may do this: for each depot it is remembered up to which event it has been told,
and whoever comes second writes nothing.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import redis

from ingest.orders import standings, without_drivers
from ingest.schemas import eta_view, iso
from ingest.settings import Settings
from ingest.store import keys, readers
from ingest.store.connection import Store, away, check_schema, connect, run
from routing.model import Depot, Order, order_of

log = logging.getLogger(__name__)

LUA = Path(__file__).parent / "lua"
BATCH = 500
WAIT_S = 1.0
"""So long to wait for an event, so that a stop is noticed."""

MOST = 100
"""So many events of an order are kept at its timeline, the first and the newest; the feed has them all while it is kept."""

SAME = {"offered": "matching"}
"""Statuses that shippers are told as one: who is being asked is not their business."""

AS_SAID = frozenset({"plan.proposed", "plan.discarded", "shift.locked", "shift.unlocked"})
"""What operators are told as it stands in the events of the state."""

RETRY_S = 0.5


def follow(settings: Settings, stop: threading.Event) -> None:
    """Tell until `stop` is set, through any outage of Redis."""
    client, ours = connect(settings, blocking=WAIT_S), False
    while not stop.is_set():
        try:
            if not ours:
                check_schema(client)
                ours = True
            if tell(client) == 0:
                stream = keys.shared_key("events")
                client.xread({stream: client.get(keys.shared_key("feed_read")) or "0"}, count=1, block=int(1000 * WAIT_S))
        except redis.RedisError as error:
            if away(error):
                log.warning("Redis is away: %s", error)
                client.connection_pool.disconnect()
            else:
                log.exception("the feed failed")
            stop.wait(RETRY_S)


def tell(client: Store) -> int:
    """Tell what has happened since the last time; how many events were read."""
    after = client.get(keys.shared_key("feed_read")) or "0"
    rows = client.xrange(keys.shared_key("events"), min=f"({after}" if after != "0" else "-", count=BATCH)
    depots: dict[str, list[tuple[str, dict[str, str]]]] = {}
    for entry, fields in rows:
        depots.setdefault(fields["depot"], []).append((entry, fields))
    for depot_id, happened in depots.items():
        try:
            _tell(client, depot_id, happened)
        except redis.RedisError:
            raise
        except Exception:  # a defect; what was to be told is told with the next event of the same order
            log.exception("nothing was told of %d events", len(happened), extra={"depot": depot_id})
    if rows:
        client.set(keys.shared_key("feed_read"), rows[-1][0])
    return len(rows)


def _tell(client: Store, depot_id: str, rows: Sequence[tuple[str, dict[str, str]]]) -> None:
    depot = readers.depot(client, depot_id)
    told_to = client.get(keys.depot_key(depot_id, "fed")) or "0-0"
    rows = [row for row in rows if readers.entry_number(row[0]) > readers.entry_number(told_to)]
    if depot is None or not rows:
        return
    happened = [(entry, fields["type"], json.loads(fields["data"])) for entry, fields in rows]
    published = [int(data["version"]) for _, kind, data in happened if kind == "plan.published"]
    versions = readers.version_records(client, depot_id, published)
    concerned = dict.fromkeys([*_named(happened), *_changed(versions), *_driven_to(client, depot_id)])
    orders = readers.records_of(client, "orders", depot_id, list(concerned))
    lines = readers.timelines(client, depot_id, [order.id for order in orders])
    made: list[tuple[str, dict[str, Any]]] = []
    at = iso(depot.clock.depot(time.time()))
    for order, standing in zip(orders, standings(client, depot, orders), strict=True):
        for event in [*_said(order, happened, at), *_steps(order, standing, lines[order.id], at)]:
            lines[order.id].append(event)
            made.append((order.shipper, event | {"order_id": order.id, "external_id": order.external_id}))
    made += [("", _plan(record)) for record in versions]
    made += [("", {"type": kind} | data) for _, kind, data in happened if kind in AS_SAID]
    texts = {order: json.dumps([*told[:1], *told[1:][1 - MOST :]]) for order, told in lines.items() if told}
    rows_made = json.dumps([[shipper, json.dumps(event)] for shipper, event in made])
    run(client, depot_id, "feed", [told_to, rows[-1][0], rows_made, json.dumps(texts), time.time()], folder=LUA)


def _named(happened: Iterable[tuple[str, str, dict[str, Any]]]) -> Iterable[str]:
    """Orders that events name."""
    for _, _, data in happened:
        if "order_id" in data:
            yield data["order_id"]
        elif isinstance(data.get("stop_id"), str):
            yield order_of(data["stop_id"])
        yield from data.get("ids", ())


def _changed(versions: Sequence[readers.VersionRecord]) -> Iterable[str]:
    """Orders that plans gave to somebody, took away, or have no driver for."""
    for record in versions:
        for route in record.diff["routes"]:
            yield from (order_of(stop) for stop in [*route["gained"], *route["lost"]])
        yield from record.diff["newly_unassigned"]
        yield from record.diff["no_longer_unassigned"]


def _driven_to(client: Store, depot_id: str) -> Iterable[str]:
    """Orders that somebody drives to, or serves: what finishes one stop, or leaves, does not name the next."""
    for text in client.hvals(keys.depot_key(depot_id, "trail")):
        if text:
            yield order_of(text.rsplit(" ", 1)[-1])


def _said(order: Order, happened: Iterable[tuple[str, str, dict[str, Any]]], at: str) -> Iterable[dict[str, Any]]:
    """What is told as it was said: changes of the order, and of when its driver is expected."""
    for _, kind, data in happened:
        if kind == "order.changed" and data["order_id"] == order.id:
            yield {"type": "order.changed", "at": at}
        if kind == "eta.changed" and data["stop_id"] == order.stop_id:
            yield {"type": "order.eta_changed", "at": at, "eta": eta_view((data["p50"], data["p80"]))}


def _steps(order: Order, standing: dict[str, Any], told: Sequence[dict[str, Any]], now: str) -> Iterable[dict[str, Any]]:
    """The steps from what was told last to what stands there, those in between that are known with their times."""
    known = [event for event in told if "status" in event]
    last = known[-1] if known else None
    status = SAME.get(standing["status"], standing["status"])
    if last is None and status != "reserved":
        yield _step("accepted", {}, iso(order.created_at))
    last = last or {"status": "accepted"}
    if standing.get("arrived_at") and status not in ("arrived", "cancelled") and last["status"] not in ("arrived", status):
        yield _step("arrived", {}, standing["arrived_at"])
        last = {"status": "arrived"}
    if status != last["status"] or _codes(standing) != _codes(last):
        moments = {"arrived": "arrived_at", "picked_up": "picked_up_at"}
        moment = standing.get(moments.get(status, "left_at")) or now
        kept = {str(name): standing[name] for name in ("reasons", "eta", "inferred") if name in standing}
        yield _step(status, kept, moment)


def _codes(row: dict[str, Any]) -> set[str]:
    """Why an order is unassigned; by how much is not worth telling anew with every plan."""
    return {reason["code"] for reason in row.get("reasons", ())}


def _step(status: str, more: dict[str, Any], at: str) -> dict[str, Any]:
    return {"type": f"order.{status}", "status": status, "at": at} | more


def _plan(record: readers.VersionRecord) -> dict[str, Any]:
    """A plan version, for operators."""
    return {
        "type": "plan.published", "version": record.version, "engine": record.engine,
        "drivers": [route["driver_id"] for route in record.diff["routes"]],
        "newly_unassigned": record.diff["newly_unassigned"], "triggers": sorted({trigger.kind for trigger in record.triggers}),
    }  # fmt: skip


def envelope(depot: Depot, row: readers.Told, *, operator: bool) -> dict[str, Any]:
    """An event as it is told: in the feed, and to webhooks."""
    data = {name: value for name, value in row.event.items() if name != "type"}
    return {
        "id": f"evt_{depot.id}_{row.number}", "type": row.event["type"], "timestamp": iso(row.at), "depot_id": depot.id,
        "sequence": row.number if operator else row.own, "data": data if operator else without_drivers(data),
    }  # fmt: skip
