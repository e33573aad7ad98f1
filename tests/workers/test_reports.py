"""Reports that do not fit the plan: each is answered, and none stops a depot or loses an order."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from ingest.store import keys, readers, writers
from tests.conftest import SPOTS, Shop
from tests.workers.test_commit import repair, route, situation


def service(shop: Shop, number: int = 0, **changes: Any) -> dict[str, Any]:
    return shop.order(SPOTS[number], kind="service", demand={}, **changes)


def status(shop: Shop, order: dict[str, Any]) -> str:
    return str(shop.call("GET", f"/v1/orders/{order['id']}").json["status"])


def still_plans(shop: Shop) -> None:
    """The depot answers the next order, and nothing waits."""
    made = service(shop, 5)
    repair(shop)
    assert status(shop, made) in {"planned", "en_route"}  # a van that has nothing else to do sets out at once
    assert shop.store.zcard(keys.depot_key("hel", "triggers")) == 0


@pytest.mark.parametrize("suffix", ["banana", "collection", "a b", ""])
def test_a_stop_that_no_order_has_does_not_exist(shop: Shop, suffix: str) -> None:
    """Whatever is reported of it: 404, and the order stays as it was."""
    shop.depot()
    anna = shop.crew("anna")
    made = service(shop)
    repair(shop)
    for number, kind in enumerate(("arrived", "completed", "declined")):
        assert shop.event(anna, f"{made['id']}.{suffix}", kind, event_id=f"e{number}").status_code == 404
    assert status(shop, made) == "planned"
    still_plans(shop)


def test_a_stop_that_three_drivers_report_is_in_one_route(shop: Shop) -> None:
    """The last to arrive has it, and the others go on."""
    shop.depot()
    tokens = [shop.crew(name) for name in ("anna", "bo", "cy")]
    made, other = service(shop), service(shop, 1)
    repair(shop)
    for number, token in enumerate(tokens):
        assert shop.event(token, made["stop_id"], "arrived", event_id=f"e{number}").status_code == 200
    repair(shop)
    assert [made["stop_id"] in dict(route(shop, token)) for token in tokens] == [False, False, True]
    assert status(shop, other) in {"planned", "en_route"}
    still_plans(shop)


def test_a_full_van_at_anothers_parcel_stops_nobody(shop: Shop) -> None:
    """Its goods are not in that van: they weigh nothing there, and the fact stands."""
    shop.depot()
    anna = shop.crew("anna")
    for spot in SPOTS[:2]:
        shop.order(spot, demand={"parcels": 5})
    repair(shop)
    shop.leave(anna)
    shop.crew("bo")
    theirs = shop.order(SPOTS[2], demand={"parcels": 5})
    repair(shop)
    assert shop.event(anna, theirs["stop_id"], "arrived", event_id="a").json["conflict"] is True
    repair(shop)
    assert dict(route(shop, anna))[theirs["stop_id"]] == "arrived"
    still_plans(shop)


def test_loaded_counts_for_deliveries_and_for_drivers_with_a_shift(shop: Shop) -> None:
    """A collection has nothing to load, and without a shift there is no van to load."""
    shop.depot()
    anna = shop.crew("anna")
    shop.made("/v1/drivers", {"depot_id": "hel", "id": "guest"})
    guest = str(shop.made("/v1/keys", {"role": "driver", "driver_id": "hel.guest"})["key"])
    parcel, pickup = shop.order(SPOTS[0]), shop.order(SPOTS[1], kind="collection")
    repair(shop)
    assert shop.event(guest, parcel["stop_id"], "loaded", event_id="1").status_code == 200
    assert shop.event(anna, pickup["stop_id"], "loaded", event_id="2").status_code == 200
    assert shop.store.hgetall(keys.depot_key("hel", "goods")) == {}
    repair(shop)
    assert (status(shop, parcel), status(shop, pickup)) == ("planned", "planned")


def test_a_van_loaded_beyond_its_capacity_keeps_what_is_in_it(shop: Shop) -> None:
    """Four loaded where three fit: they are all delivered by it, nothing more is added."""
    shop.depot()
    anna = shop.crew("anna")
    orders = [shop.order(spot, demand={"parcels": 4}) for spot in SPOTS[:3]]
    repair(shop)
    for number, order in enumerate(orders):
        shop.event(anna, order["stop_id"], "loaded", event_id=f"l{number}")
    more = shop.order(SPOTS[4])
    repair(shop)
    assert [status(shop, order) for order in orders] == ["planned"] * 3
    assert status(shop, more) == "unassigned"


def test_a_changed_address_reaches_the_driver(shop: Shop) -> None:
    """Though the sequence is the same, it is a new version, and it says what was updated."""
    shop.depot()
    anna = shop.crew("anna")
    made = service(shop)
    repair(shop)
    shop.call("PATCH", f"/v1/orders/{made['id']}", {"location": SPOTS[3], "service_time": 300})
    assert repair(shop) == 1
    document = shop.call("GET", "/v1/drivers/me/route", key=anna).json
    assert document["route_version"] == 2
    assert document["shifts"][0]["stops"][0]["location"] == SPOTS[3]
    assert document["changes"]["updated"] == [made["stop_id"]]


def test_what_comes_after_the_return_does_not_start_tomorrow(shop: Shop) -> None:
    """A second `returned` is of the same shift; a late fact belongs to the shift that is over."""
    shop.depot()
    anna = shop.crew("anna")
    done, tomorrow = service(shop), None
    repair(shop)
    shop.leave(anna)
    shop.next_shift("anna", "2030-01-02T08:00:00Z", "2030-01-02T16:00:00Z")
    body = {"type": "returned", "occurred_at": "2030-01-01T08:00:00Z"}
    assert shop.call("POST", "/v1/drivers/me/events", body | {"event_id": "r1"}, key=anna).status_code == 200
    again = shop.call("POST", "/v1/drivers/me/events", body | {"event_id": "r2"}, key=anna)
    assert again.status_code == 200, "said twice"
    tomorrow = service(shop, 1)
    repair(shop)
    assert shop.event(anna, done["stop_id"], "completed", event_id="late").status_code == 200
    repair(shop)
    snapshot, _ = situation(shop)
    assert snapshot.progress["hel.day-anna"].returned
    assert "hel.next-anna" not in snapshot.progress
    assert (status(shop, done), status(shop, tomorrow)) == ("completed", "planned")


def test_the_end_of_a_shift_is_a_trigger(shop: Shop) -> None:
    """Timers wait for a shift's start and end; its stops then go elsewhere, once."""
    shop.depot()
    shop.crew("anna")
    waiting = {member.split(" ")[1] for member in shop.store.zrange(keys.shared_key("timers"), 0, -1)}
    assert waiting == {"shift_ended"}  # it has started already
    shop.crew("bo", start="2030-01-03T10:00:00Z", end="2030-01-03T11:00:00Z")
    waiting = {member.split(" ")[1] for member in shop.store.zrange(keys.shared_key("timers"), 0, -1)}
    assert waiting == {"shift_changed", "shift_started", "shift_ended"}


