"""Vans that come back to the depot for more, from a shift as it is made to what is aboard after each report."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from ingest.store import keys, readers, writers
from routing.model import kind_of, order_of
from routing.solve import repair as mending
from tests.conftest import HOME, SPOTS, Shop, one_server, wait_for
from tests.workers.test_commit import publish, situation
from tests.workers.test_rests import LATER, crew, repair
from tests.workers.test_tracking import look
from workers import archive
from workers.commit import Outcome

RELOAD = "hel.day-anna.1.reload"


def planned(shop: Shop) -> list[dict[str, Any]]:
    [route] = shop.call("GET", "/v1/depots/hel/plan").json["routes"]
    stops: list[dict[str, Any]] = route["stops"]
    return stops


def trips(shop: Shop) -> list[list[str]]:
    """The orders of Anna's route, from one reload to the next."""
    found: list[list[str]] = [[]]
    for stop in planned(shop):
        if stop["kind"] == "reload":
            found.append([])
        else:
            found[-1].append(stop["order_id"])
    return found


def aboard(shop: Shop) -> set[str]:
    """The orders whose goods are on Anna's van, as plans see it."""
    snapshot = readers.snapshot(shop.store, "hel")
    assert snapshot is not None
    return {order for order, shift in snapshot.goods.items() if shift == "hel.day-anna"}


def states(shop: Shop, token: str) -> dict[str, str]:
    [shift] = shop.call("GET", "/v1/drivers/me/route", key=token).json["shifts"]
    return {stop["stop_id"]: stop["state"] for stop in shift["stops"]}


def van(shop: Shop, parcels: int, **shift: Any) -> str:
    """Anna, whose van takes so many parcels. Her token."""
    shop.depot(clock=LATER)
    return shop.crew("anna", **{"capacity": parcels, "reloads": 2, "reload_time": 600} | shift)


def tell(shop: Shop, token: str, stop: str, kind: str, at: str, **more: Any) -> Any:
    body = {"event_id": f"{stop} {kind} {at}", "type": kind, "occurred_at": f"2030-01-01T{at}Z"} | more
    return shop.call("POST", f"/v1/stops/{stop}/events", body, key=token)


def out(shop: Shop, parcels: int, orders: int, ended: str | None = "completed", **shift: Any) -> tuple[str, list[str], list[str]]:
    """Anna is on the road with two trips, the first of which has ended so. Her token, and both trips' orders."""
    anna = van(shop, parcels, **shift)
    for spot in SPOTS[:orders]:
        shop.order(spot)
    repair(shop)
    first, second = trips(shop)
    shop.leave(anna)
    for number, order in enumerate(first if ended else []):
        tell(shop, anna, f"{order}.delivery", str(ended), f"08:{10 + number}:00")
    return anna, first, second


def guess(shop: Shop, stop: str, kind: str, at: int) -> None:
    """What pings show of a stop that Anna drives to."""
    body = {"stop_id": stop, "driver_id": "hel.anna", "at": at, "type": kind, "inferred": True, "due": None}
    told = writers.infer(shop.store, "hel", driver="hel.anna", shift="hel.day-anna", stop=stop, kind=kind, at=at, body=body, now=0)
    assert told is not None


