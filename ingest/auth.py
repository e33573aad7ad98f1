"""Who calls: Bearer keys, stored only as hashes; each is a principal with a role and a tenant."""

from __future__ import annotations

import hashlib
import secrets
import time
from dataclasses import dataclass
from enum import StrEnum

from ingest.store import keys
from ingest.store.connection import Store, run_alone
from routing import codec


class Role(StrEnum):
    """What a principal may do; `docs/api.md` has the table."""

    OPERATOR = "operator"
    SHIPPER = "shipper"
    DRIVER = "driver"


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is behind a key. A driver token carries its driver; a shipper key may be limited to depots."""

    id: str
    role: Role
    tenant: str
    name: str = ""
    driver_id: str | None = None
    depots: tuple[str, ...] = ()
    expires_at: float | None = None
    prefix: str = ""
    made_at: float = 0.0


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def make_key(client: Store, role: Role, *, tenant: str, name: str = "", driver_id: str | None = None,
             depots: tuple[str, ...] = (), ttl: float | None = None) -> tuple[str, Principal]:  # fmt: skip
    """Make a key; the secret is returned once and never stored."""
    secret = f"ll_{role}_{secrets.token_urlsafe(24)}"
    now = time.time()
    principal = Principal(
        id=f"{role}-{secrets.token_hex(6)}", role=role, tenant=tenant, name=name, driver_id=driver_id, depots=depots,
        expires_at=now + ttl if ttl else None, prefix=secret[: len(f"ll_{role}_") + 4], made_at=now,
    )  # fmt: skip
    client.hset(keys.shared_key("keys"), _digest(secret), codec.dumps(principal).decode())
    return secret, principal


def principal_of(client: Store, secret: str) -> Principal | None:
    """Who a key belongs to; None if nobody, or no longer."""
    text = client.hget(keys.shared_key("keys"), _digest(secret))
    if text is None:
        return None
    principal = codec.loads(text, Principal)
    expired = principal.expires_at is not None and principal.expires_at < time.time()
    return None if expired else principal


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a key may still do: calls per second, calls left at once, and how long to wait (s) if none is."""

    rate: float
    left: int
    wait: float


def enter(client: Store, secret: str, rates: dict[str, tuple[float, int]]) -> tuple[Principal | None, Allowance | None]:
    """Who a key belongs to, as `principal_of`, and count one call; the allowance is None where there is no limit.

    `rates` has calls per second and burst by role. What is over the limit is not counted.
    """
    digest = _digest(secret)
    asked = [part for role, (rate, burst) in rates.items() for part in (role, rate, burst)]
    found = run_alone(client, "enter", names=[keys.shared_key("keys"), keys.allowance(digest)], args=[digest, *asked])
    if not found:
        return None, None
    principal = codec.loads(found[0], Principal)
    if principal.expires_at is not None and principal.expires_at < time.time():
        return None, None
    return principal, Allowance(float(found[1]), int(found[2]), float(found[3])) if len(found) > 1 else None


def forget_expired(client: Store) -> int:
    """Remove keys that have expired; how many."""
    every, now = client.hscan_iter(keys.shared_key("keys"), count=1000), time.time()
    over = [digest for digest, text in every if (codec.loads(text, Principal).expires_at or now) < now]
    return int(client.hdel(keys.shared_key("keys"), *over)) if over else 0


def principals(client: Store, tenant: str) -> list[Principal]:
    """All principals of a tenant, oldest first."""
    rows = (codec.loads(text, Principal) for text in client.hvals(keys.shared_key("keys")))
    return sorted((row for row in rows if row.tenant == tenant), key=lambda row: row.made_at)


def revoke(client: Store, tenant: str, principal_id: str) -> bool:
    """Delete a key by its principal's id; False if the tenant has none such."""
    for digest, text in client.hgetall(keys.shared_key("keys")).items():
        principal = codec.loads(text, Principal)
        if principal.id == principal_id and principal.tenant == tenant:
            return bool(client.hdel(keys.shared_key("keys"), digest))
    return False
