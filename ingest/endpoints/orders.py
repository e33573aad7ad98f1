"""Orders: accept, read, change, cancel."""

from __future__ import annotations

import json
import secrets
from dataclasses import replace
from typing import Any

from flask import Blueprint

from ingest import context
from ingest.auth import Role
from ingest.context import allow, caller, my_depot, my_record, store
from ingest.endpoints.fleet import dimension_faults, place_faults
from ingest.openapi import describe
from ingest.problems import ApiProblem, Fault, full, invalid
from ingest.schemas import (
    IdempotencyHeaders,
    OrderIn,
    OrderPatch,
    OrdersQuery,
    PickupIn,
    PinIn,
    Window,
    body,
    eta_view,
    headers,
    iso,
    parse,
    query,
    seconds,
)
from ingest.store import keys, readers, writers
from ingest.views import OrdersView, OrderView
from routing import codec
from routing.model import Depot, Dispatch, Order, OrderKind, Pickup, Pin, ReasonCode, StopState, TimeWindow, Unassigned

blueprint = Blueprint("orders", __name__)

PAGE = 100
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


@blueprint.post("/v1/orders")
@allow(Role.OPERATOR, Role.SHIPPER)
@describe({201: OrderView, 200: OrderView}, body=OrderIn, headers=IdempotencyHeaders, problems=(409,))
def accept() -> tuple[dict[str, Any], int, dict[str, str]]:
    """Accept an order: 201 means durable and readable at once.

    The same `Idempotency-Key` or `external_id` with the same body answers again without a second order; with
    another body it is refused.
    """
    token = headers(IdempotencyHeaders).idempotency_key
    data = body()
    wanted, right, faults = parse(OrderIn, data)
    depot = my_depot(right["depot_id"], recent=True) if "depot_id" in right else None
    if depot is not None:
        faults += _faults(depot, right)
    if wanted is None or depot is None or faults:
        raise invalid(faults)
    now = context.now()
    order = Order(
        id=f"{depot.id}.o{_random()}", depot_id=depot.id, tenant=depot.tenant,
        shipper=caller().id, kind=wanted.kind, location=wanted.location.location(), windows=_windows(wanted.windows),
        hard=wanted.lateness == "hard", service_time=wanted.service_time,
        demand=tuple(wanted.demand.get(name, 0) for name in depot.dimensions), skills=tuple(sorted(set(wanted.skills))),
        priority=wanted.priority, external_id=wanted.external_id, created_at=depot.clock.depot(now), kerb=wanted.kerb,
        setup_time=wanted.setup_time, promised_by=seconds(wanted.promised_by) if wanted.promised_by else None,
        excluded_drivers=tuple(sorted(set(wanted.excluded_drivers))), pin=_pin(wanted.pin),
        pickup=_pickup(wanted.pickup) if wanted.pickup else None, dispatch=wanted.dispatch,
    )  # fmt: skip
    result, order_id = writers.create_order(
        store(), order, print_=writers.fingerprint(data), idempotency=token, now=now,
        personal=wanted.recipient.fields() if wanted.recipient else {}, match_at=_match_at(depot, order, now),
    )  # fmt: skip
    if result == "full":
        raise full(f"{order_id} orders are open at this depot; it takes no more.", "max_open_orders")
    if result == "key_reused":
        raise ApiProblem(422, "idempotency_key_reused", "This Idempotency-Key was used with another body.", "Use a new key.",
                         extra={"order_id": order_id})  # fmt: skip
    if result == "duplicate":
        raise ApiProblem(409, "duplicate", f"You have an order with external_id {wanted.external_id!r} and other values.",
                         "PATCH that order, or use another external_id.", extra={"order_id": order_id})  # fmt: skip
    where = {"Location": f"/v1/orders/{order_id}"}
    if result == "created":  # nobody can have done anything with it yet
        recipient = wanted.recipient.fields() if wanted.recipient else {}
        status = "accepted" if order.dispatch is Dispatch.PLANNED else "matching"
        return _shown(depot, order, recipient, {"status": status}), 201, where
    stored: Order = readers.record(store(), "orders", depot.id, order_id) or order
    return view(depot, stored), 200, where | {"Idempotent-Replayed": "true"}


def _match_at(depot: Depot, order: Order, now: float) -> float | None:
    """When an order that cannot wait is to be matched (real s); None for one that waits for a plan."""
    if order.dispatch is Dispatch.PLANNED:
        return None
    return now if order.dispatch is Dispatch.EMERGENCY else now + depot.policy.match_wait


def _random() -> str:
    return "".join(_ALPHABET[byte % 32] for byte in secrets.token_bytes(12))


