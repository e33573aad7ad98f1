"""Orders by the hundred, by the shipper's own ids, on condition and on trial."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from ingest.auth import Role, make_key
from ingest.store import keys, readers
from tests.conftest import SPOTS, Shop, order
from tests.ingest.test_api import state


def send(shop: Shop, orders: list[Any], **kwargs: Any) -> Any:
    answer = shop.call("POST", "/v1/orders:batch", {"orders": orders}, key=shop.shipper, **kwargs)
    assert answer.status_code == 200, answer.text
    return answer.json


def test_a_batch_has_a_result_for_each_order(shop: Shop) -> None:
    """Good ones are accepted whatever is wrong with others, and pointers say where in the batch that is."""
    shop.depot()
    told = send(shop, [order(external_id="A"), order(priority=101), order(SPOTS[1]), order(external_id="A", priority=1), 7])
    assert [row["status"] for row in told["results"]] == [201, 422, 201, 409, 422]
    assert (told["accepted"], told["refused"]) == (2, 3)
    assert told["results"][1]["problem"]["errors"][0]["pointer"] == "/orders/1/priority"
    assert told["results"][3]["problem"]["order_id"] == told["results"][0]["order"]["id"]
    assert shop.store.scard(keys.depot_key("hel", "open")) == 2
    snapshot = readers.snapshot(shop.store, "hel")
    assert snapshot is not None
    assert [trigger.kind for trigger in snapshot.triggers] == ["order_new"] * 2


def test_a_batch_sent_twice_counts_once(shop: Shop) -> None:
    """Under one key each order has its place; what is new in a place is refused, what is not is answered again."""
    shop.depot()
    first = send(shop, [order(), order(SPOTS[1])], headers={"Idempotency-Key": "k"})
    again = send(shop, [order(), order(SPOTS[2]), order(SPOTS[3])], headers={"Idempotency-Key": "k"})
    assert [row["status"] for row in again["results"]] == [200, 422, 201]
    assert again["results"][0]["order"]["id"] == first["results"][0]["order"]["id"]
    assert again["results"][1]["problem"]["code"] == "idempotency_key_reused"
    assert shop.store.scard(keys.depot_key("hel", "open")) == 3


@pytest.mark.parametrize("orders", [[], [order()] * 1001, "x"])
def test_a_batch_has_its_limits(shop: Shop, orders: Any) -> None:
    shop.depot()
    assert shop.call("POST", "/v1/orders:batch", {"orders": orders}, key=shop.shipper).json["errors"][0]["pointer"] == "/orders"


def test_put_makes_an_order_be_as_it_says(shop: Shop) -> None:
    """Created, left as it is, replaced; a replacement takes defaults for what it leaves out."""
    shop.depot()

    def put(body: Any, key: str = shop.shipper, name: str = "shop/17", **kwargs: Any) -> Any:
        return shop.call("PUT", f"/v1/orders/by-external-id/{name}", body, key=key, **kwargs)

    made = put(order(priority=5, recipient={"name": "Ada"}))
    assert (made.status_code, made.json["external_id"]) == (201, "shop/17")
    before = state(shop)
    assert put(order(priority=5, recipient={"name": "Ada"})).status_code == 200
    assert state(shop) == before, "what is so already is not planned anew"
    changed = put(order(SPOTS[2]))
    assert (changed.status_code, changed.json["id"]) == (200, made.json["id"])
    assert (changed.json["priority"], changed.json["location"]) == (0, SPOTS[2])
    assert changed.headers["ETag"] != made.headers["ETag"]
    got = shop.call("GET", "/v1/orders/by-external-id/shop/17?depot_id=hel", key=shop.shipper)
    assert (got.json, got.headers["ETag"]) == (changed.json, changed.headers["ETag"])
    other = put(order(kind="service", demand={}))
    assert (other.status_code, other.json["errors"][0]["pointer"]) == (422, "/kind")
    assert put(order(external_id="other")).json["errors"][0]["pointer"] == "/external_id"
    stranger = make_key(shop.store, Role.SHIPPER, tenant="acme")[0]
    assert shop.call("GET", "/v1/orders/by-external-id/shop/17?depot_id=hel", key=stranger).status_code == 404
    assert put(order(), key=stranger).json["id"] != made.json["id"]


def test_what_was_cancelled_can_be_ordered_again(shop: Shop) -> None:
    """By PUT, as a new order; a POST of its external_id is no success, as nothing would be delivered."""
    shop.depot()
    path, by = "/v1/orders/by-external-id/A", {"key": shop.shipper}
    first = shop.call("PUT", path, order(), **by)
    shop.call("DELETE", f"/v1/orders/{first.json['id']}", **by)
    for body in (order(external_id="A"), order(SPOTS[1], external_id="A")):
        refused = shop.call("POST", "/v1/orders", body, **by)
        assert (refused.status_code, refused.json["code"], refused.json["order_id"]) == (409, "duplicate", first.json["id"])
        assert "PUT" in refused.json["remedy"]
    tried = shop.call("PUT", path + "?dry_run=true", order(), **by)
    assert (tried.status_code, tried.json["result"]) == (200, "created")
    stale = shop.call("PUT", path, order(), headers={"If-Match": first.headers["ETag"]}, **by)
    assert stale.status_code == 412
    again = shop.call("PUT", path, order(), **by)
    assert (again.status_code, again.json["status"]) == (201, "accepted")
    assert again.json["id"] != first.json["id"]
    assert shop.call("GET", path + "?depot_id=hel", **by).json["id"] == again.json["id"]
    assert shop.call("POST", "/v1/orders", order(external_id="A"), **by).json["id"] == again.json["id"]
    assert shop.call("GET", f"/v1/orders/{first.json['id']}", **by).json["status"] == "cancelled"
    late = shop.call("PATCH", f"/v1/orders/{first.json['id']}", {"priority": 2}, **by)
    assert (late.status_code, late.json["code"]) == (409, "too_late")


@pytest.mark.parametrize("name", ["/lead", "a//b", "a/", "//", "a%2Fb", "ä b"])
def test_an_external_id_may_have_slashes_anywhere(shop: Shop, name: str) -> None:
    """It is that order's and no other's."""
    shop.depot()
    path = "/v1/orders/by-external-id/" + quote(name, safe="")
    made = shop.call("PUT", path, order(), key=shop.shipper)
    assert (made.status_code, made.json["external_id"]) == (201, name)
    assert shop.call("GET", path + "?depot_id=hel", key=shop.shipper).json["id"] == made.json["id"]


def test_parameters_that_a_call_does_not_take_are_refused(shop: Shop) -> None:
    """Above all what is only to be tried, where nothing can be."""
    shop.depot()
    made = shop.order(recipient={"name": "Ada"})
    before = state(shop)
    for method, path, body in (("DELETE", f"/v1/orders/{made['id']}/personal", None), ("POST", "/v1/keys", {"role": "shipper"}),
                               ("POST", f"/v1/orders/{made['id']}/confirm", None)):  # fmt: skip
        answer = shop.call(method, path + "?dry_run=true", body)
        assert (answer.status_code, answer.json["errors"][0]["parameter"]) == (422, "dry_run"), path
    assert state(shop) == before


def test_if_match_guards_against_lost_updates(shop: Shop) -> None:
    """Whoever changes what has changed since it was read is told so, and changes nothing."""
    shop.depot()
    made = shop.call("POST", "/v1/orders", order(external_id="A"), key=shop.shipper)
    path, old = f"/v1/orders/{made.json['id']}", {"If-Match": made.headers["ETag"]}
    changed = shop.call("PATCH", path, {"priority": 1}, key=shop.shipper, headers=dict(old))
    assert changed.status_code == 200
    before = state(shop)
    for method, target, body in (("PATCH", path, {"priority": 2}), ("DELETE", path, None),
                                 ("PUT", "/v1/orders/by-external-id/A", order(priority=3))):  # fmt: skip
        answer = shop.call(method, target, body, key=shop.shipper, headers=dict(old))
        assert (answer.status_code, answer.json["code"]) == (412, "changed_meanwhile"), method
    assert state(shop) == before
    new = {"If-Match": shop.call("GET", path, key=shop.shipper).headers["ETag"]}
    assert new == {"If-Match": changed.headers["ETag"]}
    assert shop.call("PATCH", path, {"priority": 2}, key=shop.shipper, headers={"If-Match": "*"}).status_code == 200
    assert shop.call("DELETE", path, key=shop.shipper, headers=new).status_code == 412
    assert shop.call("PUT", "/v1/orders/by-external-id/B", order(), key=shop.shipper, headers=dict(old)).status_code == 412


def test_a_dry_run_answers_and_changes_nothing(shop: Shop) -> None:
    """The same refusals, the same answers, and the same state."""
    shop.depot()
    made = shop.order(external_id="A")
    path, before = f"/v1/orders/{made['id']}", state(shop)

    def dry(method: str, target: str, body: Any = None) -> Any:
        return shop.call(method, target + "?dry_run=true", body, key=shop.shipper)

    created = dry("POST", "/v1/orders", order(recipient={"name": "Ada"}))
    assert (created.status_code, created.json["dry_run"], created.json["result"]) == (200, True, "created")
    assert dry("POST", "/v1/orders", order(external_id="A")).json["result"] == "replayed"
    assert dry("POST", "/v1/orders", order(external_id="A", priority=3)).status_code == 409
    assert dry("POST", "/v1/orders", order(priority=-1)).status_code == 422
    changed = dry("PATCH", path, {"priority": 9}).json
    assert (changed["result"], changed["order"]["priority"]) == ("changed", 9)
    assert dry("PUT", "/v1/orders/by-external-id/A", order(priority=4)).json["result"] == "changed"
    assert dry("PUT", "/v1/orders/by-external-id/A", order(external_id="A")).json["result"] == "unchanged"
    assert dry("PUT", "/v1/orders/by-external-id/B", order()).json["result"] == "created"
    assert dry("DELETE", path).json["result"] == "cancelled"
    told = dry("POST", "/v1/orders:batch", {"orders": [order(), order(priority=-1)]}).json
    assert [row["status"] for row in told["results"]] == [200, 422]
    assert state(shop) == before
    shop.call("DELETE", path, key=shop.shipper)
    assert dry("PATCH", path, {"priority": 9}).json["code"] == "too_late"


def test_put_leaves_nothing_of_the_recipient_before_and_operators_decisions_alone(shop: Shop) -> None:
    """What the body leaves out gets its default, but for what is not the shipper's."""
    shop.depot()
    shop.crew("anna")
    path = "/v1/orders/by-external-id/A"
    made = shop.call("PUT", path, order(recipient={"name": "Ada", "phone": "1", "note": "n"}), key=shop.shipper).json
    shop.call("PATCH", f"/v1/orders/{made['id']}", {"pin": {"driver_id": "hel.anna"}})
    assert shop.call("PUT", path, order(recipient={"name": "Bo"}), key=shop.shipper).json["recipient"] == {"name": "Bo"}
    assert shop.call("PUT", path, order(SPOTS[1]), key=shop.shipper).json["recipient"] == {}
    assert shop.call("GET", f"/v1/orders/{made['id']}").json["pin"]["driver_id"] == "hel.anna"