@one_server
def test_a_van_comes_back_for_what_it_cannot_hold(shop: Shop) -> None:
    """Planned, told, left with, and loaded trip by trip; what comes in while it is at the depot joins it."""
    anna = van(shop, 2)
    assert {name: shop.call("GET", "/v1/shifts/hel.day-anna").json[name] for name in ("reloads", "reload_time")} == {
        "reloads": 2, "reload_time": 600}  # fmt: skip
    for spot in SPOTS[:3]:
        shop.order(spot)
    repair(shop)
    first, second = trips(shop)
    assert len(first) + len(second) == 3
    back = next(stop for stop in planned(shop) if stop["stop_id"] == RELOAD)
    assert (back["kind"], back["location"], back["service_time"], back["state"]) == ("reload", HOME, 600, "open")
    [shift] = shop.call("GET", "/v1/drivers/me/route", key=anna).json["shifts"]
    assert [stop["loads"] for stop in shift["stops"] if stop["kind"] == "reload"] == [second]
    [line] = shop.call("GET", "/v1/depots/hel/plans/1/lines").json["lines"]
    assert [leg["stop_id"] for leg in line["legs"]] == [*(stop["stop_id"] for stop in planned(shop)), None]

    shop.leave(anna)
    assert aboard(shop) == set(first)
    for number, order in enumerate(first):
        tell(shop, anna, f"{order}.delivery", "completed", f"08:{10 + number}:00")
    assert aboard(shop) == set()
    assert states(shop, anna)[RELOAD] == "en_route"
    assert crew(shop).frozen != ()
    tell(shop, anna, RELOAD, "arrived", "08:30:00")
    joined = {shop.order(SPOTS[4])["id"] for _ in range(2 - len(second))}
    repair(shop)
    assert set(trips(shop)[1]) == {*second, *joined}
    assert crew(shop).serving
    tell(shop, anna, RELOAD, "completed", "08:40:00", proof={"note": "all there"})
    assert aboard(shop) == {*second, *joined}
    assert states(shop, anna)[RELOAD] == "completed"
    for number, order in enumerate(trips(shop)[1]):
        assert tell(shop, anna, f"{order}.delivery", "completed", f"08:{50 + number}:00").json["conflict"] is False
    assert aboard(shop) == set()
    assert shop.store.smembers(keys.depot_key("hel", "open")) == set()
    assert shop.store.zrange(keys.depot_key("hel", "closed"), 0, -1).count(order_of(RELOAD)) == 0


@one_server
def test_new_goods_reach_a_van_that_has_left(shop: Shop) -> None:
    """Without reloads they wait for another van; with one it comes back for them."""
    anna = van(shop, 2)
    shop.order(SPOTS[0])
    repair(shop)
    shop.leave(anna)
    new = shop.order(SPOTS[1])["id"]
    repair(shop)
    assert trips(shop)[1] == [new]
    assert shop.call("GET", f"/v1/orders/{new}").json["status"] == "planned"
    assert shop.call("DELETE", f"/v1/orders/{new}").status_code == 200
    repair(shop)
    assert len(trips(shop)) == 1, "nobody comes back for nothing"


@one_server
def test_what_was_collected_or_comes_back_stays_at_the_depot(shop: Shop) -> None:
    """A reload takes off what no open order needs: then there is room for more."""
    anna = van(shop, 1)
    old = shop.order(SPOTS[0])["id"]
    repair(shop)
    shop.leave(anna)
    tell(shop, anna, f"{old}.delivery", "failed", "08:10:00", reason="Nobody there")
    assert aboard(shop) == {old}
    new = shop.order(SPOTS[1])["id"]
    repair(shop)
    assert crew(shop).collected == (1, 0)
    assert trips(shop) == [[old], [new]]
    tell(shop, anna, RELOAD, "arrived", "08:20:00")
    tell(shop, anna, RELOAD, "completed", "08:30:00")
    assert aboard(shop) == {new}
    tell(shop, anna, f"{new}.delivery", "completed", "08:40:00")
    picked = shop.order(SPOTS[2], kind="collection")["id"]
    repair(shop)
    tell(shop, anna, f"{picked}.collection", "completed", "08:50:00")
    assert aboard(shop) == {picked}
    last = shop.order(SPOTS[3])["id"]
    repair(shop)
    tell(shop, anna, "hel.day-anna.2.reload", "completed", "09:30:00")
    assert aboard(shop) == {last}


@one_server
def test_a_reload_that_fails_is_used_up(shop: Shop) -> None:
    """Its goods are still at the depot, and wait for the next one."""
    anna, first, second = out(shop, 1, 2)
    tell(shop, anna, RELOAD, "arrived", "08:20:00")
    tell(shop, anna, RELOAD, "failed", "08:21:00", reason="Not ready")
    assert aboard(shop) == set()
    repair(shop)
    assert trips(shop) == [first, [], second]
    tell(shop, anna, "hel.day-anna.2.reload", "failed", "08:41:00", reason="Not ready")
    repair(shop)
    assert shop.call("GET", f"/v1/orders/{second[0]}").json["reasons"][0]["code"] == "departed"


