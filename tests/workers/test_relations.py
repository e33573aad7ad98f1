"""Orders that belong together, or do not, from the request to the plan."""

from __future__ import annotations

from typing import Any

from ingest.store import readers
from routing import codec
from routing.model import Snapshot
from tests.conftest import SPOTS, Shop, one_server
from workers import replan


def repair(shop: Shop) -> dict[str, list[str]]:
    """The plan that is then in force: order ids by driver."""
    replan.repair(shop.store, shop.settings, "hel")
    plan = shop.call("GET", "/v1/depots/hel/plan").json
    return {route["driver_id"]: [stop["order_id"] for stop in route["stops"]] for route in plan["routes"]}


def status(shop: Shop, order_id: str) -> Any:
    return shop.call("GET", f"/v1/orders/{order_id}").json


def bound(kind: str, to: str) -> list[dict[str, str]]:
    return [{"kind": kind, "external_id" if to.startswith("A") else "order_id": to}]


@one_server
def test_relations_are_kept_in_plans(shop: Shop) -> None:
    """One driver for both, in this order, at once, never: named by id, or by an external id that comes later."""
    shop.depot()
    for name in ("anna", "bo"):
        shop.crew(name)
    first = shop.order(SPOTS[0], external_id="A-1")["id"]
    with_it = shop.order(SPOTS[3], relations=bound("same_driver", "A-1"))["id"]
    behind = shop.order(SPOTS[1], relations=bound("directly_after", first))["id"]
    later = shop.order(SPOTS[2], relations=bound("after", "A-9"))["id"]
    other = shop.order(SPOTS[0], relations=bound("not_together", "A-1"))["id"]
    last = shop.order(SPOTS[0], external_id="A-9")["id"]
    routes = repair(shop)
    of = {order: driver for driver, orders in routes.items() for order in orders}
    assert len(of) == 6
    assert of[first] == of[with_it] == of[behind] != of[other]
    assert of[later] == of[last]
    assert routes[of[first]].index(behind) == routes[of[first]].index(first) + 1
    assert routes[of[last]].index(later) > routes[of[last]].index(last)
    assert status(shop, later)["relations"] == bound("after", "A-9")


@one_server
def test_what_is_done_binds_to_its_shift(shop: Shop) -> None:
    """Who has made the first stop makes the one behind it next, and is the one who may not have what does not go with it."""
    shop.depot()
    anna, _ = shop.crew("anna"), shop.crew("bo")
    made = shop.call("POST", "/v1/orders", {"depot_id": "hel", "kind": "service", "location": SPOTS[0], "external_id": "A-1",
                                            "pin": {"driver_id": "hel.anna"}}).json  # fmt: skip
    repair(shop)
    shop.leave(anna)
    for kind in ("arrived", "completed"):
        assert shop.event(anna, made["stop_id"], kind, event_id=kind).status_code == 200
    orders = [shop.call("POST", "/v1/orders", {"depot_id": "hel", "kind": "service", "location": SPOTS[spot],
                                               "relations": bound(kind, made["id"])}).json["id"]
              for spot, kind in ((1, "same_driver"), (5, "directly_after"), (2, "not_together"))]  # fmt: skip
    routes = repair(shop)
    assert routes["hel.anna"] == [made["id"], orders[1], orders[0]]
    assert routes["hel.bo"] == [orders[2]]
    body = {"depot_id": "hel", "kind": "service", "location": SPOTS[3]}
    for kind, driver in (("same_driver", "hel.anna"), ("not_together", "hel.bo")):
        asked = body | {"relations": bound(kind, "A-1")}
        windows = shop.call("POST", "/v1/quotes", {"order": asked}).json["windows"]
        assert {window["driver_id"] for window in windows} == {driver}
        routes_then = shop.call("POST", "/v1/depots/hel/what-if", {"orders": [asked]}).json["diff"]["routes"]
        assert [route["driver_id"] for route in routes_then if route["gained"]] == [driver]


@one_server
def test_what_cannot_be_kept_has_its_reason(shop: Shop) -> None:
    """One driver alone takes one of two that do not go together; and what comes behind what nobody takes is left, too."""
    shop.depot()
    shop.crew("anna")
    ids = [shop.order(SPOTS[0], external_id="A-1", priority=9)["id"],
           shop.order(SPOTS[1], relations=bound("not_together", "A-1"))["id"]]  # fmt: skip
    heavy = shop.order(SPOTS[2], demand={"parcels": 99}, external_id="A-2")["id"]
    after = shop.order(SPOTS[3], relations=bound("directly_after", "A-2"))["id"]
    assert repair(shop)["hel.anna"] == [ids[0]]
    assert [reason["code"] for reason in status(shop, ids[1])["reasons"]] == ["relation"]
    assert [reason["code"] for reason in status(shop, heavy)["reasons"]] == ["capacity"]
    assert [reason["code"] for reason in status(shop, after)["reasons"]] == ["relation"]
    shop.crew("bo")
    repair(shop)
    assert status(shop, ids[1])["status"] == "planned"


