"""What would let an order be served: it serves the order, nothing less would, and the checker agrees."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routing.model import Limits, ReasonCode, TimeWindow
from routing.solve import relax, repair
from routing.solve.checker import check
from routing.solve.evaluation import parts
from routing.solve.plan import publishable
from routing.solve.problem import Problem, current, one_each
from routing.solve.relax import MOVED, Relaxation, relaxations
from routing.solve.rules.changes import disruption, held
from tests.builders import HOUR, T0, Situation, order, rich_problem, with_hours


@settings(max_examples=120, deadline=None)
@given(st.integers(0, 2**32 - 1), st.booleans())
def test_what_is_told_is_enough_and_no_more_than_that(seed: int, by_the_hour: bool) -> None:
    """In any live situation: the plan that serves the order passes the checker, with a minute or a unit less no place is left."""
    problem = rich_problem(seed)
    problem = with_hours(problem, seed) if by_the_hour else problem
    solution = repair.repair(problem)
    for task in one_each(problem, set(solution.unassigned)):
        for found in relaxations(problem, solution, task):
            told = found.relaxation
            assert any(task in route for route in found.solution.routes)
            plan = publishable(found.problem, found.solution, progress={}, engine="test")
            assert check(found.problem, plan) == []
            before, after = parts(problem, solution), plan.costs | {"changes": disruption(problem, found.solution).price}
            assert told.cost == sum(after[name] - before[name] for name in after if name != "unassigned")
            if told.amount is not None:
                assert told.amount > 0
                assert not served_with_less(problem, solution.routes, task, told), told


def served_with_less(problem: Problem, routes: tuple[tuple[int, ...], ...], task: int, told: Relaxation) -> bool:
    """Whether the same driver could serve it with a minute, or a unit, less of a relaxation of amounts."""
    v = next(number for number, crew in enumerate(problem.crews) if crew.driver_id == told.driver_id)
    assert told.unit is not None
    assert told.amount is not None
    less = told.amount - (60 if told.unit == "seconds" else 1)
    nearly = [relax._given(problem, v, ReasonCode(told.code), less, told.unit)] if told.code != "time_window" else [
        relax._with_window(problem, half, number, wider) for half in relax._halves(problem, task) if problem.tasks[half].hard
        for number, window in enumerate(problem.tasks[half].windows)
        for wider in (TimeWindow(window.start - less, window.end), TimeWindow(window.start, window.end + less))]  # fmt: skip
    return any(next(repair.insertions(one, held(problem), v, routes[v], task), None) is not None for one in nearly)


def only(situation: Situation, name: str = "d.late") -> dict[str, Relaxation]:
    """By code, what would serve the one order that is left out."""
    problem = situation.problem()
    solution = repair.repair(problem)
    (task,) = one_each(problem, set(solution.unassigned))
    assert problem.tasks[task].order_id == name
    return {found.relaxation.code: found.relaxation for found in relaxations(problem, solution, task)}


def limited(situation: Situation, **limits: int) -> Situation:
    """With limits for all shifts."""
    situation.shifts = {name: replace(shift, limits=Limits(**limits)) for name, shift in situation.shifts.items()}
    return situation


def test_a_window_that_is_missed_by_minutes() -> None:
    """A hundred seconds late: two minutes would do."""
    late = order("late", 0, 1, hard=True, windows=(TimeWindow(T0 - HOUR, T0),))
    told = only(Situation().add(late))
    assert {code: (found.amount, found.unit) for code, found in told.items()} == {"time_window": (120, "seconds")}


def test_a_window_that_begins_too_late_for_what_follows() -> None:
    """Waiting for it would make the next one late: it would have to begin as much earlier."""
    first = order("late", 0, 1, hard=True, windows=(TimeWindow(T0 + 1000, T0 + 2000),))
    then = order("then", 0, 6, hard=True, windows=(TimeWindow(T0, T0 + 660),), priority=100)
    told = only(Situation(hours=0.25, open_end=True).add(first, then))
    assert told["time_window"].amount == 900  # it has to leave there 500 s before 660, after 60 s of service


@pytest.mark.parametrize(("limits", "code", "amount"), [
    ({"stops": 1}, "max_stops", 1), ({"distance": 9_000}, "max_distance", 7_000), ({"driving": 1_500}, "max_driving", 120),
    ({"duration": 1_500}, "max_duration", 240),
])  # fmt: skip
def test_a_limit_that_stands_in_the_way(limits: dict[str, int], code: str, amount: int) -> None:
    """And by how much."""
    situation = Situation().add(order("near", 0, 1, priority=50), order("late", 0, 8))
    assert only(limited(situation, **limits))[code].amount == amount


def test_a_full_van_a_short_shift_and_a_missing_skill() -> None:
    """Two parcels too many; eight minutes of overtime; the lift."""
    full = Situation().add(order("top", 0, 1, demand=(6,), priority=9), order("late", 0, 1, demand=(6,)))
    assert only(full)["capacity"].amount == 2
    assert only(Situation(hours=0.4).add(order("late", 0, 9)))["shift_end"].amount == 420
    told = only(Situation().add(order("late", 0, 1, skills=("lift",))))["skill"]
    assert (told.skills, told.amount, told.driver_id) == (("lift",), None, "d.a")


def test_another_stop_that_would_have_to_move() -> None:
    """The only van with a lift is full: one of its stops could go to the other."""
    situation = Situation(2, capacity=2)
    situation.drivers["d.a"] = replace(situation.drivers["d.a"], skills=("lift",))
    situation.add(order("one", 0, 1), order("two", 0, 2), order("late", 0, 3, skills=("lift",)))
    situation.changes["sequences"] = {"d.day-a": ("d.one.delivery", "d.two.delivery")}
    problem = situation.problem()
    task = next(number for number, task in enumerate(problem.tasks) if task.order_id == "d.late")
    found = {one.relaxation.code: one.relaxation for one in relaxations(problem, current(problem), task)}
    assert found["capacity"].amount == 1
    assert (found[MOVED].driver_id, found[MOVED].to_driver_id) == ("d.a", "d.b")
    assert found[MOVED].stop_id in ("d.one.delivery", "d.two.delivery")


def test_what_could_be_served_needs_nothing() -> None:
    """It only was not planned yet."""
    problem = Situation().add(order("o", 0, 1)).problem()
    assert relaxations(problem, current(problem), 0) == []