@one_server
def test_a_reload_is_one_shifts_own(shop: Shop) -> None:
    """Nobody else's, never declined, and known only as often as the shift may come back."""
    van(shop, 2)
    bo = shop.crew("bo")
    assert tell(shop, bo, RELOAD, "completed", "08:10:00").json["code"] == "stop_moved"
    for stop in ("hel.day-anna.3.reload", "hel.day-anna.x.reload", "hel.day-bo.1.reload", "hel.day-anna.reload"):
        assert tell(shop, bo, stop, "completed", "08:10:00").status_code == 404
    for kind in ("declined", "loaded"):
        answer = tell(shop, shop.operator, RELOAD, kind, "08:10:00", driver_id="hel.anna")
        assert (answer.status_code, answer.json["errors"][0]["pointer"]) == (422, "/type")
    wrong = shop.call("POST", "/v1/orders", {"depot_id": "hel", "kind": "reload", "location": SPOTS[0]})
    assert [(error["code"], error["pointer"]) for error in wrong.json["errors"]] == [("not_one_of", "/kind")]


@one_server
@pytest.mark.parametrize("arrived", [False, True])
def test_who_delivers_has_been_there(shop: Shop, arrived: bool) -> None:
    """A driver who forgets to report the reload, and delivers what came aboard there, is not sent back for it."""
    anna, first, second = out(shop, 2, 4)
    if arrived:
        tell(shop, anna, RELOAD, "arrived", "08:20:00")
    assert tell(shop, anna, f"{second[0]}.delivery", "completed", "08:40:00").json["conflict"] is False
    assert aboard(shop) == {second[1]}
    assert states(shop, anna)[RELOAD] == "completed"
    assert crew(shop).done == (*(f"{order}.delivery" for order in first), RELOAD, f"{second[0]}.delivery")
    assert tell(shop, anna, f"{second[1]}.delivery", "completed", "08:50:00").json["conflict"] is False


@one_server
def test_what_was_only_guessed_to_be_handed_over_is_aboard_again(shop: Shop) -> None:
    """As she says that the reload has failed; not what another one has taken off since."""
    anna, first, second = out(shop, 1, 2, "failed")
    tell(shop, anna, f"{second[0]}.delivery", "completed", "08:40:00")
    assert states(shop, anna)[RELOAD] == "completed"
    assert aboard(shop) == set()
    tell(shop, anna, RELOAD, "failed", "08:20:00")
    assert aboard(shop) == set(first)
    third = shop.order(SPOTS[2])["id"]
    repair(shop)
    tell(shop, anna, "hel.day-anna.2.reload", "completed", "09:30:00")
    assert aboard(shop) == {third}


@one_server
@pytest.mark.parametrize("kind", ["completed", "failed"])
def test_correcting_an_older_guess_brings_nothing_back(shop: Shop, kind: str) -> None:
    """What a later reload has taken off stays at the depot."""
    anna, _, second = out(shop, 1, 2, "failed")
    tell(shop, anna, f"{second[0]}.delivery", "completed", "08:40:00")
    third = shop.order(SPOTS[2])["id"]
    repair(shop)
    tell(shop, anna, "hel.day-anna.2.reload", "completed", "09:30:00")
    tell(shop, anna, RELOAD, kind, "08:05:00")
    assert aboard(shop) == {third}


@one_server
@pytest.mark.parametrize("kind", ["completed", "failed"])
def test_what_is_said_after_the_return_loads_nothing(shop: Shop, kind: str) -> None:
    """A reload that was guessed, and is reported when she is home."""
    anna, _, second = out(shop, 2, 4, "failed")
    tell(shop, anna, f"{second[0]}.delivery", "completed", "08:40:00")
    body = {"event_id": "home", "type": "returned", "occurred_at": "2030-01-01T09:00:00Z"}
    assert shop.call("POST", "/v1/drivers/me/events", body, key=anna).status_code == 200
    tell(shop, anna, RELOAD, kind, "08:20:00")
    assert aboard(shop) == set()


