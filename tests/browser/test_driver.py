"""The driver's page in a phone's browser: with a network, without, and with it again."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.browser.conftest import STARTING, Screen, Town, answer_first
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
    wait_for(lambda: "en_route" in {town.status(order) for order in town.orders}, what="on the way")
    town.settled()
    route = town.api.get(f"/v1/drivers/{town.depot}.anna/route")
    stops = [stop for shift in route["shifts"] for stop in shift["stops"]]
    assert stops[0]["state"] == "en_route"
    names = [stop["recipient"]["name"] for stop in stops]
    shown = "[...document.querySelectorAll('#next h2, #later span:nth-child(2)')].map((one) => one.textContent)"
    wait_for(lambda: page.evaluate(shown) == names, what="this sequence on the phone")
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
    page.click("#duty button:has-text('End break')")
    page.wait_for_selector("#duty button:has-text('Break (30 min)')")


def test_a_break_stands_between_the_stops(stack: Any, phone: Screen) -> None:
    """Where it is planned, with its end; behind it what comes after."""
    now = datetime.now(UTC)
    lunch = {"from": (now + timedelta(minutes=2)).isoformat(), "to": (now + timedelta(minutes=4)).isoformat(), "duration": 1800}
    town = Town(stack, drivers=("anna",), orders=4, shift={"breaks": [lunch]})
    page = phone.page
    page.goto(f"{stack.url}/driver#{town.tokens['anna']}")
    page.wait_for_selector("#later:has-text('Break until')")
    shown = page.locator("#later li").all_inner_texts()
    [place] = [number for number, text in enumerate(shown) if "Break until" in text]
    [shift] = town.api.get(f"/v1/drivers/{town.depot}.anna/route")["shifts"]
    [rest] = shift["rests"]
    assert len(shown) == len(shift["stops"])
    assert rest["before"] == shift["stops"][place + 1]["stop_id"]


def test_drivers_who_share_a_phone_report_for_themselves(stack: Any, phone: Screen) -> None:
    """What one has not sent waits for that one; a tab that is still open does nothing in the other's name."""
    town = Town(stack, drivers=("anna", "bo"), orders=4)
    page = phone.page
    page.goto(f"{stack.url}/driver#{town.tokens['anna']}")
    page.wait_for_selector("#who:text-is('Anna')")
    town.settled()
    first = town.api.get(f"/v1/drivers/{town.depot}.anna/route")["shifts"][0]["stops"][0]
    page.route("**/events", lambda route: route.abort())
    page.click("#next button:has-text('Arrived')")
    page.wait_for_selector("#network:has-text('1 to send')")
    other = phone.context.new_page()
    other.goto(f"{stack.url}/driver#{town.tokens['bo']}")
    other.wait_for_selector("#who:text-is('Bo')")
    page.unroute("**/events")
    page.wait_for_selector("#login:not([hidden])", timeout=30_000)
    assert town.status(first["order_id"]) == "planned"
    assert {town.api.get(f"/v1/drivers/{town.depot}.{name}")["state"] for name in ("anna", "bo")} == {"available"}
    page.fill("#login input[name=key]", stack.operator_key)
    page.click("#login button")
    page.wait_for_selector("#login .error:has-text('role operator')")
    page.fill("#login input[name=key]", town.tokens["anna"])
    page.click("#login button")
    page.wait_for_selector("#who:text-is('Anna')")
    page.wait_for_selector("#network:has-text('connected')")
    assert town.status(first["order_id"]) == "arrived"
    other.close()
    told = ("401", "403", "404", "ERR_FAILED")  # what browsers write of answers that are no success
    phone.complaints = [text for text in phone.complaints if not any(code in text for code in told)]


def test_a_network_that_answers_for_itself_swallows_nothing(stack: Any, phone: Screen) -> None:
    """A page of whoever keeps the network, with 200 or 403; and when the session is over and nothing waits, one signs in."""
    town = Town(stack, drivers=("anna",), orders=2)
    page = phone.page
    portal = {"content_type": "text/html", "body": "<h1>Welcome</h1>"}
    page.goto(f"{stack.url}/driver#{town.tokens['anna']}")
    page.wait_for_selector("#who:text-is('Anna')")
    town.settled()
    first = town.api.get(f"/v1/drivers/{town.depot}.anna/route")["shifts"][0]["stops"][0]
    left = answer_first(page, "**/v1/stops/*/events", portal | {"status": 200}, portal | {"status": 403})
    page.click("#next button:has-text('Arrived')")
    page.wait_for_selector("#next p:has-text('You are at')")
    page.wait_for_selector("#network:has-text('connected')", timeout=30_000)
    assert left == []
    assert town.status(first["order_id"]) == "arrived"
    page.unroute("**/v1/stops/*/events")
    phone.context.clear_cookies()
    page.wait_for_selector("#login:not([hidden])", timeout=30_000)
    phone.complaints = [text for text in phone.complaints if "401" not in text and "403" not in text]


