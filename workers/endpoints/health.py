"""Whether the process lives, and whether it can serve."""

from __future__ import annotations

from typing import Any

import redis
from flask import Blueprint

from ingest.context import services, store
from ingest.openapi import describe
from ingest.problems import ApiProblem
from ingest.store import keys
from ingest.store.connection import RETRY_AFTER_S
from workers.views import AliveView, ReadyView

blueprint = Blueprint("health", __name__)


@blueprint.get("/healthz")
@describe({200: AliveView})
def alive() -> dict[str, Any]:
    """The process answers."""
    return {"status": "alive"}


@blueprint.get("/readyz")
@describe({200: ReadyView})
def ready() -> dict[str, Any]:
    """Redis answers with data of our schema, and there is a map."""
    try:
        schema = store().get(keys.shared_key("schema"))
    except redis.RedisError as error:
        raise ApiProblem(503, "redis_away", f"Redis does not answer: {error}.", "Wait; it recovers by itself.",
                         headers={"Retry-After": str(RETRY_AFTER_S)}) from None  # fmt: skip
    if schema != keys.SCHEMA:
        raise ApiProblem(503, "schema_version", f"Redis holds schema {schema}, not {keys.SCHEMA}.", "Restart to see what to do.")
    maps = sorted({path.stem for folder in services().settings.maps for path in folder.glob("*.map")})
    return {"status": "ready", "maps": maps}
