"""What has become of orders: when, why not, how far; as a feed for shippers, and as a link for recipients."""

from __future__ import annotations

from collections import Counter
from typing import Any

from flask import Blueprint, Response

from ingest import context, links
from ingest.auth import Role
from ingest.context import allow, caller, my_depot, my_record, network_of, services, store
from ingest.endpoints import maps
from ingest.openapi import describe
from ingest.orders import standings, without_drivers
from ingest.parsing import body, checked, query
from ingest.problems import ApiProblem, not_found
from ingest.schemas import EventsQuery, ExplanationQuery, TileQuery, TrackingIn, iso, window_view
from ingest.store import keys, readers
from ingest.views import MapView, TileView
from routing import codec
from routing.model import TERMINAL, Depot, Order, depot_of
from routing.solve.explain import MANY
from workers import explanations
from workers import feed as feeds
from workers.views import EtaOfView, EventsView, ExplanationView, LinkView, TimelineView, TrackingView

blueprint = Blueprint("following", __name__)

AFTER_S = 2 * 86_400
"""So long after the end of an order's windows (or from now on, if it has none) its link is good unless said."""


@blueprint.get("/v1/orders/<order_id>/eta")
@allow(Role.OPERATOR, Role.SHIPPER)
@describe({200: EtaOfView})
def eta(order_id: str) -> dict[str, Any]:
    """When the driver is expected: at even odds, and four times in five; and how many stops come before."""
    depot, order = my_record("orders", order_id)
    return {"order_id": order.id} | _ahead(depot, order)


def _ahead(depot: Depot, order: Order) -> dict[str, Any]:
    """Status, ETA and progress: what anybody may know who waits."""
    standing = standings(store(), depot, [order])[0]
    shown = {name: standing[name] for name in ("status", "eta", "arrived_at", "left_at") if name in standing}
    before = _stops_before(depot, order)
    return shown | ({"stops_before": before} if before is not None else {})


def _stops_before(depot: Depot, order: Order) -> int | None:
    """Stops that its driver makes first, as the plan is; None if it is in no plan, or over."""
    shift = store().hget(keys.depot_key(depot.id, "stop_shift"), order.stop_id)
    sequence = (store().hget(keys.depot_key(depot.id, "sequences"), shift) or "").split() if shift else []
    if order.stop_id not in sequence:
        return None
    ahead = sequence[: sequence.index(order.stop_id) + 1]
    progress = readers.progress_of(store(), depot.id, ahead)
    left = [stop for stop in ahead if stop not in progress or progress[stop].state not in TERMINAL]
    return len(left) - 1 if order.stop_id in left else None


@blueprint.get("/v1/orders/<order_id>/events")
@allow(Role.OPERATOR, Role.SHIPPER)
@describe({200: TimelineView})
def timeline(order_id: str) -> dict[str, Any]:
    """What an order has been through, oldest first: each status with its time in the depot."""
    depot, order = my_record("orders", order_id)
    told = readers.timelines(store(), depot.id, [order.id])[order.id]
    return {"order_id": order.id, "events": [_may_see(event) for event in told]}


def _may_see(event: dict[str, Any]) -> dict[str, Any]:
    return event if caller().role is Role.OPERATOR else without_drivers(event)


@blueprint.get("/v1/orders/<order_id>/explanation")
@allow(Role.OPERATOR, Role.SHIPPER)
@describe({200: ExplanationView}, query=ExplanationQuery)
def explanation(order_id: str) -> dict[str, Any]:
    """Why an order is where it is: the drivers who were tried, what stands in each one's way, and how much is missing.

    With `relax` also whether any driver could serve it were there no other orders (`verdict`), and of each rule the least that
    would have to give way, the cheapest first: seconds of a window, room, overtime, a skill, one stop given to another driver.
    """
    depot, order = my_record("orders", order_id)
    standing, relax = standings(store(), depot, [order])[0], query(ExplanationQuery).relax
    reasons, more = standing.get("reasons", []), dict[str, Any]()
    if relax or len(reasons) >= MANY:  # the plan names those who come nearest; here everybody counts
        found = explanations.explanation(store(), services().settings, order, at=context.now(), relax=relax)
        if found is not None:
            reasons = [codec.builtins(reason) for reason in found.reasons]
            standing = standing | {"reasons": reasons}
            operator = caller().role is Role.OPERATOR
            told = [one for one in found.relaxations if operator or one.code in explanations.OWN]
            more = {"verdict": found.verdict, "relaxations": [explanations.shown(one, operator=operator) for one in told]}
    counts = Counter(str(reason["code"]) for reason in reasons)
    nearest = {code: min((reason for reason in reasons if reason["code"] == code), key=lambda reason: reason.get("shortfall") or 0)
               for code in counts}  # fmt: skip
    shown = standing if caller().role is Role.OPERATOR else without_drivers(standing)
    return {
        "order_id": order.id, "status": standing["status"], "plan_version": readers.plan_version(store(), depot.id),
        "drivers_tried": len({reason["driver_id"] for reason in reasons if reason.get("driver_id")}),
        "codes": dict(counts), "summary": _summary(standing["status"], counts, nearest), "reasons": shown.get("reasons", []),
    } | (more if relax else {})  # fmt: skip


