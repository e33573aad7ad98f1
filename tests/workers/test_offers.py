"""Orders that cannot wait: offered to one driver after another, held by one at most."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from ingest.store import keys, readers, writers
from routing.solve import engines
from tests.conftest import HOME, SPOTS, Shop, one_server
from workers import immediate as matcher
from workers import replan


def look(shop: Shop) -> int:
    """Match what waits, now."""
    if shop.store.zscore(keys.shared_key("matchable"), "hel") is not None:
        shop.store.zadd(keys.shared_key("matchable"), {"hel": 0})
    return matcher.match(shop.store, shop.settings, "hel")


def repair(shop: Shop) -> int:
    return replan.repair(shop.store, shop.settings, "hel")


def crews(shop: Shop, **places: dict[str, float]) -> dict[str, str]:
    """Drivers on the road, each pinging from a place. Their tokens."""
    tokens = {}
    for number, (name, place) in enumerate(places.items()):
        tokens[name] = shop.crew(name)
        shop.leave(tokens[name])
        ping(shop, tokens[name], number, place)
    return tokens


def ping(shop: Shop, token: str, seq: int, place: dict[str, float]) -> None:
    now = shop.call("GET", "/v1/depots/hel").json["clock"]["now"]
    assert shop.call("POST", "/v1/drivers/me/pings", [place | {"seq": seq, "recorded_at": now}], key=token).json["stored"] == 1


def immediate(shop: Shop, place: dict[str, float] = SPOTS[1], *, dispatch: str = "immediate", **changes: Any) -> dict[str, Any]:
    body = {"depot_id": "hel", "kind": "service", "location": place, "dispatch": dispatch} | changes
    found: dict[str, Any] = shop.made("/v1/orders", body, key=shop.operator if dispatch == "emergency" else shop.shipper)
    return found


def offered(shop: Shop, **places: dict[str, float]) -> tuple[dict[str, str], dict[str, Any]]:
    """A depot with drivers on the road, and an order that is offered to one of them: their tokens, and the order."""
    shop.depot()
    tokens, made = crews(shop, **places), immediate(shop)
    assert look(shop) == 1
    return tokens, made


def state(shop: Shop, order: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = shop.call("GET", f"/v1/orders/{order['id']}").json
    return found


def offered_to(shop: Shop, order: dict[str, Any]) -> str | None:
    found: str | None = state(shop, order).get("offer", {}).get("driver_id")
    return found


def route(shop: Shop, token: str) -> list[str]:
    shifts = shop.call("GET", "/v1/drivers/me/route", key=token).json["shifts"]
    return [stop["stop_id"] for shift in shifts for stop in shift["stops"] if stop["state"] in ("open", "en_route", "arrived")]


def expire(shop: Shop, order: dict[str, Any]) -> None:
    """The offer's time is over, and the dispatcher says so."""
    name = keys.depot_key("hel", "offers")
    offer = json.loads(shop.store.hget(name, order["id"]))
    shop.store.hset(name, order["id"], json.dumps(offer | {"expires_at": time.time() - 1}))
    member = f"hel offer_expired {order['id']}"
    shop.store.zadd(keys.shared_key("timers"), {member: time.time() - 1})
    assert writers.due(shop.store, "hel", "timer", member, "offer_expired", order["id"], time.time())


@one_server
def test_who_has_made_all_stops_of_a_shift_is_offered_none(shop: Shop) -> None:
    """However near; somebody farther away is."""
    shop.depot()
    tokens = {name: shop.crew(name, limits={"stops": most}) for name, most in (("anna", 1), ("bob", 9))}
    for number, (name, place) in enumerate((("anna", SPOTS[1]), ("bob", HOME))):
        shop.leave(tokens[name])
        ping(shop, tokens[name], number, place)
    mine = shop.made("/v1/orders", {"depot_id": "hel", "kind": "service", "location": SPOTS[1], "pin": {"driver_id": "hel.anna"}})
    repair(shop)
    for kind in ("arrived", "completed"):
        assert shop.event(tokens["anna"], mine["stop_id"], kind, event_id=kind).status_code == 200
    order = immediate(shop)
    assert look(shop) == 1
    assert offered_to(shop, order) == "hel.bob"


