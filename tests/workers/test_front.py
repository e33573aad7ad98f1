"""Streams and long polls, through the front and a real server."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from typing import Any

import pytest
import requests

from tests.conftest import HOME, SPOTS, Shop, wait_for
from workers import replan


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
