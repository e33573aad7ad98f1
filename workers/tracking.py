"""Look at a depot's drivers every few seconds: what their pings and reports show, and what that means for the stops to come."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from math import isnan

from ingest.settings import Settings
from ingest.store import keys, metrics, readers, writers
from ingest.store.connection import Store
from ingest.store.metrics import Tally
from ingest.store.writers import Ahead
from routing.eta import matching
from routing.eta.forecast import Forecast, forecast, since_seen
from routing.eta.matching import Ping
from routing.eta.outlook import Outlook, outlooks, setback
from routing.eta.progress import observe, standing_since
from routing.model import Place, Plan, Progress, Route, Snapshot, StopState
from routing.solve.problem import Crew, Problem, place_of
from workers import learned, travel
from workers.formulation import problem_of
from workers.travel import DepotRoads

EVERY_S = 5.0
"""Real seconds between two looks at a depot."""

HORIZONS = (5, 15, 30, 60, 120)
"""Minutes ahead at which ETAs are held against arrivals."""

MATCHED = 12
"""So many of a driver's newest pings tell where on the way he is."""


def track(client: Store, settings: Settings, depot_id: str) -> int:
    """Note who has arrived or left unreported, and when everybody will arrive; ask for a re-solve where that has become too late.

    So it is where a driver has gone astray, or stands still. Only what the policy calls too much asks. Returns how often that was.
    """
    begin, moving = time.time(), keys.shared_key(keys.DUE["track"])
    due = client.zscore(moving, depot_id)
    if due is None or due > begin:
        return 0
    client.zadd(moving, {depot_id: begin + EVERY_S}, xx=True)
    snapshot, plan = readers.snapshot(client, depot_id), readers.plan(client, depot_id)
    if snapshot is None:
        return 0
    pings = _pings(client, snapshot)
    if _inferred(client, snapshot, pings, begin):
        snapshot = readers.snapshot(client, depot_id) or snapshot
    new = client.get(keys.depot_key(depot_id, "etas_of")) != str(snapshot.version)
    if not pings and not _begun(snapshot, begin) and not (new and plan):
        writers.nobody_moves(client, depot_id, version=snapshot.version)
        return 0
    if plan is None or plan.version != snapshot.version:
        return 0
    asked = writers.foreseen(
        client, depot_id, _ahead(settings, snapshot, plan, pings, begin, everybody=new), version=plan.version,
        policy=snapshot.depot.policy, horizons=HORIZONS, now=begin, at=snapshot.depot.clock.depot(begin))  # fmt: skip
    tally = Tally()
    tally.count("looks")
    tally.observe("look_lag_seconds", begin - due)
    tally.add(client)
    return asked


def _begun(snapshot: Snapshot, now: float) -> bool:
    """Whether a shift with stops has begun whose driver is not on the road yet: they get later all the time."""
    at = snapshot.depot.clock.depot(now)
    waiting = [shift for shift in snapshot.shifts.values()
               if snapshot.sequences.get(shift.id) and shift.driver_id not in snapshot.absent
               and snapshot.progress.get(shift.id, Progress()).departed_at is None]  # fmt: skip
    return any(shift.start <= at <= shift.end for shift in waiting)


def _pings(client: Store, snapshot: Snapshot) -> dict[str, list[Ping]]:
    """The newest pings of drivers who are on the road and heard of, by shift."""
    out = {shift: snapshot.shifts[shift].driver_id for shift, progress in snapshot.progress.items()
           if progress.departed_at is not None and not progress.returned and shift in snapshot.shifts
           and snapshot.shifts[shift].driver_id not in snapshot.absent}  # fmt: skip
    rows = readers.recent_pings(client, snapshot.depot.id, sorted(set(out.values())))
    return {shift: [Ping(row.location.lat, row.location.lon, row.at, row.accuracy_m) for row in rows[driver]]
            for shift, driver in out.items()}  # fmt: skip


def _inferred(client: Store, snapshot: Snapshot, pings: dict[str, list[Ping]], now: float) -> bool:
    """Note arrivals and departures that nobody has reported; whether there were any.

    Only what was seen since the stop is driven to tells of it, and nothing that was seen during a break.
    """
    depot, noted = snapshot.depot, False
    if not depot.policy.infer_progress:
        return False
    current = {shift: stop for shift in pings for stop in reversed(snapshot.progress[shift].trail)
               if stop.state in (StopState.EN_ROUTE, StopState.ARRIVED)}  # fmt: skip
    since = readers.driven_to_since(client, depot.id, [stop.stop_id for stop in current.values()])
    duty = readers.duty_since(client, depot.id)
    for shift, stop in current.items():
        driver, order = snapshot.shifts[shift].driver_id, snapshot.order(stop.stop_id)
        if order is None or order.id in snapshot.closed or not pings[shift] or driver in snapshot.breaks:
            continue
        begin = max(depot.clock.depot(since[stop.stop_id]) if since[stop.stop_id] else 0.0,
                    *(duty.get(name, 0.0) for name in (driver, f"{driver}|rested")),
                    *(other.left or 0.0 for other in snapshot.progress[shift].trail))  # fmt: skip
        found = observe(pings[shift], order.place_of(stop.stop_id).location, since=begin, arrived=stop.arrived,
                        dwell=depot.policy.infer_after)  # fmt: skip
        facts = [("arrived", found.arrived)] if stop.state is StopState.EN_ROUTE else []
        for kind, at in (*facts, ("completed", found.left)):
            if at is not None:
                body = {"stop_id": stop.stop_id, "driver_id": driver, "at": at, "type": kind, "inferred": True,
                        "due": order.due(stop.stop_id, at)}  # fmt: skip
                told = writers.infer(client, depot.id, driver=driver, shift=shift, stop=stop.stop_id, kind=kind, at=at, body=body,
                                     now=now)  # fmt: skip
                noted |= told is not None
                metrics.judged(client, at, told or "")
    return noted


