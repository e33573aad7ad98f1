"""Quotes hold: what is said to be possible is, what is held is planned, and what is not confirmed goes by itself."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from ingest.auth import Role, make_key
from ingest.store import keys, readers
from tests.conftest import HOME, SPOTS, Shop, one_server, order
from tests.ingest.test_api import state
from workers import dispatcher, quotes, replan


def ask(shop: Shop, *, key: str | None = None, windows: Any = None, **changes: Any) -> Any:
    body: dict[str, Any] = {"order": order(**changes)} | ({"windows": windows} if windows else {})
    return shop.call("POST", "/v1/quotes", body, key=key or shop.shipper)


def accept(shop: Shop, quote: Any, window: int = 0, *, key: str | None = None) -> Any:
    return shop.call("POST", f"/v1/quotes/{quote['quote_id']}/accept", {"window": window}, key=key or shop.shipper)


def hour(first: int, last: int) -> dict[str, str]:
    return {"from": f"2030-01-01T{first:02}:00:00Z", "to": f"2030-01-01T{last:02}:00:00Z"}


def repair(shop: Shop) -> int:
    shop.store.zadd(keys.shared_key("dirty"), {"hel": 0}, xx=True)  # though what asked for it came from later
    return replan.repair(shop.store, shop.settings, "hel")


def test_a_quote_tells_windows_and_prices_and_changes_nothing(shop: Shop) -> None:
    """The next hours while there are shifts, each with its cost; a window beyond them is unavailable."""
    shop.depot()
    shop.crew("anna")
    shop.order()
    repair(shop)
    before = {name: value for name, value in state(shop).items() if ":quote:" not in name}
    told = ask(shop, place=SPOTS[1]).json
    assert [window["from"] for window in told["windows"]] == [f"2030-01-01T{h:02}:00:00Z" for h in range(8, 16)]
    assert all(window["extra_cost"] > 0 and window["drivers"] == 1 for window in told["windows"])
    assert "driver_id" not in str(told)
    asked = ask(shop, key=shop.operator, windows=[hour(9, 10), hour(18, 19)]).json
    assert [window["driver_id"] for window in asked["windows"]] == ["hel.anna"]
    assert asked["unavailable"] == [hour(18, 19)]
    assert {name: value for name, value in state(shop).items() if ":quote:" not in name} == before


def test_the_price_is_what_the_plan_then_costs_more(shop: Shop) -> None:
    """The quote of a window, and the cost of the plan with the order in it."""
    shop.depot()
    shop.crew("anna")
    for place in SPOTS[:3]:
        shop.order(place)
    repair(shop)
    cost = shop.call("GET", "/v1/depots/hel/plan").json["cost"]
    told = ask(shop, place=SPOTS[4], windows=[hour(8, 12)]).json
    accept(shop, told)
    repair(shop)
    assert shop.call("GET", "/v1/depots/hel/plan").json["cost"] - cost == told["windows"][0]["extra_cost"]


def test_an_accepted_quote_is_held_planned_and_confirmed(shop: Shop) -> None:
    """Reserved, in the plan with its window, and an order like any other once it is confirmed."""
    shop.depot()
    shop.crew("anna")
    told = ask(shop, windows=[hour(9, 10), hour(11, 12)], recipient={"name": "Ada"}, external_id="A").json
    held = accept(shop, told, 1)
    assert held.status_code == 201
    made = held.json["order"]
    assert (made["status"], made["windows"], made["lateness"]) == ("reserved", [hour(11, 12)], "hard")
    assert made["recipient"] == {"name": "Ada"}
    again = accept(shop, told, 1)
    assert (again.status_code, again.json["order"]["id"]) == (200, made["id"])
    assert accept(shop, told, 0).json["code"] == "duplicate"
    repair(shop)
    path = f"/v1/orders/{made['id']}"
    assert shop.call("GET", path, key=shop.shipper).json["status"] == "reserved"
    (stop,) = shop.call("GET", "/v1/depots/hel/plan").json["routes"][0]["stops"]
    assert "2030-01-01T11:00:00Z" <= stop["begin"] <= "2030-01-01T12:00:00Z"
    for _ in range(2):
        confirmed = shop.call("POST", path + "/confirm", key=shop.shipper)
        assert (confirmed.status_code, confirmed.json["status"]) == (200, "planned")
    dispatcher._clock(shop.store, time.time() + 120)
    assert shop.call("GET", path, key=shop.shipper).json["status"] == "planned"
    assert shop.store.zscore(keys.shared_key("timers"), f"hel reservation_over {made['id']}") is None


@pytest.mark.parametrize("kind", ["delivery", "service", "transport"])
def test_a_reservation_that_is_not_confirmed_ends_by_itself(shop: Shop, kind: str) -> None:
    """Not before its minute; then it is cancelled, the plan made anew, and it is too late to confirm."""
    shop.depot()
    shop.crew("anna")
    more: dict[str, Any] = {"kind": kind} | ({"demand": {}} if kind == "service" else {})
    more |= {"pickup": {"location": SPOTS[2]}} if kind == "transport" else {}
    made = accept(shop, ask(shop, windows=[hour(9, 10)], **more).json).json["order"]
    repair(shop)
    dispatcher._clock(shop.store, time.time() + quotes.HELD_S - 2)
    path = f"/v1/orders/{made['id']}"
    assert shop.call("GET", path, key=shop.shipper).json["status"] == "reserved"
    dispatcher._clock(shop.store, time.time() + quotes.HELD_S + 1)
    assert shop.call("GET", path, key=shop.shipper).json["status"] == "cancelled"
    snapshot = readers.snapshot(shop.store, "hel")
    assert snapshot is not None
    assert [trigger.kind for trigger in snapshot.triggers] == ["reservation_over"]
    repair(shop)
    assert shop.call("GET", "/v1/depots/hel/plan").json["routes"][0]["stops"] == []
    late = shop.call("POST", path + "/confirm", key=shop.shipper)
    assert (late.status_code, late.json["code"]) == (409, "too_late")
    assert readers.progress_of(shop.store, "hel", [made["stop_id"]])[made["stop_id"]].left is not None


def test_what_waits_for_its_plan_counts_as_taken(shop: Shop) -> None:
    """A van with room for one: two reservations before any plan is made do not share it."""
    shop.depot()
    shop.crew("anna")
    first, second = (ask(shop, place=place, windows=[hour(9, 10)], demand={"parcels": 6}).json for place in SPOTS[:2])
    assert len(second["windows"]) == 1
    assert accept(shop, first).status_code == 201
    gone = accept(shop, second)
    assert (gone.status_code, gone.json["code"]) == (409, "window_gone")
    assert ask(shop, place=SPOTS[1], windows=[hour(9, 10)], demand={"parcels": 6}).json["windows"] == []


@one_server
def test_of_many_at_once_as_many_are_held_as_there_is_room_for(shop: Shop) -> None:
    """Twelve accept at the same moment what ten parcels fit into; all that are held are planned."""
    shop.depot()
    shop.crew("anna")
    told = [ask(shop, place=SPOTS[number % 6], windows=[hour(8, 15)], demand={"parcels": 3}).json for number in range(6)]
    answers: list[Any] = [None] * len(told)

    def take(number: int) -> None:
        client = shop.app.test_client()
        headers = {"Authorization": f"Bearer {shop.shipper}"}
        answers[number] = client.post(f"/v1/quotes/{told[number]['quote_id']}/accept", json={"window": 0}, headers=headers)

    threads = [threading.Thread(target=take, args=[number]) for number in range(len(told))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answer.status_code for answer in answers) == [201] * 3 + [409] * 3
    repair(shop)
    assert shop.call("GET", "/v1/depots/hel/plan").json["unassigned"] == []


def test_quotes_are_their_askers_and_bad_ones_are_refused(shop: Shop) -> None:
    """Another shipper has no part in them; windows in the order, orders that cannot wait and places off the map are none."""
    shop.depot()
    shop.crew("anna")
    told = ask(shop).json
    rival = make_key(shop.store, Role.SHIPPER, tenant="acme")[0]
    assert accept(shop, told, key=rival).status_code == 404
    assert accept(shop, told, 99).json["errors"][0]["pointer"] == "/window"
    assert accept(shop, {"quote_id": "hel.q0"}).status_code == 404
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"windows": [hour(9, 10)]}, "/order/windows"), ({"location": {"lat": 61.5, "lon": 23.8}}, "/order/location"),
        ({"kind": "service", "demand": {}, "dispatch": "immediate"}, "/order/dispatch")]  # fmt: skip
    for change, pointer in wrong:
        answer = shop.call("POST", "/v1/quotes", {"order": order() | change}, key=shop.shipper)
        assert (answer.status_code, answer.json["errors"][0]["pointer"]) == (422, pointer)
    made = accept(shop, told).json["order"]
    assert shop.call("POST", f"/v1/orders/{made['id']}/confirm", key=rival).status_code == 404


def test_without_anybody_there_is_nothing_to_quote(shop: Shop) -> None:
    shop.depot()
    told = ask(shop, windows=[hour(9, 10)], place=HOME).json
    assert (told["windows"], told["unavailable"]) == ([], [hour(9, 10)])
    assert ask(shop, place=HOME).json["windows"] == []


def test_nobody_outbids_a_reservation(shop: Shop) -> None:
    """An order of the highest priority comes before the plan does, and there is room for one."""
    shop.depot()
    shop.crew("anna")
    made = accept(shop, ask(shop, windows=[hour(8, 15)], demand={"parcels": 10}).json).json["order"]
    rival = shop.order(SPOTS[1], demand={"parcels": 10}, priority=99)
    repair(shop)
    assert shop.call("POST", f"/v1/orders/{made['id']}/confirm", key=shop.shipper).json["status"] == "planned"
    assert shop.call("GET", f"/v1/orders/{rival['id']}", key=shop.shipper).json["status"] == "unassigned"


def test_a_reservation_that_cannot_be_kept_is_not_confirmed(shop: Shop) -> None:
    """The only van breaks down meanwhile: the shipper is told, and not promised anything."""
    shop.depot()
    anna = shop.crew("anna")
    made = accept(shop, ask(shop, windows=[hour(9, 10)]).json).json["order"]
    shop.call(
        "POST", "/v1/drivers/me/events", {"event_id": "1", "type": "broken_down", "occurred_at": "2030-01-01T08:00:00Z"}, key=anna
    )
    repair(shop)
    assert shop.call("GET", f"/v1/orders/{made['id']}", key=shop.shipper).json["status"] == "unassigned"
    answer = shop.call("POST", f"/v1/orders/{made['id']}/confirm", key=shop.shipper)
    assert (answer.status_code, answer.json["code"]) == (409, "window_gone")


def test_a_lapsed_reservation_leaves_its_external_id_free(shop: Shop) -> None:
    """Nobody has ordered: the next quote, or order, may have it; the old quote is over."""
    shop.depot()
    shop.crew("anna")
    told = ask(shop, windows=[hour(9, 10)], external_id="A", recipient={"name": "Ada"}).json
    accept(shop, told)
    assert "Ada" not in shop.store.get(keys.quote("hel", told["quote_id"]))
    dispatcher._clock(shop.store, time.time() + quotes.HELD_S + 1)
    again = accept(shop, told)
    assert (again.status_code, again.json["code"]) == (409, "window_gone")
    assert accept(shop, ask(shop, windows=[hour(9, 10)], external_id="A").json).status_code == 201


def test_many_together_do_not_outbid_what_was_promised(shop: Shop) -> None:
    """Neither while it is held, nor when it is confirmed: a quote's window is a promise, unless the order becomes another."""
    shop.depot()
    shop.crew("anna")  # room for ten parcels
    body = order(SPOTS[0], demand={"parcels": 8}, priority=0)
    quoted = shop.call("POST", "/v1/quotes", {"order": body, "windows": [hour(9, 10)]}, key=shop.shipper).json
    held = accept(shop, quoted).json["order"]["id"]
    for spot in SPOTS[1:6]:
        shop.order(spot, demand={"parcels": 2}, priority=100, lateness="hard", windows=[hour(9, 10)])
    repair(shop)
    plan = shop.call("GET", "/v1/depots/hel/plan").json
    assert held not in {row["order_id"] for row in plan["unassigned"]}
    assert shop.call("POST", f"/v1/orders/{held}/confirm", key=shop.shipper).status_code == 200
    shop.call("POST", "/v1/depots/hel/resolve")
    repair(shop)
    assert held not in {row["order_id"] for row in shop.call("GET", "/v1/depots/hel/plan").json["unassigned"]}

    shop.call("PATCH", f"/v1/orders/{held}", {"priority": 1, "recipient": {"name": "Ada"}}, key=shop.shipper)
    repair(shop)
    assert held not in {row["order_id"] for row in shop.call("GET", "/v1/depots/hel/plan").json["unassigned"]}
    assert _confirmed(shop, held)
    shop.call("PATCH", f"/v1/orders/{held}", {"windows": [hour(9, 11)]}, key=shop.shipper)
    assert not _confirmed(shop, held), "nobody has promised that"


