"""A depot as a file, and back: one JSON line for each of its keys, behind a line that says whose they are.

Names, phones and notes are in it, keys of callers are not: those are of the tenant, and only their hashes are known.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from typing import Any

import redis

from ingest.store import keys, migrations, writers
from ingest.store.connection import Store
from routing.errors import LastlegError

PASSING = ("lease:", "hint:", "queued:", "tries")
"""Keys that say what workers do at the moment."""

SHARED = ("dirty", "improvable", "moving", "timers", "heard")
"""What of a depot stands in keys of all."""

TRIES = 20


class BackupFault(LastlegError):
    """A depot that cannot be saved or brought back."""

    code = "backup"


def dump(client: Store, depot_id: str) -> Iterator[str]:
    """The lines of a depot, all of one revision.

    Raises
    ------
    BackupFault
        If there is no such depot, or it does not stand still for a moment.
    """
    if not client.exists(keys.depot_key(depot_id, "depot")):
        known = ", ".join(sorted(client.smembers(keys.shared_key("depots"))))
        raise BackupFault(f"There is no depot {depot_id!r}.", remedy=f"There are: {known}.")
    for _ in range(TRIES):
        before = client.get(keys.depot_key(depot_id, "rev"))
        names = sorted(name for name in client.scan_iter(match=_pattern(depot_id), count=1000) if not _passing(depot_id, name))
        kinds = [client.type(name) for name in names]
        with client.pipeline(transaction=True) as pipeline:
            pipeline.get(keys.depot_key(depot_id, "rev"))
            for name in SHARED:
                pipeline.zrange(keys.shared_key(name), 0, -1, withscores=True)
            for name, kind in zip(names, kinds, strict=True):
                pipeline.pttl(name)
                _GET[kind](pipeline, name)
            after, *rows = pipeline.execute()
        if before == after:
            break
    else:
        raise BackupFault(f"Depot {depot_id!r} changes all the time.", remedy="Try again when less happens.")
    now = time.time()
    shared = {name: _mine(rows[number], depot_id) for number, name in enumerate(SHARED)}
    rows = rows[len(SHARED) :]
    yield json.dumps({"lastleg": "depot", "schema": keys.SCHEMA, "depot": depot_id, "at": now, "shared": shared})
    for name, kind, ttl, value in zip(names, kinds, rows[::2], rows[1::2], strict=True):
        if kind != "none" and ttl != -2:
            line = {"key": name, "type": kind, "value": sorted(value) if kind == "set" else value}
            yield json.dumps(line | ({"expires_at": now + ttl / 1000} if ttl >= 0 else {}))


def load(client: Store, lines: Iterable[str], *, replace: bool = False) -> str:
    """Bring a depot back, of this schema or an older one, and ask for a plan; its id. All or nothing.

    Raises
    ------
    BackupFault
        If the file is none of ours or is of a newer program, or the depot exists and is not to be replaced.
    """
    head, rows = _read(lines)
    depot_id, now = str(head["depot"]), time.time()
    there = list(client.scan_iter(match=_pattern(depot_id), count=1000))
    if client.exists(keys.depot_key(depot_id, "depot")) and not replace:
        raise BackupFault(f"There is a depot {depot_id!r} already.", remedy="Use --replace if it is to be thrown away.")
    with client.pipeline(transaction=True) as pipeline:
        if there:
            pipeline.delete(*there)
        try:
            for row in rows:
                _put(pipeline, row, now)
            for name in SHARED:
                if head["shared"][name]:
                    pipeline.zadd(keys.shared_key(name), dict(_mine(head["shared"][name], depot_id)))
        except (KeyError, TypeError, ValueError, AttributeError, redis.DataError) as error:
            raise BackupFault(f"The file is damaged: {error!r}.", remedy="Take another one.") from None
        pipeline.sadd(keys.shared_key("depots"), depot_id)
        pipeline.execute()
    migrations.bring_up(client, depot_id, int(head["schema"]))
    writers.request(client, depot_id, "restored", now)
    return depot_id


def _read(lines: Iterable[str]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The first line, and those of keys that are the depot's own: no other is taken from a file."""
    head, *rows = [_line(number, text) for number, text in enumerate(lines, 1) if text.strip()] or [{}]
    if head.get("lastleg") != "depot" or not {"schema", "depot", "shared"} <= head.keys() or not str(head["schema"]).isdigit():
        raise BackupFault("This is no depot's backup.", remedy="Make one with `python -m workers backup`.")
    if int(head["schema"]) > int(keys.SCHEMA):
        raise BackupFault(f"The backup is of schema {head['schema']}; this program reads {keys.SCHEMA} and older.")
    for row in rows:
        if not str(row["key"]).startswith(keys.depot_key(str(head["depot"]), "")) or row["type"] not in _SET:
            raise BackupFault(f"{row['key']!r} is no key of depot {head['depot']!r}.")
    if keys.depot_key(str(head["depot"]), "depot") not in [row["key"] for row in rows]:
        raise BackupFault("The file ends early: the depot itself is not in it.", remedy="Take another one.")
    return head, rows


def _put(pipeline: Store, row: dict[str, Any], now: float) -> None:
    """Write one key, unless it has expired since."""
    if row.get("expires_at", now + 1) > now:
        _SET[row["type"]](pipeline, row["key"], row["value"])
        if "expires_at" in row:
            pipeline.pexpireat(row["key"], int(1000 * row["expires_at"]))


def _line(number: int, text: str) -> dict[str, Any]:
    try:
        row = json.loads(text)
    except ValueError as error:
        raise BackupFault(f"Line {number} is not JSON: {error}.") from None
    if not isinstance(row, dict) or (number > 1 and not {"key", "type", "value"} <= row.keys()):
        raise BackupFault(f"Line {number} is no key of a depot.")
    return row


def _pattern(depot_id: str) -> str:
    return keys.depot_key(depot_id, "*").replace("[", "\\[")


def _passing(depot_id: str, name: str) -> bool:
    return name.removeprefix(keys.depot_key(depot_id, "")).startswith(PASSING)


def _mine(rows: list[tuple[str, float]], depot_id: str) -> list[tuple[str, float]]:
    return [(member, score) for member, score in rows if member.split(" ")[0] == depot_id]


_GET: dict[str, Any] = {
    "string": lambda client, name: client.get(name), "hash": lambda client, name: client.hgetall(name),
    "set": lambda client, name: client.smembers(name), "zset": lambda client, name: client.zrange(name, 0, -1, withscores=True),
    "stream": lambda client, name: client.xrange(name), "none": lambda client, name: client.get(name),
}  # fmt: skip
_SET: dict[str, Any] = {
    "string": lambda client, name, value: client.set(name, value),
    "hash": lambda client, name, value: client.hset(name, mapping=value),
    "set": lambda client, name, value: client.sadd(name, *value),
    "zset": lambda client, name, value: client.zadd(name, dict(value)),
    "stream": lambda client, name, value: [client.xadd(name, fields, id=entry) for entry, fields in value],
}
