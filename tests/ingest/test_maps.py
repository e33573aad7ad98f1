"""Maps as pages get them."""

from __future__ import annotations

import gzip
import json
from itertools import accumulate
from typing import Any

import pytest

from tests.conftest import HOME, SPOTS, Shop, one_server

TILE = "/v1/maps/helsinki/tiles/15/18653/9484"


@one_server
def test_a_map_tells_where_it_is_and_its_tiles_are_kept(shop: Shop) -> None:
    """An edition's tiles never change: they have its ETag, and are packed for whoever can unpack them."""
    told = shop.call("GET", "/v1/maps/helsinki", key=shop.shipper).json
    assert told["bounds"]["south"] < HOME["lat"] < told["bounds"]["north"]
    assert told["bounds"]["west"] < HOME["lon"] < told["bounds"]["east"]
    plain = shop.call("GET", TILE)
    assert plain.json.keys() >= {"primary", "street"}
    key = {"Authorization": f"Bearer {shop.operator}"}
    packed = shop.client.get(TILE, headers=key | {"Accept-Encoding": "gzip, br"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert json.loads(gzip.decompress(packed.data)) == plain.json
    assert shop.call("GET", TILE, headers={"Accept-Encoding": "gzip;q=0"}).json == plain.json
    again = shop.call("GET", TILE, headers={"If-None-Match": plain.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    assert "max-age" in shop.call("GET", f"{TILE}?edition={told['edition']}").headers["Cache-Control"]
    for path in (TILE, f"{TILE}?edition=another"):
        assert "no-cache" in shop.call("GET", path).headers["Cache-Control"]


@one_server
@pytest.mark.parametrize("path", [
    "/v1/maps/atlantis", "/v1/maps/..", "/v1/maps/atlantis/tiles/1/1/1", "/v1/maps/helsinki/tiles/20/1/1",
    "/v1/maps/helsinki/tiles/3/8/0",
    f"/v1/maps/helsinki/tiles/3/1/{'9' * 400}",
    "/v1/maps/helsinki/tiles/-1/0/0", "/v1/maps/helsinki/street?lat=0&lon=0",
])  # fmt: skip
def test_what_is_on_no_map(shop: Shop, path: str) -> None:
    """404, whatever the name or place."""
    assert shop.call("GET", path).status_code == 404


@one_server
def test_a_street_that_is_pointed_at_can_be_closed(shop: Shop) -> None:
    """Both ways of it, and the closure is shown as that street."""
    shop.depot()
    found = shop.call("GET", "/v1/maps/helsinki/street?lat={lat}&lon={lon}".format(**SPOTS[0])).json
    assert found["distance_m"] < 5
    assert found["metres"] > 0
    event = shop.made("/v1/road-events", {"depot_id": "hel", "kind": "close", "edges": found["edges"],
                                          "end": "2030-01-01T12:00:00Z"})  # fmt: skip
    assert event["edges"] == found["edges"]
    assert [ends(line) for line in event["lines"]] in ([ends(found["points"])], [ends(found["points"])[::-1]])
    assert shop.call("GET", "/v1/road-events?depot_id=hel").json["road_events"] == [event]


def ends(steps: list[int]) -> list[Any]:
    """First and last point of a line."""
    points = list(zip(accumulate(steps[::2]), accumulate(steps[1::2]), strict=True))
    return [points[0], points[-1]]
