"""A depot as a file, and back: one JSON line for each of its keys, behind a line that says whose they are and how many.

Names, phones and notes are in it, and the answers of its orders' idempotency keys, so that nothing that is sent again counts twice.
Keys of callers are not: those are of the tenant, and only their hashes are known.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from ingest.store import keys, migrations, readers, writers
from ingest.store.connection import Store
from routing import codec
from routing.errors import BadProblem, LastlegError
from routing.model import Depot, depot_of

PASSING = ("tries", "foreseen", "near", "fed", "import_tries")
"""Keys that only matter to what runs at the moment."""

SHARED = ("dirty", "improvable", "moving", "matchable", "deliverable", "loadable", "timers", "heard")
"""What of a depot stands in keys of all."""

VERSIONS_APART = 1000
"""So many versions, and numbers of the feed, lie between a depot that was saved or is thrown away and the one that comes back:
whoever holds one from before, known here or not, does not take a later one for it."""

TRIES = 20
MANY = 500


class BackupFault(LastlegError):
    """A depot that cannot be saved or brought back."""

    code = "backup"


def dump(client: Store, depot_id: str) -> Iterator[str]:
    """The lines of a depot, its state all of one revision.

    Answers of events are read before that: a report that comes in between is in the state, and does no harm when it is made again.

    Raises
    ------
    BackupFault
        If there is no such depot, or it does not stand still for a moment.
    """
    if not client.exists(keys.depot_key(depot_id, "depot")):
        known = ", ".join(sorted(client.smembers(keys.shared_key("depots"))))
        raise BackupFault(f"There is no depot {depot_id!r}.", remedy=f"There are: {known}.")
    rows = _read(client, client.scan_iter(match=_pattern(keys.once(depot_id, "*", "*")), count=1000))
    state, shared = _state(client, depot_id)
    rows += state
    found = {row["key"]: row["value"] for row in state}
    people = [*found.get(keys.depot_key(depot_id, "drivers"), ()), *found.get(keys.depot_key(depot_id, "orders"), ())]
    drivers = found.get(keys.depot_key(depot_id, "drivers"), ())
    rows += _read(client, (keys.personal(depot_id, record) for record in people))
    rows += _read(client, (keys.ping_seqs(depot_id, driver) for driver in drivers))
    imports = found.get(keys.depot_key(depot_id, "imports"), {}).items()
    rows += _read(client, (keys.import_file(depot_id, f"{name}-{json.loads(text)['print']}") for name, text in imports))
    version = int(found.get(keys.depot_key(depot_id, "version"), 0))
    for row in _read(client, (keys.route_stream(depot_id, driver) for driver in drivers)):
        rows.append(row | {"value": [entry for entry in row["value"] if int(entry[0].split("-")[0]) <= version]})
    asked = client.scan_iter(match=_pattern(keys.once(writers.ANY_DEPOT, "order", "*")), count=1000)
    rows += [row for row in _read(client, asked) if row["value"].split(" ")[1] in found.get(keys.depot_key(depot_id, "orders"), ())]
    head = {"lastleg": "depot", "schema": keys.SCHEMA, "depot": depot_id, "at": time.time(), "keys": len(rows), "shared": shared}
    yield json.dumps(head)
    yield from map(json.dumps, rows)


def _state(client: Store, depot_id: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The rows of a depot's own keys, and what of it stands in shared ones, all of one moment."""
    names = [keys.depot_key(depot_id, name) for name in keys.DEPOT if name not in PASSING]
    for _ in range(TRIES):
        with client.pipeline(transaction=False) as pipeline:
            for name in names:
                pipeline.type(name)
            kinds = pipeline.execute()
        with client.pipeline(transaction=True) as pipeline:
            for name in SHARED:
                pipeline.zrange(keys.shared_key(name), 0, -1, withscores=True)
            for name, kind in zip(names, kinds, strict=True):
                pipeline.type(name)
                _GET[kind](pipeline, name)
            rows = pipeline.execute(raise_on_error=False)
        after, values = rows[len(SHARED) :: 2], rows[len(SHARED) + 1 :: 2]
        if after == kinds:
            shared = {name: _mine(rows[number], depot_id) for number, name in enumerate(SHARED)}
            return [_row(*row) for row in zip(names, kinds, values, strict=True) if row[1] != "none"], shared
    raise BackupFault(f"Depot {depot_id!r} changes all the time.", remedy="Try again when less happens.")


