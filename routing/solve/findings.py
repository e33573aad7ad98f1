"""What the checker finds, and the way of a crew as the checker walks it: nothing here is shared with any search."""

from __future__ import annotations

from dataclasses import dataclass

from routing.solve.problem import Crew, Problem, Task


@dataclass(frozen=True, slots=True)
class Violation:
    """A broken rule: `code` from a short list, the `subject` it concerns, and a sentence."""

    code: str
    subject: str
    detail: str


@dataclass(frozen=True, slots=True)
class Passed:
    """A stop on the way: the leg to it, when it is reached, begun and left, how late."""

    task: Task
    seconds: int
    metres: int
    reached: int
    begun: int
    left: int
    late: int
    flagged: int


@dataclass(frozen=True, slots=True)
class Rested:
    """A break on the way: before which stop, when it begins, by when it has to, and the leg to its place."""

    before: int
    start: int
    by: int
    seconds: int = 0
    metres: int = 0


@dataclass(frozen=True, slots=True)
class Way:
    """What is ahead of a crew by a plan.

    `home` are seconds and metres of the way back, `over` when it is done. `must_end` is the end of what the shift allows, or
    of what nobody could change. `bare` is the way back from what is frozen, `rests` are the breaks,
    `halts` those from driving: before which stop, from when to when. `origin` is where and when the way home begins.
    """

    problem: Problem
    crew: Crew
    stops: tuple[Passed, ...]
    home: tuple[int, int]
    over: int
    must_end: int
    bare: tuple[int, int]
    rests: tuple[Rested, ...] = ()
    halts: tuple[tuple[int, int, int], ...] = ()
    origin: tuple[int, int] = (0, 0)

    @property
    def free(self) -> tuple[Passed, ...]:
        """The stops that are this plan's doing."""
        return self.stops[len(self.crew.frozen) :]