def _faults(depot: Depot, right: dict[str, Any]) -> list[Fault]:
    """What a schema cannot see: the depot's dimensions, its map, and what cannot be asked of a service."""
    faults = place_faults(depot, right.get("location"), "/location")
    faults += dimension_faults(depot, right.get("demand") or {}, "/demand")
    if right.get("kind") is OrderKind.SERVICE and any((right.get("demand") or {}).values()):
        faults.append(Fault("inconsistent", "/demand", "A service has no goods.", "Leave demand out, or change kind."))
    windows = sorted(right.get("windows") or [], key=lambda window: window.start)
    if any(a.end >= b.start for a, b in zip(windows, windows[1:], strict=False)):
        faults.append(Fault("overlap", "/windows", "The windows overlap.", "Join them."))
    if (right.get("kind") is OrderKind.TRANSPORT) != (right.get("pickup") is not None) and "kind" in right:
        faults.append(Fault("inconsistent", "/pickup", "A transport has a pickup, nothing else has.", "Give it, or change kind."))
    if isinstance(right.get("pickup"), PickupIn):
        faults += place_faults(depot, right["pickup"].location, "/pickup/location")
        ordered = sorted(right["pickup"].windows, key=lambda window: window.start)
        if any(a.end >= b.start for a, b in zip(ordered, ordered[1:], strict=False)):
            faults.append(Fault("overlap", "/pickup/windows", "The windows overlap.", "Join them."))
    return faults + _driver_faults(depot, right) + _dispatch_faults(right)


def _dispatch_faults(right: dict[str, Any]) -> list[Fault]:
    """What cannot be asked of an order that cannot wait."""
    if right.get("dispatch", Dispatch.PLANNED) is Dispatch.PLANNED:
        return []
    faults = []
    if right.get("kind") is OrderKind.DELIVERY:
        faults.append(Fault("inconsistent", "/kind", "The goods of a delivery are at the depot, and cannot be fetched at once.",
                            "Make it a transport with its pickup, or let it be planned."))  # fmt: skip
    pickup = right.get("pickup")
    if right.get("windows") or (isinstance(pickup, PickupIn) and pickup.windows) or (right.get("pin") or PinIn()).not_before:
        faults.append(Fault("inconsistent", "/windows", "What cannot wait has no windows.", "Leave them out, or have it planned."))
    if right.get("dispatch") is Dispatch.EMERGENCY and caller().role is not Role.OPERATOR:
        faults.append(Fault("inconsistent", "/dispatch", "Only operators call emergencies.", "Say `immediate`."))
    return faults


def _driver_faults(depot: Depot, right: dict[str, Any]) -> list[Fault]:
    """Only operators decide who drives where, and only their own drivers do."""
    pin, excluded = right.get("pin") or PinIn(), right.get("excluded_drivers") or []
    if caller().role is not Role.OPERATOR and (pin != PinIn() or excluded):
        return [Fault("unknown_field", "/pin" if pin != PinIn() else "/excluded_drivers", "Only operators decide who drives.",
                      "Leave it out.")]  # fmt: skip
    named = [("/pin/driver_id", pin.driver_id)] if pin.driver_id else []
    named += [(f"/excluded_drivers/{index}", driver) for index, driver in enumerate(excluded)]
    faults = [Fault("unknown_id", where, f"{driver!r} is no driver of depot {depot.id!r}.", "Use its full id.")
              for where, driver in named if readers.record(store(), "drivers", depot.id, driver) is None]  # fmt: skip
    if isinstance(pin.position, int) and right.get("pickup"):
        faults.append(Fault("inconsistent", "/pin/position", "A transport has two stops, which cannot have one number.",
                            "Pin it `first` or `last`, or split it into two orders."))  # fmt: skip
    if pin.driver_id in excluded:
        faults.append(Fault("inconsistent", "/pin/driver_id", "It is pinned to a driver it excludes.", "Leave one of them out."))
    return faults


def _pin(pin: PinIn) -> Pin:
    return Pin(pin.driver_id, pin.position, seconds(pin.not_before) if pin.not_before else None)


def _pickup(pickup: PickupIn) -> Pickup:
    return Pickup(pickup.location.location(), pickup.kerb, _windows(pickup.windows), pickup.service_time, pickup.setup_time)


def _windows(windows: list[Window]) -> tuple[TimeWindow, ...]:
    return tuple(sorted((TimeWindow(seconds(w.start), seconds(w.end)) for w in windows), key=lambda w: w.start))


