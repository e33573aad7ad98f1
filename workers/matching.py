"""Offer orders that cannot wait: in small batches, each to the driver by whom all together wait least."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from ingest.settings import Settings
from ingest.store import keys, readers, writers
from ingest.store.connection import Store
from ingest.store.metrics import Tally
from routing.model import Dispatch, Order, Place, Snapshot
from routing.roads.spot import Spot
from routing.solve import immediate
from routing.solve.immediate import Job, Unit
from routing.solve.problem import Crew, Problem
from routing.solve.tour import walk
from workers import replan, travel
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
        snapshot = readers.snapshot(client, depot_id)
        if snapshot is None:
            return made
        offers = readers.offers(client, depot_id)
        waiting = [order for order in readers.unmatched(client, depot_id) if order.id not in offers]
        waiting.sort(key=lambda order: order.dispatch is not Dispatch.EMERGENCY)
        found = _offers(client, settings, snapshot, waiting[:BATCH], offers, begin) if waiting else []
        count = writers.offer(client, depot_id, found, again=time.time() + AGAIN_S, began=begin)
        made += count
        tally = Tally()
        tally.count("offers", count)
        tally.observe("match_seconds", time.time() - begin)
        tally.add(client)


def _offers(client: Store, settings: Settings, snapshot: Snapshot, waiting: Sequence[Order], offers: dict[str, readers.Offer],
            now: float) -> list[dict[str, Any]]:  # fmt: skip
    """Who is to be asked for what."""
    problem, _, _ = replan.problem_of(settings, snapshot, at=now, freeze=0.0)
    roads = travel.of(settings, snapshot, problem.now)
    busy = {offer.driver_id for offer in offers.values()}
    asked = {offer.driver_id for offer in offers.values() if not offer.emergency}
    shifts = {crew.driver_id: crew.shift_id for crew in problem.crews if _about(snapshot, crew, problem.now)}
    crews = [crew for crew in problem.crews if shifts.get(crew.driver_id) == crew.shift_id]
    emergencies = any(order.dispatch is Dispatch.EMERGENCY for order in waiting)
    units = [_unit(roads, snapshot, problem, crew) for crew in crews
             if crew.driver_id not in busy or (emergencies and crew.driver_id in asked)]  # fmt: skip
    passed = readers.passed(client, snapshot.depot.id)
    jobs = [_job(roads, snapshot, order, asked, passed.get(order.id, [])) for order in waiting]
    found = immediate.match(jobs, units, roads.roads.table)
    left = {job.id for job in jobs} - {item.job for item in found}
    again = [_job(roads, snapshot, order, asked, []) for order in waiting if order.id in left and passed.get(order.id)]
    taken = {item.unit for item in found}
    found += immediate.match(again, [unit for unit in units if unit.id not in taken], roads.roads.table)  # there is nobody else
    by_id = {order.id: order for order in waiting}
    return [{"order": item.job, "driver": item.unit, "shift": shifts[item.unit], "stop": by_id[item.job].stop_ids[0],
             "wait": item.wait, "ttl": snapshot.depot.policy.offer_ttl,
             "emergency": by_id[item.job].dispatch is Dispatch.EMERGENCY} for item in found]  # fmt: skip


def _about(snapshot: Snapshot, crew: Crew, now: int) -> bool:
    """Whether a crew is on duty, in its hours, and its phone heard of."""
    shift = snapshot.shifts[crew.shift_id]
    seen = snapshot.positions.get(crew.driver_id)
    heard = seen is not None and seen.at >= now - snapshot.depot.policy.silent_after
    on_duty = not crew.absent and crew.driver_id not in snapshot.breaks
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
    calls_off = bool(crew.frozen) and not crew.serving
    following = problem.tasks[rest[0]].place if rest else crew.end_place
    spots = roads.spots([place, here, *([problem.places[following]] if following is not None else []),
                         *([problem.places[crew.end_place]] if crew.end_place is not None else [])])  # fmt: skip
    onwards = problem.leg(free_from, following, free_at)[0] if following is not None else 0
    return Unit(
        crew.driver_id, spots[0], ready=max(0, free_at - problem.now), here=spots[1] if calls_off else None,
        next=spots[2] if following is not None else None, onwards=onwards, stops=len(rest), skills=crew.skills,
        free=_room(problem, crew, rest), ends_in=crew.shift_end + crew.overtime - problem.now,
        home=spots[-1] if crew.end_place is not None else None,
    )  # fmt: skip


def _room(problem: Problem, crew: Crew, rest: Sequence[int]) -> tuple[int, ...]:
    """What still fits on board, whatever is loaded and unloaded on the rest of the route."""
    load = list(crew.load)
    if not crew.departed:
        for number in rest:
            task = problem.tasks[number]
            if task.kind == "delivery" and task.pair is None:
                load = [a + b for a, b in zip(load, task.demand, strict=True)]
    most = list(load)
    for number in (*crew.frozen, *crew.base):
        task = problem.tasks[number]
        sign = {"delivery": -1, "collection": 1}.get(task.kind, 0)
        load = [a + sign * b for a, b in zip(load, task.demand, strict=True)]
        most = [max(a, b) for a, b in zip(most, load, strict=True)]
    return tuple(a - b for a, b in zip(crew.capacity, most, strict=True))


def _job(roads: DepotRoads, snapshot: Snapshot, order: Order, asked: set[str], passed: Sequence[str]) -> Job:
    """An order as something to be done at once."""
    but_for = {*snapshot.declined.get(order.id, ()), *order.excluded_drivers, *passed}
    if order.pin.driver_id is not None:
        but_for |= {driver for driver in snapshot.drivers if driver != order.pin.driver_id}
    emergency = order.dispatch is Dispatch.EMERGENCY
    if not emergency:
        but_for |= asked
    start: Spot
    start, end = roads.spots([order.place_of(order.stop_ids[0]), order.place_of(order.stop_id)])
    pickup = order.pickup
    return Job(
        order.id, start, end, service=pickup.service_time if pickup else order.service_time,
        service_at_end=order.service_time if pickup else 0, demand=order.demand, skills=frozenset(order.skills),
        but_for=frozenset(but_for), emergency=emergency,
    )  # fmt: skip
