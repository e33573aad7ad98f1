"""A depot's roads at work: its hours, and who hears of closures."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ingest.schemas import iso
from ingest.store import keys, readers
from routing.model import Depot, Location, Place
from routing.roads.network import Network
from routing.roads.travel import UNREACHABLE
from routing.solve import engines
from routing.solve.evaluation import total
from routing.solve.problem import Problem, Solution, current
from tests.conftest import HOME, SPOTS, Shop, one_server, order, wait_for
from tests.workers.test_commit import situation
from tests.workers.test_reports import service
from workers import replan, travel

EIGHT = 1_893_484_800
"""2030-01-01 08:00 UTC, when the depots of these tests begin their day."""


# --- who hears of closures ------------------------------------------------------------------------------------------


class Round:
    """Anna and Bo on the road, each with stops that only they can serve, and the streets that each of them will take."""

    def __init__(self, shop: Shop) -> None:
        shop.depot()
        self.shop = shop
        self.tokens = {name: shop.crew(name, skills=[name]) for name in ("anna", "bo")}
        for name, places in (("anna", SPOTS[:2]), ("bo", SPOTS[3:5])):
            for place in places:
                shop.order(place, skills=[name])
        assert self.repair() > 0
        for token in self.tokens.values():
            shop.leave(token)
        self.repair()
        found = {name: self._ways(name) for name in self.tokens}
        self.ways = {name: ways[:-1] for name, ways in found.items()}
        self.homes = {name: ways[-1] for name, ways in found.items()}

    def repair(self) -> int:
        self.shop.store.zadd(keys.shared_key("dirty"), {"hel": 0}, xx=True)
        return replan.repair(self.shop.store, self.shop.settings, "hel")

    def versions(self) -> dict[str, int]:
        return {name: self.route(name)["route_version"] for name in self.tokens}

    def route(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.shop.call("GET", "/v1/drivers/me/route", key=self.tokens[name]).json
        return found

    def close(self, arcs: list[int], **changes: Any) -> str:
        body = {"depot_id": "hel", "kind": "close", "edges": arcs, "end": "2030-01-01T12:00:00Z"} | changes
        return str(self.shop.made("/v1/road-events", body)["id"])

    def _ways(self, name: str) -> list[list[int]]:
        snapshot = readers.snapshot(self.shop.store, "hel")
        assert snapshot is not None
        roads = travel.of(self.shop.settings, snapshot, snapshot.depot.clock.depot(time.time()))
        stops = [Place(Location(**stop["location"])) for shift in self.route(name)["shifts"] for stop in shift["stops"]]
        spots = roads.spots([Place(Location(**HOME)), *stops, Place(Location(**HOME))])
        legs = roads.roads.legs(list(zip(spots, spots[1:], strict=False)))
        return [list(leg.arcs) for leg in legs if leg is not None]

    def only(self, name: str) -> list[int]:
        """A street in the middle of the second way of `name` that the other does not take."""
        rival = "bo" if name == "anna" else "anna"
        other = {arc for way in [*self.ways[rival], self.homes[rival]] for arc in way}
        free = [arc for arc in self.ways[name][1][1:-1] if arc not in other]
        return free[len(free) // 2 :][:1]

    def home_only(self, name: str) -> list[int]:
        """A street in the middle of the way home of `name` that is on no other way."""
        taken = {arc for ways in self.ways.values() for way in ways for arc in way}
        taken |= {arc for other, way in self.homes.items() if other != name for arc in way}
        free = [arc for arc in self.homes[name][1:-1] if arc not in taken]
        return free[len(free) // 2 :][:1]

    def nobodys(self, helsinki: Network) -> list[int]:
        """Streets that nobody takes: far from the ends of any way, too."""
        taken = {arc for name, ways in self.ways.items() for way in [*ways, self.homes[name]] for arc in way}
        near = {int(node) for arc in taken for node in (helsinki.tail[arc], helsinki.head[arc])}
        return [arc for arc in range(helsinki.arcs)
                if arc not in taken and not near & {int(helsinki.tail[arc]), int(helsinki.head[arc])}][:1]  # fmt: skip


def test_a_closure_on_nobodys_way_wakes_nobody(shop: Shop, helsinki: Network) -> None:
    """No version, no event, no improvement: the trigger is answered by the plan in force."""
    here = Round(shop)
    before, heard = here.versions(), shop.store.xlen(keys.shared_key("published"))
    shop.store.delete(keys.shared_key("improvable"))
    closed = here.close(here.nobodys(helsinki))
    assert here.repair() == 0
    assert here.versions() == before
    assert shop.store.xlen(keys.shared_key("published")) == heard
    assert shop.store.zcard(keys.depot_key("hel", "triggers")) == 0
    assert shop.store.zscore(keys.shared_key("improvable"), "hel") is None
    assert shop.call("DELETE", f"/v1/road-events/{closed}").status_code == 204
    assert here.repair() == 0
    assert here.versions() == before


@pytest.mark.parametrize("change", [{}, {"kind": "slow", "factor": 30.0}])
def test_a_closure_is_told_to_those_whose_way_it_is_on(shop: Shop, change: dict[str, Any]) -> None:
    """Anna's second leg: she gets a new version that says why, Bo does not; when it ends she gets one again."""
    here = Round(shop)
    before = here.versions()
    event = here.close(here.only("anna"), **change)
    assert here.repair() == 1
    during = here.versions()
    assert during["bo"] == before["bo"]
    assert during["anna"] > before["anna"]
    told = here.route("anna")
    assert [(trigger["kind"], trigger["subject"]) for trigger in told["triggers"]] == [("roads_changed", event)]
    assert any(told["changes"].values())
    plan = shop.call("GET", "/v1/depots/hel/plan").json
    assert plan["roads"] == 1
    assert shop.call("DELETE", f"/v1/road-events/{event}").status_code == 204
    assert here.repair() == 1
    assert here.versions()["anna"] > during["anna"]
    assert here.versions()["bo"] == before["bo"]


