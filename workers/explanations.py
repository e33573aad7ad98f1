"""Why nobody takes an order, asked of every driver: what a plan keeps names only those who come nearest."""

from __future__ import annotations

from typing import Any

from ingest.settings import Settings
from ingest.store import readers
from ingest.store.connection import Store
from routing import codec
from routing.model import Order
from routing.solve.explain import explain_one
from routing.solve.problem import current
from workers.formulation import problem_of


def reasons(client: Store, settings: Settings, order: Order, *, at: float) -> list[dict[str, Any]]:
    """Why nobody takes an order as everything is at a real time (s), one reason for each driver; none if it is in a route."""
    snapshot = readers.snapshot(client, order.depot_id)
    if snapshot is None or order.id not in snapshot.orders:
        return []
    problem, _ = problem_of(settings, snapshot, at=at)
    solution = current(problem)
    task = next((task for task in sorted(solution.unassigned) if problem.tasks[task].order_id == order.id), None)
    return [] if task is None else [codec.builtins(reason) for reason in explain_one(problem, solution, task)]
