"""The rules of a route, one file each: whom it bars, where a tour breaks it, what it costs; and, apart from that, its check.

`bars(crew, task)` is a reason why a crew may never take a task, `breach(tour)` the first place where a tour may not be driven
so, `price(tour)` a cost in seconds of driving. `check(way)` is the checker's: it shares no code with the rest of its file.
What no route shows alone is in `hold_together` and `CHECKS_OF_ALL`. A new rule is a file here, its place in the lists below, and
its part in the kernel; property tests hold the three together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from routing.model import ReasonCode
from routing.solve.findings import Violation, Way
from routing.solve.problem import Crew, Problem, Task
from routing.solve.rules import (
    absence,
    breaks,
    capacity,
    changes,
    drivers,
    goods,
    limits,
    locks,
    pins,
    relations,
    roads,
    shifts,
    skills,
    use,
    windows,
)
from routing.solve.tour import Breach, Tour

BARS: tuple[Callable[[Crew, Task], ReasonCode | None], ...] = (
    skills.bars, drivers.bars, locks.bars, pins.bars, goods.bars, absence.bars, relations.bars)  # fmt: skip

BREACHES: tuple[Callable[[Tour], Breach | None], ...] = (
    goods.breach, capacity.breach, pins.breach, roads.breach, windows.breach, shifts.breach, limits.breach,
    breaks.breach, relations.breach)  # fmt: skip

PRICES: dict[str, Callable[[Tour], int]] = {
    "driving": use.driving, "distance": use.distance, "vehicles": use.price, "lateness": windows.price, "promises": windows.broken,
    "overtime": shifts.price}  # fmt: skip
"""What the parts of a cost are called."""

CHECKS: tuple[Callable[[Way], Iterator[Violation]], ...] = (
    skills.check, drivers.check, locks.check, pins.check, goods.check, absence.check, capacity.check, roads.check, windows.check,
    shifts.check, limits.check, breaks.check, relations.check)  # fmt: skip

CHECKS_OF_ALL: tuple[Callable[[Problem, dict[str, list[str]]], Iterator[Violation]], ...] = (changes.check, relations.check_all)
"""The checks of all routes together: stop ids by shift."""


def hold_together(problem: Problem, routes: Sequence[Sequence[int]], mine: dict[int, changes.Held] | None = None) -> bool:
    """Whether routes keep the rules that none of them shows alone; `mine` is `changes.held(problem)`, if it is at hand."""
    return changes.within_budget(problem, routes, mine) and relations.kept(problem, routes)
