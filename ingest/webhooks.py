"""Webhooks: who listens to what, and how one message is sent: in the format and with the signature of Standard Webhooks.

Where messages may go is guarded: only `https` to addresses of the public internet, unless the operator of this program has named a
network (`LASTLEG_WEBHOOK_NETWORKS`). The name is resolved once, and what is connected to is the address that was judged.
"""

from __future__ import annotations

import base64
import contextlib
import ipaddress
import queue
import secrets
import socket
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from http.client import HTTPException
from typing import Any
from urllib.parse import SplitResult, urlsplit

import msgspec
import urllib3
from standardwebhooks import Webhook as Signer
from urllib3.connection import HTTPConnection, HTTPSConnection

from ingest.settings import Network
from ingest.store import keys
from ingest.store.connection import Store
from routing import codec

MOST = 20
"""So many webhooks one listener may have."""

RESOLVE_S = 3.0
"""How long the name of a listener's host may take to be resolved."""

CONNECT_S, ANSWER_S, WHOLE_S = 5.0, 10.0, 15.0
"""How long a listener may take to be reached, to answer, and for both; whoever drips is cut off."""


class Webhook(msgspec.Struct, frozen=True):
    """Who listens: where, to which types of events ("order.*" for all of a family; none named: all), at which depots.

    `owner` is the shipper, "" for the tenant's operators. Messages are signed by all `secrets` that are still good: the newest, and
    until `(secret, when)` (real s) those before it.
    """

    id: str
    tenant: str
    owner: str
    url: str
    secret: str
    created_at: float
    types: tuple[str, ...] = ()
    depots: tuple[str, ...] = ()
    earlier: tuple[tuple[str, float], ...] = ()
    enabled: bool = True
    why_disabled: str = ""

    def secrets(self, now: float) -> list[str]:
        """All that are good at a real time (s), the newest first."""
        return [self.secret, *(secret for secret, until in self.earlier if until > now)]

    def wants(self, depot_id: str, tenant: str, shipper: str, kind: str, at: float) -> bool:
        """Whether it is to hear of an event of a shipper ("" for operators only) that was told at a real time (s)."""
        of_mine = self.tenant == tenant and (not self.depots or depot_id in self.depots) and at >= self.created_at
        types = not self.types or any(kind == one or (one.endswith(".*") and kind.startswith(one[:-1])) for one in self.types)
        return self.enabled and of_mine and types and self.owner in ("", shipper)


