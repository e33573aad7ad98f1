"""The one way a plan is published: a single Lua call that compares, writes and tells everybody."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec

from ingest.store import keys, readers, writers
from ingest.store.connection import Store, run
from routing import codec
from routing.model import Diff, Order, Plan, Route, Snapshot, order_of
from routing.solve.problem import Problem
from workers.documents import route_document, version_record

LUA = Path(__file__).parent / "lua"


class Outcome(StrEnum):
    """What became of a plan: published; proposed; refused, so start again from the new state; or nothing to publish."""

    PUBLISHED = "published"
    OUTDATED = "outdated"
    MOVED = "moved"
    CHANGED = "changed"
    NOTHING = "nothing"
    PROPOSED = "proposed"


@dataclass(frozen=True, slots=True)
class Work:
    """What a job does for a depot: `role` is repair or improve, `began` (real s) when it read the snapshot.

    `improve` asks for an improvement afterwards.
    """

    role: str
    began: float
    improve: bool = False


def publish(client: Store, snapshot: Snapshot, problem: Problem, plan: Plan, diff: Diff, work: Work) -> tuple[Outcome, str]:
    """Publish a checked plan, unless the state it was made from has moved on; says which record stood in the way."""
    updated = {stop for change in diff.routes for stop in change.updated}
    changed = [route for route in plan.routes
               if snapshot.sequences.get(route.shift_id) != route.sequence or updated.intersection(route.sequence)]  # fmt: skip
    record = version_record(snapshot, plan, diff, changed)
    orders = _orders(client, snapshot, changed)
    documents = {change.driver_id: json.dumps(route_document(snapshot, plan, change, orders)) for change in diff.routes}
    arguments = {
        "version": snapshot.version, "revision": snapshot.revision, "role": work.role, "began": work.began,
        "again": _again(snapshot, work), "improve": work.improve, "now": plan.published_at,
        **({"ack_after": snapshot.depot.policy.ack_after} if snapshot.depot.policy.ack_after is not None else {}),
        "plan": codec.dumps(plan).decode(), "planned_on": _planned_on(snapshot, problem),
        "snapshot": plan.version % readers.SNAPSHOT_EVERY == 0, "keep": _keep(snapshot),
        "record": codec.dumps(record).decode(), "over": record.over,
        "touched": [_touched(problem, snapshot, route) for route in changed],
        "records": _records(problem, diff, changed),
        "unassigned": {item.order_id: codec.dumps(item).decode() for item in plan.unassigned},
        "documents": documents, "event": json.dumps(_event(plan, work)),
        "streams": {driver: [keys.route_stream(plan.depot_id, driver), keys.route_channel(plan.depot_id, driver)]
                    for driver in documents},
    }  # fmt: skip
    if snapshot.depot.policy.review:
        return _propose(client, snapshot, plan, record, arguments)
    return _commit(client, plan, arguments)


def _commit(client: Store, plan: Plan, arguments: dict[str, Any]) -> tuple[Outcome, str]:
    outcome, detail = run(client, plan.depot_id, "commit", [json.dumps(arguments)], folder=LUA)
    if outcome == Outcome.OUTDATED:  # by itself, perhaps: a commit whose answer was lost is sent again
        known = readers.version_record(client, plan.depot_id, plan.version)
        if known is not None and (known.published_at, known.engine) == (plan.published_at, plan.engine):
            return Outcome.PUBLISHED, str(plan.version)
    return Outcome(outcome), detail


class Proposal(msgspec.Struct, frozen=True):
    """A plan that waits for a dispatcher's yes: the plan, what its version would say, and the commit that a yes makes."""

    id: str
    base: int
    plan: Plan
    record: readers.VersionRecord
    commit: dict[str, Any]


def _propose(client: Store, snapshot: Snapshot, plan: Plan, record: readers.VersionRecord, arguments: dict[str, Any]
             ) -> tuple[Outcome, str]:  # fmt: skip
    """Put a plan before the dispatcher, in place of one that waits already. Its triggers count as answered."""
    made = Proposal(secrets.token_hex(6), snapshot.version, plan, record, arguments)
    event = {"proposal_id": made.id, "version": plan.version, "drivers": [route["driver_id"] for route in record.diff["routes"]]}
    told = [snapshot.version, snapshot.revision, arguments["role"], arguments["began"], arguments["again"],
            int(arguments["improve"]), codec.dumps(made).decode(), json.dumps(event)]  # fmt: skip
    proposed = run(client, plan.depot_id, "propose", told, folder=LUA)
    return (Outcome.PROPOSED, made.id) if proposed else (Outcome.OUTDATED, str(snapshot.version))


