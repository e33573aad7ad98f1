"""Keys: an operator makes them for shippers, drivers and other operators."""

from __future__ import annotations

from typing import Any

from flask import Blueprint

from ingest import auth
from ingest.auth import Principal, Role
from ingest.context import allow, caller, my_depot, my_record, store
from ingest.openapi import describe
from ingest.problems import not_found
from ingest.schemas import KeyIn, body, checked, iso
from ingest.views import KeysView, NewKeyView

blueprint = Blueprint("access", __name__)


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
        depots=tuple(wanted.depots), ttl=wanted.ttl,
    )  # fmt: skip
    return _view(principal) | {"key": secret}, 201


@blueprint.get("/v1/keys")
@allow(Role.OPERATOR)
@describe({200: KeysView})
def listing() -> dict[str, Any]:
    """All keys of the tenant, without their secrets; those that have expired are gone."""
    auth.forget_expired(store())
    return {"keys": [_view(principal) for principal in auth.principals(store(), caller().tenant)]}


@blueprint.delete("/v1/keys/<key_id>")
@allow(Role.OPERATOR)
@describe({204: None})
def revoke(key_id: str) -> tuple[str, int]:
    """Revoke a key at once."""
    if not auth.revoke(store(), caller().tenant, key_id):
        raise not_found("key", key_id)
    return "", 204


def _view(principal: Principal) -> dict[str, Any]:
    return {
        "id": principal.id, "role": principal.role, "name": principal.name, "prefix": principal.prefix,
        "driver_id": principal.driver_id, "depots": list(principal.depots), "made_at": iso(principal.made_at),
        "expires_at": iso(principal.expires_at) if principal.expires_at else None,
    }  # fmt: skip