def new_secret() -> str:
    """As Standard Webhooks has them: 24 bytes, in base64, behind `whsec_`."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode()


def new_id() -> str:
    """An id for a webhook."""
    return f"wh_{secrets.token_hex(8)}"


def every(client: Store) -> list[Webhook]:
    """All webhooks of this Redis, the oldest first."""
    rows = (codec.loads(text, Webhook) for text in client.hvals(keys.shared_key("webhooks")))
    return sorted(rows, key=lambda webhook: (webhook.created_at, webhook.id))


def one(client: Store, webhook_id: str) -> Webhook | None:
    """A webhook, or None."""
    text = client.hget(keys.shared_key("webhooks"), webhook_id)
    return codec.loads(text, Webhook) if text else None


def put(client: Store, webhook: Webhook) -> None:
    """Make a webhook."""
    client.hset(keys.shared_key("webhooks"), webhook.id, codec.dumps(webhook).decode())


def change(client: Store, webhook_id: str, changed: Callable[[Webhook], Webhook]) -> Webhook | None:
    """Change a webhook, whoever else does so at the same time; None if there is none any more."""
    name = keys.shared_key("webhooks")
    made: Webhook | None = None

    def step(pipeline: Store) -> None:
        nonlocal made
        text = pipeline.hget(name, webhook_id)
        pipeline.multi()
        made = changed(codec.loads(text, Webhook)) if text else None
        if made is not None:
            pipeline.hset(name, webhook_id, codec.dumps(made).decode())

    client.transaction(step, name)
    return made


def drop(client: Store, webhook_ids: Sequence[str]) -> None:
    """Nobody listens there any more; what waits for it is never sent."""
    if webhook_ids:
        client.hdel(keys.shared_key("webhooks"), *webhook_ids)


class Unsafe(Exception):
    """A URL that no message is sent to, and why."""


class Sent(msgspec.Struct, frozen=True):
    """What came of sending: the status, or what went wrong; how long it took (ms), and when it may be tried again (s), if told."""

    at: float
    status: int | None
    error: str
    ms: int
    retry_after: int | None = None

    @property
    def delivered(self) -> bool:
        """Whether the listener has it."""
        return self.status is not None and 200 <= self.status < 300


def send(webhook: Webhook, message_id: str, body: bytes, networks: Sequence[Network]) -> Sent:
    """Post one message, once; nothing is raised, whatever goes wrong."""
    now = time.time()
    try:
        status, after = _post(webhook, message_id, body, now, networks)
        return Sent(now, status, "" if status < 300 else f"HTTP {status}", int(1000 * (time.time() - now)), after)
    except Unsafe as error:
        return Sent(now, None, f"refused: {error}", int(1000 * (time.time() - now)))
    except (OSError, HTTPException, urllib3.exceptions.HTTPError, ValueError) as error:
        text = f"{type(error).__name__}: {error}"[:200]
        return Sent(now, None, text, int(1000 * (time.time() - now)))


def _post(webhook: Webhook, message_id: str, body: bytes, now: float, networks: Sequence[Network]) -> tuple[int, int | None]:
    parts = urlsplit(webhook.url)
    address = judged(parts, networks)
    moment = datetime.fromtimestamp(now, UTC)
    signatures = (Signer(secret).sign(message_id, moment, body.decode()) for secret in webhook.secrets(now))
    headers = {
        "Host": parts.netloc.rpartition("@")[2], "Content-Type": "application/json", "User-Agent": "Lastleg-Webhooks/1",
        "webhook-id": message_id, "webhook-timestamp": str(int(now)), "webhook-signature": " ".join(signatures),
    }  # fmt: skip
    connection = _connection(parts, address)
    cut_off = threading.Timer(WHOLE_S, _cut_off, [connection])
    cut_off.daemon = True
    cut_off.start()
    try:
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.connect()
        connection.sock.settimeout(ANSWER_S)
        connection.request("POST", path, body=body, headers=headers, preload_content=False)
        answer: Any = connection.getresponse()  # its body does not matter
        told = answer.headers.get("Retry-After", "")
        return int(answer.status), int(told) if told.isascii() and told.isdigit() and len(told) < 7 else None
    finally:
        cut_off.cancel()
        connection.close()


def _connection(parts: SplitResult, address: str) -> HTTPConnection:
    host = str(parts.hostname)
    if parts.scheme == "http":
        return HTTPConnection(address, parts.port or 80, timeout=CONNECT_S)
    return HTTPSConnection(address, parts.port or 443, timeout=CONNECT_S, server_hostname=host,
                           assert_hostname=host, cert_reqs="CERT_REQUIRED")  # fmt: skip


def _cut_off(connection: HTTPConnection) -> None:
    if connection.sock is not None:
        with contextlib.suppress(OSError):
            connection.sock.shutdown(socket.SHUT_RDWR)


def judged(parts: SplitResult, networks: Sequence[Network]) -> str:
    """The address that a URL's host stands for, if messages may go there.

    Raises
    ------
    Unsafe
        If any of its addresses is not public, or the scheme is not `https`; in `networks` both are all right.
    """
    host = parts.hostname
    if parts.scheme not in ("http", "https") or not host or parts.username is not None or parts.fragment:
        raise Unsafe("it must be https://host[:port]/path, without user or fragment")
    addresses = _addresses(host, parts.port or 443)
    for address in addresses:
        plain = _plain(address)
        known = any(plain in network for network in networks)
        if not known and not _public(plain):
            raise Unsafe(f"{host} is not on the public internet")
        if not known and parts.scheme != "https":
            raise Unsafe("it must be https")
    return addresses[0]


def _addresses(host: str, port: int) -> list[str]:
    """What a name stands for. The system's resolver knows no time limit, so a thread waits for it."""
    found: queue.SimpleQueue[list[Any]] = queue.SimpleQueue()

    def look_up() -> None:
        try:
            found.put(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError):
            found.put([])

    threading.Thread(target=look_up, daemon=True).start()
    try:
        rows = found.get(timeout=RESOLVE_S)
    except queue.Empty:
        rows = []
    if not rows:
        raise Unsafe(f"{host} cannot be resolved")
    return list(dict.fromkeys(str(row[4][0]) for row in rows))


def _plain(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """An address, or the IPv4 address that is wrapped in it."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour or (found.teredo[1] if found.teredo else None)
        if inner is None and any(found in network for network in WRAPPING):
            inner = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        return inner or found
    return found


WRAPPING = tuple(map(ipaddress.ip_network, ("::/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48")))
"""IPv4 addresses behind translators (RFC 6052, 8215), and as they were once written in IPv6."""

UNICAST = ipaddress.ip_network("2000::/3")
"""All of IPv6 that is given out to the public internet."""

SPECIAL = tuple(map(ipaddress.ip_network, ("192.0.0.0/24", "192.88.99.0/24", "2001::/23", "3fff::/20")))
"""Blocks of the special-purpose registries (RFC 6890) that Python does not know, or takes for public."""


def _public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    known = address.is_global and not address.is_multicast and not any(address in network for network in SPECIAL)
    return known and (address.version == 4 or address in UNICAST)
