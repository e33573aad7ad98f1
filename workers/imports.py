"""Imports: a file that is to be read into a depot, how far that is, and what came of it. `workers.loading` does it."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import time
import zlib
from typing import Any

import msgspec

from ingest.auth import Principal
from ingest.schemas import iso
from ingest.store import keys
from ingest.store.connection import Store
from routing import codec

KEPT_S = 7 * 86_400
"""So long (s) is it remembered what came of an import."""

WAITING = 8
"""So many imports of one caller may wait at a depot."""


class RowFault(msgspec.Struct, frozen=True):
    """Something wrong in a row: its line in the file, the column ("" if it is in no single one), and as in any problem document."""

    line: int
    column: str
    code: str
    detail: str
    remedy: str = ""


class Import(msgspec.Struct, frozen=True):
    """An import and how far it is.

    `state` is `waiting`, `checking`, `writing`, `done` or `failed`; `whole` means all rows or none. `accepted` are new, `same` were
    there before, `refused` have a fault. `faults` are the first of them.
    """

    id: str
    depot_id: str
    kind: str
    form: str
    who: Principal
    whole: bool
    dry: bool
    columns: dict[str, str]
    created_at: float
    print: str = ""
    state: str = "waiting"
    rows: int = 0
    checked: int = 0
    written: int = 0
    accepted: int = 0
    same: int = 0
    refused: int = 0
    faults: tuple[RowFault, ...] = ()
    seconds: float = 0.0
    reason: str = ""

    @property
    def over(self) -> bool:
        """Whether nothing more comes of it."""
        return self.state in ("done", "failed")


def begin(client: Store, made: Import, raw: bytes) -> Import | None:
    """Keep a file, and ask for it to be imported. The same id again is the same import; None if too many wait already.

    A file is known by what is in it, too: of two that come at once under one id, one is the import and the other is nothing.
    """
    known = one(client, made.depot_id, made.id)
    if known is not None:
        return known
    account = made.who.account
    if sum(other.who.account == account and not other.over for other in every(client, made.depot_id)) >= WAITING:
        return None
    name = file_of(made)
    packed = base64.b85encode(zlib.compress(raw, 1)).decode()
    client.set(name, packed, ex=KEPT_S)  # before anybody can look for it
    if not client.hsetnx(keys.depot_key(made.depot_id, "imports"), made.id, codec.dumps(made).decode()):
        known = one(client, made.depot_id, made.id) or made
        if known.print != made.print or known.over:  # else the worker drops it
            client.delete(name)
        return known
    client.zadd(keys.shared_key("loadable"), {made.depot_id: time.time()}, lt=True)
    return made


def file_of(made: Import) -> str:
    """The key of an import's file."""
    return keys.import_file(made.depot_id, f"{made.id}-{made.print}")


def print_of(raw: bytes, *told: object) -> str:
    """A hash that is equal for equal files that are to be imported alike."""
    return hashlib.sha256(repr(told).encode() + raw).hexdigest()[:32]


def new_id(depot_id: str, account: str, token: str | None) -> str:
    """An id; of the same account and token it is the same."""
    told = hashlib.sha256(f"{account}|{token}".encode()).hexdigest() if token else secrets.token_hex(16)
    return f"{depot_id}.i{told[:16]}"


def one(client: Store, depot_id: str, import_id: str) -> Import | None:
    """An import, or None."""
    text = client.hget(keys.depot_key(depot_id, "imports"), import_id)
    return codec.loads(text, Import) if text else None


def every(client: Store, depot_id: str) -> list[Import]:
    """All that are remembered, the newest first."""
    rows = [codec.loads(text, Import) for text in client.hvals(keys.depot_key(depot_id, "imports"))]
    return sorted(rows, key=lambda row: (-row.created_at, row.id))


def forget(client: Store, depot_id: str, *, now: float) -> None:
    """Drop what came of imports that are over for long."""
    old = [made.id for made in every(client, depot_id) if made.created_at < now - KEPT_S]
    if old:
        client.hdel(keys.depot_key(depot_id, "imports"), *old)


def view(made: Import) -> dict[str, Any]:
    """An import as the API shows it."""
    shown = json.loads(msgspec.json.encode(made.faults))
    return {
        "id": made.id, "depot_id": made.depot_id, "what": made.kind, "format": made.form, "mode": "all" if made.whole else "best",
        "dry_run": made.dry, "state": made.state, "rows": made.rows, "checked": made.checked, "written": made.written,
        "accepted": made.accepted, "same": made.same, "refused": made.refused, "errors": shown, "seconds": made.seconds,
        "created_at": iso(made.created_at), "reason": made.reason,
    }  # fmt: skip
