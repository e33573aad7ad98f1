"""The HTTP interface: what is accepted, what is refused and how, and that refusals change nothing."""

from __future__ import annotations

import json
import re
import threading
import time
from dataclasses import replace
from typing import Any

import pytest
import redis

from app import create_app
from ingest import openapi
from ingest.auth import Role, make_key
from ingest.store import keys, readers, writers
from ingest.store.connection import WrongSchema, check_schema, connect
from routing.model import Depot
from tests.conftest import HOME, SPOTS, Shop, order
from workers import dispatcher


def state(shop: Shop) -> dict[str, Any]:
    """Everything stored, but for what only counts time and calls."""
    found = {}
    for key in sorted(key for key in shop.store.scan_iter() if ":allowance:" not in key and not key.endswith(":key_used")):
        kind = shop.store.type(key)
        read = {"string": shop.store.get, "hash": shop.store.hgetall, "set": shop.store.smembers,
                "zset": lambda k: shop.store.zrange(k, 0, -1), "stream": shop.store.xlen}[kind]  # fmt: skip
        found[key] = read(key)
    return found


def test_an_order_is_readable_and_dirty_at_once(shop: Shop) -> None:
    """201 means durable, readable, and waiting for an answer with its trigger."""
    shop.depot()
    made = shop.order(SPOTS[1], external_id="A-1", recipient={"name": "Ada", "phone": "123"})
    read = shop.call("GET", f"/v1/orders/{made['id']}", key=shop.shipper).json
    assert read == made
    assert read["status"] == "accepted"
    assert read["recipient"] == {"name": "Ada", "phone": "123"}
    snapshot = readers.snapshot(shop.store, "hel")
    assert snapshot is not None
    assert [trigger.kind for trigger in snapshot.triggers] == ["order_new"]
    assert snapshot.triggers[0].subject == made["id"]
    assert shop.store.zscore(keys.shared_key("dirty"), "hel") is not None
    assert "Ada" not in shop.store.hget(keys.depot_key("hel", "orders"), made["id"])


def test_the_same_order_twice_is_one_order(shop: Shop) -> None:
    """By Idempotency-Key and by external_id; with another body it is refused."""
    shop.depot()
    first = shop.call("POST", "/v1/orders", order(), key=shop.shipper, headers={"Idempotency-Key": "k1"})
    again = shop.call("POST", "/v1/orders", order(), key=shop.shipper, headers={"Idempotency-Key": "k1"})
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json["id"] == again.json["id"]
    assert again.headers["Idempotent-Replayed"] == "true"
    other = shop.call("POST", "/v1/orders", order(priority=5), key=shop.shipper, headers={"Idempotency-Key": "k1"})
    assert (other.status_code, other.json["code"]) == (422, "idempotency_key_reused")
    mine = shop.order(external_id="E1")
    assert shop.made("/v1/orders", order(external_id="E1"), key=shop.shipper)["id"] == mine["id"]
    clash = shop.call("POST", "/v1/orders", order(SPOTS[2], external_id="E1"), key=shop.shipper)
    assert (clash.status_code, clash.json["code"], clash.json["order_id"]) == (409, "duplicate", mine["id"])
    stranger = make_key(shop.store, Role.SHIPPER, tenant="acme")[0]
    theirs = shop.made("/v1/orders", order(external_id="E1"), key=stranger)
    assert theirs["id"] != mine["id"]
    assert shop.store.scard(keys.depot_key("hel", "open")) == 3


