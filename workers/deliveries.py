"""Delivering webhooks: each event to each listener that wants it, until the listener has it or a day has passed.

What is to be delivered stands in Redis, event by listener; the RQ job is only a hint, as everywhere. Each is sent at least once: a
worker that dies between the listener's answer and its record sends again, under the same `webhook-id`.
"""

from __future__ import annotations

import json
import logging
import random
import time
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import msgspec

from ingest import webhooks
from ingest.schemas import iso
from ingest.settings import Settings
from ingest.store import keys, readers
from ingest.store.connection import Store, run
from ingest.store.metrics import Tally
from ingest.webhooks import Sent, Webhook
from routing import codec
from routing.model import Depot
from workers.feed import envelope

log = logging.getLogger(__name__)

LUA = Path(__file__).parent / "lua"

RETRIES_S = (5, 30, 120, 600, 1800, 3600, 7200, 14_400, 21_600, 36_000)
"""How long after each try in vain the next one comes (real s): a day in all."""

JITTER = 0.1
"""By so much of it a wait is longer or shorter by chance, so that not all come at once."""

ASKED_TO_WAIT_S = 3600
"""So long at most does a listener's `Retry-After` put a message off."""

RESTS_S = 60.0
"""A listener that fails again and again is left alone for up to so long, whatever waits for it."""

TURN_S = 8.0
"""How long a job goes on sending what has come since."""

THREADS = 16
"""So many listeners are sent to at the same time, each one message after the other."""

OF_ONE = 4
"""So many of them may be one shipper's."""

LOOK_S = 0.1
"""While listeners take their time it is looked again so often (s) what others wait for."""

LATER_S = 3600.0
"""What waits for a listener that is disabled is looked at again after so long, if its owner does not enable it before."""

GIVEN_UP_S = 2 * 86_400
"""What is older, of a listener that fails, is given up without further tries."""

EACH = 100
"""So many messages of one listener at a time, so that none holds up the others."""

FAN_OUT = 1000
MOST_RESUMED = 100_000
TRIES_KEPT = 12


class Delivery(msgspec.Struct, frozen=True):
    """One event for one listener, and since when (real s) it is to be delivered.

    `state` is `pending`, `delivered` or `dead`; `tries` are the newest.
    """

    webhook: str
    number: int
    created_at: float
    state: str = "pending"
    attempts: int = 0
    next_at: float | None = None
    tries: tuple[Sent, ...] = ()


def deliver(client: Store, settings: Settings, depot_id: str) -> int:
    """Send what is due at a depot; how many messages listeners have got."""
    depot, until, sent = readers.depot(client, depot_id), time.monotonic() + TURN_S, 0
    if depot is None:
        client.zrem(keys.shared_key("deliverable"), depot_id)
        return 0
    busy: dict[str, tuple[Webhook, Future[int]]] = {}
    slow: set[str] = set()  # those whom the end of the turn waits for: nobody else has to
    with ThreadPoolExecutor(THREADS) as pool:
        while True:
            for name, (_, job) in list(busy.items()):
                if job.done():
                    sent += job.result()
                    del busy[name]
            while _fan_out(client, depot) == FAN_OUT:
                pass
            listeners = _listeners(client, depot)
            late = time.monotonic() > until
            slow |= busy.keys() if late else set()
            for name, rows in _due(client, depot_id, listeners).items():
                of_his = sum(webhook.owner == listeners[name].owner for webhook, _ in busy.values())
                if name not in busy and of_his < OF_ONE and (not late or (busy and name not in slow)):
                    work = pool.submit(_send_all, client, settings, depot, listeners[name], rows, max(until, time.monotonic() + 1))
                    busy[name] = listeners[name], work
            if not busy and (run(client, depot_id, "deliver_next", [time.time()], folder=LUA) or late):
                return sent
            wait([job for _, job in busy.values()], timeout=LOOK_S, return_when=FIRST_COMPLETED)


def _listeners(client: Store, depot: Depot) -> dict[str, Webhook]:
    return {webhook.id: webhook for webhook in webhooks.every(client) if webhook.tenant == depot.tenant}


def _fan_out(client: Store, depot: Depot) -> int:
    """Note who is to get the next events of the feed; how many events that were."""
    after = int(client.get(keys.depot_key(depot.id, "fanned")) or 0)
    rows = readers.feed(client, depot.id, after=after, limit=FAN_OUT)
    if not rows:
        _, newest = readers.feed_ends(client, depot.id)
        if newest > after:  # what was between is no longer kept
            run(client, depot.id, "fan_out", [after, newest, time.time(), "{}"], folder=LUA)
        return 0
    listeners = _listeners(client, depot)  # after the events: who was told before them that he would hear of all is among them
    made = [Delivery(webhook.id, row.number, row.at, next_at=row.at) for row in rows for webhook in listeners.values()
            if webhook.wants(depot.id, depot.tenant, row.shipper, row.event["type"], row.at)]  # fmt: skip
    texts = {field(delivery): codec.dumps(delivery).decode() for delivery in made}
    run(client, depot.id, "fan_out", [after, rows[-1].number, time.time(), json.dumps(texts)], folder=LUA)
    return len(rows)


