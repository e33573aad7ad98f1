"""Jobs that cannot wait: which unit takes which, so that all together wait least.

A batch of jobs and all units that are about are one assignment problem over live travel times (OR-Tools' algorithm: A. V.
Goldberg, R. Kennedy, "An efficient cost scaling algorithm for the assignment problem", 1995). A unit that is on a route goes to
the job when it is free, and takes its route up again behind it; what that puts off has a price. Emergencies come first, one by
one: each takes the unit that is there first, and may call it off the way to something else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from routing.roads.spot import Spot
from routing.roads.travel import UNREACHABLE, Matrix

Table = Callable[[Sequence[Spot], Sequence[Spot]], Matrix]
"""Seconds from each of some spots to each of others; `routing.roads.travel.Roads.table`."""

DELAY = 0.25
"""Price of a second by which a running route is put off, in seconds of a job's wait."""

CHOICES = 100
"""So many of the units that are best for a job may get it: enough for all batches, and few enough to be quick."""

WAITS = 7200
"""Seconds of wait that a job is rather left to the next batch for."""


@dataclass(frozen=True, slots=True)
class Job:
    """Something to be done at once.

    It begins at `start`, lasts `service` seconds there, and, if its goods or its passenger go somewhere, ends at `end` after
    `service_at_end` seconds more. `but_for` are units that will not get it. `demand` is on board from the start on.
    """

    id: str
    start: Spot
    end: Spot
    service: int = 0
    service_at_end: int = 0
    demand: tuple[int, ...] = ()
    skills: frozenset[str] = frozenset()
    but_for: frozenset[str] = frozenset()
    emergency: bool = False


@dataclass(frozen=True, slots=True)
class Unit:
    """A driver with a vehicle.

    It can leave `spot` in `ready` seconds. On the way to a stop that can be called off, it is at `here` now; None if there is
    nothing to call off. `next` is where its route goes on from `spot`, `onwards` seconds away, with `stops` that a job would put
    off. `free` is the room on board, `ends_in` the seconds until its shift is over, and `home` where that is to end.
    """

    id: str
    spot: Spot
    ready: int = 0
    here: Spot | None = None
    next: Spot | None = None
    onwards: int = 0
    stops: int = 0
    skills: frozenset[str] = frozenset()
    free: tuple[int, ...] = ()
    ends_in: int = 12 * 3600
    home: Spot | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Chances:
    """(J, U) what each unit would mean for each job, `UNREACHABLE` where it cannot or may not take it.

    `wait` are the seconds until it is there, `wait_at_once` those if it leaves what it is on the way to, `delay` those by which its
    route is put off.
    """

    wait: NDArray[np.int64]
    wait_at_once: NDArray[np.int64]
    delay: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Match:
    """A job, the unit that is to take it, and in how many seconds it would be there."""

    job: str
    unit: str
    wait: int


def chances(jobs: Sequence[Job], units: Sequence[Unit], table: Table) -> Chances:
    """Travel times by the roads, and who may take what."""
    starts, ends = [job.start for job in jobs], [job.end for job in jobs]
    ready = np.array([unit.ready for unit in units], np.int64)
    there = _seconds(table([unit.spot for unit in units], starts)).T + ready
    at_once = _seconds(table([unit.here or unit.spot for unit in units], starts)).T
    at_once = np.where([unit.here is not None for unit in units], at_once, there)
    inside = np.array([job.service + job.service_at_end for job in jobs], np.int64)
    going = [number for number, job in enumerate(jobs) if job.end != job.start]
    if going:
        own = _seconds(table([starts[number] for number in going], [ends[number] for number in going]))
        inside[going] += np.diagonal(own)
    onwards = _seconds(table(ends, [unit.next or unit.home or unit.spot for unit in units]))
    homewards = _seconds(table(ends, [unit.home or unit.spot for unit in units]))
    direct = np.array([unit.onwards for unit in units], np.int64)
    delay = np.where([unit.stops > 0 for unit in units], np.maximum(0, there - ready + inside[:, None] + onwards - direct), 0)
    soonest = np.where([[job.emergency] for job in jobs], np.minimum(at_once, there), there)
    over = soonest + inside[:, None] + np.where([unit.home is not None for unit in units], homewards, 0)
    may = _may(jobs, units) & (over <= np.array([unit.ends_in for unit in units]))
    may &= there < UNREACHABLE
    return Chances(*(np.where(may, part, UNREACHABLE) for part in (there, np.minimum(at_once, there), delay)))


