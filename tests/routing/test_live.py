"""Golden scenarios: live situations whose right answer is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from routing.model import Flag, Location, Pin, Plan, Policy, Reason, ReasonCode, TimeWindow, Turn
from routing.roads.travel import UNREACHABLE
from routing.solve import engines, explain, improve, quote, repair
from routing.solve.arrays import Arrays
from routing.solve.checker import check
from routing.solve.engines import ENGINES
from routing.solve.evaluation import drivable, parts, total
from routing.solve.plan import publishable
from routing.solve.problem import Problem, Solution, current
from tests.builders import HOUR, T0, Situation, order, rich_problem, with_hours

Solve = Callable[[Problem], Solution]

SOLVERS = [repair.repair, lambda problem: improve.improve(problem, budget=60, iterations=2000)]


def planned(problem: Problem, solve: Solve = repair.repair) -> Plan:
    """The plan of an engine, which breaks no rule."""
    plan = publishable(problem, solve(problem), progress={}, engine="test")
    assert check(problem, plan) == []
    return plan


def sequences(plan: Plan) -> dict[str, list[str]]:
    """By driver, the orders in order."""
    return {route.driver_id[2:]: [stop.stop_id.split(".")[1] for stop in route.stops] for route in plan.routes}


def reasons(plan: Plan) -> dict[str, dict[str | None, ReasonCode]]:
    """By order, each driver's reason."""
    return {item.order_id[2:]: {reason.driver_id and reason.driver_id[2:]: reason.code for reason in item.reasons}
            for item in plan.unassigned}  # fmt: skip


@pytest.mark.parametrize("solve", SOLVERS)
def test_a_late_drivers_stop_goes_to_who_can_still_be_in_time(solve: Solve) -> None:
    """A service would be 25 minutes late with its driver: the one at the depot takes it, and the plan says that it moved."""
    far, due = order("far", 0, 6, "service", service_time=1800), order("due", 0, 2, "service", windows=(TimeWindow(T0, T0 + 1500),))
    situation = Situation(2).add(far, due).on_the_road("a", ["d.far.service", "d.due.service"])
    plan = planned(situation.problem(now=T0 + 60), solve)
    assert sequences(plan) == {"a": ["far"], "b": ["due"]}
    assert (plan.moved, plan.costs["lateness"]) == (1, 0)
    assert plan.costs["changes"] > 0


@pytest.mark.parametrize("solve", SOLVERS)
def test_a_little_lateness_moves_nothing(solve: Solve) -> None:
    """Half a minute late is cheaper than another driver."""
    far, due = order("far", 0, 6, "service", service_time=600), order("due", 0, 2, "service", windows=(TimeWindow(T0, T0 + 1590),))
    situation = Situation(2).add(far, due).on_the_road("a", ["d.far.service", "d.due.service"])
    plan = planned(situation.problem(now=T0 + 60), solve)
    assert sequences(plan) == {"a": ["far", "due"], "b": []}
    assert plan.routes[0].stops[1].late_by == 10


@pytest.mark.parametrize("solve", SOLVERS)
def test_a_full_van_is_passed_over(solve: Solve) -> None:
    """Its neighbour collects what it has no room for, even from farther away; without one the order is told how much."""
    def situation(drivers: int) -> Situation:
        found = Situation(drivers, capacity=4).add(*(order(f"out{n}", 0, n + 5.0) for n in range(4)))
        soon = (TimeWindow(T0, T0 + 900),)
        found.add(order("get", 0, 4, "collection", demand=(2,), windows=soon, hard=True), order("small", 0, 8.5, "collection"))
        return found.on_the_road("a", [f"d.out{n}.delivery" for n in range(4)])

    plan = planned(situation(2).problem(now=T0 + 60), solve)
    assert sequences(plan)["b"] == ["get"]
    assert set(sequences(plan)["a"]) == {"out0", "out1", "out2", "out3", "small"}
    full = situation(1)
    full.orders["d.get"] = replace(full.orders["d.get"], demand=(5,))
    alone = planned(full.problem(now=T0 + 60), solve)
    assert alone.unassigned[0].reasons[0] == Reason(ReasonCode.CAPACITY, "d.a", 4, "parcels")