@blueprint.get("/v1/orders")
@allow(Role.OPERATOR, Role.SHIPPER)
@describe({200: OrdersView}, query=OrdersQuery)
def listing() -> dict[str, Any]:
    """The caller's orders of a depot, oldest first, a hundred a page."""
    asked = query(OrdersQuery)
    depot = my_depot(asked.depot_id)
    page = readers.order_page(store(), depot.id, after=asked.cursor, limit=PAGE)
    found = [readers.record(store(), "orders", depot.id, order_id) for _, order_id in page]
    who = caller()
    mine = [order for order in found if order and (who.role is Role.OPERATOR or order.shipper == who.id)]
    following = str(page[-1][0]) if len(page) == PAGE else None
    return {"orders": [view(depot, order) for order in mine], "next_cursor": following}


@blueprint.get("/v1/orders/<order_id>")
@allow(Role.OPERATOR, Role.SHIPPER)
@describe({200: OrderView})
def one(order_id: str) -> dict[str, Any]:
    """One order with its status and, if nobody can serve it, why."""
    depot, order = my_record("orders", order_id)
    return view(depot, order)


@blueprint.patch("/v1/orders/<order_id>")
@allow(Role.OPERATOR, Role.SHIPPER)
@describe({200: OrderView}, body=OrderPatch, problems=(409,))
def change(order_id: str) -> dict[str, Any]:
    """Change an open order whose stop nobody has started."""
    expected = readers.record_revision(store(), order_id)  # before the order itself: a change in between is noticed
    depot, order = my_record("orders", order_id)
    data = body()
    wanted, right, faults = parse(OrderPatch, data)
    faults += _faults(depot, {"pickup": order.pickup} | {name: value for name, value in right.items() if value is not None}
                      | {"kind": order.kind, "dispatch": order.dispatch})  # fmt: skip
    if wanted is None or faults:
        raise invalid(faults)
    changed = replace(
        order,
        location=wanted.location.location() if wanted.location else order.location,
        kerb=wanted.kerb or order.kerb,
        windows=order.windows if wanted.windows is None else _windows(wanted.windows),
        hard=order.hard if wanted.lateness is None else wanted.lateness == "hard",
        service_time=order.service_time if wanted.service_time is None else wanted.service_time,
        demand=order.demand if wanted.demand is None else tuple(wanted.demand.get(name, 0) for name in depot.dimensions),
        skills=order.skills if wanted.skills is None else tuple(sorted(set(wanted.skills))),
        priority=order.priority if wanted.priority is None else wanted.priority,
        setup_time=order.setup_time if wanted.setup_time is None else wanted.setup_time,
        promised_by=order.promised_by if wanted.promised_by is None else seconds(wanted.promised_by),
        excluded_drivers=order.excluded_drivers if wanted.excluded_drivers is None else tuple(sorted(set(wanted.excluded_drivers))),
        pin=order.pin if wanted.pin is None else _pin(wanted.pin),
        pickup=order.pickup if wanted.pickup is None else _pickup(wanted.pickup),
    )
    print_ = writers.fingerprint([order.id, data, expected])
    result = writers.change_order(
        store(), changed, expected=expected, print_=print_, now=context.now(),
        personal=wanted.recipient.fields() if wanted.recipient else {},
    )  # fmt: skip
    if result[0] == "stale" and readers.fingerprint(store(), depot.id, order.id) != print_:  # else it was this very call
        raise ApiProblem(409, "changed_meanwhile", "The order changed while this was under way.", "Read it and try again.")
    if result[0] not in ("changed", "stale"):
        raise _too_late(result)
    return view(depot, changed)


@blueprint.delete("/v1/orders/<order_id>")
@allow(Role.OPERATOR, Role.SHIPPER)
@describe({200: OrderView}, problems=(409,))
def cancel(order_id: str) -> dict[str, Any]:
    """Cancel an open order, even one that is being driven to."""
    depot, order = my_record("orders", order_id)
    now = context.now()
    result = writers.cancel_order(store(), order, now=now, at=depot.clock.depot(now))
    if result[0] == "closed":
        raise _too_late(result)
    return view(depot, order)


def _too_late(result: list[str]) -> ApiProblem:
    return ApiProblem(409, "too_late", f"The order is {result[1] or 'closed'}.", "Orders change while nobody has started them.")


@blueprint.delete("/v1/orders/<order_id>/personal")
@allow(Role.OPERATOR, Role.SHIPPER)
@describe({204: None})
def erase(order_id: str) -> tuple[str, int]:
    """Erase the recipient's name, phone and note."""
    depot, order = my_record("orders", order_id)
    writers.erase_personal(store(), depot.id, order.id)
    return "", 204