def test_the_hour_is_nobodys_news(shop: Shop, helsinki: Network) -> None:
    """A plan made at other speeds: a closure elsewhere still wakes nobody, one on Bo's way only him."""
    here = Round(shop)
    before = here.versions()
    assert shop.call("PATCH", "/v1/depots/hel", {"speeds": "free_flow"}).json["speeds"] == "free_flow"
    here.close(here.nobodys(helsinki))
    here.repair()
    assert here.versions() == before
    here.close(here.only("bo"))
    assert here.repair() == 1
    assert here.versions()["anna"] == before["anna"]
    assert here.versions()["bo"] > before["bo"]


@one_server
def test_a_closure_that_begins_before_its_trigger_is_told_all_the_same(shop: Shop) -> None:
    """Its hour has come, the clock's trigger has not, and an order for Bo is planned on the new roads: Anna hears of it now."""
    here = Round(shop)
    depot = readers.depot(shop.store, "hel")
    assert depot is not None
    start = depot.clock.depot(time.time()) + 2
    here.close(here.only("anna"), start=iso(start))
    before = here.versions()
    shop.order(SPOTS[4], skills=["bo"], kind="service", demand={})
    assert here.repair() == 1
    assert here.versions()["anna"] == before["anna"]
    wait_for(lambda: depot.clock.depot(time.time()) > start, what="the closure's hour")
    shop.order(SPOTS[3], skills=["bo"], kind="service", demand={})
    assert here.repair() == 1
    assert here.versions()["anna"] > before["anna"]


def test_when_the_old_roads_are_gone_all_are_told(shop: Shop, helsinki: Network) -> None:
    """A plan of an earlier program: better one version too many than a driver who does not know."""
    here = Round(shop)
    before = here.versions()
    shop.store.delete(keys.depot_key("hel", "planned_on"))
    here.close(here.nobodys(helsinki))
    assert here.repair() == 1
    assert all(here.versions()[name] > before[name] for name in before)


def test_a_depot_in_the_middle_of_a_closure_knows_its_roads(shop: Shop) -> None:
    """All ways home are cut and get free-flow times; the matrix still says which roads it is of."""
    here = Round(shop)
    body = {"depot_id": "hel", "kind": "close", "disc": {"centre": HOME, "radius_m": 80}, "end": "2030-01-01T12:00:00Z"}
    shop.made("/v1/road-events", body)
    here.repair()
    problem = shop.call("GET", "/v1/depots/hel/problem").json
    assert problem["roads"] == problem["matrix"]["roads"] == 1
    home = problem["crews"][0]["end_place"]
    assert max(row[home] for row in problem["matrix"]["seconds"]) < UNREACHABLE


def test_what_earlier_boots_have_kept_is_removed(shop: Shop) -> None:
    """Not at once: another machine may share the folder. What this one has stays."""
    shop.depot()
    snapshot = readers.snapshot(shop.store, "hel")
    assert snapshot is not None
    travel.of(shop.settings, snapshot, EIGHT).matrix([Place(Location(**HOME))])
    [ours] = (shop.settings.state / "roads").iterdir()
    old, recent = ours.with_name("old"), ours.with_name("recent")
    for folder in (old, recent):
        folder.mkdir()
        (folder / "x.metric").write_bytes(b"x")
    for folder in (old, ours):
        os.utime(folder, (0, 0))
    travel.forget_earlier_boots(shop.settings)
    assert not old.exists()
    assert recent.exists()
    assert list(ours.glob("*.metric"))


