"""A driver's messages in any order, sent twice and late, come to the same state."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from ingest.store import keys, readers
from tests.conftest import SPOTS, Shop, one_server
from workers import replan

KINDS = ("delivery", "collection", "service", "delivery")

Message = tuple[str, Any]
"""Where it is sent, and what."""


def day(shop: Shop, **shift: Any) -> tuple[str, list[str]]:
    """A planned day of four orders; the driver's token and the stops in order."""
    shop.depot(clock={"scale": 1, "start": "2030-01-01T12:00:00Z"})
    token = shop.crew("anna", **shift)
    for place, kind in zip(SPOTS, KINDS, strict=False):
        shop.order(place, kind=kind, demand={} if kind == "service" else {"parcels": 1})
    replan.repair(shop.store, shop.settings, "hel")
    [shift] = shop.call("GET", "/v1/drivers/me/route", key=token).json["shifts"]
    return token, [stop["stop_id"] for stop in shift["stops"]]


def at(minute: int) -> str:
    return f"2030-01-01T{8 + minute // 60:02}:{minute % 60:02}:00Z"


def messages(stops: list[str], outcomes: list[str], *, returns: bool, taps: list[bool]) -> list[Message]:
    """What a phone has to say of such a day, in the order in which it happened. Some arrivals are never tapped."""
    driver = "/v1/drivers/me/events"
    told: list[Message] = [(driver, {"event_id": "on", "type": "on_duty", "occurred_at": at(0)}),
                           (driver, {"event_id": "gone", "type": "departed", "occurred_at": at(1)})]  # fmt: skip
    minute = 10
    for stop, outcome, tapped in zip(stops, outcomes, taps, strict=False):
        path = f"/v1/stops/{stop}/events"
        ping = SPOTS[minute % 6] | {"seq": minute, "recorded_at": at(minute)}
        told.append(("/v1/drivers/me/pings", [ping, ping | {"seq": minute + 1}]))
        if tapped:
            told.append((path, {"event_id": f"a{minute}", "type": "arrived", "occurred_at": at(minute)}))
        if outcome == "open":
            break
        told.append((path, {"event_id": f"c{minute}", "type": outcome, "occurred_at": at(minute + 5)}))
        minute += 10
    told.append((driver, {"event_id": "off", "type": "off_duty", "occurred_at": at(minute)}))
    told.append((driver, {"event_id": "on again", "type": "on_duty", "occurred_at": at(minute + 1)}))
    if returns:
        told.append((driver, {"event_id": "back", "type": "returned", "occurred_at": at(minute + 2)}))
    return told


STATE = ("open", "goods", "progress", "trail", "departed", "returned", "absent", "duty", "positions", "ping_at", "declined")


def state(shop: Shop) -> dict[str, Any]:
    """All that says where the driver and the orders stand."""
    found: dict[str, Any] = {}
    for name in STATE:
        key = keys.depot_key("hel", name)
        found[name] = list(shop.store.smembers(key)) if name == "open" else shop.store.hgetall(key)
    found["progress"] = {field: value for field, value in found["progress"].items() if not field.endswith("|since")}  # real time
    snapshot = readers.snapshot(shop.store, "hel")
    assert snapshot is not None
    found["aboard"] = snapshot.goods
    found["pings"] = shop.store.zrange(keys.ping_seqs("hel", "hel.anna"), 0, -1)
    return found


@one_server
@hypothesis_settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(outcomes=st.lists(st.sampled_from(["completed", "completed", "failed", "open"]), min_size=6, max_size=6),
       taps=st.lists(st.booleans(), min_size=6, max_size=6), returns=st.booleans(), order=st.permutations(range(26)),
       twice=st.lists(st.integers(0, 25), max_size=3), reloads=st.integers(0, 2))  # fmt: skip
