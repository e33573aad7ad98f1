"""Links that show one thing to whoever has them: signed, and good for a time."""

from __future__ import annotations

import secrets

from itsdangerous import BadSignature, URLSafeSerializer

from ingest.store import keys
from ingest.store.connection import Store


class Expired(Exception):
    """The link was good once."""


def sign(client: Store, order_id: str, expires_at: float) -> str:
    """A token that names an order until `expires_at` (real s)."""
    token = _serializer(client).dumps([order_id, int(expires_at)])
    return token if isinstance(token, str) else token.decode()


def order_of(client: Store, token: str, now: float) -> str | None:
    """The order a token names, or None if it is none of ours.

    Raises
    ------
    Expired
        If it is over.
    """
    try:
        order_id, expires_at = _serializer(client).loads(token)
    except BadSignature:
        return None
    if expires_at < now:
        raise Expired
    return str(order_id)


def _serializer(client: Store) -> URLSafeSerializer:
    """With a secret that all processes share, made when it is first needed."""
    name = keys.shared_key("secret")
    client.set(name, secrets.token_urlsafe(32), nx=True)
    return URLSafeSerializer(str(client.get(name)), salt="tracking")
