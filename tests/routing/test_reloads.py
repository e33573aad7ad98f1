"""Reloads: a van comes back for goods that do not fit at once, or are new, and leaves at the depot what it has collected."""

from __future__ import annotations

from dataclasses import replace

import pytest

from routing.model import ReasonCode, TimeWindow
from routing.solve import improve, relax, repair, wellformed
from routing.solve.checker import check
from routing.solve.evaluation import drivable, evaluate, total
from routing.solve.plan import publishable
from routing.solve.problem import Problem, Solution, Task, current
from routing.solve.quote import quote
from routing.solve.tour import walk
from tests.builders import T0, Situation, order, with_hours


def able(situation: Situation, count: int = 2) -> Situation:
    """The same, with shifts that may come back to the depot so often."""
    situation.shifts = {name: replace(shift, reloads=count, reload_time=300) for name, shift in situation.shifts.items()}
    return situation


def stops(problem: Problem, solution: Solution, crew: int = 0) -> list[Task]:
    return [problem.tasks[number] for number in solution.routes[crew]]


def judged(problem: Problem, solution: Solution) -> Solution:
    """The solution, which the checker lets pass."""
    assert list(wellformed.faults(problem)) == []
    assert check(problem, publishable(problem, solution, progress={}, engine="test")) == []
    return solution


