"""Nobody sees what is not theirs: every call of the interface, made by everybody it is not for. A new endpoint cannot forget."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from ingest import openapi, webhooks
from ingest.auth import Role, make_key
from ingest.openapi import Described
from ingest.settings import Settings
from ingest.store import keys, readers, writers
from tests import contract
from tests.conftest import SPOTS, Shop, one_server, order
from tests.ingest.test_api import state
from workers import deliveries, dispatcher, feed, replan

SECRET = "xyzzy"
"""Stands in every name, note, id and reason of what is to be hidden."""


class Town:
    """A depot with everything in it that has an id, and those who have no business there."""

    def __init__(self, settings: Settings) -> None:
        self.shop = shop = Shop(settings)
        shop.depot("hel", name=f"{SECRET} depot")
        self.token = shop.crew(f"{SECRET}-anna")
        stranger_driver = shop.crew(f"{SECRET}-bo")
        self.order = shop.order(external_id=f"{SECRET}-1", recipient={"name": SECRET, "note": SECRET})
        hopeless = shop.order(SPOTS[1], external_id=f"{SECRET}-2", demand={"parcels": 999})
        road = shop.made("/v1/road-events", {"depot_id": "hel", "kind": "close", "disc": {"centre": SPOTS[5], "radius_m": 30},
                                             "end": "2031-01-01T00:00:00Z", "reason": SECRET})  # fmt: skip
        hook = webhooks.Webhook(webhooks.new_id(), "acme", "", f"https://{SECRET}.example/", webhooks.new_secret(), 0.0)
        webhooks.put(shop.store, hook)
        key = shop.made("/v1/keys", {"role": "shipper", "name": SECRET})
        self.link = shop.made(f"/v1/orders/{self.order['id']}/tracking", {})
        replan.repair(shop.store, shop.settings, "hel")
        while feed.tell(shop.store):
            pass
        deliveries.deliver(shop.store, shop.settings, "hel")
        load = shop.call("POST", "/v1/imports?depot_id=hel", data="kind", key=shop.shipper).json
        quote = shop.made("/v1/quotes", {"order": order()}, key=shop.shipper)
        self.ids = {name: example for name, (example, _) in openapi.PARAMETERS.items()} | {
            "depot_id": "hel", "driver_id": f"hel.{SECRET}-anna", "vehicle_id": f"hel.van-{SECRET}-anna",
            "shift_id": f"hel.day-{SECRET}-anna", "order_id": self.order["id"], "stop_id": self.order["stop_id"],
            "record_id": hopeless["id"], "event_id": road["id"], "key_id": key["id"], "version": 1, "what": "stops",
            "external_id": f"{SECRET}-1",
            "webhook_id": hook.id, "message_id": "evt_hel_1", "quote_id": quote["quote_id"], "import_id": load["id"],
            "token": self.link["url"].split("/")[-1],
        }  # fmt: skip
        self.hidden = [
            SECRET,
            load["id"],
            self.order["id"],
            hopeless["id"],
            road["id"],
            hook.id,
            key["id"],
            self.token,
            self.shop.shipper,
        ]
        self.strangers = {
            "another tenant's operator": make_key(shop.store, Role.OPERATOR, tenant="rival")[0],
            "another tenant's shipper": make_key(shop.store, Role.SHIPPER, tenant="rival")[0],
            "another shipper": make_key(shop.store, Role.SHIPPER, tenant="acme")[0],
            "a shipper of another depot": make_key(shop.store, Role.SHIPPER, tenant="acme", depots=("tam",))[0],
            "another driver": stranger_driver,
        }

    def call(self, one: Described, key: str) -> Any:
        """Make a call with the ids of this town, and the example's body about it."""
        operation = contract.description(self.shop.app)[0]["paths"][one.path][one.method.lower()]
        body: Any = None
        for content in operation.get("requestBody", {"content": {}})["content"].values():
            body = content["example"]
            if isinstance(body, str):
                return self.shop.call(one.method, one.path, data=body, key=key, query_string={"depot_id": "hel"})
            if isinstance(body, dict):
                body = body | {name: self.ids[name] for name in body if name in ("depot_id", "driver_id")}
                body = body | ({"depots": ["hel"]} if "depots" in body else {})
        query = {"depot_id": "hel", "lat": SPOTS[0]["lat"], "lon": SPOTS[0]["lon"]}
        asked = {parameter["name"] for parameter in operation.get("parameters", ()) if parameter["in"] == "query"}
        return self.shop.call(one.method, one.path.format(**self.ids), body, key=key,
                              query_string={name: value for name, value in query.items() if name in asked})  # fmt: skip


