"""What pings and reports mean for the stops to come: a re-solve before it is too late, and when a driver goes astray."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from datetime import datetime, timedelta
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
    """A depot is looked at once for each plan, and from soon after the first sign of a driver until the last is back."""
    shop.depot()
    moving = keys.shared_key("moving")
    anna = shop.crew("anna", start="2030-01-01T09:00:00Z")
    shop.order(SPOTS[1], kind="service", demand={})
    repair(shop)
    assert shop.store.zscore(moving, "hel") <= time.time()
    look(shop)
    look(shop)
    assert shop.store.zscore(moving, "hel") is None
    shop.leave(anna)
    first = shop.store.zscore(moving, "hel")
    assert 0 < first - time.time() <= tracking.EVERY_S
    ping(shop, anna, 1, SPOTS[0], "2030-01-01T08:00:00Z")
    assert shop.store.zscore(moving, "hel") == first, "nobody puts it off"
    look(shop)
    assert 0 < shop.store.zscore(moving, "hel") - time.time() <= tracking.EVERY_S
    tracking.track(shop.store, shop.settings, "hel")
    assert "lastleg_looks_total 2.0" in shop.call("GET", "/metrics").text, "not before it is due"
    body = {"event_id": "off", "type": "off_duty", "occurred_at": "2030-01-01T08:00:00Z"}
    shop.call("POST", "/v1/drivers/me/events", body, key=anna)
    look(shop)
    assert shop.store.zscore(moving, "hel") is None, "she is on the road, but absent"
    body = {"event_id": "on", "type": "on_duty", "occurred_at": "2030-01-01T08:00:00Z"}
    shop.call("POST", "/v1/drivers/me/events", body, key=anna)
    assert not writers.nobody_moves(shop.store, "hel", version=1)
    assert shop.store.zscore(moving, "hel") is not None
    body = {"event_id": "back", "type": "returned", "occurred_at": "2030-01-01T08:00:00Z"}
    shop.call("POST", "/v1/drivers/me/events", body, key=anna)
    look(shop)
    assert shop.store.zscore(moving, "hel") is None
    assert shop.store.hlen(keys.depot_key("hel", "foreseen")) == 0


def at(second: int) -> str:
    return f"2030-01-01T08:{second // 60:02}:{second % 60:02}Z"


def eta(shop: Shop, order_id: str) -> dict[str, str] | None:
    found: dict[str, str] | None = shop.call("GET", f"/v1/orders/{order_id}", key=shop.shipper).json.get("eta")
    return found


def test_every_planned_stop_has_an_eta(shop: Shop) -> None:
    """From the first plan on; for the shipper, the driver and the operator, and gone when the driver is there."""
    shop.depot()
    anna = shop.crew("anna")
    first, second = (shop.order(place, kind="service", demand={}) for place in SPOTS[:2])
    assert eta(shop, first["id"]) is None
    repair(shop)
    look(shop)
    told = {order["id"]: eta(shop, order["id"]) for order in (first, second)}
    stops = planned(shop)
    for stop in stops:
        assert stop["eta"] == told[stop["order_id"]]
        assert stop["eta"]["p50"] < stop["eta"]["p80"]
    route = shop.call("GET", "/v1/drivers/me/route", key=anna).json["shifts"][0]["stops"]
    assert [stop["eta"] for stop in route] == [stop["eta"] for stop in stops]
    shop.leave(anna)
    shop.event(anna, stops[0]["stop_id"], "arrived", event_id="1", at=at(1))
    assert eta(shop, stops[0]["order_id"]) is None
    assert eta(shop, stops[1]["order_id"]) is not None


@one_server
def test_etas_are_told_in_events_when_they_have_moved(shop: Shop) -> None:
    """First when there is one, then only past the policy's threshold."""
    shop.depot(policy={"eta_step": 600})
    anna = shop.crew("anna")
    order = shop.order(SPOTS[1], kind="service", demand={})
    repair(shop)
    look(shop)
    shop.leave(anna)
    look(shop)
    look(shop)

    def changed() -> list[dict[str, Any]]:
        return [json.loads(event["data"]) for _, event in readers.events(shop.store) if event["type"] == "eta.changed"]

    assert [event["order_id"] for event in changed()] == [order["id"]]
    shop.store.hset(keys.depot_key("hel", "eta_told"), order["stop_id"], changed()[0]["p50"] - 700)
    look(shop)
    assert len(changed()) == 2
    assert changed()[1]["was"] == changed()[0]["p50"] - 700


