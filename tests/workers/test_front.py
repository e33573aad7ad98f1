"""Streams and long polls, through the front and a real server."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time
from dataclasses import replace
from typing import Any

import pytest
import requests

from app import create_app
from ingest.store import keys
from tests.conftest import HOME, SPOTS, Shop, one_server, wait_for
from workers import front, replan


def version_after(shop: Shop, number: int) -> None:
    shop.order(SPOTS[number % len(SPOTS)], kind="service", demand={})
    assert replan.repair(shop.store, shop.settings, "hel") == 1


def test_polling_answers_304_until_there_is_a_new_route(shop: Shop) -> None:
    """The ETag is the route version."""
    shop.depot()
    anna = shop.crew("anna")
    version_after(shop, 0)
    first = shop.call("GET", "/v1/drivers/me/route", key=anna)
    assert (first.status_code, first.headers["ETag"], first.json["route_version"]) == (200, '"1"', 1)
    same = shop.call("GET", "/v1/drivers/me/route", key=anna, headers={"If-None-Match": '"1"'})
    assert (same.status_code, same.text) == (304, "")
    assert first.headers["Cache-Control"] == "no-store", "stops' states change within a version"
    version_after(shop, 1)
    new = shop.call("GET", "/v1/drivers/me/route", key=anna, headers={"If-None-Match": '"1"'})
    assert (new.status_code, new.headers["ETag"]) == (200, '"2"')
    assert shop.call("GET", "/v1/drivers/me/route?wait=soon", key=anna, headers={"If-None-Match": '"2"'}).status_code == 422


def events(text: str) -> list[tuple[str, int]]:
    blocks = [dict(line.split(": ", 1) for line in block.splitlines()) for block in text.strip().split("\n\n") if block]
    return [(block["event"], int(block["id"])) for block in blocks]


def catch_up(shop: Shop, token: str, last: str | None) -> list[tuple[str, int]]:
    headers = {"X-Lastleg-Subscribed": "1"} | ({"Last-Event-ID": last} if last is not None else {})
    return events(shop.call("GET", "/v1/drivers/me/stream", key=token, headers=headers).text)


def test_a_stream_resumes_where_it_was(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Missed versions one by one; too many, none known, or one from another life: one snapshot."""
    from workers.endpoints import routes

    shop.depot()
    anna = shop.crew("anna")
    for number in range(5):
        version_after(shop, number)
    assert catch_up(shop, anna, None) == [("snapshot", 5)]
    assert catch_up(shop, anna, "2") == [("route", 3), ("route", 4), ("route", 5)]
    assert catch_up(shop, anna, "5") == []
    assert catch_up(shop, anna, "99") == [("snapshot", 5)]
    stream = keys.route_stream("hel", "hel.anna")
    assert 0 < shop.store.ttl(stream) <= 7 * 86_400
    kept = shop.store.xrange(stream)
    shop.store.delete(stream)
    assert catch_up(shop, anna, "2") == [("snapshot", 5)], "as when they have expired"
    for entry, fields in kept:
        shop.store.xadd(stream, fields, id=entry)
    monkeypatch.setattr(routes, "MAX_MISSED", 3)
    assert catch_up(shop, anna, "2") == [("route", 3), ("route", 4), ("route", 5)]
    assert catch_up(shop, anna, "1") == [("snapshot", 5)]
    assert shop.call("GET", "/v1/drivers/me/stream", key=anna, headers={"Last-Event-ID": "x"}).status_code == 422


def listen(url: str, token: str, seen: list[int], opened: threading.Event) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    answer = requests.get(f"{url}/v1/drivers/me/stream", headers=headers, stream=True, timeout=20)
    with contextlib.suppress(requests.RequestException), answer:  # the server is stopped at the end of the test
        for line in answer.iter_lines(chunk_size=1):
            opened.set()
            if line.startswith(b"id: "):
                seen.append(int(line[4:]))