BAD_ORDERS: list[tuple[dict[str, Any], list[tuple[str, str]]]] = [
    ({"kind": "parcel"}, [("not_one_of", "/kind")]),
    ({"location": {"lat": "north", "lon": 24.9}}, [("wrong_type", "/location/lat")]),
    ({"location": {"lat": 95, "lon": 24.9}}, [("out_of_range", "/location/lat")]),
    ({"location": {"lat": 61.5, "lon": 23.8}}, [("off_map", "/location")]),
    ({"demand": {"parcels": -1}}, [("out_of_range", "/demand/parcels")]),
    ({"demand": {"parcels": 10**9}}, [("out_of_range", "/demand/parcels")]),
    ({"demand": {"pallets": 1}}, [("unknown_dimension", "/demand/pallets")]),
    ({"kind": "service", "demand": {"parcels": 1}}, [("inconsistent", "/demand")]),
    ({"windows": [{"from": "2030-01-01T10:00:00Z", "to": "2030-01-01T09:00:00Z"}]}, [("inconsistent", "/windows/0")]),
    ({"windows": [{"from": "2030-01-01T10:00:00", "to": "2030-01-01T11:00:00Z"}]}, [("no_offset", "/windows/0/from")]),
    ({"colour": "red"}, [("unknown_field", "/colour")]),
    ({"priority": 101}, [("out_of_range", "/priority")]),
    ({"service_time": 1.5}, [("wrong_type", "/service_time")]),
    ({"priority": "high", "location": {"lat": 61.5, "lon": 23.8}, "demand": {"pallets": 2}},
     [("wrong_type", "/priority"), ("off_map", "/location"), ("unknown_dimension", "/demand/pallets")]),
]  # fmt: skip


@pytest.mark.parametrize(("change", "faults"), BAD_ORDERS)
def test_a_bad_order_is_refused_with_all_its_faults(shop: Shop, change: dict[str, Any], faults: list[tuple[str, str]]) -> None:
    """Each with code and JSON pointer, and nothing is stored."""
    shop.depot()
    before = state(shop)
    answer = shop.call("POST", "/v1/orders", order() | change, key=shop.shipper)
    assert answer.status_code == 422
    assert answer.content_type == "application/problem+json"
    assert [(fault["code"], fault["pointer"]) for fault in answer.json["errors"]] == faults
    assert state(shop) == before


def test_off_the_map_says_how_far(shop: Shop) -> None:
    """The distance to the nearest street is in the answer."""
    shop.depot()
    answer = shop.call("POST", "/v1/orders", order({"lat": 60.18, "lon": 24.94}), key=shop.shipper)
    assert " m from the nearest street" in answer.json["detail"]


@pytest.mark.parametrize(("method", "path", "status", "code"), [
    ("GET", "/v1/orders/hel.o000000000000", 404, "not_found"), ("GET", "/v1/orders/nowhere.x", 404, "not_found"),
    ("GET", "/v1/depots/nowhere", 404, "not_found"), ("GET", "/v1/nothing", 404, "not_found"),
    ("PUT", "/v1/orders", 405, "method_not_allowed"), ("GET", "/v1/drivers/hel.nobody", 404, "not_found"),
    ("GET", "/v1/depots/hel/plan", 404, "no_plan"), ("GET", "/v1/depots/hel/plans/9", 404, "not_found"),
    ("DELETE", "/v1/road-events/hel.r1", 404, "not_found"), ("GET", "/v1/orders", 422, "missing"),
])  # fmt: skip
def test_what_does_not_exist_says_so(shop: Shop, method: str, path: str, status: int, code: str) -> None:
    """Problem documents, also for paths and methods there are not."""
    shop.depot()
    answer = shop.call(method, path)
    assert (answer.status_code, answer.json["code"], answer.content_type) == (status, code, "application/problem+json")


def test_bodies_that_are_no_json_or_too_large(shop: Shop) -> None:
    """400 and 413, and nothing is stored."""
    shop.depot()
    before = state(shop)
    assert shop.call("POST", "/v1/orders", data=b"{oops", key=shop.shipper).json["code"] == "malformed_json"
    assert shop.call("POST", "/v1/orders", data=b"[1]", key=shop.shipper).status_code == 422
    huge = shop.call("POST", "/v1/orders", data=b" " * (shop.settings.body_limit + 1), key=shop.shipper)
    assert (huge.status_code, huge.json["code"]) == (413, "body_too_large")
    assert state(shop) == before


