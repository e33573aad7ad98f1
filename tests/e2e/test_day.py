"""A day through the HTTP interface only: real server, real processes, a scaled clock."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
import redis
import requests

from demo.api import Api, DepotTime, iso
from ingest.store import embedded, keys
from routing import codec
from routing.model import Plan
from routing.solve.checker import check
from routing.solve.problem import Problem
from tests.conftest import HOME, SPOTS, wait_for

SCALE = 20.0
BEGIN = datetime(2030, 1, 1, 8, tzinfo=UTC).timestamp()
DEPOT = "day"


class Phone:
    """A driver's phone that listens on all three channels."""

    def __init__(self, url: str, token: str, driver: str, redis_url: str) -> None:
        self.api, self.driver = Api(url, token), driver
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
        listener.subscribe(keys.route_channel(DEPOT, self.driver))
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

    def __init__(self, stack: Any) -> None:
        self.api = Api(stack.url, stack.operator_key)
        made = self.api.post("/v1/depots", {
            "id": DEPOT, "map": "helsinki", "location": HOME, "dimensions": ["parcels"],
            "clock": {"scale": SCALE, "start": iso(BEGIN - 60)}, "policy": {"silent_after": 120, "improve_budget": 0.5},
        })  # fmt: skip
        self.clock = DepotTime(made["clock"])
        redis_url = embedded.url(stack.settings)
        self.phones = {name: Phone(stack.url, self._hire(name), f"{DEPOT}.{name}", redis_url) for name in ("anna", "bo", "cy")}
        self.orders: list[str] = []
        self.cancelled: set[str] = set()
        self.currents: list[tuple[str, str]] = []
        self.problems: list[tuple[bytes, int]] = []

    def _hire(self, name: str) -> str:
        own = {"depot_id": DEPOT}
        self.api.post("/v1/drivers", own | {"id": name})
        self.api.post("/v1/vehicles", own | {"id": f"van-{name}", "capacity": {"parcels": 20}})
        self.api.post("/v1/shifts", own | {"id": f"day-{name}", "driver_id": f"{DEPOT}.{name}", "vehicle_id": f"{DEPOT}.van-{name}",
                                           "start": iso(BEGIN), "end": iso(BEGIN + 4 * 3600)})  # fmt: skip
        return str(self.api.post("/v1/keys", {"role": "driver", "driver_id": f"{DEPOT}.{name}"})["key"])

    def order(self, number: int, kind: str, **more: Any) -> str:
        body = {"depot_id": DEPOT, "kind": kind, "location": SPOTS[number % len(SPOTS)], "service_time": 30} | more
        if kind != "service":
            body["demand"] = {"parcels": 1}
        self.orders.append(self.api.post("/v1/orders", body, headers={"Idempotency-Key": f"n{len(self.orders)}"})["id"])
        return self.orders[-1]

    def settled(self) -> int:
        """Wait until the newest event has been answered; the version in force."""
        def answered() -> bool:
            statuses = [self.api.get(f"/v1/orders/{order}")["status"] for order in self.orders[-3:]]
            return "accepted" not in statuses

        wait_for(answered, what="orders answered")
        time.sleep(0.3)
        return int(self.api.get(f"/v1/depots/{DEPOT}/plans")["version"])

    def versions_since(self, version: int) -> list[dict[str, Any]]:
        return list(self.api.get(f"/v1/depots/{DEPOT}/plans?after={version}")["plans"])

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
            before = self.api.get(f"/v1/depots/{DEPOT}/plans")["version"]
            problem = codec.loads(self.api.call("GET", f"/v1/depots/{DEPOT}/problem").content, Problem)
            if problem.version == before:
                sequences = {crew.shift_id: [*crew.done, *(problem.tasks[t].stop_id for t in crew.frozen + crew.base)]
                             for crew in problem.crews}  # fmt: skip
                served = [stop for sequence in sequences.values() for stop in sequence]
                assert len(served) == len(set(served))
                return
        raise AssertionError("the depot never settled")


@pytest.fixture
def day(stack: Any) -> Iterator[Day]:
    """A depot with three drivers whose phones listen."""
    found = Day(stack)
    yield found
    refused = stack.settings.state / "refused"
    assert not refused.exists(), f"the checker refused a plan: {list(refused.iterdir())}"
    for phone in found.phones.values():
        phone.done.set()