def _confirmed(shop: Shop, order_id: str) -> bool:
    found = readers.record(shop.store, "orders", "hel", order_id)
    assert found is not None
    return bool(found.confirmed)


def test_what_is_held_is_not_changed_before_it_is_confirmed(shop: Shop) -> None:
    """Neither by PATCH nor by PUT: it is what was quoted. Cancelled it is not confirmed."""
    shop.depot()
    shop.crew("anna")
    quoted = shop.call("POST", "/v1/quotes", {"order": order(external_id="A"), "windows": [hour(9, 10)]}, key=shop.shipper).json
    held = accept(shop, quoted).json["order"]["id"]
    for method, path, body in (("PATCH", f"/v1/orders/{held}", {"priority": 1}),
                               ("PUT", "/v1/orders/by-external-id/A", order())):  # fmt: skip
        refused = shop.call(method, path, body, key=shop.shipper)
        assert (refused.status_code, refused.json["code"]) == (409, "reserved")
    shop.call("DELETE", f"/v1/orders/{held}", key=shop.shipper)
    assert shop.call("POST", f"/v1/orders/{held}/confirm", key=shop.shipper).json["code"] == "too_late"
    assert shop.call("PUT", "/v1/orders/by-external-id/A", order(), key=shop.shipper).status_code == 201
    other = shop.order()["id"]
    shop.call("DELETE", f"/v1/orders/{other}", key=shop.shipper)
    assert shop.call("POST", f"/v1/orders/{other}/confirm", key=shop.shipper).json["code"] == "too_late"
