"""Transports, pins and what else an order or a vehicle may ask, from the API to the route and back."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest

from ingest.store import readers
from routing.model import Limits
from tests.conftest import SPOTS, Shop, one_server
from tests.workers.test_commit import repair, route
from tests.workers.test_messages import state
from tests.workers.test_reports import service, status, still_plans


def transport(shop: Shop, start: int, end: int, **changes: Any) -> dict[str, Any]:
    return shop.order(SPOTS[end], kind="transport", pickup={"location": SPOTS[start], "service_time": 60}, **changes)


def ids(made: dict[str, Any]) -> tuple[str, str]:
    return made["pickup"]["stop_id"], made["stop_id"]


def test_a_transport_is_picked_up_and_delivered_by_one_van(shop: Shop) -> None:
    """Planned as two stops of one route, picked up on the way, and then nobody else's; a driver who has left may take it."""
    shop.depot()
    anna, bo = shop.crew("anna"), shop.crew("bo")
    first = service(shop, 3)
    repair(shop)
    shop.leave(anna)
    shop.leave(bo)
    made = transport(shop, 0, 1)
    repair(shop)
    pickup, delivery = ids(made)
    token = next(token for token in (anna, bo) if pickup in dict(route(shop, token)))
    stops = [stop for stop, _ in route(shop, token)]
    assert stops.index(pickup) < stops.index(delivery)
    assert status(shop, made) == "planned"
    assert shop.event(token, pickup, "completed", event_id="p").status_code == 200
    assert status(shop, made) == "picked_up"
    snapshot = readers.snapshot(shop.store, "hel")
    assert snapshot is not None
    holder = snapshot.goods[made["id"]]
    shop.call("POST", "/v1/depots/hel/resolve")
    repair(shop)
    assert delivery in dict(route(shop, token))
    assert shop.event(token, delivery, "completed", event_id="d").status_code == 200
    assert status(shop, made) == "completed"
    after = readers.snapshot(shop.store, "hel")
    assert after is not None
    assert holder not in after.goods.values()
    assert status(shop, first) in {"planned", "en_route"}
    still_plans(shop)


def test_goods_that_are_not_picked_up_do_not_leave_the_depot(shop: Shop) -> None:
    """When a van departs with a transport in its route, nothing of it is on board."""
    shop.depot()
    anna = shop.crew("anna")
    made = transport(shop, 0, 1)
    repair(shop)
    shop.leave(anna)
    snapshot = readers.snapshot(shop.store, "hel")
    assert snapshot is not None
    assert made["id"] not in snapshot.goods
    still_plans(shop)


def test_a_pickup_that_fails_ends_its_transport(shop: Shop) -> None:
    """Nothing is delivered that nobody has; the order is failed."""
    shop.depot()
    anna = shop.crew("anna")
    made = transport(shop, 0, 1)
    repair(shop)
    shop.leave(anna)
    assert shop.event(anna, ids(made)[0], "failed", event_id="f").status_code == 200
    repair(shop)
    assert status(shop, made) == "failed"
    assert ids(made)[1] not in dict(route(shop, anna))
    still_plans(shop)


def test_a_transport_is_cancelled_whole(shop: Shop) -> None:
    """Both stops go, whichever is being driven to."""
    shop.depot()
    anna = shop.crew("anna")
    made, other = transport(shop, 0, 1), service(shop, 2)
    repair(shop)
    shop.leave(anna)
    assert shop.call("DELETE", f"/v1/orders/{made['id']}").status_code == 200
    repair(shop)
    assert status(shop, made) == "cancelled"
    assert [stop for stop, state in route(shop, anna) if state in {"open", "en_route"}] == [other["stop_id"]]
    still_plans(shop)


