"""Browsers' sessions: a cookie that no script can read, and that alone changes nothing."""

from __future__ import annotations

import time
from typing import Any

import pytest

from ingest import auth
from ingest.auth import Role, make_key
from tests.conftest import Shop


def opened(shop: Shop, key: str, **kwargs: Any) -> str:
    """Open a session in the shop's browser; its token."""
    answer = shop.call("POST", "/v1/sessions", {"key": key}, key="", **kwargs)
    assert answer.status_code == 201, answer.text
    return str(answer.json["csrf_token"])


def test_a_session_reads_by_its_cookie_and_writes_with_its_token(shop: Shop) -> None:
    """As its key would; what another site's page may send, the cookie alone, changes nothing."""
    token = opened(shop, shop.operator)
    assert shop.call("GET", "/v1/me", key="").json["role"] == "operator"
    depot = {"id": "hel", "map": "helsinki", "location": {"lat": 60.1699, "lon": 24.9384}}
    for headers in ({}, {"X-CSRF-Token": ""}, {"X-CSRF-Token": "wrong"}, {"X-CSRF-Token": "ä"}):
        refused = shop.call("POST", "/v1/depots", depot, key="", headers=headers)
        assert (refused.status_code, refused.json["code"]) == (401, "unauthorized")
    assert shop.call("GET", "/v1/depots", key="").json == {"depots": []}
    assert shop.call("POST", "/v1/depots", depot, key="", headers={"X-CSRF-Token": token}).status_code == 201
    current = shop.call("GET", "/v1/sessions/current", key="").json["session"]
    assert (current["csrf_token"], current["role"]) == (token, "operator")


def test_the_cookie_is_for_this_site_and_for_no_script(shop: Shop) -> None:
    """And, behind a proxy that speaks TLS, for TLS only."""
    answer = shop.call("POST", "/v1/sessions", {"key": shop.operator}, key="")
    said = {part.strip() for part in answer.headers["Set-Cookie"].split(";")}
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= said
    assert "Secure" not in said
    assert shop.operator not in answer.headers["Set-Cookie"]
    behind = shop.call("POST", "/v1/sessions", {"key": shop.operator}, key="", headers={"X-Forwarded-Proto": "https"})
    assert "Secure" in behind.headers["Set-Cookie"]


def test_an_operator_and_a_driver_in_one_browser_are_told_apart_by_their_tokens(shop: Shop) -> None:
    """Each page sends its own."""
    shop.depot()
    driver = opened(shop, shop.crew("anna"))
    operator = opened(shop, shop.operator)
    for token, role in ((driver, "driver"), (operator, "operator")):
        assert shop.call("GET", "/v1/me", key="", headers={"X-CSRF-Token": token}).json["role"] == role
        assert shop.call("GET", f"/v1/sessions/current?role={role}", key="").json["session"]["csrf_token"] == token
    assert shop.call("GET", "/v1/drivers/me/route", key="", headers={"X-CSRF-Token": driver}).status_code == 200


def test_who_gets_none(shop: Shop) -> None:
    """Shippers, unknown keys, and sessions themselves; nor is a cookie a key, or a key a cookie."""
    for key in (shop.shipper, "wrong", "ä" * 200):
        answer = shop.call("POST", "/v1/sessions", {"key": key}, key="")
        assert (answer.status_code, answer.json["code"]) == (401, "unauthorized")
    assert shop.call("POST", "/v1/sessions", {"key": "x" * 201}, key="").status_code == 422
    opened(shop, shop.operator)
    cookie = shop.client.get_cookie("lastleg_operator")
    assert cookie is not None
    assert shop.call("POST", "/v1/sessions", {"key": cookie.value}, key="").status_code == 401
    shop.client.delete_cookie("lastleg_operator")
    assert shop.call("GET", "/v1/me", key=cookie.value).status_code == 401
    shop.client.set_cookie("lastleg_operator", shop.operator)
    assert shop.call("GET", "/v1/me", key="").status_code == 401
    assert shop.call("GET", "/v1/sessions/current", key="").json == {"session": None}
    assert shop.call("DELETE", "/v1/sessions/current").status_code == 404


def test_a_session_ends_by_itself_when_told_and_with_its_key(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A revoked key's sessions end with the next call, a rotated one's with its old secrets."""
    second, principal = make_key(shop.store, Role.OPERATOR, tenant="acme")
    token = opened(shop, second)
    assert shop.call("DELETE", "/v1/sessions/current", key="").status_code == 401
    ended = shop.call("DELETE", "/v1/sessions/current", key="", headers={"X-CSRF-Token": token})
    assert (ended.status_code, shop.client.get_cookie("lastleg_operator")) == (204, None)

    opened(shop, second)
    assert [key["id"] for key in shop.call("GET", "/v1/keys").json["keys"]].count(principal.id) == 1, "sessions are no keys"
    rotated = shop.call("POST", f"/v1/keys/{principal.id}/rotate", {"overlap": 0}).json["key"]
    assert shop.call("GET", "/v1/me", key="").status_code == 401
    assert shop.call("GET", "/v1/me", key=rotated).status_code == 200

    opened(shop, rotated)
    assert shop.call("DELETE", f"/v1/keys/{principal.id}").status_code == 204
    assert shop.call("GET", "/v1/me", key="").status_code == 401

    opened(shop, make_key(shop.store, Role.OPERATOR, tenant="acme", ttl=3600)[0])
    left = auth.open_session(shop.store, shop.operator)
    assert left is not None
    ahead = time.time() + 3700
    monkeypatch.setattr("ingest.auth.time.time", lambda: ahead)
    assert shop.call("GET", "/v1/me", key="").status_code == 401, "it ends with its key"
    assert auth.principal_of(shop.store, left[0]) is not None
    monkeypatch.setattr("ingest.auth.time.time", lambda: ahead + 12 * 3600)
    assert auth.principal_of(shop.store, left[0]) is None
