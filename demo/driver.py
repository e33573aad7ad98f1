"""A simulated driver: follows the route it is told, drives along the streets, pings, and finishes stops."""

from __future__ import annotations

import random
import threading
import uuid
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from demo.api import Api, DepotTime, iso
from routing.model import Location, Place
from routing.roads.day import Day
from routing.roads.profile import DAY
from routing.roads.snapping import Snapper
from routing.roads.spot import Spot
from routing.roads.travel import line

PING_EVERY_S = 30
"""Depot seconds."""


@dataclass
class SimulatedDriver(threading.Thread):
    """One driver with a phone. `offline_until` (depot s) makes the phone lose its network: it queues and replays."""

    api: Api
    driver_id: str
    shift: tuple[float, float]
    home: Location
    clock: DepotTime
    day: Day
    snapper: Snapper
    ended: threading.Event
    seed: int
    offline_until: float = 0.0
    queue: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    pings: list[dict[str, Any]] = field(default_factory=list)
    seq: int = 0

    def __post_init__(self) -> None:
        super().__init__(name=self.driver_id, daemon=True)
        self.random = random.Random(self.seed)
        self.here = self.home
        self.etag = ""

    __hash__ = threading.Thread.__hash__

    def run(self) -> None:
        """Live through the shift."""
        if not self._sleep_until(self.shift[0] + self.random.uniform(0, 120)):
            return
        self._report(f"/v1/drivers/{self.driver_id}/events", "departed")
        while not self.ended.is_set() and self.clock.now() < self.shift[1]:
            stop = self._next_stop()
            if stop is None:
                self._ping()
                self._sleep(PING_EVERY_S)
            elif self._drive(stop):
                self._serve(stop)
        if not self.ended.is_set():
            self._report(f"/v1/drivers/{self.driver_id}/events", "returned")

    def _next_stop(self) -> dict[str, Any] | None:
        """The stop being driven to: what the service says, as far as we hear it."""
        if self._offline():
            return None
        route = self.api.get(f"/v1/drivers/{self.driver_id}/route")
        stops = [stop for shift in route["shifts"] for stop in shift["stops"]]
        for state in ("arrived", "en_route"):
            for stop in stops:
                if stop["state"] == state:
                    return dict(stop)
        return None

    def _drive(self, stop: dict[str, Any]) -> bool:
        """Drive there along the streets; False if the stop was taken away on the way."""
        if stop["state"] == "arrived":
            return True
        target = Location(**stop["location"])
        leg = self.day.leg(self._spot(self.here), self._spot(target), self.clock.now() % DAY)
        way = line(self.day.network, leg) if leg else None
        start, length = self.clock.now(), (leg.seconds if leg else 60) * self.random.uniform(0.9, 1.25)
        while self.clock.now() < start + length:
            if not self._sleep(min(PING_EVERY_S, start + length - self.clock.now())):
                return False
            self.here = _along(way, (self.clock.now() - start) / max(length, 1)) if way is not None else target
            self._ping()
            if not self._offline() and self._taken_away(stop["stop_id"]):
                return False
        self.here = target
        return True

    def _taken_away(self, stop_id: str) -> bool:
        current = self._next_stop()
        return current is None or current["stop_id"] != stop_id

    def _serve(self, stop: dict[str, Any]) -> None:
        path = f"/v1/stops/{stop['stop_id']}/events"
        if stop["state"] != "arrived":
            self._report(path, "arrived")
        opens = min((datetime.fromisoformat(window["from"]).timestamp() for window in stop["windows"]), default=0.0)
        while self.clock.now() < opens:
            self._ping()
            if not self._sleep(min(PING_EVERY_S, opens - self.clock.now() + 1)):
                return
        if not self._sleep(stop["service_time"] * self.random.uniform(0.5, 1.6)):
            return
        failed = self.random.random() < 0.03
        self._report(path, "failed" if failed else "completed", reason="nobody there" if failed else None)

    def decline_one(self) -> str | None:
        """Decline the last open stop of the route, as drivers do; its id."""
        route = self.api.get(f"/v1/drivers/{self.driver_id}/route")
        open_ = [stop for shift in route["shifts"] for stop in shift["stops"]
                 if stop["state"] == "open" and stop["kind"] not in ("delivery", "reload")]  # fmt: skip
        if not open_ or self._offline():
            return None
        self._report(f"/v1/stops/{open_[-1]['stop_id']}/events", "declined", reason="not with this van")
        return str(open_[-1]["stop_id"])

    def _report(self, path: str, kind: str, *, reason: str | None = None) -> None:
        event = {"event_id": uuid.uuid4().hex, "type": kind, "occurred_at": iso(self.clock.now())}
        if reason is not None:
            event["reason"] = reason
        self.queue.append((path, event))
        self._flush()

    def _ping(self) -> None:
        self.seq += 1
        self.pings.append({"lat": self.here.lat, "lon": self.here.lon, "recorded_at": iso(self.clock.now()), "seq": self.seq})
        self._flush()

    def _flush(self) -> None:
        """Send what is queued, oldest first; offline, it stays queued."""
        if self._offline():
            return
        while self.queue:
            self.api.call("POST", *self.queue[0])
            self.queue.pop(0)
        if self.pings:
            self.api.call("POST", f"/v1/drivers/{self.driver_id}/pings", self.pings[:500])
            del self.pings[:500]

    def _offline(self) -> bool:
        return self.clock.now() < self.offline_until

    def _spot(self, location: Location) -> Spot:
        return self.snapper.nearest([Place(location)])[0]

    def _sleep(self, depot_seconds: float) -> bool:
        return not self.ended.wait(max(0.0, depot_seconds) / self.clock.scale)

    def _sleep_until(self, moment: float) -> bool:
        return self._sleep(moment - self.clock.now())


def _along(way: NDArray[np.float64], share: float) -> Location:
    """The point at a share of a way's length."""
    steps = np.hypot(np.diff(way[:, 0]), np.diff(way[:, 1]) * np.cos(np.radians(way[0, 0])))
    along = np.concatenate([[0], np.cumsum(steps)])
    at = min(max(share, 0.0), 1.0) * along[-1]
    return Location(float(np.interp(at, along, way[:, 0])), float(np.interp(at, along, way[:, 1])))
