"""Who takes which of the jobs that cannot wait."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from routing.model import OrderKind
from routing.roads.spot import Spot
from routing.roads.travel import UNREACHABLE, Matrix
from routing.solve.immediate import Job, Unit, assign, match
from routing.solve.rules import capacity
from routing.solve.tour import tour
from tests.builders import rich_problem


def line(sources: Sequence[Spot], targets: Sequence[Spot]) -> Matrix:
    """A street: spots are as many seconds along it as their arc says."""
    a, b = (np.array([spot.arc for spot in spots], np.int32) for spots in (sources, targets))
    seconds = np.abs(a[:, None] - b[None])
    return Matrix(seconds, seconds)


def at(second: int) -> Spot:
    return Spot(second, 0.0)


def who(jobs: list[Job], units: list[Unit]) -> dict[str, str]:
    return {found.job: found.unit for found in match(jobs, units, line)}


@given(st.integers(1, 5), st.integers(1, 6), st.integers(0, 10_000))
def test_no_other_assignment_is_cheaper(rows: int, columns: int, seed: int) -> None:
    """Against all of them; as many rows as can be are served."""
    rng = np.random.default_rng(seed)
    price = rng.integers(0, 3000, (rows, columns)).astype(np.int64)
    price[rng.random(price.shape) < 0.3] = UNREACHABLE
    found = assign(price)
    taken = [column for column in found if column >= 0]
    assert len(set(taken)) == len(taken)
    assert all(price[row, column] < UNREACHABLE for row, column in enumerate(found) if column >= 0)

    def cost(choice: Sequence[int]) -> int:
        return sum(7200 if column < 0 or price[row, column] >= UNREACHABLE else int(price[row, column])
                   for row, column in enumerate(choice))  # fmt: skip

    options = [*range(columns), *[-1] * rows]
    assert cost(found) == min(cost(choice) for choice in set(permutations(options, rows)))


def test_together_they_wait_less_than_one_after_the_other() -> None:
    """The first job leaves the unit that is nearest to it to the second, which has no other near."""
    jobs = [Job("a", at(100), at(100)), Job("b", at(0), at(0))]
    units = [Unit("near", at(90)), Unit("far", at(130))]
    assert who(jobs, units) == {"a": "far", "b": "near"}


def test_who_may_not_take_it_does_not_get_it() -> None:
    """For want of a skill, of room, of time, or because it was declined."""
    job = Job("a", at(0), at(600), service=60, demand=(2,), skills=frozenset({"lift"}), but_for=frozenset({"declined"}))
    able = Unit("able", at(900), skills=frozenset({"lift", "cold"}), free=(2,))
    units = [Unit("unskilled", at(0), free=(9,)), Unit("full", at(0), skills=able.skills, free=(1,)),
             Unit("declined", at(0), skills=able.skills, free=(9,)),
             Unit("going home", at(0), skills=able.skills, free=(9,), ends_in=1000, home=at(0)), able]  # fmt: skip
    assert who([job], units) == {"a": "able"}
    assert who([job], units[:-1]) == {}


def test_a_running_route_is_put_off_only_if_that_pays() -> None:
    """What a route loses has a price; a job on its way costs it nothing but the service."""
    job = Job("a", at(100), at(100), service=10)
    aside = Unit("aside", at(100), next=at(3000), onwards=2900, stops=5)
    assert who([job], [aside, Unit("free", at(140))]) == {"a": "aside"}, "it lies on the way"
    back = Unit("back", at(60), next=at(0), onwards=60, stops=5)
    assert who([job], [back, Unit("free", at(55))]) == {"a": "free"}, "forth and back"


def test_an_emergency_takes_who_is_there_first_and_calls_off() -> None:
    """Before all others, whoever they are for; the unit leaves what it is on the way to, but not whom it serves."""
    calls_off = Unit("on its way", at(900), ready=800, here=at(100), stops=2)
    serving = Unit("serving", at(0), ready=300)
    jobs = [Job("usual", at(100), at(100)), Job("urgent", at(0), at(0), emergency=True)]
    found = {item.job: item for item in match(jobs, [calls_off, serving], line)}
    assert (found["urgent"].unit, found["urgent"].wait) == ("on its way", 100)
    assert (found["usual"].unit, found["usual"].wait) == ("serving", 400)


def test_two_emergencies_take_two_units() -> None:
    """And a third waits for the next batch."""
    jobs = [Job(name, at(0), at(0), emergency=True) for name in "abc"]
    found = who(jobs, [Unit("x", at(5)), Unit("y", at(9))])
    assert found == {"a": "x", "b": "y"}


def test_nothing_to_do_and_nobody_to_do_it() -> None:
    assert match([], [Unit("x", at(0))], line) == []
    assert match([Job("a", at(0), at(0))], [], line) == []
    assert assign(np.full((2, 3), UNREACHABLE, np.int64)) == [-1, -1]


def test_a_job_that_everybody_is_too_far_from_waits_for_the_next_batch() -> None:
    """Two hours are longer than anybody waits for what cannot wait."""
    assert who([Job("a", at(0), at(0))], [Unit("x", at(7300))]) == {}


@given(st.integers(0, 3000))
def test_what_fits_on_board_fits_and_no_more(seed: int) -> None:
    """A collection of as much as there is room for, made first of what may still change, breaks no capacity; one more does."""
    problem = rich_problem(seed)
    for crew in problem.crews:
        route = (*crew.frozen, *crew.base)
        room = capacity.room(problem, crew)
        if capacity.breach(tour(problem, crew, route)) is not None or min(room) < 0:
            continue
        for more, breaks in ((0, False), (1, True)):
            extra = replace(problem.tasks[0], kind=OrderKind.COLLECTION, goods_on=None, pair=None,
                            demand=tuple(amount + more for amount in room))  # fmt: skip
            with_it = replace(problem, tasks=(*problem.tasks, extra))
            way = (*crew.frozen, len(problem.tasks), *crew.base)
            assert (capacity.breach(tour(with_it, crew, way)) is not None) == breaks
