"""What pings and reports mean for the stops to come: a re-solve before it is too late, and when a driver goes astray."""

from __future__ import annotations

import time
from typing import Any

from ingest.store import keys, readers, writers
from tests.conftest import HOME, SPOTS, Shop, one_server, wait_for
from workers import replan, tracking


def look(shop: Shop) -> int:
    shop.store.zadd(keys.shared_key("moving"), {"hel": 0}, xx=True)
    return tracking.track(shop.store, shop.settings, "hel")


def repair(shop: Shop) -> int:
    return replan.repair(shop.store, shop.settings, "hel")


def planned(shop: Shop) -> list[dict[str, Any]]:
    """All planned stops, by driver and in order."""
    routes = shop.call("GET", "/v1/depots/hel/plan").json["routes"]
    return [stop | {"driver_id": route["driver_id"]} for route in routes for stop in route["stops"]]


def ping(shop: Shop, token: str, seq: int, place: dict[str, float], at: str) -> None:
    answer = shop.call("POST", "/v1/drivers/me/pings", [place | {"seq": seq, "recorded_at": at}], key=token)
    assert answer.json["stored"] == 1


def triggers(shop: Shop) -> list[tuple[str, str]]:
    snapshot = readers.snapshot(shop.store, "hel")
    assert snapshot is not None
    return [(trigger.kind, trigger.subject) for trigger in snapshot.triggers]


def behind(shop: Shop, **policy: Any) -> dict[str, Any]:
    """Anna is at the first of three stops and does not get on. The last one (returned) stays the last, and is due when planned."""
    shop.depot(clock={"scale": 1200, "start": "2030-01-01T08:00:00Z"}, policy={"late_after": 600, "silent_after": 86_400} | policy)
    anna = shop.crew("anna")
    for place in SPOTS[:3]:
        shop.order(place, kind="service", demand={}, service_time=3600)
    assert repair(shop) == 1
    first, _, last = planned(shop)
    due = [{"from": "2030-01-01T08:00:00Z", "to": last["arrive"]}]
    shop.call("PATCH", f"/v1/orders/{last['order_id']}", {"windows": due, "lateness": "hard", "pin": {"position": "last"}})
    repair(shop)
    shop.crew("bob")
    shop.leave(anna)
    shop.event(anna, first["stop_id"], "arrived", event_id="1", at=first["arrive"])
    repair(shop)
    assert {stop["driver_id"] for stop in planned(shop)} == {"hel.anna"}
    return last


@one_server
def test_lateness_is_foreseen_and_mended_before_it_happens(shop: Shop) -> None:
    last = behind(shop)
    assert look(shop) == 0, "nothing is late yet"
    wait_for(lambda: look(shop), what="lateness to be foreseen")
    assert triggers(shop) == [("lateness_foreseen", last["stop_id"])]
    assert look(shop) == 0, "it has asked already"
    assert repair(shop) == 1
    begins = {stop["stop_id"]: stop["begin"] for stop in planned(shop)}
    assert begins[last["stop_id"]] <= last["arrive"]
    assert "hel.bob" in {stop["driver_id"] for stop in planned(shop)}
    version = shop.call("GET", "/v1/depots/hel/plan").json["version"]
    told = shop.call("GET", f"/v1/depots/hel/plans/{version}").json
    assert [trigger["kind"] for trigger in told["triggers"]] == ["lateness_foreseen"]
    revision = told["triggers"][0]["revision"]
    assert all(change["because"] == [revision] for change in told["diff"]["routes"])


@one_server
def test_how_much_is_too_late_is_a_policy(shop: Shop) -> None:
    behind(shop, late_after=20_000)
    wait_for(lambda: shop.call("GET", "/v1/depots/hel").json["clock"]["now"] > "2030-01-01T09:20")
    assert look(shop) == 0
    shop.call("PATCH", "/v1/depots/hel", {"policy": {"late_after": 600}})
    assert look(shop) == 1


def on_her_way(shop: Shop, **policy: Any) -> str:
    """Anna drives to her only stop. Her token."""
    shop.depot(policy=policy)
    anna = shop.crew("anna")
    shop.order(SPOTS[1], kind="service", demand={})
    repair(shop)
    shop.leave(anna)
    repair(shop)
    return anna


def test_a_driver_who_goes_astray_asks_for_a_re_solve(shop: Shop) -> None:
    anna = on_her_way(shop, detour_after=30)
    ping(shop, anna, 1, SPOTS[2], "2030-01-01T08:00:00Z")
    assert look(shop) == 0
    ping(shop, anna, 2, HOME, "2030-01-01T08:00:01Z")
    far = look(shop)
    ping(shop, anna, 3, SPOTS[1], "2030-01-01T08:00:02Z")
    assert look(shop) == 0, "she has come near again"
    ping(shop, anna, 4, SPOTS[5], "2030-01-01T08:00:03Z")
    assert look(shop) == 1
    assert triggers(shop)[far:] == [("detour", "hel.anna")]
    assert look(shop) == 0


def test_slower_roads_are_no_detour(shop: Shop) -> None:
    """Who stands still goes nowhere, however long the way has become."""
    anna = on_her_way(shop, detour_after=10)
    ping(shop, anna, 1, HOME, "2030-01-01T08:00:00Z")
    look(shop)
    disc = {"centre": SPOTS[1], "radius_m": 5000}
    slow = {"depot_id": "hel", "kind": "slow", "factor": 3, "disc": disc, "end": "2030-01-01T12:00:00Z"}
    assert shop.call("POST", "/v1/road-events", slow).status_code == 201
    assert look(shop) == 0
    repair(shop)
    assert look(shop) == 0


def test_who_is_looked_at(shop: Shop) -> None:
    """A depot is looked at from soon after the first sign of a driver until the last is back."""
    shop.depot()
    moving = keys.shared_key("moving")
    anna = shop.crew("anna")
    shop.order(SPOTS[1], kind="service", demand={})
    repair(shop)
    assert shop.store.zscore(moving, "hel") is None
    shop.leave(anna)
    first = shop.store.zscore(moving, "hel")
    assert 0 < first - time.time() <= tracking.EVERY_S
    ping(shop, anna, 1, SPOTS[0], "2030-01-01T08:00:00Z")
    assert shop.store.zscore(moving, "hel") == first, "nobody puts it off"
    look(shop)
    assert 0 < shop.store.zscore(moving, "hel") - time.time() <= tracking.EVERY_S
    tracking.track(shop.store, shop.settings, "hel")
    assert "lastleg_looks_total 1.0" in shop.call("GET", "/metrics").text, "not before it is due"
    body = {"event_id": "off", "type": "off_duty", "occurred_at": "2030-01-01T08:00:00Z"}
    shop.call("POST", "/v1/drivers/me/events", body, key=anna)
    look(shop)
    assert shop.store.zscore(moving, "hel") is None, "she is on the road, but absent"
    body = {"event_id": "on", "type": "on_duty", "occurred_at": "2030-01-01T08:00:00Z"}
    shop.call("POST", "/v1/drivers/me/events", body, key=anna)
    assert not writers.nobody_moves(shop.store, "hel")
    assert shop.store.zscore(moving, "hel") is not None
    body = {"event_id": "back", "type": "returned", "occurred_at": "2030-01-01T08:00:00Z"}
    shop.call("POST", "/v1/drivers/me/events", body, key=anna)
    look(shop)
    assert shop.store.zscore(moving, "hel") is None
    assert shop.store.hlen(keys.depot_key("hel", "foreseen")) == 0
