"""The kernel behind repair and improve: it prices as the evaluator does, and what it finds passes the checker."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ingest.settings import ROOT
from routing.model import Limits, OrderKind, TimeWindow
from routing.solve import improve, kernel, ortools_engine, portfolio, pyvrp_engine, quote, recombine, repair, wellformed
from routing.solve.arrays import Arrays
from routing.solve.checker import check
from routing.solve.evaluation import barred, bars, closed, drivable, parts, total, unassigned_price
from routing.solve.plan import publishable
from routing.solve.problem import Crew, Problem, Solution, current, one_each
from routing.solve.rules import hold_together
from routing.solve.rules.capacity import after_prefix
from routing.solve.rules.changes import held
from tests.builders import HOUR, T0, Situation, order, random_situation, rich_problem, with_hours
from tests.routing.exact import least_cost


def checked(problem: Problem, solution: Solution) -> Solution:
    """The solution, which every rule allows."""
    assert check(problem, publishable(problem, solution, progress={}, engine="test")) == []
    assert drivable(problem, solution)
    return solution


@settings(max_examples=400, deadline=None)
@given(st.integers(0, 2**32 - 1))
@example(3000002342)  # pairs without goods were torn apart by an exchange of tails
def test_the_kernel_prices_as_the_evaluator(seed: int) -> None:
    """And as the checker does: after mending and after each stretch of search, in one workspace used again and again."""
    problem = rich_problem(seed)
    arrays = Arrays(problem)
    repair.mend(arrays)
    first = checked(problem, arrays.solution())
    assert arrays.cost == total(problem, first)
    for _ in range(3):
        if arrays.constants.n and arrays.constants.crews:
            state = (arrays.constants, arrays.live, arrays.keys, arrays.around)
            kernel.search(*state, 100, 200.0, 1.0, 6.0, 10.0, 0.5, 0.5, 0.01, 0.1, 0.5, 10)
        found = checked(problem, arrays.solution())
        assert arrays.cost == total(problem, found) <= total(problem, first)
    repair.mend(arrays)
    assert arrays.solution() == first


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_improving_never_makes_a_plan_worse(seed: int) -> None:
    """Neither the plan in force, where that keeps the rules, nor a repaired one; and it says the same twice."""
    situation, now = random_situation(seed)
    problem = situation.problem(now=now)
    start = repair.repair(problem)
    found = checked(problem, improve.improve(problem, start, budget=60, iterations=500, seed=seed))
    assert total(problem, found) <= total(problem, start)
    assert found == improve.improve(problem, start, budget=60, iterations=500, seed=seed)
    if drivable(problem, current(problem)):
        assert total(problem, improve.improve(problem, budget=60, iterations=50)) <= total(problem, current(problem))


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32 - 1))
@example(259378659)  # a stop taken out went to a driver who had given and taken enough
def test_plans_hold_at_the_hours_they_are_driven_in(seed: int) -> None:
    """Where roads are slower at some hours, every plan is timed, judged and priced by them; improving makes none worse."""
    problem = with_hours(rich_problem(seed), seed)
    start = checked(problem, repair.repair(problem))
    found = checked(problem, improve.improve(problem, start, budget=60, iterations=100))
    assert total(problem, found) <= total(problem, start)


def test_a_search_leaves_time_to_hold_what_it_finds_to_the_hours() -> None:
    """As much as it took to begin: of thousands of stops it would otherwise lose all that it has found."""
    ticks = itertools.count()
    problem = with_hours(random_situation(3)[0].problem(), 3)
    around = improve.Around(problem, None, budget=1000.0, stop=lambda: False, endless=False, clock=lambda: float(next(ticks)))
    assert around.arrays is not None
    assert around.until <= 1000 - (next(ticks) - 1)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1))
@example(2313)  # a load below zero
@example(129)  # OR-Tools let more stops change hands than may
@example(5157)  # it put other stops between one that is frozen and what has to be right behind it
def test_ortools_never_makes_a_plan_worse(seed: int) -> None:
    """In any live situation; its model has every rule but rests, numbered positions, the bound on changes, and loads below zero."""
    problem = rich_problem(seed)
    start = repair.repair(problem)
    found = checked(problem, ortools_engine.improve(problem, start, budget=3600, solutions=5))
    assert total(problem, found) <= total(problem, start)
    problem = replace(problem, policy=replace(problem.policy, max_moves_per_driver=None),
                      crews=tuple(replace(crew, reloads=()) for crew in without_rests(problem)),
                      tasks=tuple(replace(task, position=None, reload_of=None) for task in problem.tasks))  # fmt: skip
    itself = ortools_engine.Model(problem).solve(repair.repair(problem), seconds=3600, solutions=5)
    if itself is None:  # a delivery driven to before its pickup takes off what never came aboard
        assert any(min(after_prefix(problem, crew)) < 0 for crew in problem.crews)
    else:
        checked(problem, itself)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_pyvrp_never_makes_a_plan_worse(seed: int) -> None:
    """In any live situation that its model fits; where it does not fit, the plan comes back."""
    problem = rich_problem(seed)
    start = repair.repair(problem)
    if not pyvrp_engine.fits(problem):
        assert pyvrp_engine.improve(problem, start, budget=60, iterations=20) == start
        problem = fitting(problem)
        start = repair.repair(problem)
    found = checked(problem, pyvrp_engine.improve(problem, start, budget=60, iterations=20, seed=1))
    assert total(problem, found) <= total(problem, start)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.booleans())
def test_a_portfolio_never_makes_a_plan_worse(seed: int, by_the_hour: bool) -> None:
    """It keeps all rules, says the same twice, and is no worse than either of its kernels."""
    problem = with_hours(rich_problem(seed), seed) if by_the_hour else rich_problem(seed)
    start = repair.repair(problem)
    found = checked(problem, portfolio.improve(problem, start, budget=60, iterations=200))
    assert found == portfolio.improve(problem, start, budget=60, iterations=200)
    assert total(problem, found) <= total(problem, start)
    if problem.hours is None:
        alone = [improve.improve(problem, start, budget=60, seed=seed, iterations=200) for seed in (2, 3)]
        assert total(problem, found) <= min(total(problem, one) for one in alone)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_routes_are_put_together_at_what_they_cost(seed: int) -> None:
    """What is put together from the routes of two searches costs no more than the better one, and as much as they do."""
    problem = rich_problem(seed)
    problem = replace(problem, policy=replace(problem.policy, max_moves_per_driver=None),
                      crews=tuple(replace(crew, reloads=()) for crew in problem.crews),
                      tasks=tuple(replace(task, relations=(), reload_of=None) for task in problem.tasks))  # fmt: skip
    arrays = Arrays(problem)
    pool, found = recombine.Pool(arrays), []
    for number in (1, 2):
        found.append(improve.improve(problem, budget=60, seed=number, iterations=100))
        arrays.go_on_from(found[-1])
        routes = arrays.routes_now()
        pool.add(routes)
        left = sum(unassigned_price(problem.tasks[task]) for task in one_each(problem, set(found[-1].unassigned)))
        assert sum(price for _, price in routes) + left + arrays.constant == total(problem, found[-1])
    best = min(found, key=lambda solution: total(problem, solution))
    joined = pool.best(best, 60)
    assert joined is not None
    assert total(problem, checked(problem, joined)) <= total(problem, best)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
@example(629)  # two crews were alike but for how long their shifts may last
def test_pyvrp_prices_as_the_evaluator(seed: int) -> None:
    """At the depot, with vehicle costs, overtime, set-up times, transports and whom a stop may not go to; and back again."""
    problem = fitting(rich_problem(seed))
    tasks = tuple(replace(task, goods_on=None) for task in problem.tasks)
    crews = tuple(replace(crew, departed=False, serving=False, frozen=(), base=crew.frozen + crew.base, done=(), load=(0,),
                          driven=(0, 0), left_at=None) for crew in problem.crews)  # fmt: skip
    problem = replace(problem, tasks=tasks, crews=crews)
    start = repair.repair(problem)
    model = pyvrp_engine.Model(problem, start)
    there = model.encode(start)
    assert there.is_feasible()
    costs = parts(problem, start)
    assert there.distance_cost() + there.fixed_vehicle_cost() + there.duration_cost() == sum(
        costs[name] for name in ("driving", "distance", "vehicles", "overtime"))  # fmt: skip
    assert sorted(model.decode(there).routes) == sorted(start.routes)


def without_rests(problem: Problem) -> tuple[Crew, ...]:
    """The crews without breaks, and with no bound on how long they drive at a stretch."""
    return tuple(replace(crew, breaks=(), break_places=(), limits=replace(crew.limits, stretch=None)) for crew in problem.crews)


def fitting(problem: Problem) -> Problem:
    """The same without what PyVRP cannot express."""
    tasks = (replace(task, promised=None, position=None, relations=(), reload_of=None,
                     windows=task.windows[:1] if task.pair is not None else task.windows)
             for task in problem.tasks)  # fmt: skip
    crews = (replace(crew, limits=Limits(duration=crew.limits.duration), breaks=(), break_places=(), reloads=())
             for crew in problem.crews)
    return replace(problem, tasks=tuple(tasks), crews=tuple(crews))


def test_a_search_stops_when_it_is_told() -> None:
    """`stop` ends it at once, whatever the budget; the plan is no worse for that, whether it has begun or not."""
    for seed in range(12):
        situation, now = random_situation(seed)
        problem = situation.problem(now=now)
        found = checked(problem, improve.improve(problem, budget=3600, stop=lambda: True))
        if drivable(problem, current(problem)):
            assert found == current(problem)
        checked(problem, improve.improve(problem, budget=3600, stop=after(3)))


def after(calls: int) -> Callable[[], bool]:
    """A stop rule that says so after it has been asked so many times."""
    left = iter(range(calls))
    return lambda: next(left, None) is None


def test_stops_keep_their_drivers_where_moving_costs_more() -> None:
    """Two vans on the road with each other's nearer stops swap them only while that is cheap."""
    situation = Situation(2).add(order("o0", 1, 0, kind="service"), order("o1", 1.2, 0, kind="service"),
                                 order("p0", -1, 0, kind="service"), order("p1", -1.2, 0, kind="service"))  # fmt: skip
    situation.on_the_road("a", ["d.o0.service", "d.p1.service"]).on_the_road("b", ["d.p0.service", "d.o1.service"])
    problem = situation.problem()
    free = replace(problem, policy=replace(problem.policy, move_price=0, reorder_price=0))
    assert current(problem) == improve.improve(problem, budget=60, iterations=300)
    assert {len(route) for route in improve.improve(free, budget=60, iterations=300).routes} == {2}
    assert current(free) != improve.improve(free, budget=60, iterations=300)