def test_a_pinned_order_stays_with_its_driver(shop: Shop) -> None:
    """To the driver it names and as its last stop; an excluded driver never gets it, and contradictions are told."""
    shop.depot()
    anna, bo = shop.crew("anna"), shop.crew("bo")
    body = {"depot_id": "hel", "kind": "service"}
    mine = shop.made("/v1/orders", body | {"location": SPOTS[0], "pin": {"driver_id": "hel.bo", "position": "last"}})
    never = shop.made("/v1/orders", body | {"location": SPOTS[1], "excluded_drivers": ["hel.anna", "hel.bo"]})
    shop.made("/v1/orders", body | {"location": SPOTS[2], "pin": {"driver_id": "hel.bo"}})
    repair(shop)
    assert route(shop, bo)[-1][0] == mine["stop_id"]
    assert mine["stop_id"] not in dict(route(shop, anna))
    reasons = shop.call("GET", f"/v1/orders/{never['id']}").json["reasons"]
    assert {reason["code"] for reason in reasons} == {"driver_excluded"}
    answer = shop.call("PATCH", f"/v1/orders/{mine['id']}", {"pin": {"driver_id": "hel.nobody"}})
    assert (answer.status_code, answer.json["errors"][0]["pointer"]) == (422, "/pin/driver_id")
    answer = shop.call("PATCH", f"/v1/orders/{mine['id']}", {"pin": {"driver_id": "hel.bo"}, "excluded_drivers": ["hel.bo"]})
    assert answer.json["errors"][0]["code"] == "inconsistent"
    still_plans(shop)


def test_an_order_can_be_pinned_to_a_number(shop: Shop) -> None:
    """It is that stop of the shift, whatever would be nearer; a transport, which has two stops, is refused one number."""
    shop.depot()
    anna = shop.crew("anna")
    body = {"depot_id": "hel", "kind": "service"}
    mine = shop.made("/v1/orders", body | {"location": SPOTS[0], "pin": {"position": 2}})
    for spot in SPOTS[1:4]:
        shop.made("/v1/orders", body | {"location": spot})
    repair(shop)
    assert route(shop, anna)[1][0] == mine["stop_id"]
    two = body | {"kind": "transport", "location": SPOTS[0], "pickup": {"location": SPOTS[1]}, "pin": {"position": 2}}
    for wrong in (two, body | {"location": SPOTS[0], "pin": {"position": 0}}):
        answer = shop.call("POST", "/v1/orders", wrong)
        assert answer.status_code == 422
        assert answer.json["errors"][0]["pointer"].startswith("/pin/position")
    assert shop.call("GET", "/v1/depots/hel/plan").json["flags"] == []


def test_shippers_do_not_decide_who_drives(shop: Shop) -> None:
    """Pins and exclusions are the operator's, and are not shown to others."""
    shop.depot()
    key = shop.made("/v1/keys", {"role": "shipper", "name": "s"})["key"]
    body = {"depot_id": "hel", "kind": "service", "location": SPOTS[0]}
    for more in ({"pin": {"position": "first"}}, {"excluded_drivers": ["hel.anna"]}):
        assert shop.call("POST", "/v1/orders", body | more, key=key).status_code == 422
    made = shop.call("POST", "/v1/orders", body, key=key)
    assert made.status_code == 201
    assert "pin" not in made.json


def test_a_transport_needs_a_pickup_on_the_map(shop: Shop) -> None:
    """And nothing else has one."""
    shop.depot()
    body = {"depot_id": "hel", "kind": "transport", "location": SPOTS[0]}
    far = {"location": {"lat": 0.0, "lon": 0.0}}
    for wrong, pointer in ((body, "/pickup"), (body | {"kind": "service", "pickup": {"location": SPOTS[1]}}, "/pickup"),
                           (body | {"pickup": far}, "/pickup/location")):  # fmt: skip
        answer = shop.call("POST", "/v1/orders", wrong)
        assert answer.status_code == 422
        assert pointer in {fault["pointer"] for fault in answer.json["errors"]}


