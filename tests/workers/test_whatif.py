"""What if: the answer is what the plan becomes when the change is made, and asking changes nothing."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import HOME, SPOTS, Shop, one_server, order
from tests.ingest.test_api import state
from tests.workers.test_commit import repair

END = "2030-01-01T15:00:00Z"


def ask(shop: Shop, **changes: Any) -> Any:
    return shop.call("POST", "/v1/depots/hel/what-if", changes)


def town(shop: Shop) -> list[dict[str, Any]]:
    """Two drivers, one of them on the road, and four orders."""
    shop.depot()
    anna = shop.crew("anna")
    shop.crew("bo")
    made = [shop.order(place, kind="service", demand={}) for place in SPOTS[:4]]
    repair(shop)
    shop.leave(anna)
    repair(shop)
    return made


def kept(shop: Shop) -> dict[str, Any]:
    """All there is in the store, but for who has asked what."""
    return {name: value for name, value in state(shop).items() if "audit" not in name}


CHANGES: dict[str, Any] = {
    "a new order": lambda made: {"orders": [order(SPOTS[4], kind="service", demand={})]},
    **{f"cancellation {number}": lambda made, number=number: {"cancel": [made[number]["id"]]} for number in range(4)},
    "a closure": lambda made: {"road_events": [
        {"depot_id": "hel", "kind": "slow", "factor": 3.0, "disc": {"centre": SPOTS[1], "radius_m": 400}, "end": END}]},
    "a driver off duty": lambda made: {"off_duty": ["hel.anna"]},
    "all of it": lambda made: {"orders": [order(SPOTS[4], kind="service", demand={})], "cancel": [made[0]["id"]],
                               "off_duty": ["hel.bo"]},
}


@pytest.mark.parametrize("what", CHANGES)
def test_the_answer_is_what_the_plan_becomes(shop: Shop, what: str) -> None:
    """Asked first, then done: the same cost, the same who-gains-what; the state between is what it was before."""
    made = town(shop)
    changes = CHANGES[what](made)
    before = kept(shop)
    told = ask(shop, **changes)
    assert told.status_code == 200, told.json
    assert kept(shop) == before
    plan = shop.call("GET", "/v1/depots/hel/plan").json
    assert told.json["before"]["costs"] == plan["costs"]
    for body in changes.get("orders", ()):
        shop.made("/v1/orders", body)
    for name in changes.get("cancel", ()):
        shop.call("DELETE", f"/v1/orders/{name}")
    for event in changes.get("road_events", ()):
        shop.made("/v1/road-events", event)
    for number, driver in enumerate(changes.get("off_duty", ())):
        shop.call("POST", f"/v1/drivers/{driver}/events", {"event_id": f"e{number}", "type": "off_duty",
                                                           "occurred_at": "2030-01-01T08:00:30Z"})  # fmt: skip
    repair(shop)
    after = shop.call("GET", "/v1/depots/hel/plan").json
    drivers = {change["driver_id"] for change in told.json["diff"]["routes"]}
    if after["version"] == plan["version"]:  # who drove there goes on to the next: nothing new to tell anybody
        assert drivers == set()
        return
    near = pytest.approx(after["cost"] - after["costs"]["unassigned"], abs=60)  # the drivers have gone on meanwhile
    assert told.json["after"]["cost"] == near
    assert told.json["after"]["unassigned"] == len(after["unassigned"])
    assert drivers == {change["driver_id"] for change in after["diff"]["routes"]}


def test_what_cannot_be_served_any_more_is_told_with_its_reasons(shop: Shop) -> None:
    """Nobody is left: each order with why; and what was in no route before is not told as new."""
    made = town(shop)
    told = ask(shop, off_duty=["hel.anna", "hel.bo"], budget=0.05).json
    assert {item["order_id"] for item in told["unassigned"]} <= {one["id"] for one in made}
    assert told["unassigned"]
    assert {reason["code"] for item in told["unassigned"] for reason in item["reasons"]} == {"driver_absent"}
    assert told["after"]["unassigned"] == len(told["unassigned"])
    assert told["before"]["unassigned"] == 0
    assert ask(shop).json["diff"] == {"routes": [], "newly_unassigned": [], "no_longer_unassigned": []}


@one_server
def test_a_wrong_change_is_told_with_its_place(shop: Shop) -> None:
    """All of them at once."""
    shop.depot()
    shop.crew("anna")
    over = {"depot_id": "hel", "kind": "close", "disc": {"centre": HOME, "radius_m": 50}, "end": "2020-01-01T00:00:00Z"}
    wrong = [order(place={"lat": 0.0, "lon": 0.0}), order(dispatch="emergency", kind="collection")]
    answer = ask(shop, orders=wrong, cancel=["hel.nothing"],
                 road_events=[over | {"depot_id": "other"}], off_duty=["hel.anna", "hel.nobody"], on_duty=["bo"])  # fmt: skip
    assert answer.status_code == 422
    assert {fault["pointer"] for fault in answer.json["errors"]} == {
        "/orders/0/location", "/orders/1/dispatch", "/cancel/0", "/road_events/0/end", "/road_events/0/depot_id", "/off_duty/1",
        "/on_duty/0"}  # fmt: skip
    assert shop.call("POST", "/v1/depots/hel/what-if", {"orders": 5}).status_code == 422
    assert shop.call("POST", "/v1/depots/hel/what-if", {}, key=shop.shipper).status_code == 403