def test_an_order_that_cannot_wait_is_offered_accepted_and_driven_to(shop: Shop) -> None:
    """To the driver who is there first; until he accepts it is in no plan."""
    shop.depot()
    tokens = crews(shop, anna=SPOTS[1], bob=HOME)
    repair(shop)
    order = immediate(shop)
    assert order["status"] == "matching"
    assert repair(shop) == 0
    assert look(shop) == 1
    assert (state(shop, order)["status"], offered_to(shop, order)) == ("offered", "hel.anna")
    assert "driver_id" not in shop.call("GET", f"/v1/orders/{order['id']}", key=shop.shipper).json["offer"]
    [offer] = shop.call("GET", "/v1/drivers/me/offers", key=tokens["anna"]).json["offers"]
    assert (offer["order_id"], offer["state"], offer["stops"][0]["location"]) == (order["id"], "open", SPOTS[1])
    assert shop.call("GET", "/v1/drivers/me/offers", key=tokens["bob"]).json["offers"] == []
    assert repair(shop) == 0
    assert route(shop, tokens["anna"]) == []
    assert shop.event(tokens["bob"], order["stop_id"], "accepted", event_id="b").status_code == 409
    assert shop.event(tokens["anna"], order["stop_id"], "accepted", event_id="a").status_code == 200
    assert repair(shop) == 1
    assert route(shop, tokens["anna"]) == [order["stop_id"]]
    assert route(shop, tokens["bob"]) == []
    assert state(shop, order)["status"] == "en_route"
    assert shop.call("GET", "/v1/drivers/me/offers", key=tokens["anna"]).json["offers"] == []
    for kind in ("arrived", "completed"):
        assert shop.event(tokens["anna"], order["stop_id"], kind, event_id=kind).status_code == 200
    assert state(shop, order)["status"] == "completed"
    assert all(not shop.store.exists(keys.depot_key("hel", name)) for name in ("offers", "offered", "unmatched", "held"))


@one_server
def test_who_declines_is_never_asked_again_and_the_next_one_is_at_once(shop: Shop) -> None:
    """When all have declined it stays nobody's."""
    tokens, order = offered(shop, anna=SPOTS[1], bob=HOME)
    assert shop.event(tokens["anna"], order["stop_id"], "declined", event_id="a").status_code == 200
    assert shop.store.zscore(keys.shared_key("matchable"), "hel") <= time.time()
    look(shop)
    assert offered_to(shop, order) == "hel.bob"
    assert shop.event(tokens["anna"], order["stop_id"], "accepted", event_id="a2").status_code == 409
    shop.event(tokens["bob"], order["stop_id"], "declined", event_id="b")
    assert look(shop) == 0
    assert state(shop, order)["status"] == "matching"
    assert shop.store.zscore(keys.shared_key("matchable"), "hel") > time.time(), "it is looked at again later"


@one_server
def test_silence_passes_an_offer_on_and_comes_back_only_if_there_is_nobody_else(shop: Shop) -> None:
    """And an answer that comes too late is refused."""
    tokens, order = offered(shop, anna=SPOTS[1], bob=HOME)
    expire(shop, order)
    assert shop.event(tokens["anna"], order["stop_id"], "accepted", event_id="late").status_code == 409
    look(shop)
    assert offered_to(shop, order) == "hel.bob"
    expire(shop, order)
    look(shop)
    assert offered_to(shop, order) == "hel.anna", "both have let it pass, she is nearer"
    name = keys.depot_key("hel", "offers")
    offer = json.loads(shop.store.hget(name, order["id"]))
    shop.store.hset(name, order["id"], json.dumps(offer | {"expires_at": time.time() - 1}))
    assert shop.event(tokens["anna"], order["stop_id"], "accepted", event_id="later").status_code == 409, "nobody has said so yet"


@one_server
def test_a_cancelled_order_is_withdrawn(shop: Shop) -> None:
    """Also while it is offered; nobody can accept it any more, and no re-solve is asked for."""
    shop.depot()
    tokens = crews(shop, anna=SPOTS[1])
    repair(shop)
    order = immediate(shop)
    look(shop)
    assert shop.call("DELETE", f"/v1/orders/{order['id']}", key=shop.shipper).status_code == 200
    assert shop.call("GET", "/v1/drivers/me/offers", key=tokens["anna"]).json["offers"] == []
    assert shop.event(tokens["anna"], order["stop_id"], "accepted", event_id="a").status_code == 409
    assert repair(shop) == 0
    assert look(shop) == 0


