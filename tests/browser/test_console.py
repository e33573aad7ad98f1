"""The dispatcher's console in a real browser, at a real depot."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.conftest import STARTING, Screen, Town, answer_first, at, open_console, state
from tests.conftest import SPOTS, wait_for


@pytest.fixture(scope="module")
def town(stack: Any) -> Town:
    """One depot for the tests here: they look, add, and close what they have opened."""
    return Town(stack)


def test_an_order_added_by_click_joins_a_route(screen: Screen, town: Town) -> None:
    """The new version says who gained it, and its stop is on the map."""
    page, before = open_console(screen, town), town.settled()
    page.keyboard.press("n")
    assert page.get_attribute("[data-mode=order]", "aria-pressed") == "true"
    page.mouse.click(*at(page, SPOTS[2]))
    page.fill("dialog input[name=recipient]", "Clicked")
    page.click("dialog button.main")
    page.wait_for_selector("dialog", state="hidden")
    wait_for(lambda: state(page, "depot.version") > before, what="the next version on the screen")
    clicked = "[...depot.orders.values()].find((one) => one.recipient?.name === 'Clicked')"
    order = wait_for(lambda: state(page, clicked), what="the order")
    assert abs(order["location"]["lat"] - SPOTS[2]["lat"]) < 2e-4
    stops = "[...depot.routes.values()].flat().flatMap((shift) => shift.stops).map((stop) => stop.stop_id)"
    wait_for(lambda: order["stop_id"] in state(page, stops), what="its stop in a route")
    page.wait_for_selector("#feed li:first-child .change:has-text('+1')")
    page.fill("#search", "clicked")
    page.click("#found button")
    page.click("#detail button.danger")
    page.click("dialog button.danger")
    wait_for(lambda: town.status(order["id"]) == "cancelled", what="the order cancelled")


def test_a_closure_redraws_only_the_routes_it_touches(screen: Screen, town: Town) -> None:
    """The lines of all others are the very same; opened again it is gone."""
    page, before = open_console(screen, town), town.settled()
    lines = state(page, "[...depot.lines].map(([shift, line]) => [shift, line.driver_id, line.points])")
    assert len({driver for _, driver, _ in lines}) == 2, "both are on the road"
    mine = next(points for _, driver, points in lines if driver.endswith("anna"))
    others = next(points for _, driver, points in lines if driver.endswith("bo"))
    only = [point for point in mine[5:-5] if point not in others] or mine
    middle = only[len(only) // 2]
    page.click("[data-mode=close]")
    page.mouse.click(*at(page, {"lat": middle[0], "lon": middle[1]}))
    page.fill("dialog input[name=reason]", "burst pipe")
    page.click("dialog button.danger")
    page.wait_for_selector("dialog", state="hidden")
    wait_for(lambda: state(page, "depot.version") > before and state(page, "depot.roads.length"), what="the plan and the closure")
    plans = town.api.get(f"/v1/depots/{town.depot}/plans?after={before}")["plans"]
    touched = {route["driver_id"] for plan in plans for route in plan["diff"]["routes"]}
    now = state(page, "[...depot.lines].map(([shift, line]) => [shift, line.driver_id, line.points])")
    assert touched
    assert {driver for shift, driver, points in lines if [shift, driver, points] not in now} <= touched
    event = state(page, "depot.roads[0]")
    assert event["reason"] == "burst pipe"
    town.api.call("DELETE", f"/v1/road-events/{event['id']}").raise_for_status()
    wait_for(lambda: state(page, "depot.roads.length") == 0, what="the street open again")


def test_the_days_versions_are_scrubbed(screen: Screen, town: Town) -> None:
    """Back to the first, with what it changed; and to now."""
    page = open_console(screen, town)
    newest = town.settled()
    assert newest > 1
    page.focus("#version")
    page.keyboard.press("Home")
    page.wait_for_selector("body.history")
    assert state(page, "past.version") == 1
    page.wait_for_selector("#version-told:has-text('v1 of')")
    assert page.inner_text("#detail h2").startswith("v1:")
    page.keyboard.press("Escape")
    page.locator("body").press("]")
    wait_for(lambda: state(page, "past?.version") == 2, what="the next one")
    page.locator("body").press("l")
    page.wait_for_selector("body:not(.history)")
    assert state(page, "past") is None
    page.click(f"#feed li[data-version='{newest}'] button")
    page.wait_for_selector("body.history")
    page.click("#live")
    page.wait_for_selector("body:not(.history)")


def test_what_could_not_be_read_is_read_again(screen: Screen, town: Town) -> None:
    """The server stumbles while a new version's lines are asked for: version, route and line come together, later."""
    page, before = open_console(screen, town), town.settled()
    left = answer_first(page, "**/lines*", STARTING, STARTING)
    order = town.order(4, skills=["anna"])
    page.wait_for_selector("#toast:has-text('is starting')")
    assert state(page, "depot.version") == before, "of a version that is shown everything is there"
    planned = "[...depot.routes.values()].flat().flatMap((shift) => shift.stops).map((stop) => stop.order_id)"
    wait_for(lambda: order in state(page, planned), what="the order in its route")
    assert state(page, "depot.version") > before
    assert left == []
    town.api.call("DELETE", f"/v1/orders/{order}").raise_for_status()
    screen.complaints = [text for text in screen.complaints if "503" not in text]