def test_any_machine_knows_what_the_plan_was_made_on(shop: Shop, helsinki: Network, tmp_path: Path) -> None:
    """A worker elsewhere, with nothing kept of the roads, wakes nobody for a closure that touches nobody, and Anna for hers."""
    here = Round(shop)
    before = here.versions()
    elsewhere = replace(shop.settings, state=tmp_path / "elsewhere")
    here.close(here.nobodys(helsinki))
    assert replan.repair(shop.store, elsewhere, "hel") == 0
    assert here.versions() == before
    here.close(here.only("anna"))
    assert replan.repair(shop.store, elsewhere, "hel") == 1
    assert here.versions()["bo"] == before["bo"]


def test_the_way_home_counts(shop: Shop) -> None:
    """A closure between Anna's last stop and the depot is told to her alone."""
    here = Round(shop)
    before = here.versions()
    here.close(here.home_only("anna"))
    assert here.repair() == 1
    assert here.versions()["anna"] > before["anna"]
    assert here.versions()["bo"] == before["bo"]


def test_who_stands_in_a_closed_street_hears_nothing_of_it(shop: Shop) -> None:
    """Anna has arrived at her only stop, and goes nowhere from there."""
    shop.depot()
    token = shop.crew("anna", open_end=True)
    stop = shop.order()["stop_id"]
    replan.repair(shop.store, shop.settings, "hel")
    shop.leave(token)
    assert shop.event(token, stop, "arrived", event_id="here").status_code == 200
    replan.repair(shop.store, shop.settings, "hel")
    snapshot = readers.snapshot(shop.store, "hel")
    assert snapshot is not None
    roads = travel.of(shop.settings, snapshot, EIGHT)
    [spot] = roads.spots([Place(Location(**SPOTS[0]))])
    edges = [arc for arc in (spot.arc, int(roads.day.network.reverse[spot.arc])) if arc >= 0]
    shop.made("/v1/road-events", {"depot_id": "hel", "kind": "close", "edges": edges, "end": "2030-01-01T12:00:00Z"})
    assert replan.repair(shop.store, shop.settings, "hel") == 0


def test_a_place_far_off_the_map_is_reached_by_nobody(shop: Shop) -> None:
    """Intake refuses it; what comes by another way (a ping, an earlier map) has no times."""
    shop.depot()
    snapshot = readers.snapshot(shop.store, "hel")
    assert snapshot is not None
    places = [Place(Location(**HOME)), Place(Location(61.5, 23.8))]
    assert travel.of(shop.settings, snapshot, EIGHT).matrix(places).seconds[0, 1] == UNREACHABLE


