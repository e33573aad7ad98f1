"""Leases: who works on a depot. They merely save double work; the plan version is the fence."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import redis

from ingest.store import keys
from ingest.store.connection import Store

LEASE_S = 2.0
"""A lease outlives its holder by at most this; it is renewed three times as often."""

TURN_S = 2.0
"""How long a job goes on with what has come since: each answers for one try only, and others wait."""

_IF_MINE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call({}) end return 0"
_RENEW = _IF_MINE.format("'PEXPIRE', KEYS[1], ARGV[2]")
_RELEASE = _IF_MINE.format("'DEL', KEYS[1]")


@contextmanager
def hold(client: Store, depot_id: str, role: str) -> Iterator[bool]:
    """Hold a depot's lease while the block runs; yields False if somebody else does."""
    key, token = keys.lease(depot_id, role), secrets.token_hex(8)
    if not client.set(key, token, nx=True, px=int(LEASE_S * 1000)):
        yield False
        return
    done = threading.Event()
    renewal = threading.Thread(target=_renew, args=(client, key, token, done), daemon=True)
    renewal.start()
    try:
        yield True
    finally:
        done.set()
        client.eval(_RELEASE, 1, key, token)


def _renew(client: Store, key: str, token: str, done: threading.Event) -> None:
    while not done.wait(LEASE_S / 3):
        try:
            if not client.eval(_RENEW, 1, key, token, str(int(LEASE_S * 1000))):
                return
        except redis.RedisError:
            continue  # the next beat tries again; if the lease is lost meanwhile, the fence still holds
