"""The rules of a route, one file each: whom it bars, where a tour breaks it, what it costs; and, apart from that, its check.

`bars(crew, task)` is a reason why a crew may never take a task, `breach(tour)` the first place where a tour may not be driven
so, `price(tour)` a cost in seconds of driving. `check(way)` is the checker's: it shares no code with the rest of its file.
A new rule is a file here, its place in the lists below, and its part in the kernel; property tests hold the three together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from routing.model import ReasonCode
from routing.solve.findings import Violation, Way
from routing.solve.problem import Crew, Task
from routing.solve.rules import absence, breaks, capacity, drivers, goods, limits, locks, pins, roads, shifts, skills, use, windows
from routing.solve.tour import Breach, Tour

BARS: tuple[Callable[[Crew, Task], ReasonCode | None], ...] = (
    skills.bars, drivers.bars, locks.bars, pins.bars, goods.bars, absence.bars)  # fmt: skip

BREACHES: tuple[Callable[[Tour], Breach | None], ...] = (
    goods.breach, capacity.breach, pins.breach, roads.breach, windows.breach, shifts.breach, limits.breach,
    breaks.breach)  # fmt: skip

PRICES: dict[str, Callable[[Tour], int]] = {
    "driving": use.driving, "distance": use.distance, "vehicles": use.price, "lateness": windows.price, "promises": windows.broken,
    "overtime": shifts.price}  # fmt: skip
"""What the parts of a cost are called."""

CHECKS: tuple[Callable[[Way], Iterator[Violation]], ...] = (
    skills.check, drivers.check, locks.check, pins.check, goods.check, absence.check, capacity.check, roads.check, windows.check,
    shifts.check, limits.check, breaks.check)  # fmt: skip