@one_server
def test_only_stops_of_the_route_tell_that_she_was_there(shop: Shop) -> None:
    """Not what she delivers for somebody else, nor what is called off while nobody is there."""
    anna, first, second = out(shop, 1, 2, None, reloads=1)
    other = shop.order(SPOTS[2])["id"]
    tell(shop, anna, f"{other}.delivery", "completed", "08:10:00")
    assert (aboard(shop), states(shop, anna)[RELOAD]) == (set(first), "open")
    assert shop.call("GET", f"/v1/orders/{second[0]}").json["status"] == "planned"
    tell(shop, shop.operator, f"{second[0]}.delivery", "failed", "08:11:00", driver_id="hel.anna")
    assert (aboard(shop), states(shop, anna)[RELOAD]) == (set(first), "open")


@one_server
def test_who_is_at_a_stop_of_the_next_trip_has_loaded(shop: Shop) -> None:
    """New goods do not join that trip any more."""
    anna, _, second = out(shop, 2, 3)
    tell(shop, anna, RELOAD, "arrived", "08:20:00")
    tell(shop, anna, f"{second[0]}.delivery", "arrived", "08:40:00")
    assert aboard(shop) == set(second)
    new = shop.order(SPOTS[4])["id"]
    repair(shop)
    assert trips(shop)[2] == [new]


@one_server
@pytest.mark.parametrize("late", [False, True])
def test_who_is_elsewhere_has_left_the_depot(shop: Shop, late: bool) -> None:
    """At a stop that is not even hers; whatever order it is told in."""
    anna, _, second = out(shop, 2, 3)
    shop.crew("bo")
    body = {"depot_id": "hel", "kind": "service", "location": SPOTS[5], "pin": {"driver_id": "hel.bo"}}
    other = shop.made("/v1/orders", body)["id"]
    repair(shop)
    told = [(RELOAD, "arrived", "08:20:00"), (f"{other}.service", "arrived", "08:30:00")]
    for stop, kind, at in reversed(told) if late else told:
        tell(shop, anna, stop, kind, at)
    assert states(shop, anna)[RELOAD] == "completed"
    assert aboard(shop) == set(second)
    assert repair(shop) == 1


@one_server
def test_what_she_has_declined_is_not_loaded(shop: Shop) -> None:
    """Though it still is in her route when she is at the depot."""
    anna, _, second = out(shop, 1, 2)
    tell(shop, anna, f"{second[0]}.delivery", "declined", "08:11:00")
    tell(shop, anna, RELOAD, "completed", "08:20:00")
    assert aboard(shop) == set()


@one_server
def test_what_is_handed_over_follows_from_when_things_happened(shop: Shop) -> None:
    """Not from when they were told: a collection before a reload that was guessed late, and reported to have been sooner."""
    anna, _, second = out(shop, 1, 2)
    picked = shop.order(SPOTS[3], kind="collection")["id"]
    repair(shop)
    tell(shop, anna, f"{second[0]}.delivery", "completed", "08:40:00")
    tell(shop, anna, f"{picked}.collection", "completed", "08:20:00")
    assert aboard(shop) == set()
    tell(shop, anna, RELOAD, "completed", "08:15:00")
    assert aboard(shop) == {picked}


@one_server
def test_what_is_corrected_was_handed_over_all_the_same(shop: Shop) -> None:
    """A stop that only pings have told of, before a reload, and that is reported after it."""
    anna, first, second = out(shop, 1, 2, None)
    stop = f"{first[0]}.delivery"
    for kind, at in (("arrived", 1893485400), ("completed", 1893485700)):
        guess(shop, stop, kind, at)
    tell(shop, anna, RELOAD, "completed", "08:40:00")
    tell(shop, anna, stop, "failed", "08:20:00")
    assert aboard(shop) == set(second)


@one_server
def test_goods_that_are_aside_stay_aboard(shop: Shop) -> None:
    """Planning failed on their order, which is open: a reload to come does not make room by them."""
    anna, first, _ = out(shop, 2, 3, None)
    shop.store.hset(keys.depot_key("hel", "aside"), first[0], json.dumps({"state": "guilty", "failure": "x"}))
    assert crew(shop).collected == ()
    tell(shop, anna, f"{first[1]}.delivery", "failed", "08:12:00")
    assert (crew(shop).load[0], crew(shop).collected[0]) == (2, 1)


