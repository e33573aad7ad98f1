"""A day at one depot: orders before and during the shift, drivers on the streets, and what goes wrong."""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass, field
from typing import Any

from demo.api import Api, DepotTime, iso
from demo.driver import SimulatedDriver
from ingest.settings import ROOT
from routing.model import Location
from routing.roads import maps
from routing.roads.day import Day
from routing.roads.metric import customize
from routing.roads.network import Network
from routing.roads.snapping import Snapper
from routing.roads.traffic import Overlay

NAMES = ("anna", "bo", "carla", "dmitri", "elin", "farid", "greta", "hugo", "ines", "jonas", "kaisa", "leo")
HOUR = 3600
OPENS = "T08:00:00+00:00"
PARCELS = 16
"""A van holds so few that it takes most of the fleet to serve the day."""

WARM_UP_S = 180
"""Depot seconds between the depot's making and the start of the shifts."""


@dataclass
class World:
    """Builds a depot through the API and keeps it busy until `ended`."""

    url: str
    key: str
    map_name: str
    network: Network
    depot_id: str
    day: str
    drivers: int = 6
    orders: int = 40
    scale: float = 20.0
    seed: int = 1
    order_every: float = 6.0
    trouble_every: float = 20.0
    ended: threading.Event = field(default_factory=threading.Event)
    crew: list[SimulatedDriver] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.api = Api(self.url, self.key)
        self.placed: list[str] = []
        self.begin = _epoch(self.day + OPENS)
        self.home = self._somewhere(central=True)

    def build(self) -> None:
        """Make the depot, its fleet, its keys and the orders known before the day begins."""
        start = iso(self.begin - WARM_UP_S)
        depot = self.api.post("/v1/depots", {
            "id": self.depot_id, "name": f"{self.map_name} demo", "map": self.map_name, "location": _json(self.home),
            "dimensions": ["parcels", "kg"], "clock": {"scale": self.scale, "start": start},
        })  # fmt: skip
        self.clock = DepotTime(depot["clock"])
        day = Day(self.network, Overlay.free_flow(self.network), maps.speeds("typical", (ROOT / "data",)), customize)
        snapper = Snapper(self.network)
        for number, name in enumerate(NAMES[: self.drivers]):
            token = self._hire(number, name)
            self.tokens.append(token)
            self.crew.append(SimulatedDriver(
                api=Api(self.url, token), driver_id=f"{self.depot_id}.{name}", shift=(self.begin, self.begin + 8 * HOUR),
                home=self.home, clock=self.clock, day=day, snapper=snapper, ended=self.ended, seed=self.seed + number,
            ))  # fmt: skip
        key = self.api.post("/v1/keys", {"role": "shipper", "name": "corner shop", "depots": [self.depot_id]})["key"]
        self.shipper = Api(self.url, key)
        for _ in range(self.orders):
            self.order("delivery" if self.random.random() < 0.8 else "collection", early=True)

    def _hire(self, number: int, name: str) -> str:
        """One driver with van, shift and token."""
        depot = {"depot_id": self.depot_id}
        self.api.post("/v1/drivers", depot | {"id": name, "name": name.title(), "skills": ["repair"] if number % 2 else []})
        self.api.post("/v1/vehicles", depot | {"id": f"van-{number + 1}", "capacity": {"parcels": PARCELS, "kg": 600}})
        self.api.post("/v1/shifts", depot | {
            "id": f"{self.day}-{name}", "driver_id": f"{self.depot_id}.{name}", "vehicle_id": f"{self.depot_id}.van-{number + 1}",
            "start": iso(self.begin), "end": iso(self.begin + 8 * HOUR),
        })  # fmt: skip
        token = self.api.post("/v1/keys", {"role": "driver", "driver_id": f"{self.depot_id}.{name}"})["key"]
        return str(token)

    def order(self, kind: str, *, early: bool = False) -> str:
        """A shipper posts an order; of `early` ones most may be served as soon as the day begins."""
        now = max(self.clock.now(), self.begin)
        opens = now + self.random.choice([0, 0, 0, 0, 0, 0.5, 1, 2] if early else [0, 0, 0.5, 1, 2]) * HOUR
        body: dict[str, Any] = {
            "depot_id": self.depot_id, "kind": kind, "location": _json(self._somewhere()),
            "windows": [{"from": iso(opens), "to": iso(opens + self.random.choice([1.5, 3, 4]) * HOUR)}],
            "service_time": self.random.randrange(60, 300), "priority": self.random.choice([0, 0, 0, 50]),
            "recipient": {"name": "Somebody", "note": "second floor"},
        }  # fmt: skip
        if kind == "service":
            body["skills"] = ["repair"]
        else:
            body["demand"] = {"parcels": self.random.randrange(1, 4), "kg": self.random.randrange(1, 30)}
        number = f"demo-{self.random.getrandbits(48):012x}"
        order = self.shipper.post("/v1/orders", body, headers={"Idempotency-Key": number})
        self.placed.append(order["id"])
        return str(order["id"])

    def start(self) -> None:
        """Set drivers, shippers and trouble in motion."""
        for driver in self.crew:
            driver.start()
        threading.Thread(target=self._repeat, args=(self.order_every, self._ask), daemon=True).start()
        threading.Thread(target=self._repeat, args=(self.trouble_every, self._trouble), daemon=True).start()

    def _repeat(self, every: float, act: Any) -> None:
        while not self.ended.wait(every * self.random.uniform(0.6, 1.4)):
            if self.begin < self.clock.now() < self.begin + 7 * HOUR:
                try:
                    act()
                except RuntimeError as error:  # refused: the simulated world is not the judge of that
                    self.said.append(str(error))

    def _ask(self) -> None:
        self.order(self.random.choice(["collection", "service"]))

    def _trouble(self) -> None:
        kind = self.random.choice(["cancel", "silent", "close", "decline"])
        if kind == "cancel" and self.placed:
            order = self.placed.pop(self.random.randrange(len(self.placed)))
            self.shipper.call("DELETE", f"/v1/orders/{order}")
        elif kind == "silent":
            driver = self.random.choice(self.crew)
            driver.offline_until = self.clock.now() + 12 * 60
            self.said.append(f"{driver.driver_id} loses the network for 12 minutes")
        elif kind == "decline":
            self.random.choice(self.crew).decline_one()
        else:
            self.close_street()

    def close_street(self, minutes: float = 45) -> None:
        """Close the streets around a random place."""
        self.api.post("/v1/road-events", {
            "depot_id": self.depot_id, "kind": "close", "disc": {"centre": _json(self._somewhere()), "radius_m": 60},
            "end": iso(self.clock.now() + minutes * 60), "reason": "burst pipe",
        })  # fmt: skip

    def stop(self) -> None:
        """End the day."""
        self.ended.set()

    def _somewhere(self, *, central: bool = False) -> Location:
        """A random junction, a little aside; the depot is where the streets are."""
        lat, lon = self.network.lat, self.network.lon
        if central:
            near = ((lat - lat.mean()) ** 2 + (lon - lon.mean()) ** 2).argmin()
            return Location(float(lat[near]), float(lon[near]))
        node = self.random.randrange(len(lat))
        aside = self.random.uniform(-1e-4, 1e-4)
        return Location(round(float(lat[node]) + aside, 6), round(float(lon[node]) + aside, 6))


def _json(place: Location) -> dict[str, float]:
    return {"lat": place.lat, "lon": place.lon}


def _epoch(text: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(text).timestamp()
