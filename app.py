"""The Flask application, and the front that serves it: `granian --interface asgi --factory app:create_front`."""

from __future__ import annotations

import logging
import resource
import signal
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
import redis
from flask import Flask, Response
from flask.json.provider import JSONProvider
from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.routing import BaseConverter

from ingest import audit, logs
from ingest.context import Services, tell
from ingest.endpoints import access, depots, drivers, fleet, maps, orders, pages, reference, roads, sessions
from ingest.parent import die_with_parent
from ingest.problems import ApiProblem, from_core, render
from ingest.settings import Settings
from ingest.store.connection import AWAY, RETRY_AFTER_S, away, check_schema, connect, unable
from routing.errors import LastlegError
from workers.endpoints import bulk, following, health, live, metrics, near, plans, proposals, quotes, routes, webhooks, whatif
from workers.front import Front

log = logging.getLogger(__name__)


MODULES = (orders, quotes, following, webhooks, drivers, routes, plans, proposals, whatif, live, near, roads, maps, fleet, bulk,
           depots, access, sessions, health, metrics, reference, pages)  # fmt: skip
"""Of the endpoints, in the order in which the interface is described."""


class Json(JSONProvider):
    """Answers by msgspec: several times as fast as Flask's own, which showed in how many orders are taken in."""

    def dumps(self, obj: Any, **kwargs: Any) -> str:
        """Compact JSON in the order of the fields."""
        return msgspec.json.encode(obj).decode()

    def loads(self, s: str | bytes, **kwargs: Any) -> Any:
        """Plain Python values."""
        return msgspec.json.decode(s)


class Anything(BaseConverter):
    """The rest of a path, slashes and all, also one that it begins with."""

    regex = ".+"
    part_isolating = False


def create_app(settings: Settings | None = None) -> Flask:
    """Make the application.

    Raises
    ------
    WrongSchema
        If Redis holds data of another version of this program.
    """
    settings = settings or Settings.read()
    client = connect(settings)
    try:
        check_schema(client)
    except redis.RedisError as error:
        if not away(error):
            raise
        log.warning("Redis does not answer yet; serving 503 until it does")
    app = Flask("lastleg", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = settings.body_limit
    app.json = Json(app)
    app.url_map.converters["anything"] = Anything
    app.url_map.merge_slashes = False  # what looks like another path is another
    app.extensions["lastleg"] = Services(settings, client)
    for module in MODULES:
        app.register_blueprint(module.blueprint)
    app.after_request(tell)
    app.after_request(partial(audit.note, client))
    app.register_error_handler(ApiProblem, render)
    app.register_error_handler(LastlegError, lambda error: render(from_core(error)))
    app.register_error_handler(HTTPException, _http)
    for kind in AWAY:
        app.register_error_handler(kind, _redis_away)
    app.register_error_handler(redis.OutOfMemoryError, _redis_full)
    app.register_error_handler(redis.ResponseError, _redis_unable)
    app.register_error_handler(Exception, _defect)
    return app


def create_front(make: Callable[[Settings], Flask] = create_app) -> Front:
    """What the server runs: the application behind the front that holds streams and long polls."""
    die_with_parent(signal.SIGKILL)  # the server forks its workers; an orphan would go on listening
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # each stream is an open file, and many systems begin with 1024
    settings = Settings.read()
    logs.setup(settings.log, logging.WARNING)
    return Front(make(settings), settings)


def _http(error: HTTPException) -> Response:
    """What Flask itself refuses: unknown paths, wrong methods, bodies over the limit."""
    codes = {404: "not_found", 405: "method_not_allowed", 413: "body_too_large"}
    status = error.code or 500
    allowed = ", ".join(sorted(error.valid_methods or ())) if isinstance(error, MethodNotAllowed) else ""
    told = {404: ("There is no such path.", "/docs has all there are."),
            405: (f"This path takes {allowed}.", "Use another method."),
            413: ("The body is too large.", "Send it in parts.")}  # fmt: skip
    detail, remedy = told.get(status, (error.description or error.name, ""))
    headers = {"Allow": allowed} if allowed else {}
    return render(ApiProblem(status, codes.get(status, "http_error"), detail, remedy, headers=headers))


def _redis_away(error: Exception) -> Response:
    return render(ApiProblem(503, "redis_away", "The store does not answer; nothing was changed that you were told of.",
                             "Send the same request again, with the same ids.",
                             headers={"Retry-After": str(RETRY_AFTER_S)}))  # fmt: skip


def _redis_full(error: Exception) -> Response:
    log.error("Redis is full: %s", error)
    return render(ApiProblem(503, "redis_full", "The store has no memory left for more; what it has is served as before.",
                             "Tell whoever runs this; send the same request again later.",
                             headers={"Retry-After": "60"}))  # fmt: skip


def _redis_unable(error: Exception) -> Response:
    if not unable(error):
        return _defect(error)
    log.error("Redis takes no writes: %s", error)
    return render(ApiProblem(503, "redis_read_only", "The store takes no changes for now; what it has is served as before.",
                             "Send the same request again, with the same ids.",
                             headers={"Retry-After": str(RETRY_AFTER_S)}))  # fmt: skip


def _defect(error: Exception) -> Response:
    log.exception("A request failed", exc_info=error)
    return render(ApiProblem(500, "internal", "This is a defect of the service; it has been logged."))