def field(delivery: Delivery) -> str:
    """What a delivery is kept under."""
    return f"{delivery.webhook}|{delivery.number}"


def _due(client: Store, depot_id: str, listeners: dict[str, Webhook]) -> dict[str, list[Delivery]]:
    """What is due, by listener; those that rest are left out, and what is for nobody any more is dropped."""
    mine: Counter[str] = Counter()
    names = []
    for name in client.zrangebyscore(keys.depot_key(depot_id, "deliver_due"), "-inf", time.time()):
        mine[name.split("|")[0]] += 1
        if mine[name.split("|")[0]] <= EACH:
            names.append(name)
    texts = client.hmget(keys.depot_key(depot_id, "deliveries"), names) if names else []
    due: dict[str, list[Delivery]] = {}
    for name, text in zip(names, texts, strict=True):
        delivery = codec.loads(text, Delivery) if text else None
        webhook = listeners.get(name.split("|")[0])
        if delivery is None or webhook is None:
            client.zrem(keys.depot_key(depot_id, "deliver_due"), name)
            client.hdel(keys.depot_key(depot_id, "deliveries"), name)
        elif not webhook.enabled:
            client.zadd(keys.depot_key(depot_id, "deliver_due"), {name: time.time() + LATER_S}, xx=True)
        else:
            due.setdefault(webhook.id, []).append(delivery)
    return due


def _send_all(client: Store, settings: Settings, depot: Depot, webhook: Webhook, due: Iterable[Delivery], until: float) -> int:
    """Send to one listener, in order, until one fails; it is left alone for a while then."""
    done, tally = 0, Tally()
    for delivery in sorted(due, key=lambda row: row.number):
        if time.monotonic() > until:
            break
        row = next((row for row in readers.feed(client, depot.id, after=delivery.number - 1, limit=1)
                    if row.number == delivery.number), None)  # fmt: skip
        if row is None:
            result = Sent(time.time(), None, "the event is no longer kept", 0)
            after = msgspec.structs.replace(delivery, state="dead", next_at=None, tries=(*delivery.tries, result))
        else:
            current = webhooks.one(client, webhook.id)
            if current is None or not current.enabled:  # since this job began
                break
            webhook, told = current, envelope(depot, row, operator=current.owner == "")
            result = webhooks.send(webhook, told["id"], json.dumps(told).encode(), settings.webhook_networks)
            after = _after(delivery, result)
        _record(client, depot.id, after)
        tally.count("webhook_messages", 1, outcome="failed" if after.state == "pending" else after.state)
        if result.status == 410:
            _silence(client, webhook)
            break
        if row is not None and not result.delivered:
            rest = _rest(client, depot.id, webhook)
            log.info("webhook %s: %s; resting %d s", webhook.id, result.error, rest, extra={"depot": depot.id})
            break
        done += result.delivered
        client.hdel(keys.depot_key(depot.id, "hook_failures"), webhook.id)
    tally.add(client)
    return done


def _after(delivery: Delivery, result: Sent) -> Delivery:
    """A delivery after a try."""
    attempts, tries = delivery.attempts + 1, (*delivery.tries, result)[-TRIES_KEPT:]
    if result.delivered:
        return msgspec.structs.replace(delivery, state="delivered", attempts=attempts, tries=tries, next_at=None)
    if attempts > len(RETRIES_S) or result.at - delivery.created_at > GIVEN_UP_S:
        return msgspec.structs.replace(delivery, state="dead", attempts=attempts, tries=tries, next_at=None)
    wait = RETRIES_S[attempts - 1] * random.uniform(1 - JITTER, 1 + JITTER)
    if result.retry_after is not None:
        wait = max(wait, min(result.retry_after, ASKED_TO_WAIT_S))
    return msgspec.structs.replace(delivery, attempts=attempts, tries=tries, next_at=result.at + wait)


def _record(client: Store, depot_id: str, delivery: Delivery) -> None:
    with client.pipeline(transaction=True) as pipeline:
        pipeline.hset(keys.depot_key(depot_id, "deliveries"), field(delivery), codec.dumps(delivery).decode())
        if delivery.next_at is None:
            pipeline.zrem(keys.depot_key(depot_id, "deliver_due"), field(delivery))
        else:
            pipeline.zadd(keys.depot_key(depot_id, "deliver_due"), {field(delivery): delivery.next_at})
        pipeline.execute()