@pytest.mark.parametrize("solve", SOLVERS)
def test_goods_on_board_stay_on_board(solve: Solve) -> None:
    """Another van passes the very house; the parcel is in the first one."""
    situation = Situation(2).add(order("far", 0, 7), order("near", 0, -2), order("house", 0, -2.1))
    situation.on_the_road("a", ["d.far.delivery", "d.house.delivery"]).on_the_road("b", ["d.near.delivery"])
    problem = situation.problem(now=T0 + 60)
    assert sequences(planned(problem, solve)) == {"a": ["far", "house"], "b": ["near"]}
    silent = planned(situation.problem(now=T0 + 60, absent=("d.a",)), solve)
    assert sequences(silent)["a"] == ["far", "house"]


@pytest.mark.parametrize(("pin", "driver", "position"), [
    (Pin(driver_id="d.b"), "b", None),
    (Pin(position=Turn.FIRST), "a", 0),
    (Pin(position=Turn.LAST), "a", 2),
    (Pin(position=1), "a", 0),
    (Pin(position=2), "a", 1),
    (Pin(position=3), "a", 2),
    (Pin(position=9), "a", 2),
    (Pin("d.b", 1), "b", 0),
    (Pin(not_before=T0 + HOUR), "a", 2),
])  # fmt: skip
@pytest.mark.parametrize("solve", SOLVERS)
def test_a_pinned_stop_is_where_it_is_pinned_to(pin: Pin, driver: str, position: int | None, solve: Solve) -> None:
    """Three stops around the depot, due within the hour, one of them pinned: the others are driven to around it."""
    spots = ((0, 1), (1, 0), (0, -1))
    stops = [order(f"o{n}", *spot, kind="service", windows=(TimeWindow(T0, T0 + 3000),)) for n, spot in enumerate(spots)]
    stops[1] = replace(stops[1], pin=pin)
    found = planned(Situation(2).add(*stops).problem(), solve)
    mine = sequences(found)[driver]
    assert "o1" in mine
    assert position is None or mine[position] == "o1"
    if pin.not_before:
        assert found.routes[0].stops[-1].begin == pin.not_before


@pytest.mark.parametrize("solve", SOLVERS)
def test_a_number_counts_the_stops_already_made(solve: Solve) -> None:
    """Pinned to be third where one stop is made and another being driven to: it is the very next that may change."""
    situation = Situation().add(*(order(f"o{n}", 0, float(n), "service") for n in range(5)))
    situation.orders["d.o4"] = replace(situation.orders["d.o4"], pin=Pin(position=3))
    situation.on_the_road("a", [f"d.o{n}.service" for n in range(1, 5)], done=["d.o0.service"])
    del situation.orders["d.o0"]
    assert sequences(planned(situation.problem(now=T0 + 60), solve))["a"][:3] == ["o0", "o1", "o4"]
    gone_by = replace(situation.orders["d.o4"], pin=Pin(position=1))
    situation.orders["d.o4"] = gone_by
    assert sequences(planned(situation.problem(now=T0 + 60), solve))["a"][:3] == ["o0", "o1", "o4"]


@pytest.mark.parametrize("solve", SOLVERS)
def test_contradictory_pins_are_told(solve: Solve) -> None:
    """To a driver who is excluded, to a position that another has: nothing is dropped silently."""
    stops = [order(f"o{n}", 0, float(n + 1), "service") for n in range(4)]
    stops[0] = replace(stops[0], pin=Pin(driver_id="d.a"), excluded_drivers=("d.a",))
    stops[1] = replace(stops[1], pin=Pin("d.a", 1), priority=9)
    stops[2] = replace(stops[2], pin=Pin("d.a", 1))
    plan = planned(Situation(2).add(*stops).problem(), solve)
    assert reasons(plan)["o0"] == {"a": ReasonCode.DRIVER_EXCLUDED, "b": ReasonCode.PINNED}
    assert reasons(plan)["o2"] == {"a": ReasonCode.OUTPRIORITISED, "b": ReasonCode.PINNED}
    assert sequences(plan)["a"][0] == "o1"