def test_every_endpoint_is_described_and_needs_a_key(shop: Shop) -> None:
    """401 without a key and with a wrong one, but where nobody needs one; a new endpoint cannot forget."""
    open_ = {"/healthz", "/readyz", "/metrics", "/openapi.json", "/v1/tracking/{token}", "/v1/tracking/{token}/map",
             "/v1/tracking/{token}/map/tiles/{zoom}/{column}/{row}"}  # fmt: skip
    by_cookie = {("POST", "/v1/sessions"), ("GET", "/v1/sessions/current")}
    described = list(openapi.operations(shop.app))
    kinds = {"external_id": "anything:"} | dict.fromkeys(("version", "zoom", "column", "row"), "int:")
    pages = {rule.rule for rule in shop.app.url_map.iter_rules() if rule.endpoint.startswith(("pages.", "reference.pa"))}
    assert {rule.rule for rule in shop.app.url_map.iter_rules()} - pages == {
        re.sub(r"{(\w+)}", lambda found: f"<{kinds.get(found[1], '')}{found[1]}>", one.path)
        for one in described}  # fmt: skip
    for one in described:
        assert (one.path in open_ or (one.method, one.path) in by_cookie) == (not one.roles), one
        path = re.sub(r"{(version|zoom|column|row)}", "1", one.path)
        path = re.sub(r"{\w+}", "hel.x", path)
        for secret in ("", "wrong") if one.roles else ():
            answer = shop.call(one.method, path, key=secret)
            assert (answer.status_code, answer.json["code"]) == (401, "unauthorized"), (one.method, path)


def test_another_tenant_sees_nothing(shop: Shop) -> None:
    """Whatever exists is not there for another tenant's operator, nor for another shipper."""
    shop.depot()
    shop.crew("anna")
    mine = shop.order()
    stranger = make_key(shop.store, Role.OPERATOR, tenant="rival")[0]
    before = state(shop)
    for method, path, body in (
        ("GET", "/v1/depots/hel", None), ("GET", "/v1/depots/hel/plan", None), ("GET", "/v1/depots/hel/problem", None),
        ("GET", "/v1/drivers?depot_id=hel", None), ("GET", "/v1/drivers/hel.anna", None), ("GET", f"/v1/orders/{mine['id']}", None),
        ("PATCH", f"/v1/orders/{mine['id']}", {"priority": 1}), ("DELETE", f"/v1/orders/{mine['id']}", None),
        ("POST", "/v1/orders", order()), ("GET", "/v1/drivers/hel.anna/route", None), ("GET", "/v1/drivers/hel.anna/stream", None),
        ("POST", "/v1/keys", {"role": "driver", "driver_id": "hel.anna"}), ("POST", "/v1/depots/hel/resolve", None),
        ("POST", "/v1/drivers/hel.anna/pings", []), ("PATCH", "/v1/depots/hel", {"name": "x"}),
    ):  # fmt: skip
        assert shop.call(method, path, body, key=stranger).status_code == 404, path
    assert shop.call("GET", "/v1/depots", key=stranger).json == {"depots": []}
    assert shop.call("GET", "/v1/keys", key=stranger).json["keys"][0]["name"] == ""
    assert state(shop) == before
    rival_shipper = make_key(shop.store, Role.SHIPPER, tenant="acme")[0]
    assert shop.call("GET", f"/v1/orders/{mine['id']}", key=rival_shipper).status_code == 404
    assert shop.call("GET", "/v1/orders?depot_id=hel", key=rival_shipper).json["orders"] == []
    assert shop.call("GET", "/v1/depots/hel/plan", key=shop.shipper).status_code == 403


def test_a_driver_reaches_only_himself(shop: Shop) -> None:
    """Another driver's route, pings and events are not there; orders are not his business."""
    shop.depot()
    anna, _ = shop.crew("anna"), shop.crew("bo")
    for method, path, body in (("GET", "/v1/drivers/hel.bo/route", None), ("POST", "/v1/drivers/hel.bo/pings", [])):
        assert shop.call(method, path, body, key=anna).status_code == 404
    assert shop.call("GET", "/v1/drivers/me/route", key=anna).json["route_version"] == 0
    assert shop.call("GET", "/v1/orders?depot_id=hel", key=anna).status_code == 403


