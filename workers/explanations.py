"""Why nobody takes an order, of every driver (a plan names the nearest only), and what would let somebody take it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ingest.settings import Settings
from ingest.store import readers
from ingest.store.connection import Store
from routing import codec
from routing.model import Order, Reason
from routing.solve.explain import ALONE, explain_one
from routing.solve.problem import current, one_each
from routing.solve.relax import Relaxation, relaxations
from routing.solve.stopping import within
from workers.formulation import problem_of

RELAXING_S = 0.5
"""So long (s) relaxations are looked for, the drivers who come nearest first."""

OWN = frozenset({"time_window", "skill", "capacity"})
"""Relaxations that are a shipper's business: of what the order asks for."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """One reason for each driver, and what would let one of them take the order, the cheapest first."""

    reasons: tuple[Reason, ...]
    relaxations: tuple[Relaxation, ...] = ()

    @property
    def verdict(self) -> str:
        """Whether any driver could serve it, were there no other orders."""
        return "outprioritised" if any(reason.code in ALONE for reason in self.reasons) else "impossible"


def explanation(client: Store, settings: Settings, order: Order, *, at: float, relax: bool) -> Explanation | None:
    """Why nobody takes an order as everything is at a real time (s); None if it is in a route, or is not planned."""
    snapshot = readers.snapshot(client, order.depot_id)
    if snapshot is None or order.id not in snapshot.orders:
        return None
    problem, _ = problem_of(settings, snapshot, at=at)
    solution = current(problem)
    mine = [task for task in one_each(problem, set(solution.unassigned)) if problem.tasks[task].order_id == order.id]
    if not mine:
        return None
    found = relaxations(problem, solution, mine[0], stop=within(RELAXING_S)) if relax else []
    return Explanation(explain_one(problem, solution, mine[0]), tuple(one.relaxation for one in found))


def shown(relaxation: Relaxation, *, operator: bool) -> dict[str, Any]:
    """A relaxation as the API shows it: without what is nothing, and without drivers for shippers."""
    told: dict[str, Any] = codec.builtins(relaxation)
    told["skills"] = list(relaxation.skills) or None
    hidden = () if operator else ("driver_id", "to_driver_id", "stop_id", "cost")
    return {name: value for name, value in told.items() if value is not None and name not in hidden}
