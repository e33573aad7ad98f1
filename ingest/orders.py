"""Orders: how one is made of a request, where it stands, and how the API shows it."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ingest.auth import Principal, Role
from ingest.faults import dimension_faults, place_faults
from ingest.problems import ApiProblem, Fault, full
from ingest.schemas import OrderIn, OrderPatch, PickupIn, PinIn, RelationIn, Window, eta_view, iso, seconds, window_view
from ingest.store import readers
from ingest.store.connection import Store
from routing import codec
from routing.model import (
    Depot,
    Dispatch,
    Order,
    OrderKind,
    Pickup,
    Pin,
    ReasonCode,
    Relation,
    RelationKind,
    StopProgress,
    StopState,
    TimeWindow,
)

if TYPE_CHECKING:  # who reads no map loads no kernels
    from routing.roads.snapping import Snapper

_ALPHABET = b"0123456789abcdefghjkmnpqrstvwxyz" * 8
"""For each byte a letter or digit that is not taken for another."""


def made(depot: Depot, wanted: OrderIn, *, shipper: str, now: float, token: str | None = None) -> Order:
    """A new order as a request describes it; `now` is real time (s). Its id is always the same for a `token`, else its own."""
    return Order(
        id=id_of(depot, token), depot_id=depot.id, tenant=depot.tenant,
        shipper=shipper, kind=wanted.kind, location=wanted.location.location(), windows=_windows(wanted.windows),
        hard=wanted.lateness == "hard", service_time=wanted.service_time,
        demand=tuple(wanted.demand.get(name, 0) for name in depot.dimensions), skills=tuple(sorted(set(wanted.skills))),
        priority=wanted.priority, external_id=wanted.external_id, created_at=depot.clock.depot(now), kerb=wanted.kerb,
        setup_time=wanted.setup_time, promised_by=seconds(wanted.promised_by) if wanted.promised_by else None,
        excluded_drivers=tuple(sorted(set(wanted.excluded_drivers))), pin=_pin(wanted.pin),
        pickup=_pickup(wanted.pickup) if wanted.pickup else None, dispatch=wanted.dispatch, relations=_relations(wanted.relations),
    )  # fmt: skip


def id_of(depot: Depot, token: str | None) -> str:
    """A new order's id: of the same `token` always the same."""
    raw = secrets.token_bytes(12) if token is None else hashlib.sha256(token.encode()).digest()[:12]
    return f"{depot.id}.o{raw.translate(_ALPHABET).decode()}"


def changed(depot: Depot, order: Order, wanted: OrderPatch) -> Order:
    """An order with what a request wants changed."""
    return still_promised(order, replace(
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
        relations=order.relations if wanted.relations is None else _relations(wanted.relations),
    ))  # fmt: skip


QUOTED = ("location", "kerb", "windows", "hard", "service_time", "setup_time", "demand", "skills", "pickup")
"""What a quote's promise rests on."""


def still_promised(before: Order, after: Order) -> Order:
    """The changed order, which keeps a promise that was given for it if it asks for the same."""
    same = all(getattr(before, name) == getattr(after, name) for name in QUOTED)
    return replace(after, confirmed=before.confirmed and same)


def match_at(depot: Depot, order: Order, now: float) -> float | None:
    """When an order that cannot wait is to be matched (real s); None for one that waits for a plan."""
    if order.dispatch is Dispatch.PLANNED:
        return None
    return now if order.dispatch is Dispatch.EMERGENCY else now + depot.policy.match_wait


def _pin(pin: PinIn) -> Pin:
    return Pin(pin.driver_id, pin.position, seconds(pin.not_before) if pin.not_before else None)


def _relations(relations: Sequence[RelationIn]) -> tuple[Relation, ...]:
    return tuple(Relation(one.kind, one.order_id, one.external_id) for one in relations)


def _pickup(pickup: PickupIn) -> Pickup:
    return Pickup(pickup.location.location(), pickup.kerb, _windows(pickup.windows), pickup.service_time, pickup.setup_time)


def _windows(windows: list[Window]) -> tuple[TimeWindow, ...]:
    return tuple(sorted((TimeWindow(seconds(w.start), seconds(w.end)) for w in windows), key=lambda w: w.start))