@pytest.fixture
def town(settings: Settings) -> Town:
    """A town of its own for each test."""
    return Town(settings)


def rows(town: Town) -> dict[str, Any]:
    """What is stored of the depot, and who may call and listen, of those that were there."""
    return {name: value for name, value in state(town.shop).items() if "{hel}" in name and ":quote:" not in name}


ORDERS = {"POST /v1/imports", "POST /v1/orders", "POST /v1/orders:batch", "PUT /v1/orders/by-external-id/{external_id}"}
"""What makes another shipper an order of its own."""

OWN = {"GET /v1/depots", "GET /v1/depots/{depot_id}"}
"""What shippers and drivers of the same tenant may read: the depots they are of."""


@one_server
def test_no_call_shows_or_changes_what_is_not_the_callers(town: Town) -> None:
    """Strangers get 403 or 404, or their own emptiness; nothing of the depot is in any answer, and nothing there is changed."""
    tried, before = 0, rows(town)
    for one in openapi.operations(town.shop.app):
        if not one.roles:
            continue
        for who, key in town.strangers.items():
            name = f"{one.method} {one.path}"
            if name in OWN and "tenant" not in who:
                continue
            his_own = who == "another driver" and "{driver_id}" not in one.path and "{stop_id}" not in one.path
            if his_own or (name in ORDERS and who == "another shipper"):
                continue
            answer = town.call(one, key)
            assert answer.status_code < 500, (name, who)
            found = [] if answer.status_code in (401, 403, 404) else [word for word in town.hidden if word in answer.text]
            assert not found, f"{name} tells {who}: {found} in {answer.text[:500]}"
            if any(parameter in one.path for parameter in ("{depot_id}", "{order_id}", "{driver_id}", "{stop_id}", "{webhook_id}")):
                assert answer.status_code in (403, 404), f"{name} answers {who}: {answer.status_code} {answer.text[:200]}"
            tried += 1
    assert rows(town) == before
    assert tried > 150


@one_server
def test_those_whose_it_is_can_make_these_calls(town: Town) -> None:
    """The calls that strangers were refused are good ones: the owner is not refused them."""
    refused = []
    for one in openapi.operations(town.shop.app):
        if one.roles and one.method == "GET" and not one.path.endswith("/stream"):
            keys_of = {"operator": town.shop.operator, "shipper": town.shop.shipper, "driver": town.token}
            for role in one.roles:
                answer = town.call(one, keys_of[role])
                hers = role != "shipper" or not any(part in one.path for part in ("webhook_id",))
                his = role != "operator" or "by-external-id" not in one.path
                if answer.status_code >= 400 and hers and his:
                    refused.append((role, one.path, answer.status_code))
    assert refused == []


@one_server
def test_a_shipper_is_shown_no_driver(town: Town) -> None:
    """Not in any answer that a shipper gets of its own orders: neither names nor ids of those who drive, nor of vehicles."""
    for one in openapi.operations(town.shop.app):
        if "shipper" in one.roles and one.method == "GET" and one.path != "/v1/me":
            text = town.call(one, town.shop.shipper).text
            for hidden in (f"{SECRET}-anna", f"{SECRET}-bo", "van-", "driver_id"):
                assert hidden not in text, f"{one.method} {one.path}: {hidden} in {text[:500]}"


@one_server
def test_a_recipient_is_shown_nothing_but_when(town: Town) -> None:
    """By the link alone, and only what is promised: when, and the place that is his own."""
    text = town.shop.call("GET", town.link["url"], key="").text
    assert not [word for word in town.hidden if word in text]
    assert str(SPOTS[0]["lat"]) in text
    assert str(SPOTS[1]["lat"]) not in text