def _seconds(matrix: Matrix) -> NDArray[np.int64]:
    return matrix.seconds.astype(np.int64)


def _may(jobs: Sequence[Job], units: Sequence[Unit]) -> NDArray[np.bool_]:
    """(J, U) whether a unit has the skills and the room, and is none that a job is not for."""
    found = np.ones((len(jobs), len(units)), bool)
    free = np.array([unit.free for unit in units], np.int64).reshape(len(units), -1)
    for number, job in enumerate(jobs):
        if job.skills or job.but_for:
            found[number] = [job.skills <= unit.skills and unit.id not in job.but_for for unit in units]
        if any(job.demand):
            found[number] &= (free >= np.array(job.demand)).all(axis=1)
    return found


def match(jobs: Sequence[Job], units: Sequence[Unit], table: Table, *, delay_price: float = DELAY) -> list[Match]:
    """Who takes what: each unit one job at most, each job one unit; those that nobody can take now are left out."""
    if not jobs or not units:
        return []
    ahead = chances(jobs, units, table)
    taken, matches = np.zeros(len(units), bool), []
    for number in (number for number, job in enumerate(jobs) if job.emergency):
        wait = np.where(taken, UNREACHABLE, ahead.wait_at_once[number])
        best = int(np.argmin(wait))
        if wait[best] < UNREACHABLE:
            taken[best] = True
            matches.append(Match(jobs[number].id, units[best].id, int(wait[best])))
    rest = [number for number, job in enumerate(jobs) if not job.emergency]
    price = ahead.wait[rest] + np.rint(delay_price * ahead.delay[rest]).astype(np.int64)
    price[(ahead.wait[rest] >= UNREACHABLE) | taken] = UNREACHABLE
    for number, unit in zip(rest, assign(price), strict=True):
        if unit >= 0:
            matches.append(Match(jobs[number].id, units[unit].id, int(ahead.wait[number, unit])))
    return matches


def assign(price: NDArray[np.int64]) -> list[int]:
    """The column of each row of a (J, U) table, each column once at most, that make the cheapest sum; -1 for a row left out.

    Rows are left out only where all columns are `UNREACHABLE`, go to others, or cost more than `WAITS`. The algorithm matches
    everybody to somebody, so the problem is doubled: rows may go to copies of themselves at that price, columns for nothing.
    """
    from ortools.graph.python import linear_sum_assignment  # here, because it takes a while that few processes need to spend

    rows, columns = price.shape
    if rows == 0 or columns == 0:
        return [-1] * rows
    i, j = np.nonzero(_best(price) < UNREACHABLE)
    copies, backs = columns + np.arange(rows), rows + np.arange(columns)
    left = np.concatenate([i, np.arange(rows), backs, rows + j])
    right = np.concatenate([j, copies, np.arange(columns), columns + i])
    cost = np.concatenate([price[i, j], np.full(rows, WAITS), np.zeros(columns + len(i), np.int64)])
    problem = linear_sum_assignment.SimpleLinearSumAssignment()
    problem.add_arcs_with_cost(left.astype(np.int32), right.astype(np.int32), cost.astype(np.int64))
    status = problem.solve()
    assert status == problem.OPTIMAL, status  # there is always the one that leaves everybody out
    found = [problem.right_mate(row) for row in range(rows)]
    return [column if column < columns else -1 for column in found]


def _best(price: NDArray[np.int64]) -> NDArray[np.int64]:
    """The table with all but the `CHOICES` cheapest of each row barred."""
    if price.shape[1] <= CHOICES:
        return price
    bound = np.partition(price, CHOICES - 1, axis=1)[:, CHOICES - 1 : CHOICES]
    return np.where(price <= bound, price, UNREACHABLE)