@one_server
def test_who_goes_off_duty_gives_back_what_was_not_begun(shop: Shop) -> None:
    """Offered or held; it is offered to somebody else."""
    tokens, order = offered(shop, anna=SPOTS[1], bob=HOME)
    shop.event(tokens["anna"], order["stop_id"], "accepted", event_id="a")
    repair(shop)
    assert route(shop, tokens["anna"]) == [order["stop_id"]]
    now = shop.call("GET", "/v1/depots/hel").json["clock"]["now"]
    shop.call("POST", "/v1/drivers/me/events", {"event_id": "off", "type": "off_duty", "occurred_at": now}, key=tokens["anna"])
    look(shop)
    assert offered_to(shop, order) == "hel.bob"
    shop.event(tokens["bob"], order["stop_id"], "accepted", event_id="b")
    repair(shop)
    assert (route(shop, tokens["anna"]), route(shop, tokens["bob"])) == ([], [order["stop_id"]])


@one_server
def test_an_emergency_goes_before_what_the_nearest_is_only_on_the_way_to(shop: Shop) -> None:
    """The one that is qualified; what it was on the way to stays in its route."""
    shop.depot()
    tokens = {"anna": shop.crew("anna", skills=["medic"]), "bob": shop.crew("bob")}
    planned = shop.order(SPOTS[4], kind="service", demand={}, skills=["medic"])
    repair(shop)
    for number, (name, place) in enumerate((("anna", HOME), ("bob", SPOTS[1]))):
        shop.leave(tokens[name])
        ping(shop, tokens[name], number, place)
    repair(shop)
    assert state(shop, planned)["status"] == "en_route"
    order = immediate(shop, dispatch="emergency", skills=["medic"])
    look(shop)
    assert offered_to(shop, order) == "hel.anna"
    shop.event(tokens["anna"], order["stop_id"], "accepted", event_id="a")
    assert state(shop, order)["status"] == "en_route", "from this moment"
    repair(shop)
    assert route(shop, tokens["anna"]) == [order["stop_id"], planned["stop_id"]]
    assert state(shop, planned)["status"] == "planned"


@one_server
def test_an_emergency_takes_a_driver_who_is_asked_for_something_else(shop: Shop) -> None:
    """That offer is withdrawn, and its order looks for another driver."""
    shop.depot()
    crews(shop, anna=SPOTS[1])
    usual = immediate(shop)
    look(shop)
    urgent = immediate(shop, dispatch="emergency")
    look(shop)
    assert (offered_to(shop, urgent), offered_to(shop, usual)) == ("hel.anna", None)
    assert state(shop, usual)["status"] == "matching"


@one_server
def test_a_ride_is_picked_up_and_brought_by_who_accepted_it(shop: Shop) -> None:
    """Pickup and delivery on one route, before what is planned."""
    shop.depot()
    tokens = crews(shop, anna=SPOTS[1])
    planned = shop.order(SPOTS[3], kind="service", demand={})
    ride = immediate(shop, SPOTS[5], kind="transport", demand={"parcels": 1}, pickup={"location": SPOTS[2]})
    repair(shop)
    look(shop)
    pickup, delivery = f"{ride['id']}.pickup", f"{ride['id']}.delivery"
    assert shop.event(tokens["anna"], pickup, "accepted", event_id="a").status_code == 200
    repair(shop)
    assert route(shop, tokens["anna"]) == [planned["stop_id"], pickup, delivery], "she is on the way to the first"


@one_server
def test_whoever_does_it_has_it(shop: Shop) -> None:
    """A fact beats an offer to somebody else."""
    tokens, order = offered(shop, anna=SPOTS[1], bob=HOME)
    assert offered_to(shop, order) == "hel.anna"
    told = shop.event(tokens["bob"], order["stop_id"], "arrived", event_id="b").json
    assert told["conflict"]
    assert shop.call("GET", "/v1/drivers/me/offers", key=tokens["anna"]).json["offers"] == []
    repair(shop)
    assert route(shop, tokens["bob"]) == [order["stop_id"]]


@one_server
def test_what_cannot_be_held_after_all_looks_for_somebody_else(shop: Shop) -> None:
    """No plan has room for it with the driver who accepted: it does not get lost."""
    tokens, order = offered(shop, anna=SPOTS[1], bob=HOME)
    shop.event(tokens["anna"], order["stop_id"], "accepted", event_id="a")
    shop.call("PATCH", f"/v1/orders/{order['id']}", {"excluded_drivers": ["hel.anna"]})
    repair(shop)
    assert state(shop, order)["status"] == "matching"
    look(shop)
    assert offered_to(shop, order) == "hel.bob"


