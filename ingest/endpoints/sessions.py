"""Sessions of browsers: opened with an operator's key or a driver's token, kept in a cookie that no script can read.

A call by cookie that changes something needs the session's `csrf_token` in the header `X-CSRF-Token`.
"""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, jsonify, request

from ingest import auth
from ingest.auth import Principal, Role
from ingest.context import SESSION_COOKIES, allow, caller, now, session_cookie, store
from ingest.openapi import describe
from ingest.parsing import body, checked, query
from ingest.problems import ApiProblem, not_found
from ingest.schemas import SessionIn, SessionQuery, iso
from ingest.views import CurrentSessionView, SessionView

blueprint = Blueprint("sessions", __name__)

SECURE = "X-Forwarded-Proto"
"""By this header a proxy says that the browser speaks TLS to it."""


@blueprint.post("/v1/sessions")
@describe({201: SessionView}, body=SessionIn, problems=(401, 403))
def begin() -> tuple[Response, int]:
    """Open a session with a key; the answer sets its cookie. Shippers have no pages, and no sessions."""
    if request.mimetype != "application/json":  # which no other site's form can send
        raise ApiProblem(400, "malformed_json", "The body is not sent as JSON.", "Send `Content-Type: application/json`.")
    asked = checked(SessionIn, body())
    principal = auth.principal_of(store(), asked.key)
    if principal is not None and asked.role is not None and principal.role != asked.role:
        what = "a driver's token" if principal.role is Role.DRIVER else f"a key of the role {principal.role}"
        raise ApiProblem(403, "forbidden", f"This is {what}.", f"Sign in with one of the role {asked.role}.")
    opened = auth.open_session(store(), asked.key)
    if opened is None:
        raise ApiProblem(401, "unauthorized", "This key opens no session.", "Use an operator's key, or a driver's token.")
    cookie, principal = opened
    answer = jsonify(_view(cookie, principal))
    answer.set_cookie(SESSION_COOKIES[principal.role], cookie, max_age=int((principal.expires_at or 0) - now()), httponly=True,
                      samesite="Strict", secure=_secure())  # fmt: skip
    answer.headers["Cache-Control"] = "no-store"
    return answer, 201


@blueprint.get("/v1/sessions/current")
@describe({200: CurrentSessionView}, query=SessionQuery)
def current() -> dict[str, Any]:
    """The session of a role that this browser has open, or null: what a page asks when it is loaded."""
    role = Role(query(SessionQuery).role)
    cookie = request.cookies.get(SESSION_COOKIES[role], "")
    principal = auth.principal_of(store(), cookie) if cookie else None
    if principal is None or not principal.session or principal.role is not role:
        return {"session": None}
    return {"session": _view(cookie, principal)}


@blueprint.delete("/v1/sessions/current")
@allow(Role.OPERATOR, Role.DRIVER)
@describe({204: None}, problems=(404,))
def end() -> tuple[Response, int]:
    """End the session that calls."""
    cookie, name = session_cookie(), SESSION_COOKIES[caller().role]
    if not cookie or not caller().session:
        raise not_found("session", "current")
    auth.end_session(store(), cookie)
    answer = Response(status=204)
    answer.delete_cookie(name, httponly=True, samesite="Strict", secure=_secure())
    return answer, 204


def _secure() -> bool:
    return request.is_secure or request.headers.get(SECURE) == "https"


def _view(cookie: str, principal: Principal) -> dict[str, Any]:
    return {"role": principal.role, "name": principal.name, "driver_id": principal.driver_id, "csrf_token": auth.csrf_token(cookie),
            "expires_at": iso(principal.expires_at or 0)}  # fmt: skip