def test_through_the_real_server(stack: Any) -> None:
    """Headers of the front cannot be forged, refusals come from Flask, a waiting poll wakes, a body over the limit is told."""
    call = lambda method, path, body=None, key=stack.operator_key, **more: requests.request(  # noqa: E731
        method, stack.url + path, json=body, headers={"Authorization": f"Bearer {key}"} | more, timeout=30)  # fmt: skip
    call("POST", "/v1/depots", {"id": "hel", "map": "helsinki", "location": HOME})
    call("POST", "/v1/drivers", {"depot_id": "hel", "id": "a"})
    call("POST", "/v1/vehicles", {"depot_id": "hel", "id": "v"})
    now = time.time()
    hours = {"start": _iso(now - 60), "end": _iso(now + 3600)}
    assert call("POST", "/v1/shifts", {"depot_id": "hel", "id": "s", "driver_id": "hel.a", "vehicle_id": "hel.v"} | hours).ok
    token = call("POST", "/v1/keys", {"role": "driver", "driver_id": "hel.a"}).json()["key"]

    assert call("GET", "/v1/drivers/me/stream", key="nobody").json()["code"] == "unauthorized"
    started = time.monotonic()
    forged = call("GET", "/v1/drivers/me/route?wait=1", None, token, **{"If-None-Match": '"0"', "X-Lastleg-Subscribed": "1"})
    assert forged.status_code == 304
    assert time.monotonic() - started > 0.9
    assert not [name for name in forged.headers if name.lower().startswith("x-lastleg")]
    huge = requests.post(stack.url + "/v1/orders", data=b" " * (stack.settings.body_limit + 5),
                         headers={"Authorization": f"Bearer {stack.operator_key}"}, timeout=10)  # fmt: skip
    assert (huge.status_code, huge.json()["code"]) == (413, "body_too_large")

    seen: list[int] = []
    opened = threading.Event()
    threading.Thread(target=listen, args=(stack.url, token, seen, opened), daemon=True).start()
    assert opened.wait(5)
    woken: list[Any] = []
    poll = threading.Thread(target=lambda: woken.append(call("GET", "/v1/drivers/me/route?wait=20", None, token,
                                                             **{"If-None-Match": '"0"'})))  # fmt: skip
    poll.start()
    order = call("POST", "/v1/orders", {"depot_id": "hel", "kind": "service", "location": SPOTS[0]})
    assert order.status_code == 201
    poll.join(10)
    assert woken[0].status_code == 200
    version = json.loads(woken[0].text)["route_version"]
    wait_for(lambda: version in seen, what="the stream")


def _iso(moment: float) -> str:
    from demo.api import iso

    return iso(moment)


