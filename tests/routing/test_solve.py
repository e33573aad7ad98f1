"""Engines, evaluation, checker, explanation and diff."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routing import __main__ as command
from routing import codec
from routing.errors import BadProblem
from routing.model import (
    Break,
    Costs,
    Limits,
    Location,
    Order,
    Place,
    Plan,
    PlannedStop,
    Position,
    Progress,
    Reason,
    ReasonCode,
    Route,
    StopProgress,
    StopState,
    TimeWindow,
    Unassigned,
)
from routing.roads.travel import UNREACHABLE, Matrix
from routing.solve import engines, ortools_engine, repair
from routing.solve.checker import check
from routing.solve.evaluation import total
from routing.solve.plan import diff, publishable
from routing.solve.problem import Problem, Solution, current
from routing.solve.tour import Tour, tour
from tests.builders import CENTRE, HOUR, T0, Situation, flat, order, random_situation, with_hours


def plan_of(problem: Problem, solution: Solution) -> Plan:
    return publishable(problem, solution, progress={}, engine="test")


def codes(problem: Problem, plan: Plan) -> set[str]:
    return {violation.code for violation in check(problem, plan)}


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0, 600]))
def test_repair_always_passes_the_checker(seed: int, freeze: int) -> None:
    """Any live situation: nothing lost or doubled, the prefix kept, every rule kept, lateness flagged."""
    situation, now = random_situation(seed)
    problem = situation.problem(now=now, freeze=freeze)
    solution = repair.repair(problem)
    assert check(problem, plan_of(problem, solution)) == []


def test_the_search_finds_the_better_order() -> None:
    """Stops along a line, given in the worst order to a van that has not left: the search sorts them out."""
    stops = [order(f"o{n}", 0, float(n)) for n in range(1, 7)]
    mixed = [stops[n].stop_id for n in (3, 0, 4, 1, 5, 2)]
    problem = Situation().add(*stops).problem(sequences={"d.day-a": tuple(mixed)})
    found = ortools_engine.improve(problem, current(problem), budget=60, solutions=50)
    assert total(problem, found) == total(problem, Solution(((0, 1, 2, 3, 4, 5),), ()))
    assert engines.pays(problem, found)


def test_a_plan_without_gain_does_not_pay() -> None:
    """A candidate that costs the same as the plan in force is not worth a new version."""
    stops = [order(f"o{n}", 0, float(n)) for n in range(1, 3)]
    problem = Situation().add(*stops).problem(sequences={"d.day-a": tuple(stop.stop_id for stop in stops)})
    assert not engines.pays(problem, current(problem))
    assert not engines.pays(problem, Solution(((1, 0),), ()))


def test_capacity_counts_what_is_aboard_at_each_stop() -> None:
    """Ten parcels out and ten back fit a van of ten; a collection before the first drop does not."""
    out = [order(f"o{n}", 0, float(n + 1), demand=(5,)) for n in range(2)]
    back = order("z", 0, 0.5, kind="collection", demand=(5,))
    problem = Situation().add(*out, back).problem()
    solution = repair.repair(problem)
    assert solution.unassigned == ()
    assert check(problem, plan_of(problem, solution)) == []
    assert "capacity" in codes(problem, plan_of(problem, Solution(((2, 0, 1),), ())))


def test_goods_at_the_depot_do_not_join_a_route_that_has_left() -> None:
    """A delivery waits for a van still at the depot; collections and services join any route."""
    situation = Situation(2).add(order("aboard", 0, 1), order("new", 0, 1.1), order("get", 0, 1.2, kind="collection"),
                                 order("fix", 0, 0.5, kind="service"))  # fmt: skip
    situation.on_the_road("a", ["d.aboard.delivery"])
    situation.orders["d.new"] = order("new", 0, -1.1)
    problem = situation.problem(now=T0 + 60)
    plan = plan_of(problem, repair.repair(problem))
    routes = {route.shift_id: route.sequence for route in plan.routes}
    assert routes["d.day-b"] == ("d.new.delivery",)
    assert set(routes["d.day-a"]) == {"d.aboard.delivery", "d.get.collection", "d.fix.service"}


def test_when_all_vans_have_left_a_delivery_says_so() -> None:
    """Unassigned with the reason `departed` for each driver."""
    situation = Situation(1).add(order("aboard", 0, 1), order("new", 0, 1.1)).on_the_road("a", ["d.aboard.delivery"])
    problem = situation.problem(now=T0 + 60)
    plan = plan_of(problem, repair.repair(problem))
    assert [(item.order_id, item.reasons) for item in plan.unassigned] == [("d.new", (Reason(ReasonCode.DEPARTED, "d.a"),))]


def test_the_stop_being_driven_to_never_changes() -> None:
    """Even for an urgent order that is nearer."""
    near = order("near", 0, 0.1, kind="service", priority=100, windows=(TimeWindow(T0, T0 + 300),))
    situation = Situation().add(order("far", 0, 8), near).on_the_road("a", ["d.far.delivery"])
    problem = situation.problem(now=T0 + 60)
    plan = plan_of(problem, repair.repair(problem))
    assert plan.routes[0].sequence[0] == "d.far.delivery"
    assert "prefix_changed" in codes(problem, plan_of(problem, Solution(((1, 0),), ())))


def test_what_is_reached_within_the_freeze_is_frozen_too() -> None:
    """While a problem is solved drivers move on: stops they will be driving to by then stay."""
    stops = [order(f"o{n}", 0, float(n + 1)) for n in range(4)]
    situation = Situation().add(*stops).on_the_road("a", [stop.stop_id for stop in stops])
    assert len(situation.problem(now=T0, freeze=0).crews[0].frozen) == 1
    assert len(situation.problem(now=T0, freeze=400).crews[0].frozen) == 3


def test_a_late_order_is_served_late_and_flagged() -> None:
    """Its soft window is over: it is served all the same, with the seconds it is late."""
    problem = Situation().add(order("o", 0, 1, windows=(TimeWindow(T0 - HOUR, T0),))).problem()
    plan = plan_of(problem, repair.repair(problem))
    assert plan.routes[0].stops[0].late_by == 100
    assert check(problem, plan) == []


def test_a_hard_window_is_rather_not_served_than_missed() -> None:
    """Unassigned, with the shortfall in seconds."""
    problem = Situation().add(order("o", 0, 1, hard=True, windows=(TimeWindow(T0 - HOUR, T0),))).problem()
    plan = plan_of(problem, repair.repair(problem))
    assert plan.unassigned == (Unassigned("d.o", (Reason(ReasonCode.TIME_WINDOW, "d.a", 100, "seconds"),)),)


@pytest.mark.parametrize(("change", "reason"), [
    ({"skills": ("lift",)}, Reason(ReasonCode.SKILL, "d.a")),
    ({"demand": (13,)}, Reason(ReasonCode.CAPACITY, "d.a", 3, "parcels")),
    ({"service_time": 8 * HOUR}, Reason(ReasonCode.SHIFT_END, "d.a", 200, "seconds")),
])  # fmt: skip
def test_each_reason_comes_with_its_shortfall(change: dict[str, Any], reason: Reason) -> None:
    """The driver tried, the rule, and by how much it is missed."""
    problem = Situation().add(order("o", 0, 1, **change)).problem()
    assert plan_of(problem, repair.repair(problem)).unassigned[0].reasons == (reason,)


@pytest.mark.parametrize(("limits", "reason"), [
    (Limits(stops=1), Reason(ReasonCode.OUTPRIORITISED, "d.a", 1, "stops")),
    (Limits(distance=9_000), Reason(ReasonCode.MAX_DISTANCE, "d.a", 7_000, "metres")),
    (Limits(driving=1_500), Reason(ReasonCode.MAX_DRIVING, "d.a", 100, "seconds")),
    (Limits(duration=1_500), Reason(ReasonCode.MAX_DURATION, "d.a", 160, "seconds")),
])  # fmt: skip
def test_a_shift_keeps_its_limits(limits: Limits, reason: Reason) -> None:
    """Four stops near by are served, as many as may be; the one that is too far says by how much."""
    situation = Situation().add(order("near", 0, 1, priority=50), order("far", 0, 8))
    situation.shifts = {name: replace(shift, limits=limits) for name, shift in situation.shifts.items()}
    problem = situation.problem()
    for engine in ("repair", "improve", "ortools"):
        plan = plan_of(problem, engines.ENGINES[engine](problem, budget=0.3, stop=lambda: False))
        assert check(problem, plan) == []
        assert plan.unassigned == (Unassigned("d.far", (reason,)),)


@pytest.mark.parametrize(("stretch", "rest", "driven", "rests"), [
    (int(4.5 * HOUR), 45 * 60, 8 * HOUR, 1), (int(4.5 * HOUR), 45 * 60, 10 * HOUR, 2), (8 * HOUR, 30 * 60, 8 * HOUR, 0),
    (8 * HOUR, 30 * 60, 10 * HOUR, 1),
])  # fmt: skip
def test_nobody_drives_for_longer_at_a_stretch_than_may_be(stretch: int, rest: int, driven: int, rests: int) -> None:
    """45 minutes after at most 4.5 hours of driving: Regulation (EC) 561/2006, article 7; 30 after 8: 49 CFR 395.3(a)(3)(ii)."""
    situation = Situation(hours=14).add(order("far", 0, driven / 200))  # 10 m/s, there and back
    problem = situation.problem()
    limits = Limits(stretch=stretch, rest=rest)
    problem = replace(problem, crews=tuple(replace(crew, limits=limits) for crew in problem.crews))
    solution = repair.repair(problem)
    assert check(problem, plan_of(problem, solution)) == []
    way = tour(problem, problem.crews[0], solution.routes[0])
    assert len(way.pauses) == rests
    assert way.home == T0 + driven + 60 + rests * rest
    marks = [T0, *(moment for pause in way.pauses for moment in (pause.start, pause.end)), way.home]
    arrived = way.visits[0].arrive  # where he spends a minute
    wheel = [end - start - 60 * (start <= arrived <= end) for start, end in zip(marks[::2], marks[1::2], strict=True)]
    assert max(wheel) <= stretch


def test_a_break_is_taken_in_time_or_while_waiting_or_not_at_all() -> None:
    """As late as may be; sooner where there is nothing else to do; not where work is over by then; before what lasts too long."""
    lunch = Break(T0 + 1000, T0 + 2000, 1800)

    def way(*orders: Order, **more: Any) -> Tour:
        problem = Situation(**more).add(*orders).problem()
        problem = replace(problem, crews=tuple(replace(crew, breaks=(lunch,)) for crew in problem.crews))
        solution = repair.repair(problem)
        assert check(problem, plan_of(problem, solution)) == []
        return tour(problem, problem.crews[0], solution.routes[0])

    near, far = order("near", 0, 2), order("far", 0, 14)
    both = way(near, far)
    assert [pause.before for pause in both.pauses] == [1]
    assert T0 + 1000 <= both.pauses[0].start <= T0 + 2000
    assert way(near).pauses == ()
    waits = way(order("later", 0, 2, windows=(TimeWindow(T0 + 4000, T0 + 5000),)))
    assert [(pause.before, pause.start, waits.visits[0].begin) for pause in waits.pauses] == [(0, T0 + 1000, T0 + 4000)]
    problem = Situation().add(order("long", 0, 1, service_time=3000)).problem()
    problem = replace(problem, crews=tuple(replace(crew, breaks=(replace(lunch, earliest=T0 + 500, latest=T0 + 600),))
                                           for crew in problem.crews))  # fmt: skip
    plan = plan_of(problem, repair.repair(problem))
    assert check(problem, plan) == []
    assert [stop.arrive for stop in plan.routes[0].stops] == [T0 + 500 + 1800 + 100]


def test_the_checker_holds_a_plan_to_the_rests_and_the_end_that_it_tells() -> None:
    """Without a rest, with another one, with another end: refused."""
    situation = Situation(hours=14).add(order("far", 0, 60), order("near", 0, 2))
    shift = replace(situation.shifts["d.day-a"], other_ends=(Location(0.0, 3.0),), limits=Limits(stretch=HOUR, rest=600),
                    breaks=(Break(T0 + 600, T0 + 4000, 900, Location(0.0, 1.0)),))  # fmt: skip
    problem = situation.problem(shifts={"d.day-a": shift})
    plan = plan_of(problem, repair.repair(problem))
    [route] = plan.routes
    assert check(problem, plan) == []
    assert {rest.driving for rest in route.rests} == {True, False}
    assert route.end == Location(0.0, 3.0)
    for wrong, code in (({"rests": route.rests[1:]}, "rests"), ({"end": CENTRE}, "end"), ({"end": None}, "end"),
                        ({"rests": (replace(route.rests[0], start=T0), *route.rests[1:])}, "rests")):  # fmt: skip
        told = replace(plan, routes=(replace(route, **wrong),))
        assert {violation.code for violation in check(problem, told)} == {code}


def test_nobody_rests_in_the_past() -> None:
    """Who has been at the wheel for too long already rests as soon as a plan can have it, once."""
    situation = Situation(hours=20).add(order("now", 0, 6), order("next", 0, 8))
    situation.on_the_road("a", ["d.now.delivery", "d.next.delivery"])
    problem = situation.problem()
    crew = replace(problem.crews[0], wheel=50_000, limits=Limits(stretch=4 * HOUR, rest=2700))
    problem = replace(problem, crews=(crew,))
    solution = repair.repair(problem)
    [route] = plan_of(problem, solution).routes
    assert check(problem, plan_of(problem, solution)) == []
    assert [(rest.start, rest.end) for rest in route.rests] == [(route.stops[0].leave, route.stops[0].leave + 2700)]


def test_what_is_behind_a_driver_counts_for_limits() -> None:
    """Four kilometres to a stop that is made, one to the next, which is driven to whatever the limit, and one more to a third."""
    situation = Situation(open_end=True).add(order("next", 0, 5), order("back", 0, 4, "service"))
    situation.changes["closed"] = {"d.made": order("made", 0, 4)}
    situation.on_the_road("a", ["d.made.delivery", "d.next.delivery"], done=())
    made = StopProgress("d.made.delivery", StopState.COMPLETED, T0 + 400, T0 + 460)
    situation.changes["progress"]["d.day-a"] = Progress(T0, False, (made, StopProgress("d.next.delivery", StopState.EN_ROUTE)))
    for metres, left in ((4500, 1), (5500, 1), (6000, 0)):
        situation.shifts = {name: replace(shift, limits=Limits(distance=metres)) for name, shift in situation.shifts.items()}
        problem = situation.problem(now=T0 + 470)
        assert problem.crews[0].driven == (4000, 400)
        plan = plan_of(problem, repair.repair(problem))
        assert check(problem, plan) == []
        assert len(plan.unassigned) == left, metres


def test_a_full_van_outprioritises_an_order_that_would_fit_alone() -> None:
    """Two orders of six in a van of ten: the one with less priority is left, and told why."""
    problem = Situation().add(order("low", 0, 1, demand=(6,)), order("top", 0, 1, demand=(6,), priority=90)).problem()
    plan = plan_of(problem, repair.repair(problem))
    assert plan.unassigned == (Unassigned("d.low", (Reason(ReasonCode.OUTPRIORITISED, "d.a", 2, "parcels"),)),)


def test_without_drivers_every_order_is_told() -> None:
    """Zero drivers, and zero orders, are no crash."""
    problem = Situation(0).add(order("o", 0, 1)).problem()
    for engine in engines.ENGINES.values():
        plan = plan_of(problem, engine(problem, budget=0.1, stop=lambda: False))
        assert plan.unassigned == (Unassigned("d.o", (Reason(ReasonCode.NO_VEHICLE),)),)
    empty = Situation(2).problem()
    for engine in engines.ENGINES.values():
        assert check(empty, plan_of(empty, engine(empty, budget=0.1, stop=lambda: False))) == []


def test_a_silent_drivers_stops_go_to_others_but_not_what_is_in_his_van() -> None:
    """Collections move; parcels aboard, and the stop he was driving to, stay."""
    situation = Situation(2).add(order("now", 0, 1), order("aboard", 0, 2), order("get", 0, 3, kind="collection"))
    situation.on_the_road("a", ["d.now.delivery", "d.aboard.delivery", "d.get.collection"])
    problem = situation.problem(now=T0 + 60, absent=("d.a",))
    routes = {route.shift_id: route.sequence for route in plan_of(problem, repair.repair(problem)).routes}
    assert routes == {"d.day-a": ("d.now.delivery", "d.aboard.delivery"), "d.day-b": ("d.get.collection",)}


def test_a_declined_stop_never_comes_back_to_who_declined_it() -> None:
    """It goes to the other driver; alone, it is unassigned as declined."""
    stop = order("o", 0, 1, kind="service")
    problem = Situation(2).add(stop).problem(declined={"d.o": ("d.a",)}, sequences={"d.day-a": (stop.stop_id,)})
    assert repair.repair(problem).routes == ((), (0,))
    alone = Situation(1).add(stop).problem(declined={"d.o": ("d.a",)})
    assert plan_of(alone, repair.repair(alone)).unassigned[0].reasons[0].code is ReasonCode.DRIVER_DECLINED


def test_a_late_driver_still_has_a_plan() -> None:
    """He is behind the end of his shift already: what he is driving to stays, the rest is told, nothing crashes."""
    situation = Situation(hours=1).add(order("now", 0, 1), order("next", 0, 2))
    situation.on_the_road("a", ["d.now.delivery", "d.next.delivery"])
    problem = situation.problem(now=T0 + 2 * HOUR)
    plan = plan_of(problem, repair.repair(problem))
    assert plan.routes[0].sequence == ("d.now.delivery",)
    assert plan.unassigned[0].reasons[0].code is ReasonCode.SHIFT_END
    assert check(problem, plan) == []


def test_a_driver_is_planned_from_where_he_was_last_seen() -> None:
    """A ping newer than his last stop is where he is now."""
    situation = Situation().add(order("o", 0, 5)).on_the_road("a", ["d.o.delivery"])
    problem = situation.problem(now=T0 + 100, positions={"d.a": Position(Location(0, 4.0), T0 + 90)})
    assert plan_of(problem, current(problem)).routes[0].stops[0].arrive == T0 + 200


def test_a_closed_street_makes_an_order_unreachable_but_strands_nobody() -> None:
    """The order on it is told `closed_road`; a driver on his way there, and all ways home, keep free-flow times."""

    def closed(places: list[Place]) -> Matrix:
        matrix = flat(places)
        shut = [number for number, place in enumerate(places) if place.location.lon == 3 or place.location == CENTRE]
        matrix.seconds[:, shut] = UNREACHABLE
        np.fill_diagonal(matrix.seconds, 0)
        return matrix

    places = (("going", 0, 3), ("other", 1, 3), ("ok", 0, 1))
    situation = Situation().add(*(order(name, lat, lon, "service") for name, lat, lon in places))
    situation.on_the_road("a", ["d.going.service"])
    problem = situation.problem(now=T0 + 10, matrix=closed)
    plan = plan_of(problem, repair.repair(problem))
    assert plan.routes[0].sequence == ("d.going.service", "d.ok.service")
    assert plan.unassigned == (Unassigned("d.other", (Reason(ReasonCode.CLOSED_ROAD, "d.a"),)),)
    assert check(problem, plan) == []


def test_an_overloaded_van_gets_no_more_and_stops_nobody() -> None:
    """Loaded beyond its capacity by hand: it drives on, collects nothing until there is room, and every plan passes."""
    situation = Situation(2, capacity=2).add(*(order(f"o{n}", 0, n + 1.0) for n in range(4)),
                                             *(order(f"c{n}", 0, n + 1.5, kind="collection") for n in range(3)))  # fmt: skip
    situation.on_the_road("a", [f"d.o{n}.delivery" for n in range(4)])
    problem = situation.problem(now=T0 + 1)
    start = repair.repair(problem)
    assert check(problem, plan_of(problem, start)) == []
    found = ortools_engine.improve(problem, start, budget=60, solutions=20)
    assert check(problem, plan_of(problem, found)) == []


def test_several_windows_are_met_in_the_gaps() -> None:
    """Arriving between two windows waits for the second."""
    windows = (TimeWindow(T0, T0 + 50), TimeWindow(T0 + 500, T0 + 600))
    problem = Situation().add(order("o", 0, 1, windows=windows, hard=True)).problem()
    stop = plan_of(problem, repair.repair(problem)).routes[0].stops[0]
    assert (stop.arrive, stop.begin, stop.late_by) == (T0 + 100, T0 + 500, 0)


def limited(limits: Limits) -> Situation:
    """Two orders, two kilometres out and back, and a driver with limits."""
    situation = Situation().add(order("o", 0, 1), order("p", 0, 2))
    situation.shifts = {name: replace(shift, limits=limits) for name, shift in situation.shifts.items()}
    return situation


def broken(problem: Problem, plan: Plan) -> dict[str, Plan]:
    """One plan for each rule that it breaks."""
    first, *rest = plan.routes
    stops = first.stops
    return {
        "lost": replace(plan, routes=(replace(first, stops=stops[:-1]), *rest)),
        "served_twice": replace(plan, routes=(replace(first, stops=(*stops, stops[-1])), *rest)),
        "served_and_unassigned": replace(plan, unassigned=(Unassigned("d.o0", (Reason(ReasonCode.SKILL),)),)),
        "unknown_stop": replace(plan, routes=(replace(first, stops=(*stops, PlannedStop("d.x.service", 0, 0, 0))), *rest)),
        "late_flag": replace(plan, routes=(replace(first, stops=(*stops[:-1], replace(stops[-1], late_by=5))), *rest)),
        "missing_route": replace(plan, routes=tuple(rest)),
        "route_twice": replace(plan, routes=(*plan.routes, Route(rest[0].shift_id, rest[0].driver_id, rest[0].vehicle_id))),
        "wrong_crew": replace(plan, routes=(replace(first, driver_id="d.b"), *rest)),
        "unknown_order": replace(plan, unassigned=(Unassigned("d.x", (Reason(ReasonCode.SKILL),)),)),
        "times": replace(plan, routes=(replace(first, stops=(*stops[:-1], replace(stops[-1], leave=5))), *rest)),
        "another_plan": replace(plan, version=plan.version + 1),
        "cost": replace(plan, costs=plan.costs | {"driving": 1}),
        "disruption": replace(plan, moved=1),
        "unknown_route": replace(plan, routes=(*plan.routes, Route("d.day-z", "d.z", "d.van-z"))),
    }


@pytest.mark.parametrize("code", ["lost", "served_twice", "served_and_unassigned", "unknown_stop", "late_flag", "missing_route",
                                  "unknown_route", "route_twice", "wrong_crew", "unknown_order", "times", "another_plan", "cost",
                                  "disruption"])  # fmt: skip
def test_the_checker_sees_what_is_wrong_with_a_plan(code: str) -> None:
    """Each way of breaking a good plan has its own code."""
    problem = Situation(2).add(*(order(f"o{n}", 0, float(n)) for n in range(3))).problem()
    plan = plan_of(problem, Solution(((0, 1, 2), ()), ()))
    assert check(problem, plan) == []
    assert code in codes(problem, broken(problem, plan)[code])


@pytest.mark.parametrize(("code", "situation", "solution", "now"), [
    ("skill", Situation().add(order("o", 0, 1, skills=("lift",))), ((0,),), T0),
    ("capacity", Situation(capacity=1).add(order("o", 0, 1), order("p", 0, 1)), ((0, 1),), T0),
    ("shift_end", Situation(hours=0.01).add(order("o", 0, 9)), ((0,),), T0),
    ("time_window", Situation().add(order("o", 0, 1, hard=True, windows=(TimeWindow(T0, T0),))), ((0,),), T0),
    ("goods", Situation(2).add(order("o", 0, 1), order("p", 0, 1)).on_the_road("a", ["d.o.delivery"]), ((0, 1), ()), T0),
    ("max_stops", limited(Limits(stops=1)), ((0, 1),), T0),
    ("max_distance", limited(Limits(distance=3000)), ((0, 1),), T0),
    ("max_driving", limited(Limits(driving=300)), ((0, 1),), T0),
    ("shift_end", limited(Limits(duration=400)), ((0, 1),), T0),
    ("absent", Situation(2).add(order("o", 0, 1)), ((), (0,)), T0),
    ("declined", Situation(2).add(order("o", 0, 1)), ((0,), ()), T0),
])  # fmt: skip
def test_the_checker_keeps_each_rule(code: str, situation: Situation, solution: tuple[tuple[int, ...], ...], now: int) -> None:
    """What an engine must not do is refused, whichever engine did it."""
    problem = situation.problem(now=now, absent=("d.b",) if code == "absent" else (),
                                declined={"d.o": ("d.a",)} if code == "declined" else {})  # fmt: skip
    assert code in codes(problem, plan_of(problem, Solution(solution, ())))


def test_a_diff_says_who_gained_lost_and_reordered() -> None:
    """Against the sequences in force; what is the same is not mentioned."""
    stops = [order(f"o{n}", 0, float(n)) for n in range(4)]
    ids = [stop.stop_id for stop in stops]
    situation = Situation(3).add(*stops)
    snapshot = situation.snapshot(sequences={"d.day-a": (ids[0], ids[1], ids[2]), "d.day-b": (), "d.day-c": (ids[3],)})
    plan = plan_of(situation.problem(), Solution(((2, 0), (1,), (3,)), ()))
    changes = {change.driver_id: change for change in diff(snapshot, plan).routes}
    assert set(changes) == {"d.a", "d.b"}
    assert (changes["d.a"].lost, changes["d.a"].reordered) == ((ids[1],), (ids[2], ids[0]))
    assert changes["d.b"].gained == (ids[1],)


def test_a_problem_can_be_replayed_from_its_file(tmp_path: Path) -> None:
    """`solve` then `check` without Redis; a plan that breaks a rule is told, junk is refused."""
    situation, now = random_situation(5)
    problem, plan = tmp_path / "problem.json", tmp_path / "plan.json"
    problem.write_bytes(codec.dumps(situation.problem(now=now)))
    assert command.main(["solve", str(problem), "--engine", "repair", "--out", str(plan)]) == 0
    assert command.main(["check", str(problem), str(plan)]) == 0
    whole = codec.loads(plan.read_bytes(), Plan)
    plan.write_bytes(codec.dumps(replace(whole, unassigned=(), routes=tuple(replace(r, stops=()) for r in whole.routes))))
    assert command.main(["check", str(problem), str(plan)]) == 1
    plan.write_text("{")
    assert command.main(["check", str(problem), str(plan)]) == 2
    with pytest.raises(BadProblem, match="now"):
        codec.loads(b'{"now": "soon"}', Problem)
    assert command.main(["solve", str(problem), "--engine", "repair", "--out", str(tmp_path / "nowhere" / "plan.json")]) == 2


@pytest.mark.parametrize("budget", ["nan", "-1", "inf", "much"])
def test_a_budget_is_a_time(tmp_path: Path, budget: str) -> None:
    """No search without an end."""
    with pytest.raises(SystemExit):
        command.main(["solve", str(tmp_path), "--budget", budget])


@pytest.mark.parametrize("cell", ["1.5", '"7"', "4294967296", "null"])
def test_a_matrix_holds_whole_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str], cell: str) -> None:
    """What is none is refused, and not rounded or cut."""
    text = codec.dumps(Situation(1).add(order("o", 0, 1)).problem()).decode()
    first = text.index('"seconds":[[') + len('"seconds":[[')
    (tmp_path / "p.json").write_text(text[:first] + cell + text[text.index(",", first) :])
    assert command.main(["solve", str(tmp_path / "p.json")]) == 2
    assert capsys.readouterr().err.startswith("bad_problem")


def test_hours_from_a_file_are_looked_at(tmp_path: Path) -> None:
    """Their beginnings, and a matrix for each."""
    problem = with_hours(Situation(1).add(order("o", 0, 1)).problem(), 1)
    assert problem.hours is not None
    for wrong in (replace(problem.hours, starts=(2**31, 5, 6)), replace(problem.hours, matrices=problem.hours.matrices[:2]),
                  replace(problem.hours, midnight=2**62)):  # fmt: skip
        (tmp_path / "p.json").write_bytes(codec.dumps(replace(problem, hours=wrong)))
        assert command.main(["solve", str(tmp_path / "p.json"), "--engine", "repair"]) == 2


def test_an_engine_that_cannot_says_who_does_instead(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """PyVRP knows no promises; nothing can be modelled in no time."""
    problem = Situation(1).add(order("o", 0, 1, promised_by=T0)).problem()
    assert engines.able("pyvrp", problem, 1.0) == "improve"
    assert engines.able("pyvrp", replace(problem, tasks=(replace(problem.tasks[0], promised=None),)), 1.0) == "pyvrp"
    assert [engines.able("ortools", problem, budget) for budget in (1.0, 1e-9)] == ["ortools", "improve"]
    (tmp_path / "p.json").write_bytes(codec.dumps(problem))
    assert command.main(["solve", str(tmp_path / "p.json"), "--engine", "pyvrp", "--budget", "0.05"]) == 0
    told = capsys.readouterr()
    assert "improve instead" in told.err
    assert codec.loads(told.out, Plan).engine == "improve"


BROKEN: dict[str, dict[str, Any]] = {  # part: what is changed there
    "place 999 is outside": {"tasks": {"place": 999}},
    "demand": {"tasks": {"demand": (-1,)}},
    "service_time": {"tasks": {"service_time": -5}},
    "windows overlap": {"tasks": {"windows": (TimeWindow(T0 + 5, T0),)}},
    "years away": {"tasks": {"not_before": 0}},
    "priority": {"tasks": {"priority": 1000}},
    "position": {"tasks": {"position": 0}},
    "pair 99 is no": {"tasks": {"pair": 99}},
    "one half of a pair": {"tasks": {"pair": 1}},
    "names a task that is not there": {"crews": {"base": (999,)}},
    "2 times": {"crews": {"base": (1, 1)}},
    "capacity": {"crews": {"capacity": ()}},
    "end_place": {"crews": {"end_place": -1}},
    "costs": {"crews": {"costs": Costs(per_km=-1)}},
    "overtime": {"crews": {"overtime": -1}},
    "near": {"policy": {"near": 0}},
    "max_moves_per_driver is -1": {"policy": {"max_moves_per_driver": -1}},
    "setup is": {"crews": {"setup": 10**12}},
    "before now, with nothing under way": {"crews": {"ready": T0 - 5, "frozen": (), "departed": True}},
    "has not left": {"crews": {"frozen": (0,), "base": (), "departed": False}},
    "is done": {"crews": {"done": ("d.o00.collection", "d.o00.delivery", "d.o00.service")}},
    "that are no pair": {"tasks": {"order_id": "d.o01"}},
    "seconds since 1970": {"now": -1},
    "shape": {"matrix": {"metres": np.zeros((2, 3), np.int32)}},
    "negative": {"matrix": {"seconds": np.full((15, 15), -1, np.int32)}},
}


@pytest.mark.parametrize("text", BROKEN)
def test_a_problem_that_does_not_hang_together_is_refused(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the place and what is wrong there, whatever command reads it."""
    situation, now = random_situation(5)
    problem = situation.problem(now=now)
    ((part, change),) = BROKEN[text].items()
    value = getattr(problem, part)
    changed = (replace(value[0], **change), *value[1:]) if isinstance(value, tuple) else (
        replace(value, **change) if isinstance(change, dict) else change)  # fmt: skip
    path = tmp_path / "problem.json"
    broken: dict[str, Any] = {part: changed}
    path.write_bytes(codec.dumps(replace(problem, **broken)))
    assert command.main(["solve", str(path), "--engine", "repair"]) == 2
    told = capsys.readouterr().err
    assert told.startswith("bad_problem: ")
    assert text in told