@pytest.mark.parametrize(("change", "expected"), [
    ({"skills": ("lift",)}, Reason(ReasonCode.SKILL, "d.a")),
    ({"hard": True, "windows": (TimeWindow(T0 - HOUR, T0),)}, Reason(ReasonCode.TIME_WINDOW, "d.a", 100, "seconds")),
    ({"service_time": 9 * HOUR}, Reason(ReasonCode.SHIFT_END, "d.a", 3800, "seconds")),
    ({"demand": (12,), "kind": "collection"}, Reason(ReasonCode.CAPACITY, "d.a", 2, "parcels")),
    ({"excluded_drivers": ("d.a",)}, Reason(ReasonCode.DRIVER_EXCLUDED, "d.a")),
])  # fmt: skip
@pytest.mark.parametrize("solve", SOLVERS)
def test_a_frozen_stop_that_breaks_a_rule_is_flagged(change: dict[str, Any], expected: Reason, solve: Solve) -> None:
    """It is being driven to: that stays, the plan says what is wrong with it, and the rest goes on."""
    values = {"kind": "service"} | change
    situation = Situation(2).add(order("now", 0, 1, **values), order("next", 0, 1.5, "service"))
    situation.on_the_road("a", [f"d.now.{values['kind']}", "d.next.service"])
    plan = planned(situation.problem(), solve)
    assert plan.flags == (Flag(f"d.now.{values['kind']}", expected),)
    assert plan.unassigned == ()
    assert sequences(plan)["a"][0] == "now"
    situation.orders["d.now"] = order("now", 0, 1, str(values["kind"]))
    assert planned(situation.problem(), solve).flags == ()


def test_a_transport_is_told_what_stands_in_its_way() -> None:
    """Both its stops are tried together: too much for the van, or too late at the far end, not just that halves go together."""
    def transport(**changes: Any) -> Problem:
        situation = Situation().add(order("get", 0, 1, "collection", demand=(4,)), order("put", 0, 5))
        problem = situation.problem()
        first, second = problem.tasks
        pair = (replace(first, pair=1), replace(second, pair=0, order_id=first.order_id, demand=(4,), **changes))
        return replace(problem, tasks=pair)

    assert planned(transport()).unassigned == ()
    too_much = transport()
    too_much = replace(too_much, tasks=tuple(replace(task, demand=(13,)) for task in too_much.tasks))
    late = transport(windows=(TimeWindow(T0, T0 + 400),), hard=True)
    told = [planned(problem).unassigned for problem in (too_much, late)]
    assert [each[0].reasons for each in told] == [
        (Reason(ReasonCode.CAPACITY, "d.a", 3, "parcels"),), (Reason(ReasonCode.TIME_WINDOW, "d.a", 160, "seconds"),)]
    assert [len(each) for each in told] == [1, 1]