@one_server
def test_offers_are_told_by_poll_stream_and_channel(shop: Shop) -> None:
    """The route's ETag tells of an offer, the event stream has it, and so has a channel."""
    shop.depot()
    tokens = crews(shop, anna=SPOTS[1])
    ear = shop.store.pubsub()
    ear.subscribe("lastleg:hel:offers:hel.anna")
    ear.get_message(timeout=1)
    before = shop.call("GET", "/v1/drivers/me/route", key=tokens["anna"]).headers["ETag"]
    order = immediate(shop)
    look(shop)
    answer = shop.call("GET", "/v1/drivers/me/route", key=tokens["anna"], headers={"If-None-Match": before})
    assert answer.status_code == 200
    assert answer.json["offer"]["order_id"] == order["id"]
    again = shop.call("GET", "/v1/drivers/me/route", key=tokens["anna"], headers={"If-None-Match": answer.headers["ETag"]})
    assert again.status_code == 304
    caught = shop.call("GET", "/v1/drivers/me/stream", key=tokens["anna"], headers={"X-Lastleg-Subscribed": "1"}).text
    offered = json.loads(caught.partition("event: offer\ndata: ")[2])
    assert (offered["order_id"], offered["state"], offered["stops"][0]["location"]) == (order["id"], "open", SPOTS[1])
    assert offered["expires_at"].startswith("2030-01-01T08:00:")
    told = ear.get_message(timeout=1)
    assert json.loads(told["data"]) == offered
    _, entry = shop.store.xrevrange(keys.shared_key("published"), count=1)[0]
    assert json.loads(json.loads(entry["offers"])["hel.anna"])["order_id"] == order["id"]
    shop.event(tokens["anna"], order["stop_id"], "declined", event_id="a")
    assert json.loads(ear.get_message(timeout=1)["data"])["state"] == "declined"


@one_server
@pytest.mark.parametrize(("changes", "pointer"), [
    ({"kind": "delivery"}, "/kind"),
    ({"windows": [{"from": "2030-01-01T09:00:00Z", "to": "2030-01-01T10:00:00Z"}]}, "/windows"),
    ({"dispatch": "emergency"}, "/dispatch"),
    ({"dispatch": "soon"}, "/dispatch"),
])  # fmt: skip
def test_what_cannot_be_asked_of_an_order_that_cannot_wait(shop: Shop, changes: dict[str, Any], pointer: str) -> None:
    shop.depot()
    body = {"depot_id": "hel", "kind": "service", "location": SPOTS[1], "dispatch": "immediate"} | changes
    answer = shop.call("POST", "/v1/orders", body, key=shop.shipper)
    assert answer.status_code == 422
    assert pointer in [error["pointer"] for error in answer.json["errors"]]


@one_server
def test_nobody_is_asked_who_is_not_heard_of(shop: Shop) -> None:
    """Nor who is off duty, nor before the shift."""
    shop.depot(policy={"silent_after": 10})
    tokens = crews(shop, anna=SPOTS[1])
    shop.crew("late", start="2030-01-01T15:00:00Z", end="2030-01-01T16:00:00Z")
    shop.crew("mute")
    order = immediate(shop)
    now = shop.call("GET", "/v1/depots/hel").json["clock"]["now"]
    shop.call("POST", "/v1/drivers/me/events", {"event_id": "off", "type": "off_duty", "occurred_at": now}, key=tokens["anna"])
    assert look(shop) == 0
    assert readers.offers(shop.store, "hel") == {}
    assert state(shop, order)["status"] == "matching"


@one_server
def test_an_order_that_was_given_back_is_taken_by_nobodys_old_route(shop: Shop) -> None:
    """Bob skips it, Anna accepts it, and before the next plan Bob finishes what he did."""
    shop.depot()
    tokens = crews(shop, bob=SPOTS[1])
    planned = shop.order(SPOTS[1], kind="service", demand={})
    repair(shop)
    shop.event(tokens["bob"], planned["stop_id"], "arrived", event_id="there")
    order = immediate(shop)
    look(shop)
    shop.event(tokens["bob"], order["stop_id"], "accepted", event_id="b")
    repair(shop)
    assert route(shop, tokens["bob"]) == [planned["stop_id"], order["stop_id"]]
    tokens |= crews(shop, anna=HOME)
    assert shop.event(tokens["bob"], order["stop_id"], "skipped", event_id="s").status_code == 200
    look(shop)
    assert offered_to(shop, order) == "hel.anna", "who skips is not asked at once again"
    assert shop.event(tokens["anna"], order["stop_id"], "accepted", event_id="a").status_code == 200
    shop.event(tokens["bob"], planned["stop_id"], "completed", event_id="done")
    repair(shop)
    assert (route(shop, tokens["bob"]), route(shop, tokens["anna"])) == ([], [order["stop_id"]])