def proposal(client: Store, depot_id: str) -> Proposal | None:
    """The plan that waits, or None."""
    text = client.get(keys.depot_key(depot_id, "proposal"))
    return codec.loads(text, Proposal) if text else None


def accept(client: Store, depot_id: str, made: Proposal, *, now: float) -> tuple[Outcome, str]:
    """Publish what was proposed, unless the state it was made from has moved on: then it is dropped, and another one asked for."""
    outcome, detail = _commit(client, made.plan, made.commit | {"now": now})
    if outcome is not Outcome.PUBLISHED and discard(client, depot_id, made):
        writers.request(client, depot_id, made.id, now)
    return outcome, detail


def discard(client: Store, depot_id: str, made: Proposal) -> bool:
    """Drop a proposal; False if it no longer waits."""
    return bool(run(client, depot_id, "discard", [made.id], folder=LUA))


def _event(plan: Plan, work: Work) -> dict[str, Any]:
    """What is kept of a version for good, in the archive."""
    oldest = min((trigger.at for trigger in plan.triggers), default=None)
    return {
        "version": plan.version, "role": work.role, "engine": plan.engine, "cost": plan.cost, "unassigned": len(plan.unassigned),
        "moved": plan.moved, "resequenced": plan.resequenced, "shifted": plan.shifted,
        "latency_s": None if oldest is None else round(plan.published_at - oldest, 3),
    }  # fmt: skip


def _keep(snapshot: Snapshot) -> int:
    """How many versions stay: the policy's number, rounded up to whole spans between snapshots."""
    return -(-snapshot.depot.policy.keep_versions // readers.SNAPSHOT_EVERY) * readers.SNAPSHOT_EVERY


def _planned_on(snapshot: Snapshot, problem: Problem) -> str:
    """The road state a plan is made on, if it is another one than that of the plan before."""
    same = problem.road_state is None or problem.road_state == snapshot.planned_on
    return "" if same else codec.dumps(problem.road_state).decode()


def answered(client: Store, snapshot: Snapshot, work: Work) -> bool:
    """Say that the plan in force answers a snapshot's triggers, or cannot be improved; False if it is no longer in force."""
    arguments = [snapshot.version, snapshot.revision, work.role, work.began, _again(snapshot, work), int(work.improve)]
    return bool(run(client, snapshot.depot.id, "answered", arguments, folder=LUA))


def took(client: Store, depot_id: str, version: int, milliseconds: float) -> None:
    """Note how long the commit of a version took: the one step its record cannot have."""
    client.hset(keys.depot_key(depot_id, "commit_ms"), str(version), round(milliseconds, 1))


def _again(snapshot: Snapshot, work: Work) -> float:
    """When the next repair, or an improvement, may begin."""
    return work.began + snapshot.depot.policy.max_wait


def _orders(client: Store, snapshot: Snapshot, changed: list[Route]) -> dict[str, Order]:
    """What all stops in changed routes are for, finished ones included."""
    orders = {**snapshot.closed, **snapshot.orders}
    missing = [stop for route in changed for stop in route.sequence if order_of(stop) not in orders]
    return orders | readers.orders_of(client, snapshot.depot, missing)


def _touched(problem: Problem, snapshot: Snapshot, route: Route) -> dict[str, Any]:
    crew = next(crew for crew in problem.crews if crew.shift_id == route.shift_id)
    frozen = [*crew.done, *(problem.tasks[task].stop_id for task in crew.frozen)]
    before, after = snapshot.sequences.get(route.shift_id, ()), route.sequence
    return {
        "shift": crew.shift_id, "driver": crew.driver_id, "departed": crew.departed, "frozen": frozen,
        "sequence": " ".join(after), "gone": sorted(set(before).difference(after)),
    }  # fmt: skip


def _records(problem: Problem, diff: Diff, changed: list[Route]) -> dict[str, int]:
    """The records a plan rests on, with the revisions it knows: changed routes' crews and movable orders."""
    shifts = {route.shift_id for route in changed}
    frozen = {task for crew in problem.crews for task in crew.frozen}
    stops = {stop for route in changed for stop in route.sequence}
    known = {task.order_id: task.revision for number, task in enumerate(problem.tasks)
             if number not in frozen and (task.stop_id in stops or task.order_id in diff.newly_unassigned)}  # fmt: skip
    for crew in problem.crews:
        if crew.shift_id in shifts:
            known |= crew.revisions
    return known