@one_server
def test_an_improvement_swallows_no_closure(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A closure on Anna's way begins, its trigger is late, and an improvement for Bo comes first: she is told with that."""
    here = Round(shop)
    shop.order(SPOTS[4], skills=["bo"], kind="service", demand={})
    shop.order(SPOTS[5], skills=["bo"], kind="service", demand={})
    here.repair()
    depot = readers.depot(shop.store, "hel")
    assert depot is not None
    start = depot.clock.depot(time.time()) + 2
    here.close(here.only("anna"), start=iso(start))
    before = here.versions()
    wait_for(lambda: depot.clock.depot(time.time()) > start, what="the closure's hour")

    def other_way_round(problem: Problem, initial: Solution | None = None, *, budget: float, stop: Any, seed: int = 1) -> Solution:
        routes = [(*crew.frozen, *(crew.base[::-1] if crew.driver_id == "hel.bo" else crew.base)) for crew in problem.crews]
        return Solution(tuple(routes), ())

    monkeypatch.setitem(engines.ENGINES, "improve", other_way_round)
    monkeypatch.setattr(engines, "pays", lambda problem, found: True)
    shop.store.zadd(keys.shared_key("improvable"), {"hel": 0})
    assert replan.improve(shop.store, shop.settings, "hel") >= 1
    assert here.versions()["bo"] > before["bo"]
    assert here.versions()["anna"] > before["anna"]


# --- hours ----------------------------------------------------------------------------------------------------------


def test_rush_hours_are_slower(shop: Shop) -> None:
    """The same two places at eight and at midnight, and on free roads."""
    shop.depot()
    snapshot = readers.snapshot(shop.store, "hel")
    assert snapshot is not None
    places = [Place(Location(**HOME)), Place(Location(**SPOTS[0]))]
    eight = travel.of(shop.settings, snapshot, EIGHT).matrix(places).seconds[0, 1]
    midnight = travel.of(shop.settings, snapshot, EIGHT - 8 * 3600).matrix(places).seconds[0, 1]
    free = replace(snapshot, depot=replace(snapshot.depot, speeds="free_flow"))
    assert eight > midnight == travel.of(shop.settings, free, EIGHT).matrix(places).seconds[0, 1]


def test_a_plan_looks_ahead_to_the_hours_it_is_driven_in(shop: Shop) -> None:
    """A shift from eight on is timed by the periods that it meets, as the route's arrival shows."""
    shop.depot()
    shop.crew("anna")
    soon = service(shop, 0)
    late = service(shop, 1, windows=[{"from": "2030-01-01T12:00:00Z", "to": "2030-01-01T12:00:00Z"}])
    replan.repair(shop.store, shop.settings, "hel")
    _, problem = situation(shop)
    assert problem.hours is not None
    assert problem.hours.matrices[problem.hours.period(problem.now)].seconds.tolist() == problem.matrix.seconds.tolist()
    noon = problem.hours.matrices[problem.hours.period(EIGHT + 4 * 3600)]
    assert noon.seconds.tolist() != problem.matrix.seconds.tolist()
    stops = shop.call("GET", "/v1/depots/hel/plan").json["routes"][0]["stops"]
    assert [stop["stop_id"] for stop in stops] == [soon["stop_id"], late["stop_id"]]
    free = replace(problem, hours=None)
    assert total(problem, current(problem)) < total(free, current(free))


@pytest.mark.parametrize(
    ("change", "pointer", "code"),
    [
        ({"speeds": "warp"}, "/speeds", "unknown_id"),
        ({"speeds": "../typical"}, "/speeds", "pattern"),
        ({"timezone": "Mars/Olympus"}, "/timezone", "unknown_id"),
        ({"timezone": 2}, "/timezone", "wrong_type"),
    ],
)
def test_a_depot_with_no_such_hours_is_refused(shop: Shop, change: dict[str, Any], pointer: str, code: str) -> None:
    """When it is made and when it is changed; nothing is changed."""
    shop.depot()
    before = shop.call("GET", "/v1/depots/hel").json
    made = {"id": "x", "map": "helsinki", "location": HOME} | change
    for answer in (shop.call("POST", "/v1/depots", made), shop.call("PATCH", "/v1/depots/hel", change)):
        assert answer.status_code == 422
        assert [(fault["pointer"], fault["code"]) for fault in answer.json["errors"]] == [(pointer, code)]
    after = shop.call("GET", "/v1/depots/hel").json
    assert (after["speeds"], after["timezone"]) == (before["speeds"], before["timezone"])
    assert len(shop.call("GET", "/v1/depots").json["depots"]) == 1


def test_an_order_may_name_the_side_it_is_stopped_at_on(shop: Shop) -> None:
    """It is kept, shown, changed, and planned for; a driver reads it."""
    shop.depot()
    token = shop.crew("anna")
    accepted = shop.order(kerb="right")
    assert accepted["kerb"] == "right"
    assert replan.repair(shop.store, shop.settings, "hel") == 1
    [stop] = shop.call("GET", "/v1/drivers/me/route", key=token).json["shifts"][0]["stops"]
    assert stop["kerb"] == "right"
    changed = shop.call("PATCH", f"/v1/orders/{accepted['id']}", {"kerb": "left"}, key=shop.shipper).json
    assert changed["kerb"] == "left"
    problem = shop.call("GET", "/v1/depots/hel/problem").json
    assert problem["places"][problem["tasks"][0]["place"]]["kerb"] == "left"
    refused = shop.call("POST", "/v1/orders", order(kerb="middle"), key=shop.shipper)
    assert [(fault["pointer"], fault["code"]) for fault in refused.json["errors"]] == [("/kerb", "not_one_of")]


def test_the_hour_is_the_depots_own() -> None:
    """Summer and winter, east and west."""
    depot = Depot("d", "t", "d", "m", Location(60, 24), timezone="Europe/Helsinki")
    assert travel.second_of_day(depot, EIGHT) == 10 * 3600
    assert travel.second_of_day(depot, 1_909_123_200) == 11 * 3600  # 2030-07-01 08:00 UTC
    assert travel.second_of_day(replace(depot, timezone="UTC"), EIGHT + 59) == 8 * 3600 + 59