@dataclass(frozen=True, slots=True)
class Rules:
    """What a schema cannot see of an order: the depot's dimensions and map, its drivers, and who asks."""

    client: Store
    depot: Depot
    snapper: Snapper | None
    """None: places are looked at elsewhere, all at once."""
    who: Principal

    def faults(self, right: dict[str, Any]) -> list[Fault]:
        """All there are in those fields of a request that have the right form."""
        faults = place_faults(self.snapper, right.get("location"), "/location") if self.snapper else []
        faults += dimension_faults(self.depot, right.get("demand") or {}, "/demand")
        if right.get("kind") is OrderKind.SERVICE and any((right.get("demand") or {}).values()):
            faults.append(Fault("inconsistent", "/demand", "A service has no goods.", "Leave demand out, or change kind."))
        faults += _overlaps(right.get("windows") or [], "/windows")
        if (right.get("kind") is OrderKind.TRANSPORT) != (right.get("pickup") is not None) and "kind" in right:
            faults.append(Fault("inconsistent", "/pickup", "Only a transport has a pickup.", "Give it, or change kind."))
        if isinstance(right.get("pickup"), PickupIn):
            faults += place_faults(self.snapper, right["pickup"].location, "/pickup/location") if self.snapper else []
            faults += _overlaps(right["pickup"].windows, "/pickup/windows")
        return faults + self._drivers(right) + self._relations(right) + self._dispatch(right)

    def _relations(self, right: dict[str, Any]) -> list[Fault]:
        """Orders that are named by their ids are there, and the caller's; those by external ids may come later."""
        named = [one.order_id for one in right.get("relations") or []]
        found = {order.id: order for order in readers.records_of(self.client, "orders", self.depot.id, list(filter(None, named)))}
        mine = {key for key, order in found.items() if self.who.role is Role.OPERATOR or order.shipper == self.who.account}
        faults = [Fault("unknown_id", f"/relations/{index}/order_id", f"You have no order {key!r} at depot {self.depot.id!r}.",
                        "Use its full id, or its external_id.")
                  for index, key in enumerate(named) if key is not None and key not in mine]  # fmt: skip
        itself = right.get("external_id")
        others: dict[str, set[bool]] = {}
        for index, one in enumerate(right.get("relations") or []):
            if itself is not None and one.external_id == itself:
                faults.append(Fault("inconsistent", f"/relations/{index}/external_id", "It is the order itself.", "Name another."))
            apart = others.setdefault(one.order_id or f"={one.external_id}", set())
            apart.add(one.kind is RelationKind.NOT_TOGETHER)
            if len(apart) > 1:
                faults.append(Fault("inconsistent", f"/relations/{index}/kind", "It is both to be with that order and not to be.",
                                    "Leave one out."))  # fmt: skip
        if named and right.get("dispatch", Dispatch.PLANNED) is not Dispatch.PLANNED:
            faults.append(Fault("inconsistent", "/relations", "What cannot wait is offered for itself.",
                                "Leave them out, or have it planned."))  # fmt: skip
        return faults

    def _dispatch(self, right: dict[str, Any]) -> list[Fault]:
        """What cannot be asked of an order that cannot wait."""
        if right.get("dispatch", Dispatch.PLANNED) is Dispatch.PLANNED:
            return []
        faults = []
        if right.get("kind") is OrderKind.DELIVERY:
            faults.append(Fault("inconsistent", "/kind", "The goods of a delivery are at the depot, and cannot be fetched at once.",
                                "Make it a transport with its pickup, or let it be planned."))  # fmt: skip
        pickup = right.get("pickup")
        if right.get("windows") or (isinstance(pickup, PickupIn) and pickup.windows) or (right.get("pin") or PinIn()).not_before:
            faults.append(Fault("inconsistent", "/windows", "What cannot wait has no windows.",
                                "Leave them out, or have it planned."))  # fmt: skip
        if right.get("dispatch") is Dispatch.EMERGENCY and self.who.role is not Role.OPERATOR:
            faults.append(Fault("inconsistent", "/dispatch", "Only operators call emergencies.", "Say `immediate`."))
        return faults

    def _drivers(self, right: dict[str, Any]) -> list[Fault]:
        """Only operators decide who drives where, and only their own drivers do."""
        pin, excluded = right.get("pin") or PinIn(), right.get("excluded_drivers") or []
        if self.who.role is not Role.OPERATOR and (pin != PinIn() or excluded):
            return [Fault("unknown_field", "/pin" if pin != PinIn() else "/excluded_drivers", "Only operators decide who drives.",
                          "Leave it out.")]  # fmt: skip
        named = [("/pin/driver_id", pin.driver_id)] if pin.driver_id else []
        named += [(f"/excluded_drivers/{index}", driver) for index, driver in enumerate(excluded)]
        faults = [Fault("unknown_id", where, f"{driver!r} is no driver of depot {self.depot.id!r}.", "Use its full id.")
                  for where, driver in named if readers.record(self.client, "drivers", self.depot.id, driver) is None]  # fmt: skip
        if isinstance(pin.position, int) and right.get("pickup"):
            faults.append(Fault("inconsistent", "/pin/position", "A transport has two stops, which cannot have one number.",
                                "Pin it `first` or `last`, or split it into two orders."))  # fmt: skip
        if pin.driver_id in excluded:
            faults.append(Fault("inconsistent", "/pin/driver_id", "It is pinned to a driver it excludes.", "Leave one out."))
        return faults


