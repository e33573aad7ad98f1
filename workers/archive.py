"""The archiver: events and pings to Parquet, and only then out of Redis; so are orders and shifts that are over for long.

A consumer group of its own reads each stream. A batch is written to a file named after its first and last
entry and then acknowledged: killed in between, the same batch is written to the same file again. Orders and shifts are
written before they are forgotten: killed in between, they are in two files.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

import polars as pl
import redis

from ingest import auth
from ingest.settings import Settings
from ingest.store import keys, readers, writers
from ingest.store.connection import Store, away, check_schema, connect
from workers import deliveries, imports

log = logging.getLogger(__name__)

GROUP = "archive"
CONSUMER = "archive"
BATCH = 10_000
EVERY_S = 30.0
"""Batches are written at most this often, so that files are worth reading."""

FIRST_S = 600.0
"""So long after its start the archiver begins to learn, if that is due."""

TIDY_S = 3600.0
"""How often what has expired is removed: keys of callers, files of the archive, what the embedded store's log still has."""

RETIRED = 500
"""Orders and shifts are forgotten so many at a time."""

KEEP = 10_000
"""Entries a stream keeps though archived, for those who read them live."""

STREAMS = {"events": ("depot", "rev", "type", "data"), "pings": ("depot", "driver", "pings"),
           "audit": ("tenant", "who", "name", "action", "method", "path", "status", "body")}  # fmt: skip


def run(settings: Settings, stop: threading.Event, *, every: float = EVERY_S) -> None:
    """Archive until `stop` is set, and once more then."""
    client = connect(settings)
    ours, looked = False, 0.0
    learner: subprocess.Popen[bytes] | None = None
    tried = time.time() - settings.learn_every * 3600 + FIRST_S
    while True:
        last = stop.wait(every)
        idle = learner is None or learner.poll() is not None
        if idle and not last and learning_due(settings, tried, time.time()):
            tried = time.time()  # a process of its own: what it takes of memory it gives back
            learner = subprocess.Popen([sys.executable, "-m", "workers", "learn"])
        for name in STREAMS:
            try:
                if not ours:
                    check_schema(client)
                    ours = True
                while archive(client, settings.archive, name) == BATCH:
                    pass
            except redis.RedisError as error:
                _told(error)
        try:
            for depot_id in readers.depots(client) if ours else ():
                while retire(client, settings.archive, depot_id) == RETIRED:
                    pass
                writers.trim_feed(client, depot_id, now=time.time())
                deliveries.forget(client, depot_id)
                imports.forget(client, depot_id, now=time.time())
            if ours and time.monotonic() - looked > TIDY_S:
                for depot in filter(None, (readers.depot(client, depot_id) for depot_id in readers.depots(client))):
                    writers.keep_crew(client, depot, now=time.time())
                expire(settings, time.time())
                if settings.redis_url is None:
                    with suppress(redis.ResponseError):  # it is doing so at the moment
                        client.bgrewriteaof()  # what has been erased leaves the disk
                with suppress(redis.exceptions.NoPermissionError):  # a user with few rights; the API does it as well
                    auth.forget_expired(client)
                looked = time.monotonic()
        except redis.RedisError as error:
            _told(error)
        if last:
            if learner is not None:
                learner.terminate()
            return


def expire(settings: Settings, now: float) -> int:
    """Remove files of the archive that are older (real s) than it keeps them; how many."""
    if not settings.archive_days:
        return 0
    old = [path for path in settings.archive.glob("*/*.parquet") if path.stat().st_mtime < now - settings.archive_days * 86_400]
    for path in old:
        path.unlink(missing_ok=True)
    return len(old)


def learning_due(settings: Settings, tried: float, now: float) -> bool:
    """Whether it is time to learn anew: so long after it was tried last, or something was learned, by whomever (real s)."""
    done = max((path.stat().st_mtime for path in (settings.state / "learned").glob("*/*.json")), default=0.0)
    return settings.learn_every > 0 and now - max(tried, done) > settings.learn_every * 3600


