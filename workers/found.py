"""What a search of a depot has come to, whoever has searched: what is checked, compared with the plan in force, and published."""

from __future__ import annotations

from dataclasses import dataclass, field

from routing.model import Unassigned
from routing.solve.problem import Problem, Solution


@dataclass(frozen=True, slots=True)
class Found:
    """What a search has come to, of a problem as a whole.

    `unassigned` are reasons, where they are known already. It is not `complete` if part of the depot has not been searched, and
    `divided` if it was in districts: then legs are known within these only.
    """

    problem: Problem
    solution: Solution
    engine: str
    touched: set[str] = field(default_factory=set)
    unassigned: tuple[Unassigned, ...] | None = None
    complete: bool = True
    divided: bool = False
