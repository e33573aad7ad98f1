"""What lies ahead, on random situations, against the plan that is in force."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.eta.forecast import Learned, Travel, forecast
from routing.eta.outlook import Setback, outlooks, setback
from routing.model import Location, Position, TimeWindow
from routing.solve.plan import publishable
from routing.solve.problem import current
from tests.builders import CERTAIN, HOUR, T0, Situation, order, rich_problem

LATER = st.integers(0, 2 * HOUR)


@given(st.integers(0, 10_000), LATER)
def test_who_loses_time_loses_no_more_than_has_passed(seed: int, later: int) -> None:
    """Right after planning nothing is later than planned, and afterwards nothing by more than was lost.

    With one window at most and without rests: who misses one of several windows waits for the next, and who does not have to wait
    any more rests afterwards.
    """
    problem = rich_problem(seed)
    free = tuple(replace(crew, breaks=(), break_places=(), limits=replace(crew.limits, stretch=None)) for crew in problem.crews)
    problem = replace(problem, crews=free, tasks=tuple(replace(task, windows=task.windows[-1:]) for task in problem.tasks))
    plan = publishable(problem, current(problem), progress={}, engine="none")
    crews = tuple(replace(crew, ready=crew.ready if crew.serving else crew.ready + later) for crew in problem.crews)
    after = replace(problem, now=problem.now + later, crews=crews)
    ends = {crew.shift_id: crew.shift_end for crew in problem.crews}
    routes = {route.shift_id: route for route in plan.routes}
    on_road = [crew.shift_id for crew in after.crews
               if not crew.absent and (crew.departed or (crew.ready <= after.now and crew.base))]  # fmt: skip
    found = outlooks(after, {})
    assert [outlook.shift_id for outlook in found] == on_road
    for outlook, crew in zip(found, [crew for crew in after.crews if crew.shift_id in on_road], strict=True):
        worst = setback(outlook, forecast(after, crew, Learned(), stated={}), routes[outlook.shift_id], ends[outlook.shift_id])
        assert worst is None or 0 < worst.seconds <= later


def test_a_driver_goes_on_from_when_the_phone_was_heard() -> None:
    """A position of ten minutes ago, 1000 s from the stop, is 400 s from it now."""
    situation = Situation().add(order("x", 10.0, 0.0, "service")).on_the_road("a", ["d.x.service"])
    seen = {"d.a": Position(Location(0.0, 0.0), T0)}
    problem = situation.problem(now=T0 + 600, positions=seen)
    (ahead,) = outlooks(problem, seen)
    assert (ahead.stops[0].arrive, ahead.next_stop, ahead.remaining) == (T0 + 1000, "d.x.service", 1000)


def test_the_end_of_a_shift_counts() -> None:
    situation = Situation(hours=1).add(order("x", 10.0, 0.0, "service")).on_the_road("a", ["d.x.service"])
    plan = publishable(situation.problem(), current(situation.problem()), progress={}, engine="none")
    later = situation.problem(now=T0 + 3000)
    (ahead,) = outlooks(later, {})
    worst = setback(ahead, forecast(later, later.crews[0], CERTAIN, stated={}), plan.routes[0], T0 + HOUR)
    assert worst is not None
    assert worst.subject == "d.day-a"
    assert worst.seconds == pytest.approx(3000 + 60 + 1000 - HOUR, abs=3), "she may be there by now, but no earlier"


def _to_the_door(now: int, end: int) -> Setback | None:
    """What is told of a driver 600 s from a door whose window ends at T0 + `end`; planned at T0, seen where he began at `now`."""
    situation = Situation().add(order("x", 6.0, 0.0, "service", windows=(TimeWindow(T0, T0 + end),)))
    situation.on_the_road("a", ["d.x.service"])
    plan = publishable(situation.problem(), current(situation.problem()), progress={}, engine="none")
    later = situation.problem(now=T0 + now, positions={"d.a": Position(Location(0.0, 0.0), T0 + now)})
    (ahead,) = outlooks(later, {})
    doubtful = Learned(travel=Travel(0.0, 120.0, 0.3))
    return setback(ahead, forecast(later, later.crews[0], doubtful, stated={}), plan.routes[0], T0 + 8 * HOUR)


def test_lateness_that_is_likely_enough_is_foreseen_before_it_is_to_be_expected() -> None:
    """Half of all days it would still be in time, but not four of five: that is news only if something has slipped."""
    worst = _to_the_door(now=300, end=950)
    assert worst is not None
    assert worst.subject == "d.x.service"
    assert 0 < worst.seconds <= 300
    assert _to_the_door(now=0, end=620) is None, "tight, but as planned"
    assert _to_the_door(now=300, end=2000) is None, "late, but in time"
