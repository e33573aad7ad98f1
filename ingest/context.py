"""What every endpoint needs of the request: the services, the caller, and what the caller may see."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import wraps
from hmac import compare_digest
from math import ceil
from typing import Any, ParamSpec, TypeVar, cast

from flask import Response, current_app, g, request

from ingest import auth
from ingest.auth import Principal, Role
from ingest.problems import ApiProblem, Fault, invalid, not_found
from ingest.settings import Settings
from ingest.store import readers
from ingest.store.connection import Store
from routing.errors import MapFileError
from routing.model import Depot, depot_of
from routing.roads import maps
from routing.roads.network import Network
from routing.roads.snapping import Snapper

P = ParamSpec("P")
R = TypeVar("R")

RECENT_S = 1.0
"""So old may a depot be where its policy hardly matters. What else it has of interest there never changes."""

ASKED_AGAIN = "X-Lastleg-Subscribed"
"""In calls that the front makes again when it has subscribed; from outside it does not get in."""

SESSION_COOKIES = {Role.OPERATOR: "lastleg_operator", Role.DRIVER: "lastleg_driver"}
"""What the cookies of browsers' sessions are called: one of each may be open."""

CSRF = "X-CSRF-Token"
"""The header that tells of a call by cookie that it comes from our own page, and which session it means."""

ALL_ROLES = (Role.OPERATOR, Role.SHIPPER, Role.DRIVER)


@dataclass(frozen=True, slots=True)
class Services:
    """What the application was built with."""

    settings: Settings
    redis: Store
    recent: dict[str, tuple[float, Depot]] = field(default_factory=dict)
    """Depots as they were read, and when (monotonic s)."""


def services() -> Services:
    """The running application's services."""
    return cast(Services, current_app.extensions["lastleg"])


def store() -> Store:
    """The Redis client."""
    return services().redis


def caller() -> Principal:
    """Who calls; set by `allow`."""
    return cast(Principal, g.principal)


