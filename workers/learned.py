"""What `python -m workers learn` has written: opened by whoever plans or looks ahead."""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from ingest.settings import Settings
from routing import codec
from routing.errors import BadProblem
from routing.eta.forecast import Learned
from routing.eta.service import Services
from routing.eta.speeds import Speeds
from routing.model import LEARNED, Depot, Order, Snapshot, kind_of
from routing.roads import maps
from routing.roads.profile import Profile

log = logging.getLogger(__name__)

UNTIL_THEN = "typical"
"""The speeds of a depot whose `speeds` are `learned`, until there are any; and what learning begins with."""


def folder(settings: Settings) -> Path:
    """Where it is kept."""
    return settings.state / "learned"


def of(settings: Settings, depot_id: str) -> Learned:
    """What has been learned of a depot's drives and visits; what is believed before the first if nothing has."""
    path = folder(settings) / "depots" / f"{depot_id}.json"
    found: Learned | None = _load(path, stamp, Learned) if (stamp := _written(path)) else None
    return found or Learned()


def applied(settings: Settings, snapshot: Snapshot) -> Snapshot:
    """A snapshot whose orders take as long as has been learned, where the depot's policy says so."""
    services = of(settings, snapshot.depot.id).services
    if not services.visits or not snapshot.depot.policy.learned_service:
        return snapshot
    return replace(snapshot, orders={key: _expected(order, services) for key, order in snapshot.orders.items()})


def _expected(order: Order, services: Services) -> Order:
    takes = {stop: services.expected(kind_of(stop), half.location, half.service_time)
             for stop in order.stop_ids for half in [order.half(stop)]}  # fmt: skip
    pickup = order.pickup and replace(order.pickup, service_time=takes[order.stop_ids[0]])
    return replace(order, service_time=takes[order.stop_id], pickup=pickup)


def stated(snapshot: Snapshot) -> dict[str, int]:
    """The service times that orders say themselves, by stop."""
    return {stop: order.half(stop).service_time for order in snapshot.orders.values() for stop in order.stop_ids}


def profile(settings: Settings, depot: Depot, weekday: int) -> Profile:
    """The speeds of a depot's streets on a day (0 is Monday): those of its table or, where it says `learned`, those of its drives.

    Raises
    ------
    BadRoads
        If there is no such table.
    """
    if depot.speeds != LEARNED:
        return maps.speeds(depot.speeds, settings.maps)
    path = folder(settings) / "maps" / f"{depot.map}.json"
    found = _profile(path, stamp, weekday) if (stamp := _written(path)) else None
    return found or maps.speeds(UNTIL_THEN, settings.maps)


def _written(path: Path) -> int:
    """When a file was written (ns); 0 if there is none."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


@lru_cache(maxsize=64)
def _load(path: Path, _stamp: int, kind: type[Learned] | type[Speeds]) -> Any:
    try:
        return codec.loads(path.read_bytes(), kind)
    except (OSError, BadProblem) as error:
        log.error("%s cannot be read and is left out; run `python -m workers learn` again: %s", path, error)
        return None


@lru_cache(maxsize=64)
def _profile(path: Path, stamp: int, weekday: int) -> Profile | None:
    known: Speeds | None = _load(path, stamp, Speeds)
    return known.profile(weekday) if known else None