def test_vans_that_are_alike_never_swap_routes_for_nothing() -> None:
    """Still at the depot, two equal vans keep what they have as far as that costs the same, wherever a search starts."""
    sides = (("o", 4.0), ("p", -4.0))
    situation = Situation(2).add(*(order(f"{name}{n}", lat, n / 10) for name, lat in sides for n in range(10)))
    mine = {"d.day-a": tuple(f"d.o{n}.delivery" for n in range(10)), "d.day-b": tuple(f"d.p{n}.delivery" for n in range(10))}
    problem = situation.problem(sequences=mine)
    swapped = Solution((problem.crews[1].base, problem.crews[0].base), ())
    found = improve.improve(problem, swapped, budget=60, iterations=200)
    assert [set(route) for route in found.routes] == [set(crew.base) for crew in problem.crews]


@pytest.mark.slow
def test_kernels_do_the_same_when_they_count_references() -> None:
    """Numba's switch is private: without it the search is slower, and no different."""
    script = (
        "from tests.builders import random_situation\n"
        "from routing.solve import improve\n"
        "situation, now = random_situation(7)\n"
        "print(improve.improve(situation.problem(now=now), budget=60, iterations=200))\n"
    )
    outputs = [
        subprocess.run([sys.executable, "-c", script], cwd=ROOT, env={**os.environ, **more}, capture_output=True, text=True,
                       check=True).stdout
        for more in ({}, {"LASTLEG_SAFE_KERNELS": "1"})
    ]
    assert outputs[0].startswith("Solution")
    assert outputs[0] == outputs[1]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.booleans())
