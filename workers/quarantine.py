"""What a depot's re-solves fail on goes aside, so that the depot goes on without it; by halves, until the guilty are found.

A try is counted before it begins, so that one which takes its process down counts as well. After `TRIES` without a success, the
orders and road events that unanswered triggers are about go aside. Once the depot has its plan without them, half of them are
let in on trial; those who pass are free, of those who do not half as many are tried. Who fails alone stays aside until it is
changed or an operator tries it again. What a try failed on is kept in `<state>/aside`, for `python -m workers replay`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import redis

from ingest.settings import Settings
from ingest.store import keys, readers, writers
from ingest.store.connection import Store
from ingest.store.metrics import count
from routing import codec
from routing.errors import LastlegError
from routing.model import Snapshot, StopState, Trigger, order_of

log = logging.getLogger(__name__)

TRIES = 3
"""Tries in vain after which something goes aside; of several on trial together it takes one to try fewer."""

BACK_OFF_S = (0.5, 1.0, 2.0, 10.0)
"""How long a depot is left alone after the first, second ... try that failed: the other depots need the worker too."""

KEPT = 20
"""So many tries are kept in `<state>/aside`, the newest."""


@dataclass(frozen=True, slots=True)
class Tried:
    """What a try failed on: when (real s), in which role, how it ended, and the state it began from."""

    at: float
    role: str
    failure: str
    snapshot: Snapshot


Attempt = Callable[[Settings, Snapshot, float], None]
"""Plans a snapshot at a real time without publishing; raises what planning it raises."""


def begin(client: Store, settings: Settings, depot_id: str, role: str, attempt: Attempt) -> None:
    """A try begins. After too many in vain, what they may have failed on goes aside before it."""
    tries = _tries(depot_id)
    number, failure = client.hincrby(tries, role, 1), client.hget(tries, f"{role}|failure")
    if number > 1 and failure is None:
        count(client, "jobs_failed", role=role)  # whoever tried before did not live to say so
    if number <= (TRIES if _on_trial(client, depot_id) <= 1 else 1):  # of several on trial none is condemned
        return
    failure = failure or "A process ended, or was stopped, while it planned this."
    kept = _keep(client, settings, depot_id, role, failure)
    if role != "repair":  # the plan in force is a good one
        client.zadd(keys.shared_key(keys.DUE[role]), {depot_id: time.time() + GIVEN_UP_S}, xx=True)
        client.hset(tries, role, 1)
        log.error("gave up %s for now: %s", role, failure, extra={"depot": depot_id, "kept": str(kept)})
    elif _put_aside(client, depot_id, failure, partial(attempt, settings)):
        client.hset(tries, role, 1)


GIVEN_UP_S = 300.0
"""So long an improvement or a look ahead that fails again and again is left alone."""


def failed(client: Store, depot_id: str, role: str, error: Exception) -> None:
    """A try has failed: the depot is left alone for a while."""
    tries = _tries(depot_id)
    client.hset(tries, f"{role}|failure", f"{type(error).__name__}: {error}"[:500])
    number = int(client.hget(tries, role) or 1)
    client.set(keys.hint(depot_id, role), "failed", px=int(1000 * BACK_OFF_S[min(number, len(BACK_OFF_S)) - 1]))


def interrupted(client: Store, depot_id: str, role: str, *, wait: bool) -> None:
    """A try has ended for what is not the depot's fault: it does not count. The next one may have to `wait` a little."""
    with suppress(redis.RedisError):  # else it is counted as if its process had been killed
        if int(client.hget(_tries(depot_id), role) or 0) > 0:
            client.hincrby(_tries(depot_id), role, -1)
        if wait:
            client.set(keys.hint(depot_id, role), "failed", px=int(1000 * BACK_OFF_S[-2]))


def succeeded(client: Store, depot_id: str, role: str, *, answered: bool) -> None:
    """A try has succeeded: who was on trial is free, and the next are tried, if it has `answered` triggers at all."""
    tries = _tries(depot_id)
    client.hdel(tries, role, f"{role}|failure")
    if role != "repair" or not answered or client.zscore(keys.shared_key(keys.DUE[role]), depot_id) is not None:
        return
    aside = readers.aside(client, depot_id)
    if not aside:
        return
    on_trial = [record for record, entry in aside.items() if entry.state == "on_trial"]
    many = int(client.hget(tries, "at_once") or 1)
    if on_trial:
        writers.aside(client, depot_id, on_trial, "free", now=time.time())
        client.hset(tries, "at_once", 2 * many)
    waiting = [record for record, entry in aside.items() if entry.state == "waiting"]
    writers.aside(client, depot_id, waiting[:many], "on_trial", now=time.time())


