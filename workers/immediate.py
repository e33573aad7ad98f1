"""Offer orders that cannot wait: in small batches, each to the driver by whom all together wait least."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from ingest.schemas import iso
from ingest.settings import Settings
from ingest.store import keys, readers, writers
from ingest.store.connection import Store
from ingest.store.metrics import Tally
from routing import access, codec
from routing.model import Dispatch, Order, Place, Snapshot
from routing.solve import immediate
from routing.solve.immediate import Job, Match, Unit
from routing.solve.problem import Crew, Problem
from routing.solve.rules import capacity, limits
from routing.solve.tour import walk
from workers import travel
from workers.formulation import problem_of
from workers.travel import DepotRoads

AGAIN_S = 2.0
"""Real seconds after which orders that nobody could take are looked at again: units move, and become free."""

BATCH = 200
"""Orders that are matched together, emergencies and the longest waiting first."""


def match(client: Store, settings: Settings, depot_id: str) -> int:
    """Offer what waits to those who are on duty, heard of and able; how many offers were made."""
    made = 0
    while True:
        begin, matchable = time.time(), keys.shared_key(keys.DUE["match"])
        due = client.zscore(matchable, depot_id)
        if due is None or due > begin:
            return made
        client.zadd(matchable, {depot_id: begin + AGAIN_S}, xx=True)  # before anything is read: what comes meanwhile is due at once
        snapshot = readers.snapshot(client, depot_id)
        if snapshot is None:
            return made
        offers = readers.offers(client, depot_id)
        waiting = [order for order in readers.unmatched(client, depot_id) if order.id not in offers]
        waiting.sort(key=lambda order: order.dispatch is not Dispatch.EMERGENCY)
        count = writers.offer(client, depot_id, _offers(client, settings, snapshot, waiting, offers, begin) if waiting else [])
        made += count
        tally = Tally()
        tally.count("offers", count)
        tally.observe("match_seconds", time.time() - begin)
        tally.add(client)


def _offers(client: Store, settings: Settings, snapshot: Snapshot, waiting: Sequence[Order], offers: dict[str, readers.Offer],
            now: float) -> list[dict[str, Any]]:  # fmt: skip
    """Who is to be asked for what, batch after batch until all have been looked at or nobody is left."""
    problem, _ = problem_of(settings, snapshot, at=now)
    roads = travel.of(settings, snapshot, problem.now)
    busy = {offer.driver_id for offer in offers.values()}
    asked = {offer.driver_id for offer in offers.values() if not offer.emergency}
    shifts = {crew.driver_id: crew.shift_id for crew in problem.crews
              if _about(snapshot, crew, problem.now) and limits.room(problem, crew)[0] > 0}  # fmt: skip
    emergencies = any(order.dispatch is Dispatch.EMERGENCY for order in waiting)
    units = {crew.driver_id: _unit(roads, snapshot, problem, crew) for crew in problem.crews
             if shifts.get(crew.driver_id) == crew.shift_id
             and (crew.driver_id not in busy or (emergencies and crew.driver_id in asked))}  # fmt: skip
    passed = readers.passed(client, snapshot.depot.id)
    matches: list[Match] = []
    for first in range(0, len(waiting), BATCH):
        batch = waiting[first : first + BATCH]
        for spared in (True, False):  # whoever has let it pass is asked again only if there is nobody else
            left = [order for order in batch if order.id not in {found.job for found in matches}]
            jobs = [_job(roads, snapshot, order, asked, passed.get(order.id, []) if spared else []) for order in left
                    if spared or order.id in passed]  # fmt: skip
            found = immediate.match(jobs, list(units.values()), roads.roads.table)
            for item in found:
                del units[item.unit]
            matches += found
        if not units:
            break
    by_id = {order.id: order for order in waiting}
    return [_offer(snapshot, by_id[item.job], item, shifts[item.unit], now) for item in matches]


def _offer(snapshot: Snapshot, order: Order, found: Match, shift_id: str, now: float) -> dict[str, Any]:
    """An offer, with what the driver's app is told of it: times are the depot's."""
    depot, expires = snapshot.depot, now + snapshot.depot.policy.offer_ttl
    emergency = order.dispatch is Dispatch.EMERGENCY
    stops = [{"stop_id": stop, "location": codec.builtins(order.place_of(stop).location)} for stop in order.stop_ids]
    view = {"order_id": order.id, "driver_id": found.unit, "stop_id": order.stop_ids[0], "kind": order.kind, "stops": stops,
            "demand": dict(zip(depot.dimensions, order.demand, strict=True)), "emergency": emergency, "wait": found.wait,
            "expires_at": iso(depot.clock.depot(expires))}  # fmt: skip
    return {"order": order.id, "revision": snapshot.record_revisions.get(order.id, 0), "driver": found.unit, "shift": shift_id,
            "stop": order.stop_ids[0], "wait": found.wait, "expires_at": expires, "emergency": emergency, "view": view}  # fmt: skip


def _about(snapshot: Snapshot, crew: Crew, now: int) -> bool:
    """Whether a crew is on duty, in its hours, its phone heard of, and its route open to more."""
    shift = snapshot.shifts[crew.shift_id]
    seen = snapshot.positions.get(crew.driver_id)
    heard = seen is not None and seen.at >= now - snapshot.depot.policy.silent_after
    on_duty = not crew.absent and not crew.locked and crew.driver_id not in snapshot.breaks
    return on_duty and heard and (crew.departed or shift.start <= now <= shift.end)


def _unit(roads: DepotRoads, snapshot: Snapshot, problem: Problem, crew: Crew) -> Unit:
    """A crew behind what it is doing, and behind other orders that could not wait."""
    held = {number for number in crew.base if problem.tasks[number].order_id in snapshot.held}
    ahead = [*crew.frozen, *(number for number in crew.base if number in held)]
    rest = [number for number in crew.base if number not in held]
    visits = walk(problem, crew, ahead)
    free_from = problem.tasks[ahead[-1]].place if ahead else crew.place
    here = Place(snapshot.positions[crew.driver_id].location)
    place = problem.places[free_from] if ahead or crew.departed else here
    free_at = visits[-1].leave if visits else problem.now
    current = snapshot.orders.get(problem.tasks[crew.frozen[0]].order_id) if crew.frozen else None
    calls_off = current is not None and not crew.serving and current.dispatch is not Dispatch.EMERGENCY
    last = problem.tasks[crew.base[-1]].place if crew.base else free_from
    end = None if crew.end_place is None else problem.nearest_end(last, crew.end_place, free_at)
    following = problem.tasks[rest[0]].place if rest else end
    spots = roads.spots([place, here, *([problem.places[following]] if following is not None else []),
                         *([problem.places[end]] if end is not None else [])])  # fmt: skip
    onwards = problem.leg(free_from, following, free_at)[0] if following is not None else 0
    return Unit(
        crew.driver_id, spots[0], ready=max(0, free_at - problem.now), here=spots[1] if calls_off else None,
        next=spots[2] if following is not None else None, onwards=onwards, stops=len(rest), skills=crew.skills,
        free=capacity.room(problem, crew), ends_in=crew.shift_end + crew.overtime - problem.now,
        home=spots[-1] if crew.end_place is not None else None,
    )  # fmt: skip


def _job(roads: DepotRoads, snapshot: Snapshot, order: Order, asked: set[str], passed: Sequence[str]) -> Job:
    """An order as something to be done at once."""
    but_for = {*snapshot.declined.get(order.id, ()), *order.excluded_drivers, *passed}
    if order.pin.driver_id is not None:
        but_for |= {driver for driver in snapshot.drivers if driver != order.pin.driver_id}
    emergency = order.dispatch is Dispatch.EMERGENCY
    if not emergency:
        but_for |= asked
    needed = access.needed(snapshot.depot.access, [order.place_of(stop).location for stop in order.stop_ids])
    start, end = roads.spots([order.place_of(order.stop_ids[0]), order.place_of(order.stop_id)])
    return Job(
        order.id, start, end, service=order.half(order.stop_ids[0]).service_time,
        service_at_end=order.service_time if order.pickup else 0, demand=order.demand,
        skills=frozenset(order.skills).union(*needed), but_for=frozenset(but_for), emergency=emergency,
    )  # fmt: skip
