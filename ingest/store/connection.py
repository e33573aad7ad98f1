"""Connections and scripts: the only place that makes Redis clients."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import redis

from ingest.settings import Settings
from ingest.store import embedded, keys
from routing.errors import LastlegError

Store: TypeAlias = Any
"""A `redis.Redis` with `decode_responses=True`. redis-py's own annotations cannot say that every answer is a str."""

AWAY = (redis.ConnectionError, redis.TimeoutError)
"""What is raised while Redis is away, or still loading its data."""

_UNABLE = ("NOREPLICAS", "MISCONF", "MASTERDOWN", "LOADING")
"""How errors of a Redis begin that takes no writes for now, where redis-py has no class for them."""

LUA = Path(__file__).parent / "lua"
RETRY_AFTER_S = 2
"""What a client is told to wait when Redis is away."""


def unable(error: Exception) -> bool:
    """Whether Redis answers, but takes no writes for now: it is full, has become a replica, or lacks replicas or a disk."""
    return isinstance(error, (redis.ReadOnlyError, redis.OutOfMemoryError)) or (
        isinstance(error, redis.ResponseError) and str(error).startswith(_UNABLE))  # fmt: skip


def away(error: Exception) -> bool:
    """Whether what failed may be tried again as it is, when Redis is well."""
    return isinstance(error, AWAY) or unable(error)


class WrongSchema(LastlegError):
    """Redis holds data of another version of this program."""

    code = "schema_version"


def connect(settings: Settings, *, blocking: float | None = None) -> Store:
    """A client. Reads that block for up to `blocking` seconds need a socket timeout above that."""
    timeout = 3.0 if blocking is None else blocking + 3.0
    return redis.Redis.from_url(
        embedded.url(settings), decode_responses=True, socket_timeout=timeout, socket_connect_timeout=2.0,
        retry=embedded.ONCE_MORE)  # fmt: skip


def check_schema(client: Store) -> None:
    """Mark an empty Redis as ours; refuse data of another version.

    Raises
    ------
    WrongSchema
        If the data's version is not this program's.
    """
    client.set(keys.shared_key("schema"), keys.SCHEMA, nx=True)
    found = client.get(keys.shared_key("schema"))
    if found != keys.SCHEMA:
        raise WrongSchema(
            f"Redis holds data of schema {found}; this program reads {keys.SCHEMA}.",
            remedy="Older data: stop everything and run `python -m workers migrate`. Newer ones: start the version that wrote "
                   "them, or point REDIS_URL (or LASTLEG_STATE) to an empty place.",
        )


@cache
def source(folder: Path, script: str, extra: tuple[str, ...]) -> str:
    """What is run for a script: its file behind the prelude, with a name for each key."""
    names = ", ".join(f"{name} = KEYS[{number}]" for number, name in enumerate((*keys.DEPOT, *keys.SHARED), 1))
    count = len(keys.DEPOT) + len(keys.SHARED)
    own = "".join(f"local {name} = KEYS[{count + number}]\n" for number, name in enumerate(extra, 1))
    depot = "local DEPOT = string.match(KEYS[1], '{(.-)}')\n"
    return f"local K = {{{names}}}\n{depot}{own}{(LUA / 'prelude.lua').read_text()}\n{(folder / f'{script}.lua').read_text()}"


@cache
def _script(folder: Path, script: str, extra: tuple[str, ...]) -> Any:
    return redis.Redis().register_script(source(folder, script, extra))


@cache
def _alone(script: str) -> Any:
    return redis.Redis().register_script((LUA / f"{script}.lua").read_text())


def run_alone(client: Store, script: str, *, names: list[str], args: list[Any]) -> Any:
    """Run a script that is about no depot: it gets just these KEYS, and no prelude."""
    return _alone(script)(keys=names, args=args, client=client)


def run(client: Store, depot_id: str, script: str, args: list[Any], *, folder: Path = LUA, **extra: str) -> Any:
    """Run a script on a depot. `extra` names further keys: `PERSONAL=...` is the Lua local `PERSONAL`."""
    return _script(folder, script, tuple(extra))(
        keys=[*keys.script_keys(depot_id), *extra.values()], args=args, client=client)  # fmt: skip