def _summary(status: str, counts: Counter[str], nearest: dict[str, dict[str, Any]]) -> str:
    """For people: how many drivers which rule stops, and by how little at best."""
    if not counts:
        return f"The order is {status.replace('_', ' ')}."
    parts = []
    for code, count in counts.most_common():
        missing, unit = nearest[code].get("shortfall"), nearest[code].get("unit")
        parts.append(f"{count} × {code}" + (f" (at best {missing} {unit} missing)" if missing else ""))
    return "Nobody can take it: " + ", ".join(parts) + "."


@blueprint.get("/v1/events")
@allow(Role.OPERATOR, Role.SHIPPER)
@describe({200: EventsView}, query=EventsQuery, problems=(410,))
def feed() -> dict[str, Any]:
    """What has become of the caller's orders at a depot, after a cursor: nothing is missed by whoever was away.

    Shippers hear of their own orders, operators of all, and of plans. `sequence` counts a listener's events without gaps. Events
    are kept for the policy's `feed_days`; a cursor from before that gets 410, and should begin anew from what orders are now.
    """
    asked, who = query(EventsQuery), caller()
    depot = my_depot(asked.depot_id)
    oldest, newest = readers.feed_ends(store(), depot.id)
    if asked.after < oldest - 1 and asked.after > 0:
        raise ApiProblem(410, "cursor_too_old", f"Events up to {oldest - 1} are no longer kept.",
                         f"Read your orders, then go on with after={newest}.")  # fmt: skip
    if asked.after > newest:
        raise ApiProblem(410, "cursor_too_old", f"The newest event is {newest}: the cursor is of another depot, or of other data.",
                         f"Read your orders, then go on with after={newest}.")  # fmt: skip
    rows = readers.feed(store(), depot.id, after=asked.after, limit=asked.limit)
    cursor = rows[-1].number if rows else max(asked.after, newest)
    mine = [row for row in rows if who.role is Role.OPERATOR or row.shipper == who.account]
    return {"events": [_event(depot, row) for row in mine], "next_cursor": cursor, "more": cursor < newest}


def _event(depot: Depot, row: readers.Told) -> dict[str, Any]:
    return feeds.envelope(depot, row, operator=caller().role is Role.OPERATOR)


@blueprint.post("/v1/orders/<order_id>/tracking")
@allow(Role.OPERATOR, Role.SHIPPER)
@describe({201: LinkView}, body=TrackingIn)
def link(order_id: str) -> tuple[dict[str, Any], int]:
    """A link for whoever waits: it shows status, expected arrival and progress, and nothing else, without a key.

    `url` answers as JSON, `page` is for people.
    """
    depot, order = my_record("orders", order_id)
    wanted = checked(TrackingIn, body())
    now = context.now()
    ends = [depot.clock.real(window.end) for window in order.windows]
    expires_at = now + wanted.ttl if wanted.ttl else max([now, *ends]) + AFTER_S
    token = links.sign(store(), order.id, expires_at)
    return {"url": f"/v1/tracking/{token}", "page": f"/track/{token}", "expires_at": iso(expires_at)}, 201


@blueprint.get("/v1/tracking/<token>")
@describe({200: TrackingView}, problems=(410,))
def tracking(token: str) -> tuple[dict[str, Any], int, dict[str, str]]:
    """What a recipient may know of an order, by its link."""
    depot, order = _linked(token)
    windows = [window_view(window) for window in order.windows]
    told = _ahead(depot, order) | {"windows": windows, "now": iso(depot.clock.depot(context.now())),
                                   "location": codec.builtins(order.location), "timezone": depot.timezone}  # fmt: skip
    if told["status"] == "en_route" and (seen := _on_the_way(depot, order)) is not None:
        told["vehicle"] = seen
    return told, 200, {"Cache-Control": "no-store", "X-Robots-Tag": "noindex", "Referrer-Policy": "no-referrer"}


def _linked(token: str) -> tuple[Depot, Order]:
    try:
        order_id = links.order_of(store(), token, context.now())
    except links.Expired:
        raise ApiProblem(410, "link_expired", "This link is no longer good.", "Ask whoever sent it for a new one.") from None
    depot = readers.depot(store(), depot_of(order_id)) if order_id else None
    order = readers.record(store(), "orders", depot.id, order_id) if depot and order_id else None
    if depot is None or order is None:
        raise not_found("such link", token[:12] + "…")
    return depot, order


def _on_the_way(depot: Depot, order: Order) -> dict[str, float] | None:
    """Where the vehicle is that drives to an order now, and to nothing else before."""
    shift = readers.holders(store(), depot.id, [order.stop_id]).get(order.stop_id)
    driver = store().hget(keys.depot_key(depot.id, "shift_driver"), shift) if shift else None
    return readers.place_of(store(), depot.id, driver) if driver else None


@blueprint.get("/v1/tracking/<token>/map")
@describe({200: MapView}, problems=(410,))
def ground(token: str) -> dict[str, Any]:
    """The map that a recipient's page draws."""
    depot, _ = _linked(token)
    return maps.about(network_of(depot))


@blueprint.get("/v1/tracking/<token>/map/tiles/<int:zoom>/<int:column>/<int:row>")
@describe({200: TileView, 304: None}, query=TileQuery, problems=(410,))
def ground_tile(token: str, zoom: int, column: int, row: int) -> Response:
    """A tile of it, as `GET /v1/maps/{map_name}/tiles/…`."""
    depot, _ = _linked(token)
    return maps.drawn(network_of(depot), zoom, column, row)
