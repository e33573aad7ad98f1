"""Shippers, drivers and listeners who notice nothing but what the API tells them."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import requests

from demo.api import Api, DepotTime, iso
from tests.chaos.history import Heard
from tests.conftest import HOME, SPOTS

SCALE = 20.0
BEGIN = datetime(2030, 1, 1, 8, tzinfo=UTC).timestamp()
PATIENCE_S = 30.0
"""So long a client tries again before it counts a request as failed."""


class World:
    """Depots with drivers on the road, orders coming in, and what everybody was told."""

    def __init__(self, url: str, key: str, *, depots: int, drivers: int, rate: float, seed: int) -> None:
        self.heard = Heard()
        self.depots = [f"c{number}" for number in range(depots)]
        self._url, self._key, self._rate, self._seed = url, key, rate, seed
        self._quiet, self._end = threading.Event(), threading.Event()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        api = Api(url, key)
        tokens = {f"{depot}.d{number}": self._hire(api, depot, f"d{number}") for depot in self.depots for number in range(drivers)}
        self._clock = DepotTime(api.get(f"/v1/depots/{self.depots[0]}")["clock"])
        for driver, token in tokens.items():
            self.heard.routes[driver] = []
            self._start(self._drive, driver, token)
            threading.Thread(target=self._listen, args=(driver, token), daemon=True).start()  # waits for a line when all is over
        for number in range(3):
            self._start(self._ship, number)

    def _hire(self, api: Api, depot: str, name: str) -> str:
        if name == "d0":
            clock = {"scale": SCALE, "start": iso(BEGIN)}
            policy = {"silent_after": 3600, "improve_budget": 0.5, "min_gain": 0}
            api.post("/v1/depots", {"id": depot, "map": "helsinki", "location": HOME, "dimensions": ["parcels"], "clock": clock,
                                    "policy": policy})  # fmt: skip
        own = {"depot_id": depot}
        api.post("/v1/drivers", own | {"id": name})
        api.post("/v1/vehicles", own | {"id": f"van-{name}", "capacity": {"parcels": 10_000}})
        api.post("/v1/shifts", own | {"id": f"day-{name}", "driver_id": f"{depot}.{name}", "vehicle_id": f"{depot}.van-{name}",
                                      "start": iso(BEGIN), "end": iso(BEGIN + 14 * 3600)})  # fmt: skip
        return str(api.post("/v1/keys", {"role": "driver", "driver_id": f"{depot}.{name}"})["key"])

    def _start(self, run: Callable[..., None], *arguments: Any) -> None:
        thread = threading.Thread(target=run, args=arguments, daemon=True)
        thread.start()
        self._threads.append(thread)

    def quiet(self) -> None:
        """No new orders any more; drivers go on."""
        self._quiet.set()

    def end(self) -> None:
        """Everybody goes home."""
        self._quiet.set()
        self._end.set()
        for thread in self._threads:
            thread.join(PATIENCE_S + 10)

    def _call(self, session: requests.Session, method: str, path: str, body: Any = None,
              **headers: str) -> requests.Response | None:  # fmt: skip
        """Call until it is answered, with the same ids; None when patience is at its end."""
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            try:
                answer = session.request(method, self._url + path, json=body, headers=headers, timeout=8)
            except requests.RequestException:
                time.sleep(0.2)
                continue
            if answer.status_code < 500:
                return answer
            time.sleep(0.3)
        with self._lock:
            self.heard.failed.append(f"{method} {path}")
        return None

    def _session(self, key: str) -> requests.Session:
        session = requests.Session()
        session.headers["Authorization"] = f"Bearer {key}"
        return session

    def _ship(self, number: int) -> None:
        """Post orders, some twice, some cancelled."""
        luck, session = random.Random(self._seed + number), self._session(self._key)
        mine: list[str] = []
        count = 0
        while not self._quiet.wait(luck.expovariate(self._rate / 3)):
            count += 1
            key = f"s{number}-{count}"
            kind = luck.choice(["collection", "service"])
            body = {"depot_id": luck.choice(self.depots), "kind": kind, "location": luck.choice(SPOTS), "service_time": 60,
                    "recipient": {"note": key}}  # fmt: skip
            for _ in range(luck.choice([1, 1, 2])):
                answer = self._call(session, "POST", "/v1/orders", body, **{"Idempotency-Key": key})
                if answer is not None and answer.status_code in {200, 201}:
                    with self._lock:
                        before = self.heard.accepted.setdefault(key, answer.json()["id"])
                        if before != answer.json()["id"]:
                            self.heard.failed.append(f"order {key} is {before} and {answer.json()['id']}")
                elif answer is not None:
                    with self._lock:
                        self.heard.failed.append(f"order {key}: {answer.status_code} {answer.text[:200]}")
            if key in self.heard.accepted:
                mine.append(self.heard.accepted[key])
            if mine and luck.random() < 0.1:
                victim = luck.choice(mine[-5:])
                with self._lock:
                    self.heard.cancelled.add(victim)  # before it is sent: it may be done though no answer comes
                self._check(self._call(session, "DELETE", f"/v1/orders/{victim}"))
            if mine and luck.random() < 0.2:
                self._change(session, luck.choice(mine[-5:]), luck.randrange(30, 90))

    def _change(self, session: requests.Session, order: str, seconds: int) -> None:
        """Nobody else changes it: who is told of success finds it so at the end."""
        answer = self._check(self._call(session, "PATCH", f"/v1/orders/{order}", {"service_time": seconds}))
        if answer is not None and answer.status_code == 200:
            with self._lock:
                self.heard.changed[order] = seconds

    def _check(self, answer: requests.Response | None) -> requests.Response | None:
        """An answer that says yes, or that it is too late; any other is wrong."""
        if answer is not None and answer.status_code not in {200, 409}:
            with self._lock:
                self.heard.failed.append(f"{answer.request.method} {answer.url}: {answer.status_code} {answer.text[:200]}")
        return answer

    def _drive(self, driver: str, token: str) -> None:
        """Leave, and make stop after stop; each report has its id and is sent until it is answered."""
        luck, session = random.Random(f"{self._seed} {driver}"), self._session(token)
        body = {"event_id": "leave", "type": "departed", "occurred_at": iso(self._clock.now())}
        self._call(session, "POST", "/v1/drivers/me/events", body)
        while not self._end.wait(luck.uniform(0.3, 1.2)):
            answer = self._call(session, "GET", "/v1/drivers/me/route")
            if answer is None or answer.status_code != 200:
                continue
            stops = [stop for shift in answer.json()["shifts"] for stop in shift["stops"]]
            current = next((stop for stop in stops if stop["state"] in {"en_route", "arrived"}), None)
            if current is None:
                continue
            kind = "arrived" if current["state"] == "en_route" else "completed"
            event = {"event_id": f"{kind} {current['stop_id']}", "type": kind, "occurred_at": iso(self._clock.now())}
            self._check(self._call(session, "POST", f"/v1/stops/{current['stop_id']}/events", event))

    def _listen(self, driver: str, token: str) -> None:
        """Hold the stream open, and go on where it broke off."""
        session, last = self._session(token), ""
        while not self._end.is_set():
            try:
                with session.get(f"{self._url}/v1/drivers/me/stream", headers={"Last-Event-ID": last} if last else {}, stream=True,
                                 timeout=20) as answer:  # fmt: skip
                    for line in answer.iter_lines(chunk_size=1):
                        if line.startswith(b"id: "):
                            last = line[4:].decode()
                            self.heard.routes[driver].append(int(last))
                        if self._end.is_set():
                            return
            except requests.RequestException:
                time.sleep(0.2)
