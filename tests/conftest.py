"""Fixtures: named places, real servers, real processes."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import redis
from flask.testing import FlaskClient

from app import create_app
from ingest.auth import Role, make_key
from ingest.settings import ROOT, Settings
from ingest.store import embedded
from ingest.store.connection import connect
from routing.roads import maps
from routing.roads.network import Network
from tests import contract

ON_CI = os.environ.get("CI") == "true"
REFERENCE = Path(os.environ.get("LASTLEG_REFERENCE_DATA", ROOT.parent / "shared" / "data"))


def need(condition: bool, reason: str) -> None:
    """Skip on a laptop, fail on CI, where everything must be there."""
    if not condition and ON_CI:
        pytest.fail(f"missing on CI: {reason}")
    if not condition:
        pytest.skip(reason)


def wait_for(check: Callable[[], Any], *, seconds: float = 15.0, what: str = "") -> Any:
    """Poll until `check()` is truthy; its value."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        value = check()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"not within {seconds} s: {what or check}")


@pytest.fixture(scope="session")
def helsinki() -> Network:
    """The sample city."""
    return maps.network(ROOT / "data" / "helsinki.map")


@pytest.fixture
def reference() -> Path:
    """Real maps and instances that are not part of the project."""
    need(REFERENCE.is_dir(), f"no reference data at {REFERENCE}")
    return REFERENCE


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def embedded_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The embedded server, for the whole session."""
    settings = Settings.read({"LASTLEG_STATE": str(tmp_path_factory.mktemp("embedded"))})
    process = embedded.ensure(settings)
    yield embedded.url(settings)
    assert process is not None
    process.terminate()
    process.wait(5)


@pytest.fixture(scope="session")
def redis_server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str | None]:
    """A stock redis-server, or None on a laptop without one."""
    binary = shutil.which("redis-server")
    if binary is None:
        yield None
        return
    port, folder = free_port(), tmp_path_factory.mktemp("redis")
    process = subprocess.Popen([binary, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", ""],
                               stdout=subprocess.DEVNULL)  # fmt: skip
    client = redis.Redis(port=port)
    wait_for(lambda: _pings(client), what="redis-server")
    yield f"redis://127.0.0.1:{port}/0"
    process.terminate()
    process.wait(5)


def _pings(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


@pytest.fixture(params=["embedded", "redis-server"])
def settings(request: pytest.FixtureRequest, embedded_url: str, redis_server_url: str | None, tmp_path: Path) -> Settings:
    """Settings on an empty store; every test that uses them runs on both servers."""
    url = embedded_url if request.param == "embedded" else redis_server_url
    need(url is not None, "no redis-server on PATH")
    found = Settings.read({"REDIS_URL": str(url), "LASTLEG_STATE": str(tmp_path)})
    connect(found).flushdb()
    return found


one_server = pytest.mark.parametrize("settings", ["embedded"], indirect=True)
"""For tests that take seconds and are not about what a server does: `@one_server`."""


class Shop:
    """An application in this process, its keys, and one depot in Helsinki with a slow clock."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.app = create_app(settings)
        self.client: FlaskClient = self.app.test_client()
        self.store = connect(settings)
        self.operator = make_key(self.store, Role.OPERATOR, tenant="acme")[0]
        self.shipper = make_key(self.store, Role.SHIPPER, tenant="acme")[0]

    def call(self, method: str, path: str, body: Any = None, *, key: str | None = None, **kwargs: Any) -> Any:
        """Call with the operator's key unless told otherwise; "" calls with none."""
        headers = kwargs.pop("headers", {})
        secret = self.operator if key is None else key
        if secret:
            headers["Authorization"] = f"Bearer {secret}"
        if body is not None:
            kwargs["json"] = body
        answer = self.client.open(path, method=method, headers=headers, **kwargs)
        contract.hold(self.app, method, path, answer)
        return answer

    def made(self, path: str, body: Any, *, key: str | None = None) -> Any:
        """POST that must succeed; its JSON."""
        answer = self.call("POST", path, body, key=key)
        assert answer.status_code < 300, answer.text
        return answer.json

    def depot(self, depot_id: str = "hel", **changes: Any) -> str:
        """A depot whose day begins now, and whose triggers are answered without delay."""
        policy = {"debounce": 0, "max_wait": 0} | changes.pop("policy", {})
        body = {"id": depot_id, "map": "helsinki", "location": HOME, "dimensions": ["parcels", "kg"],
                "clock": {"scale": 1, "start": "2030-01-01T08:00:00Z"}, "policy": policy} | changes  # fmt: skip
        self.made("/v1/depots", body)
        return depot_id

    def crew(self, name: str, depot_id: str = "hel", **shift: Any) -> str:
        """A driver with van (of a `capacity` in parcels), shift and token; the token."""
        self.made("/v1/drivers", {"depot_id": depot_id, "id": name, "name": name.title(), "skills": shift.pop("skills", [])})
        room = {"parcels": shift.pop("capacity", 10), "kg": 100}
        self.made("/v1/vehicles", {"depot_id": depot_id, "id": f"van-{name}", "capacity": room})
        hours = {"start": "2030-01-01T08:00:00Z", "end": "2030-01-01T16:00:00Z"} | shift
        self.made("/v1/shifts", {"depot_id": depot_id, "id": f"day-{name}", "driver_id": f"{depot_id}.{name}",
                                 "vehicle_id": f"{depot_id}.van-{name}"} | hours)  # fmt: skip
        return str(self.made("/v1/keys", {"role": "driver", "driver_id": f"{depot_id}.{name}"})["key"])

    def next_shift(self, name: str, start: str, end: str) -> None:
        """Another shift of a driver of `crew`, with the same van."""
        shift = {"id": f"next-{name}", "driver_id": f"hel.{name}", "vehicle_id": f"hel.van-{name}", "start": start, "end": end}
        self.made("/v1/shifts", {"depot_id": "hel"} | shift)

    def order(self, place: dict[str, float] | None = None, **changes: Any) -> dict[str, Any]:
        """An accepted order."""
        found: dict[str, Any] = self.made("/v1/orders", order(place, **changes), key=self.shipper)
        return found

    def event(self, token: str, stop: str, kind: str, *, event_id: str, at: str = "2030-01-01T08:00:00Z") -> Any:
        """Report of a stop."""
        body = {"event_id": event_id, "type": kind, "occurred_at": at}
        return self.call("POST", f"/v1/stops/{stop}/events", body, key=token)

    def leave(self, token: str) -> None:
        """The driver leaves the depot."""
        body = {"event_id": "departed", "type": "departed", "occurred_at": "2030-01-01T08:00:00Z"}
        assert self.call("POST", "/v1/drivers/me/events", body, key=token).status_code == 200