def test_a_declined_stop_is_not_driven_to_next(shop: Shop) -> None:
    """Even before the plan that takes it away is out."""
    shop.depot()
    anna = shop.crew("anna")
    for number in range(3):
        service(shop, number)
    repair(shop)
    shop.leave(anna)
    first, second, third = [stop for stop, _ in route(shop, anna)]
    shop.event(anna, second, "declined", event_id="d")
    shop.event(anna, first, "completed", event_id="c")
    assert dict(route(shop, anna))[third] == "en_route"
    assert dict(route(shop, anna))[second] == "open"


def test_however_late_an_order_is_served(shop: Shop) -> None:
    """A soft window of last month, at the highest price of lateness."""
    shop.depot(policy={"late_price": 1000})
    shop.crew("anna")
    made = service(shop, windows=[{"from": "2029-11-01T08:00:00Z", "to": "2029-11-01T09:00:00Z"}], priority=100)
    repair(shop)
    assert status(shop, made) == "planned"


def test_nothing_is_planned_in_the_past_nor_years_ahead(shop: Shop) -> None:
    """A driver with nothing to do starts now; a stop cut off by a closure is not frozen behind the one being served."""
    shop.depot(clock={"scale": 1, "start": "2030-01-01T10:00:00Z"})
    anna = shop.crew("anna")
    early = service(shop)
    repair(shop)
    shop.leave(anna)
    shop.event(anna, early["stop_id"], "completed", event_id="c", at="2030-01-01T08:30:00Z")
    made = service(shop, 1, service_time=0)
    repair(shop)
    shop.event(anna, made["stop_id"], "arrived", event_id="a", at="2030-01-01T10:00:00Z")
    after = service(shop, 4)
    repair(shop)
    shop.made("/v1/road-events", {"depot_id": "hel", "kind": "close", "disc": {"centre": SPOTS[4], "radius_m": 40},
                                  "end": "2030-01-01T12:00:00Z"})  # fmt: skip
    repair(shop)
    plan = shop.call("GET", "/v1/depots/hel/plan").json
    times = {stop["order_id"]: stop["arrive"] for r in plan["routes"] for stop in r["stops"]}
    assert times[made["id"]] >= "2030-01-01T10:00:00Z"
    assert after["id"] not in times
    assert status(shop, after) == "unassigned"