def test_all_versions_that_are_kept_can_be_scrubbed(screen: Screen, town: Town) -> None:
    """Those of before are read by pages."""
    page, newest = open_console(screen, town), town.settled()
    assert newest > 1
    state(page, "(depot.versions = depot.versions.slice(-1)) && depot.readEarlier()")
    wait_for(lambda: state(page, "depot.versions.map((plan) => plan.version)") == list(range(1, newest + 1)), what="all of them")


def test_a_driver_is_taken_off_duty_and_back(screen: Screen, town: Town) -> None:
    """What only she can take is unassigned, with its reason on the screen, until she is back."""
    page = open_console(screen, town)
    town.settled()
    page.click("#routes li:has-text('Anna') button")
    page.click("#detail button.danger")
    page.click("dialog button.danger")
    wait_for(lambda: state(page, f"depot.drivers.get('{town.depot}.anna').state") == "off_duty", what="off duty")
    hers = f"(depot.routes.get('{town.depot}.anna') ?? []).flatMap((shift) => shift.stops).length"
    wait_for(lambda: state(page, hers) == 0, what="an empty route")
    page.wait_for_selector("#unassigned button:has-text('is off duty')")
    page.click("#unassigned button")
    assert "Why nobody takes it" in page.inner_text("#detail")
    page.click("#detail button:has-text('What would make it fit')")
    page.wait_for_selector("#detail li:has-text('No driver could serve it')")
    page.locator("body").press("Escape")
    page.fill("#search", "anna")
    page.click("#found button")
    page.click("#detail button:has-text('On duty')")
    wait_for(lambda: state(page, f"depot.drivers.get('{town.depot}.anna').state") == "available", what="on duty")
    wait_for(lambda: state(page, "depot.unassigned.size") == 0, what="all of them hers again")


def test_an_order_is_pinned_and_a_slow_zone_drawn(screen: Screen, town: Town) -> None:
    """The next plan holds to the pin; the zone is what was drawn."""
    page = open_console(screen, town)
    town.settled()
    order = town.orders[1]  # which only he can take
    page.fill("#search", "Recipient 1")
    page.click("#found button")
    page.click("#detail button:has-text('Pin')")
    page.select_option("dialog select[name=driver]", f"{town.depot}.bo")
    page.select_option("dialog select[name=position]", "first")
    page.click("dialog button.main")
    wait_for(lambda: town.api.get(f"/v1/orders/{order}")["pin"]["driver_id"] == f"{town.depot}.bo", what="the pin")
    first = f"depot.routes.get('{town.depot}.bo')?.[0]?.stops?.[0]?.order_id"
    wait_for(lambda: state(page, first) == order, what="first in his route")
    page.click("#detail button:has-text('Pin')")
    assert page.input_value("dialog select[name=position]") == "first"
    page.select_option("dialog select[name=position]", "2")
    page.click("dialog button.main")
    second = f"depot.routes.get('{town.depot}.bo')?.[0]?.stops?.[1]?.order_id"
    wait_for(lambda: state(page, second) == order, what="second in his route")
    page.locator("body").press("Escape")
    page.locator("body").press("z")
    x, y = at(page, SPOTS[1])
    for dx, dy in ((-60, -60), (60, -60), (0, 60)):
        page.mouse.click(x + dx, y + dy)
        page.wait_for_timeout(350)  # else it is a double click
    page.locator("body").press("Enter")
    page.fill("dialog input[name=percent]", "40")
    page.press("dialog input[name=percent]", "Enter")
    (event,) = wait_for(lambda: town.api.get(f"/v1/road-events?depot_id={town.depot}")["road_events"], what="the zone")
    assert (event["kind"], event["factor"]) == ("slow", 2.5)
    town.api.call("DELETE", f"/v1/road-events/{event['id']}").raise_for_status()