def _overlaps(windows: Sequence[Window], where: str) -> list[Fault]:
    ordered = sorted(windows, key=lambda window: window.start)
    if any(a.end >= b.start for a, b in zip(ordered, ordered[1:], strict=False)):
        return [Fault("overlap", where, "The windows overlap.", "Join them.")]
    return []


def refusal(order: Order, result: Sequence[str]) -> ApiProblem | None:
    """What is answered where `writers.create_orders` has not made an order: its result, unless there is one now."""
    what, told = result[:2]
    if what == "full":
        return full(f"{told} orders are open at this depot; it takes no more.", "max_open_orders")
    if what == "key_reused":
        return ApiProblem(422, "idempotency_key_reused", "This Idempotency-Key was used with another body.", "Use a new key.",
                          extra={"order_id": told})  # fmt: skip
    if what == "cancelled":
        return ApiProblem(409, "duplicate", f"Your order with external_id {order.external_id!r} is cancelled.",
                          "PUT it by its external_id to order it again, or use another one.", extra={"order_id": told})  # fmt: skip
    if what == "duplicate":
        return ApiProblem(409, "duplicate", f"You have an order with external_id {order.external_id!r} and other values.",
                          "PATCH or PUT that order, or use another external_id.", extra={"order_id": told})  # fmt: skip
    return None


NEW = {Dispatch.PLANNED: "accepted", Dispatch.IMMEDIATE: "matching", Dispatch.EMERGENCY: "matching"}
"""The status of an order that nobody can have done anything with yet."""


def standings(client: Store, depot: Depot, orders: Sequence[Order]) -> list[dict[str, Any]]:
    """What has become of each order: its status and what belongs to that, as an operator may see it.

    Joined at reading: progress beats the plan, and before any plan an order is `accepted`.
    """
    rows = readers.order_states(client, depot.id, orders)
    return [_reserved(order, _standing(order, row)) for order, row in zip(orders, rows, strict=True)]


def _reserved(order: Order, standing: dict[str, Any]) -> dict[str, Any]:
    """An order that is held but not confirmed is that first, as long as nobody has begun it."""
    if order.reserved_until is None or standing["status"] not in ("accepted", "planned"):
        return standing
    return standing | {"status": "reserved", "reserved_until": iso(order.reserved_until)}