def _on_trial(client: Store, depot_id: str) -> int:
    return sum(entry.state == "on_trial" for entry in readers.aside(client, depot_id).values())


def _tries(depot_id: str) -> str:
    return keys.depot_key(depot_id, "tries")


def _put_aside(client: Store, depot_id: str, failure: str, attempt: Callable[[Snapshot, float], None]) -> bool:
    """Put the suspects aside: those on trial, or else all; False if there is nobody to suspect."""
    aside = readers.aside(client, depot_id)
    suspects = [record for record, entry in aside.items() if entry.state == "on_trial"]
    alone = len(suspects) == 1
    suspects = suspects or _suspects(client, depot_id, set(aside)) or _guilty(client, depot_id, attempt)
    if not suspects:
        return False
    writers.aside(client, depot_id, suspects, "waiting", now=time.time(), failure=failure)
    if alone:
        writers.aside(client, depot_id, suspects, "guilty", now=time.time())
        count(client, "records_set_aside")
    client.hset(_tries(depot_id), "at_once", -(-len(suspects) // 2))
    log.error("planned without %s: %s", ", ".join(suspects), failure, extra={"depot": depot_id})
    return True


def _suspects(client: Store, depot_id: str, aside: set[str]) -> list[str]:
    """Who may be guilty, of what is not aside.

    Those that unanswered triggers are about, road events and orders nobody has started; or else such orders that no plan has yet.
    """
    texts = client.zrange(keys.depot_key(depot_id, "triggers"), 0, -1)
    subjects = [codec.loads(text, Trigger).subject for text in texts]
    named = [name for subject in subjects for name in (subject, order_of(subject))]
    open_ = set(client.smembers(keys.depot_key(depot_id, "open")))
    planned = {order_of(stop) for stop in client.hkeys(keys.depot_key(depot_id, "stop_shift"))}
    events = set(client.hkeys(keys.depot_key(depot_id, "road_events")))
    for some in (dict.fromkeys(named), sorted(open_ - planned)):
        found = [name for name in some if name not in aside
                 and (name in events or (name in open_ and not _started(client, depot_id, name)))]  # fmt: skip
        if found:
            return found
    return []


def _guilty(client: Store, depot_id: str, attempt: Callable[[Snapshot, float], None]) -> list[str]:
    """Planned orders that planning fails with and does not without, found by halves; none if it fails without all of them, too.

    Nobody has begun them. They are told by what is raised: of what ends the process nothing is learnt here.
    """
    snapshot, now = readers.snapshot(client, depot_id), time.time()
    if snapshot is None:
        return []
    known = sorted(order for order in snapshot.orders if not _started(client, depot_id, order))

    def fails(without: Collection[str]) -> bool:
        rest = {key: order for key, order in snapshot.orders.items() if key not in without}
        try:
            attempt(replace(snapshot, orders=rest), now)
        except Exception as error:
            if type(error).__module__.startswith("rq."):  # the job's own timeout
                raise
            return True
        return False

    found: list[str] = []
    if not known or fails(known):
        return found
    while fails(found):
        low, high = 0, len(known)  # without the first `high` it is well, without the first `low` it is not
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if fails([*found, *known[:middle]]) else (low, middle)
        found.append(known[high - 1])
    return found


def _started(client: Store, depot_id: str, order_id: str) -> bool:
    """Whether a driver is on the way to it or further; told without its document, which may be what is wrong."""
    stops = [f"{order_id}.{kind}" for kind in ("delivery", "collection", "service", "pickup")]
    return any(progress.state is not StopState.CANCELLED for progress in readers.progress_of(client, depot_id, stops).values())


def _keep(client: Store, settings: Settings, depot_id: str, role: str, failure: str) -> Path | None:
    """Write what was to be planned to the state folder; None if it cannot even be read."""
    try:
        snapshot = readers.snapshot(client, depot_id)
    except LastlegError as error:
        log.error("the state cannot be read: %s", error, extra={"depot": depot_id})
        return None
    if snapshot is None:
        return None
    folder = settings.state / "aside"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{depot_id}-{snapshot.revision}.{role}.json"
    path.write_bytes(codec.dumps(Tried(time.time(), role, failure, snapshot)))
    for old in sorted(folder.glob("*.json"), key=lambda file: file.stat().st_mtime)[:-KEPT]:
        old.unlink(missing_ok=True)
    return path
