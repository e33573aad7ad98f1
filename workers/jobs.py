"""The RQ jobs: hints that a depot may need work. They carry an id, never data, and may be lost or doubled."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from importlib import import_module

from ingest.settings import Settings
from ingest.store import keys
from ingest.store.connection import Store, away, check_schema, connect
from ingest.store.metrics import count
from routing.errors import MapFileError
from routing.model import Snapshot
from workers import quarantine
from workers.lease import TURN_S, hold

log = logging.getLogger(__name__)

ENVIRONMENT = (OSError, MemoryError, MapFileError)
"""What fails for want of a disk, a map or memory, whatever a depot's orders are."""

DONE_BY = {"repair": "replan", "improve": "replan", "track": "tracking", "match": "immediate", "deliver": "deliveries",
           "load": "loading"}  # fmt: skip
"""The module that does what is done for a depot in each role, by a function of the role's name."""


def repair(depot_id: str) -> int:
    """Answer a depot's triggers, and those of other depots that are due; versions published."""
    return _work(depot_id, "repair")


def improve(depot_id: str) -> int:
    """Improve a depot's plan, and those of other depots that wait for it; versions published."""
    return _work(depot_id, "improve")


def district(depot_id: str, made: str) -> int:
    """Help with a giant depot's improvement that somebody else is at; districts searched."""
    from workers import replan

    settings = Settings.read()
    client = connect(settings)
    check_schema(client)
    return replan.district(client, settings, depot_id, made)


def track(depot_id: str) -> int:
    """Look ahead for a depot's drivers, and those of other depots that are due; re-solves asked for."""
    return _work(depot_id, "track")


def match(depot_id: str) -> int:
    """Offer a depot's orders that cannot wait, and those of other depots that are due; offers made."""
    return _work(depot_id, "match")


def deliver(depot_id: str) -> int:
    """Send what listeners of a depot wait for, and of other depots that are due; messages they have got."""
    return _work(depot_id, "deliver")


def load(depot_id: str) -> int:
    """Do the imports that wait at a depot, and at other depots; how many."""
    return _work(depot_id, "load")


def _work(depot_id: str, role: str) -> int:
    settings = Settings.read()
    client = connect(settings)
    check_schema(client)
    client.delete(keys.hint(depot_id, role))
    published, failed, until = 0, [], time.monotonic() + TURN_S
    tried: dict[str, float] = {}
    todo: str | None = depot_id
    while todo is not None:
        tried[todo] = client.zscore(keys.shared_key(keys.DUE[role]), todo) or 0.0
        try:
            published += _depot(client, settings, todo, role)
        except Exception as error:
            log.exception("the %s of %s failed", role, todo, extra={"depot": todo})
            failed.append(error)
        todo = _another(client, role, tried) if time.monotonic() < until else None
    if failed:
        raise failed[0]
    return published


def _depot(client: Store, settings: Settings, depot_id: str, role: str) -> int:
    with hold(client, depot_id, role) as mine:
        if not mine:
            return 0
        due = client.zscore(keys.shared_key(keys.DUE[role]), depot_id)
        try:
            quarantine.begin(client, settings, depot_id, role, _attempt)
            published = int(_doer(role)(client, settings, depot_id))
        except Exception as error:
            if away(error) or isinstance(error, ENVIRONMENT):
                quarantine.interrupted(client, depot_id, role, wait=not away(error))
                raise
            quarantine.failed(client, depot_id, role, error)
            count(client, "jobs_failed", role=role)
            raise
        quarantine.succeeded(client, depot_id, role, answered=due is not None and due <= time.time())
        return published


def _another(client: Store, role: str, tried: dict[str, float]) -> str | None:
    """A depot that is due, that nobody works on, and that was not `tried` in vain: what it was due for has been answered since."""
    for depot_id, since in client.zrangebyscore(keys.shared_key(keys.DUE[role]), "-inf", time.time(), withscores=True):
        vain = tried.get(depot_id) == since or client.get(keys.hint(depot_id, role)) == "failed"
        if not vain and not client.exists(keys.lease(depot_id, role)):
            return str(depot_id)
    return None


def _doer(role: str) -> Callable[[Store, Settings, str], int]:
    """What is done in a role; who delivers needs no solver, and who plans no tables."""
    found: Callable[[Store, Settings, str], int] = getattr(import_module(f"workers.{DONE_BY[role]}"), role)
    return found


def _attempt(settings: Settings, snapshot: Snapshot, at: float) -> None:
    from workers import replan  # only where planning is to be tried

    replan.attempt(settings, snapshot, at)


SOLVERS = {"improve": "ortools.constraint_solver.pywrapcp", "match": "ortools.graph.python.linear_sum_assignment"}
"""What of OR-Tools a role may need: no job should pay for loading it."""


def preload(role: str) -> None:
    """What a worker loads once before it forks for jobs: maps, kernels and a solver's library, as far as its role needs."""
    if role == "load":  # polars has threads, which no fork survives: each job loads it for itself
        import_module("ingest.orders")
        import_module("routing.roads.maps")
    else:
        _doer(role)
    if role in ("deliver", "load"):
        return
    if role in SOLVERS:
        import_module(SOLVERS[role])

    from routing.roads import maps
    from workers import travel

    settings = Settings.read()
    travel.forget_earlier_boots(settings)
    for folder in settings.maps:
        for path in folder.glob(f"*{maps.SUFFIX}"):
            try:
                maps.network(path)
            except MapFileError as error:  # one broken file may not stop the depots on other maps
                log.error("%s", error)