@one_server
def test_how_often_etas_hold_is_told(shop: Shop) -> None:
    """Arrivals are held against the first ETA that was given with at most so many minutes to go."""
    shop.depot()
    anna = shop.crew("anna")
    shop.order(SPOTS[1], kind="service", demand={})
    repair(shop)
    shop.leave(anna)
    look(shop)
    [stop] = planned(shop)
    minutes = -(-int(datetime.fromisoformat(stop["eta"]["p50"]).timestamp() - datetime.fromisoformat(at(0)).timestamp()) // 60)
    horizon = next(most for most in tracking.HORIZONS if most >= minutes)
    shop.event(anna, stop["stop_id"], "arrived", event_id="1", at=at(1))
    shop.event(anna, stop["stop_id"], "arrived", event_id="1", at=at(1))
    told = shop.call("GET", "/metrics").text
    assert f'lastleg_eta_judged_total{{horizon="{horizon}"}} 1.0' in told
    assert f'lastleg_eta_kept_total{{horizon="{horizon}",quantile="0.5"}} 1.0' in told
    assert f'lastleg_eta_kept_total{{horizon="{horizon}",quantile="0.8"}} 1.0' in told
    assert f'lastleg_eta_forecast_error_seconds_count{{horizon="{horizon}"}} 1.0' in told


def pings(shop: Shop, token: str, place: dict[str, float], *seconds: int) -> None:
    batch = [place | {"seq": second, "recorded_at": at(second)} for second in seconds]
    assert shop.call("POST", "/v1/drivers/me/pings", batch, key=token).json["stored"] == len(seconds)


class Road:
    """Anna on the way to the first of two services, with a phone; the depot's clock is fast, so that time passes."""

    def __init__(self, shop: Shop, **policy: Any) -> None:
        self.shop = shop
        shop.depot(policy={"infer_after": 20} | policy, clock={"scale": 600, "start": "2030-01-01T08:00:00Z"})
        self.anna = shop.crew("anna")
        for place in SPOTS[1:3]:
            shop.order(place, kind="service", demand={})
        repair(shop)
        shop.leave(self.anna)
        self.first, self.second = planned(shop)
        self.begin = datetime.fromisoformat(self.now())

    def now(self) -> str:
        return str(self.shop.call("GET", "/v1/depots/hel").json["clock"]["now"])

    def at(self, second: int) -> str:
        """So many seconds after the beginning."""
        return (self.begin + timedelta(seconds=second)).isoformat().replace("+00:00", "Z")

    def pings(self, place: dict[str, float], *seconds: int, **more: Any) -> None:
        batch = [place | more | {"seq": second, "recorded_at": self.at(second)} for second in seconds]
        assert self.shop.call("POST", "/v1/drivers/me/pings", batch, key=self.anna).json["stored"] == len(seconds)
        look(self.shop)

    def told(self, stop: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = self.shop.call("GET", f"/v1/orders/{stop['order_id']}").json
        return found

    def report(self, stop: dict[str, Any], kind: str, second: int) -> None:
        self.shop.event(self.anna, stop["stop_id"], kind, event_id=f"{kind}{second}", at=self.at(second))


@one_server
def test_a_driver_who_forgets_to_report_progresses_all_the_same(shop: Shop) -> None:
    """As inferred from pings; what is reported later counts instead."""
    road = Road(shop)
    first, second = road.first, road.second
    road.pings(first["location"], 300, 310)
    assert road.told(first)["status"] == "en_route", "ten seconds at a traffic light are no arrival"
    road.pings(first["location"], 320, 330)
    there = road.told(first)
    assert (there["status"], there["arrived_at"], there["inferred"]) == ("arrived", road.at(300), True)
    road.pings(HOME, 600, 630)
    assert road.told(first)["status"] == "arrived", "half a minute around the corner is no departure"
    road.pings(HOME, 660)
    gone = road.told(first)
    assert (gone["status"], gone["inferred"]) == ("completed", True)
    assert (gone["arrived_at"], gone["left_at"]) == (road.at(300), road.at(330))
    assert road.told(second)["status"] == "en_route"
    road.report(first, "arrived", 305)
    road.report(first, "failed", 400)
    told = road.told(first)
    assert (told["status"], told["arrived_at"], told["left_at"]) == ("failed", road.at(305), road.at(400))
    assert "inferred" not in told


@one_server
def test_who_says_that_he_has_only_just_arrived_has_not_left(shop: Shop) -> None:
    """A completion that was only inferred is taken back: the stop is his again, and the next one open."""
    road = Road(shop)
    road.pings(road.first["location"], 300, 330)
    road.pings(HOME, 600, 660)
    assert road.told(road.first)["status"] == "completed"
    road.report(road.first, "arrived", 900)
    assert (road.told(road.first)["status"], road.told(road.second)["status"]) == ("arrived", "planned")
    road.report(road.first, "completed", 1200)
    told = road.told(road.first)
    assert (told["status"], told["arrived_at"], told["left_at"]) == ("completed", road.at(900), road.at(1200))
    assert road.told(road.second)["status"] == "en_route"


@one_server
def test_nobody_else_takes_back_what_was_inferred(shop: Shop) -> None:
    """Another driver's report changes nothing of it."""
    road = Road(shop)
    bob = shop.crew("bob")
    road.pings(road.first["location"], 300, 330)
    road.pings(HOME, 600, 660)
    shop.event(bob, road.first["stop_id"], "arrived", event_id="b", at=road.at(900))
    shop.event(bob, road.first["stop_id"], "failed", event_id="f", at=road.at(910))
    assert road.told(road.first)["status"] == "completed"
    assert road.told(road.second)["status"] == "en_route"


@one_server
def test_lateness_before_leaving_asks_once(shop: Shop) -> None:
    """Not at every look: only when it has grown by as much again."""
    shop.depot(policy={"late_after": 1200}, clock={"scale": 600, "start": "2030-01-01T08:20:00Z"})
    shop.crew("anna")
    shop.order(SPOTS[1], kind="service", demand={}, windows=[{"from": "2030-01-01T08:00:00Z", "to": "2030-01-01T08:30:00Z"}])
    repair(shop)
    wait_for(lambda: look(shop), what="lateness to be foreseen")
    assert [look(shop) for _ in range(3)] == [0, 0, 0]


@one_server
def test_what_was_seen_before_a_stop_was_driven_to_tells_nothing_of_it(shop: Shop) -> None:
    """Nor what is seen during a break."""
    road = Road(shop)
    road.pings(road.second["location"], 100, 130, 160)
    road.pings(HOME, 300, 400)
    road.report(road.first, "arrived", 500)
    road.report(road.first, "completed", 600)
    road.pings(HOME, 700)
    assert road.told(road.second)["status"] == "en_route", "he was there, but not for that"
    body = {"event_id": "b", "type": "on_break", "occurred_at": road.at(800), "until": road.at(20_000)}
    shop.call("POST", "/v1/drivers/me/events", body, key=road.anna)
    road.pings(road.second["location"], 900, 930, 960)
    assert road.told(road.second)["status"] == "en_route", "he has lunch there"
    body = {"event_id": "e", "type": "off_break", "occurred_at": road.at(2000)}
    shop.call("POST", "/v1/drivers/me/events", body, key=road.anna)
    road.pings(road.second["location"], 2010, 2050)
    assert (road.told(road.second)["status"], road.told(road.second)["arrived_at"]) == ("arrived", road.at(2010))


@one_server
def test_nothing_is_inferred_where_the_policy_says_so(shop: Shop) -> None:
    road = Road(shop, infer_progress=False)
    road.pings(road.first["location"], 300, 400)
    assert road.told(road.first)["status"] == "en_route"


@one_server
def test_who_stands_still_on_the_way_asks_for_a_re_solve(shop: Shop) -> None:
    """Once, until moving again."""
    shop.depot(policy={"still_after": 60, "late_after": 86_400}, clock={"scale": 1, "start": "2030-01-01T08:15:00Z"})
    anna = shop.crew("anna")
    shop.order(SPOTS[1], kind="service", demand={})
    repair(shop)
    shop.leave(anna)
    pings(shop, anna, SPOTS[4], 800, 830)
    look(shop)
    assert ("standing_still", "hel.anna") not in triggers(shop)
    pings(shop, anna, SPOTS[4], 870)
    look(shop)
    assert triggers(shop).count(("standing_still", "hel.anna")) == 1
    look(shop)
    assert triggers(shop).count(("standing_still", "hel.anna")) == 1


@one_server
def test_pings_beyond_what_the_archiver_can_follow_move_the_driver_all_the_same(shop: Shop) -> None:
    """History is shed, and counted; progress never is."""
    shop.depot()
    anna = shop.crew("anna")
    shop.app.extensions["lastleg"] = replace(shop.app.extensions["lastleg"], settings=replace(shop.settings, pings=1))
    for number in range(3):
        ping(shop, anna, number, SPOTS[number], at(number))
    assert shop.store.xlen(keys.shared_key("pings")) == 1
    snapshot = readers.snapshot(shop.store, "hel")
    assert snapshot is not None
    assert snapshot.positions["hel.anna"].location.lat == SPOTS[2]["lat"]
    seen = readers.recent_pings(shop.store, "hel", ["hel.anna"])["hel.anna"]
    assert [ping.location.lat for ping in seen] == [SPOTS[0]["lat"], SPOTS[2]["lat"]], "thinned, but for the newest"
    assert "lastleg_pings_shed_total 2.0" in shop.call("GET", "/metrics").text


@one_server
def test_no_eta_is_in_the_past(shop: Shop) -> None:
    """Whoever has not left yet gets later all the time; of who is away nothing is expected."""
    shop.depot(policy={"silent_after": 86_400}, clock={"scale": 600, "start": "2030-01-01T07:59:00Z"})
    anna = shop.crew("anna")
    order = shop.order(SPOTS[1], kind="service", demand={})
    repair(shop)
    look(shop)
    wait_for(lambda: shop.call("GET", "/v1/depots/hel").json["clock"]["now"] > "2030-01-01T08:10", what="the time to leave")
    look(shop)
    told = eta(shop, order["id"])
    assert told is not None
    assert told["p50"] > "2030-01-01T08:10"
    assert shop.store.zscore(keys.shared_key("moving"), "hel") is not None
    body = {"event_id": "off", "type": "off_duty", "occurred_at": "2030-01-01T08:00:00Z"}
    shop.call("POST", "/v1/drivers/me/events", body, key=anna)
    assert eta(shop, order["id"]) is None
    look(shop)
    assert eta(shop, order["id"]) is None


@one_server
def test_who_stands_still_is_noticed_however_often_the_phone_pings(shop: Shop) -> None:
    """What is kept of pings reaches back far enough."""
    shop.depot(policy={"late_after": 86_400}, clock={"scale": 1, "start": "2030-01-01T08:30:00Z"})
    anna = shop.crew("anna")
    shop.order(SPOTS[1], kind="service", demand={})
    repair(shop)
    shop.leave(anna)
    for first in range(1000, 1800, 100):
        pings(shop, anna, SPOTS[4], *range(first, first + 100, 2))
    look(shop)
    assert ("standing_still", "hel.anna") in triggers(shop)