@one_server
def test_relations_bind_what_is_only_asked_about(shop: Shop) -> None:
    """Quotes, and questions what would happen: to orders there are, and to each other."""
    shop.depot()
    for name in ("anna", "bo"):
        shop.crew(name)
    body = {"depot_id": "hel", "kind": "delivery", "location": SPOTS[0], "demand": {"parcels": 1}}
    shop.made("/v1/orders", body | {"external_id": "A-1"})
    [holder] = [driver for driver, orders in repair(shop).items() if orders]
    for kind, drivers in (("same_driver", {holder}), ("not_together", {"hel.anna", "hel.bo"} - {holder})):
        quote = shop.call("POST", "/v1/quotes", {"order": body | {"relations": bound(kind, "A-1")}}).json
        assert {window["driver_id"] for window in quote["windows"]} == drivers
        asked = [body | {"external_id": "A-2", "relations": bound(kind, "A-1")}, body | {"relations": bound("same_driver", "A-2")}]
        told = shop.call("POST", "/v1/depots/hel/what-if", {"orders": asked}).json
        assert {route["driver_id"]: len(route["gained"]) for route in told["diff"]["routes"]} == dict.fromkeys(drivers, 2)


@one_server
def test_a_state_with_relations_can_be_kept(shop: Shop) -> None:
    """As a bug report needs it."""
    shop.depot()
    shop.order(SPOTS[0], external_id="A-1")
    shop.order(SPOTS[1], relations=bound("after", "A-1"))
    snapshot = readers.snapshot(shop.store, "hel")
    assert snapshot is not None
    assert len(snapshot.related) == 1
    assert codec.loads(codec.dumps(snapshot), Snapshot) == snapshot


@one_server
def test_relations_are_changed_and_refused(shop: Shop) -> None:
    """A change takes effect; what names nobody, or somebody else's order, is refused."""
    shop.depot()
    for name in ("anna", "bo"):
        shop.crew(name)
    first, second = shop.order(SPOTS[0])["id"], shop.order(SPOTS[0])["id"]
    routes = repair(shop)
    assert sorted(map(len, routes.values())) == [0, 2]
    assert shop.call("PATCH", f"/v1/orders/{second}", {"relations": bound("not_together", first)}).status_code == 200
    assert sorted(map(len, repair(shop).values())) == [1, 1]
    assert shop.call("PATCH", f"/v1/orders/{second}", {"relations": []}).json["relations"] == []
    for wrong in ([{"kind": "after"}], [{"kind": "after", "order_id": first, "external_id": "x"}], bound("after", "hel.nobody")):
        answer = shop.call("POST", "/v1/orders", {"depot_id": "hel", "kind": "service", "location": SPOTS[0], "relations": wrong})
        assert answer.status_code == 422
        assert answer.json["errors"][0]["pointer"].startswith("/relations/0")
    both = [*bound("after", first), *bound("not_together", first)]
    answer = shop.call("POST", "/v1/orders", {"depot_id": "hel", "kind": "service", "location": SPOTS[0], "relations": both})
    assert answer.json["errors"][0]["pointer"] == "/relations/1/kind"
    itself = {"depot_id": "hel", "kind": "service", "location": SPOTS[0], "external_id": "A-7", "relations": bound("after", "A-7")}
    assert shop.call("POST", "/v1/orders", itself).json["errors"][0]["pointer"] == "/relations/0/external_id"
    at_once = {"depot_id": "hel", "kind": "service", "location": SPOTS[0], "dispatch": "immediate",
               "relations": bound("after", first)}  # fmt: skip
    assert shop.call("POST", "/v1/orders", at_once).json["errors"][0]["pointer"] == "/relations"


@one_server
def test_a_chain_is_planned_by_a_repair(shop: Shop) -> None:
    """In whatever order its orders would be placed if each were for itself."""
    shop.depot()
    for name in ("anna", "bo"):
        shop.crew(name)
    names = [f"A-{number}" for number in range(5)]
    for number, (name, spot) in enumerate(zip(names, (3, 0, 4, 1, 2), strict=True)):
        before = bound("after", names[number - 1]) if number else []
        shop.order(SPOTS[spot], external_id=name, relations=before, priority=number * 9)
    [route] = [orders for orders in repair(shop).values() if orders]
    chained = [status(shop, order)["external_id"] for order in route]
    assert chained == names


@one_server
def test_a_relation_across_routes_is_mended_by_an_improvement(shop: Shop) -> None:
    """Where no repair has been asked for: what is in force breaks it, and may not come back."""
    shop.depot(policy={"triggers": {"order_changed": {"asks": False}}, "improve_budget": 0.2})
    for name in ("anna", "bo"):
        shop.crew(name)
    window = [{"from": "2030-01-01T08:30:00Z", "to": "2030-01-01T08:40:00Z"}]
    ids = [shop.order(SPOTS[0], windows=window, lateness="hard", service_time=900)["id"] for _ in range(2)]
    assert sorted(map(len, repair(shop).values())) == [1, 1]
    assert shop.call("PATCH", f"/v1/orders/{ids[1]}", {"relations": bound("same_driver", ids[0])}).status_code == 200
    assert replan.improve(shop.store, shop.settings, "hel") == 1
    routes = {route["driver_id"]: len(route["stops"]) for route in shop.call("GET", "/v1/depots/hel/plan").json["routes"]}
    assert sorted(routes.values()) == [0, 1]