def test_it_is_worked_without_a_mouse(screen: Screen, town: Town) -> None:
    """An order where the map's cross is, a street closed and found in the list again; the focus goes into details and back."""
    page = open_console(screen, town)
    town.settled()
    look = "(at) => import('/web/console.js').then((console) => { console.state().view.map.setView(at, 16, { animate: false }); })"
    page.evaluate(look, SPOTS[3])
    page.keyboard.press("n")
    page.keyboard.press("Space")
    page.wait_for_selector("dialog[open]")
    page.fill("dialog input[name=recipient]", "Keyed")
    page.keyboard.press("Enter")
    page.wait_for_selector("dialog", state="hidden")
    keyed = "[...depot.orders.values()].find((one) => one.recipient?.name === 'Keyed')"
    order = wait_for(lambda: state(page, keyed), what="the order")
    assert abs(order["location"]["lat"] - SPOTS[3]["lat"]) < 2e-4
    page.keyboard.press("c")
    page.keyboard.press("Space")
    page.wait_for_selector("dialog[open]")
    page.press("dialog input[name=reason]", "Enter")
    page.wait_for_selector("#roads button:has-text('Closed')")
    page.focus("#roads button")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.textContent") == "Closed street"
    page.keyboard.press("Escape")
    assert "Closed" in page.evaluate("document.activeElement.textContent")
    page.keyboard.press("Enter")
    page.focus("#detail button:has-text('Open it again')")
    page.keyboard.press("Enter")
    page.wait_for_selector("#roads .empty")
    town.api.call("DELETE", f"/v1/orders/{order['id']}").raise_for_status()


def test_what_others_do_is_seen(screen: Screen, town: Town) -> None:
    """A route locked and a driver hired by another dispatcher; the focus stays where it is."""
    page = open_console(screen, town)
    town.settled()
    page.click("#routes li:has-text('Anna') button")
    page.focus("#detail button:has-text('Off duty')")
    lock = f"/v1/shifts/{town.depot}.day-anna/lock"
    town.api.call("PUT", lock).raise_for_status()
    page.wait_for_selector("#detail button:has-text('Unlock route')")
    assert page.evaluate("document.activeElement.textContent") == "Off duty"
    town.api.call("DELETE", lock).raise_for_status()
    page.wait_for_selector("#detail button:has-text('Lock route')")
    town.hire("cleo")
    wait_for(lambda: state(page, f"depot.name('{town.depot}.cleo')") == "Cleo", what="her name")
    town.order(2, skills=["cleo"])
    page.wait_for_selector("#routes li:has-text('Cleo')")
    page.click("#routes li:has-text('Cleo') button")
    page.wait_for_selector("#detail button:has-text('Lock route')")


def test_details_follow_what_happens(screen: Screen, town: Town) -> None:
    """Of a driver who goes off duty, an order that is cancelled, and a street that somebody else opens again."""
    page = open_console(screen, town)
    town.settled()
    page.click("#routes li:has-text('Bo') button")
    page.click("#detail button:has-text('Off duty')")
    page.click("dialog button:has-text('What would happen')")
    page.wait_for_selector("dialog li:has-text('−')")
    page.click("dialog button.danger")
    page.wait_for_selector("#detail button:has-text('On duty')")
    assert page.evaluate("document.activeElement.textContent") == "On duty"
    page.click("#detail button:has-text('On duty')")
    page.wait_for_selector("#detail button:has-text('Off duty')")
    order = town.order(2, skills=["anna"], recipient={"name": "Fleeting " * 8})
    wait_for(lambda: state(page, f"depot.orders.has('{order}')"), what="the order on the screen")
    page.fill("#search", "fleeting")
    page.press("#search", "Enter")
    page.wait_for_selector("#detail dd:has-text('planned')")
    assert page.evaluate("document.querySelector('#detail').scrollWidth <= document.querySelector('#detail').clientWidth")
    town.api.call("DELETE", f"/v1/orders/{order}").raise_for_status()
    page.wait_for_selector("#detail dd:has-text('cancelled')")
    assert page.locator("#detail button:has-text('Cancel order')").count() == 0
    event = town.api.post("/v1/road-events", {"depot_id": town.depot, "kind": "close", "disc": {"centre": SPOTS[0], "radius_m": 30},
                                              "end": "2040-01-01T00:00:00Z"})  # fmt: skip
    page.click("#roads button:has-text('Closed')")
    page.wait_for_selector("#detail h2:has-text('Closed street')")
    town.api.call("DELETE", f"/v1/road-events/{event['id']}").raise_for_status()
    page.wait_for_selector("#detail", state="hidden")