@pytest.mark.parametrize("name", sorted(ENGINES))
def test_an_impossible_day_is_told_and_not_searched_for_ever(name: str) -> None:
    """Nowhere to drive, nothing fits, everything is over: each order has its reason, in whichever engine."""
    situation = Situation(2)
    situation.add(order("big", 0, 1, demand=(99,)), order("past", 0, 1, hard=True, windows=(TimeWindow(T0 - 9, T0 - 1),)),
                  order("cut", 0, 3, "service"), order("skilled", 0, 1, skills=("crane",)),
                  order("long", 0, 1, "service", service_time=HOUR * 20))  # fmt: skip
    problem = situation.problem()
    seconds = problem.matrix.seconds.copy()
    cut = next(task.place for task in problem.tasks if task.order_id == "d.cut")
    seconds[:, cut] = UNREACHABLE
    problem = replace(problem, matrix=replace(problem.matrix, seconds=seconds))
    engine = ENGINES[name]
    plan = planned(problem, lambda asked: engine(asked, budget=0.2, stop=lambda: False))
    assert {name: told["a"] for name, told in reasons(plan).items()} == {
        "big": ReasonCode.CAPACITY, "past": ReasonCode.TIME_WINDOW, "cut": ReasonCode.CLOSED_ROAD, "skilled": ReasonCode.SKILL,
        "long": ReasonCode.SHIFT_END}  # fmt: skip


def test_of_many_orders_left_out_the_last_are_told_without_a_measure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who could take one that had nothing else to do is still told apart from who cannot at all."""
    situation = Situation(drivers=2, hours=2)
    situation.add(*(order(f"o{number}", 1.0, 0.0, "service", service_time=3000) for number in range(8)))
    situation.add(order("x", 1.0, 0.0, "service", skills=("crane",)))
    whole = planned(situation.problem())
    monkeypatch.setattr(explain, "WALKED", 8)
    found = planned(situation.problem())
    assert [item.order_id for item in found.unassigned] == [item.order_id for item in whole.unassigned]
    crowded = [item.reasons[0] for item in found.unassigned if item.order_id != "d.x"]
    assert {reason.code for reason in crowded} == {ReasonCode.OUTPRIORITISED}
    assert [reason.shortfall is None for reason in crowded] == sorted(reason.shortfall is None for reason in crowded)
    assert {True, False} == {reason.shortfall is None for reason in crowded}
    assert set(reasons(found)["x"].values()) == {ReasonCode.SKILL}


def test_a_repair_that_is_stopped_breaks_no_rule() -> None:
    """By the hour of the day: what has no place by then is left out, and told."""
    fewer = 0
    for seed in range(60):
        problem = with_hours(rich_problem(seed), seed)
        stopped, whole = planned(problem, lambda problem: repair.repair(problem, stop=lambda: True)), planned(problem)
        fewer += len(stopped.unassigned) > len(whole.unassigned)
    assert fewer, "it is stopped indeed"


def test_prices_are_what_the_policy_says() -> None:
    """A promise broken, overtime and a changed hand cost what the depot's policy asks, and are listed apart."""
    situation = Situation(2, hours=0.5).add(order("one", 0, 6, "service", service_time=1200, promised_by=T0 + 500))
    situation.shifts = {key: replace(shift, overtime=3600) for key, shift in situation.shifts.items()}
    problem = situation.problem()
    policy = replace(problem.policy, promise_price=7, overtime_price=3)
    problem = replace(problem, policy=policy)
    costs = parts(problem, repair.repair(problem))
    assert (costs["promises"], costs["overtime"]) == (14 * 100, 3 * 600)  # promised within minutes: nearly twice the price


def test_changes_cost_more_the_nearer_a_stop_is() -> None:
    """`near` is from where on the price of a moved stop rises; it is twice as high for the very next."""
    stops = [order("now", 0, 0.1, "service"), order("soon", 0, 0.2, "service"), order("later", 0, 9, "service", service_time=0)]
    situation = Situation(2).add(*stops).on_the_road("a", [stop.stop_id for stop in stops])
    problem = situation.problem()
    problem = replace(problem, policy=replace(problem.policy, move_price=100, near=1000))
    number = {task.order_id[2:]: index for index, task in enumerate(problem.tasks)}
    now, soon, later = (number[name] for name in ("now", "soon", "later"))
    moved = {name: parts(problem, Solution(routes, ()))["changes"] for name, routes in (
        ("soon", ((now, later), (soon,))), ("later", ((now, soon), (later,))))}  # fmt: skip
    assert moved["soon"] == 192 + problem.policy.reorder_price  # 80 s ahead of 1000; the later one has another stop before it
    assert moved["later"] == 100


