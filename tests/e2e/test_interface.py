"""The description of the interface, held against the running server: by its own examples, and by what nobody thought of."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.conftest import Processes, order

MORE = ("/stream", "/try", "/{version}", "/plan", "/{message_id}/retry", "/accept", "/discard", "/lines", "/what-if")
"""How paths end that need more of a world, and have tests of their own."""

CALLS = 10
"""So many calls of each kind to each endpoint."""

CONFIG = """
[[operations]]
include-path = "/v1/orders:batch"  # each order has a result of its own, and so have those that are none
checks.negative_data_rejection.enabled = false
"""


class World:
    """The running system with a depot, a driver and an order; `document` is its description, and `ids` what paths name."""

    def __init__(self, server: Any) -> None:
        self.server = server
        self.document = requests.get(server.url + "/openapi.json", timeout=10).json()
        for path in ("/v1/depots", "/v1/drivers", "/v1/vehicles"):
            self.made(path, self.example("post", path))
        hours = {name: (datetime.now(UTC) + timedelta(hours=after)).isoformat() for name, after in (("start", -1), ("end", 7))}
        self.made("/v1/shifts", self.example("post", "/v1/shifts") | hours | {"id": "today-anna"})
        made = self.made("/v1/orders", order())
        road = self.made("/v1/road-events", self.example("post", "/v1/road-events"))
        key = self.made("/v1/keys", {"role": "shipper"})
        hook = self.made("/v1/webhooks", {"url": "http://127.0.0.1:9/"})
        load = self.call("POST", "/v1/imports", self.example("post", "/v1/imports"), {"depot_id": "hel"}).json()
        quote = self.made("/v1/quotes", self.example("post", "/v1/quotes"))
        link = self.made(f"/v1/orders/{made['id']}/tracking", {})
        self.ids = _examples(self.document) | {
            "depot_id": "hel", "driver_id": "hel.anna", "vehicle_id": "hel.van-1", "shift_id": "hel.today-anna",
            "order_id": made["id"], "stop_id": made["stop_id"], "event_id": road["id"],
            "external_id": "A-17", "what": "stops",
            "webhook_id": hook["id"], "quote_id": quote["quote_id"], "import_id": load["id"],
            "message_id": "evt_hel_1", "token": link["url"].split("/")[-1], "key_id": key["id"],
        }  # fmt: skip

    def example(self, method: str, path: str) -> Any:
        """The body that the description gives as an example; None if there is none."""
        body = self.document["paths"][path][method].get("requestBody", {"content": {}})
        return next((content["example"] for content in body["content"].values()), None)

    def call(self, method: str, path: str, body: Any = None, query: dict[str, Any] | None = None) -> requests.Response:
        """Call as an operator."""
        headers = {"Authorization": f"Bearer {self.server.operator_key}"}
        sent = {"data": body} if isinstance(body, str) else {"json": body}
        return requests.request(method, self.server.url + path, params=query, headers=headers, timeout=10, **sent)

    def made(self, path: str, body: Any) -> Any:
        """POST that must succeed; its JSON."""
        answer = self.call("POST", path, body)
        assert answer.status_code < 300, answer.text
        return answer.json()


def _examples(document: dict[str, Any]) -> dict[str, Any]:
    """What stands in paths, as the description has it."""
    rows = [operation.get("parameters", ()) for operations in document["paths"].values() for operation in operations.values()]
    return {row["name"]: row["example"] for parameters in rows for row in parameters if row["in"] == "path"}


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A fresh one: what tests send changes it."""
    monkeypatch.setenv("LASTLEG_WEBHOOK_NETWORKS", "127.0.0.1/32")
    with Processes(tmp_path / "state") as running:
        yield World(running)


def test_every_example_is_accepted(world: World) -> None:
    """In the order of the description, what deletes last; examples name the ids of this world."""
    rows = [(method, path) for path, operations in world.document["paths"].items() for method in operations]
    tried = 0
    for method, path in sorted(rows, key=lambda row: row[0] == "delete"):
        if path.endswith(MORE):
            continue
        if (method, path) in (("post", "/v1/depots"), ("delete", "/v1/sessions/current")):  # made already; no key has one
            continue
        query = {"lat": 60.1712, "lon": 24.9441} if path.endswith(("/near", "/street")) else {"depot_id": "hel"}
        takes = [
            parameter["name"]
            for parameter in world.document["paths"][path][method].get("parameters", ())
            if parameter["in"] == "query"
        ]
        body = world.example(method, path)
        if path.endswith("/acks"):
            body = {"route_version": 0}
        if path == "/v1/sessions":
            body = {"key": world.server.operator_key}
        if path == "/v1/webhooks" and body:  # no name can be resolved without the internet
            body = body | {"url": "http://127.0.0.1:9/"}
        ids = world.ids | ({"order_id": world.made("/v1/orders", order())["id"]} if method in ("patch", "delete") else {})
        answer = world.call(method, path.format(**ids), body, {name: query[name] for name in takes if name in query})
        assert answer.status_code < 300, f"{method} {path}: {answer.text}"
        tried += 1
    assert tried > 30


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_nothing_undocumented(world: World, tmp_path: Path) -> None:
    """Whatever is sent, right or wrong: no status, media type or body that the description does not have, and no 5xx.

    The ids in its examples are made those of this world, so that more is found than 404. Streams never end, and are left out, as is
    waiting, and what would end the key that calls; what is right by the description may still be refused: a place may be off the
    map, an id unknown.
    """
    for operations in world.document["paths"].values():
        for operation in operations.values():
            operation["parameters"] = [
                parameter | ({"example": world.ids[parameter["name"]]} if parameter["name"] in world.ids else {})
                for parameter in operation.get("parameters", ()) if parameter["name"] != "wait"]  # fmt: skip
    (tmp_path / "openapi.json").write_text(json.dumps(world.document))
    (tmp_path / "schemathesis.toml").write_text(CONFIG)
    done = subprocess.run(
        [Path(sys.executable).with_name("st"), "run", "openapi.json", "--url", world.server.url,
         "--header", f"Authorization: Bearer {world.server.operator_key}", "--exclude-path-regex", "/stream$|/keys/.key_id",
         "--exclude-checks", "positive_data_acceptance", "--max-examples", str(CALLS), "--seed", "1", "--continue-on-failure",
         "--generation-database", ":memory:", "--request-timeout", "20", "--no-color"],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-200_000:] + done.stderr