def test_costs_and_overtime_reach_the_plan(shop: Shop) -> None:
    """A dear van stays at home while a cheap one can do the work; overtime is allowed where the shift says so."""
    shop.depot()
    shop.made("/v1/drivers", {"depot_id": "hel", "id": "anna"})
    shop.made("/v1/vehicles", {"depot_id": "hel", "id": "dear", "capacity": {"parcels": 10}, "costs": {"fixed": 9000}})
    shop.made("/v1/shifts", {"depot_id": "hel", "id": "day", "driver_id": "hel.anna", "vehicle_id": "hel.dear",
                             "overtime": 600, "limits": {"stops": 9}, "start": "2030-01-01T08:00:00Z",
                             "end": "2030-01-01T16:00:00Z"})  # fmt: skip
    shop.crew("bo")
    made = service(shop, 0)
    repair(shop)
    snapshot = readers.snapshot(shop.store, "hel")
    assert snapshot is not None
    assert snapshot.shifts["hel.day"].overtime == 600
    assert snapshot.shifts["hel.day"].limits == Limits(stops=9)
    assert made["stop_id"] not in snapshot.sequences["hel.day"]
    still_plans(shop)


@pytest.mark.parametrize("how", ["skipped", "arrived", "en_route"])
def test_a_delivery_before_its_pickup_does_not_stop_the_depot(shop: Shop, how: str) -> None:
    """The driver skips the pickup, or goes to the delivery first: what can be planned is planned, and the pickup has a reason."""
    shop.depot()
    anna = shop.crew("anna")
    made = transport(shop, 0, 1)
    shop.order(SPOTS[3], kind="service", demand={})
    repair(shop)
    shop.leave(anna)
    pickup, delivery = ids(made)
    if how == "skipped":
        shop.event(anna, pickup, "en_route", event_id="there")
    shop.event(anna, pickup if how == "skipped" else delivery, how, event_id="odd")
    new = shop.order(SPOTS[4], kind="service", demand={})
    assert repair(shop) == 1
    assert shop.call("GET", f"/v1/orders/{new['id']}").json["status"] == "planned"
    unassigned = shop.call("GET", "/v1/depots/hel/plan").json["unassigned"]
    on_its_way = any(stop == delivery and state in ("en_route", "arrived") for stop, state in route(shop, anna))
    assert [(item["order_id"], item["reasons"][0]["code"]) for item in unassigned] == [(made["id"], "precedence")] * on_its_way


@pytest.mark.parametrize("ended", ["completed", "failed"])
@pytest.mark.parametrize("done", [False, True])
@one_server
def test_a_pickup_ends_with_its_delivery(shop: Shop, ended: str, done: bool) -> None:
    """Who has reported to be at a pickup, and no more, is not kept there; whatever order it is told in, it comes to the same."""
    told = [("pickup", "arrived", 10), ("delivery", "arrived", 20), ("delivery", ended, 25)]
    told += [("pickup", "completed", 15)] if done else []
    seen = []
    for order in itertools.permutations(told):
        shop.store.flushdb()
        again = Shop(shop.settings)
        again.depot(clock={"scale": 1, "start": "2030-01-01T12:00:00Z"})
        anna, made = again.crew("anna"), transport(again, 0, 1)
        repair(again)
        again.leave(anna)
        for part, kind, minute in order:
            stop = f"{made['id']}.{part}"
            answer = again.event(anna, stop, kind, event_id=f"{part}{kind}", at=f"2030-01-01T08:{minute}:00Z")
            assert answer.status_code == 200, answer.text
        assert status(again, made) == ended
        seen.append(json.dumps(state(again), sort_keys=True).replace(made["id"], "it"))
        service(again, 3)
        assert repair(again) == 1
        still_plans(again)
    assert set(seen) == {seen[0]}


def test_a_transport_that_is_over_keeps_nobody(shop: Shop) -> None:
    """Its pickup fails for somebody who was not to go there: whose it was is not sent to deliver it, and does not stay there."""
    shop.depot()
    anna = shop.crew("anna")
    made = transport(shop, 0, 1)
    repair(shop)
    bo = shop.crew("bo")
    pickup, delivery = ids(made)
    shop.leave(anna)
    shop.event(bo, pickup, "failed", event_id="f")
    assert dict(route(shop, anna))[delivery] == "open"
    shop.event(anna, delivery, "arrived", event_id="a")
    new = service(shop, 3)
    assert repair(shop) == 1
    assert status(shop, new) in {"planned", "en_route"}
    still_plans(shop)