def test_keys_may_read_only_and_several_are_one_shipper(shop: Shop) -> None:
    """A key that only reads is refused every change; keys of a shipper reach the same orders."""
    shop.depot()
    one, two, reads = (shop.made("/v1/keys", {"role": "shipper", "shipper": "bakery"} | more)["key"]
                       for more in ({}, {}, {"scopes": ["read"]}))  # fmt: skip
    made = shop.made("/v1/orders", order(external_id="A"), key=one)
    assert shop.made("/v1/orders", order(external_id="A"), key=two)["id"] == made["id"]
    for key in (two, reads):
        assert shop.call("GET", f"/v1/orders/{made['id']}", key=key).json["id"] == made["id"]
    for method, path, body in (("POST", "/v1/orders", order()), ("PATCH", f"/v1/orders/{made['id']}", {"priority": 1}),
                               ("DELETE", f"/v1/orders/{made['id']}", None)):  # fmt: skip
        answer = shop.call(method, path, body, key=reads)
        assert (answer.status_code, answer.json["code"]) == (403, "forbidden")
    assert shop.call("GET", f"/v1/orders/{made['id']}", key=shop.shipper).status_code == 404
    assert shop.call("GET", "/v1/me", key=reads).json["shipper"] == "bakery"
    assert shop.call("POST", "/v1/quotes", {"order": order()}, key=reads).status_code == 200, "it changes nothing"
    for role in ("operator", "driver"):
        body = {"role": role, "scopes": ["read"]} | ({"driver_id": "hel.x"} if role == "driver" else {})
        assert shop.call("POST", "/v1/keys", body).status_code == 422


def test_a_key_is_rotated_with_both_good_for_a_while(shop: Shop) -> None:
    """The new secret is the same shipper; the old one ends when it is told to, and revoking ends both."""
    shop.depot()
    made = shop.order()
    new = shop.made("/v1/keys/me/rotate", {"overlap": 3600}, key=shop.shipper)
    for key in (shop.shipper, new["key"]):
        assert shop.call("GET", f"/v1/orders/{made['id']}", key=key).status_code == 200
    listed = [row for row in shop.call("GET", "/v1/keys").json["keys"] if row["id"] == new["id"]]
    assert [row["expires_at"] is None for row in listed] == [False, True]
    assert listed[1]["prefix"] == new["key"][: len("ll_shipper_") + 4]
    assert listed[0]["last_used_at"] is not None
    last = shop.made(f"/v1/keys/{new['id']}/rotate", {"overlap": 0})
    for key, status in ((shop.shipper, 401), (new["key"], 401), (last["key"], 200)):
        assert shop.call("GET", f"/v1/orders/{made['id']}", key=key).status_code == status
    rival = make_key(shop.store, Role.SHIPPER, tenant="acme")[0]
    assert shop.call("POST", f"/v1/keys/{new['id']}/rotate", {}, key=rival).status_code == 404
    shop.made("/v1/keys/me/rotate", {}, key=last["key"])
    assert shop.call("DELETE", f"/v1/keys/{new['id']}").status_code == 204
    assert shop.call("GET", f"/v1/orders/{made['id']}", key=last["key"]).status_code == 401
    assert new["id"] not in shop.call("GET", "/v1/keys").text


def test_the_last_key_takes_its_webhooks_along(shop: Shop) -> None:
    """Whoever has no key any more hears nothing more."""
    first, second = (shop.made("/v1/keys", {"role": "shipper", "shipper": "bakery"})["id"] for _ in range(2))
    webhooks.put(shop.store, webhooks.Webhook("wh_1", "acme", "bakery", "https://x.example/", webhooks.new_secret(), 0.0))
    shop.call("DELETE", f"/v1/keys/{first}")
    assert len(webhooks.every(shop.store)) == 1
    shop.call("DELETE", f"/v1/keys/{second}")
    assert webhooks.every(shop.store) == []


def test_what_operators_do_is_noted(shop: Shop) -> None:
    """What changed something, by whom and with what; not what was refused, read, tried, personal, or another tenant's."""
    shop.depot()
    shop.crew("anna")
    shop.order()
    shop.call("PATCH", "/v1/depots/hel", {"policy": {"late_after": 99}})
    shop.call("PATCH", "/v1/depots/hel", {"policy": {"late_after": "x"}})
    made = shop.made("/v1/orders", order(recipient={"name": "Ada Secret", "phone": "123"}))
    shop.call("DELETE", f"/v1/orders/{made['id']}?dry_run=true")
    told = shop.call("GET", "/v1/audit").json
    made_first = ["depots.make", "fleet.make_driver", "fleet.make_vehicle", "fleet.make_shift", "access.make"]
    assert [entry["action"] for entry in told["entries"]] == [*made_first, "depots.patch", "orders.accept"]
    assert json.loads(told["entries"][5]["body"]) == {"policy": {"late_after": 99}}
    assert told["entries"][5]["key_id"].startswith("operator-")
    assert "Secret" not in str(told)
    assert "123" not in told["entries"][6]["body"]
    assert shop.call("GET", f"/v1/audit?after={told['next_cursor']}").json["entries"] == []
    stranger = make_key(shop.store, Role.OPERATOR, tenant="rival")[0]
    assert shop.call("GET", "/v1/audit", key=stranger).json["entries"] == []
    assert shop.call("GET", "/v1/audit", key=shop.shipper).status_code == 403