def view(depot: Depot, order: Order) -> dict[str, Any]:
    """An order as the API shows it: what was asked, and what has become of it."""
    known = readers.personal(store(), depot.id, order.id)
    recipient = {name: value for name, value in known.items() if "proof_" not in name}
    shown = _status(depot, order)
    for what in ("proof", "pickup_proof"):
        of = what + "_"
        proof: dict[str, Any] = {name.removeprefix(of): value for name, value in known.items() if name.startswith(of)}
        if "photos" in proof:
            proof["photos"] = json.loads(proof["photos"])
        shown |= {what: proof} if proof else {}
    return _shown(depot, order, recipient, shown)


def _shown(depot: Depot, order: Order, recipient: dict[str, str], status: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": order.id, "depot_id": order.depot_id, "external_id": order.external_id, "kind": order.kind,
        "location": codec.builtins(order.location), "kerb": order.kerb,
        "windows": [{"from": iso(w.start), "to": iso(w.end)} for w in order.windows],
        "lateness": "hard" if order.hard else "soft", "service_time": order.service_time,
        "demand": dict(zip(depot.dimensions, order.demand, strict=True)), "skills": list(order.skills),
        "priority": order.priority, "recipient": recipient, "dispatch": order.dispatch,
        "setup_time": order.setup_time, "promised_by": iso(order.promised_by) if order.promised_by else None,
        "created_at": iso(order.created_at), "stop_id": order.stop_id,
    } | _more(order) | status  # fmt: skip


def _more(order: Order) -> dict[str, Any]:
    """The other end of a transport; and for operators, what they have decided of an order."""
    shown: dict[str, Any] = {}
    if order.pickup is not None:
        windows = [{"from": iso(w.start), "to": iso(w.end)} for w in order.pickup.windows]
        shown["pickup"] = codec.builtins(order.pickup) | {"windows": windows, "stop_id": order.stop_ids[0]}
    if caller().role is Role.OPERATOR:
        not_before = iso(order.pin.not_before) if order.pin.not_before else None
        shown |= {"pin": codec.builtins(order.pin) | {"not_before": not_before}, "excluded_drivers": list(order.excluded_drivers)}
    return shown


def _status(depot: Depot, order: Order) -> dict[str, Any]:
    """Joined at reading: progress beats the plan, and before any plan an order is `accepted`."""
    known = readers.progress_of(store(), depot.id, list(order.stop_ids))
    progress = known.get(order.stop_id)
    if progress is None and order.pickup is not None and (pickup := known.get(order.stop_ids[0])) is not None:
        if pickup.state is StopState.FAILED:
            progress = pickup
        elif pickup.state is StopState.COMPLETED:
            return {"status": "picked_up", "picked_up_at": iso(pickup.left or 0)}
    if progress is not None:
        times = {"arrived_at": progress.arrived, "left_at": progress.left}
        told = {name: iso(value) for name, value in times.items() if value}
        return {"status": progress.state} | told | ({"inferred": True} if progress.inferred else {}) | _eta(depot, order)
    if store().hexists(keys.depot_key(depot.id, "aside"), order.id):
        return {"status": "unassigned", "reasons": [{"code": ReasonCode.SET_ASIDE}]}
    text = store().hget(keys.depot_key(depot.id, "unassigned"), order.id)
    if text is not None:
        reasons = codec.loads(text, Unassigned).reasons
        shown = [codec.builtins(reason) for reason in reasons]
        if caller().role is Role.SHIPPER:  # whose drivers they are is not a shipper's business
            shown = [{name: value for name, value in reason.items() if name != "driver_id"} for reason in shown]
        return {"status": "unassigned", "reasons": shown}
    if order.dispatch is not Dispatch.PLANNED and store().sismember(keys.depot_key(depot.id, "unmatched"), order.id):
        return _offered(depot, order)
    assigned = store().hexists(keys.depot_key(depot.id, "stop_shift"), order.stop_id)
    return {"status": "planned", **_eta(depot, order)} if assigned else {"status": "accepted"}


def _offered(depot: Depot, order: Order) -> dict[str, Any]:
    """Where the search for a driver stands; who is asked is only the operator's business."""
    offer = readers.offer(store(), depot.id, order.id)
    if offer is None:
        return {"status": "matching"}
    told = {"expires_at": offer.view["expires_at"], "wait": offer.wait}
    return {"status": "offered", "offer": told | ({"driver_id": offer.driver_id} if caller().role is Role.OPERATOR else {})}


def _eta(depot: Depot, order: Order) -> dict[str, Any]:
    """When its driver will arrive, as far as anything is expected."""
    found = readers.etas(store(), depot.id, order.stop_ids).get(order.stop_id)
    return {"eta": eta_view(found)} if found else {}