@example(2545174997, False)  # setting up once at an address made a late stop there earlier
@example(11, False)  # a wait between two windows hid that a promise would be broken
@example(1013718555, True)  # changes of the plan in force were left out of the price
def test_a_quote_is_what_the_order_would_cost(seed: int, by_the_hour: bool) -> None:
    """Each offer keeps its window and every rule, costs what the plan with it costs more, and changes nothing.

    It is the least of its driver, as far as roads do not change by the hour.
    """
    problem = rich_problem(seed)
    problem = with_hours(problem, seed) if by_the_hour else problem
    placed = {task for crew in problem.crews for task in (*crew.frozen, *crew.base)}
    waiting = [number for number, task in enumerate(problem.tasks) if number not in placed and task.pair not in placed
               and (task.pair is None or task.kind is OrderKind.COLLECTION)]  # fmt: skip
    before = current(problem)
    for task in waiting[:2]:
        offers = {(offer.window, offer.shift_id): offer for offer in quote.quote(problem, task, quote.slots(problem, 7200))}
        for window in quote.slots(problem, 7200):
            asked = replace(problem, tasks=(*problem.tasks[:task], replace(problem.tasks[task], windows=(window,), hard=True),
                                            *problem.tasks[task + 1 :]))  # fmt: skip
            for number, crew in enumerate(problem.crews):
                costs = set(extra_costs(asked, task, number))
                offer = offers.get((window, crew.shift_id))
                if offer is None:
                    assert by_the_hour or not costs
                    continue
                assert window.start <= offer.begin <= window.end
                assert offer.driver_id == crew.driver_id
                assert offer.extra_cost in costs
                assert by_the_hour or offer.extra_cost == min(costs)
    assert current(problem) == before