def test_a_second_tap_is_not_for_what_takes_the_place_of_the_first(stack: Any, phone: Screen) -> None:
    """And what another device, or the depot, says of a stop is on the page before long; the focus stays on the page."""
    town = Town(stack, drivers=("anna",), orders=3)
    page = phone.page
    page.goto(f"{stack.url}/driver#{town.tokens['anna']}")
    page.wait_for_selector("#next button:not([aria-disabled]):has-text('Arrived')")
    town.settled()
    first, second, _ = town.api.get(f"/v1/drivers/{town.depot}.anna/route")["shifts"][0]["stops"]
    page.evaluate("document.querySelector('#next button').click()")
    page.wait_for_selector("#next p:has-text('You are at')")
    page.evaluate("document.querySelector('#next button').click()")
    page.wait_for_selector("#network:has-text('connected')")
    assert town.status(first["order_id"]) == "arrived"
    page.focus("#next button:has-text('Done')")
    page.wait_for_timeout(1500)
    assert page.evaluate("document.activeElement.textContent") == "Done"
    done = {"event_id": "elsewhere", "type": "completed", "occurred_at": datetime.now(UTC).isoformat()}
    done |= {"driver_id": f"{town.depot}.anna"}
    town.api.post(f"/v1/stops/{first['stop_id']}/events", done)
    page.wait_for_selector(f"#next h2:has-text('{second['recipient']['name']}')", timeout=30_000)


def test_duty_is_what_the_depot_knows(stack: Any, phone: Screen) -> None:
    """A dispatcher takes her off duty; what she declines is hers no more, and the page does not call it done."""
    town = Town(stack, drivers=("anna",), orders=1)
    page = phone.page
    page.goto(f"{stack.url}/driver#{town.tokens['anna']}")
    page.wait_for_selector("#who:text-is('Anna')")
    page.click("#next button:has-text('Decline')")
    page.click("dialog button.danger")
    page.wait_for_selector("#next h2:has-text('No stop')")
    event = {"event_id": "by-the-dispatcher", "type": "off_duty", "occurred_at": datetime.now(UTC).isoformat()}
    town.api.post(f"/v1/drivers/{town.depot}.anna/events", event)
    page.wait_for_selector("#duty button:text-is('On duty')", timeout=30_000)


def test_reports_outlast_a_server_that_stumbles_and_a_session_that_ends(stack: Any, phone: Screen) -> None:
    """A report that gets a 503 is sent again, once; signed in again, the one that met no session is sent too."""
    town = Town(stack, drivers=("anna",), orders=2)
    page = phone.page
    page.goto(f"{stack.url}/driver#{town.tokens['anna']}")
    page.wait_for_selector("#next h2:has-text('Recipient')")
    town.settled()
    (first, second) = [stop for shift in town.api.get(f"/v1/drivers/{town.depot}.anna/route")["shifts"] for stop in shift["stops"]]
    left = answer_first(page, "**/v1/stops/*/events", STARTING)
    page.click("#next button:has-text('Arrived')")
    page.wait_for_selector("#network:has-text('sending'), #network:has-text('to send')")
    page.wait_for_selector("#network:has-text('connected')")
    assert town.status(first["order_id"]) == "arrived"
    assert left == []
    page.unroute("**/v1/stops/*/events")
    page.context.clear_cookies()
    page.click("#next button:has-text('Done')")
    page.wait_for_selector("#login:not([hidden])")
    assert town.status(first["order_id"]) == "arrived"
    page.fill("#login input[name=key]", town.tokens["anna"])
    page.click("#login button")
    wait_for(lambda: town.status(first["order_id"]) == "completed", what="what was kept")
    page.wait_for_selector(f"#next h2:has-text('{second['recipient']['name']}')")
    phone.complaints = [text for text in phone.complaints if "401" not in text and "503" not in text]


def test_a_driver_comes_back_for_more(stack: Any, phone: Screen) -> None:
    """Back at the depot he is told what to load, and what he reports there puts it aboard."""
    town = Town(stack, drivers=("anna",), orders=0, shift={"reloads": 1, "reload_time": 300})
    orders = [town.order(number, kind="delivery", demand={"parcels": 15}) for number in range(2)]
    wait_for(lambda: {town.status(order) for order in orders} == {"planned"}, what="a plan")
    page = phone.page
    page.goto(f"{stack.url}/driver#{town.tokens['anna']}")
    page.wait_for_selector("#later:has-text('Back to the depot')")
    page.click("#duty button:has-text('Leave the depot')")
    page.click("#next button:has-text('Arrived')")
    page.click("#next button:has-text('Done')")
    page.wait_for_selector("#next h2:has-text('Back to the depot')")
    last = page.inner_text("#later li")
    name = next(name for name in ("Recipient 0", "Recipient 1") if name in last)
    assert "Load one order:" in page.inner_text("#next")
    assert page.inner_text("#next ol") == name
    assert page.locator("#next button:has-text('Decline')").count() == 0
    page.click("#next button:has-text('Arrived')")
    page.wait_for_selector("#next:has-text('5 min of reload')")
    page.click("#next button:has-text('Done')")
    page.wait_for_selector(f"#next h2:has-text('{name}')")
    [shift] = town.api.get(f"/v1/drivers/{town.depot}.anna/route")["shifts"]
    wait_for(lambda: [stop["state"] for stop in town.api.get(f"/v1/drivers/{town.depot}.anna/route")["shifts"][0]["stops"]]
             == ["completed", "completed", "en_route"], what="the reports")  # fmt: skip
    assert shift["stops"][1]["kind"] == "reload"