def _told(error: redis.RedisError) -> None:
    if not away(error):
        raise error
    log.warning("Redis is away: %s", error)


def retire(client: Store, folder: Path, depot_id: str, *, now: float | None = None) -> int:
    """Write orders and shifts that the depot's policy lets go to Parquet, and forget them; how many orders that are."""
    depot = readers.depot(client, depot_id)
    if depot is None:
        return 0
    now = time.time() if now is None else now
    keep = depot.policy.keep_days * 86_400
    over = partial(writers.over, client, depot_id, closed_before=now - keep, ended_before=depot.clock.depot(now) - keep,
                   most=RETIRED)  # fmt: skip
    shifts, orders = over()
    for name, documents in (("shifts", shifts), ("orders", orders)):
        if documents:
            _write_documents(folder / name, f"{depot_id}-{int(1000 * now)}", depot_id, documents)
    if shifts or orders:
        over(archived=[json.loads(document)["id"] for document in shifts + orders])
        log.info("%d orders and %d shifts archived", len(orders), len(shifts), extra={"depot": depot_id})
    return len(orders)


def _write_documents(folder: Path, name: str, depot_id: str, documents: list[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    frame = pl.DataFrame({"depot": [depot_id] * len(documents), "document": documents})
    frame.write_parquet(folder / f"{name}.part")
    (folder / f"{name}.part").replace(folder / f"{name}.parquet")


def archive(client: Store, folder: Path, name: str) -> int:
    """Write one batch of a stream to Parquet, acknowledge and trim it; how many entries."""
    stream = keys.shared_key(name)
    try:
        rows = _pending(client, stream) or _fresh(client, stream)
    except redis.ResponseError as error:
        if "NOGROUP" not in str(error):
            raise
        client.xgroup_create(stream, GROUP, id="0", mkstream=True)
        return archive(client, folder, name)
    if not rows:
        return 0
    _write(folder / name, name, rows)
    client.xack(stream, GROUP, *(entry for entry, _ in rows))
    _trim(client, stream)
    return len(rows)


def _pending(client: Store, stream: str) -> list[tuple[str, dict[str, str]]]:
    found = client.xreadgroup(GROUP, CONSUMER, {stream: "0"}, count=BATCH)
    return [row for _, rows in found or [] for row in rows if row[1]]


def _fresh(client: Store, stream: str) -> list[tuple[str, dict[str, str]]]:
    found = client.xreadgroup(GROUP, CONSUMER, {stream: ">"}, count=BATCH)
    return [row for _, rows in found or [] for row in rows]


def _write(folder: Path, name: str, rows: list[tuple[str, dict[str, str]]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    columns: dict[str, list[str | None]] = {"id": [entry for entry, _ in rows]}
    columns |= {field: [fields.get(field) for _, fields in rows] for field in STREAMS[name]}
    frame = pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String)).with_columns(
        pl.from_epoch(pl.col("id").str.split("-").list.first().cast(pl.Int64), time_unit="ms").alias("at"))  # fmt: skip
    path = folder / f"{rows[0][0]}_{rows[-1][0]}.parquet"
    temporary = path.with_suffix(".part")
    frame.write_parquet(temporary)
    temporary.replace(path)


def _trim(client: Store, stream: str) -> None:
    """Drop what every group has read and acknowledged, and of events what shippers were told, but for the last `KEEP` entries."""
    if client.xlen(stream) <= KEEP:
        return
    oldest = []
    for group in client.xinfo_groups(stream):
        pending = client.xpending(stream, group["name"])
        oldest.append(pending["min"] or group["last-delivered-id"])
    if stream == keys.shared_key("events") and (told := client.get(keys.shared_key("feed_read"))):
        oldest.append(told)
    kept = client.xrevrange(stream, count=KEEP)
    if kept:
        oldest.append(kept[-1][0])
    client.xtrim(stream, minid=min(oldest, key=readers.entry_number), approximate=True)

