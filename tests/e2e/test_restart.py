"""A rolling restart while the service is in use: no call fails, and every order is answered."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
import requests

from demo.api import Api
from tests.conftest import HOME, SPOTS, wait_for
from tests.e2e.test_day import DEPOT, Day, Phone


class Caller(threading.Thread):
    """Somebody who posts orders and reads them, and never tries twice."""

    def __init__(self, day: Day, url: str, key: str) -> None:
        super().__init__(daemon=True)
        self.orders: list[str] = []
        self.failed: list[Any] = []
        self.over = threading.Event()
        self._day, self._url, self._key = day, url, key

    def run(self) -> None:
        """Call, and call again."""
        session = requests.Session()
        session.headers["Authorization"] = f"Bearer {self._key}"
        number = 0
        while not self.over.wait(0.3):
            number += 1
            body = {"depot_id": DEPOT, "kind": "service", "location": SPOTS[number % len(SPOTS)], "service_time": 30}
            try:
                made = session.post(f"{self._url}/v1/orders", json=body, timeout=10)
                read = requests.get(f"{self._url}/v1/orders/{made.json()['id']}", headers=dict(session.headers), timeout=10)
                if (made.status_code, read.status_code) != (201, 200):
                    self.failed.append((made.text, read.text))
                self.orders.append(made.json()["id"])
            except requests.RequestException as error:
                self.failed.append(repr(error))


@pytest.mark.timeout(180)
def test_a_rolling_restart_fails_no_call(stack: Any) -> None:
    """API, dispatcher, archiver and workers are all replaced under load; streams go on where they were."""
    day = Day(stack)
    before = {name: process.pid for name, process in stack.processes.items()}
    callers = [Caller(day, stack.url, stack.operator_key) for _ in range(2)]
    for caller in callers:
        caller.start()
    try:
        time.sleep(1)
        stack.roll()
        time.sleep(1)
    finally:
        for caller in callers:
            caller.over.set()
            caller.join()
    assert [failure for caller in callers for failure in caller.failed] == []
    orders = [order for caller in callers for order in caller.orders]
    assert len(orders) > 20

    def planned() -> bool:
        return {day.api.get(f"/v1/orders/{order}")["status"] for order in orders[-4:]} == {"planned"}

    wait_for(planned, what="the last orders")
    assert {day.api.get(f"/v1/orders/{order}")["status"] for order in orders} == {"planned"}
    after = {name: process.pid for name, process in stack.processes.items()}
    assert {name for name in before if before[name] == after[name]} == {"api"}  # its server stays, its worker is another
    for phone in day.phones.values():
        _has_heard_all(stack, phone)
        phone.done.set()


def _has_heard_all(stack: Any, phone: Phone) -> None:
    """The stream told the newest version, and each only once."""
    newest = Api(stack.url, stack.operator_key).get(f"/v1/drivers/{phone.driver}/route")["route_version"]
    wait_for(lambda: not newest or phone.streamed[-1:] == [newest], what=f"version {newest} at {phone.driver}")
    assert phone.streamed == sorted(set(phone.streamed))


def test_a_worker_that_is_told_to_stop_finishes(stack: Any) -> None:
    """SIGTERM in the middle of an improvement: it is published, or the depot is improved by the next worker."""
    day = Day(stack)
    day.api.call("PATCH", f"/v1/depots/{DEPOT}", {"policy": {"improve_budget": 2.0}})
    for spot in [*SPOTS, HOME] * 2:
        day.api.post("/v1/orders", {"depot_id": DEPOT, "kind": "service", "location": spot})
    worker = stack.processes["improve"]
    time.sleep(1.5)
    worker.terminate()
    assert worker.wait(20) == 0
    stack.started["improve"] = 0.0
    stack.watch()
    metrics = f"{stack.url}/metrics"
    wait_for(lambda: "lastleg_depots_waiting_for_improvement 0.0" in requests.get(metrics, timeout=5).text, seconds=30,
             what="the improvement")  # fmt: skip
    for phone in day.phones.values():
        phone.done.set()