def test_keys_expire_are_revoked_and_never_stored(shop: Shop) -> None:
    """Only hashes in Redis; a revoked key is refused at once."""
    made = shop.made("/v1/keys", {"role": "shipper", "name": "shop"})
    assert made["key"] not in json.dumps(state(shop), default=list)
    assert shop.call("GET", "/v1/depots", key=made["key"]).status_code == 200
    assert shop.call("DELETE", f"/v1/keys/{made['id']}").status_code == 204
    assert shop.call("GET", "/v1/depots", key=made["key"]).status_code == 401
    expired = make_key(shop.store, Role.SHIPPER, tenant="acme", ttl=-1)[0]
    assert shop.call("GET", "/v1/depots", key=expired).status_code == 401


def test_a_change_and_a_cancellation(shop: Shop) -> None:
    """While open; afterwards 409 and nothing changes."""
    shop.depot()
    made = shop.order()
    changed = shop.call("PATCH", f"/v1/orders/{made['id']}", {"priority": 70, "demand": {"kg": 3}}, key=shop.shipper)
    assert (changed.json["priority"], changed.json["demand"]) == (70, {"parcels": 0, "kg": 3})
    gone = shop.call("DELETE", f"/v1/orders/{made['id']}", key=shop.shipper)
    assert (gone.status_code, gone.json["status"]) == (200, "cancelled")
    assert shop.call("DELETE", f"/v1/orders/{made['id']}", key=shop.shipper).status_code == 200
    late = shop.call("PATCH", f"/v1/orders/{made['id']}", {"priority": 1}, key=shop.shipper)
    assert (late.status_code, late.json["code"]) == (409, "too_late")