def _ahead(settings: Settings, snapshot: Snapshot, plan: Plan, pings: dict[str, list[Ping]], now: float, *, everybody: bool
           ) -> list[Ahead]:  # fmt: skip
    """What is to be expected of those whose shift has begun or, under a new plan, of everybody who has a stop ahead."""
    problem, _ = problem_of(settings, snapshot, at=now)
    roads = travel.of(settings, snapshot, problem.now)
    beliefs, stated = learned.of(settings, snapshot.depot.id), learned.stated(snapshot)
    routes = {route.shift_id: route for route in plan.routes}
    begun = {outlook.shift_id: outlook for outlook in outlooks(problem, snapshot.positions)}
    rows = []
    for crew in problem.crews:
        outlook, route = begun.get(crew.shift_id), routes.get(crew.shift_id)
        if route is None or not (outlook or (everybody and crew.base and not crew.absent)):
            continue
        seen = pings.get(crew.shift_id, [])
        place = _on_the_way(roads, snapshot, problem, crew, seen) if seen else None
        crew = since_seen(problem, crew, snapshot.positions.get(crew.driver_id))
        expected = forecast(problem, crew, beliefs, stated=stated, remaining=place[0] if place else None,
                            seen=place[1] if place else None)  # fmt: skip
        still = _still(snapshot, crew, seen, problem.now) if seen else None
        rows.append(_row(outlook, expected, route, snapshot.shifts[crew.shift_id].end, still))
    return rows


def _row(outlook: Outlook | None, expected: Forecast, route: Route, shift_end: int, still: int | None) -> Ahead:
    etas = tuple((stop.stop_id, stop.p50, stop.p80) for stop in expected.stops)
    row = Ahead(expected.shift_id, expected.driver_id, "", 0, "", 0, 0, still, etas, outlook is not None)
    if outlook is None:
        return row
    found = setback(outlook, expected, route, shift_end)
    return replace(row, subject=found.subject if found else "", late=found.seconds if found else 0, stop=outlook.next_stop or "",
                   remaining=outlook.remaining, metres=outlook.metres)  # fmt: skip


def _on_the_way(roads: DepotRoads, snapshot: Snapshot, problem: Problem, crew: Crew, pings: Sequence[Ping]
                ) -> tuple[float, int] | None:  # fmt: skip
    """Seconds left of the planned leg, and when that was so (depot s), if the newest ping is on it."""
    trail = snapshot.progress[crew.shift_id].trail
    done = [stop for stop in trail if stop.left is not None]
    seen = [ping for ping in pings if not done or ping.at >= (done[-1].left or 0)][-MATCHED:]
    if crew.serving or not crew.frozen or not seen:
        return None
    start = place_of(snapshot, done[-1].stop_id) if done else Place(snapshot.shifts[crew.shift_id].start_location)
    if start is None:
        return None
    a, b = roads.spots([start, problem.places[problem.tasks[crew.frozen[0]].place]])
    leg = roads.roads.leg(a, b)
    if leg is None:
        return None
    way = matching.way(roads.day.network, roads.roads.metric, leg)
    along = float(matching.match(roads.day.network, way, seen)[-1])
    if isnan(along):
        return None
    return float(way.seconds[-1]) - way.seconds_at(along), int(seen[-1].at)


def _still(snapshot: Snapshot, crew: Crew, pings: Sequence[Ping], now: int) -> int | None:
    """Since when a driver on the way has stood still, if that is too long by the policy."""
    after = snapshot.depot.policy.still_after
    since = standing_since(pings)
    resting = crew.driver_id in snapshot.breaks
    if since is None or resting or crew.serving or not crew.frozen or now - pings[-1].at > after:
        return None
    since = max(since, max((stop.left or 0 for stop in snapshot.progress[crew.shift_id].trail), default=0),
                snapshot.progress[crew.shift_id].departed_at or 0)  # fmt: skip
    return since if pings[-1].at - since >= after else None
