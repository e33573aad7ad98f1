"""Keys: an operator makes them for shippers, drivers and other operators."""

from __future__ import annotations

from typing import Any

from flask import Blueprint

from ingest import auth, context
from ingest.auth import Principal, Role
from ingest.context import ALL_ROLES, allow, caller, my_depot, my_record, store
from ingest.openapi import describe
from ingest.parsing import body, checked, query
from ingest.problems import not_found
from ingest.schemas import AuditQuery, KeyIn, RotateIn, iso
from ingest.store import readers
from ingest.views import AuditView, KeysView, KeyView, NewKeyView

blueprint = Blueprint("access", __name__)

DRIVER_S = 86_400
"""So long a driver's token is good if nothing else is asked for."""


@blueprint.post("/v1/keys")
@allow(Role.OPERATOR)
@describe({201: NewKeyView}, body=KeyIn, problems=(404,))
def make() -> tuple[dict[str, Any], int]:
    """Make a key; its secret is in this answer and nowhere else."""
    wanted = checked(KeyIn, body())
    if wanted.driver_id is not None:
        my_record("drivers", wanted.driver_id)
    for depot_id in wanted.depots:
        my_depot(depot_id)
    secret, principal = auth.make_key(
        store(), Role(wanted.role), tenant=caller().tenant, name=wanted.name or "", driver_id=wanted.driver_id,
        depots=tuple(wanted.depots), ttl=wanted.ttl or (DRIVER_S if wanted.role == "driver" else None),
        shipper=wanted.shipper or "", scopes=tuple(sorted(set(wanted.scopes))),
    )  # fmt: skip
    return _view(principal, None) | {"key": secret}, 201


@blueprint.get("/v1/keys")
@allow(Role.OPERATOR)
@describe({200: KeysView})
def listing() -> dict[str, Any]:
    """All keys of the tenant, without their secrets; those that have expired are gone."""
    auth.forget_expired(store())
    return {"keys": [_view(principal, used) for principal, used in auth.principals(store(), caller().tenant)]}


@blueprint.get("/v1/me")
@allow(*ALL_ROLES)
@describe({200: KeyView})
def me() -> dict[str, Any]:
    """The key that calls."""
    return _view(caller(), context.now())


@blueprint.post("/v1/keys/<key_id>/rotate")
@allow(Role.OPERATOR, Role.SHIPPER, scope="read")
@describe({201: NewKeyView}, body=RotateIn, problems=(403,))
def rotate(key_id: str) -> tuple[dict[str, Any], int]:
    """A new secret for a key; the one before is good for `overlap` seconds more. Whoever calls may say `me`; shippers only that."""
    wanted = checked(RotateIn, body())
    if caller().role is not Role.OPERATOR and key_id not in ("me", caller().id):
        raise not_found("key", key_id)
    made = auth.rotate(store(), caller().tenant, caller().id if key_id == "me" else key_id, overlap=wanted.overlap)
    if made is None:
        raise not_found("key", key_id)
    return _view(made[1], None) | {"key": made[0]}, 201


@blueprint.delete("/v1/keys/<key_id>")
@allow(Role.OPERATOR)
@describe({204: None})
def revoke(key_id: str) -> tuple[str, int]:
    """Revoke a key at once."""
    if not auth.revoke(store(), caller().tenant, key_id):
        raise not_found("key", key_id)
    return "", 204


def _view(principal: Principal, used: float | None) -> dict[str, Any]:
    return {
        "id": principal.id, "role": principal.role, "name": principal.name, "prefix": principal.prefix,
        "driver_id": principal.driver_id, "depots": list(principal.depots), "made_at": iso(principal.made_at),
        "shipper": principal.account if principal.role is Role.SHIPPER else None, "scopes": list(principal.scopes),
        "last_used_at": iso(used) if used else None,
        "expires_at": iso(principal.expires_at) if principal.expires_at else None,
    }  # fmt: skip


@blueprint.get("/v1/audit")
@allow(Role.OPERATOR)
@describe({200: AuditView}, query=AuditQuery)
def audit() -> dict[str, Any]:
    """What the tenant's operators have done, oldest first: every call that changed something, without names, phones and notes.

    The newest some 10,000 are here, all of them in the archive.
    """
    asked = query(AuditQuery)
    rows = readers.audit(store(), after=asked.after, limit=asked.limit)
    mine = [row for row in rows if row[1]["tenant"] == caller().tenant]
    told = [{"id": entry, "at": iso(int(entry.split("-")[0]) / 1000), "key_id": row["who"], "name": row["name"],
             "action": row["action"], "method": row["method"], "path": row["path"], "status": int(row["status"]),
             "body": row["body"]} for entry, row in mine]  # fmt: skip
    return {"entries": told, "next_cursor": rows[-1][0] if rows else asked.after, "more": len(rows) == asked.limit}
