"""A rolling restart while the service is in use: no call fails, and every order is answered."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import requests

from demo.api import Api
from ingest.settings import ROOT
from ingest.store import embedded, keys
from tests.conftest import HOME, SPOTS, wait_for
from tests.e2e.day import Day, Phone
from workers.supervisor import rq_environment


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
            body = {"depot_id": self._day.depot, "kind": "service", "location": SPOTS[number % len(SPOTS)], "service_time": 30}
            try:
                made = session.post(f"{self._url}/v1/orders", json=body, timeout=10)
                read = requests.get(f"{self._url}/v1/orders/{made.json()['id']}", headers=dict(session.headers), timeout=10)
                if (made.status_code, read.status_code) != (201, 200):
                    self.failed.append((made.text, read.text))
                self.orders.append(made.json()["id"])
            except requests.RequestException as error:
                self.failed.append(repr(error))


class Waiting(threading.Thread):
    """A long poll of a driver whom nothing happens to."""

    def __init__(self, day: Day, url: str, key: str) -> None:
        super().__init__(daemon=True)
        self.status: int | str = 0
        self._day, self._url, self._key = day, url, key

    def run(self) -> None:
        """Wait."""
        self._day.api.post("/v1/drivers", {"depot_id": self._day.depot, "id": "idle", "name": "Idle"})
        headers = {"Authorization": f"Bearer {self._key}", "If-None-Match": '"0"'}
        try:
            answer = requests.get(f"{self._url}/v1/drivers/{self._day.depot}.idle/route?wait=60", headers=headers, timeout=70)
            self.status = answer.status_code
        except requests.RequestException as error:
            self.status = repr(error)


@pytest.mark.timeout(180)
def test_a_rolling_restart_fails_no_call(stack: Any, day: Day) -> None:
    """API, dispatcher, archiver and workers are all replaced under load; streams go on where they were."""
    before = {name: process.pid for name, process in stack.processes.items()}
    callers = [Caller(day, stack.url, stack.operator_key) for _ in range(2)]
    for caller in callers:
        caller.start()
    waiting = Waiting(day, stack.url, stack.operator_key)
    waiting.start()
    try:
        time.sleep(1)
        stack.roll()
        time.sleep(1)
    finally:
        for caller in callers:
            caller.over.set()
            caller.join()
    waiting.join(30)
    assert waiting.status == 304, "a long poll is answered, sooner than it asked"
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


def _has_heard_all(stack: Any, phone: Phone) -> None:
    """The stream told the newest version, and each only once."""
    newest = Api(stack.url, stack.operator_key).get(f"/v1/drivers/{phone.driver}/route")["route_version"]
    wait_for(lambda: not newest or phone.streamed[-1:] == [newest], what=f"version {newest} at {phone.driver}")
    assert phone.streamed == sorted(set(phone.streamed))


@pytest.mark.timeout(120)
def test_the_store_may_end_in_the_middle_of_a_rolling_restart(stack: Any, day: Day) -> None:
    """And again while it starts: everything is there in the end, and a plan comes."""
    pid = stack.settings.state / "redis" / "server.pid"

    def strike() -> None:
        for pause in (5.0, 0.3, 0.3):
            time.sleep(pause)
            with contextlib.suppress(OSError, ValueError):
                os.kill(int(pid.read_text()), signal.SIGKILL)

    striking = threading.Thread(target=strike)
    striking.start()
    stack.roll()
    striking.join()
    ready = f"{stack.url}/readyz"
    wait_for(lambda: stack.watch() or requests.get(ready, timeout=9).status_code == 200, seconds=30, what="the store")
    order = day.api.post("/v1/orders", {"depot_id": day.depot, "kind": "service", "location": SPOTS[0]})["id"]
    wait_for(lambda: stack.watch() or day.api.get(f"/v1/orders/{order}")["status"] == "planned", what="a plan")
    assert all(process.poll() is None for process in stack.processes.values())


def test_a_store_of_somebody_else_may_end(stack: Any) -> None:
    """A command had started it before; the system goes on with one of its own."""
    server, stack.server = stack.server, None
    stack.watch()
    assert stack.server is None
    server.kill()
    server.wait()
    stack.watch()
    assert stack.server is not None
    wait_for(lambda: requests.get(f"{stack.url}/readyz", timeout=9).status_code == 200, what="the store")


def test_a_store_that_does_not_come_up_is_started_again(stack: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """And `rq info` of an operator lists the workers."""
    said: list[str] = []
    stack.say = said.append

    def fails(settings: object) -> None:
        raise embedded.NoServer("It stopped at once.")

    stack.server.kill()
    stack.server.wait()
    with monkeypatch.context() as broken:
        broken.setattr(embedded, "ensure", fails)
        stack.watch()
    assert said[-1] == "It stopped at once."
    stack.watch()
    wait_for(lambda: requests.get(f"{stack.url}/readyz", timeout=9).status_code == 200, what="the store")
    environment = os.environ | rq_environment() | {"LASTLEG_STATE": str(stack.settings.state), "PYTHONPATH": str(ROOT)}
    command = [str(Path(sys.executable).with_name("rq")), "info"]

    def back() -> bool:
        stack.watch()  # who has given up in between is started again, as the supervisor does each moment
        return f"{len(keys.DUE)} workers" in subprocess.check_output(command, env=environment, text=True, cwd=ROOT)

    wait_for(back, what="all workers, back at the store")
    assert 'lastleg_workers{queue="repair"} 1.0' in requests.get(f"{stack.url}/metrics", timeout=5).text


def test_a_worker_that_is_told_to_stop_finishes(stack: Any, day: Day) -> None:
    """SIGTERM in the middle of an improvement: it is published, or the depot is improved by the next worker."""
    day.api.call("PATCH", f"/v1/depots/{day.depot}", {"policy": {"improve_budget": 2.0}})
    for spot in [*SPOTS, HOME] * 2:
        day.api.post("/v1/orders", {"depot_id": day.depot, "kind": "service", "location": spot})
    worker = stack.processes["improve"]
    time.sleep(1.5)
    worker.terminate()
    assert worker.wait(20) == 0
    stack.started["improve"] = 0.0
    stack.watch()
    metrics = f"{stack.url}/metrics"
    wait_for(lambda: "lastleg_depots_waiting_for_improvement 0.0" in requests.get(metrics, timeout=5).text, seconds=30,
             what="the improvement")  # fmt: skip
