"""Where shifts may end, and where not every vehicle fits."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import HOME, SPOTS, Shop, one_server
from workers import replan


def repair(shop: Shop) -> list[dict[str, Any]]:
    """The routes that are then in force."""
    replan.repair(shop.store, shop.settings, "hel")
    routes: list[dict[str, Any]] = shop.call("GET", "/v1/depots/hel/plan").json["routes"]
    return routes


@one_server
def test_a_route_ends_at_the_nearest_of_its_ends(shop: Shop) -> None:
    """The plan, the route and its line say which; it costs less than the way to another one."""
    shop.depot()
    anna = shop.crew("anna", end_location=SPOTS[4], other_ends=[SPOTS[5], SPOTS[3]])
    assert shop.call("GET", "/v1/shifts/hel.day-anna").json["other_ends"] == [SPOTS[5], SPOTS[3]]
    shop.call("POST", "/v1/orders", {"depot_id": "hel", "kind": "service", "location": SPOTS[5]})
    [route] = repair(shop)
    assert route["end"] == SPOTS[5]
    assert shop.call("GET", "/v1/drivers/me/route", key=anna).json["shifts"][0]["end"] == SPOTS[5]
    cost = shop.call("GET", "/v1/depots/hel/plans").json["plans"][-1]["costs"]
    [line] = shop.call("GET", "/v1/depots/hel/plans/1/lines").json["lines"]
    there, home = ([sum(leg["points"][axis::2]) for axis in (2, 3)] for leg in line["legs"])  # from its first place to its last
    assert any(there)
    assert home == [0, 0], "it ends where the stop is"
    shop.depot("other")
    shop.crew("anna", "other", end_location=SPOTS[4])
    shop.call("POST", "/v1/orders", {"depot_id": "other", "kind": "service", "location": SPOTS[5]})
    replan.repair(shop.store, shop.settings, "other")
    farther = shop.call("GET", "/v1/depots/other/plans").json["plans"][-1]["costs"]
    assert farther["driving"] > cost["driving"]
    assert "end" not in shop.call("GET", "/v1/depots/other/plan").json["routes"][0]


@one_server
def test_where_not_every_vehicle_fits(shop: Shop) -> None:
    """Stops in an area are for those who have its skills, a stop outside is not; until the area is given up."""
    disc = {"name": "old town", "disc": {"centre": SPOTS[0], "radius_m": 100.0}, "skills": ["bike"]}
    corners = ((-0.001, -0.001), (0.001, -0.001), (0, 0.002))
    near = [{"lat": SPOTS[2]["lat"] + dy, "lon": SPOTS[2]["lon"] + dx} for dy, dx in corners]
    shop.depot(access=[disc, {"name": "quay", "polygon": near, "skills": ["light"]}])
    assert shop.call("GET", "/v1/depots/hel").json["access"][0] == disc
    shop.crew("anna")
    ids = [shop.order(spot)["id"] for spot in (SPOTS[0], SPOTS[2], HOME)]
    [route] = repair(shop)
    assert [stop["order_id"] for stop in route["stops"]] == ids[2:]
    assert {shop.call("GET", f"/v1/orders/{order}").json["reasons"][0]["code"] for order in ids[:2]} == {"skill"}
    shop.crew("bo", skills=["bike", "light"])
    routes = {route["driver_id"]: {stop["order_id"] for stop in route["stops"]} for route in repair(shop)}
    assert routes["hel.bo"] >= set(ids[:2])
    assert shop.call("PATCH", "/v1/depots/hel", {"access": []}).json["access"] == []


@pytest.mark.parametrize("wrong", [
    {"disc": {"centre": HOME, "radius_m": 10.0}, "polygon": [HOME, SPOTS[0], SPOTS[1]]}, {}, {"polygon": [HOME, HOME, HOME]},
    {"disc": {"centre": HOME, "radius_m": 10.0}, "skills": []},
])  # fmt: skip
@one_server
def test_areas_that_are_none_are_refused(shop: Shop, wrong: dict[str, Any]) -> None:
    """Nothing is changed by them."""
    shop.depot()
    answer = shop.call("PATCH", "/v1/depots/hel", {"access": [{"name": "x", "skills": ["bike"]} | wrong]})
    assert answer.status_code == 422
    assert answer.json["errors"][0]["pointer"].startswith("/access/0")
    assert shop.call("GET", "/v1/depots/hel").json["access"] == []
