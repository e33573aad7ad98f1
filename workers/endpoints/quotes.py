"""Quotes: ask before ordering which windows can still be served, and hold one for a minute."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from flask import Blueprint

from ingest import context, orders
from ingest.auth import Role
from ingest.context import allow, caller, my_depot, my_record, services, snapper_of, store
from ingest.openapi import describe
from ingest.parsing import body, checked, parse
from ingest.problems import ApiProblem, Fault, invalid, not_found
from ingest.schemas import AcceptIn, OrderIn, QuoteIn, iso, seconds, window_view
from ingest.store import readers, writers
from ingest.store.writers import NewOrder
from ingest.views import OrderView
from routing.model import Depot, Dispatch, Order, TimeWindow, depot_of
from routing.solve.quote import Offer
from workers import quotes
from workers.views import QuoteView, ReservationView

blueprint = Blueprint("quotes", __name__)

TRIES = 8
"""So often it is looked again whether a window can be held, if something happens meanwhile."""


@blueprint.post("/v1/quotes")
@allow(Role.OPERATOR, Role.SHIPPER, scope="read")
@describe({200: QuoteView}, body=QuoteIn, problems=(404,))
def ask() -> dict[str, Any]:
    """Windows that can still be served for an order that is not there yet, and what each would cost more.

    Nothing is changed. `windows` are judged as hard ones (of the pickup, for a transport); without them it is the next hours.
    `extra_cost` is in seconds of driving, all of the depot's prices included; `begin` is when service would begin.
    """
    data = body()
    wanted = checked(QuoteIn, data)
    depot, asked = my_depot(wanted.order.depot_id), data["order"]
    order = _order(depot, asked, wanted.order)
    now = context.now()
    windows = list(dict.fromkeys(TimeWindow(seconds(window.start), seconds(window.end)) for window in wanted.windows or ()))
    looked_at, found, _ = quotes.offers(store(), services().settings, order, windows or None, at=now)
    best = _cheapest(found)
    served = [window for window in looked_at if window in best]
    kept = quotes.keep(store(), depot.id, caller().account, asked, served)
    return {
        "quote_id": kept.id, "expires_at": iso(now + quotes.KEPT_S),
        "windows": [_view(best[window], len({offer.driver_id for offer in found if offer.window == window})) for window in served],
        "unavailable": [window_view(window) for window in looked_at if window not in best],
    }  # fmt: skip


def _order(depot: Depot, data: dict[str, Any], wanted: OrderIn) -> Order:
    """The prospective order, if there is nothing wrong with it."""
    _, right, _ = parse(OrderIn, data)
    faults = orders.Rules(store(), depot, snapper_of(depot), caller()).faults(right)
    if wanted.dispatch is not Dispatch.PLANNED:
        faults.append(Fault("inconsistent", "/dispatch", "What cannot wait is offered at once, and has no windows.", "Order it."))
    if wanted.windows or (wanted.pickup and wanted.pickup.windows):
        faults.append(Fault("inconsistent", "/windows", "The windows of a quote stand beside its order.", "Give them there."))
    if faults:
        raise invalid([replace(fault, pointer="/order" + fault.pointer) for fault in faults])
    return orders.made(depot, wanted, shipper=caller().account, now=context.now())


def _cheapest(offers: list[Offer]) -> dict[TimeWindow, Offer]:
    """The best offer for each window."""
    best: dict[TimeWindow, Offer] = {}
    for offer in offers:
        if offer.window not in best or offer.extra_cost < best[offer.window].extra_cost:
            best[offer.window] = offer
    return best


def _view(offer: Offer, drivers: int) -> dict[str, Any]:
    told = window_view(offer.window) | {"extra_cost": offer.extra_cost, "begin": iso(offer.begin), "drivers": drivers}
    return told | ({"driver_id": offer.driver_id} if caller().role is Role.OPERATOR else {})


@blueprint.post("/v1/quotes/<quote_id>/accept")
@allow(Role.OPERATOR, Role.SHIPPER)
@describe({201: ReservationView, 200: ReservationView}, body=AcceptIn, problems=(409,))
def accept(quote_id: str) -> tuple[dict[str, Any], int]:
    """Hold a window of a quote for a minute: the order is made and planned, and cancelled by itself unless it is confirmed.

    It is looked at again: 409 `window_gone` if it cannot be served any more. The same quote accepted twice is one order.
    """
    wanted = checked(AcceptIn, body())
    quoted = quotes.kept(store(), depot_of(quote_id), quote_id)
    if quoted is None or quoted.account != caller().account:
        raise not_found("quote", quote_id)
    depot = my_depot(quoted.depot_id)
    if wanted.window >= len(quoted.windows):
        raise invalid([Fault("out_of_range", "/window", f"The quote has {len(quoted.windows)} windows.", "Count them from 0.")])
    window = quoted.windows[wanted.window]
    asked = checked(OrderIn, quoted.data)
    order = _held(_order(depot, quoted.data, asked), window, context.now() + quotes.HELD_S)
    recipient = asked.recipient.fields() if asked.recipient else {}
    new = NewOrder(order, writers.fingerprint([quoted.id, wanted.window]), f"quote {quoted.id}", recipient)
    if (known := writers.known_by(store(), new)) is not None:
        return _reserved(depot, new, known)
    for _ in range(TRIES):
        _, found, revision = quotes.offers(store(), services().settings, order, [window], at=context.now())
        if not found:
            raise ApiProblem(409, "window_gone", "This window cannot be served any more.", "Ask for a new quote.")
        result = writers.create_orders(store(), [new], now=context.now(), expected=revision)[0]
        if result[0] != "stale":
            quotes.forget_recipient(store(), quoted)
            return _reserved(depot, new, result)
    raise ApiProblem(503, "busy", "So much happens at this depot that nothing could be held.", "Try again in a moment.",
                     headers={"Retry-After": "1"})  # fmt: skip


def _held(order: Order, window: TimeWindow, until: float) -> Order:
    """The order with a window that is not missed, for a time."""
    if order.pickup is not None:
        return replace(order, pickup=replace(order.pickup, windows=(window,)), hard=True, reserved_until=until)
    return replace(order, windows=(window,), hard=True, reserved_until=until)


def _reserved(depot: Depot, new: NewOrder, result: list[str]) -> tuple[dict[str, Any], int]:
    what, order_id = result[:2]
    if what == "key_reused":
        raise ApiProblem(409, "duplicate", "Another window of this quote has been accepted.", "Ask for a new quote.",
                         extra={"order_id": order_id})  # fmt: skip
    if (refused := orders.refusal(new.order, result)) is not None:
        raise refused
    stored: Order = readers.record(store(), "orders", depot.id, order_id) or new.order
    if what == "replayed" and orders.standings(store(), depot, [stored])[0]["status"] == "cancelled":
        raise ApiProblem(409, "window_gone", "The reservation is over; the order is cancelled.", "Ask for a new quote.",
                         extra={"order_id": order_id})  # fmt: skip
    shown = orders.views(store(), depot, [stored], caller())[0]
    until = iso(stored.reserved_until) if stored.reserved_until else None
    return {"order": shown, "reserved_until": until}, 201 if what == "created" else 200


@blueprint.post("/v1/orders/<order_id>/confirm")
@allow(Role.OPERATOR, Role.SHIPPER)
@describe({200: OrderView}, problems=(409,))
def confirm(order_id: str) -> dict[str, Any]:
    """Keep a reserved order. Confirmed twice is confirmed; 409 `too_late` if the reservation is over."""
    for _ in range(TRIES):
        expected = readers.record_revision(store(), order_id)
        depot, order = my_record("orders", order_id)
        status = orders.standings(store(), depot, [order])[0]["status"]
        if order.reserved_until is not None and status == "unassigned":
            raise ApiProblem(409, "window_gone", "Something has come between: nobody can serve it any more.", "Ask anew.")
        kept = replace(order, reserved_until=None, confirmed=order.promised_window)
        result = "over" if status == "cancelled" else writers.confirm_order(store(), kept, expected=expected)
        if result == "over":
            raise ApiProblem(409, "too_late", "The reservation is over; the order is cancelled.", "Ask for a new quote.")
        if result != "stale":
            return orders.views(store(), depot, [kept], caller())[0]
    raise ApiProblem(503, "busy", "The order changes all the time.", "Try again in a moment.", headers={"Retry-After": "1"})