def test_the_search_is_worked_by_keys(screen: Screen, town: Town) -> None:
    """Down from the field to what was found and back; what is called otherwise is told."""
    page = open_console(screen, town)
    page.keyboard.press("/")
    page.keyboard.type("recipient")
    page.keyboard.press("ArrowDown")
    assert "Recipient" in page.evaluate("document.activeElement.textContent")
    page.keyboard.press("ArrowUp")
    assert page.evaluate("document.activeElement.id") == "search"
    page.fill("#search", "nobody's")
    page.wait_for_selector("#found:has-text('Nothing is called so')")
    page.keyboard.press("Escape")
    page.wait_for_selector("#found", state="hidden")


def test_a_depot_without_a_plan_is_looked_at(screen: Screen, stack: Any) -> None:
    """An empty one, from its first moment: no errors, no routes, and what comes then."""
    town = Town(stack, drivers=(), orders=0)
    page = screen.sign_in(f"{town.stack.url}/#{town.depot}", town.stack.operator_key)
    page.wait_for_selector("#routes .empty")
    page.wait_for_selector("#unassigned .empty")
    town.hire("zoe")
    town.order(0)
    page.wait_for_selector("#routes li:has-text('Zoe')")


def test_what_is_refused_at_first_is_tried_again(screen: Screen, town: Town) -> None:
    """The server is starting while the page is opened, and while its stream begins anew: nothing is missing afterwards."""
    page = screen.page
    left = answer_first(page, "**/v1/sessions/current*", STARTING, STARTING)
    page.goto(f"{town.stack.url}/#{town.depot}")
    page.wait_for_selector("#login:not([hidden])")
    assert left == []
    page.unroute("**/v1/sessions/current*")
    page = open_console(screen, town)
    town.settled()
    page.evaluate("import('/web/console.js').then((console) => { console.state().depot.source.close(); })")
    order = town.order(1, skills=["anna"])
    town.settled()
    page.evaluate("import('/web/console.js').then((console) => { console.state().depot.open(); })")
    planned = "[...depot.routes.values()].flat().flatMap((shift) => shift.stops).map((stop) => stop.order_id)"
    wait_for(lambda: order in state(page, planned), what="what happened meanwhile")
    town.api.call("DELETE", f"/v1/orders/{order}").raise_for_status()
    screen.complaints = [text for text in screen.complaints if "503" not in text]


def test_nothing_is_left_of_another_depot(screen: Screen, town: Town, stack: Any) -> None:
    """Routes, drivers and plans are those of the depot that is chosen; its name is in the address."""
    other = Town(stack, drivers=("zoe",), orders=2)
    page = open_console(screen, town)
    page.select_option("#depot", other.depot)
    page.wait_for_selector("#routes li:has-text('Zoe')")
    wait_for(lambda: page.locator("#routes li").count() == 1, what="her route only")
    assert page.url.endswith(f"#{other.depot}")
    assert "Anna" not in page.inner_text("#app")
    page.select_option("#depot", town.depot)
    page.wait_for_selector("#routes li:has-text('Anna')")
    assert "Zoe" not in page.inner_text("#app")


def test_who_is_signed_out_sees_nothing(screen: Screen, town: Town) -> None:
    """A wrong key is told; a driver's is none for this page; signing out ends the session."""
    page = screen.page
    page.goto(town.stack.url)
    for key, text in (("wrong", "opens no session"), (town.tokens["anna"], "driver's token")):
        page.fill("input[name=key]", key)
        page.click("#login button")
        page.wait_for_selector(f"#login .error:has-text(\"{text}\")")
    screen.complaints = [text for text in screen.complaints if "401" not in text and "403" not in text]  # of the wrong keys
    assert page.context.cookies() == [], "no session is opened with a key of another role"
    page = open_console(screen, town)
    page.click("#sign-out")
    page.wait_for_selector("#login:not([hidden])")
    assert page.evaluate("fetch('/v1/depots').then((answer) => answer.status)") == 401
    screen.complaints = [text for text in screen.complaints if "401" not in text]


