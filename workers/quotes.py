"""Quotes: which windows of a prospective order can still be served, and for how much more; and reservations that hold them.

A quote changes nothing. Accepting one makes the order, with its window as a hard one, for a minute: it is planned like any other,
so that what was promised is there when the shipper confirms; else it is cancelled by itself.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec

from ingest.settings import Settings
from ingest.store import keys, readers
from ingest.store.connection import Store
from routing import codec
from routing.model import Order, Snapshot, TimeWindow
from routing.solve import engines
from routing.solve.problem import Problem
from routing.solve.quote import Offer, quote, slots
from routing.solve.stopping import never
from workers.formulation import problem_of
from workers.replan import REPAIR_BUDGET_S

KEPT_S = 900
"""So long a quote can be accepted (real s); what it said is looked at again then."""

HELD_S = 60
"""So long a reservation holds (real s)."""

MOST = 24
"""So many windows are looked at, if none are asked for: the next ones, of an hour each."""


class Quoted(msgspec.Struct, frozen=True):
    """A quote as it is kept: the request of its order, whose it is, and the windows that could be served, in the order told."""

    id: str
    depot_id: str
    account: str
    data: dict[str, Any]
    windows: tuple[TimeWindow, ...]


def offers(client: Store, settings: Settings, order: Order, windows: Sequence[TimeWindow] | None, *,
           at: float) -> tuple[list[TimeWindow], list[Offer], int]:  # fmt: skip
    """The windows that were looked at, offers for them (the cheapest of a window first), and the state's revision they rest on.

    Without windows it is the next hours. Orders that wait for their first plan, other reservations among them, come first: they are
    put into routes before it is asked what else fits. `at` is real time (s).
    """
    snapshot = readers.snapshot(client, order.depot_id)
    if snapshot is None:
        raise LookupError(order.depot_id)
    if some_wait(snapshot):
        problem, _ = problem_of(settings, snapshot, at=at)
        solution = engines.ENGINES["repair"](problem, budget=REPAIR_BUDGET_S, stop=never)
        routes = {crew.shift_id: tuple(problem.tasks[task].stop_id for task in route)
                  for crew, route in zip(problem.crews, solution.routes, strict=True)}  # fmt: skip
        snapshot = replace(snapshot, sequences=snapshot.sequences | routes)
    snapshot = replace(snapshot, orders=snapshot.orders | {order.id: order},
                       related=snapshot.related | readers.related(client, order.depot_id, [order]))  # fmt: skip
    problem, _ = problem_of(settings, snapshot, at=at)
    asked = list(windows) if windows is not None else _next(problem)
    task = next(number for number, task in enumerate(problem.tasks) if task.order_id == order.id)
    return asked, quote(problem, task, asked), snapshot.revision


def some_wait(snapshot: Snapshot) -> bool:
    """Whether an order is in no route, and no plan has given it up."""
    known = {stop for sequence in snapshot.sequences.values() for stop in sequence}
    known |= {stop.stop_id for progress in snapshot.progress.values() for stop in progress.trail}
    return any(order.id not in snapshot.unassigned and not known.issuperset(order.stop_ids) for order in snapshot.orders.values())


def _next(problem: Problem) -> list[TimeWindow]:
    return slots(problem)[:MOST]


def keep(client: Store, depot_id: str, account: str, data: dict[str, Any], windows: Sequence[TimeWindow]) -> Quoted:
    """Keep what was told, so that it can be accepted."""
    made = Quoted(f"{depot_id}.q{secrets.token_hex(8)}", depot_id, account, data, tuple(windows))
    client.set(keys.quote(depot_id, made.id), codec.dumps(made).decode(), ex=KEPT_S)
    return made


def forget_recipient(client: Store, quoted: Quoted) -> None:
    """Who waits there is kept with the order from now on, and only there."""
    data = {name: value for name, value in quoted.data.items() if name != "recipient"}
    text = codec.dumps(msgspec.structs.replace(quoted, data=data)).decode()
    client.set(keys.quote(quoted.depot_id, quoted.id), text, ex=KEPT_S, xx=True)


def kept(client: Store, depot_id: str, quote_id: str) -> Quoted | None:
    """A quote that was told, while it is kept."""
    text = client.get(keys.quote(depot_id, quote_id))
    return codec.loads(text, Quoted) if text else None

