"""A giant depot's improvement: its districts are searched side by side, as jobs of all improve workers, and joined in one plan.

Whoever improves the depot cuts its state, lays the districts out in Redis, asks other workers to help, and takes one district after
the other itself, as they do. What is there when the time is over is joined; a district that nobody has brought back, as its worker
died, stays as it is. So no help, late help and help asked for twice are harmless.
"""

from __future__ import annotations

import json
import logging
import random
import secrets
import time
from collections.abc import Callable, Collection, Sequence
from math import ceil

import msgspec

from ingest.settings import Settings
from ingest.store import keys, readers
from ingest.store.connection import Store
from ingest.store.metrics import count
from routing import codec
from routing.model import Plan, Snapshot, Unassigned
from routing.solve import engines
from routing.solve.annealing import GIANT
from routing.solve.districts import Joined, cut, named, understood
from routing.solve.evaluation import drivable
from routing.solve.explain import explain
from routing.solve.improve import improve
from routing.solve.problem import Problem, Solution, current
from routing.solve.repair import repair
from routing.solve.stopping import Stop
from workers import dispatcher
from workers.formulation import problem_of
from workers.found import Found

log = logging.getLogger(__name__)

AROUND_S = 1.5
"""Real seconds for each thousand stops that pass around a search: districts are posed, joined, checked and published."""

GRACE_S = 0.5
"""So long after the time is over, or a repair is asked for, others may still bring back what they have."""

LOOK_S = 0.02
"""Between two looks at what others have brought back."""

_BRING = "if redis.call('EXISTS', KEYS[1]) == 1 then return redis.call('HSET', KEYS[1], ARGV[1], ARGV[2]) end return 0"
"""What is found is noted only as long as somebody waits for it."""

KEPT_S = 60
"""So long after its time a round stays in Redis."""


class Round(msgspec.Struct, frozen=True):
    """What all who search a round's districts have to know: the plan it starts from, when (real s) and what is frozen until when.

    It ends at `until` (real s). `searchers` are how many work on it at once, about.
    """

    version: int
    at: float
    freeze: float
    until: float
    engine: str
    searchers: int


def of(snapshot: Snapshot, at: float, searchers: int) -> list[Snapshot]:
    """The districts of a depot at a real time (s), for so many to search: one, if it is not larger than its policy says that is."""
    depot = snapshot.depot
    return cut(snapshot, depot.policy.district_stops, snapshot.version, now=depot.clock.depot(at), times=searchers)


def search(client: Store, settings: Settings, snapshot: Snapshot, districts: Sequence[Snapshot], *, searchers: int, budget: float,
           stop: Stop) -> Found:  # fmt: skip
    """Search all districts for `budget` real seconds with so many workers at once, and join what was found."""
    depot, at, made = snapshot.depot, time.time(), secrets.token_hex(6)
    searchers = min(len(districts), searchers)
    around = AROUND_S * (1 + len(snapshot.orders) / 1000)
    engine = "improve" if depot.policy.engine == "portfolio" else depot.policy.engine  # the other core has a district of its own
    told = Round(snapshot.version, at, budget + around, at + budget, engine, searchers)
    _lay_out(client, depot.id, made, told, districts)
    dispatcher.call(settings, depot.id, made, hands=searchers - 1, seconds=budget)
    posed = [problem_of(settings, district, at=at, freeze=told.freeze) for district in districts]
    problems = [problem for problem, _ in posed]
    found: dict[int, Solution] = {}
    while (number := _take(client, depot.id, made, told, stop)) is not None:
        found[number] = _searched(client, depot.id, made, told, problems[number], stop)
    brought = _brought(client, depot.id, made, problems, found.keys(), until=told.until, stop=stop)
    client.delete(keys.districts(depot.id, made), keys.untaken(depot.id, made))
    for who, many in (("caller", len(found)), ("helper", len(brought)), ("nobody", len(problems) - len(found | brought))):
        count(client, "districts", many, who=who)
    found |= brought
    solutions = [found[number] if number in found else _as_it_is(problem) for number, problem in enumerate(problems)]
    joined = Joined(problems, snapshot)
    used = engine if all(engines.able(engine, problem, budget) == engine for problem in problems) else "improve"
    reasons = _reasons(readers.plan(client, depot.id), problems, solutions)
    touched = set[str]().union(*(stops for _, stops in posed))
    complete = len(found) == len(problems)
    return Found(joined.problem, joined.solution(solutions), used, touched, reasons, complete=complete, divided=True)


