"""The ways of a plan's routes."""

from __future__ import annotations

from itertools import accumulate, pairwise

from tests.conftest import HOME, SPOTS, Shop, one_server
from workers import replan


def points(steps: list[int]) -> list[tuple[int, int]]:
    """The points of a way, in 1e-5 degrees."""
    return list(zip(accumulate(steps[::2]), accumulate(steps[1::2]), strict=True))


def close(point: tuple[int, int], place: dict[str, float]) -> bool:
    """Within some metres."""
    return abs(point[0] - place["lat"] * 1e5) <= 5 and abs(point[1] - place["lon"] * 1e5) <= 5


@one_server
def test_ways_lead_from_the_depot_from_stop_to_stop_and_back(shop: Shop) -> None:
    """Without a gap, along the streets, for every version that there was."""
    shop.depot()
    for name in ("anna", "bo"):
        shop.crew(name)
    for spot in SPOTS[:4]:
        shop.order(spot)
    replan.repair(shop.store, shop.settings, "hel")
    plan = shop.call("GET", "/v1/depots/hel/plan").json
    places = {stop["stop_id"]: stop["location"] for route in plan["routes"] for stop in route["stops"]}
    found = shop.call("GET", f"/v1/depots/hel/plans/{plan['version']}/lines").json
    assert {line["driver_id"] for line in found["lines"]} == {route["driver_id"] for route in plan["routes"] if route["stops"]}
    for line in found["lines"]:
        legs = [points(leg["points"]) for leg in line["legs"]]
        assert all(abs(a[-1][0] - b[0][0]) <= 1 and abs(a[-1][1] - b[0][1]) <= 1 for a, b in pairwise(legs))
        assert close(legs[0][0], HOME)
        assert close(legs[-1][-1], HOME)
        assert [leg["stop_id"] for leg in line["legs"]][-1] is None
        assert all(close(way[-1], places[leg["stop_id"]]) for way, leg in zip(legs[:-1], line["legs"], strict=False))
        assert line["metres"] > 0
        assert max(len(way) for way in legs) > 2, "streets bend"

    shop.order(SPOTS[4])
    replan.repair(shop.store, shop.settings, "hel")
    assert shop.call("GET", f"/v1/depots/hel/plans/{plan['version']}/lines").json == found
    mine = shop.call("GET", f"/v1/depots/hel/plans/{plan['version']}/lines?driver_id=hel.anna").json["lines"]
    assert mine == [line for line in found["lines"] if line["driver_id"] == "hel.anna"]
    assert shop.call("GET", "/v1/depots/hel/plans/99/lines").status_code == 404