def _read(client: Store, names: Iterable[str]) -> list[dict[str, Any]]:
    """The rows of some keys, as far as there are any."""
    rows, following = [], iter(names)
    while some := list(islice(following, MANY)):
        with client.pipeline(transaction=False) as pipeline:
            for name in some:
                pipeline.type(name)
            kinds = pipeline.execute()
            for name, kind in zip(some, kinds, strict=True):
                pipeline.pttl(name)
                _GET[kind](pipeline, name)
            found = pipeline.execute()
        for name, kind, ttl, value in zip(some, kinds, found[::2], found[1::2], strict=True):
            if kind != "none" and ttl != -2:
                rows.append(_row(name, kind, value) | ({"expires_at": time.time() + ttl / 1000} if ttl >= 0 else {}))
    return rows


def _row(name: str, kind: str, value: Any) -> dict[str, Any]:
    return {"key": name, "type": kind, "value": sorted(value) if kind == "set" else value}


def load(client: Store, lines: Iterable[str], *, replace: bool = False) -> str:
    """Bring a depot back, of this schema or an older one, and ask for a plan; its id. All or nothing.

    The next plan tells every driver: its version is above all that were given out before.

    Raises
    ------
    BackupFault
        If the file is none of ours, damaged, cut off, or of a newer program, or the depot exists and is not to be replaced.
    """
    head, rows = _checked(lines)
    depot_id, now = str(head["depot"]), time.time()
    there = list(client.scan_iter(match=_pattern(keys.depot_key(depot_id, "*")), count=1000))
    if client.exists(keys.depot_key(depot_id, "depot")) and not replace:
        raise BackupFault(f"There is a depot {depot_id!r} already.", remedy="Use --replace if it is to be thrown away.")
    version = keys.depot_key(depot_id, "version")
    top = max(int(client.get(version) or 0), *(int(row["value"]) for row in rows if row["key"] == version), 0)
    told = keys.depot_key(depot_id, "feed_seq")
    saved: dict[str, str] = next((row["value"] for row in rows if row["key"] == told), {})
    heard = {name: max(int(saved.get(name, 0)), int(known)) for name, known in (saved | client.hgetall(told)).items()}
    with client.pipeline(transaction=True) as pipeline:
        if there:
            pipeline.delete(*there)
        for row in rows:
            _put(pipeline, row, now)
        if top:  # and the next plan is kept whole, as versions that are no change of the one before must be
            pipeline.set(version, -(-(top + VERSIONS_APART) // readers.SNAPSHOT_EVERY) * readers.SNAPSHOT_EVERY - 1)
            pipeline.delete(keys.depot_key(depot_id, "planned_on"))
        if heard:
            pipeline.hset(told, mapping={name: number + VERSIONS_APART for name, number in heard.items()})
        for name in SHARED:
            if mine := _mine(head["shared"].get(name, []), depot_id):
                pipeline.zadd(keys.shared_key(name), dict(mine))
        pipeline.sadd(keys.shared_key("depots"), depot_id)
        pipeline.execute()
    migrations.bring_up(client, depot_id, int(head["schema"]))
    writers.request(client, depot_id, "restored", now)
    return depot_id


def _checked(lines: Iterable[str]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The first line, and those of keys that are the depot's own: no other is taken from a file."""
    head, *rows = [_line(number, text) for number, text in enumerate(lines, 1) if text.strip()] or [{}]
    if head.get("lastleg") != "depot" or not {"schema", "depot", "shared"} <= head.keys():
        raise BackupFault("This is no depot's backup.", remedy="Make one with `python -m workers backup`.")
    schema, depot_id = str(head["schema"]), str(head["depot"])
    if schema not in map(str, range(1, int(keys.SCHEMA) + 1)):
        raise BackupFault(f"The backup is of schema {schema!r}; this program reads 1 to {keys.SCHEMA}.")
    if head.get("keys", len(rows)) != len(rows):
        raise BackupFault(f"The file has {len(rows)} keys of {head['keys']}.", remedy="Take another one.")
    for row in rows:
        _check(row, depot_id)
    found = {row["key"]: row["value"] for row in rows}
    if keys.depot_key(depot_id, "depot") not in found:
        raise BackupFault("The file ends early: the depot itself is not in it.", remedy="Take another one.")
    try:
        _check_shared(head["shared"])
        codec.loads(found[keys.depot_key(depot_id, "depot")], Depot)
        int(found.get(keys.depot_key(depot_id, "version"), 0))
        for family, kind in readers.FAMILIES.items():
            for text in found.get(keys.depot_key(depot_id, family), {}).values():
                codec.loads(text, kind)
    except (BadProblem, ValueError, TypeError, AttributeError) as error:
        raise BackupFault(f"The file is damaged: {error}", remedy="Take another one.") from None
    return head, rows


def _check(row: dict[str, Any], depot_id: str) -> None:
    """Whether a line is a key of the depot, or answers the idempotency key of one of its orders, and is of the type it says."""
    name, kind, value = row["key"], row["type"], row["value"]
    ours = isinstance(name, str) and name.startswith(keys.depot_key(depot_id, ""))
    if isinstance(name, str) and name.startswith(keys.once(writers.ANY_DEPOT, "order", "")) and isinstance(value, str):
        ours = depot_of(value.partition(" ")[2]) == depot_id
    if not ours:
        raise BackupFault(f"{name!r} is no key of depot {depot_id!r}.")
    if not isinstance(kind, str) or kind not in _LIKE or not _LIKE[kind](value) or not _number(row.get("expires_at", 0)):
        raise BackupFault(f"{name!r} is damaged.", remedy="Take another one.")


def _check_shared(shared: Any) -> None:
    if not isinstance(shared, dict) or not all(_LIKE["zset"](rows) or rows == [] for rows in shared.values()):
        raise ValueError("what stands in shared keys is no list of members")


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


def _pattern(name: str) -> str:
    return name.replace("[", "\\[")


def _mine(rows: Sequence[Any], depot_id: str) -> list[tuple[str, float]]:
    return [(member, score) for member, score in rows if member.split(" ")[0] == depot_id]


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e15


def _texts(value: Any) -> bool:
    return isinstance(value, dict) and bool(value) and all(isinstance(text, str) for text in value.values())


def _pairs(value: Any, first: Any, second: Any) -> bool:
    return isinstance(value, list) and all(isinstance(pair, list) and len(pair) == 2 and first(pair[0]) and second(pair[1])
                                           for pair in value)  # fmt: skip


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _entry(value: Any) -> bool:
    return isinstance(value, str) and all(part.isascii() and part.isdigit() for part in value.split("-", 1))


_LIKE: dict[str, Any] = {
    "string": _text, "hash": _texts,
    "set": lambda value: isinstance(value, list) and bool(value) and all(map(_text, value)),
    "zset": lambda value: bool(value) and _pairs(value, _text, _number),
    "stream": lambda value: _pairs(value, _entry, _texts),
}  # fmt: skip
"""What a value of each type looks like in a file."""

_GET: dict[str, Any] = {
    "string": lambda client, name: client.get(name), "hash": lambda client, name: client.hgetall(name),
    "set": lambda client, name: client.smembers(name), "zset": lambda client, name: client.zrange(name, 0, -1, withscores=True),
    "stream": lambda client, name: client.xrange(name), "none": lambda client, name: client.exists(name),
}  # fmt: skip
_SET: dict[str, Any] = {
    "string": lambda client, name, value: client.set(name, value),
    "hash": lambda client, name, value: client.hset(name, mapping=value),
    "set": lambda client, name, value: client.sadd(name, *value),
    "zset": lambda client, name, value: client.zadd(name, dict(value)),
    "stream": lambda client, name, value: [client.xadd(name, fields, id=entry) for entry, fields in value],
}
