"""What must be true of a run, whatever was killed: told from the API's answers, the event log and all published versions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ingest.store.readers import VersionRecord
from routing.model import order_of


@dataclass
class Heard:
    """What clients were told."""

    accepted: dict[str, str] = field(default_factory=dict)
    """Idempotency key → the order's id, of every order that was answered with success."""
    cancelled: set[str] = field(default_factory=set)
    changed: dict[str, int] = field(default_factory=dict)
    """Order → its service time, by the last change that was answered with success."""
    routes: dict[str, list[int]] = field(default_factory=dict)
    """Driver → the route versions that came through the stream, in the order they came."""
    failed: list[str] = field(default_factory=list)
    """Requests that never got an answer, or a wrong one."""


@dataclass
class Found:
    """Everything that is wrong."""

    lost: set[str] = field(default_factory=set)
    doubled: set[str] = field(default_factory=set)
    regressed: list[str] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Event:
    """A line of the event log."""

    revision: int
    kind: str
    data: dict[str, Any]


def judge(heard: Heard, statuses: dict[str, str], orders: Iterable[dict[str, Any]],
          depots: dict[str, tuple[list[VersionRecord], list[Event]]]) -> Found:  # fmt: skip
    """Compare it all.

    Parameters
    ----------
    statuses
        Of each accepted order, as the API tells at the end; `set_aside` if planning is said to fail on it, none if it knows none.
    orders
        All that the API lists: the client's key is in `external_id`'s place, the recipient's note.
    depots
        All versions in the order of their numbers and all events in the order of their revisions, by depot.
    """
    found = Found()
    for accepted in heard.accepted.values():
        status = statuses.get(accepted, "lost")
        if status in {"lost", "accepted", "set_aside"} or (status == "cancelled" and accepted not in heard.cancelled):
            found.lost.add(accepted)
    orders = list(orders)
    for order in orders:
        if heard.changed.get(order["id"], order["service_time"]) != order["service_time"]:
            found.lost.add(order["id"])
    keys = Counter(order["recipient"].get("note") for order in orders)
    found.doubled |= {str(key) for key, count in keys.items() if count > 1}
    for driver, versions in heard.routes.items():
        found.regressed += [f"{driver} was told {b} after {a}" for a, b in zip(versions, versions[1:], strict=False) if b <= a]
    for depot, (records, events) in depots.items():
        _versions(depot, records, found)
        _progress(depot, records, events, found)
    return found


def _versions(depot: str, records: list[VersionRecord], found: Found) -> None:
    """Numbers without gaps, states that only get newer, and no stop in two routes."""
    routes: dict[str, tuple[str, ...]] = {}
    for number, record in enumerate(records, 1):
        if record.version != number:
            found.stale.append(f"{depot}: version {number} was made as {record.version}")
        if number > 1 and record.revision < records[number - 2].revision:
            found.stale.append(f"{depot}: version {number} is of revision {record.revision}, the one before of a later one")
        routes |= {route.shift_id: route.sequence for route in record.routes}
        for shift in record.over:
            routes.pop(shift, None)
        stops = Counter(stop for sequence in routes.values() for stop in sequence)
        found.doubled |= {order_of(stop) for stop, count in stops.items() if count > 1}


def _progress(depot: str, records: list[VersionRecord], events: list[Event], found: Found) -> None:
    """What was published rests on everything that had been reported by then: stops begun, and orders cancelled."""
    begun: dict[str, set[str]] = {}
    cancelled: set[str] = set()
    routes: dict[str, tuple[str, ...]] = {}
    drivers: dict[str, str] = {}
    for event in events:
        if event.kind == "order.cancelled":
            cancelled.add(event.data["order_id"])
        elif event.kind in {"stop.arrived", "stop.completed"}:
            begun.setdefault(event.data["driver_id"], set()).add(event.data["stop_id"])
        elif event.kind == "plan.published":
            record = records[event.data["version"] - 1]
            for route in record.routes:
                drivers[route.shift_id] = route.driver_id
                new = set(route.sequence) - set(routes.get(route.shift_id, ()))
                wrong = {stop for stop in new if order_of(stop) in cancelled}
                if wrong:
                    found.stale.append(f"{depot}: version {record.version} plans {sorted(wrong)}, which were cancelled")
                routes[route.shift_id] = route.sequence
                missing = begun.get(route.driver_id, set()) - set(route.sequence)
                if missing:
                    found.stale.append(f"{depot}: version {record.version} lacks {sorted(missing)}, where {route.driver_id} was")