def _junctions(*numbers: int) -> list[dict[str, float]]:
    network = maps.network(ROOT / "data" / "helsinki.map")
    return [{"lat": round(float(network.lat[n]), 6), "lon": round(float(network.lon[n]), 6)} for n in numbers]


HOME, *SPOTS = _junctions(400, 50, 150, 250, 350, 550, 650)


def order(place: dict[str, float] | None = None, **changes: Any) -> dict[str, Any]:
    """The body of an order."""
    return {"depot_id": "hel", "kind": "delivery", "location": place or SPOTS[0], "demand": {"parcels": 1}} | changes


@pytest.fixture
def shop(settings: Settings) -> Shop:
    """An application on an empty store."""
    return Shop(settings)


def alive(marker: str) -> list[str]:
    """Processes whose environment or command line has the marker."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            text = (folder / "cmdline").read_bytes() + (folder / "environ").read_bytes()
        except OSError:
            continue
        if marker.encode() in text and int(folder.name) != os.getpid():
            found.append((folder / "cmdline").read_text())
    return found


class Processes:
    """The real thing: server, API, dispatcher and workers as processes of their own."""

    def __init__(self, folder: Path) -> None:
        base = Settings.read({"LASTLEG_STATE": str(folder), "LASTLEG_PORT": str(free_port())})
        from workers.supervisor import Stack

        self.stack = Stack(replace(base), say=lambda text: None)

    def __enter__(self) -> Any:
        return self.stack.__enter__()

    def __exit__(self, *error: Any) -> None:
        self.stack.stop()


def running(folder: Path) -> Iterator[Any]:
    """The running system, for a fixture; stopped, to the last process, afterwards."""
    with Processes(folder) as found:
        yield found
    wait_for(lambda: alive(str(folder)) == [], seconds=5, what=f"all processes to end: {alive(str(folder))}")


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Any]:
    """The running system for one test."""
    yield from running(tmp_path)


def kill(process: subprocess.Popen[bytes]) -> None:
    """`kill -9`, and wait."""
    process.send_signal(signal.SIGKILL)
    process.wait(5)
