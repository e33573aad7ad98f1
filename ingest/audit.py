"""What operators have done: every call of theirs that changed something, who made it, and with what; no names, phones or notes."""

from __future__ import annotations

import json
import logging
from typing import Any
from urllib.parse import urlencode

import redis
from flask import Response, current_app, g, request

from ingest.auth import Principal, Role
from ingest.store import keys
from ingest.store.connection import Store

log = logging.getLogger(__name__)

PERSONAL = frozenset({"recipient", "proof", "name", "phone", "note", "url", "reason"})
"""What of a body is not kept."""

LONG = 4000
"""A body of more characters is not kept; that there was one is."""

QUERY = ("depot_id", "what", "format", "mode")
"""What of a query is kept."""

UNNOTED = frozenset({"drivers.pings", "quotes.ask"})
"""Calls that change nothing, or are not worth noting one by one."""


def note(client: Store, response: Response) -> Response:
    """Note the call that is being answered, if it is an operator's and has changed something."""
    who: Principal | None = g.get("principal")
    changes = request.method not in ("GET", "HEAD", "OPTIONS") and response.status_code < 400 and request.endpoint not in UNNOTED
    if who is not None and who.role is Role.OPERATOR and changes and not g.get("dry_run", False):
        entry = {"tenant": who.tenant, "who": who.id, "name": who.name, "action": str(request.endpoint), "method": request.method,
                 "path": request.path + _asked(), "status": response.status_code, "body": _body()}  # fmt: skip
        try:
            client.xadd(keys.shared_key("audit"), entry)
        except redis.RedisError:  # what was done is done, and is answered
            log.exception("a call of %s was not noted: %s %s", who.id, request.method, request.path)
    return response


def _asked() -> str:
    known = {name: request.args[name] for name in QUERY if name in request.args}
    return f"?{urlencode(known)}" if known else ""


def _body() -> str:
    operation = getattr(current_app.view_functions.get(request.endpoint or ""), "operation", None)
    if operation is not None and operation.body is bytes:
        return "a file"
    raw = request.get_data(cache=True)
    try:
        kept = json.dumps(_without_personal(json.loads(raw))) if raw else ""
    except ValueError:
        return "not JSON"
    return kept if len(kept) <= LONG else f"{len(kept)} characters"


def _without_personal(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_personal(inner) for name, inner in value.items() if name not in PERSONAL}
    if isinstance(value, list):
        return [_without_personal(inner) for inner in value]
    return value