def _rest(client: Store, depot_id: str, webhook: Webhook) -> float:
    """Put off all that is due to a listener that has just failed: the longer, the oftener it has."""
    failures = client.hincrby(keys.depot_key(depot_id, "hook_failures"), webhook.id, 1)
    rest = min(RESTS_S, 0.5 * float(2 ** min(int(failures), 10)))
    due, until = keys.depot_key(depot_id, "deliver_due"), time.time() + rest
    names = [name for name in client.zrangebyscore(due, "-inf", until) if name.startswith(f"{webhook.id}|")]
    if names:
        client.zadd(due, dict.fromkeys(names, until), xx=True)
        _give_up(client, depot_id, names)
    return rest


def _give_up(client: Store, depot_id: str, names: list[str]) -> None:
    """What is older than all tries take, behind one that failed just now, need not be tried one by one."""
    for text in client.hmget(keys.depot_key(depot_id, "deliveries"), names):
        delivery = codec.loads(text, Delivery) if text else None
        if delivery is not None and delivery.state == "pending" and delivery.created_at < time.time() - GIVEN_UP_S:
            result = Sent(time.time(), None, "given up: its listener has not answered for more than two days", 0)
            tries = (*delivery.tries, result)[-TRIES_KEPT:]
            _record(client, depot_id, msgspec.structs.replace(delivery, state="dead", next_at=None, tries=tries))


def resume(client: Store, webhook: Webhook) -> None:
    """A listener is enabled again: what waits for it is due."""
    now = time.time()
    for depot_id in readers.depots(client):
        names = [field(row) for row in logged(client, depot_id, webhook.id, state="pending", limit=MOST_RESUMED)]
        if names:
            client.zadd(keys.depot_key(depot_id, "deliver_due"), dict.fromkeys(names, now))
            client.zadd(keys.shared_key("deliverable"), {depot_id: now}, lt=True)


def _silence(client: Store, webhook: Webhook) -> None:
    """A listener that says it is gone (410) is sent nothing more until its owner enables it again."""
    webhooks.change(client, webhook.id,
                    lambda now: msgspec.structs.replace(now, enabled=False, why_disabled="it answered 410 Gone"))  # fmt: skip
    log.warning("webhook %s is gone", webhook.id)


def again(client: Store, depot_id: str, delivery: Delivery) -> Delivery:
    """Begin anew with a delivery, now."""
    fresh: Delivery = msgspec.structs.replace(delivery, state="pending", attempts=0, created_at=time.time(), next_at=time.time())
    _record(client, depot_id, fresh)
    client.zadd(keys.shared_key("deliverable"), {depot_id: time.time()}, lt=True)
    return fresh


def logged(client: Store, depot_id: str, webhook_id: str, *, state: str | None, limit: int) -> list[Delivery]:
    """Deliveries of a listener, the newest first."""
    oldest, newest = readers.feed_ends(client, depot_id)
    found: list[Delivery] = []
    for top in range(newest, oldest - 1, -FAN_OUT):
        names = [f"{webhook_id}|{number}" for number in range(top, max(top - FAN_OUT, oldest - 1), -1)]
        rows = (codec.loads(text, Delivery) for text in client.hmget(keys.depot_key(depot_id, "deliveries"), names) if text)
        found += [row for row in rows if state in (None, row.state)]
        if len(found) >= limit:
            break
    return found[:limit]


def found(client: Store, depot_id: str, webhook_id: str, number: int) -> Delivery | None:
    """The delivery of an event to a listener, by the event's number."""
    text = client.hget(keys.depot_key(depot_id, "deliveries"), f"{webhook_id}|{number}")
    return codec.loads(text, Delivery) if text else None


def forget(client: Store, depot_id: str) -> None:
    """Drop the log of events that are no longer kept."""
    oldest, _ = readers.feed_ends(client, depot_id)
    old = [name for name, _ in client.hscan_iter(keys.depot_key(depot_id, "deliveries"), count=1000)
           if int(name.split("|")[1]) < oldest]  # fmt: skip
    if old:
        client.hdel(keys.depot_key(depot_id, "deliveries"), *old)
        client.zrem(keys.depot_key(depot_id, "deliver_due"), *old)


def view(depot: Depot, delivery: Delivery) -> dict[str, Any]:
    """A delivery as the API shows it."""
    tries = [{"at": iso(sent.at), "status": sent.status, "error": sent.error, "ms": sent.ms} for sent in delivery.tries]
    return {
        "event_id": f"evt_{depot.id}_{delivery.number}", "depot_id": depot.id, "state": delivery.state, "tries": tries,
        "attempts": delivery.attempts, "next_attempt_at": iso(delivery.next_at) if delivery.next_at else None,
    }  # fmt: skip
