"""Orders: accept one or many, read, change, cancel."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from flask import Blueprint, request

from ingest import context, orders
from ingest.auth import Principal, Role
from ingest.context import allow, caller, my_depot, my_record, snapper_of, store
from ingest.openapi import describe
from ingest.parsing import body, checked, headers, parse, query
from ingest.problems import ApiProblem, Fault, content, invalid, not_found
from ingest.schemas import ChangeHeaders, DepotQuery, DryRunQuery, IdempotencyHeaders, OrderIn, OrderPatch, OrdersIn, OrdersQuery
from ingest.store import readers, writers
from ingest.store.writers import NewOrder
from ingest.views import BatchView, DryRunView, OrdersView, OrderView
from routing.model import Depot, Order

blueprint = Blueprint("orders", __name__)

PAGE = 100
STEP = 500
LOOKED = 10_000
"""So many orders at most, of all shippers, are looked through for a page of one."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """An order that may be accepted, and the depot it is for."""

    depot: Depot
    new: NewOrder


@blueprint.post("/v1/orders")
@allow(Role.OPERATOR, Role.SHIPPER)
@describe({201: OrderView, 200: OrderView | DryRunView}, body=OrderIn, query=DryRunQuery, headers=IdempotencyHeaders,
          problems=(409,))  # fmt: skip
def accept() -> tuple[dict[str, Any], int, dict[str, str]]:
    """Accept an order: 201 means durable and readable at once.

    The same `Idempotency-Key` or `external_id` with the same body answers again without a second order; with
    another body it is refused.
    """
    dry, token = query(DryRunQuery).dry_run, headers(IdempotencyHeaders).idempotency_key
    asked = _asked(body(), token, "")
    return _accepted(asked, writers.create_orders(store(), [asked.new], now=context.now(), dry=dry)[0], dry)


@blueprint.post("/v1/orders:batch")
@allow(Role.OPERATOR, Role.SHIPPER)
@describe({200: BatchView}, body=OrdersIn, query=DryRunQuery, headers=IdempotencyHeaders, problems=(404,))
def accept_all() -> dict[str, Any]:
    """Accept up to 1000 orders; each has its own result, as if it had been sent alone.

    An `Idempotency-Key` is for the batch: sent again with the same orders in the same places, none is accepted twice.
    """
    dry, token = query(DryRunQuery).dry_run, headers(IdempotencyHeaders).idempotency_key
    wanted = checked(OrdersIn, body())
    results: list[Any] = [None] * len(wanted.orders)
    good: list[tuple[int, _Asked]] = []
    for number, data in enumerate(wanted.orders):
        try:
            good.append((number, _asked(data, f"{token}\n{number}" if token else None, f"/orders/{number}")))
        except ApiProblem as problem:
            results[number] = problem
    answers = writers.create_orders(store(), [asked.new for _, asked in good], now=context.now(), dry=dry)
    for (number, asked), answer in zip(good, answers, strict=True):
        try:
            order, status, _ = _accepted(asked, answer, dry)
            results[number] = {"status": status} | (order if dry else {"order": order})
        except ApiProblem as problem:
            results[number] = problem
    refused = {number: result for number, result in enumerate(results) if isinstance(result, ApiProblem)}
    for number, why in refused.items():
        results[number] = {"status": why.status, "problem": content(why)}
    return {"results": results, "accepted": len(results) - len(refused), "refused": len(refused)}


def _asked(data: Any, token: str | None, where: str) -> _Asked:
    """A new order, if there is nothing wrong with its request; `where` it stands in the body."""
    wanted, right, faults = parse(OrderIn, data)
    who = caller()
    depot = my_depot(right["depot_id"], recent=True) if "depot_id" in right else None
    if depot is not None:
        faults += _rules(depot, who).faults(right)
    if wanted is None or depot is None or faults:
        raise invalid([replace(fault, pointer=where + fault.pointer) for fault in faults])
    order = orders.made(depot, wanted, shipper=who.account, now=context.now())
    recipient = wanted.recipient.fields() if wanted.recipient else {}
    return _Asked(depot, NewOrder(order, writers.fingerprint(data), token, recipient, orders.match_at(depot, order, context.now())))


def _rules(depot: Depot, who: Principal) -> orders.Rules:
    return orders.Rules(store(), depot, snapper_of(depot), who)


def _accepted(asked: _Asked, answer: list[str], dry: bool) -> tuple[dict[str, Any], int, dict[str, str]]:
    """What is answered to an order that was created, or has been before."""
    result, order_id = answer[:2]
    depot, order = asked.depot, asked.new.order
    if (refused := orders.refusal(order, answer)) is not None:
        raise refused
    if result == "created":  # nobody can have done anything with it yet
        status = {"status": orders.NEW[order.dispatch]}
        shown = orders.shown(depot, order, asked.new.personal, status, caller())
        if dry:
            return {"dry_run": True, "result": "created", "order": shown}, 200, {}
        return shown, 201, {"Location": f"/v1/orders/{order_id}", "ETag": f'"{answer[2]}"'}
    stored: Order = readers.record(store(), "orders", depot.id, order_id) or order
    shown, said = _view(depot, stored), {"Location": f"/v1/orders/{order_id}", "Idempotent-Replayed": "true"}
    return ({"dry_run": True, "result": "replayed", "order": shown} if dry else shown), 200, said | _tag(order_id)


def _view(depot: Depot, order: Order) -> dict[str, Any]:
    return orders.views(store(), depot, [order], caller())[0]


def _tag(order_id: str) -> dict[str, str]:
    return {"ETag": f'"{readers.record_revision(store(), order_id)}"'}


@blueprint.get("/v1/orders")
@allow(Role.OPERATOR, Role.SHIPPER)
@describe({200: OrdersView}, query=OrdersQuery)
def listing() -> dict[str, Any]:
    """The caller's orders of a depot, oldest first, a hundred a page."""
    asked, who = query(OrdersQuery), caller()
    depot = my_depot(asked.depot_id)
    mine: list[Order] = []
    cursor, more, looked = asked.cursor, True, 0
    while more and len(mine) < PAGE and looked < LOOKED:
        page = readers.order_page(store(), depot.id, after=cursor, limit=PAGE - len(mine) if who.role is Role.OPERATOR else STEP)
        found = {row.id: row for row in readers.records_of(store(), "orders", depot.id, [order_id for _, order_id in page])}
        more = bool(page)
        for after, order_id in page:
            order, cursor, looked = found.get(order_id), after, looked + 1
            mine += [order] if order is not None and (who.role is Role.OPERATOR or order.shipper == who.account) else []
            if len(mine) == PAGE:
                break
    return {"orders": orders.views(store(), depot, mine, who), "next_cursor": str(cursor) if more else None}


