"""Where plans are reviewed they wait for a yes, and nothing is published without one."""

from __future__ import annotations

import threading
from typing import Any

from ingest.store import keys
from tests.conftest import HOME, SPOTS, Shop
from workers import feed, replan


def repair(shop: Shop) -> None:
    """Answer what is due, as a worker would."""
    shop.store.zadd(keys.shared_key("dirty"), {"hel": 0}, xx=True)
    replan.repair(shop.store, shop.settings, "hel")


def proposal(shop: Shop) -> Any:
    """What waits."""
    return shop.call("GET", "/v1/depots/hel/proposal").json


def answer(shop: Shop, how: str, proposal_id: str) -> Any:
    """A dispatcher's yes or no."""
    return shop.call("POST", f"/v1/depots/hel/proposals/{proposal_id}/{how}")


def test_a_plan_waits_for_a_yes(shop: Shop) -> None:
    """Nobody hears of it before; then it is in force, with all that a version says."""
    shop.depot(policy={"review": True})
    anna = shop.crew("anna")
    made = shop.order()
    assert proposal(shop) == {"proposal_id": None, "base": None, "plan": None}
    repair(shop)
    waiting = proposal(shop)
    assert waiting["base"] == 0
    assert [route["gained"] for route in waiting["plan"]["diff"]["routes"]] == [[made["stop_id"]]]
    assert {trigger["kind"] for trigger in waiting["plan"]["triggers"]} >= {"order_new"}
    assert shop.call("GET", "/v1/depots/hel/proposal/lines").json["lines"][0]["driver_id"] == "hel.anna"
    assert shop.call("GET", "/v1/depots/hel/plan").json["code"] == "no_plan"
    assert shop.call("GET", "/v1/drivers/me/route", key=anna).json["route_version"] == 0
    assert shop.call("GET", f"/v1/orders/{made['id']}").json["status"] == "accepted"
    assert not shop.store.zscore(keys.shared_key("dirty"), "hel"), "what it answers is answered"
    assert answer(shop, "accept", waiting["proposal_id"]).json == {"version": 1}
    assert shop.call("GET", "/v1/drivers/me/route", key=anna).json["route_version"] == 1
    assert shop.call("GET", f"/v1/orders/{made['id']}").json["status"] == "planned"
    assert proposal(shop)["plan"] is None
    again = answer(shop, "accept", waiting["proposal_id"])
    assert (again.status_code, again.json["code"]) == (404, "not_found")


def test_a_newer_proposal_takes_the_place_of_one_that_waits(shop: Shop) -> None:
    """It has what the one before had, too; a no to it leaves the plan as it is, and the orders for the next."""
    shop.depot(policy={"review": True})
    shop.crew("anna")
    first = shop.order()
    repair(shop)
    before = proposal(shop)
    second = shop.order(SPOTS[1])
    repair(shop)
    after = proposal(shop)
    gained = {stop for route in after["plan"]["diff"]["routes"] for stop in route["gained"]}
    assert gained == {first["stop_id"], second["stop_id"]}
    for how in ("accept", "discard"):
        refused = answer(shop, how, before["proposal_id"])
        assert (refused.status_code, refused.json["proposal_id"]) == (409, after["proposal_id"]), "that is another one"
    assert answer(shop, "discard", after["proposal_id"]).status_code == 204
    assert (proposal(shop)["plan"], shop.call("GET", "/v1/depots/hel/plans").json["version"]) == (None, 0)
    shop.call("POST", "/v1/depots/hel/resolve")
    repair(shop)
    assert answer(shop, "accept", proposal(shop)["proposal_id"]).json == {"version": 1}
    assert {shop.call("GET", f"/v1/orders/{row['id']}").json["status"] for row in (first, second)} == {"planned"}


def test_a_proposal_that_the_day_has_overtaken_is_refused_and_made_anew(shop: Shop) -> None:
    """An order in it was cancelled: nothing is published, and another proposal is asked for."""
    shop.depot(policy={"review": True})
    shop.crew("anna")
    orders = [shop.order(spot) for spot in SPOTS[:2]]
    repair(shop)
    waiting = proposal(shop)
    shop.call("DELETE", f"/v1/orders/{orders[0]['id']}")
    refused = answer(shop, "accept", waiting["proposal_id"])
    assert (refused.status_code, refused.json["code"]) == (409, "proposal_outdated")
    assert proposal(shop)["plan"] is None
    repair(shop)
    anew = proposal(shop)
    assert [route["gained"] for route in anew["plan"]["diff"]["routes"]] == [[orders[1]["stop_id"]]]
    assert answer(shop, "accept", anew["proposal_id"]).status_code == 200


def test_a_proposal_goes_with_what_asked_for_it(shop: Shop) -> None:
    """The only order in it is cancelled: nothing is left to say yes to."""
    shop.depot(policy={"review": True})
    shop.crew("anna")
    made = shop.order()
    repair(shop)
    assert proposal(shop)["plan"] is not None
    shop.call("DELETE", f"/v1/orders/{made['id']}")
    repair(shop)
    assert proposal(shop)["plan"] is None
    while feed.tell(shop.store):
        pass
    assert "plan.discarded" in {event["type"] for event in shop.call("GET", "/v1/events?depot_id=hel").json["events"]}


def test_of_two_who_say_yes_one_publishes(shop: Shop) -> None:
    """And without review plans are published again by themselves, over one that still waits."""
    shop.depot(policy={"review": True})
    shop.crew("anna")
    shop.order()
    repair(shop)
    name = proposal(shop)["proposal_id"]
    told: list[int] = []
    path, headers = f"/v1/depots/hel/proposals/{name}/accept", {"Authorization": f"Bearer {shop.operator}"}
    callers = [threading.Thread(target=lambda: told.append(shop.app.test_client().post(path, headers=headers).status_code))
               for _ in range(4)]  # fmt: skip
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert sorted(told)[0] == 200
    assert set(told) - {200} <= {404, 409}
    assert shop.call("GET", "/v1/depots/hel/plans").json["version"] == 1
    shop.order(SPOTS[1])
    repair(shop)
    assert proposal(shop)["plan"] is not None
    shop.call("PATCH", "/v1/depots/hel", {"policy": {"review": False}})
    shop.order(SPOTS[2])
    repair(shop)
    assert (proposal(shop)["plan"], shop.call("GET", "/v1/depots/hel/plans").json["version"]) == (None, 2)


def test_operators_hear_of_proposals(shop: Shop) -> None:
    """In the feed, as it happens; shippers do not."""
    shop.depot(policy={"review": True})
    shop.crew("anna")
    shop.order(HOME)
    repair(shop)
    answer(shop, "discard", proposal(shop)["proposal_id"])
    while feed.tell(shop.store):
        pass
    told = shop.call("GET", "/v1/events?depot_id=hel").json["events"]
    assert [event["type"] for event in told][-2:] == ["plan.proposed", "plan.discarded"]
    heard = shop.call("GET", "/v1/events?depot_id=hel", key=shop.shipper).json["events"]
    assert not [event for event in heard if "plan" in event["type"]]