def test_of_two_changes_at_once_none_is_lost(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of an order: the one that began with what is no longer so is refused. Of a depot: both hold."""
    shop.depot()
    made = shop.order()
    read = readers.record_revision

    def slowly(client: Any, record_id: str) -> int:
        found = read(client, record_id)
        monkeypatch.undo()
        assert shop.call("PATCH", f"/v1/orders/{made['id']}", {"priority": 7}).status_code == 200
        return found

    monkeypatch.setattr(readers, "record_revision", slowly)
    late = shop.call("PATCH", f"/v1/orders/{made['id']}", {"service_time": 90})
    assert (late.status_code, late.json["code"]) == (409, "changed_meanwhile")
    assert shop.call("GET", f"/v1/orders/{made['id']}").json["priority"] == 7

    def late_price(depot: Depot) -> Depot:
        return replace(depot, policy=replace(depot.policy, late_price=9))

    def move_price(depot: Depot) -> Depot:
        if depot.policy.late_price != 9:
            writers.change_depot(shop.store, "hel", late_price, time.time())
        return replace(depot, policy=replace(depot.policy, move_price=8))

    writers.change_depot(shop.store, "hel", move_price, time.time())
    policy = shop.call("GET", "/v1/depots/hel").json["policy"]
    assert (policy["late_price"], policy["move_price"]) == (9, 8)


def test_a_change_that_is_sent_twice_is_made_once(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when its answer is lost on the way."""
    shop.depot()
    made = shop.order()
    change = writers.change_order

    def twice(*args: Any, **more: Any) -> list[str]:
        assert change(*args, **more)[0] == "changed"
        return change(*args, **more)

    monkeypatch.setattr(writers, "change_order", twice)
    answer = shop.call("PATCH", f"/v1/orders/{made['id']}", {"service_time": 90})
    assert (answer.status_code, answer.json["service_time"]) == (200, 90)

    def overtaken(*args: Any, **more: Any) -> list[str]:
        monkeypatch.undo()
        assert shop.call("PATCH", f"/v1/orders/{made['id']}", {"recipient": {"name": "Other"}}).status_code == 200
        return change(*args, **more)

    monkeypatch.setattr(writers, "change_order", overtaken)
    assert shop.call("PATCH", f"/v1/orders/{made['id']}", {"recipient": {"name": "Mine"}}).status_code == 409
    assert shop.call("GET", f"/v1/orders/{made['id']}").json["recipient"]["name"] == "Other"


def test_a_fleet_that_does_not_fit_is_refused(shop: Shop) -> None:
    """Unknown drivers, overlapping shifts, hours that end before they begin, ids taken."""
    shop.depot()
    shop.crew("anna")
    shift = {"depot_id": "hel", "id": "two", "driver_id": "hel.anna", "vehicle_id": "hel.van-anna",
             "start": "2030-01-01T15:00:00Z", "end": "2030-01-01T20:00:00Z"}  # fmt: skip
    assert shop.call("POST", "/v1/shifts", shift).json["code"] == "overlap"
    assert shop.call("POST", "/v1/shifts", shift | {"driver_id": "hel.ghost"}).json["code"] == "unknown_id"
    assert shop.call("POST", "/v1/shifts", shift | {"end": "2030-01-01T10:00:00Z"}).json["code"] == "inconsistent"
    assert shop.call("POST", "/v1/drivers", {"depot_id": "hel", "id": "anna", "name": "Anna"}).status_code == 409
    same = {"depot_id": "hel", "id": "anna", "name": "Anna", "skills": []}
    assert shop.call("POST", "/v1/drivers", same).status_code == 200
    assert shop.call("POST", "/v1/depots", {"id": "hel", "map": "helsinki", "location": HOME}).status_code == 409
    nowhere = shop.call("POST", "/v1/depots", {"id": "x", "map": "../../etc/passwd", "location": HOME})
    assert nowhere.status_code == 422
    assert shop.call("POST", "/v1/depots", {"id": "x", "map": "atlantis", "location": HOME}).json["code"] == "map_file"


def ping(seq: int, second: int, lat: float = 60.17) -> dict[str, Any]:
    return {"lat": lat, "lon": 24.94, "recorded_at": f"2030-01-01T08:00:{second:02}Z", "seq": seq}


def test_pings_count_once_and_never_move_a_driver_back(shop: Shop) -> None:
    """Duplicates and late ones are told apart; the newest place by the phone's own time stays."""
    shop.depot()
    anna = shop.crew("anna")
    send = lambda *batch: shop.call("POST", "/v1/drivers/me/pings", list(batch), key=anna).json  # noqa: E731
    assert send(ping(1, 10), ping(3, 30, 60.173)) == {"stored": 2, "duplicates": 0, "late": 0}
    assert send(ping(2, 20), ping(3, 30)) == {"stored": 1, "duplicates": 1, "late": 1}
    snapshot = readers.snapshot(shop.store, "hel")
    assert snapshot is not None
    assert snapshot.positions["hel.anna"].location.lat == 60.173
    assert send() == {"stored": 0, "duplicates": 0, "late": 0}


@pytest.mark.parametrize(("batch", "faults"), [
    ({"lat": 1}, [("wrong_type", "")]),
    ([ping(1, 1), {"lat": 60, "lon": 24}, ping(2, 2) | {"lat": 99}], [("missing", "/1"), ("wrong_value", "/2/lat")]),
    ([ping(1, 1) | {"recorded_at": "2030-01-01T23:00:00Z"}], [("from_the_future", "/0/recorded_at")]),
    ([ping(1, 1) | {"recorded_at": "2030-01-01T08:00:00"}], [("wrong_value", "/0/recorded_at")]),
    ([ping(n, 1) for n in range(1001)], [("out_of_range", "")]),
])  # fmt: skip
def test_bad_pings_are_refused_whole(shop: Shop, batch: Any, faults: list[tuple[str, str]]) -> None:
    """A batch is stored or refused as one, with every fault's place."""
    shop.depot()
    anna = shop.crew("anna")
    before = state(shop)
    answer = shop.call("POST", "/v1/drivers/me/pings", batch, key=anna)
    assert answer.status_code == 422
    assert [(fault["code"], fault["pointer"]) for fault in answer.json["errors"]] == faults
    assert state(shop) == before


@pytest.mark.parametrize(("change", "code"), [
    ({"edges": [10**7]}, "unknown_id"), ({"edges": []}, "out_of_range"), ({"disc": None, "edges": None}, "inconsistent"),
    ({"disc": {"centre": {"lat": 61, "lon": 25}, "radius_m": 5}}, "off_map"), ({"kind": "slow"}, "inconsistent"),
    ({"end": "2029-01-01T00:00:00Z"}, "inconsistent"),
    ({"disc": None, "polygon": [{"lat": 60.17, "lon": 24.94}] * 3}, "inconsistent"),
])  # fmt: skip
def test_bad_road_events_are_refused(shop: Shop, change: dict[str, Any], code: str) -> None:
    """No area, unknown edges, no street there, over already."""
    shop.depot()
    before = state(shop)
    body = {"depot_id": "hel", "kind": "close", "disc": {"centre": HOME, "radius_m": 40}, "end": "2030-01-01T10:00:00Z"} | change
    answer = shop.call("POST", "/v1/road-events", {key: value for key, value in body.items() if value is not None})
    if "edges" in change and change["edges"] and code == "unknown_id":
        del body["disc"]
        answer = shop.call("POST", "/v1/road-events", body)
    assert answer.status_code == 422
    assert answer.json["errors"][0]["code"] == code
    assert state(shop) == before


def test_a_closure_by_polygon_and_its_end(shop: Shop) -> None:
    """Both directions of every street it touches; ended, it is gone and the roads have a new version."""
    shop.depot()
    ring = [{"lat": lat, "lon": lon} for lat, lon in ((60.169, 24.939), (60.169, 24.942), (60.171, 24.942), (60.171, 24.939))]
    made = shop.made("/v1/road-events", {"depot_id": "hel", "kind": "slow", "factor": 3, "polygon": ring,
                                         "end": "2030-01-01T10:00:00Z"})  # fmt: skip
    assert len(made["edges"]) > 4
    assert shop.call("GET", "/v1/road-events?depot_id=hel").json["road_events"] == [made]
    assert shop.call("DELETE", f"/v1/road-events/{made['id']}").status_code == 204
    snapshot = readers.snapshot(shop.store, "hel")
    assert snapshot is not None
    assert (snapshot.roads, snapshot.road_events) == (2, ())


def test_data_of_another_version_are_refused(shop: Shop) -> None:
    """At start, with what to do."""
    shop.store.set(keys.shared_key("schema"), "0")
    with pytest.raises(WrongSchema, match="schema 0") as error:
        check_schema(connect(shop.settings))
    assert "REDIS_URL" in error.value.remedy
    with pytest.raises(WrongSchema):
        create_app(shop.settings)
    with pytest.raises(WrongSchema):
        dispatcher.run(shop.settings, threading.Event())
    assert shop.call("GET", "/readyz").status_code == 503


def test_a_broken_map_stops_only_its_own_depots(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is refused when a depot names it, and workers start without it."""
    from workers import jobs

    folder = shop.settings.state / "maps"
    folder.mkdir()
    (folder / "empty.map").touch()
    (folder / "junk.map").write_bytes(b"no map at all")
    for name in ("empty", "junk"):
        answer = shop.call("POST", "/v1/depots", {"id": name, "map": name, "location": HOME})
        assert (answer.status_code, answer.json["errors"][0]["code"]) == (422, "map_file")
    monkeypatch.setenv("LASTLEG_STATE", str(shop.settings.state))
    jobs.preload("repair")
    assert shop.depot() == "hel"


def test_redis_away_is_a_503_that_says_when_to_come_back(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is called; and ready only when it is back."""
    shop.depot()

    def away(*_: object, **__: object) -> None:
        raise redis.ConnectionError("connection refused")

    with monkeypatch.context() as patch:
        patch.setattr(redis.connection.Connection, "send_packed_command", away)
        patch.setattr(redis.connection.UnixDomainSocketConnection, "send_packed_command", away)
        for method, path, body in (("GET", "/v1/depots", None), ("POST", "/v1/orders", order()), ("GET", "/readyz", None)):
            answer = shop.call(method, path, body)
            assert (answer.status_code, answer.json["code"]) == (503, "redis_away")
            assert int(answer.headers["Retry-After"]) > 0
        assert shop.call("GET", "/healthz").status_code == 200
    assert shop.call("GET", "/readyz").json["status"] == "ready"
