"""The dispatcher: turns what happened, and what the clock brings, into wake-up hints. Any number may run.

It holds no state of its own. Events only wake it; what is to do stands in Redis: dirty depots, depots worth
improving, timers, and when each driver must be heard of. Everything it does is safe to do twice.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from math import ceil

import redis
from rq import Queue
from rq.serializers import JSONSerializer

from ingest.settings import Settings
from ingest.store import embedded, keys, writers
from ingest.store.connection import Store, away, check_schema, connect
from ingest.store.metrics import count

log = logging.getLogger(__name__)

GROUP = "dispatch"
TICK_S = 0.1
"""How long to wait for an event before looking at the clock."""

SOON_S = 1.0
"""So long before a repair is due nobody begins an improvement, and one that runs ends with what it has."""

HINT_S = 2.0
"""A hint that no worker has taken by then counts as lost."""

DEAD_S = 3600.0
"""So long after a dispatcher was last heard of it counts as gone for good."""

QUEUED_S = 24 * 3600
"""How long it is remembered which job was queued last."""

JOB_TIMEOUT_S = {"repair": 30, "improve": 120, "track": 30, "match": 30, "deliver": 60, "load": 900}
"""What takes longer hangs: it is stopped, and counts as a try in vain."""

FAILED_JOB_TTL_S = 3600


def run(settings: Settings, stop: threading.Event) -> None:
    """Dispatch until `stop` is set, through any outage of Redis.

    Raises
    ------
    WrongSchema
        If Redis holds data of another version of this program.
    """
    client = connect(settings, blocking=TICK_S)
    raw = redis.Redis.from_url(embedded.url(settings), socket_timeout=3.0, retry=embedded.ONCE_MORE)
    queues = {role: Queue(role, connection=raw, serializer=JSONSerializer) for role in keys.DUE}
    mine = consumer(os.getpid())
    wait, ours = TICK_S, False
    while not stop.is_set():
        try:
            if not ours:
                check_schema(client)
                _join(client)
                ours = True
            _listen(client, mine, wait)
            now = time.time()
            _clock(client, now)
            wait = _wake(client, queues, now)
        except redis.RedisError as error:
            if "NOGROUP" in str(error):
                ours = False
            elif away(error):
                log.warning("Redis is away: %s", error)
                for other in (client, raw):  # a connection that has died without a word is rarely the only one
                    other.connection_pool.disconnect()
            else:
                log.exception("a round failed")  # the next one finds what there is to do, and every other depot's
            stop.wait(0.5)


def call(settings: Settings, depot_id: str, made: str, *, hands: int, seconds: float) -> None:
    """Ask so many improve workers to help with a giant depot's districts; who is not there in time need not come."""
    if hands < 1:
        return
    raw = redis.Redis.from_url(embedded.url(settings), socket_timeout=3.0, retry=embedded.ONCE_MORE)
    queue = Queue("improve", connection=raw, serializer=JSONSerializer)
    for _ in range(hands):
        queue.enqueue_call("workers.jobs.district", args=(depot_id, made), timeout=JOB_TIMEOUT_S["improve"],
                           ttl=max(1, ceil(seconds)), result_ttl=0, failure_ttl=FAILED_JOB_TTL_S)  # fmt: skip
    raw.close()


def consumer(pid: int) -> str:
    """What a dispatcher on this machine is called in the consumer group."""
    return f"{socket.gethostname()}-{pid}"


def _join(client: Store) -> None:
    """Make the consumer group if there is none, and strike off who has not been heard of for long: each start is another one."""
    try:
        client.xgroup_create(keys.shared_key("events"), GROUP, id="$", mkstream=True)
    except redis.ResponseError as error:
        if "BUSYGROUP" not in str(error):
            raise
    for other in client.xinfo_consumers(keys.shared_key("events"), GROUP):
        if other["idle"] > 1000 * DEAD_S:
            client.xgroup_delconsumer(keys.shared_key("events"), GROUP, other["name"])


def _listen(client: Store, mine: str, wait: float) -> None:
    """Wait for an event, at most `wait` seconds. What it says does not matter here: the state it changed does.

    So it counts as read at once, and no dispatcher that dies holds up the trimming of the stream.
    """
    client.xreadgroup(GROUP, mine, {keys.shared_key("events"): ">"}, count=500, block=max(1, int(wait * 1000)), noack=True)


def _clock(client: Store, now: float) -> None:
    """Fire due timers, and tell of drivers not heard of in time."""
    for member in client.zrangebyscore(keys.shared_key("timers"), "-inf", now, start=0, num=200):
        _fire(client, "timers", member, now)
    for member in client.zrangebyscore(keys.shared_key("heard"), "-inf", now, start=0, num=200):
        _fire(client, "heard", member, now)


def _fire(client: Store, where: str, member: str, now: float) -> None:
    """Fire one. What cannot be fired is dropped and told, so that it does not stand in the way of all others for ever."""
    try:
        if where == "timers":
            depot_id, kind, subject = member.split(" ")
            writers.due(client, depot_id, "timer", member, kind, subject, now)
        else:
            depot_id, driver = member.split(" ")
            writers.due(client, depot_id, "silence", member, "driver_silent", driver, now)
    except (ValueError, redis.ResponseError) as error:
        log.error("dropped %r from %s: %s", member, where, error)
        client.zrem(keys.shared_key(where), member)
        count(client, "timers_dropped")


def _wake(client: Store, queues: dict[str, Queue], now: float) -> float:
    """One hint per depot and role, unless one is under way or somebody works on it: this is the sweep, too.

    Returns the seconds until the next repair is due, a tick at most.
    """
    dirty = client.zrange(keys.shared_key("dirty"), 0, -1, withscores=True)
    for role, queue in queues.items():
        for depot_id in client.zrangebyscore(keys.shared_key(keys.DUE[role]), "-inf", now):
            if role != "improve" or depot_id not in {waiting for waiting, due in dirty if due <= now + SOON_S}:
                _hint(client, queue, depot_id, role)
    return min((float(due) - now for _, due in dirty if now < due < now + TICK_S), default=TICK_S)


def _hint(client: Store, queue: Queue, depot_id: str, role: str) -> None:
    if client.exists(keys.lease(depot_id, role)):
        return
    if not client.set(keys.hint(depot_id, role), "1", nx=True, px=int(HINT_S * 1000)):
        return
    waiting = client.get(keys.queued(depot_id, role))
    if waiting is not None and client.lpos(keys.rq_queue(role), waiting) is not None:
        return  # no worker has come to it yet, or all are suspended
    job = queue.enqueue_call(f"workers.jobs.{role}", args=(depot_id,), timeout=JOB_TIMEOUT_S[role], result_ttl=0,
                             failure_ttl=FAILED_JOB_TTL_S)  # fmt: skip
    client.set(keys.queued(depot_id, role), job.id, ex=QUEUED_S)