def test_a_day_at_a_depot(day: Day) -> None:
    """Orders before and during the shift, a cancellation, a silent driver, a closure, a declined stop."""
    phones = day.phones
    for number in range(9):
        day.order(number, "delivery" if number < 6 else "collection")
    day.settled()
    assert sum(len(phone.route()) for phone in phones.values()) == 9

    wait_for(lambda: day.clock.now() > BEGIN, what="the shift")
    quiet: set[str] = set()
    stop_pinging = threading.Event()
    threading.Thread(target=_keep_pinging, args=(day, quiet, stop_pinging), daemon=True).start()
    for phone in phones.values():
        assert phone.report("/v1/drivers/me/events", "departed", day.clock).status_code == 200
    busy = next(phone for phone in phones.values() if len(phone.route()) >= 3)

    # the stop being driven to is finished, and the next one is driven to
    current = busy.current()
    assert current is not None
    for kind in ("arrived", "completed"):
        assert busy.report(f"/v1/stops/{current}/events", kind, day.clock).status_code == 200
    following = busy.current()
    assert following not in {None, current}

    # a collection during the shift joins a route behind the stop being driven to
    version = day.settled()
    number = len(day.orders)
    day.order(number, "collection")
    plan = day.trigger("order_new", version)
    assert [stop for change in plan["diff"]["routes"] for stop in change["gained"]] == [f"{day.orders[-1]}.collection"]
    assert busy.current() == following

    # a cancellation of a stop nobody has started
    version = day.settled()
    waiting = [stop for phone in phones.values() for stop in phone.route() if stop["state"] == "open"]
    victim = waiting[-1]["order_id"]
    day.api.call("DELETE", f"/v1/orders/{victim}").raise_for_status()
    day.cancelled.add(victim)
    plan = day.trigger("order_cancelled", version)
    assert waiting[-1]["stop_id"] in [stop for change in plan["diff"]["routes"] for stop in change["lost"]]

    # a declined stop goes to somebody else
    version = day.settled()
    holder, declined = next((phone, stop) for phone in phones.values() for stop in phone.route()
                            if stop["state"] == "open" and stop["kind"] == "collection")  # fmt: skip
    assert holder.report(f"/v1/stops/{declined['stop_id']}/events", "declined", day.clock).status_code == 200
    plan = day.trigger("stop_declined", version)
    gainers = {change["driver_id"] for change in plan["diff"]["routes"] if declined["stop_id"] in change["gained"]}
    assert gainers
    assert holder.driver not in gainers
    refused = holder.report(f"/v1/stops/{declined['stop_id']}/events", "en_route", day.clock)
    assert (refused.status_code, refused.json()["code"]) == (409, "stop_moved")

    # streets around an open stop are closed: whoever was to go there is told, or the order has its reason
    version = day.settled()
    target = max(([stop for stop in phone.route() if stop["state"] == "open"] for phone in phones.values()), key=len)[-1]
    currents = {name: phone.current() for name, phone in phones.items()}
    day.api.post("/v1/road-events", {"depot_id": DEPOT, "kind": "close", "disc": {"centre": target["location"], "radius_m": 40},
                                     "end": iso(day.clock.now() + 160)})  # fmt: skip
    plan = day.trigger("roads_changed", version)
    assert plan["roads"] == 1
    order = day.api.get(f"/v1/orders/{target['order_id']}")
    assert order["status"] == "unassigned"
    assert {reason["code"] for reason in order["reasons"]} & {"closed_road"}
    assert {name: phone.current() for name, phone in phones.items()} == currents
    day.trigger("roads_changed", plan["version"])  # the closure ends by itself, and the order is served again
    assert day.api.get(f"/v1/orders/{target['order_id']}")["status"] == "planned"

    # a driver falls silent: what others can take moves, and he is back with his next ping
    day.settled()
    quiet.add(busy.driver)
    wait_for(lambda: day.api.get(f"/v1/drivers/{busy.driver}")["state"] == "silent", what="the silent driver", seconds=20)
    wait_for(lambda: not _has_movable(busy), what="his collections and services to move")
    assert busy.current() == following
    quiet.clear()
    wait_for(lambda: day.api.get(f"/v1/drivers/{busy.driver}")["state"] == "available", what="his next ping")

    # everybody finishes the day
    finish(day)
    stop_pinging.set()
    statuses = {order: day.api.get(f"/v1/orders/{order}")["status"] for order in day.orders}
    assert {status for order, status in statuses.items() if order in day.cancelled} == {"cancelled"}
    assert {status for order, status in statuses.items() if order not in day.cancelled} == {"completed"}
    day.check_now()
    all_channels_agree(day)
    no_stop_was_moved_under_way(day)


def _keep_pinging(day: Day, quiet: set[str], stop: threading.Event) -> None:
    seq = 0
    while not stop.wait(0.5):
        seq += 1
        for phone in day.phones.values():
            if phone.driver not in quiet:
                phone.ping(day.clock, seq)


def _has_movable(phone: Phone) -> bool:
    return any(stop["state"] == "open" and stop["kind"] != "delivery" for stop in phone.route())


def finish(day: Day) -> None:
    """Drive every route to its end, noting each stop being driven to."""
    until = time.monotonic() + 40
    while time.monotonic() < until:
        busy = False
        for phone in day.phones.values():
            stop = phone.current()
            if stop is None:
                continue
            busy = True
            day.currents.append((phone.driver, stop))
            for kind in ("arrived", "completed"):
                phone.report(f"/v1/stops/{stop}/events", kind, day.clock)
        statuses = {day.api.get(f"/v1/orders/{order}")["status"] for order in day.orders}
        if not busy and statuses <= {"completed", "cancelled"}:
            return
        if not busy:
            time.sleep(0.2)
    raise AssertionError("the day never ended")


