"""A locked route stays as it is."""

from __future__ import annotations

from typing import Any

from ingest.store import keys
from tests.conftest import SPOTS, Shop, one_server
from workers import replan
from workers.formulation import problem_of


def repair(shop: Shop) -> None:
    """Answer what is due."""
    shop.store.zadd(keys.shared_key("dirty"), {"hel": 0}, xx=True)
    replan.repair(shop.store, shop.settings, "hel")


def improve(shop: Shop) -> None:
    """And look for better."""
    shop.store.zadd(keys.shared_key("improvable"), {"hel": 0})
    replan.improve(shop.store, shop.settings, "hel")


def route(shop: Shop, driver: str) -> list[str]:
    """The orders of a driver's route."""
    shifts = shop.call("GET", f"/v1/drivers/hel.{driver}/route").json["shifts"]
    return [stop["order_id"] for shift in shifts for stop in shift["stops"] if stop["state"] != "cancelled"]


def lock(shop: Shop, name: str = "anna", method: str = "PUT") -> Any:
    """Lock (or, by DELETE, unlock) a route."""
    answer = shop.call(method, f"/v1/shifts/hel.day-{name}/lock")
    assert answer.status_code == 200, answer.text
    return answer.json


def test_nothing_joins_a_locked_route_leaves_it_or_is_reordered(shop: Shop) -> None:
    """Before it has left and afterwards; what only its driver could take is told so, and taken when it is unlocked."""
    shop.depot(policy={"improve_budget": 0.3})
    anna = shop.crew("anna", skills=["cold"])
    shop.crew("bo")
    for spot in SPOTS[:4]:
        shop.order(spot, kind="collection", skills=["cold"])
    repair(shop)
    before = route(shop, "anna")
    assert len(before) == 4
    assert lock(shop)["locked"] is True
    hers = shop.order(SPOTS[4], kind="collection", skills=["cold"])
    his = shop.order(SPOTS[0], kind="collection")
    repair(shop)
    improve(shop)
    assert route(shop, "anna") == before
    assert route(shop, "bo") == [his["id"]]
    told = {reason["driver_id"]: reason["code"] for reason in shop.call("GET", f"/v1/orders/{hers['id']}").json["reasons"]}
    assert told == {"hel.anna": "locked_route", "hel.bo": "skill"}
    shop.leave(anna)
    shop.call("POST", "/v1/depots/hel/resolve")
    repair(shop)
    improve(shop)
    assert route(shop, "anna") == before
    assert shop.call("GET", "/v1/depots/hel/plan").json["flags"] == []
    assert lock(shop, method="DELETE")["locked"] is False
    repair(shop)
    assert hers["id"] in route(shop, "anna")


def test_what_is_cancelled_leaves_a_locked_route_and_the_rest_stays(shop: Shop) -> None:
    """In its order; and a driver who goes off duty keeps nothing that others could take."""
    shop.depot()
    anna = shop.crew("anna")
    for spot in SPOTS[:4]:
        shop.order(spot, kind="collection")
    repair(shop)
    before = route(shop, "anna")
    lock(shop)
    shop.call("DELETE", f"/v1/orders/{before[1]}")
    repair(shop)
    assert route(shop, "anna") == [before[0], before[2], before[3]]
    shop.crew("bo")
    off_duty = {"event_id": "1", "type": "off_duty", "occurred_at": "2030-01-01T08:00:00Z"}
    shop.call("POST", "/v1/drivers/me/events", off_duty, key=anna)
    repair(shop)
    assert (route(shop, "anna"), len(route(shop, "bo"))) == ([], 3)


@one_server
def test_a_plan_that_knows_nothing_of_a_lock_is_refused(shop: Shop, monkeypatch: Any) -> None:
    """Locked while it was made: it is made again."""
    shop.depot()
    shop.crew("anna")
    shop.order(SPOTS[0], kind="collection")
    repair(shop)
    shop.order(SPOTS[1], kind="collection")
    calls: list[int] = []

    def slow(*args: Any, **kwargs: Any) -> Any:
        found = problem_of(*args, **kwargs)
        if not calls:
            lock(shop)
        calls.append(1)
        return found

    monkeypatch.setattr(replan, "problem_of", slow)
    repair(shop)
    assert len(calls) == 2
    assert len(route(shop, "anna")) == 1