def test_any_order_of_a_drivers_messages_comes_to_the_same(shop: Shop, outcomes: list[str], taps: list[bool], returns: bool,
                                                           order: list[int], twice: list[int], reloads: int) -> None:  # fmt: skip
    """Facts, duty and pings, as a phone sends them that was in a tunnel; with a van that comes back for more, or not."""
    seen = []
    for numbers in (list(range(26)), [*order, *twice]):
        shop.store.flushdb()
        again = Shop(shop.settings)
        token, stops = day(again, **({"reloads": reloads, "capacity": 1} if reloads else {}))
        assert (len(stops) > 4) is bool(reloads)
        told = messages(stops, outcomes, returns=returns, taps=taps)
        for path, body in (told[number] for number in numbers if number < len(told)):
            answer = again.call("POST", path, body, key=token)
            assert answer.status_code == 200, answer.text
        text = json.dumps(state(again))
        for number, stop in enumerate(stop for stop in stops if not stop.endswith(".reload")):  # ids are random
            text = text.replace(stop.rpartition(".")[0], f"order-{number}")
        seen.append(json.loads(text, object_hook=lambda table: dict(sorted(table.items()))))
        seen[-1]["open"].sort()
    assert seen[0] == seen[1]


@one_server
def test_the_first_of_two_arrivals_counts_whichever_comes_first(shop: Shop) -> None:
    """And one that comes after completion still says when it was."""
    token, stops = day(shop)
    shop.event(token, stops[0], "completed", event_id="c", at=at(30))
    shop.event(token, stops[0], "arrived", event_id="a2", at=at(20))
    shop.event(token, stops[0], "arrived", event_id="a1", at=at(25))
    shown = shop.call("GET", f"/v1/orders/{stops[0].rpartition('.')[0]}").json
    assert (shown["status"], shown["arrived_at"], shown["left_at"]) == ("completed", at(20), at(30))


@one_server
@pytest.mark.parametrize("late", [False, True])
def test_duty_is_what_was_said_last_not_what_came_last(shop: Shop, late: bool) -> None:
    token, _ = day(shop)
    told = [{"event_id": kind, "type": kind, "occurred_at": at(minute)} for kind, minute in (("off_duty", 5), ("on_duty", 9))]
    for body in reversed(told) if late else told:
        assert shop.call("POST", "/v1/drivers/me/events", body, key=token).status_code == 200
    assert shop.call("GET", "/v1/drivers/hel.anna").json["state"] == "available"


@one_server
def test_who_comes_home_late_ends_the_shift_that_he_is_out_with(shop: Shop) -> None:
    """Not the next one, which begins in an hour."""
    shop.depot(clock={"scale": 1, "start": "2030-01-01T12:10:00Z"})
    anna = shop.crew("anna", end="2030-01-01T12:00:00Z")
    shop.next_shift("anna", "2030-01-01T13:00:00Z", "2030-01-01T17:00:00Z")
    shop.store.hset(keys.depot_key("hel", "departed"), "hel.day-anna", 1_893_485_000)
    body = {"event_id": "back", "type": "returned", "occurred_at": "2030-01-01T12:05:00Z"}
    assert shop.call("POST", "/v1/drivers/me/events", body, key=anna).status_code == 200
    assert list(shop.store.hgetall(keys.depot_key("hel", "returned"))) == ["hel.day-anna"]
    assert list(shop.store.hgetall(keys.depot_key("hel", "departed"))) == ["hel.day-anna"]


@one_server
def test_an_arrival_of_before_the_return_stands_in_nobodys_way(shop: Shop) -> None:
    """It comes when the stop is somebody else's already, who drives to it all the same."""
    token, _ = day(shop)
    for kind, minute in (("departed", 1), ("returned", 30)):
        body = {"event_id": kind, "type": kind, "occurred_at": at(minute)}
        assert shop.call("POST", "/v1/drivers/me/events", body, key=token).status_code == 200
    bob = shop.crew("bob")
    replan.repair(shop.store, shop.settings, "hel")
    shop.leave(bob)
    for stop in [stop["stop_id"] for stop in shop.call("GET", "/v1/drivers/me/route", key=bob).json["shifts"][0]["stops"]]:
        assert shop.event(token, stop, "arrived", event_id=stop, at=at(20)).status_code == 200
        assert shop.call("GET", f"/v1/orders/{stop.rpartition('.')[0]}").json["status"] == "en_route"
        replan.repair(shop.store, shop.settings, "hel")
        shop.event(bob, stop, "completed", event_id=stop, at=at(60))
