"""Breaks and driving at a stretch, from a shift as it is made to the driver's page."""

from __future__ import annotations

import time
from typing import Any

import pytest

from ingest.store import readers
from routing.model import Break, Limits
from routing.solve.problem import Crew
from tests.conftest import SPOTS, Shop, one_server
from tests.workers.test_imports import load, send
from workers import replan
from workers.formulation import problem_of

NOON = {"from": "2030-01-01T08:01:00Z", "to": "2030-01-01T08:20:00Z", "duration": 1800}
LATER = {"scale": 1, "start": "2030-01-01T11:00:00Z"}


def repair(shop: Shop) -> int:
    return replan.repair(shop.store, shop.settings, "hel")


def crew(shop: Shop) -> Crew:
    snapshot = readers.snapshot(shop.store, "hel")
    assert snapshot is not None
    return problem_of(shop.settings, snapshot, at=time.time())[0].crews[0]


def tell(shop: Shop, token: str, kind: str, at: str, **more: Any) -> None:
    body = {"event_id": f"{kind} {at}", "type": kind, "occurred_at": f"2030-01-01T{at}Z"} | more
    assert shop.call("POST", "/v1/drivers/me/events", body, key=token).status_code == 200


@one_server
def test_a_break_is_planned_and_told(shop: Shop) -> None:
    """In the plan, in the route, and behind it the times of the stops; the shift says what was asked for."""
    shop.depot()
    anna = shop.crew("anna", breaks=[NOON])
    assert shop.call("GET", "/v1/shifts/hel.day-anna").json["breaks"] == [NOON]
    shop.order(SPOTS[0], service_time=600)
    shop.order(SPOTS[2], service_time=900)
    repair(shop)
    [route] = shop.call("GET", "/v1/depots/hel/plan").json["routes"]
    [rest] = route["rests"]
    assert NOON["from"] <= rest["begin"] <= str(NOON["to"])
    assert not rest["driving"]
    assert rest["before"] == route["stops"][1]["stop_id"]
    assert rest["end"] <= route["stops"][1]["arrive"]
    assert shop.call("GET", "/v1/drivers/me/route", key=anna).json["shifts"][0]["rests"] == [rest]
    assert shop.call("GET", "/v1/depots/hel/plans/1").json["routes"][0]["rests"] == [rest]


@one_server
def test_a_break_may_be_at_a_place(shop: Shop) -> None:
    """The way there is driven and paid for; the driver is told where."""
    shop.depot()
    anna = shop.crew("anna", breaks=[NOON | {"location": SPOTS[4]}])
    assert shop.call("GET", "/v1/shifts/hel.day-anna").json["breaks"][0]["location"] == SPOTS[4]
    shop.order(SPOTS[0], service_time=600)
    shop.order(SPOTS[2], service_time=900)
    repair(shop)
    [rest] = shop.call("GET", "/v1/drivers/me/route", key=anna).json["shifts"][0]["rests"]
    assert rest["location"] == SPOTS[4]
    there = shop.call("GET", "/v1/depots/hel/plans").json["plans"][-1]["costs"]["driving"]
    shop.depot("other")
    shop.crew("anna", "other", breaks=[NOON])
    for spot, service in ((SPOTS[0], 600), (SPOTS[2], 900)):
        shop.order(spot, service_time=service, depot_id="other")
    replan.repair(shop.store, shop.settings, "other")
    assert shop.call("GET", "/v1/depots/other/plans").json["plans"][-1]["costs"]["driving"] < there
    far = [NOON | {"location": {"lat": 0.0, "lon": 0.0}}]
    wrong = {"depot_id": "hel", "id": "x", "driver_id": "hel.anna", "vehicle_id": "hel.van-anna", "breaks": far,
             "start": "2030-01-01T08:00:00Z", "end": "2030-01-01T16:00:00Z"}  # fmt: skip
    assert shop.call("POST", "/v1/shifts", wrong).json["errors"][0]["pointer"] == "/breaks/0/location"