def help_out(client: Store, settings: Settings, depot_id: str, made: str, *, stop_of: Callable[[int], Stop]) -> int:
    """Search districts of a round that nobody has taken yet, until there are none or time is over; how many."""
    key, helped = keys.districts(depot_id, made), 0
    text = client.hget(key, "round")
    if text is None:  # it is over
        return 0
    told = msgspec.json.decode(text, type=Round)
    stop = stop_of(told.version)
    while (number := _take(client, depot_id, made, told, stop)) is not None:
        packed = client.hget(key, f"state:{number}")
        if packed is None:
            break
        problem, _ = problem_of(settings, codec.loads(packed, Snapshot), at=told.at, freeze=told.freeze)
        solution = _searched(client, depot_id, made, told, problem, stop)
        client.eval(_BRING, 1, key, f"routes:{number}", json.dumps(named(problem, solution)))
        helped += 1
    return helped


def _lay_out(client: Store, depot_id: str, made: str, told: Round, districts: Sequence[Snapshot]) -> None:
    key, untaken, kept = keys.districts(depot_id, made), keys.untaken(depot_id, made), ceil(told.until - told.at) + KEPT_S
    fields = {f"state:{number}": codec.dumps(one).decode() for number, one in enumerate(districts)}
    with client.pipeline() as pipeline:
        pipeline.hset(key, mapping={"round": msgspec.json.encode(told).decode(), **fields})
        pipeline.rpush(untaken, *random.sample(range(len(districts)), len(districts)))  # not always the same is left over
        pipeline.expire(key, kept)
        pipeline.expire(untaken, kept)
        pipeline.execute()


def _take(client: Store, depot_id: str, made: str, told: Round, stop: Stop) -> int | None:
    """The number of a district that nobody else has taken; None if there is none, or no time."""
    if stop() or time.time() >= told.until:
        return None
    number = client.lpop(keys.untaken(depot_id, made))
    return None if number is None else int(number)


def _searched(client: Store, depot_id: str, made: str, told: Round, problem: Problem, stop: Stop) -> Solution:
    """Search a district for its share of the time that is left: those that nobody has taken yet want theirs, too."""
    waiting = 1 + int(client.llen(keys.untaken(depot_id, made)))
    budget = (told.until - time.time()) / ceil(waiting / told.searchers)
    if budget <= 0:
        return _as_it_is(problem)
    engine = engines.able(told.engine, problem, budget)
    if engine == "improve":
        return improve(problem, budget=budget, stop=stop, seed=1 + told.version, warm=GIANT)
    return engines.ENGINES[engine](problem, budget=budget, stop=stop)


def _brought(client: Store, depot_id: str, made: str, problems: Sequence[Problem], mine: Collection[int], *, until: float,
             stop: Stop) -> dict[int, Solution]:  # fmt: skip
    """What others bring back by then, or soon after they have to stop, of the districts they have taken."""
    key, found = keys.districts(depot_id, made), dict[int, Solution]()
    taken = set(range(len(problems))) - set(mine) - {int(number) for number in client.lrange(keys.untaken(depot_id, made), 0, -1)}
    while waited := sorted(taken - found.keys()):
        for number, text in zip(waited, client.hmget(key, [f"routes:{number}" for number in waited]), strict=True):
            solution = understood(problems[number], json.loads(text)) if text else None
            if solution is not None and drivable(problems[number], solution):
                found[number] = solution
            elif text:
                taken.remove(number)
                log.error("district %d of %s came back as no plan", number, made, extra={"depot": depot_id})
        if stop():
            until = min(until, time.time())
        if time.time() >= until + GRACE_S:
            break
        time.sleep(LOOK_S)
    return found


def _as_it_is(problem: Problem) -> Solution:
    """The plan in force, mended where it breaks a rule."""
    now = current(problem)
    return now if drivable(problem, now) else repair(problem)


def _reasons(plan: Plan | None, problems: Sequence[Problem], solutions: Sequence[Solution]) -> tuple[Unassigned, ...]:
    """Why orders are in no route: as the plan in force has it, which knows all drivers, else by those of their districts."""
    known = {item.order_id: item for item in plan.unassigned} if plan is not None else {}
    found = [item for problem, solution in zip(problems, solutions, strict=True) for item in explain(problem, solution)]
    return tuple(known.get(item.order_id, item) for item in found)