def test_a_promise_long_broken_is_no_reason_to_leave_an_order_out() -> None:
    """Nor are a dozen others that become late: an order is left out only when it must be."""
    situation = Situation(1).add(*(order(f"o{n}", n, 1, "service", promised_by=T0 - 40_000) for n in range(3)))
    problem = replace(situation.problem(), policy=replace(Policy(), promise_price=1000))
    assert improve.improve(problem, budget=1, iterations=200).unassigned == ()
    long = order("long", 0, 1, "service", service_time=6 * HOUR, pin=Pin(position=Turn.FIRST))
    soon = (TimeWindow(T0, T0 + HOUR),)
    others = [order(f"o{n:02}", n % 3, 2, "service", windows=soon, hard=False, priority=100) for n in range(12)]
    problem = Situation(1, hours=24).add(long, *others).problem()
    assert improve.improve(problem, budget=1, iterations=200).unassigned == ()


def test_setting_up_takes_its_time_when_the_driver_is_there() -> None:
    """`arrived` is when set-up begins; the plan counts on it as it did before."""
    situation = Situation(1).add(order("one", 0, 1, "service", setup_time=1800, service_time=60), order("two", 0, 2, "service"))
    situation.on_the_road("a", ["d.one.service", "d.two.service"], arrived=True)
    problem = situation.problem(now=T0 + 60)
    plan = publishable(problem, repair.repair(problem), progress={}, engine="repair")
    first = plan.routes[0].stops[0]
    assert (first.arrive, first.begin, first.leave) == (T0, T0 + 1800, T0 + 1860)
    assert check(problem, plan) == []


@pytest.mark.parametrize("hours", [False, True])
@pytest.mark.parametrize("engine", ["improve", "pyvrp", "ortools"])
def test_a_plan_in_force_that_is_barred_is_mended_and_adopted(engine: str, hours: bool) -> None:
    """The driver of a planned stop has just been excluded."""
    situation = Situation(2).add(*(order(f"o{n}", n, 1, "service") for n in range(4)))
    base = [f"d.o{n}.service" for n in range(4)]
    situation.changes["sequences"] = {"d.day-a": tuple(base)}
    problem = situation.problem()
    tasks = [replace(task, excluded=frozenset(["d.a"])) if task.stop_id == base[1] else task for task in problem.tasks]
    problem = replace(problem, tasks=tuple(tasks))
    problem = with_hours(problem, 1) if hours else problem
    assert not drivable(problem, current(problem))
    mended = repair.repair(problem)
    assert engines.pays(problem, mended)
    found = engines.ENGINES[engine](problem, mended, budget=0.1, stop=lambda: False)
    assert check(problem, publishable(problem, found, progress={}, engine=engine)) == []
    if engine == "improve":
        assert drivable(problem, improve.improve(problem, budget=1, iterations=50))


