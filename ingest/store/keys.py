"""Every key this program keeps in Redis; `docs/keys.md` says what is in them and who writes them.

All keys of a depot begin with `lastleg:{depot}:`. Scripts get the fixed list `DEPOT` and then `SHARED` as
KEYS, and know them by name (`K.orders`), so that no script can invent a key unseen.
"""

from __future__ import annotations

from functools import lru_cache

PREFIX = "lastleg"

DEPOT = (
    "depot", "rev", "drivers", "vehicles", "shifts", "orders", "open", "order_index", "external", "fingerprints",
    "record_rev", "goods", "declined", "absent", "positions", "ping_at", "progress", "trail", "departed", "returned",
    "shift_driver", "road_events", "roads", "triggers", "asked", "repaired", "improving", "version", "plan", "planned_on",
    "sequences", "stop_shift", "routes", "route_versions", "unassigned", "versions", "snapshots", "commit_ms", "proposal", "aside",
    "tries", "closed", "foreseen", "etas", "etas_of", "eta_told", "forecasts", "near", "duty",
    "offers", "offered", "unmatched", "held", "passed", "acks", "breaks", "rested", "fed", "feed", "feed_seq", "timelines",
    "fanned", "deliveries", "deliver_due", "hook_failures", "imports", "import_tries",
)  # fmt: skip
"""One key each per depot."""

SHARED = ("depots", "events", "pings", "published", "dirty", "improvable", "moving", "matchable", "deliverable", "loadable",
          "timers", "heard", "metrics", "webhooks", "feed_read", "schema")  # fmt: skip
"""One key each per Redis that scripts get; `keys`, who may call, is the API's alone."""

DUE = {"repair": "dirty", "improve": "improvable", "track": "moving", "match": "matchable", "deliver": "deliverable",
       "load": "loadable"}  # fmt: skip
"""What each role works off: depots, and from when on (real s) they wait for it."""

SCHEMA = "4"
"""Raised when stored data change shape; a start on other data is refused."""


def depot_key(depot_id: str, name: str) -> str:
    """Key `name` of a depot."""
    return f"{PREFIX}:{{{depot_id}}}:{name}"


def shared_key(name: str) -> str:
    """Key `name` of the whole Redis."""
    return f"{PREFIX}:{name}"


@lru_cache(maxsize=1024)
def script_keys(depot_id: str) -> tuple[str, ...]:
    """The KEYS of every script."""
    return *(depot_key(depot_id, name) for name in DEPOT), *(shared_key(name) for name in SHARED)


def personal(depot_id: str, record_id: str) -> str:
    """Names, phones and notes of one record: a hash that expires and can be erased."""
    return depot_key(depot_id, f"personal:{record_id}")


def allowance(principal_id: str) -> str:
    """What a key has used of the calls it may make."""
    return shared_key(f"allowance:{principal_id}")


def once(depot_id: str, scope: str, token: str) -> str:
    """The stored answer of something that may be sent twice."""
    return depot_key(depot_id, f"once:{scope}:{token}")


def quote(depot_id: str, quote_id: str) -> str:
    """A quote that can be accepted."""
    return depot_key(depot_id, f"quote:{quote_id}")


def import_file(depot_id: str, import_id: str) -> str:
    """A file that is to be imported, packed."""
    return depot_key(depot_id, f"import_file:{import_id}")


def ping_seqs(depot_id: str, driver_id: str) -> str:
    """The last thousand ping numbers of a driver."""
    return depot_key(depot_id, f"ping_seqs:{driver_id}")


def recent_pings(depot_id: str, driver_id: str) -> str:
    """A driver's newest pings."""
    return depot_key(depot_id, f"recent_pings:{driver_id}")


def route_stream(depot_id: str, driver_id: str) -> str:
    """A driver's route versions; entry ids are `<route version>-0`."""
    return depot_key(depot_id, f"route:{driver_id}")


def route_channel(depot_id: str, driver_id: str) -> str:
    """The pub/sub channel of a driver's route. A hint: what is said while nobody listens is gone."""
    return f"{PREFIX}:{depot_id}:route:{driver_id}"


def rq_queue(role: str) -> str:
    """RQ's list of jobs that wait in a queue."""
    return f"rq:queue:{role}"


def rq_workers(role: str) -> str:
    """RQ's set of workers at a queue."""
    return f"rq:workers:{role}"


def lease(depot_id: str, role: str) -> str:
    """Who works on a depot in a role right now."""
    return depot_key(depot_id, f"lease:{role}")


def queued(depot_id: str, role: str) -> str:
    """The job of the last wake-up."""
    return depot_key(depot_id, f"queued:{role}")


def hint(depot_id: str, role: str) -> str:
    """A wake-up that is already under way."""
    return depot_key(depot_id, f"hint:{role}")


def districts(depot_id: str, made: str) -> str:
    """A depot's state in districts that are searched side by side, and what was found."""
    return depot_key(depot_id, f"districts:{made}")


def untaken(depot_id: str, made: str) -> str:
    """The districts of those that nobody searches yet."""
    return depot_key(depot_id, f"untaken:{made}")