class Caller:
    """An HTTP connection to a front in this process: what it sends, and what it got."""

    def __init__(self, app: front.Front, path: str, token: str, *parts: bytes, method: str = "GET", endless: bool = False) -> None:
        self._parts, self._endless = list(parts), endless
        self.gone = asyncio.Event()
        self.got: list[dict[str, Any]] = []
        headers = [(b"authorization", b"Bearer " + token.encode()), (b"content-type", b"application/json")]
        scope = {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "path": path,
                 "scheme": "http", "raw_path": path.encode(), "query_string": b"", "root_path": "", "headers": headers,
                 "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80)}  # fmt: skip
        self.call = asyncio.ensure_future(app(scope, self._receive, self._send))

    async def _receive(self) -> dict[str, Any]:
        if self._parts:
            part = self._parts.pop(0)
            return {"type": "http.request", "body": part, "more_body": self._endless or bool(self._parts)}
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        self.got.append(message)

    async def told(self) -> tuple[int, Any]:
        """Status and JSON of the answer."""
        await asyncio.wait_for(self.call, 10)
        return self.got[0]["status"], json.loads(b"".join(message.get("body", b"") for message in self.got[1:]))


@one_server
def test_a_stream_ends_with_its_key(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A revoked one, or one that has expired, though nothing happens on it; others go on."""
    monkeypatch.setattr(front, "HEARTBEAT_S", 0.05)
    monkeypatch.setattr(front, "KNOWN_S", 0.2)
    shop.depot()
    anna, bo = shop.crew("anna"), shop.crew("bo")

    async def scenario() -> None:
        app = front.Front(shop.app, shop.settings)
        one, other = (Caller(app, "/v1/drivers/me/stream", token, b"") for token in (anna, bo))
        await asyncio.sleep(0.5)
        assert not one.call.done()
        [key] = [row["id"] for row in shop.call("GET", "/v1/keys").json["keys"] if row["driver_id"] == "hel.anna"]
        assert shop.call("DELETE", f"/v1/keys/{key}").status_code == 204
        await asyncio.wait_for(one.call, 2)
        assert not other.call.done()
        other.gone.set()
        await other.call
        await asyncio.sleep(0.2)  # Flask may be asked at the moment

    asyncio.run(scenario())


@one_server
def test_bodies_that_do_not_come_or_do_not_end(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither holds a connection, or memory, for ever; and whether the process lives is told without Flask."""
    monkeypatch.setattr(front, "BODY_S", 0.3)
    monkeypatch.setattr(front, "HELD", 3000)
    small = replace(shop.settings, body_limit=1000)

    async def scenario() -> None:
        app = front.Front(create_app(small), small)
        slow = Caller(app, "/v1/orders", shop.operator, b"{", method="POST", endless=True)
        endless = Caller(app, "/v1/orders", shop.operator, *[b" " * 400] * 50, method="POST", endless=True)
        assert (await endless.told())[1]["code"] == "body_too_large"
        status, problem = await slow.told()
        assert (status, problem["code"]) == (408, "body_too_slow")
        many = [Caller(app, "/v1/orders", shop.operator, b" " * 900, method="POST", endless=True) for _ in range(5)]
        answers = [(await caller.told()) for caller in many]
        assert sorted({problem["code"] for _, problem in answers}) == ["body_too_slow", "busy"]
        assert await Caller(app, "/healthz", "", b"").told() == (200, {"status": "alive"})
        assert app._held.total() == 0

    asyncio.run(scenario())


@one_server
def test_long_bodies_are_taken_from_those_who_are_known_and_keep_nobody_else_waiting(shop: Shop, monkeypatch: pytest.MonkeyPatch
                                                                                     ) -> None:  # fmt: skip
    """A stranger is refused before his file is taken; files on their way leave room for everybody else's calls."""
    monkeypatch.setattr(front, "UNASKED", 1000)
    monkeypatch.setattr(front, "BODY_S", 1.0)
    monkeypatch.setattr(front, "HELD", 3000)
    settings = replace(shop.settings, import_limit=4000)
    part = b"x" * 900

    async def scenario() -> None:
        app = front.Front(create_app(settings), settings)
        path = "/v1/imports"
        stranger = Caller(app, path, "wrong", part, part, method="POST", endless=True)
        status, problem = await stranger.told()
        assert (status, problem["code"]) == (401, "unauthorized")
        files = [Caller(app, path, shop.shipper, *[part] * 4, method="POST", endless=True) for _ in range(3)]
        await asyncio.sleep(0.3)
        assert (await Caller(app, "/v1/orders", shop.shipper, b"{", method="POST").told())[1]["code"] == "malformed_json"
        assert sorted([(await file.told())[1]["code"] for file in files]) == ["body_too_slow", "body_too_slow", "busy"]
        assert app._held.total() == 0

    asyncio.run(scenario())


@one_server
def test_what_waits_for_flask_is_held(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole bodies count as long as they are not answered."""
    monkeypatch.setattr(front, "HELD", 3000)
    released = threading.Event()

    def waits() -> dict[str, Any]:
        released.wait(10)
        return {}

    shop.app.add_url_rule("/waits", "waits", waits, methods=["POST"])

    async def scenario() -> None:
        app = front.Front(shop.app, shop.settings)
        many = [Caller(app, "/waits", "", b" " * 900, method="POST") for _ in range(5)]
        await asyncio.sleep(0.3)
        assert [caller.call.done() for caller in many] == [False] * 3 + [True] * 2
        assert (await many[4].told())[1]["code"] == "busy"
        released.set()
        assert [await caller.told() for caller in many[:3]] == [(200, {})] * 3
        assert app._held.total() == 0

    asyncio.run(scenario())


@one_server
def test_a_stream_is_one_call(shop: Shop) -> None:
    """Though the front asks more than once for it."""
    shop.depot()
    anna = shop.crew("anna")
    shop.app.extensions["lastleg"].settings.rates["driver"] = (0.001, 1)

    async def scenario() -> None:
        app = front.Front(shop.app, shop.settings)
        caller = Caller(app, "/v1/drivers/me/stream", anna, b"")
        await asyncio.sleep(0.5)
        assert caller.got[0]["status"] == 200
        assert (await Caller(app, "/v1/drivers/me/stream", anna, b"").told())[0] == 429
        caller.gone.set()
        await caller.call

    asyncio.run(scenario())
