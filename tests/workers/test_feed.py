"""What shippers and recipients are told of an order: its way, why not, when; and nothing of anybody else."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from ingest.auth import Role, make_key
from ingest.store import connection, keys, readers, writers
from routing.solve import explain
from tests.conftest import HOME, SPOTS, Shop, one_server, wait_for
from workers import archive, feed, replan
from workers.endpoints import following


def told(shop: Shop) -> None:
    while feed.tell(shop.store):
        pass


def repair(shop: Shop) -> None:
    replan.repair(shop.store, shop.settings, "hel")
    told(shop)


def way(shop: Shop, order_id: str) -> list[str]:
    answer = shop.call("GET", f"/v1/orders/{order_id}/events", key=shop.shipper)
    return [event["type"].removeprefix("order.") for event in answer.json["events"]]


def events(shop: Shop, key: str, after: int = 0, **more: Any) -> Any:
    query = "&".join(f"{name}={value}" for name, value in ({"after": after} | more).items())
    return shop.call("GET", f"/v1/events?depot_id=hel&{query}", key=key)


def test_an_order_is_followed_from_end_to_end(shop: Shop) -> None:
    """Accepted, nobody there, planned, changed, driven to, there, done: each once, with its time."""
    shop.depot()
    made = shop.order(external_id="A")
    repair(shop)
    assert way(shop, made["id"]) == ["accepted", "unassigned"]
    anna = shop.crew("anna")
    repair(shop)
    shop.call("PATCH", f"/v1/orders/{made['id']}", {"priority": 3}, key=shop.shipper)
    repair(shop)
    shop.leave(anna)
    told(shop)
    assert way(shop, made["id"]) == ["accepted", "unassigned", "planned", "changed", "en_route"]
    shop.event(anna, made["stop_id"], "arrived", event_id="1", at="2030-01-01T08:00:01Z")
    shop.event(anna, made["stop_id"], "completed", event_id="2", at="2030-01-01T08:00:02Z")
    told(shop)
    assert way(shop, made["id"])[5:] == ["arrived", "completed"], "both, though they were read together"
    rows = shop.call("GET", f"/v1/orders/{made['id']}/events", key=shop.shipper).json["events"]
    assert [row["at"] for row in rows[-2:]] == ["2030-01-01T08:00:01Z", "2030-01-01T08:00:02Z"]
    assert "anna" not in str(rows)
    fed = events(shop, shop.shipper).json["events"]
    assert [event["type"] for event in fed] == [row["type"] for row in rows]
    assert [event["sequence"] for event in fed] == list(range(1, len(fed) + 1))
    assert all(event["data"]["external_id"] == "A" for event in fed)
    before = shop.store.xlen(keys.depot_key("hel", "feed"))
    shop.store.delete(keys.shared_key("feed_read"))
    told(shop)
    assert shop.store.xlen(keys.depot_key("hel", "feed")) == before, "read twice, told once"


def test_a_shipper_hears_only_of_its_own_orders(shop: Shop) -> None:
    """Operators hear of all, and of plans; sequences have no gaps for anybody."""
    shop.depot()
    rival = make_key(shop.store, Role.SHIPPER, tenant="acme")[0]
    mine = shop.order()
    theirs = shop.call("POST", "/v1/orders", {"depot_id": "hel", "kind": "service", "location": SPOTS[1]}, key=rival).json
    shop.crew("anna")
    repair(shop)
    for key, order_id in ((shop.shipper, mine["id"]), (rival, theirs["id"])):
        fed = events(shop, key).json["events"]
        assert {event["data"]["order_id"] for event in fed} == {order_id}
        assert [event["sequence"] for event in fed] == [1, 2]
        assert "driver_id" not in str(fed)
    fed = events(shop, shop.operator).json["events"]
    assert {event["type"] for event in fed} == {"order.accepted", "order.planned", "plan.published"}
    assert [event["sequence"] for event in fed] == list(range(1, 6))
    for path in ("events", "eta", "explanation"):
        assert shop.call("GET", f"/v1/orders/{mine['id']}/{path}", key=rival).status_code == 404
    assert shop.call("POST", f"/v1/orders/{mine['id']}/tracking", {}, key=rival).status_code == 404


def test_the_feed_goes_on_where_a_cursor_is_and_says_when_that_is_gone(shop: Shop) -> None:
    """Pages, nothing twice, nothing left out; 410 for what is no longer kept."""
    shop.depot()
    for number in range(5):
        shop.order(SPOTS[number])
    told(shop)
    seen, cursor, more = [], 0, True
    while more:
        page = events(shop, shop.shipper, after=cursor, limit=2).json
        seen += [event["sequence"] for event in page["events"]]
        cursor, more = page["next_cursor"], page["more"]
    assert seen == [1, 2, 3, 4, 5]
    assert events(shop, shop.shipper, after=cursor).json == {"events": [], "next_cursor": 5, "more": False}
    shop.store.xtrim(keys.depot_key("hel", "feed"), minid="4-0", approximate=False)
    gone = events(shop, shop.shipper, after=2)
    assert (gone.status_code, gone.json["code"]) == (410, "cursor_too_old")
    assert [event["sequence"] for event in events(shop, shop.shipper, after=3).json["events"]] == [4, 5]
    assert [event["sequence"] for event in events(shop, shop.shipper).json["events"]] == [4, 5], "0 is for all there is"
    writers.trim_feed(shop.store, "hel", now=time.time() + 6 * 86_400)
    assert shop.store.xlen(keys.depot_key("hel", "feed")) == 2
    writers.trim_feed(shop.store, "hel", now=time.time() + 8 * 86_400)
    assert shop.store.xlen(keys.depot_key("hel", "feed")) == 0
    assert events(shop, shop.shipper, after=4).status_code == 410
    assert events(shop, shop.shipper, after=5).json["next_cursor"] == 5


def test_etas_are_told_when_they_have_moved(shop: Shop) -> None:
    """As the state has it: past the policy's step, not with every look."""
    from tests.workers.test_tracking import look

    shop.depot(policy={"eta_step": 600})
    anna = shop.crew("anna")
    made = shop.order()
    repair(shop)
    shop.leave(anna)
    look(shop)
    told(shop)
    assert way(shop, made["id"]).count("eta_changed") == 1
    look(shop)
    told(shop)
    assert way(shop, made["id"]).count("eta_changed") == 1
    shown = shop.call("GET", f"/v1/orders/{made['id']}/eta", key=shop.shipper).json
    assert shown["status"] == "en_route"
    assert shown["stops_before"] == 0
    assert shown["eta"]["p50"] <= shown["eta"]["p80"]


