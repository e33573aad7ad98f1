"""Who calls: Bearer keys, and browsers' sessions opened with them, stored only as hashes; a principal has a role and a tenant."""

from __future__ import annotations

import hashlib
import secrets
import time
from dataclasses import dataclass, replace
from enum import StrEnum

from ingest import webhooks
from ingest.store import keys
from ingest.store.connection import Store, run_alone
from routing import codec


class Role(StrEnum):
    """What a principal may do; `docs/api.md` has the table."""

    OPERATOR = "operator"
    SHIPPER = "shipper"
    DRIVER = "driver"


SESSION_S = {Role.OPERATOR: 12 * 3600, Role.DRIVER: 30 * 86_400}
"""So long a browser's session lasts, if its key does: a dispatcher's shift, and a month of a driver's mornings."""

SCOPES = ("read", "write")
"""What a shipper key may do."""


MOST_EARLIER = 2
"""So many secrets before the newest may still be good."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is behind a key. A driver token carries its driver; a shipper key may be limited to depots, and to reading.

    Several keys of one `shipper` reach the same orders; without one a key is a shipper of its own. A browser's `session` has the
    id of the key that it was opened with, and ends with it.
    """

    id: str
    role: Role
    tenant: str
    name: str = ""
    driver_id: str | None = None
    depots: tuple[str, ...] = ()
    expires_at: float | None = None
    prefix: str = ""
    made_at: float = 0.0
    shipper: str = ""
    scopes: tuple[str, ...] = SCOPES
    session: bool = False

    @property
    def account(self) -> str:
        """Whose orders it makes and reaches."""
        return self.shipper or self.id


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def make_key(client: Store, role: Role, *, tenant: str, name: str = "", driver_id: str | None = None,
             depots: tuple[str, ...] = (), ttl: float | None = None, shipper: str = "",
             scopes: tuple[str, ...] = SCOPES) -> tuple[str, Principal]:  # fmt: skip
    """Make a key; the secret is returned once and never stored."""
    principal = Principal(
        id=f"{role}-{secrets.token_hex(6)}", role=role, tenant=tenant, name=name, driver_id=driver_id, depots=depots,
        expires_at=time.time() + ttl if ttl else None, shipper=shipper, scopes=scopes,
    )  # fmt: skip
    secret, made = _new_secret(principal)
    client.hset(keys.shared_key("keys"), _digest(secret), codec.dumps(made).decode())
    return secret, made


def _new_secret(principal: Principal) -> tuple[str, Principal]:
    secret = f"ll_{principal.role}_{secrets.token_urlsafe(24)}"
    return secret, replace(principal, prefix=secret[: len(f"ll_{principal.role}_") + 4], made_at=time.time())


def rotate(client: Store, tenant: str, principal_id: str, *, overlap: float) -> tuple[str, Principal] | None:
    """A new secret for a key; those before it end in `overlap` seconds. None if the tenant has no such key."""
    name, secret = keys.shared_key("keys"), ""
    made: Principal | None = None

    def change(pipeline: Store) -> None:
        """All at once, or anew if any key has changed meanwhile: what is revoked stays so."""
        nonlocal secret, made
        mine = _secrets(pipeline, tenant, principal_id)
        pipeline.multi()
        made = None
        keys_ = [row for row in mine.values() if not row.session]
        if not keys_:
            return
        secret, made = _new_secret(max(keys_, key=lambda row: row.made_at))
        until = time.time() + overlap
        newest = sorted((row.made_at for row in keys_), reverse=True)[:MOST_EARLIER]
        for digest, row in mine.items():
            ends = until if row.expires_at is None else min(until, row.expires_at)
            if overlap and row.made_at >= newest[-1]:
                pipeline.hset(name, digest, codec.dumps(replace(row, expires_at=ends)).decode())
            else:
                pipeline.hdel(name, digest)
        pipeline.hset(name, _digest(secret), codec.dumps(made).decode())

    client.transaction(change, name)
    return None if made is None else (secret, made)


def open_session(client: Store, secret: str) -> tuple[str, Principal] | None:
    """A browser's session for whoever has a key: what its cookie holds. None if the key is nobody's, or its role has no pages."""
    principal = principal_of(client, secret)
    if principal is None or principal.session or principal.role not in SESSION_S:
        return None
    now = time.time()
    ends = min(now + SESSION_S[principal.role], principal.expires_at or now + SESSION_S[principal.role])
    made = replace(principal, session=True, made_at=now, expires_at=ends)
    cookie = f"ll_session_{secrets.token_urlsafe(24)}"
    client.hset(keys.shared_key("keys"), _digest(cookie), codec.dumps(made).decode())
    return cookie, made


def end_session(client: Store, cookie: str) -> None:
    """Forget a session."""
    client.hdel(keys.shared_key("keys"), _digest(cookie))
    client.hdel(keys.shared_key("key_used"), _digest(cookie))


def csrf_token(cookie: str) -> str:
    """What a page must send with what a session's cookie alone must not do: other sites' pages cannot know it."""
    return _digest("csrf " + cookie)


def _secrets(client: Store, tenant: str, principal_id: str) -> dict[str, Principal]:
    """All secrets of a key, by their digests."""
    rows = {digest: codec.loads(text, Principal) for digest, text in client.hgetall(keys.shared_key("keys")).items()}
    return {digest: row for digest, row in rows.items() if row.id == principal_id and row.tenant == tenant}


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
    names = [keys.shared_key("keys"), keys.allowance(""), keys.shared_key("key_used")]
    found = run_alone(client, "enter", names=names, args=[digest, *asked])
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
    if not over:
        return 0
    client.hdel(keys.shared_key("key_used"), *over)
    gone = int(client.hdel(keys.shared_key("keys"), *over))
    _silence(client)
    return gone


def principals(client: Store, tenant: str) -> list[tuple[Principal, float | None]]:
    """All keys of a tenant, one row for each secret, oldest first, and when (real s, to the minute) each was used last."""
    used = client.hgetall(keys.shared_key("key_used"))
    rows = [(codec.loads(text, Principal), used.get(digest)) for digest, text in client.hgetall(keys.shared_key("keys")).items()]
    mine = [(row, float(at) if at else None) for row, at in rows if row.tenant == tenant and not row.session]
    return sorted(mine, key=lambda row: row[0].made_at)


def revoke(client: Store, tenant: str, principal_id: str) -> bool:
    """Delete a key with all its secrets; False if the tenant has none such. A shipper without any key hears nothing more."""
    mine = _secrets(client, tenant, principal_id)
    if not mine:
        return False
    client.hdel(keys.shared_key("keys"), *mine)
    client.hdel(keys.shared_key("key_used"), *mine)
    _silence(client)
    return True


def _silence(client: Store) -> None:
    """Drop webhooks of shippers that have no key any more."""
    now, rows = time.time(), [codec.loads(text, Principal) for text in client.hvals(keys.shared_key("keys"))]
    alive = {(row.tenant, row.account) for row in rows if row.expires_at is None or row.expires_at > now}
    webhooks.drop(client, [hook.id for hook in webhooks.every(client) if hook.owner and (hook.tenant, hook.owner) not in alive])
