"""Load over HTTP: depots with fleets and orders, and drivers that listen to their streams."""

from __future__ import annotations

import asyncio
import json
import os
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import aiohttp

from ingest.settings import Settings
from routing.roads.network import Network
from workers.supervisor import Stack

OPENS, CLOSES = "2030-01-01T08:00:00Z", "2030-01-01T18:00:00Z"

SERVICE_S = 900
"""So long does service take that ten drivers are busy with 200 orders all day."""

Heard = Callable[[str, int, dict[str, Any], float], None]
"""What a stream gets: driver, route version, document, when (real s)."""


@contextmanager
def running(kind: type[Stack] = Stack, **more: Any) -> Iterator[Stack]:
    """The system in a state folder of its own, which is gone afterwards; `more` is for settings and for the kind of stack."""
    workers = more.pop("workers", 1)
    os.environ["LASTLEG_MAPS"] = os.pathsep.join(map(str, more.get("maps", ())))  # its processes read that
    with tempfile.TemporaryDirectory() as folder:
        settings = replace(Settings.read(), state=Path(folder), archive=Path(folder) / "archive", **more)
        with kind(settings, say=lambda text: None, workers=workers) as stack:
            yield stack


def tell(result: dict[str, Any], *, json_only: bool) -> None:
    """Print figures, and all of them as JSON on the last line."""
    for name, value in {} if json_only else result.items():
        print(f"{name:24} {value}")
    print(json.dumps(result))


class Client:
    """One caller of the API, in asyncio."""

    def __init__(self, url: str, key: str, session: aiohttp.ClientSession) -> None:
        self.url, self._session, self._headers = url, session, {"Authorization": f"Bearer {key}"}

    async def call(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Status and JSON."""
        async with self._session.request(method, self.url + path, json=body, headers=self._headers) as answer:
            text = await answer.text()
            return answer.status, json.loads(text) if text else None

    async def made(self, path: str, body: Any) -> Any:
        """POST that must succeed; its JSON."""
        status, told = await self.call("POST", path, body)
        if status >= 300:
            raise RuntimeError(f"POST {path}: {status} {told}")
        return told

    async def stream(self, driver: str, heard: Heard, *, last: str = "") -> str:
        """Listen to a driver's stream until it ends; the last id."""
        headers = self._headers | ({"Last-Event-ID": last} if last else {})
        timeout = aiohttp.ClientTimeout(total=None, sock_read=40)
        async with self._session.get(f"{self.url}/v1/drivers/{driver}/stream", headers=headers, timeout=timeout) as answer:
            answer.raise_for_status()
            async for line in answer.content:
                if line.startswith(b"id: "):
                    last = line[4:].strip().decode()
                elif line.startswith(b"data: "):
                    heard(driver, int(last), json.loads(line[6:]), time.time())
        return last


@dataclass
class Town:
    """A depot under load: its orders, its drivers on the road."""

    client: Client
    depot: str
    network: Network
    drivers: int
    random: random.Random
    open: list[str] = field(default_factory=list)

    def place(self) -> dict[str, float]:
        """Some junction."""
        node = self.random.randrange(self.network.nodes)
        return {"lat": round(float(self.network.lat[node]), 6), "lon": round(float(self.network.lon[node]), 6)}

    @property
    def crew(self) -> list[str]:
        """Ids of all drivers."""
        return [f"{self.depot}.d{number}" for number in range(self.drivers)]

    async def build(self, map_name: str, orders: int, policy: dict[str, Any]) -> None:
        """Make the depot with its fleet and orders, and send everybody off."""
        made, depot = self.client.made, {"depot_id": self.depot}
        await made("/v1/depots", {"id": self.depot, "map": map_name, "location": self.place(), "dimensions": ["parcels"],
                                  "clock": {"scale": 1, "start": OPENS}, "policy": policy | {"silent_after": 86_400}})  # fmt: skip
        for number in range(self.drivers):
            await made("/v1/drivers", depot | {"id": f"d{number}"})
            await made("/v1/vehicles", depot | {"id": f"v{number}", "capacity": {"parcels": 100_000}})
            await made("/v1/shifts", depot | {"id": f"s{number}", "driver_id": f"{self.depot}.d{number}", "start": OPENS,
                                              "vehicle_id": f"{self.depot}.v{number}", "end": CLOSES})  # fmt: skip
        for _ in range(orders):
            await self.order()
        for driver in self.crew:
            await made(f"/v1/drivers/{driver}/events", {"event_id": "off", "type": "departed", "occurred_at": OPENS})

    async def order(self, **more: Any) -> str:
        """One more order: goods to collect, which any driver on the road can take; every other within three hours."""
        hour = self.random.randrange(8, 15)
        windows = [{"from": f"2030-01-01T{hour:02}:00:00Z", "to": f"2030-01-01T{hour + 3:02}:00:00Z"}]
        body = {"depot_id": self.depot, "kind": "collection", "location": self.place(), "demand": {"parcels": 1},
                "service_time": SERVICE_S, "windows": windows if self.random.random() < 0.5 else []} | more  # fmt: skip
        order = str((await self.client.made("/v1/orders", body))["id"])
        self.open.append(order)
        return order

    def any_order(self) -> str:
        """Some open order, which is open no longer for this town."""
        return self.open.pop(self.random.randrange(len(self.open)))


async def settled(client: Client, depots: list[str], *, seconds: float = 120.0) -> None:
    """Wait until no depot has an unanswered trigger or an improvement to come."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        figures = await gauges(client)
        if not figures["lastleg_depots_waiting_for_repair"] and not figures["lastleg_depots_waiting_for_improvement"]:
            return
        await asyncio.sleep(0.2)
    raise TimeoutError(f"{depots} have not settled within {seconds} s")


async def gauges(client: Client) -> dict[str, float]:
    """Figures of `/metrics` that have no labels."""
    async with client._session.get(client.url + "/metrics") as answer:
        lines = (await answer.text()).splitlines()
    pairs = (line.split(" ") for line in lines if not line.startswith("#") and "{" not in line)
    return {name: float(value) for name, value in pairs}


def at(values: list[float], share: float) -> float | None:
    """A quantile, or None of nothing."""
    return round(sorted(values)[round(share * (len(values) - 1))], 4) if values else None