def extra_costs(problem: Problem, task: int, number: int) -> Iterator[int]:
    """What each place in one route would cost that keeps all rules, by the evaluator alone."""
    free = replace(problem.tasks[task], windows=())
    arrays = Arrays(replace(problem, tasks=(*problem.tasks[:task], free, *problem.tasks[task + 1 :])), neighbours=False)
    repair.begin(arrays)
    kernel.keep_best(arrays.constants, arrays.live)
    start = repair.settle(problem, without(arrays.solution(), task, problem.tasks[task].pair))
    crew, route = problem.crews[number], start.routes[number]
    pair = problem.tasks[task].pair
    if any(half is not None and barred(crew, problem.tasks[half]) for half in (task, pair)):
        return
    left = tuple(other for other in start.unassigned if other not in (task, pair))
    spare = crew.spare(route)
    back = [] if spare is None or barred(crew, problem.tasks[spare]) else [(*route, spare, task, *([] if pair is None else [pair]))]
    for position in range(len(crew.frozen), len(route) + 1):
        once = (*route[:position], task, *route[position:])
        ways = [once] if pair is None else [(*once[:k], pair, *once[k:]) for k in range(position + 1, len(once) + 1)]
        for way in [*ways, *back]:
            routes = [*start.routes]
            routes[number] = way
            found = Solution(tuple(routes), left)
            if drivable(problem, found):
                yield total(problem, found) - total(problem, start) + unassigned_price(problem.tasks[task])


def without(solution: Solution, *tasks: int | None) -> Solution:
    routes = tuple(tuple(task for task in route if task not in tasks) for route in solution.routes)
    return Solution(routes, tuple({*solution.unassigned, *(task for task in tasks if task is not None)}))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_bars_say_of_all_what_the_rules_say_of_each(seed: int) -> None:
    """Asked for all crews and tasks at once."""
    problem = rich_problem(seed)
    everything = range(len(problem.tasks))
    one_by_one = [[closed(problem, crew, task) is not None for task in everything] for crew in problem.crews]
    assert bars(problem, everything).tolist() == one_by_one


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
@example(446)  # late stops had moved, and nobody looked whether that made room
@example(951)
def test_a_repair_leaves_nothing_out_that_fits(seed: int) -> None:
    """Beside what is planned in the end, no order that is left out has a place that keeps all rules."""
    problem = rich_problem(seed)
    found, mine = repair.repair(problem), held(problem)
    for task in one_each(problem, set(found.unassigned)):
        halves = [half for half in (task, problem.tasks[task].pair) if half is not None]
        if not problem.fixed.isdisjoint(halves):
            continue
        for v, crew in enumerate(problem.crews):
            if not any(closed(problem, crew, half) for half in halves):
                ways = repair.insertions(problem, mine, v, found.routes[v], task)
                routes = [[*found.routes[:v], way, *found.routes[v + 1 :]] for _, way in ways]
                assert not any(hold_together(problem, more, mine) for more in routes)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_what_is_built_hangs_together(seed: int) -> None:
    """What files are refused for, no situation comes to: a dumped problem can always be replayed."""
    assert list(wellformed.faults(rich_problem(seed))) == []


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_small_problems_are_solved_to_the_end(seed: int) -> None:
    """Up to eight stops and two drivers: nothing cheaper exists, whatever rules are in play."""
    problem = small_problem(seed)
    found = checked(problem, improve.improve(problem, budget=60, iterations=20_000))
    assert total(problem, found) == least_cost(problem)


def with_reloads(problem: Problem, most: int) -> Problem:
    """The same with so many reloads at most, all crews together: trying all ways takes long."""
    first = min((task for crew in problem.crews for task in crew.reloads), default=len(problem.tasks)) + most

    def there(tasks: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(task for task in tasks if task < first)

    kept = [replace(crew, frozen=there(crew.frozen), base=there(crew.base), reloads=there(crew.reloads)) for crew in problem.crews]
    return replace(problem, crews=tuple(kept), tasks=problem.tasks[:first])


def small_problem(seed: int) -> Problem:
    """Two drivers and six to eight stops: in a live situation with any rules, or anywhere, soft windows all that there is."""
    if seed % 3:
        problem = with_reloads(rich_problem(seed, drivers=2, orders=6 + seed % 3), 1)
        return replace(problem, policy=replace(problem.policy, max_moves_per_driver=None))
    random = np.random.default_rng(seed)
    situation = Situation(2, capacity=5)
    for number in range(6):
        lat, lon = random.uniform(-5, 5, 2).tolist()
        opens = T0 + int(random.integers(0, 2 * HOUR))
        situation.add(order(f"o{number}", lat, lon, windows=(TimeWindow(opens, opens + 1800),)))
    return situation.problem()
