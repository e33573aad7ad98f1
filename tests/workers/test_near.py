"""Who is near, free and able."""

from __future__ import annotations

import time
from typing import Any

from ingest.store import keys, writers
from tests.conftest import HOME, SPOTS, Shop, one_server
from workers import replan


def near(shop: Shop, place: dict[str, float] = SPOTS[1], **query: Any) -> list[dict[str, Any]]:
    words = "&".join(f"{name}={value}" for name, value in (place | query).items())
    answer = shop.call("GET", f"/v1/depots/hel/near?{words}")
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json["drivers"]
    return found


def ping(shop: Shop, token: str, seq: int, place: dict[str, float]) -> None:
    now = shop.call("GET", "/v1/depots/hel").json["clock"]["now"]
    shop.call("POST", "/v1/drivers/me/pings", [place | {"seq": seq, "recorded_at": now}], key=token)


def test_drivers_are_told_by_how_long_they_would_drive(shop: Shop) -> None:
    """By the roads as they are: the nearest as the crow flies is not always the first to be there."""
    shop.depot()
    for number, place in enumerate((HOME, *SPOTS)):
        ping(shop, shop.crew(f"d{number}"), 1, place)
    found = near(shop)
    assert len(found) == 7
    assert [row["seconds"] for row in found] == sorted(row["seconds"] for row in found)
    assert (found[0]["driver_id"], found[0]["crow_m"]) == ("hel.d2", 0)
    assert found[0]["seconds"] <= 1
    assert all(row["metres"] >= 0.95 * row["crow_m"] for row in found)
    assert len(near(shop, limit=2)) == 2
    close = {"depot_id": "hel", "kind": "close", "disc": {"centre": SPOTS[1], "radius_m": 30}, "end": "2030-01-01T12:00:00Z"}
    assert shop.call("POST", "/v1/road-events", close).status_code == 201
    assert len(near(shop)) < 7, "the street is closed"


@one_server
def test_who_is_silent_off_duty_back_or_on_a_break_is_not_near(shop: Shop) -> None:
    """They leave by themselves, and come back with a ping."""
    shop.depot()
    tokens = {name: shop.crew(name) for name in ("anna", "bob", "cleo", "dora")}
    for token in tokens.values():
        ping(shop, token, 1, HOME)

    def names() -> list[str]:
        return sorted(row["driver_id"] for row in near(shop))

    assert names() == ["hel.anna", "hel.bob", "hel.cleo", "hel.dora"]
    now = shop.call("GET", "/v1/depots/hel").json["clock"]["now"]
    for name, kind in (("anna", "off_duty"), ("bob", "on_break"), ("cleo", "departed")):
        body = {"event_id": kind, "type": kind, "occurred_at": now}
        assert shop.call("POST", "/v1/drivers/me/events", body, key=tokens[name]).status_code == 200
    assert names() == ["hel.cleo", "hel.dora"]
    for name in ("bob", "anna"):
        ping(shop, tokens[name], 2, HOME)
    assert names() == ["hel.cleo", "hel.dora"], "who is on a break has a phone that goes on pinging"
    later = time.time() + 3600
    for name in ("cleo", "dora"):
        shop.store.zadd(keys.shared_key("heard"), {f"hel hel.{name}": 0})
        writers.due(shop.store, "hel", "silence", f"hel hel.{name}", "driver_silent", f"hel.{name}", later)
    assert names() == []
    ping(shop, tokens["cleo"], 3, HOME)
    assert names() == ["hel.cleo"]


@one_server
def test_only_who_is_free_and_able(shop: Shop) -> None:
    shop.depot()
    anna, bob = shop.crew("anna", skills=["medic"]), shop.crew("bob")
    shop.order(SPOTS[3], kind="service", demand={}, skills=["medic"])
    replan.repair(shop.store, shop.settings, "hel")
    shop.leave(anna)
    for token in (anna, bob):
        ping(shop, token, 1, HOME)
    assert {row["driver_id"]: row["state"] for row in near(shop)} == {"hel.anna": "en_route", "hel.bob": "free"}
    assert [row["driver_id"] for row in near(shop, free="true")] == ["hel.bob"]
    assert [row["driver_id"] for row in near(shop, skills="medic")] == ["hel.anna"]
    assert near(shop, skills="medic", free="true") == []


@one_server
def test_what_is_asked_for_must_be_a_place_of_this_map(shop: Shop) -> None:
    shop.depot()
    for query in ("", "?lat=60", "?lat=a&lon=b", "?lat=91&lon=0", "?lat=0&lon=0", "?lat=60.17&lon=24.94&limit=0"):
        answer = shop.call("GET", f"/v1/depots/hel/near{query}")
        assert answer.status_code == 422, query
        assert answer.json["errors"][0]["code"]
    assert near(shop) == []