@blueprint.get("/v1/orders/<order_id>")
@allow(Role.OPERATOR, Role.SHIPPER)
@describe({200: OrderView})
def one(order_id: str) -> tuple[dict[str, Any], int, dict[str, str]]:
    """One order with its status and, if nobody can serve it, why.

    `ETag` is the revision of what was asked, for `If-Match`; the status may change without it.
    """
    return _one(order_id)


def _one(order_id: str) -> tuple[dict[str, Any], int, dict[str, str]]:
    tag = _tag(order_id)  # before the order itself: a change in between is noticed
    depot, order = my_record("orders", order_id)
    return _view(depot, order), 200, tag


@blueprint.get("/v1/orders/by-external-id/<anything:external_id>")
@allow(Role.OPERATOR, Role.SHIPPER)
@describe({200: OrderView}, query=DepotQuery)
def by_external_id(external_id: str) -> tuple[dict[str, Any], int, dict[str, str]]:
    """One of the caller's own orders, by the id that the caller gave it."""
    depot = my_depot(query(DepotQuery).depot_id)
    order_id = readers.external(store(), depot.id, caller().account, external_id)
    if order_id is None:
        raise not_found("order with external_id", external_id)
    return _one(order_id)


@blueprint.put("/v1/orders/by-external-id/<anything:external_id>")
@allow(Role.OPERATOR, Role.SHIPPER)
@describe({201: OrderView, 200: OrderView | DryRunView}, body=OrderIn, query=DryRunQuery, headers=ChangeHeaders,
          problems=(409, 412))  # fmt: skip
def put(external_id: str) -> tuple[dict[str, Any], int, dict[str, str]]:
    """Make the order with this `external_id` be as the body says: it is accepted if there is none, else replaced.

    What the body leaves out gets its default. An order that is so already stays as it is, and nothing is planned anew. One that was
    cancelled is ordered again: it is a new one.
    """
    data = body()
    if isinstance(data, dict) and data.setdefault("external_id", external_id) != external_id:
        raise invalid([Fault("inconsistent", "/external_id", "It is another than that of the path.", "Leave it out.")])
    dry, asked = query(DryRunQuery).dry_run, _asked(data, None, "")
    known = readers.external(store(), asked.depot.id, caller().account, external_id)
    if known is None or _cancelled(known):
        if headers(ChangeHeaders).if_match is not None and known is None:
            raise _changed_meanwhile()
        if known is not None:
            _check(readers.record_revision(store(), known))
        answer = writers.create_orders(store(), [replace(asked.new, again=True)], now=context.now(), dry=dry)[0]
        if answer[0] != "duplicate":
            return _accepted(asked, answer, dry)
        known = answer[1]  # somebody was faster
    expected = readers.record_revision(store(), known)
    depot, before = my_record("orders", known)
    _check(expected)
    _not_reserved(before)
    wanted = asked.new.order
    if (wanted.kind, wanted.dispatch) != (before.kind, before.dispatch):
        raise invalid([Fault("inconsistent", "/kind", f"The order is a {before.dispatch} {before.kind}, and stays that.",
                             "Cancel it, and make another with an external_id of its own.")])  # fmt: skip
    if readers.fingerprint(store(), depot.id, before.id) == asked.new.print:
        shown = _view(depot, before)
        return ({"dry_run": True, "result": "unchanged", "order": shown} if dry else shown), 200, _tag(before.id)
    after = orders.still_promised(before, replace(wanted, id=before.id, created_at=before.created_at))
    if caller().role is not Role.OPERATOR:  # what operators have decided is not the shipper's to undo
        after = replace(after, pin=before.pin, excluded_drivers=before.excluded_drivers)
    return _replace(depot, after, asked.new.print, asked.new.personal, expected, dry, whole=True)