def all_channels_agree(day: Day) -> None:
    """Each driver got every version of his route on the stream and on pub/sub, and the newest by polling."""
    plans = day.versions_since(0)
    for phone in day.phones.values():
        mine = [plan["version"] for plan in plans for change in plan["diff"]["routes"] if change["driver_id"] == phone.driver]
        wait_for(partial(_has_all, phone, mine), what=f"all of {mine} on all channels")
        assert phone.streamed == sorted(set(phone.streamed)), "versions only rise"
        assert set(phone.streamed) - {0} == set(mine)
        assert phone.polled == sorted(phone.polled)


def _has_all(phone: Phone, versions: list[int]) -> bool:
    newest = versions[-1:]
    return _newest(phone.polled) == newest == _newest(phone.streamed) and phone.heard == versions


def _newest(versions: list[int]) -> list[int]:
    """The last version, but for the 0 of a route that nobody has planned yet."""
    return [version for version in versions if version][-1:]


def no_stop_was_moved_under_way(day: Day) -> None:
    """In every version after a stop was started, it is still in the route of who started it."""
    assert len(day.currents) >= 5
    for driver, stop in day.currents:
        phone = next(phone for phone in day.phones.values() if phone.driver == driver)
        stops = [[stop for shift in document["shifts"] for stop in shift["stops"]] for document in phone.documents]
        states = [{item["stop_id"]: item["state"] for item in version} for version in stops]
        started = [index for index, state in enumerate(states) if state.get(stop) in {"en_route", "arrived"}]
        if started:
            assert all(stop in state for state in states[started[0] :])


def test_every_published_plan_passes_the_checker_on_replay(day: Day) -> None:
    """Dump the state before each event, solve it by the command's path, and check the plan that was published."""
    checked = 0
    for number in range(5):
        day.order(number, "service")
        day.settled()
        problem = codec.loads(day.api.call("GET", f"/v1/depots/{DEPOT}/problem").content, Problem)
        shown = day.api.get(f"/v1/depots/{DEPOT}/plan")
        if problem.version != shown["version"]:
            continue
        plan = codec.loads(json.dumps(_as_plan(problem, shown)), Plan)
        # read at another moment than the plan was made: how late stops are and what that costs is checked before publication
        of_its_moment = {"late_flag", "cost", "times", "disruption", "another_plan"}
        timeless = [violation for violation in check(problem, plan) if violation.code not in of_its_moment]
        assert timeless == []
        checked += 1
    assert checked >= 3, "the plans were gone before they could be judged"


def _as_plan(problem: Problem, shown: dict[str, Any]) -> dict[str, Any]:
    routes = [{key: route[key] for key in ("shift_id", "driver_id", "vehicle_id")}
              | {"stops": [{"stop_id": stop["stop_id"], "arrive": 0, "begin": 0, "leave": 0} for stop in route["stops"]]}
              for route in shown["routes"]]  # fmt: skip
    return {"depot_id": problem.depot_id, "version": shown["version"], "revision": shown["revision"], "roads": 0, "engine": "x",
            "created_at": 0, "published_at": 0.0, "cost": 0, "routes": routes, "unassigned": shown["unassigned"]}  # fmt: skip


@pytest.mark.parametrize("victim", ["repair", "dispatcher", "api", "improve"])
def test_a_killed_process_is_not_noticed(stack: Any, day: Day, victim: str) -> None:
    """`kill -9` of any process while orders come in: each of them is answered."""
    for number in range(3):
        day.order(number, "service")
    stack.processes[victim].kill()
    stack.processes[victim].wait(5)
    stack.started[victim] = 0.0
    stack.watch()
    for number in range(3, 6):
        day.order(number, "service")
    wait_for(lambda: {day.api.get(f"/v1/orders/{order}")["status"] for order in day.orders} == {"planned"}, seconds=15,
             what="all orders planned")  # fmt: skip


def test_the_store_killed_comes_back_with_everything(stack: Any, day: Day) -> None:
    """`kill -9` of the server: accepted orders are there again, and new ones are answered, all by themselves."""
    day.order(0, "service")
    day.settled()
    running = {name: process.pid for name, process in stack.processes.items()}
    stack.server.kill()
    stack.server.wait(5)
    away = requests.get(f"{stack.url}/readyz", timeout=10)
    assert away.status_code == 503
    stack.watch()
    assert day.api.get(f"/v1/orders/{day.orders[0]}")["status"] == "planned"
    day.order(1, "service")
    wait_for(lambda: day.api.get(f"/v1/orders/{day.orders[1]}")["status"] == "planned", seconds=30, what="answered after the crash")
    assert {name: process.pid for name, process in stack.processes.items() if process.poll() is None} == running
