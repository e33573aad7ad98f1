"""What happens at a depot, as it happens: for whoever watches over it."""

from __future__ import annotations

from flask import Blueprint, Response, request

from ingest.auth import Role
from ingest.context import ASKED_AGAIN, allow, my_depot, store
from ingest.openapi import describe
from ingest.parsing import headers, query
from ingest.schemas import StreamHeaders, StreamQuery
from workers import live

blueprint = Blueprint("live", __name__)


@blueprint.get("/v1/depots/<depot_id>/stream")
@allow(Role.OPERATOR)
@describe({200: str}, query=StreamQuery, headers=StreamHeaders, media="text/event-stream")
def stream(depot_id: str) -> Response:
    """Server-sent events of a depot: `feed` (as in the feed; `id:` is its sequence), `drivers`, `etas` and `roads`.

    It begins with `hello`, or with `reset` if so much has been missed since `Last-Event-ID` that everything is to be read anew.
    `drivers` (places and states by id) and `etas` (by stop) are whole at first, then what has changed, each second.
    """
    depot = my_depot(depot_id)
    told, asked = headers(StreamHeaders).last_event_id, query(StreamQuery).last_event_id
    if ASKED_AGAIN not in request.headers:
        return Response(headers={"X-Lastleg-Watch": depot.id}, content_type="text/event-stream")
    text, number = live.catch_up(store(), depot, asked if told is None else told)
    return Response(text, headers={"X-Lastleg-Version": str(number)}, content_type="text/event-stream")