def test_if_match_may_name_several(shop: Shop) -> None:
    shop.depot()
    made = shop.call("POST", "/v1/orders", order(), key=shop.shipper)
    headers = {"If-Match": f'"0", {made.headers["ETag"]}'}
    changed = shop.call("PATCH", f"/v1/orders/{made.json['id']}", {"priority": 1}, key=shop.shipper, headers=headers)
    assert changed.status_code == 200


def test_pages_are_of_the_callers_own_orders(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Full ones, whatever others order; and none is missed or twice."""
    monkeypatch.setattr("ingest.endpoints.orders.PAGE", 4)
    monkeypatch.setattr("ingest.endpoints.orders.STEP", 3)
    shop.depot()
    other = make_key(shop.store, Role.SHIPPER, tenant="acme")[0]
    mine, all_ = [], []
    for number in range(30):
        made = shop.made("/v1/orders", order(), key=shop.shipper if number % 3 == 0 else other)["id"]
        all_.append(made)
        mine += [made] if number % 3 == 0 else []
    for key, expected, calls in ((shop.shipper, mine, 3), (shop.operator, all_, 8)):
        found, cursor, pages = [], "0", 0
        while cursor is not None:
            page = shop.call("GET", f"/v1/orders?depot_id=hel&cursor={cursor}", key=key).json
            found += [row["id"] for row in page["orders"]]
            cursor, pages = page["next_cursor"], pages + 1
        assert found == expected
        assert pages in (calls, calls + 1)
    monkeypatch.setattr("ingest.endpoints.orders.LOOKED", 5)
    first = shop.call("GET", "/v1/orders?depot_id=hel", key=shop.shipper).json
    assert ([row["id"] for row in first["orders"]], first["next_cursor"] is None) == (mine[:2], False)