@one_server
@pytest.mark.parametrize("kind", ["completed", "failed"])
def test_goods_cannot_join_a_trip_that_is_loaded_meanwhile(shop: Shop, kind: str) -> None:
    """A plan that was made before she reported what came of the reload is refused."""
    anna, _, second = out(shop, 2, 3)
    tell(shop, anna, RELOAD, "arrived", "08:30:00")
    new = shop.order(SPOTS[4])["id"]
    snapshot, problem = situation(shop)
    found = mending.repair(problem)
    tell(shop, anna, RELOAD, kind, "08:40:00")
    assert publish(shop, snapshot, problem, found) is Outcome.CHANGED
    repair(shop)
    *made, last = trips(shop)[1:]
    assert (made, set(last)) == (([second], {new}) if kind == "completed" else ([[]], {*second, new}))


@one_server
def test_what_is_over_is_let_go(shop: Shop, tmp_path: Path) -> None:
    """With the shift goes all that is known of its reloads."""
    anna, _, second = out(shop, 1, 2)
    tell(shop, anna, RELOAD, "skipped", "08:12:00")
    tell(shop, anna, RELOAD, "completed", "08:20:00")
    tell(shop, anna, f"{second[0]}.delivery", "completed", "08:30:00")
    state = ("progress", "stop_shift", "record_rev", "etas", "eta_told", "forecasts", "trail", "sequences", "goods")
    known = [name for name in state if "reload" in str(shop.store.hgetall(keys.depot_key("hel", name)))]
    assert {"progress", "stop_shift", "trail", "sequences"} <= set(known)
    assert "hel.day-anna.1" in shop.store.hgetall(keys.depot_key("hel", "record_rev"))
    assert archive.retire(shop.store, tmp_path, "hel", now=time.time() + 60 * 86_400) == 2
    assert [name for name in state if "day-anna" in str(shop.store.hgetall(keys.depot_key("hel", name)))] == []


@one_server
def test_who_was_seen_at_the_depot_has_loaded(shop: Shop) -> None:
    """Pings show when he came and left, as at any stop; the way there has an ETA."""
    shop.depot(clock={"scale": 1200, "start": "2030-01-01T08:00:00Z"}, policy={"silent_after": 86_400, "infer_after": 30})
    anna = shop.crew("anna", capacity=1, reloads=1, reload_time=600)
    shop.order(SPOTS[4])
    shop.order(SPOTS[5])
    repair(shop)
    [first], [second] = trips(shop)
    shop.leave(anna)
    look(shop)
    assert planned(shop)[1]["eta"]["p50"] > planned(shop)[0]["eta"]["p50"]
    tell(shop, anna, f"{first}.delivery", "completed", "08:00:00")
    wait_for(lambda: shop.call("GET", "/v1/depots/hel").json["clock"]["now"] > "2030-01-01T09:40", what="the day to go on")
    for place, minutes in ((HOME, (30, 31, 32)), (planned(shop)[2]["location"], (37, 38, 39))):
        pings = [place | {"seq": minute, "recorded_at": f"2030-01-01T09:{minute}:00Z"} for minute in minutes]
        assert shop.call("POST", "/v1/drivers/me/pings", pings, key=anna).json["stored"] == 3
        look(shop)
    assert planned(shop)[1]["state"] == "completed"
    assert aboard(shop) == {second}


@one_server
def test_a_reload_that_was_only_guessed_is_taken_back(shop: Shop) -> None:
    """What pings seemed to tell is corrected by a report, with what came aboard."""
    anna, _, second = out(shop, 1, 2)
    for kind, at in (("arrived", 1893485700), ("completed", 1893486300)):
        guess(shop, RELOAD, kind, at)
    assert aboard(shop) == set(second)
    tell(shop, anna, RELOAD, "arrived", "09:00:00")
    assert aboard(shop) == set()
    assert states(shop, anna)[RELOAD] == "arrived"
    tell(shop, anna, RELOAD, "completed", "09:05:00")
    assert aboard(shop) == set(second)
    assert kind_of(planned(shop)[-1]["stop_id"]) == "delivery"