def test_stop_events_are_signs_of_life(shop: Shop) -> None:
    """Who reports is not silent, though the phone sends no pings."""
    shop.depot(policy={"silent_after": 10})
    anna = shop.crew("anna")
    made = service(shop)
    repair(shop)
    shop.event(anna, made["stop_id"], "en_route", event_id="1")
    first = shop.store.zscore(keys.shared_key("heard"), "hel hel.anna")
    time.sleep(0.02)
    shop.event(anna, made["stop_id"], "arrived", event_id="2")
    assert shop.store.zscore(keys.shared_key("heard"), "hel hel.anna") > first > time.time()


def test_who_is_not_on_the_road_is_not_missed(shop: Shop) -> None:
    shop.depot(policy={"silent_after": 10})
    anna = shop.crew("anna")
    at = "2030-01-01T08:00:00Z"
    shop.call("POST", "/v1/drivers/me/pings", [SPOTS[0] | {"seq": 1, "recorded_at": at}], key=anna)
    member = "hel hel.anna"
    when = shop.store.zscore(keys.shared_key("heard"), member)
    assert not writers.due(shop.store, "hel", "silence", member, "driver_silent", "hel.anna", when + 1)
    assert readers.availability(shop.store, "hel", "hel.anna") == "available"


def test_who_comes_on_duty_must_be_heard_of_again(shop: Shop) -> None:
    """And a phone that sends what it kept is heard of, though none of that is new."""
    shop.depot(policy={"silent_after": 10})
    anna = shop.crew("anna")
    service(shop)
    repair(shop)
    shop.leave(anna)
    heard = keys.shared_key("heard")
    shop.store.delete(heard)  # as when the deadline has passed off duty
    body = {"event_id": "on", "type": "on_duty", "occurred_at": "2030-01-01T08:00:00Z"}
    assert shop.call("POST", "/v1/drivers/me/events", body, key=anna).status_code == 200
    assert shop.store.zscore(heard, "hel hel.anna") > time.time()
    for seq, second in ((1, 0), (2, -30)):
        shop.store.delete(heard)
        at = f"2030-01-01T0{8 if second >= 0 else 7}:{second % 60:02}:00Z"
        assert shop.call("POST", "/v1/drivers/me/pings", [SPOTS[0] | {"seq": seq, "recorded_at": at}], key=anna).json["stored"] == 1
        assert shop.store.zscore(heard, "hel hel.anna") > time.time()


