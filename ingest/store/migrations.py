"""From each schema of the data to the next, depot by depot; `python -m workers migrate` runs what is missing.

A step may be run twice: the schema's number is raised when all depots are through.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import redis

from ingest.store import keys
from ingest.store.connection import Store, WrongSchema
from routing import codec
from routing.errors import LastlegError
from routing.model import Depot


def _to_2(client: Store, depot_id: str) -> None:
    """Depots are dirty from the moment on at which a repair is due, no longer since when; improvable ones likewise."""
    for name in ("dirty", "improvable"):
        if client.zscore(keys.shared_key(name), depot_id) is not None:
            client.zadd(keys.shared_key(name), {depot_id: 0})


def _to_3(client: Store, depot_id: str) -> None:
    """Of closed orders it is known when they were closed, as far back as from now on."""
    open_ = client.smembers(keys.depot_key(depot_id, "open"))
    closed = {order: time.time() for order in client.hkeys(keys.depot_key(depot_id, "orders")) if order not in open_}
    if closed:
        client.zadd(keys.depot_key(depot_id, "closed"), closed, nx=True)


def _to_4(client: Store, depot_id: str) -> None:
    """Nothing is to be done, but older programs may not run beside: they do not know all triggers and timers there are now."""


STEPS: dict[int, Callable[[Store, str], None]] = {1: _to_2, 2: _to_3, 3: _to_4}
"""By the schema they begin from."""


def bring_up(client: Store, depot_id: str, schema: int) -> None:
    """One depot's data from a schema to this program's.

    Scripts read policies as they are stored: their documents are written again, with the defaults of what they lack.
    """
    document = client.get(keys.depot_key(depot_id, "depot"))
    client.set(keys.depot_key(depot_id, "depot"), codec.dumps(codec.loads(document, Depot)))
    for number in range(schema, int(keys.SCHEMA)):
        STEPS[number](client, depot_id)


class StillConnected(LastlegError):
    """Somebody may still write data of the older schema."""

    code = "connected"


def check_alone(client: Store) -> None:
    """Raise `StillConnected` if others are connected; who may not look (a user with few rights) is believed."""
    try:
        others = [row for row in client.client_list() if row["id"] != str(client.client_id())]
    except redis.exceptions.NoPermissionError:
        return
    if others:
        raise StillConnected(f"{len(others)} others are connected.", remedy="Stop all processes first; or use --anyway.")


def migrate(client: Store) -> tuple[int, int]:
    """All data to this program's schema, while nothing else runs: the schema they were of, and how many depots there are.

    Raises
    ------
    WrongSchema
        If they are of a newer program.
    """
    found = int(client.get(keys.shared_key("schema")) or keys.SCHEMA)
    if found > int(keys.SCHEMA):
        raise WrongSchema(f"Redis holds data of schema {found}; this program reads {keys.SCHEMA} and older.",
                          remedy="Start the newer program.")  # fmt: skip
    depots = sorted(client.smembers(keys.shared_key("depots")))
    for depot_id in depots:
        bring_up(client, depot_id, found)
    client.set(keys.shared_key("schema"), keys.SCHEMA)
    return found, len(depots)
