"""A depot and its people, seen through the HTTP interface only, with a scaled clock."""

from __future__ import annotations

import json
import threading
import time
from datetime import UTC, datetime
from typing import Any

import redis
import requests

from demo.api import Api, DepotTime, iso
from ingest.store import embedded, keys
from routing import codec
from routing.solve.problem import Problem
from tests.conftest import HOME, SPOTS, wait_for

SCALE = 20.0
BEGIN = datetime(2030, 1, 1, 8, tzinfo=UTC).timestamp()


class Phone:
    """A driver's phone that listens on all three channels."""

    def __init__(self, url: str, token: str, depot: str, driver: str, redis_url: str) -> None:
        self.api, self.depot, self.driver = Api(url, token), depot, driver
        self.streamed: list[int] = []
        self.polled: list[int] = []
        self.heard: list[int] = []
        self.documents: list[dict[str, Any]] = []
        self.done = threading.Event()
        self._url, self._token, self._redis = url, token, redis_url
        self._subscribed = threading.Event()
        for listen in (self._stream, self._poll, self._subscribe):
            threading.Thread(target=listen, daemon=True).start()
        assert self._subscribed.wait(5)

    def _stream(self) -> None:
        last = ""
        while not self.done.is_set():
            headers = {"Authorization": f"Bearer {self._token}"} | ({"Last-Event-ID": last} if last else {})
            try:
                with requests.get(f"{self._url}/v1/drivers/me/stream", headers=headers, stream=True, timeout=30) as answer:
                    for line in answer.iter_lines(chunk_size=1):
                        if line.startswith(b"id: "):
                            last = line[4:].decode()
                            self.streamed.append(int(last))
            except requests.RequestException:
                continue

    def _poll(self) -> None:
        etag = ""
        while not self.done.is_set():
            try:
                answer = self.api.call("GET", "/v1/drivers/me/route?wait=5", headers={"If-None-Match": etag} if etag else None)
            except ConnectionError:
                return  # the test is over
            if answer.status_code == 200:
                etag = answer.headers["ETag"]
                self.polled.append(answer.json()["route_version"])
                self.documents.append(answer.json())

    def _subscribe(self) -> None:
        listener = redis.Redis.from_url(self._redis).pubsub(ignore_subscribe_messages=True)
        listener.subscribe(keys.route_channel(self.depot, self.driver))
        listener.get_message(timeout=1)
        self._subscribed.set()
        while not self.done.is_set():
            try:
                message = listener.get_message(timeout=0.2)
            except redis.ConnectionError:
                return  # the test has taken the server away; nobody promises pub/sub beyond that
            if message:
                self.heard.append(json.loads(message["data"])["route_version"])

    def route(self) -> list[dict[str, Any]]:
        return [stop for shift in self.api.get("/v1/drivers/me/route")["shifts"] for stop in shift["stops"]]

    def current(self) -> str | None:
        return next((stop["stop_id"] for stop in self.route() if stop["state"] in {"en_route", "arrived"}), None)

    def report(self, path: str, kind: str, clock: DepotTime) -> requests.Response:
        body = {"event_id": f"{kind}-{time.monotonic_ns()}", "type": kind, "occurred_at": iso(clock.now())}
        return self.api.call("POST", path, body)

    def ping(self, clock: DepotTime, seq: int) -> None:
        self.api.post("/v1/drivers/me/pings", [HOME | {"recorded_at": iso(clock.now()), "seq": seq}])


class Day:
    """The depot, its people, and what the operator sees."""

    def __init__(self, stack: Any, depot: str = "day") -> None:
        self.api, self.depot = Api(stack.url, stack.operator_key), depot
        made = self.api.post("/v1/depots", {
            "id": depot, "map": "helsinki", "location": HOME, "dimensions": ["parcels"],
            "clock": {"scale": SCALE, "start": iso(BEGIN - 60)}, "policy": {"silent_after": 120, "improve_budget": 0.5},
        })  # fmt: skip
        self.clock = DepotTime(made["clock"])
        redis_url = embedded.url(stack.settings)
        self.phones = {name: Phone(stack.url, self._hire(name), depot, f"{depot}.{name}", redis_url)
                       for name in ("anna", "bo", "cy")}  # fmt: skip
        self.orders: list[str] = []
        self.cancelled: set[str] = set()
        self.currents: list[tuple[str, str]] = []
        self.problems: list[tuple[bytes, int]] = []

    def _hire(self, name: str) -> str:
        own = {"depot_id": self.depot}
        self.api.post("/v1/drivers", own | {"id": name})
        self.api.post("/v1/vehicles", own | {"id": f"van-{name}", "capacity": {"parcels": 20}})
        self.api.post("/v1/shifts", own | {"id": f"day-{name}", "driver_id": f"{self.depot}.{name}",
                                           "vehicle_id": f"{self.depot}.van-{name}", "start": iso(BEGIN),
                                           "end": iso(BEGIN + 4 * 3600)})  # fmt: skip
        return str(self.api.post("/v1/keys", {"role": "driver", "driver_id": f"{self.depot}.{name}"})["key"])

    def order(self, number: int, kind: str, **more: Any) -> str:
        body = {"depot_id": self.depot, "kind": kind, "location": SPOTS[number % len(SPOTS)], "service_time": 30} | more
        if kind != "service":
            body["demand"] = {"parcels": 1}
        self.orders.append(self.api.post("/v1/orders", body, headers={"Idempotency-Key": f"{self.depot}-{len(self.orders)}"})["id"])
        return self.orders[-1]

    def settled(self) -> int:
        """Wait until the newest event has been answered; the version in force."""
        def answered() -> bool:
            statuses = [self.api.get(f"/v1/orders/{order}")["status"] for order in self.orders[-3:]]
            return "accepted" not in statuses

        wait_for(answered, what="orders answered")
        time.sleep(0.3)
        return int(self.api.get(f"/v1/depots/{self.depot}/plans")["version"])

    def versions_since(self, version: int) -> list[dict[str, Any]]:
        return list(self.api.get(f"/v1/depots/{self.depot}/plans?after={version}")["plans"])

    def trigger(self, kind: str, after: int) -> dict[str, Any]:
        """The version after `after` that answers a trigger of this kind."""
        def found() -> dict[str, Any] | None:
            for plan in self.versions_since(after):
                if any(trigger["kind"] == kind for trigger in plan["triggers"]):
                    return dict(plan)
            return None

        return dict(wait_for(found, what=f"a plan that answers {kind}"))

    def check_now(self) -> None:
        """Judge the plan in force by the state as the API dumps it, with the command's own checker."""
        for _ in range(5):
            before = self.api.get(f"/v1/depots/{self.depot}/plans")["version"]
            problem = codec.loads(self.api.call("GET", f"/v1/depots/{self.depot}/problem").content, Problem)
            if problem.version == before:
                sequences = {crew.shift_id: [*crew.done, *(problem.tasks[t].stop_id for t in crew.frozen + crew.base)]
                             for crew in problem.crews}  # fmt: skip
                served = [stop for sequence in sequences.values() for stop in sequence]
                assert len(served) == len(set(served))
                return
        raise AssertionError("the depot never settled")