def test_an_explanation_counts_everybody(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though a plan names only those who come nearest."""
    monkeypatch.setattr(explain, "MANY", 3)
    monkeypatch.setattr(following, "MANY", 3)
    shop.depot()
    for number in range(5):
        shop.crew(f"driver-{number}", skills=["cold"] if number < 2 else [])
    made = shop.order(demand={"parcels": 11}, skills=["cold"])
    repair(shop)
    assert len(shop.call("GET", f"/v1/orders/{made['id']}").json["reasons"]) == 3
    for key in (shop.shipper, shop.operator):
        shown = shop.call("GET", f"/v1/orders/{made['id']}/explanation", key=key).json
        assert (shown["drivers_tried"], shown["codes"]) == (5, {"capacity": 2, "skill": 3})


def test_an_explanation_says_who_was_tried_and_what_is_missing(shop: Shop) -> None:
    """Counted by rule, with the least that is missing; names are for operators."""
    shop.depot()
    shop.crew("anna")
    shop.crew("bo", skills=["crane"])
    made = shop.order(demand={"parcels": 13}, skills=["crane"])
    repair(shop)
    told_, all_ = (shop.call("GET", f"/v1/orders/{made['id']}/explanation", key=key).json for key in (shop.shipper, shop.operator))
    assert told_["codes"] == {"capacity": 1, "skill": 1}
    assert told_["drivers_tried"] == 2
    assert "1 × capacity (at best 3 parcels missing)" in told_["summary"]
    assert "driver_id" not in str(told_)
    assert {reason["driver_id"] for reason in all_["reasons"]} == {"hel.anna", "hel.bo"}
    fine = shop.order(SPOTS[1])
    repair(shop)
    for path in (f"/v1/orders/{fine['id']}/explanation", f"/v1/orders/{fine['id']}/explanation?relax=true"):
        assert shop.call("GET", path, key=shop.shipper).json["summary"] == "The order is planned."


def test_what_would_let_an_order_be_served(shop: Shop) -> None:
    """With room for three more, or without asking for a crane; shippers are told what concerns their order, and no names."""
    shop.depot()
    shop.crew("anna")
    shop.crew("bo", skills=["crane"])
    full = shop.order(demand={"parcels": 13}, skills=["crane"])
    unable = shop.order(SPOTS[1], skills=["wings"])
    repair(shop)
    path = f"/v1/orders/{full['id']}/explanation"
    told, mine = (shop.call("GET", f"{path}?relax=true", key=key).json for key in (shop.operator, shop.shipper))
    bare = shop.call("GET", path).json
    assert "verdict" not in bare
    assert (told["verdict"], [row["code"] for row in told["relaxations"]]) == ("impossible", ["capacity"])
    assert told["relaxations"][0].items() >= {"driver_id": "hel.bo", "amount": 3, "unit": "parcels"}.items()
    assert told["relaxations"][0]["cost"] > 0
    assert mine["relaxations"] == [{"code": "capacity", "amount": 3, "unit": "parcels"}]
    (waived,) = shop.call("GET", f"/v1/orders/{unable['id']}/explanation?relax=true").json["relaxations"]
    assert (waived["code"], waived["skills"]) == ("skill", ["wings"])


@one_server
def test_a_link_shows_the_vehicle_while_it_drives_there(shop: Shop) -> None:
    """And not before, nor to anybody else."""
    shop.depot()
    anna = shop.crew("anna")
    orders = [shop.order(spot) for spot in SPOTS[:2]]
    links = [shop.made(f"/v1/orders/{made['id']}/tracking", {}, key=shop.shipper)["url"] for made in orders]
    repair(shop)
    shop.call("POST", "/v1/drivers/me/pings", [HOME | {"recorded_at": "2030-01-01T08:00:00Z", "seq": 1}], key=anna)
    assert [shop.call("GET", url, key="").json.get("vehicle") for url in links] == [None, None]
    shop.leave(anna)
    seen = [shop.call("GET", url, key="").json for url in links]
    assert sorted(str(row.get("vehicle")) for row in seen) == sorted([str(HOME), "None"])
    assert next(row["status"] for row in seen if "vehicle" in row) == "en_route"


def test_a_link_shows_when_and_how_far_and_nothing_else(shop: Shop) -> None:
    """To whoever has it, while it is good; a link that was changed is none."""
    shop.depot()
    shop.crew("anna")
    window = {"from": "2030-01-01T08:00:00Z", "to": "2030-01-01T12:00:00Z"}
    made = shop.order(windows=[window], recipient={"name": "Ada", "phone": "123"})
    other = shop.order(SPOTS[1])
    repair(shop)
    url = shop.made(f"/v1/orders/{made['id']}/tracking", {}, key=shop.shipper)["url"]
    seen = shop.call("GET", url, key="")
    assert seen.status_code == 200
    assert set(seen.json) <= {"status", "windows", "now", "eta", "stops_before", "arrived_at", "left_at", "location", "timezone"}
    assert seen.json["location"] == made["location"], "his own"
    assert (seen.json["status"], seen.json["windows"]) == ("planned", [window])
    assert seen.json["stops_before"] in (0, 1)
    for secret in (made["id"], other["id"], "Ada", "123", "anna", str(SPOTS[1]["lat"])):
        assert secret not in seen.text
    assert seen.headers["Cache-Control"] == "no-store"
    assert shop.call("GET", url + "/map", key="").json["name"] == "helsinki"
    assert shop.call("GET", url + "/map/tiles/15/18653/9484", key="").json["street"]
    data, signature = url.split(".")
    forged = f"{data}.{'a' if signature[0] != 'a' else 'b'}{signature[1:]}"
    assert shop.call("GET", forged, key="").status_code == 404
    short = shop.made(f"/v1/orders/{made['id']}/tracking", {"ttl": 60}, key=shop.shipper)["url"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ingest.context.now", lambda: time.time() + 61)
        gone = shop.call("GET", short, key="")
        assert (gone.status_code, gone.json["code"]) == (410, "link_expired")
        assert shop.call("GET", url, key="").status_code == 200


def test_who_comes_second_tells_nothing_and_a_defect_stops_nobody(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two that tell at once are as one; an event that cannot be told is left behind."""
    shop.depot()
    made = shop.order()
    run, twice = connection.run, []

    def overtaken(client: Any, depot_id: str, script: str, args: list[Any], **more: Any) -> Any:
        twice.append(run(client, depot_id, script, args, **more))
        return run(client, depot_id, script, args, **more)

    monkeypatch.setattr(feed, "run", overtaken)
    told(shop)
    assert twice == [1]
    assert shop.store.xlen(keys.depot_key("hel", "feed")) == 1
    monkeypatch.setattr(feed, "run", run)
    shop.store.xadd(keys.shared_key("events"), {"depot": "hel", "rev": 9, "type": "order.changed", "data": "no json"})
    told(shop)
    shop.call("DELETE", f"/v1/orders/{made['id']}", key=shop.shipper)
    told(shop)
    assert way(shop, made["id"]) == ["accepted", "cancelled"]


def test_what_was_not_told_is_not_trimmed(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever tells may be down for long: the archiver leaves what was not read."""
    monkeypatch.setattr(archive, "KEEP", 1)
    shop.depot()
    shop.order()
    told(shop)
    untold = shop.order(SPOTS[1])
    for _ in range(300):  # whole nodes of the stream are dropped, or none
        shop.store.xadd(keys.shared_key("events"), {"depot": "hel", "rev": 9, "type": "noise", "data": "{}"})
    archive.archive(shop.store, shop.settings.archive, "events")
    told(shop)
    assert way(shop, untold["id"]) == ["accepted"]


def test_the_running_teller_tells_at_once_and_ends(shop: Shop) -> None:
    """As the dispatcher runs it."""
    stop = threading.Event()
    teller = threading.Thread(target=feed.follow, args=(shop.settings, stop))
    teller.start()
    shop.depot()
    made = shop.order()
    wait_for(lambda: way(shop, made["id"]) == ["accepted"], seconds=3)
    stop.set()
    teller.join(5)
    assert not teller.is_alive()
    assert readers.feed_ends(shop.store, "hel") == (1, 1)