def test_personal_data_go_when_the_policy_says(shop: Shop) -> None:
    """Names of recipients are kept so many days, and proofs no longer."""
    shop.depot(policy={"personal_days": 2})
    made = shop.order(recipient={"name": "Ada"})
    ttl = shop.store.ttl(keys.personal("hel", made["id"]))
    assert 2 * 86_400 - 5 <= ttl <= 2 * 86_400
    shop.call("PATCH", "/v1/depots/hel", {"policy": {"personal_days": 5}})
    shop.call("PATCH", f"/v1/orders/{made['id']}", {"recipient": {"phone": "1"}}, key=shop.shipper)
    assert shop.store.ttl(keys.personal("hel", made["id"])) > 4 * 86_400


def test_a_recipient_is_known_until_the_order_is_due(shop: Shop) -> None:
    """The days count from its last window; a reservation that is not confirmed leaves nobody."""
    shop.depot()
    windows = [{"from": "2030-03-01T09:00:00Z", "to": "2030-03-02T08:00:00Z"}]  # sixty days after the depot's first
    for body in ({"windows": windows}, {"kind": "transport", "pickup": {"location": SPOTS[1], "windows": windows}}):
        made = shop.order(recipient={"name": "Ada"}, **body)
        assert 89 * 86_400 < shop.store.ttl(keys.personal("hel", made["id"])) <= 90 * 86_400
    shop.call("PATCH", f"/v1/orders/{made['id']}", {"pickup": {"location": SPOTS[1]}}, key=shop.shipper)
    assert shop.store.ttl(keys.personal("hel", made["id"])) <= 30 * 86_400
    shop.crew("anna")
    held = {"order": order(recipient={"name": "Ada"}), "windows": [{"from": "2030-01-01T09:00:00Z", "to": "2030-01-01T10:00:00Z"}]}
    quoted = shop.call("POST", "/v1/quotes", held, key=shop.shipper).json
    accepted = shop.call("POST", f"/v1/quotes/{quoted['quote_id']}/accept", {"window": 0}, key=shop.shipper).json["order"]
    assert accepted["recipient"] == {"name": "Ada"}
    dispatcher._clock(shop.store, time.time() + 100)
    over = shop.call("GET", f"/v1/orders/{accepted['id']}", key=shop.shipper).json
    assert (over["status"], over["recipient"]) == ("cancelled", {})


def test_drivers_names_stay_as_long_as_they_have_shifts(shop: Shop) -> None:
    """And are forgotten so many days after the last one, like all others."""
    shop.depot()
    shop.crew("anna")
    name, depot = keys.personal("hel", "hel.anna"), readers.depot(shop.store, "hel")
    assert depot is not None
    shop.store.expire(name, 100)
    writers.keep_crew(shop.store, depot, now=time.time() + 9 * 3600)
    assert shop.store.ttl(name) <= 100
    writers.keep_crew(shop.store, depot, now=time.time())
    assert shop.store.ttl(name) > 29 * 86_400


def test_what_a_driver_writes_is_the_shippers_and_goes_with_the_recipient(shop: Shop) -> None:
    """It says why a stop has failed; no event and no archive has it."""
    shop.depot()
    token, made = shop.crew("anna"), shop.order(recipient={"name": "Ada"})
    replan.repair(shop.store, shop.settings, "hel")
    told = {"event_id": "1", "type": "failed", "occurred_at": "2030-01-01T08:00:00Z", "reason": "Ada was not there"}
    assert shop.call("POST", f"/v1/stops/{made['stop_id']}/events", told, key=token).status_code == 200
    shown = shop.call("GET", f"/v1/orders/{made['id']}", key=shop.shipper).json
    assert shown["proof"] == {"reason": "Ada was not there"}
    assert not [row for _, row in shop.store.xrange(keys.shared_key("events")) if "Ada" in str(row)]
    shop.call("DELETE", f"/v1/orders/{made['id']}/personal", key=shop.shipper)
    assert "Ada" not in str(state(shop))