def test_an_event_id_stands_for_one_event(shop: Shop) -> None:
    """The same id with another stop or type is refused, not swallowed."""
    shop.depot()
    anna = shop.crew("anna")
    made, other = service(shop), service(shop, 1)
    repair(shop)
    assert shop.event(anna, made["stop_id"], "arrived", event_id="x").status_code == 200
    for stop, kind in ((made, "completed"), (other, "arrived")):
        answer = shop.event(anna, stop["stop_id"], kind, event_id="x")
        assert (answer.status_code, answer.json["code"]) == (422, "event_id_reused")


def test_two_shifts_of_a_driver_are_told_apart(shop: Shop) -> None:
    """A stop that moves from one to the other is a change; doing nothing is none."""
    shop.depot()
    shop.crew("anna", start="2030-01-01T17:00:00Z", end="2030-01-01T22:00:00Z")
    shop.made("/v1/shifts", {"depot_id": "hel", "id": "a-first", "driver_id": "hel.anna", "vehicle_id": "hel.van-anna",
                             "start": "2030-01-01T08:00:00Z", "end": "2030-01-01T16:00:00Z"})  # fmt: skip
    made, stays = service(shop), service(shop, 1)
    repair(shop)
    evening = [{"from": "2030-01-01T18:00:00Z", "to": "2030-01-01T19:00:00Z"}]
    shop.call("PATCH", f"/v1/orders/{made['id']}", {"windows": evening, "lateness": "hard"})
    assert repair(shop) == 1
    shop.call("POST", "/v1/depots/hel/resolve")
    assert repair(shop) == 0
    snapshot = readers.snapshot(shop.store, "hel")
    assert snapshot is not None
    assert {stop for sequence in snapshot.sequences.values() for stop in sequence} == {made["stop_id"], stays["stop_id"]}


@pytest.mark.parametrize("moment", ["9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00", "2030-01-01T08:00:00", -1, 1.5, "1"])
def test_times_out_of_this_world_are_refused(shop: Shop, moment: Any) -> None:
    """In windows, road events and reports; and the lists can still be read."""
    shop.depot()
    anna = shop.crew("anna")
    made = service(shop)
    window = [{"from": moment, "to": "2030-01-01T10:00:00Z"}]
    body = {"depot_id": "hel", "kind": "service", "location": SPOTS[0], "windows": window}
    assert shop.call("POST", "/v1/orders", body).status_code == 422
    closure = {"depot_id": "hel", "kind": "close", "disc": {"centre": SPOTS[0], "radius_m": 50}, "end": moment}
    assert shop.call("POST", "/v1/road-events", closure).status_code == 422
    report = {"event_id": "e", "type": "arrived", "occurred_at": moment}
    assert shop.call("POST", f"/v1/stops/{made['stop_id']}/events", report, key=anna).status_code == 422
    assert shop.call("GET", "/v1/orders?depot_id=hel").status_code == 200


@pytest.mark.parametrize("path", [
    "/v1/depots/hel/plans?after=²", "/v1/depots/hel/plans?after=" + "9" * 400, "/v1/orders?depot_id=hel&cursor=²",
    "/v1/drivers/hel.anna/route?wait=abc", "/v1/drivers/hel.anna/route?wait=nan", "/v1/drivers/hel.anna/stream?last_event_id=²",
])  # fmt: skip
def test_strange_numbers_in_a_query_are_refused(shop: Shop, path: str) -> None:
    """Told, not stumbled over."""
    shop.depot()
    shop.crew("anna")
    assert shop.call("GET", path).status_code == 422


def test_deep_json_is_refused(shop: Shop) -> None:
    """On the slow paths and on the fast one."""
    shop.depot()
    anna = shop.crew("anna")
    for path, key in (("/v1/orders", shop.shipper), ("/v1/drivers/me/pings", anna)):
        answer = shop.call("POST", path, key=key, data=b"[" * 100_000)
        assert answer.status_code in {400, 422}, answer.text