@one_server
def test_a_break_that_was_taken_is_not_planned_again(shop: Shop) -> None:
    """One that was broken off is; what a driver reports of another time is no such break."""
    shop.depot(clock=LATER)
    anna = shop.crew("anna", breaks=[NOON, NOON | {"from": "2030-01-01T10:00:00Z", "to": "2030-01-01T10:20:00Z"}])
    planned = crew(shop).breaks
    assert len(planned) == 2
    tell(shop, anna, "on_break", "08:02:00", until="2030-01-01T08:40:00Z")
    assert crew(shop).breaks == planned[1:]
    tell(shop, anna, "off_break", "08:20:00")
    assert crew(shop).breaks == planned
    tell(shop, anna, "on_break", "08:25:00", until="2030-01-01T08:40:00Z")
    tell(shop, anna, "on_break", "08:30:00", until="2030-01-01T08:56:00Z")
    assert crew(shop).breaks == planned[1:], "it was prolonged"
    tell(shop, anna, "on_break", "09:00:00", until="2030-01-01T09:45:00Z")
    assert crew(shop).breaks == planned[1:]


@one_server
def test_rests_are_what_was_whatever_order_it_is_told_in(shop: Shop) -> None:
    """An end that comes before its beginning; work in the middle of a break; a break that is shortened."""
    shop.depot(clock=LATER)
    anna = shop.crew("anna", breaks=[NOON])
    tell(shop, anna, "off_break", "08:12:00")
    tell(shop, anna, "on_break", "08:02:00", until="2030-01-01T08:40:00Z")
    assert len(crew(shop).breaks) == 1, "ten minutes are no break"
    tell(shop, anna, "on_break", "08:20:00", until="2030-01-01T08:55:00Z")
    assert crew(shop).breaks == ()
    tell(shop, anna, "on_break", "08:25:00", until="2030-01-01T08:45:00Z")
    assert len(crew(shop).breaks) == 1, "it was shortened"
    made = shop.call("POST", "/v1/orders", {"depot_id": "hel", "kind": "service", "location": SPOTS[0]}).json
    repair(shop)
    shop.leave(anna)
    tell(shop, anna, "on_break", "10:00:00", until="2030-01-01T10:40:00Z")
    assert crew(shop).breaks == ()
    shop.event(anna, made["stop_id"], "arrived", event_id="there", at="2030-01-01T10:10:00Z")
    assert len(crew(shop).breaks) == 1, "who works does not rest"


@one_server
def test_a_break_that_is_taken_makes_a_new_route(shop: Shop) -> None:
    """Without the break that was planned, and with the times that are so then."""
    shop.depot(clock={"scale": 1, "start": "2030-01-01T08:30:00Z"})
    later = {"from": "2030-01-01T08:30:00Z", "to": "2030-01-01T09:30:00Z", "duration": 600}
    anna = shop.crew("anna", breaks=[later])
    shop.order(SPOTS[0], service_time=1800)
    shop.order(SPOTS[2], service_time=1800)
    shop.order(SPOTS[3], service_time=1800)
    repair(shop)
    before = shop.call("GET", "/v1/drivers/me/route", key=anna).json
    assert len(before["shifts"][0]["rests"]) == 1
    tell(shop, anna, "on_break", "08:20:00", until="2030-01-01T08:31:00Z")
    repair(shop)
    after = shop.call("GET", "/v1/drivers/me/route", key=anna).json
    assert after["shifts"][0]["rests"] == []
    assert after["route_version"] > before["route_version"]
    assert after["changes"]["updated"] == [after["shifts"][0]["stops"][0]["stop_id"]]


@one_server
def test_driving_is_counted_from_the_last_rest(shop: Shop) -> None:
    """What is behind a driver counts; a rest that is long enough ends it, a short one does not."""
    shop.depot(clock=LATER)
    anna = shop.crew("anna", limits={"stretch": 3600, "rest": 900})
    made = [shop.order(spot)["id"] for spot in (SPOTS[0], SPOTS[1])]
    repair(shop)
    shop.leave(anna)
    for kind in ("arrived", "completed"):
        shop.event(anna, f"{made[0]}.delivery", kind, event_id=kind, at="2030-01-01T08:30:00Z")
    driven = crew(shop).wheel
    assert driven > 0
    tell(shop, anna, "on_break", "08:40:00", until="2030-01-01T08:50:00Z")
    assert crew(shop).wheel == driven
    tell(shop, anna, "on_break", "08:55:00", until="2030-01-01T09:11:00Z")
    assert crew(shop).wheel == 0


