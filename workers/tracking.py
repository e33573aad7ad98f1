"""Look ahead for drivers on the road, every few seconds: what their pings and reports mean for the stops to come."""

from __future__ import annotations

import time

from ingest.settings import Settings
from ingest.store import keys, readers, writers
from ingest.store.connection import Store
from ingest.store.metrics import count
from routing.eta.outlook import outlooks, setback
from workers import replan

EVERY_S = 5.0
"""Real seconds between two looks at a depot."""


def track(client: Store, settings: Settings, depot_id: str) -> int:
    """Ask for a re-solve where a driver of a depot has fallen behind or has gone astray; how often that was.

    Only what the policy calls too much asks; see `late_after` and `detour_after`.
    """
    begin, moving = time.time(), keys.shared_key(keys.DUE["track"])
    due = client.zscore(moving, depot_id)
    if due is None or due > begin:
        return 0
    client.zadd(moving, {depot_id: begin + EVERY_S}, xx=True)
    snapshot, plan = readers.snapshot(client, depot_id), readers.plan(client, depot_id)
    if snapshot is None:
        return 0
    out = [shift for shift, progress in snapshot.progress.items() if progress.departed_at is not None and not progress.returned]
    if all(snapshot.shifts[shift].driver_id in snapshot.absent for shift in out):
        writers.nobody_moves(client, depot_id)
        return 0
    if plan is None or plan.version != snapshot.version:
        return 0
    problem, _, _ = replan.problem_of(settings, snapshot, at=begin, freeze=0.0)
    routes = {route.shift_id: route for route in plan.routes}
    rows: list[writers.Foreseen] = []
    for outlook in outlooks(problem, snapshot.positions):
        route = routes.get(outlook.shift_id)
        found = setback(outlook, route, snapshot.shifts[outlook.shift_id].end) if route else None
        rows.append((outlook.shift_id, outlook.driver_id, found.subject if found else "", found.seconds if found else 0,
                     outlook.next_stop or "", outlook.remaining, outlook.metres))  # fmt: skip
    policy = snapshot.depot.policy
    asked = writers.foreseen(client, depot_id, rows, version=plan.version, late_after=policy.late_after,
                             detour_after=policy.detour_after, now=begin)  # fmt: skip
    count(client, "looks")
    return asked