@pytest.mark.parametrize("text", ['"hel.\\ud800"', '"\\uDFFF"'])
def test_half_a_character_is_refused(shop: Shop, text: str) -> None:
    """Which JSON can write, but nobody can store."""
    shop.depot()
    body = f'{{"depot_id": "hel", "kind": "service", "location": {json.dumps(SPOTS[0])}, "pin": {{"driver_id": {text}}}}}'
    answer = shop.call("POST", "/v1/orders", data=body.encode())
    assert (answer.status_code, answer.json["code"]) == (400, "malformed_json")


def test_faults_are_told_up_to_a_hundred(shop: Shop) -> None:
    """However many there are: an answer is not much longer than its question."""
    shop.depot()
    anna = shop.crew("anna")
    body = {f"field{number}": 1 for number in range(500)} | {"depot_id": "hel"}
    assert len(shop.call("POST", "/v1/orders", body).json["errors"]) == 100
    assert len(shop.call("POST", "/v1/drivers/me/pings", [{}] * 500, key=anna).json["errors"]) == 100
    [fault] = shop.call("POST", "/v1/drivers/me/pings", [{}] * 5000, key=anna).json["errors"]
    assert fault["code"] == "out_of_range"


def test_an_idempotency_key_is_the_shippers_own_at_every_depot(shop: Shop) -> None:
    """The same key with another body, here another depot, is refused."""
    shop.depot()
    shop.depot("two")
    body = {"depot_id": "hel", "kind": "service", "location": SPOTS[0]}
    headers = {"Idempotency-Key": "k"}
    assert shop.call("POST", "/v1/orders", body, key=shop.shipper, headers=dict(headers)).status_code == 201
    other = shop.call("POST", "/v1/orders", body | {"depot_id": "two"}, key=shop.shipper, headers=dict(headers))
    assert (other.status_code, other.json["code"]) == (422, "idempotency_key_reused")


def test_only_shippers_keys_are_limited_to_depots(shop: Shop) -> None:
    """An operator's could not be kept to its depots."""
    shop.depot()
    assert shop.call("POST", "/v1/keys", {"role": "operator", "depots": ["hel"]}).status_code == 422


def test_setting_up_again_at_the_same_address_takes_no_time(shop: Shop) -> None:
    """The driver has finished one order there and arrived for the next; the first is closed, and where it was is still known."""
    shop.depot()
    anna = shop.crew("anna")
    made = [service(shop, 1, setup_time=3600, service_time=60) for _ in range(2)]
    repair(shop)
    shop.leave(anna)
    first, second = (stop for stop, _ in route(shop, anna))
    shop.event(anna, first, "completed", event_id="done")
    shop.event(anna, second, "arrived", event_id="there")
    service(shop, 3)
    repair(shop)
    stops = shop.call("GET", "/v1/depots/hel/plan").json["routes"][0]["stops"]
    here = next(stop for stop in stops if stop["stop_id"] == second)
    assert here["begin"] == here["arrive"]
    assert {first, second} == {order["stop_id"] for order in made}


def test_a_driver_without_pings_is_where_the_last_stop_was(shop: Shop) -> None:
    """Though its order is closed; a stop that was cancelled on the way was never reached."""
    shop.depot()
    anna = shop.crew("anna")
    for number in (1, 2, 3):
        service(shop, number)
    repair(shop)
    shop.leave(anna)
    first, second, third = (stop for stop, _ in route(shop, anna))
    places = {stop["stop_id"]: stop["location"] for stop in shop.call("GET", "/v1/depots/hel/plan").json["routes"][0]["stops"]}
    shop.event(anna, first, "completed", event_id="done")

    def start() -> dict[str, float]:
        problem = shop.call("GET", "/v1/depots/hel/problem").json
        return dict(problem["places"][problem["crews"][0]["place"]]["location"])

    assert start() == places[first]
    shop.call("DELETE", f"/v1/orders/{second.rpartition('.')[0]}")
    assert start() == places[first]
    assert third in [stop for stop, _ in route(shop, anna)]