@one_server
def test_no_plan_gives_an_order_to_who_gave_it_back_while_it_was_made(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Anna drives to it; while a plan is made she skips it, and Bob accepts."""
    tokens, order = offered(shop, anna=SPOTS[1], bob=HOME)
    shop.event(tokens["anna"], order["stop_id"], "accepted", event_id="a")
    repair(shop)
    shop.made("/v1/orders", {"depot_id": "hel", "kind": "service", "location": SPOTS[2], "pin": {"driver_id": "hel.anna"}})
    solve = engines.ENGINES["repair"]

    def slowly(*args: Any, **more: Any) -> Any:
        monkeypatch.undo()
        shop.event(tokens["anna"], order["stop_id"], "skipped", event_id="s")
        look(shop)
        assert shop.event(tokens["bob"], order["stop_id"], "accepted", event_id="b").status_code == 200
        return solve(*args, **more)

    monkeypatch.setitem(engines.ENGINES, "repair", slowly)
    assert repair(shop) == 1, "the one that was made before is refused"
    assert route(shop, tokens["bob"]) == [order["stop_id"]]
    assert order["stop_id"] not in route(shop, tokens["anna"])


@one_server
def test_a_ride_is_accepted_where_it_begins(shop: Shop) -> None:
    """Not by its other end."""
    shop.depot()
    tokens = crews(shop, anna=SPOTS[1])
    ride = immediate(shop, SPOTS[5], dispatch="emergency", kind="transport", demand={"parcels": 1}, pickup={"location": SPOTS[2]})
    look(shop)
    assert shop.event(tokens["anna"], f"{ride['id']}.delivery", "accepted", event_id="d").status_code == 409
    assert shop.event(tokens["anna"], f"{ride['id']}.pickup", "accepted", event_id="p").status_code == 200
    repair(shop)
    assert route(shop, tokens["anna"]) == [f"{ride['id']}.pickup", f"{ride['id']}.delivery"]


@one_server
def test_one_emergency_does_not_call_off_another(shop: Shop) -> None:
    """Nor does one that is accepted before leaving load the van."""
    shop.depot()
    tokens = {"anna": shop.crew("anna")}
    parcel = shop.order(SPOTS[4])
    repair(shop)
    ping(shop, tokens["anna"], 0, HOME)
    first = immediate(shop, dispatch="emergency")
    look(shop)
    shop.event(tokens["anna"], first["stop_id"], "accepted", event_id="1")
    assert not shop.store.hexists(keys.depot_key("hel", "departed"), "hel.day-anna")
    assert not shop.store.hexists(keys.depot_key("hel", "goods"), parcel["id"])
    repair(shop)
    shop.leave(tokens["anna"])
    assert state(shop, first)["status"] == "en_route"
    second = immediate(shop, SPOTS[2], dispatch="emergency")
    look(shop)
    shop.event(tokens["anna"], second["stop_id"], "accepted", event_id="2")
    assert state(shop, first)["status"] == "en_route"
    repair(shop)
    assert route(shop, tokens["anna"])[:2] == [first["stop_id"], second["stop_id"]]


@one_server
def test_a_late_report_of_an_earlier_shift_takes_nothing_away(shop: Shop) -> None:
    """The morning's return, sent in the afternoon."""
    shop.depot(clock={"scale": 1, "start": "2030-01-01T14:00:00Z"})
    anna = shop.crew("anna", end="2030-01-01T12:00:00Z")
    shop.next_shift("anna", "2030-01-01T13:00:00Z", "2030-01-01T20:00:00Z")
    shop.store.hset(keys.depot_key("hel", "departed"), "hel.day-anna", 1_893_485_000)
    now = "2030-01-01T14:00:00Z"
    body = {"event_id": "gone", "type": "departed", "occurred_at": now}
    assert shop.call("POST", "/v1/drivers/me/events", body, key=anna).status_code == 200
    ping(shop, anna, 1, SPOTS[1])
    order = immediate(shop)
    look(shop)
    shop.event(anna, order["stop_id"], "accepted", event_id="a", at=now)
    repair(shop)
    late = {"event_id": "back", "type": "returned", "occurred_at": "2030-01-01T11:50:00Z"}
    shop.call("POST", "/v1/drivers/me/events", late, key=anna)
    assert state(shop, order)["status"] == "en_route"
    assert shop.store.zscore(keys.shared_key("heard"), "hel hel.anna")


@one_server
def test_orders_that_nobody_can_take_stand_in_nobodys_way(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many there are, and however long they wait."""
    monkeypatch.setattr(matcher, "BATCH", 2)
    shop.depot()
    crews(shop, anna=SPOTS[1])
    for _ in range(3):
        immediate(shop, skills=["submarine"])
    order = immediate(shop)
    assert look(shop) == 1
    assert offered_to(shop, order) == "hel.anna"


@one_server
def test_what_comes_while_a_match_runs_is_due_at_once(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """An emergency does not wait for the next round."""
    shop.depot()
    crews(shop, anna=SPOTS[1], bob=HOME)
    immediate(shop, skills=["submarine"])
    seen: list[dict[str, Any]] = []
    snapshot = readers.snapshot

    def later(client: Any, depot_id: str) -> Any:
        found = snapshot(client, depot_id)
        if not seen:
            seen.append(immediate(shop, dispatch="emergency"))
        return found

    monkeypatch.setattr(readers, "snapshot", later)
    assert look(shop) == 1
    assert offered_to(shop, seen[0]) == "hel.anna"


@one_server
def test_a_report_without_a_shift_leaves_an_order_to_be_matched(shop: Shop) -> None:
    """Else it would be nobody's for ever."""
    shop.depot()
    crews(shop, anna=SPOTS[1])
    shop.made("/v1/drivers", {"depot_id": "hel", "id": "stray"})
    stray = shop.made("/v1/keys", {"role": "driver", "driver_id": "hel.stray"})["key"]
    order = immediate(shop)
    shop.event(stray, order["stop_id"], "arrived", event_id="x")
    look(shop)
    assert readers.offers(shop.store, "hel")[order["id"]].driver_id == "hel.anna"


@one_server
def test_a_decline_that_comes_too_late_is_heard_all_the_same(shop: Shop) -> None:
    """The offer is over; but he has said that he does not want it."""
    tokens, order = offered(shop, anna=SPOTS[1])
    expire(shop, order)
    assert shop.event(tokens["anna"], order["stop_id"], "declined", event_id="late").status_code == 200
    assert look(shop) == 0
    assert state(shop, order)["status"] == "matching"


@one_server
def test_whoever_has_the_goods_has_the_order(shop: Shop) -> None:
    """Bob taps at the door of a ride that is in Anna's car: nobody's plans stop for that."""
    shop.depot()
    tokens = crews(shop, anna=SPOTS[2], bob=HOME)
    ride = immediate(shop, SPOTS[5], kind="transport", demand={"parcels": 1}, pickup={"location": SPOTS[2]})
    look(shop)
    pickup, delivery = f"{ride['id']}.pickup", f"{ride['id']}.delivery"
    shop.event(tokens["anna"], pickup, "accepted", event_id="a")
    repair(shop)
    shop.event(tokens["anna"], pickup, "completed", event_id="p")
    assert shop.event(tokens["bob"], delivery, "arrived", event_id="b").json["conflict"]
    other = shop.order(SPOTS[3], kind="service", demand={})
    repair(shop)
    assert state(shop, other)["status"] in ("planned", "en_route")
    assert shop.store.hget(keys.depot_key("hel", "held"), ride["id"]) == "hel.anna"


@one_server
def test_an_emergency_accepted_before_leaving_is_driven_to_first(shop: Shop) -> None:
    """Also where the driver leaves before there is a plan with it."""
    shop.depot()
    anna = shop.crew("anna")
    shop.order(SPOTS[4], kind="service", demand={})
    repair(shop)
    ping(shop, anna, 0, HOME)
    urgent = immediate(shop, dispatch="emergency")
    look(shop)
    shop.event(anna, urgent["stop_id"], "accepted", event_id="1")
    shop.leave(anna)
    assert state(shop, urgent)["status"] == "en_route"
    repair(shop)
    assert route(shop, anna)[0] == urgent["stop_id"]