@pytest.mark.parametrize(("asked", "limits"), [
    ({"preset": "eu_561"}, Limits(duration=46800, driving=32400, stretch=16200, rest=2700)),
    ({"preset": "us_hos"}, Limits(duration=50400, driving=39600, stretch=28800, rest=1800)),
    ({"preset": "eu_561", "stretch": 7200, "rest": 60, "driving": 86400, "stops": 9},
     Limits(stops=9, duration=46800, driving=32400, stretch=7200, rest=2700)),
])  # fmt: skip
@one_server
def test_a_preset_is_what_a_law_says(shop: Shop, asked: dict[str, Any], limits: Limits) -> None:
    """Regulation (EC) 561/2006, articles 6 to 8, and 49 CFR 395.3(a). A tighter limit holds, a looser one does not."""
    shop.depot()
    shop.crew("anna", limits=asked)
    assert crew(shop).limits == limits


@one_server
def test_a_rest_alone_bounds_nothing(shop: Shop) -> None:
    """And is refused, so that nobody relies on it."""
    shop.depot()
    for path, body in (("/v1/drivers", {"id": "anna"}), ("/v1/vehicles", {"id": "van"})):
        shop.made(path, {"depot_id": "hel"} | body)
    shift = {"depot_id": "hel", "id": "day", "driver_id": "hel.anna", "vehicle_id": "hel.van", "limits": {"rest": 900},
             "start": "2030-01-01T08:00:00Z", "end": "2030-01-01T16:00:00Z"}  # fmt: skip
    assert shop.call("POST", "/v1/shifts", shift).json["errors"][0]["pointer"] == "/limits"


@pytest.mark.parametrize("breaks", [
    [NOON | {"to": "2030-01-01T08:00:00Z"}], [NOON, NOON], [NOON | {"from": "2029-12-31T23:00:00Z"}], [NOON | {"duration": 0}],
])  # fmt: skip
@one_server
def test_breaks_that_cannot_be_taken_are_refused(shop: Shop, breaks: list[Any]) -> None:
    """Outside the shift, ending before they begin, one within the other."""
    shop.depot()
    for path, body in (("/v1/drivers", {"id": "anna"}), ("/v1/vehicles", {"id": "van"})):
        shop.made(path, {"depot_id": "hel"} | body)
    answer = shop.call("POST", "/v1/shifts", {
        "depot_id": "hel", "id": "day", "driver_id": "hel.anna", "vehicle_id": "hel.van", "start": "2030-01-01T08:00:00Z",
        "end": "2030-01-01T16:00:00Z", "breaks": breaks})  # fmt: skip
    assert answer.status_code == 422
    assert answer.json["errors"]


@one_server
def test_rules_of_a_shift_are_imported(shop: Shop) -> None:
    """A table's columns for them."""
    shop.depot()
    for path, body in (("/v1/drivers", {"id": "anna"}), ("/v1/vehicles", {"id": "van"})):
        shop.made(path, {"depot_id": "hel"} | body)
    text = ("id,driver_id,vehicle_id,start,end,preset,max_stretch,rest,break_from,break_to,break_duration\n"
            "day,hel.anna,hel.van,2030-01-01T08:00:00Z,2030-01-01T16:00:00Z,us_hos,3600,1900,"
            "2030-01-01T11:00:00Z;2030-01-01T14:00:00Z,2030-01-01T12:00:00Z;2030-01-01T14:30:00Z,1800;900\n")  # fmt: skip
    load(shop, send(shop, text.encode(), what="shifts"))
    snapshot = readers.snapshot(shop.store, "hel")
    assert snapshot is not None
    shift = snapshot.shifts["hel.day"]
    assert shift.limits == Limits(duration=50400, driving=39600, stretch=3600, rest=1900)
    assert shift.breaks == (Break(1893495600, 1893499200, 1800), Break(1893506400, 1893508200, 900))