def _proposed(page: Any, town: Town) -> None:
    """Wait until the newest proposal is on the screen: a better one may take the place of the first."""
    page.wait_for_selector("#proposal:not([hidden])")
    town.settled()
    newest = town.api.get(f"/v1/depots/{town.depot}/proposal")["proposal_id"]
    wait_for(lambda: state(page, "depot.proposal?.proposal_id") == newest, what="the newest proposal on the screen")


def test_a_proposed_plan_is_accepted_and_a_route_locked(screen: Screen, stack: Any) -> None:
    """Nothing is in force before the yes; what is discarded is not; a locked route takes nothing more."""
    town = Town(stack)
    town.settled()
    town.api.call("PATCH", f"/v1/depots/{town.depot}", {"policy": {"review": True}}).raise_for_status()
    page, before = open_console(screen, town), town.version()
    town.order(3, skills=["anna"])
    _proposed(page, town)
    assert "Anna +1" in page.inner_text("#proposal")
    page.wait_for_selector("#unassigned button:has-text('waits for a plan')")
    page.click("#proposal button:has-text('Show on the map')")
    assert town.version() == before
    page.click("#proposal button:has-text('Discard')")
    page.wait_for_selector("#proposal", state="hidden")
    assert page.evaluate("document.activeElement.id") == "feed"
    page.locator("body").press("r")
    _proposed(page, town)
    page.click("#proposal button:has-text('Accept')")
    wait_for(lambda: state(page, "depot.version") > before, what="the plan in force")
    town.api.call("PATCH", f"/v1/depots/{town.depot}", {"policy": {"review": False}}).raise_for_status()
    page.click("#routes li:has-text('Anna') button")
    page.click("#detail button:has-text('Lock route')")
    page.wait_for_selector("#detail button:has-text('Unlock route')")
    town.order(4, skills=["anna"])
    page.wait_for_selector("#unassigned button:has-text('has a locked route')")
    page.click("#detail button:has-text('Unlock route')")
    wait_for(lambda: state(page, "depot.unassigned.size") == 0, what="unlocked, and taken")


def test_the_console_goes_on_where_the_server_was_away(screen: Screen, stack: Any) -> None:
    """The API is killed and started again: what has happened meanwhile is on the screen, without a reload."""
    town = Town(stack)
    town.settled()
    page = open_console(screen, town)
    page.evaluate("globalThis.still = true")
    stack.processes["api"].kill()
    stack.processes["api"].wait(5)
    page.wait_for_selector("#connection:has-text('Not connected')")
    stack.started["api"] = 0.0
    stack.watch()
    order = town.order(2, skills=["anna"])
    planned = "[...depot.routes.values()].flat().flatMap((shift) => shift.stops).map((stop) => stop.order_id)"
    wait_for(lambda: order in state(page, planned), seconds=30, what="the new order in a route on the screen")
    wait_for(lambda: page.inner_text("#connection") == "", what="the connection")
    assert page.evaluate("globalThis.still") is True
    screen.complaints = [text for text in screen.complaints if "Failed to load resource" not in text]


def test_a_reload_is_a_stop_of_the_route(screen: Screen, stack: Any) -> None:
    """In the driver's list and in the details of the stop, by its name."""
    town = Town(stack, drivers=("anna",), orders=0, shift={"reloads": 1})
    orders = [town.order(number, kind="delivery", demand={"parcels": 15}) for number in range(2)]
    wait_for(lambda: {town.status(order) for order in orders} == {"planned"}, what="a plan")
    page = open_console(screen, town)
    page.click("#routes li button")
    page.click("#detail ol button:has-text('Back to the depot')")
    page.wait_for_selector("#detail h2:has-text('Back to the depot')")
    told = page.inner_text("#detail dl")
    assert "reload" in told
    assert "Anna, stop 2" in told
    assert page.locator("#detail button:has-text('Cancel')").count() == 0