@blueprint.patch("/v1/orders/<order_id>")
@allow(Role.OPERATOR, Role.SHIPPER)
@describe({200: OrderView | DryRunView}, body=OrderPatch, query=DryRunQuery, headers=ChangeHeaders, problems=(409, 412))
def change(order_id: str) -> tuple[dict[str, Any], int, dict[str, str]]:
    """Change an open order whose stop nobody has started; what the body leaves out stays."""
    dry, expected = query(DryRunQuery).dry_run, readers.record_revision(store(), order_id)
    depot, order = my_record("orders", order_id)
    data = body()
    if not _cancelled(order_id):
        _not_reserved(order)
    wanted, right, faults = parse(OrderPatch, data)
    told = {name: value for name, value in right.items() if value is not None}
    faults += _rules(depot, caller()).faults({"pickup": order.pickup} | told | {"kind": order.kind, "dispatch": order.dispatch})
    if wanted is None or faults:
        raise invalid(faults)
    _check(expected)
    print_ = writers.fingerprint([order.id, data, expected])
    recipient = wanted.recipient.fields() if wanted.recipient else {}
    return _replace(depot, orders.changed(depot, order, wanted), print_, recipient, expected, dry)


def _cancelled(order_id: str) -> bool:
    depot, order = my_record("orders", order_id)
    return bool(orders.standings(store(), depot, [order])[0]["status"] == "cancelled")


def _not_reserved(order: Order) -> None:
    """What a quote holds is what was quoted, until it is confirmed."""
    if order.reserved_until is not None:
        raise ApiProblem(409, "reserved", "This order is held by a quote, and not confirmed.", "Confirm or cancel it first.",
                         extra={"order_id": order.id})  # fmt: skip


def _check(revision: int) -> None:
    """Refuse to change an order that is not what `If-Match` names; its revision was read first, so no change is overlooked."""
    if headers(ChangeHeaders).if_match is not None and not request.if_match.contains(str(revision)):
        raise _changed_meanwhile()


def _changed_meanwhile() -> ApiProblem:
    return ApiProblem(412, "changed_meanwhile", "The order is not what If-Match names.", "Read it, and decide again.")


def _replace(depot: Depot, order: Order, print_: str, recipient: dict[str, str], expected: int, dry: bool, *,
             whole: bool = False) -> tuple[dict[str, Any], int, dict[str, str]]:  # fmt: skip
    result = writers.change_order(store(), order, expected=expected, print_=print_, now=context.now(), personal=recipient, dry=dry,
                                  whole=whole)  # fmt: skip
    if result[0] == "stale" and readers.fingerprint(store(), depot.id, order.id) != print_:  # else it was this very call
        raise ApiProblem(409, "changed_meanwhile", "The order changed while this was under way.", "Read it and try again.")
    if result[0] not in ("changed", "stale"):
        raise _too_late(result)
    shown = _view(depot, order)
    return ({"dry_run": True, "result": "changed", "order": shown} if dry else shown), 200, _tag(order.id)


@blueprint.delete("/v1/orders/<order_id>")
@allow(Role.OPERATOR, Role.SHIPPER)
@describe({200: OrderView | DryRunView}, query=DryRunQuery, headers=ChangeHeaders, problems=(409, 412))
def cancel(order_id: str) -> tuple[dict[str, Any], int, dict[str, str]]:
    """Cancel an open order, even one that is being driven to. Cancelled twice is cancelled."""
    dry, wanted, revision = query(DryRunQuery).dry_run, headers(ChangeHeaders).if_match, readers.record_revision(store(), order_id)
    depot, order = my_record("orders", order_id)
    _check(revision)
    now = context.now()
    result = writers.cancel_order(store(), order, now=now, at=depot.clock.depot(now), dry=dry,
                                  expected=revision if wanted else None)  # fmt: skip
    if result[0] == "stale":
        raise _changed_meanwhile()
    if result[0] == "closed":
        raise _too_late(result)
    shown = _view(depot, order)
    return ({"dry_run": True, "result": "cancelled", "order": shown} if dry else shown), 200, _tag(order.id)


def _too_late(result: list[str]) -> ApiProblem:
    return ApiProblem(409, "too_late", f"The order is {result[1] or 'closed'}.", "Orders change while nobody has started them.")


@blueprint.delete("/v1/orders/<order_id>/personal")
@allow(Role.OPERATOR, Role.SHIPPER)
@describe({204: None})
def erase(order_id: str) -> tuple[str, int]:
    """Erase the recipient's name, phone and note, and what proves how the stop was made."""
    depot, order = my_record("orders", order_id)
    writers.erase_personal(store(), depot.id, order.id)
    return "", 204