def test_libraries_engines_let_alike_vans_keep_their_stops() -> None:
    """What PyVRP and OR-Tools find is given to who has most of it already."""
    situation = Situation(4, capacity=6).add(*(order(f"o{n:02}", n % 5, n // 5, "collection") for n in range(20)))
    problem = situation.problem()
    found = improve.improve(problem, budget=1, iterations=300)
    turned = (*found.routes[1:], found.routes[0])
    crews = tuple(replace(crew, base=route) for crew, route in zip(problem.crews, turned, strict=True))
    problem = replace(problem, crews=crews)
    shuffled = Solution(found.routes, ())
    assert engines._identified(problem, shuffled, Solution(tuple(reversed(found.routes)), ())).routes == turned


def test_alike_vans_keep_their_stops_though_an_order_bars_one() -> None:
    """Routes that were given out in turn come back to who had them, but for the one who may not have that stop."""
    situation = Situation(4, capacity=6).add(*(order(f"o{n:02}", n % 5, n // 5, "collection") for n in range(20)))
    problem = situation.problem()
    found = improve.improve(problem, budget=1, iterations=300)
    crews = tuple(replace(crew, base=route) for crew, route in zip(problem.crews, found.routes, strict=True))
    barred_at = found.routes[0][0]
    tasks = list(problem.tasks)
    tasks[barred_at] = replace(tasks[barred_at], excluded=frozenset({"d.b"}))
    problem = replace(problem, crews=crews, tasks=tuple(tasks))
    turned = [found.routes[2], found.routes[3], found.routes[1], found.routes[0]]
    assert Arrays(problem).recognized(turned) == list(found.routes)
    excluded = tuple(replace(crew, base=route) for crew, route in zip(crews, [found.routes[1], found.routes[0], *found.routes[2:]],
                                                                      strict=True))  # fmt: skip
    given = Arrays(replace(problem, crews=excluded)).recognized(turned)
    assert barred_at not in given[1]
    assert given[2:] == list(found.routes[2:])


@pytest.mark.parametrize("engine", sorted(ENGINES))
def test_engines_mend_a_plan_that_breaks_a_rule(engine: str) -> None:
    """One that is given to search from: a stop goes from who lacks a skill to who has it, nothing is left out."""
    situation = Situation(2).add(order("o0", 1, 0, skills=("lift",)), order("o1", 2, 0), order("o2", 0, 2))
    situation.drivers["d.a"] = replace(situation.drivers["d.a"], skills=("lift",))
    problem = situation.problem()
    found = ENGINES[engine](problem, Solution(((1, 2), (0,)), ()), budget=0.2, stop=lambda: False)
    assert check(problem, publishable(problem, found, progress={}, engine=engine)) == []
    assert found.unassigned == ()
    started = Solution(((1, 0, 2), ()), ())
    assert total(problem, ENGINES[engine](problem, started, budget=0.2, stop=lambda: False)) <= total(problem, started)


def test_who_stays_at_home_is_not_late_there() -> None:
    """A van whose empty way would end after its shift: using it costs all of its overtime, in quotes and for repairs."""
    situation = Situation(2).add(order("new", 2, 0, service_time=60))
    situation.shifts["d.day-a"] = replace(situation.shifts["d.day-a"], end_location=Location(5, 0), overtime=3600)
    situation.shifts["d.day-b"] = replace(situation.shifts["d.day-b"], end=T0 + 9 * HOUR)
    problem = situation.problem(now=T0 + 8 * HOUR - 60)
    offers = {offer.driver_id: offer.extra_cost for offer in quote.quote(problem, 0, [TimeWindow(problem.now, problem.now + 7200)])}
    alone = {"d.a": Solution(((0,), ()), ()), "d.b": Solution(((), (0,)), ())}
    assert offers == {driver: total(problem, solution) for driver, solution in alone.items()}
    assert repair.repair(problem) == alone["d.b"]


def test_nothing_is_adopted_for_no_gain() -> None:
    """Even where no gain is asked for."""
    situation = Situation(2).add(order("o0", 1, 0))
    problem = situation.problem()
    problem = replace(problem, policy=replace(problem.policy, min_gain=0),
                      crews=(replace(problem.crews[0], base=(0,)), problem.crews[1]))  # fmt: skip
    assert not engines.pays(problem, Solution(((), (0,)), ()))


def test_an_overloaded_van_is_no_problem_for_pyvrp() -> None:
    """More was picked up than fits: it can do what needs no room."""
    situation = Situation(1, capacity=3).add(*(order(f"o{n}", n, 1, "service") for n in range(3)))
    problem = situation.problem()
    problem = replace(problem, crews=(replace(problem.crews[0], load=(5,), departed=True),))
    start = repair.repair(problem)
    assert engines.ENGINES["pyvrp"](problem, start, budget=0.1, stop=lambda: False).unassigned == ()
