"""Districts: every order and every shift in one of them, and what they come to together is judged as a whole."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from routing.model import (
    Location,
    OrderKind,
    Pickup,
    Pin,
    Progress,
    Relation,
    RelationKind,
    Snapshot,
    StopProgress,
    StopState,
)
from routing.solve import repair
from routing.solve.checker import check
from routing.solve.districts import Joined, cut, named, understood
from routing.solve.evaluation import drivable, total
from routing.solve.explain import explain
from routing.solve.plan import publishable
from routing.solve.problem import Problem, build, current
from tests.builders import HOUR, T0, Situation, flat, order, random_situation, with_hours


def live(seed: int) -> tuple[Snapshot, int]:
    """A live state of nine drivers, with transports, relations, ends at several places and pins."""
    rng = np.random.default_rng(seed)
    situation, now = random_situation(seed, drivers=9, orders=45)
    state = situation.snapshot()
    begun = {stop.stop_id for progress in state.progress.values() for stop in progress.trail}
    placed = {stop for route in state.sequences.values() for stop in route}
    ids = sorted(state.orders)
    for name in ids:
        item = state.orders[name]
        if rng.random() < 0.2 and item.stop_id not in begun | placed:
            where = Location(*rng.uniform(-8, 8, 2).tolist())
            state.orders[name] = item = replace(item, kind=OrderKind.TRANSPORT, demand=(1,), pickup=Pickup(where))
        if rng.random() < 0.2:
            other, kind = str(rng.choice(ids)), RelationKind(rng.choice(list(RelationKind)))
            state.orders[name] = item = replace(item, relations=(Relation(kind, order_id=other),) if other != name else ())
        if rng.random() < 0.1:
            state.orders[name] = replace(item, pin=Pin(driver_id=f"d.{chr(ord('a') + int(rng.integers(9)))}"))
    shifts = {name: replace(shift, other_ends=(Location(*rng.uniform(-8, 8, 2).tolist()),))
              if shift.end_location and rng.random() < 0.3 else shift for name, shift in state.shifts.items()}  # fmt: skip
    return replace(state, shifts=shifts), now


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32 - 1), st.booleans())
def test_districts_put_together_are_the_whole(seed: int, hourly: bool) -> None:
    """Nothing is lost or doubled; the plan keeps all rules, prices add up, and what is planned in a district is so in the whole."""
    state, now = live(seed)
    parts = cut(state, 12, seed % 7, now=now)
    assert sorted(name for part in parts for name in part.orders) == sorted(state.orders)
    assert sorted(name for part in parts for name in part.shifts) == sorted(state.shifts)
    problems = [build(part, flat, flat, now=now, freeze=0) for part in parts]
    if hourly:
        problems = [with_hours(problem, seed) if number else problem for number, problem in enumerate(problems)]
        factors = problems[-1].hours if len(problems) > 1 else None
        assert factors is None or len(factors.matrices) == 3
    mended = [repair.repair(problem) for problem in problems]
    joined = Joined(problems, state)
    together, solution = joined.problem, joined.solution(mended)
    assert [crew.shift_id for crew in together.crews] == sorted(state.shifts)
    assert total(together, solution) == sum(total(*one) for one in zip(problems, mended, strict=True))
    assert total(together, current(together)) == sum(total(problem, current(problem)) for problem in problems)
    assert drivable(together, solution)
    reasons = [reason for problem, one in zip(problems, mended, strict=True) for reason in explain(problem, one)]
    plan = publishable(together, solution, progress=state.progress, engine="test", unassigned=tuple(reasons))
    assert check(together, plan) == []
    for problem, one in zip(problems, mended, strict=True):
        assert understood(problem, named(problem, one)) == one
    if not hourly:
        whole = build(state, flat, flat, now=now, freeze=0)
        assert drivable(together, current(together)) == drivable(whole, current(whole))
        assert check(whole, plan) == []


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_who_has_what_stays_together(seed: int) -> None:
    """An order is where its goods, its driver and all are that it is bound to, also over others."""
    state, now = live(seed)
    where = {name: number for number, part in enumerate(cut(state, 12, seed % 5, now=now)) for name in (*part.orders, *part.shifts)}
    for name, shift in state.goods.items():
        assert where[name] == where[shift]
    for shift, route in state.sequences.items():
        assert {where[stop.rpartition(".")[0]] for stop in route} <= {where[shift]}
    for name, item in state.orders.items():
        if item.pin.driver_id is not None:
            assert where[name] == where[f"d.day-{item.pin.driver_id[-1]}"]
        for relation in item.relations:
            assert relation.kind is RelationKind.NOT_TOGETHER or where[name] == where[relation.order_id or ""]


def spread(routes: int = 16, stops: int = 10) -> Snapshot:
    """Routes on a grid of blocks, the stops of each around one point."""
    situation, rng = Situation(routes, capacity=100), np.random.default_rng(1)
    sequences: dict[str, tuple[str, ...]] = {}
    for number, shift in enumerate(situation.shifts):
        near = rng.uniform(0, 0.1, (stops, 2)).tolist()
        mine = [order(f"o{number:02}{k}", number // 4 + lat, number % 4 + lon) for k, (lat, lon) in enumerate(near)]
        situation.add(*mine)
        sequences[shift] = tuple(item.stop_id for item in mine)
    return situation.snapshot(sequences=sequences)


def test_neighbours_are_together() -> None:
    """Four districts of sixteen blocks are about quarters; there are as many as are searched at once, or a multiple of that."""
    for part in cut(spread(), 40, 0, now=T0):
        assert 20 <= len(part.orders) <= 60
        lats, lons = ([getattr(item.location, name) for item in part.orders.values()] for name in ("lat", "lon"))
        assert max(lats) - min(lats) + max(lons) - min(lons) < 4.2
    assert [len(cut(spread(), 40, 0, now=T0, times=times)) for times in (1, 2, 3, 8, 20)] == [4, 4, 6, 8, 11]


def test_lines_turn() -> None:
    """Each time other routes are together: within ten times a route has been with all those around it."""
    state = spread()
    with_: dict[str, set[str]] = {shift: set() for shift in state.shifts}
    for turn in range(10):
        for part in cut(state, 40, turn, now=T0):
            for shift in part.shifts:
                with_[shift] |= part.shifts.keys()
    shifts = list(state.shifts)
    for number in range(16):
        around = [4 * (number // 4 + a) + number % 4 + b for a, b in ((0, 1), (0, -1), (1, 0), (-1, 0))
                  if 0 <= number // 4 + a < 4 and 0 <= number % 4 + b < 4]  # fmt: skip
        assert {shifts[other] for other in around} <= with_[shifts[number]]


def test_what_was_done_keeps_its_followers_near() -> None:
    """An order that has to go with one that is done already is where that was done, however far away it is."""
    state = spread()
    shift, done = "d.day-a", state.sequences["d.day-a"][0]
    finished = state.orders.pop(done.rpartition(".")[0])
    follower = order("x", 3.5, 3.5, "service", relations=(Relation(RelationKind.SAME_DRIVER, order_id=finished.id),))
    state = replace(state, orders=state.orders | {follower.id: follower},
                    progress={shift: Progress(T0, False, (StopProgress(done, StopState.COMPLETED, T0, T0 + 60),))})  # fmt: skip
    part = next(part for part in cut(state, 40, 0, now=T0) if follower.id in part.orders)
    assert shift in part.shifts
    problem = build(part, flat, flat, now=T0 + HOUR, freeze=0)
    assert next(task for task in problem.tasks if task.order_id == follower.id).bound_to == shift


def test_shifts_that_are_over_have_no_district() -> None:
    """Neither do they take a pinned order with them, nor does a district have no others."""
    state = spread()
    over = {f"d.night-{name}": replace(state.shifts[f"d.day-{name}"], id=f"d.night-{name}", start=T0 - 12 * HOUR, end=T0 - HOUR)
            for name in "abcdefgh"}  # fmt: skip
    pinned = order("x", 3.5, 3.5, pin=Pin(driver_id="d.a"))
    state = replace(state, shifts=state.shifts | over, orders=state.orders | {pinned.id: pinned})
    parts = cut(state, 40, 0, now=T0)
    assert sorted(name for part in parts for name in part.shifts) == sorted(state.shifts.keys() - over.keys())
    assert next(part for part in parts if pinned.id in part.orders).shifts.keys() >= {"d.day-a"}
    assert all(part.orders for part in parts)


def test_what_is_small_is_not_cut() -> None:
    """A state with no more stops than a district has is its only district."""
    state = spread(4)
    assert cut(state, 40, 3, now=T0) == [state]


def test_no_others_routes_are_understood() -> None:
    """Routes with stops that are none, that come twice, or of other shifts are no solution."""
    problem: Problem = build(spread(2), flat, flat, now=T0, freeze=0)
    routes = named(problem, current(problem))
    first, second = routes
    assert understood(problem, routes) == current(problem)
    assert understood(problem, {first: routes[first]}) is None
    assert understood(problem, routes | {second: routes[first]}) is None
    assert understood(problem, routes | {second: ("d.nobody.delivery",)}) is None