def test_rotation_leaves_few_secrets_and_one_allowance(shop: Shop) -> None:
    """However often it is done; drivers' tokens end by themselves."""
    shop.depot()
    secrets = [shop.shipper]
    for _ in range(5):
        secrets.append(shop.call("POST", "/v1/keys/me/rotate", {"overlap": 3600}, key=secrets[-1]).json["key"])
    good = [secret for secret in secrets if shop.call("GET", "/v1/me", key=secret).status_code == 200]
    assert good == secrets[-3:]
    left = [shop.call("GET", "/v1/me", key=secret).headers["RateLimit"] for secret in good]
    assert [int(text.split("r=")[1].split(";")[0]) for text in left] == sorted(
        (int(text.split("r=")[1].split(";")[0]) for text in left), reverse=True)  # fmt: skip
    assert left[0] != left[-1]
    reader = shop.made("/v1/keys", {"role": "shipper", "scopes": ["read"]})
    assert shop.call("POST", "/v1/keys/me/rotate", {}, key=reader["key"]).status_code == 201
    shop.crew("anna")
    token = next(key for key in shop.call("GET", "/v1/keys").json["keys"] if key["role"] == "driver")
    day = datetime.fromisoformat(token["expires_at"]) - datetime.fromisoformat(token["made_at"])
    assert timedelta(hours=23) < day <= timedelta(days=1)


def test_no_parameter_hides_a_call_from_the_audit(shop: Shop) -> None:
    """What is no trial is noted, whatever a query says; files are not kept, and of a query only what says what was done."""
    shop.depot()
    made = shop.made("/v1/keys", {"role": "shipper"})
    assert shop.call("DELETE", f"/v1/keys/{made['id']}?dry_run=true").status_code == 422
    shop.call("DELETE", f"/v1/keys/{made['id']}")
    shop.call("POST", "/v1/orders?dry_run=off", order())
    shop.call("POST", "/v1/imports?depot_id=hel&format=ndjson", data=b'{"recipient_name": "Ada"}')
    entries = shop.call("GET", "/v1/audit").json["entries"]
    assert [entry["action"] for entry in entries[-3:]] == ["access.revoke", "orders.accept", "bulk.make"]
    assert (entries[-1]["path"], entries[-1]["body"]) == ("/v1/imports?depot_id=hel&format=ndjson", "a file")


def test_shippers_of_two_tenants_may_have_one_name(shop: Shop) -> None:
    """Their idempotency keys have nothing to do with each other."""
    shop.depot()
    stranger = make_key(shop.store, Role.OPERATOR, tenant="rival")[0]
    shop.made("/v1/depots", {"id": "tam", "map": "helsinki", "location": SPOTS[0]}, key=stranger)
    mine = shop.made("/v1/keys", {"role": "shipper", "shipper": "bakery"})["key"]
    theirs = shop.made("/v1/keys", {"role": "shipper", "shipper": "bakery"}, key=stranger)["key"]
    for key, depot in ((mine, "hel"), (theirs, "tam")):
        answer = shop.call("POST", "/v1/orders", {"depot_id": depot, "kind": "service", "location": SPOTS[0]}, key=key,
                           headers={"Idempotency-Key": "1"})  # fmt: skip
        assert answer.status_code == 201, answer.text


def test_webhooks_reach_as_far_as_the_key(shop: Shop) -> None:
    """A key for one depot makes webhooks for that depot, and does not see those of the shipper's other keys."""
    shop.depot()
    shop.depot("tre")
    networks = Settings.read({"LASTLEG_WEBHOOK_NETWORKS": "127.0.0.0/8"}).webhook_networks
    services = shop.app.extensions["lastleg"]
    shop.app.extensions["lastleg"] = replace(services, settings=replace(shop.settings, webhook_networks=networks))
    bakery = {"role": "shipper", "shipper": "bakery"}
    one, two = (shop.made("/v1/keys", bakery | {"depots": [depot]})["key"] for depot in ("hel", "tre"))
    made = shop.made("/v1/webhooks", {"url": "http://127.0.0.1:9/"}, key=one)
    assert made["depots"] == ["hel"]
    assert shop.call("GET", f"/v1/webhooks/{made['id']}", key=two).status_code == 404
    assert shop.call("PATCH", f"/v1/webhooks/{made['id']}", {"depots": []}, key=one).json["depots"] == ["hel"]
    assert shop.call("PATCH", f"/v1/webhooks/{made['id']}", {"depots": ["tre"]}, key=one).status_code == 404


def test_an_expired_key_keeps_no_webhook(shop: Shop) -> None:
    shop.depot()
    last = shop.made("/v1/keys", {"role": "shipper", "shipper": "bakery"})["id"]
    make_key(shop.store, Role.SHIPPER, tenant="acme", shipper="bakery", ttl=-5)
    webhooks.put(shop.store, webhooks.Webhook("wh_1", "acme", "bakery", "https://x.example/", webhooks.new_secret(), 0.0))
    shop.call("DELETE", f"/v1/keys/{last}")
    assert webhooks.every(shop.store) == []