def _standing(order: Order, row: readers.OrderState) -> dict[str, Any]:
    eta = {"eta": eta_view(row.eta)} if row.eta else {}
    progress: StopProgress | None = row.progress.get(order.stop_id)
    if progress is None and order.pickup is not None and (pickup := row.progress.get(order.stop_ids[0])) is not None:
        if pickup.state is StopState.FAILED:
            progress = pickup
        elif pickup.state is StopState.COMPLETED:
            return {"status": "picked_up", "picked_up_at": iso(pickup.left or 0)} | eta
        elif pickup.state in (StopState.EN_ROUTE, StopState.ARRIVED):
            return {"status": "planned"} | eta
    if progress is not None:
        times = {"arrived_at": progress.arrived, "left_at": progress.left}
        told = {name: iso(value) for name, value in times.items() if value}
        return {"status": progress.state} | told | ({"inferred": True} if progress.inferred else {}) | eta
    if row.aside:
        return {"status": "unassigned", "reasons": [{"code": ReasonCode.SET_ASIDE}]}
    if row.unassigned is not None:
        return {"status": "unassigned", "reasons": [codec.builtins(reason) for reason in row.unassigned.reasons]}
    if order.dispatch is not Dispatch.PLANNED and row.unmatched:
        if row.offer is None:
            return {"status": "matching"}
        offer = {"expires_at": row.offer.view["expires_at"], "wait": row.offer.wait, "driver_id": row.offer.driver_id}
        return {"status": "offered", "offer": offer}
    return {"status": "planned", **eta} if row.shift else {"status": "accepted"}


def views(client: Store, depot: Depot, orders: Sequence[Order], who: Principal) -> list[dict[str, Any]]:
    """Orders as the API shows them: what was asked, and what has become of it."""
    known = readers.personals(client, depot.id, [order.id for order in orders])
    rows = zip(orders, known, standings(client, depot, orders), strict=True)
    return [shown(depot, order, personal, standing, who) for order, personal, standing in rows]


def shown(depot: Depot, order: Order, personal: dict[str, str], standing: dict[str, Any], who: Principal) -> dict[str, Any]:
    """One order as the API shows it. Whose drivers they are is not a shipper's business."""
    return {
        "id": order.id, "depot_id": order.depot_id, "external_id": order.external_id, "kind": order.kind,
        "location": codec.builtins(order.location), "kerb": order.kerb,
        "windows": [window_view(window) for window in order.windows],
        "lateness": "hard" if order.hard else "soft", "service_time": order.service_time,
        "demand": dict(zip(depot.dimensions, order.demand, strict=True)), "skills": list(order.skills),
        "priority": order.priority, "dispatch": order.dispatch,
        "recipient": {name: value for name, value in personal.items() if "proof_" not in name},
        "setup_time": order.setup_time, "promised_by": iso(order.promised_by) if order.promised_by else None,
        "created_at": iso(order.created_at), "stop_id": order.stop_id,
    } | _more(order, who) | (standing if who.role is Role.OPERATOR else without_drivers(standing)) | _proofs(personal)  # fmt: skip


def without_drivers(standing: dict[str, Any]) -> dict[str, Any]:
    """What of a standing a shipper may see."""
    shown = {name: value for name, value in standing.items() if name != "driver_id"}
    if "reasons" in shown:
        shown["reasons"] = [_nameless(reason) for reason in shown["reasons"]]
    if "offer" in shown:
        shown["offer"] = _nameless(shown["offer"])
    return shown


def _nameless(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "driver_id"}


def _proofs(personal: dict[str, str]) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    for what in ("proof", "pickup_proof"):
        of = what + "_"
        proof: dict[str, Any] = {name.removeprefix(of): value for name, value in personal.items() if name.startswith(of)}
        if "photos" in proof:
            proof["photos"] = json.loads(proof["photos"])
        shown |= {what: proof} if proof else {}
    return shown


def _more(order: Order, who: Principal) -> dict[str, Any]:
    """The other end of a transport, and what an order is bound to; and for operators, what they have decided of an order."""
    shown: dict[str, Any] = {}
    if order.pickup is not None:
        windows = [window_view(window) for window in order.pickup.windows]
        shown["pickup"] = codec.builtins(order.pickup) | {"windows": windows, "stop_id": order.stop_ids[0]}
    shown["relations"] = [{name: value for name, value in codec.builtins(one).items() if value is not None}
                          for one in order.relations]  # fmt: skip
    if who.role is Role.OPERATOR:
        not_before = iso(order.pin.not_before) if order.pin.not_before else None
        shown |= {"pin": codec.builtins(order.pin) | {"not_before": not_before}, "excluded_drivers": list(order.excluded_drivers)}
    return shown
