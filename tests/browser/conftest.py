"""Fixtures: the system's Chromium, one running system, and depots to look at."""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests

from demo.api import Api
from tests.conftest import HOME, SPOTS, need, running, wait_for

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync",
         "--no-first-run")  # fmt: skip

NUMBERS = itertools.count()


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium, as the system has it."""
    need(CHROMIUM is not None, "no Chromium on PATH (Debian: apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS), headless=not os.environ.get("HEADED"))
        yield found
        found.close()


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The running system for all tests here, each of which leaves every process running."""
    yield from running(tmp_path_factory.mktemp("stack"))


class Town:
    """A depot with drivers on the road and orders in their routes, in real time."""

    def __init__(self, stack: Any, *, drivers: tuple[str, ...] = ("anna", "bo"), orders: int = 6,
                 shift: dict[str, Any] | None = None, **policy: Any) -> None:  # fmt: skip
        self.stack, self.depot = stack, f"town-{next(NUMBERS)}"
        self.api = Api(stack.url, stack.operator_key)
        self.api.post("/v1/depots", {"id": self.depot, "map": "helsinki", "location": HOME, "dimensions": ["parcels"],
                                     "timezone": "Europe/Helsinki",
                                     "policy": {"improve_budget": 0.5} | policy})  # fmt: skip
        self.tokens = {name: self.hire(name, **shift or {}) for name in drivers}
        self.orders = [self.order(number, skills=[drivers[number % len(drivers)]]) for number in range(orders)]
        wait_for(lambda: {self.status(order) for order in self.orders} <= {"planned"}, what="a plan")

    def hire(self, name: str, **shift: Any) -> str:
        """A driver with a van and a shift; the driver's token."""
        now, own = datetime.now(UTC), {"depot_id": self.depot}
        self.api.post("/v1/drivers", own | {"id": name, "name": name.title(), "skills": [name]})
        self.api.post("/v1/vehicles", own | {"id": f"van-{name}", "capacity": {"parcels": 20}})
        self.api.post("/v1/shifts", own | {
            "id": f"day-{name}", "driver_id": f"{self.depot}.{name}", "vehicle_id": f"{self.depot}.van-{name}",
            "start": (now - timedelta(minutes=5)).isoformat(), "end": (now + timedelta(hours=6)).isoformat()} | shift)  # fmt: skip
        return str(self.api.post("/v1/keys", {"role": "driver", "driver_id": f"{self.depot}.{name}"})["key"])

    def order(self, number: int, **more: Any) -> str:
        """An order at one of the known places."""
        body = {"depot_id": self.depot, "kind": "collection", "location": SPOTS[number % len(SPOTS)], "service_time": 60,
                "demand": {"parcels": 1}, "recipient": {"name": f"Recipient {number}"}} | more  # fmt: skip
        return str(self.api.post("/v1/orders", body)["id"])

    def status(self, order: str) -> str:
        """Where an order stands."""
        return str(self.api.get(f"/v1/orders/{order}")["status"])

    def version(self) -> int:
        """Of the plan in force."""
        return int(self.api.get(f"/v1/depots/{self.depot}/plans")["version"])

    def settled(self) -> int:
        """Wait until nothing waits for a plan, or a better one; the version in force."""
        quiet = ("lastleg_depots_waiting_for_repair 0.0", "lastleg_depots_waiting_for_improvement 0.0")
        wait_for(lambda: all(line in requests.get(f"{self.stack.url}/metrics", timeout=9).text for line in quiet), seconds=30,
                 what="no more plans")  # fmt: skip
        return self.version()


class Screen:
    """A page, and everything it has complained of."""

    def __init__(self, context: Any) -> None:
        self.context, self.page = context, context.new_page()
        self.complaints: list[str] = []
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _said(self, said: Any) -> None:
        if said.type in ("error", "warning"):
            self.complaints.append(said.text)

    def sign_in(self, url: str, key: str) -> Any:
        """Open a page and sign in; the page."""
        self.page.goto(url)
        self.page.fill("input[name=key]", key)
        self.page.click("#login button")
        self.page.wait_for_selector("#app:not([hidden])")
        return self.page


@pytest.fixture
def screen(browser: Any) -> Iterator[Screen]:
    """A browser window of its own; a test fails if anything was logged there."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    context.set_default_timeout(15_000)
    found = Screen(context)
    yield found
    context.close()
    assert found.complaints == []


STATE = "import('/web/console.js').then((console) => { const { depot, past } = console.state(); return %s; })"


def state(page: Any, what: str) -> Any:
    """Something of what the console knows: an expression of `depot` and `past`."""
    return page.evaluate(STATE % what)


def open_console(screen: Screen, town: Town) -> Any:
    """The console at a depot, when all is there."""
    page = screen.sign_in(f"{town.stack.url}/#{town.depot}", town.stack.operator_key)
    wait_for(lambda: state(page, "depot?.ready && depot.version"), what="the console")
    page.wait_for_selector("#routes li button")
    return page


def answer_first(page: Any, pattern: str, *answers: dict[str, Any]) -> list[dict[str, Any]]:
    """Let the first calls of a pattern get these answers, and all others the server's; those that are still to be given."""
    left = list(answers)
    page.route(pattern, lambda route: route.fulfill(**left.pop(0)) if left else route.continue_())
    return left


STARTING = {"status": 503, "json": {"detail": "The server is starting."}}
"""How a server answers that is not ready."""


def at(page: Any, place: dict[str, float]) -> tuple[float, float]:
    """Where a place is on the screen."""
    found = page.evaluate("""([lat, lon]) => import('/web/console.js').then((console) => {
        const map = console.state().view.map, box = map.getContainer().getBoundingClientRect();
        const at = map.latLngToContainerPoint([lat, lon]);
        return [box.x + at.x, box.y + at.y];
    })""", [place["lat"], place["lon"]])  # fmt: skip
    return found[0], found[1]
