"""The driver's page in a phone's browser: with a network, without, and with it again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser.conftest import Screen, Town
from tests.conftest import HOME, wait_for


@pytest.fixture
def phone(browser: Any) -> Iterator[Screen]:
    """A phone that lets the page know where it is."""
    here = {"latitude": HOME["lat"], "longitude": HOME["lon"]}
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True, geolocation=here,
                                  permissions=["geolocation"])  # fmt: skip
    context.set_default_timeout(15_000)
    found = Screen(context)
    yield found
    context.close()
    assert [text for text in found.complaints if "ERR_INTERNET_DISCONNECTED" not in text] == []


def test_a_driver_loses_the_network_and_catches_up(stack: Any, phone: Screen) -> None:
    """What was done in the tunnel is there afterwards, in its order; a reload in there loses nothing."""
    town = Town(stack, drivers=("anna",), orders=3)
    page = phone.page
    page.goto(f"{stack.url}/driver#{town.tokens['anna']}")
    page.wait_for_selector("#next h2:has-text('Recipient')")
    assert "ll_driver" not in page.url, "the token does not stay in the address"
    page.click("#duty button:has-text('Leave the depot')")
    page.evaluate("navigator.serviceWorker.ready.then(() => true)")
    town.settled()
    route = town.api.get(f"/v1/drivers/{town.depot}.anna/route")
    stops = [stop for shift in route["shifts"] for stop in shift["stops"]]
    wait_for(lambda: town.status(stops[0]["order_id"]) == "en_route", what="on the way")
    page.wait_for_selector(f"#next h2:has-text('{stops[0]['recipient']['name']}')")
    phone.context.set_offline(True)
    page.click("#next button:has-text('Arrived')")
    page.click("#next button:has-text('Done')")
    page.wait_for_selector("#network:has-text('to send')")
    page.reload()
    page.wait_for_selector(f"#next h2:has-text('{stops[1]['recipient']['name']}')")
    page.click("#next button:has-text('Arrived')")
    page.wait_for_selector("#network:has-text('3 to send')")
    assert town.status(stops[0]["order_id"]) == "en_route", "nobody has heard of it yet"
    phone.context.set_offline(False)
    wait_for(lambda: town.status(stops[0]["order_id"]) == "completed", what="the queue replayed")
    wait_for(lambda: town.status(stops[1]["order_id"]) == "arrived", what="in its order")
    page.wait_for_selector("#network:has-text('connected')")


def test_what_changed_is_told_and_acknowledged(stack: Any, phone: Screen) -> None:
    """A new order while he drives; failing and declining have their reasons; his place is shared."""
    town = Town(stack, drivers=("anna",), orders=3)
    page = phone.page
    page.goto(f"{stack.url}/driver#{town.tokens['anna']}")
    page.click("#news button:has-text('OK')")
    driver = f"{town.depot}.anna"
    wait_for(lambda: town.api.get(f"/v1/drivers/{driver}/route")["acknowledged"] >= 1, what="the acknowledgement")
    page.click("#duty button:has-text('Leave the depot')")
    new = town.order(4)
    page.wait_for_selector("#news:has-text('new stop')")
    assert "new order" in page.inner_text("#news")
    assert page.locator("#later .new").count() >= 1 or "Recipient 4" in page.inner_text("#next")
    page.click("#news button:has-text('OK')")
    page.wait_for_selector("#news", state="hidden")
    assert "undefined" not in page.inner_text("body")
    link = page.get_attribute("#next a.button", "href")
    assert link is not None
    assert link.startswith(("geo:", "maps:"))
    current = page.inner_text("#next h2")
    page.click("#next button:has-text('Failed')")
    page.select_option("dialog select[name=reason]", "No access")
    page.click("dialog button.danger")
    wait_for(lambda: page.inner_text("#next h2") != current, what="the next stop")
    orders = [town.api.get(f"/v1/orders/{order}") for order in [*town.orders, new]]
    failed = wait_for(lambda: next((row for row in (town.api.get(f"/v1/orders/{order['id']}") for order in orders)
                                    if row["status"] == "failed"), None), what="failed")  # fmt: skip
    assert failed["proof"] == {"reason": "No access"}
    declined = page.inner_text("#next h2")
    page.click("#next button:has-text('Decline')")
    page.click("dialog button.danger")
    wait_for(lambda: page.inner_text("#next h2") != declined, what="the one after")
    wait_for(lambda: "unassigned" in {town.status(order["id"]) for order in orders}, what="nobody else is there")
    page.click("#duty button:has-text('Break')")
    wait_for(lambda: town.api.get(f"/v1/drivers/{driver}")["state"] == "on_break", what="the break")
