"""Every page holds to the rules of axe-core, light and dark; and the recipient's shows when and where."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.browser.conftest import Screen, Town, open_console
from tests.conftest import SPOTS


def violations(page: Any) -> list[str]:
    """What axe-core finds."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    return [f"{row['id']}: {row['help']} {[node['html'][:120] for node in row['nodes'][:3]]}" for row in found]


@pytest.fixture(scope="module")
def town(stack: Any) -> Town:
    return Town(stack)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_console(screen: Screen, town: Town, theme: str) -> None:
    """Signed out, at work, with details, a dialog and an older version."""
    page = screen.page
    page.emulate_media(color_scheme=theme)
    page.goto(town.stack.url)
    page.wait_for_selector("#login:not([hidden])")
    assert violations(page) == []
    page = open_console(screen, town)
    assert page.evaluate("document.documentElement.dataset.theme") == theme
    page.click("#routes li button")
    assert violations(page) == []
    page.click("#detail ol button")
    assert violations(page) == []
    page.click("#detail button:has-text('Pin')")
    assert violations(page) == []
    page.keyboard.press("Escape")
    page.click("#feed li:last-child button")
    page.wait_for_selector("body.history")
    assert violations(page) == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_drivers_page(screen: Screen, town: Town, theme: str) -> None:
    """With its next stop, and a dialog."""
    page = screen.page
    page.emulate_media(color_scheme=theme)
    page.goto(f"{town.stack.url}/driver")
    page.wait_for_selector("#login:not([hidden])")
    assert violations(page) == []
    page.goto(f"{town.stack.url}/driver#{town.tokens['anna']}")
    page.reload()
    page.wait_for_selector("#next h2:has-text('Recipient')")
    assert violations(page) == []
    page.click("#next button:has-text('Failed')")
    assert violations(page) == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_recipients_page(screen: Screen, town: Town, theme: str) -> None:
    """When, where, and nothing of anybody else; a link that is none says so."""
    page = screen.page
    page.emulate_media(color_scheme=theme)
    link = town.api.post(f"/v1/orders/{town.orders[0]}/tracking", {})
    page.goto(town.stack.url + link["page"])
    eta = town.api.get(link["url"])["eta"]
    zone = ZoneInfo("Europe/Helsinki")
    early, late = (f"{datetime.fromisoformat(eta[key]).astimezone(zone):%H:%M}" for key in ("p50", "p80"))
    page.wait_for_selector(f"#when:has-text('{early} – {late}')" if early != late else f"#when:has-text('about {early}')")
    page.wait_for_selector("#map canvas.leaflet-tile-loaded")
    assert violations(page) == []
    assert not [name for name in ("Anna", "Bo", "Recipient") if name in page.inner_text("body")]
    assert str(SPOTS[1]["lat"]) not in page.content()
    page.goto(f"{town.stack.url}/track/nonsense")
    page.wait_for_selector("#status:has-text('no longer good')")
    screen.complaints = [text for text in screen.complaints if "404" not in text]