def test_what_does_not_fit_at_once_is_fetched() -> None:
    """Twelve parcels and room for five: three trips by one van, and none is too full."""
    situation = Situation(1, capacity=5).add(*(order(f"o{n:02}", n % 4 + 1, n // 4 + 1) for n in range(12)))
    plain = situation.problem()
    assert len(repair.repair(plain).unassigned) == 7
    problem = able(situation).problem()
    for found in (repair.repair(problem), improve.improve(problem, budget=60, iterations=2000)):
        judged(problem, found)
        assert found.unassigned == ()
        trips = "".join("r" if task.reload_of else "." for task in stops(problem, found)).split("r")
        assert len(trips) == 3
        assert max(map(len, trips)) <= 5


def test_new_goods_join_a_van_that_has_left() -> None:
    """It comes back for them; without a reload they have to wait for another van."""
    situation = Situation(1).add(order("old", 5, 5), order("new", 1, 0))
    situation.on_the_road("a", ["d.old.delivery"], at=T0)
    plain = situation.problem(now=T0 + 60)
    left = publishable(plain, repair.repair(plain), progress={}, engine="test").unassigned
    assert [(item.order_id, item.reasons[0].code) for item in left] == [("d.new", ReasonCode.DEPARTED)]
    problem = able(situation).problem(now=T0 + 60)
    found = judged(problem, repair.repair(problem))
    names = [task.stop_id for task in stops(problem, found)]
    assert names == ["d.old.delivery", "d.day-a.1.reload", "d.new.delivery"]


def test_what_was_collected_leaves_the_van_at_a_reload() -> None:
    """A van that is full of what it has collected comes back, and collects on."""
    situation = Situation(1, capacity=2).add(*(order(f"o{n}", n + 1, 0, "collection") for n in range(4)))
    plain = situation.problem()
    assert len(repair.repair(plain).unassigned) == 2
    problem = able(situation, 1).problem()
    assert judged(problem, improve.improve(problem, budget=60, iterations=500)).unassigned == ()


def test_nobody_comes_back_for_nothing() -> None:
    """A reload that no goods need any more is dropped, and missed by nobody."""
    situation = Situation(1).add(order("a", 1, 0), order("b", 2, 0))
    problem = able(situation).problem()
    problem = replace(problem, crews=(replace(problem.crews[0], base=(0, 2, 1)),))
    assert [task.reload_of is None for task in stops(problem, current(problem))] == [True, False, True]
    found = judged(problem, improve.improve(problem, budget=60, iterations=500))
    assert all(task.reload_of is None for task in stops(problem, found))
    assert found.unassigned == ()
    assert total(problem, found) < total(problem, current(problem))


def test_goods_are_not_delivered_before_they_are_fetched() -> None:
    """The evaluator and the checker see it alike, and whose reload it is."""
    situation = Situation(2).add(order("old", 5, 5), order("new", 1, 0))
    situation.on_the_road("a", ["d.old.delivery"], at=T0)
    problem = able(situation, 1).problem(now=T0 + 60)
    old, new = (next(n for n, task in enumerate(problem.tasks) if task.order_id == f"d.{name}") for name in ("old", "new"))
    mine, others = problem.crews[0].reloads[0], problem.crews[1].reloads[0]
    early, alien = (Solution((route, ()), ()) for route in ((old, new, mine), (old, others, new)))
    breach = evaluate(problem, problem.crews[0], early.routes[0]).breach
    assert breach is not None
    assert breach.code is ReasonCode.DEPARTED
    for wrong in (early, alien):
        assert not drivable(problem, wrong)
        codes = {violation.code for violation in check(problem, publishable(problem, wrong, progress={}, engine="test"))}
        assert "goods" in codes


def test_who_is_at_the_depot_already_takes_more() -> None:
    """A driver who loads is given what has come since, what he collected before is gone, and one reload is left."""
    situation = able(Situation(1, capacity=2)).add(order("in", 1, 0, "collection"), order("out", 2, 0), order("new", 3, 0))
    situation.on_the_road("a", ["d.day-a.1.reload"], at=T0, arrived=True)
    situation.changes["goods"] = {"d.in": "d.day-a"}
    situation.changes["closed"] = {"d.in": situation.orders.pop("d.in")}
    problem = situation.problem(now=T0 + 60)
    crew = problem.crews[0]
    assert (crew.load, crew.collected, len(crew.frozen), len(crew.reloads)) == ((1,), (1,), 1, 2)
    found = judged(problem, repair.repair(problem))
    first, *rest = (task.stop_id for task in stops(problem, found))
    assert (first, sorted(rest)) == ("d.day-a.1.reload", ["d.new.delivery", "d.out.delivery"])


def test_reasons_are_those_that_coming_back_does_not_do_away_with() -> None:
    """Not that the van has left: what is too large is too large, what is too late is too late; relaxations say by how much."""
    late = order("late", 2, 0, windows=(TimeWindow(T0, T0 + 60),), hard=True)
    situation = able(Situation(1, capacity=5)).add(order("old", 5, 5), order("large", 1, 0, demand=(9,)), late)
    situation.on_the_road("a", ["d.old.delivery"], at=T0)
    problem = situation.problem(now=T0 + 60)
    found = judged(problem, repair.repair(problem))
    told = {item.order_id: item.reasons[0] for item in publishable(problem, found, progress={}, engine="test").unassigned}
    assert {order_id: reason.code for order_id, reason in told.items()} == {
        "d.large": ReasonCode.CAPACITY, "d.late": ReasonCode.TIME_WINDOW}  # fmt: skip
    assert told["d.large"].shortfall == 4
    number = next(number for number, task in enumerate(problem.tasks) if task.order_id == "d.late")
    assert [one.relaxation.code for one in relax.relaxations(problem, found, number)] == [ReasonCode.TIME_WINDOW]


def test_a_locked_route_keeps_its_reload() -> None:
    """What its dispatcher wants, be it of use or not."""
    situation = able(Situation(1)).add(order("a", 1, 0), order("b", 2, 0))
    situation.changes["sequences"] = {"d.day-a": ("d.a.delivery", "d.day-a.1.reload", "d.b.delivery")}
    situation.shifts = {name: replace(shift, locked=True) for name, shift in situation.shifts.items()}
    problem = situation.problem()
    for found in (repair.repair(problem), improve.improve(problem, budget=60, iterations=500)):
        assert [task.stop_id for task in stops(problem, judged(problem, found))] == list(situation.changes["sequences"]["d.day-a"])


def test_what_is_at_the_depot_is_not_frozen_into_a_route_that_has_left() -> None:
    """A reload that failed has left its trip's goods where they were: somebody else may have them."""
    situation = able(Situation(2)).add(order("old", 5, 5), order("new", 1, 0))
    situation.on_the_road("a", ["d.old.delivery", "d.new.delivery"], at=T0)
    situation.changes["goods"] = {"d.old": "d.day-a"}
    problem = situation.problem(now=T0 + 60, freeze=36_000)
    assert [problem.tasks[task].order_id for crew in problem.crews for task in (*crew.frozen, *crew.base)] == ["d.old"]
    assert judged(problem, repair.repair(problem)).unassigned == ()


@pytest.mark.parametrize("hours", [False, True])
def test_a_quote_counts_on_coming_back(hours: bool) -> None:
    """Goods for a van that has left are offered where it comes back for them, at what that costs more."""
    asked = order("new", 1, 0)
    situation = Situation(1).add(order("old", 5, 5), asked)
    situation.on_the_road("a", ["d.old.delivery"], at=T0)
    day = TimeWindow(T0, T0 + 6 * 3600)
    task = next(number for number, one in enumerate(situation.problem(now=T0 + 60).tasks) if one.order_id == "d.new")
    assert quote(situation.problem(now=T0 + 60), task, [day]) == []
    problem = able(situation).problem(now=T0 + 60)
    problem = with_hours(problem, 1) if hours else problem
    [offer] = quote(problem, task, [day])
    planned = judged(problem, repair.repair(problem))
    asked_for = replace(problem, tasks=tuple(replace(one, windows=(day,) if number == task else one.windows)
                                             for number, one in enumerate(problem.tasks)))  # fmt: skip
    begins = next(visit.begin for visit in walk(asked_for, problem.crews[0], planned.routes[0]) if visit.task == task)
    assert offer.begin == begins
    alone = evaluate(problem, problem.crews[0], problem.crews[0].frozen).cost
    assert offer.extra_cost == evaluate(problem, problem.crews[0], planned.routes[0]).cost - alone