def allow(*roles: Role, scope: str | None = None) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let only these roles call an endpoint: 401 without a valid key, 403 with another role's.

    The key must have the `scope`, by default `read` or `write` as the method says.
    """

    def decorate(endpoint: Callable[P, R]) -> Callable[P, R]:
        operation = getattr(endpoint, "operation", None)

        @wraps(endpoint)
        def checked(*args: P.args, **kwargs: P.kwargs) -> R:
            g.principal = _authenticate()
            if g.principal.role not in roles:
                raise ApiProblem(403, "forbidden", f"A {g.principal.role} key may not do this.",
                                 f"Use a key of role {' or '.join(roles)}.")  # fmt: skip
            needed = scope or ("read" if request.method in ("GET", "HEAD") else "write")
            if needed not in g.principal.scopes:
                raise ApiProblem(403, "forbidden", f"This key may not {needed}.", f"Use a key with the scope `{needed}`.")
            if operation is not None and operation.query is None and request.args:
                raise invalid([Fault("unknown_field", "", "This call takes no parameters.", "Leave it out.", parameter=name)
                               for name in request.args])  # fmt: skip
            return endpoint(*args, **kwargs)

        checked.allowed_roles = roles  # type: ignore[attr-defined]  # read by the test that no endpoint lacks it
        return checked

    return decorate


def _authenticate() -> Principal:
    challenge = {"WWW-Authenticate": 'Bearer realm="lastleg"'}
    scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
    by_session = not scheme
    secret = session_cookie() if by_session else secret.strip() if scheme.lower() == "bearer" else ""
    if not secret:
        raise ApiProblem(401, "unauthorized", "This call needs a key.", "Send `Authorization: Bearer KEY`.", headers=challenge)
    if ASKED_AGAIN in request.headers:  # by the front, for a call that was counted when it came
        principal, allowance = auth.principal_of(store(), secret), None
    else:
        principal, allowance = auth.enter(store(), secret, services().settings.rates)
    if principal is not None and principal.session is not by_session:
        principal = None
    if principal is not None and allowance is not None:
        told = {"RateLimit-Policy": f'"{principal.role}";q={allowance.rate:g};w=1',
                "RateLimit": f'"{principal.role}";r={allowance.left};t={ceil(allowance.wait)}'}  # fmt: skip
        if allowance.wait > 0:
            raise ApiProblem(429, "too_many_requests", f"This key makes more than {allowance.rate:g} calls per second.",
                             "Wait as long as Retry-After says; send pings in batches.",
                             headers={"Retry-After": str(ceil(allowance.wait))} | told)  # fmt: skip
        g.told = told
    if principal is None:
        raise ApiProblem(401, "unauthorized", "This key is unknown, revoked or expired.", "Ask an operator for a new one.",
                         headers=challenge)  # fmt: skip
    return principal


def session_cookie() -> str:
    """The session that calls: the one whose token is sent along; or, if nothing is changed, the one there is. Else ""."""
    cookies = [request.cookies[name] for name in SESSION_COOKIES.values() if name in request.cookies]
    token = request.headers.get(CSRF)
    if token is not None:
        return next((cookie for cookie in cookies if compare_digest(auth.csrf_token(cookie).encode(), token.encode())), "")
    if request.method not in ("GET", "HEAD"):
        return ""
    return cookies[0] if cookies else ""


def tell(response: Response) -> Response:
    """Say on every answer what the key may still do."""
    response.headers.update(g.get("told", {}))
    return response


def my_depot(depot_id: str, *, recent: bool = False) -> Depot:
    """A depot of the caller's tenant that the caller's key reaches, else 404; `recent` does for whoever does not show it."""
    depot = _recent(depot_id) if recent else readers.depot(store(), depot_id)
    who = caller()
    if depot is None or depot.tenant != who.tenant or (who.depots and depot_id not in who.depots):
        raise not_found("depot", depot_id)
    return depot


def _recent(depot_id: str) -> Depot | None:
    known, now = services().recent, time.monotonic()
    read_at, depot = known.get(depot_id, (-RECENT_S, None))
    if now - read_at >= RECENT_S:
        depot = readers.depot(store(), depot_id)
        if depot is not None:
            known[depot_id] = now, depot
    return depot


def my_record(family: str, record_id: str) -> tuple[Depot, Any]:
    """A record (driver, order ...) of a depot the caller reaches, else 404. A shipper sees only its own orders."""
    depot_id = depot_of(record_id)
    what = family.removesuffix("s").replace("_", " ")
    depot = _recent(depot_id)
    record = readers.record(store(), family, depot_id, record_id) if depot else None
    who = caller()
    if depot is None or record is None or depot.tenant != who.tenant or (who.depots and depot_id not in who.depots):
        raise not_found(what, record_id)
    if who.role is Role.SHIPPER and getattr(record, "shipper", who.account) != who.account:
        raise not_found(what, record_id)
    return depot, record


def my_driver(driver_id: str) -> tuple[Depot, str]:
    """The driver named in a path (`me` is the token's own); a driver token reaches no other."""
    who = caller()
    if driver_id == "me":
        if who.driver_id is None:
            raise ApiProblem(404, "not_found", "Only a driver's token has a `me`.", "Name the driver's id.")
        driver_id = who.driver_id
    if who.role is Role.DRIVER and driver_id != who.driver_id:
        raise not_found("driver", driver_id)
    depot, driver = my_record("drivers", driver_id)
    return depot, driver.id


def snapper_of(depot: Depot) -> Snapper:
    """The streets of a depot's map, by location."""
    return Snapper(network_of(depot))


def map_of(name: str) -> Network:
    """A map by name, else 404."""
    folders = services().settings.maps
    try:
        return maps.network(maps.find(name, folders))
    except MapFileError:
        raise not_found("map", name) from None


def network_of(depot: Depot) -> Network:
    """A depot's map."""
    try:
        return maps.network(maps.find(depot.map, services().settings.maps))
    except MapFileError as error:
        raise ApiProblem(503, "map_file", error.detail, error.remedy, headers={"Retry-After": "60"}) from None


def now() -> float:
    """Real time: the HTTP edge is where the clock is read."""
    return time.time()
