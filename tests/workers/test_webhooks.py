"""Webhooks against a listener that is real: signed, at least once, in vain, again, and never where they must not go."""

from __future__ import annotations

import ipaddress
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec
import pytest
from standardwebhooks import Webhook as Verifier
from standardwebhooks import WebhookVerificationError

from ingest import webhooks
from ingest.auth import Role, make_key
from ingest.settings import BadSettings, Settings
from ingest.store import keys, readers
from tests.conftest import SPOTS, Shop, one_server, wait_for
from workers import deliveries, feed

HERE = (ipaddress.ip_network("127.0.0.0/8"),)


class Listener:
    """An HTTP server that remembers what it was sent; `answers` says with which status, in turn, the last one for good."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], str]] = []
        self.answers, self.waits = [204], 0.0
        self.headers: dict[str, str] = {}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                outer.got.append((dict(self.headers.items()), body))
                time.sleep(outer.waits)
                self.send_response(outer.answers.pop(0) if len(outer.answers) > 1 else outer.answers[0])
                for name, value in outer.headers.items():
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook?a=1"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def types(self) -> list[str]:
        return [json.loads(body)["type"] for _, body in self.got]


@pytest.fixture
def listener() -> Iterator[Listener]:
    found = Listener()
    yield found
    found.server.shutdown()
    found.server.server_close()


@pytest.fixture
def shop(settings: Settings) -> Shop:
    """One whose webhooks may be on this machine."""
    return Shop(replace(settings, webhook_networks=HERE))


def deliver(shop: Shop) -> int:
    while feed.tell(shop.store):
        pass
    return deliveries.deliver(shop.store, shop.settings, "hel")


def later(shop: Shop, seconds: float = 0) -> int:
    """What waits is due, as if so long had gone by."""
    due = keys.depot_key("hel", "deliver_due")
    for name, at in shop.store.zrange(due, 0, -1, withscores=True):
        shop.store.zadd(due, {name: at - seconds if seconds else 0})
    return deliver(shop)


def hook(shop: Shop, url: str, key: str | None = None, **more: Any) -> dict[str, Any]:
    found: dict[str, Any] = shop.made("/v1/webhooks", {"url": url} | more, key=shop.shipper if key is None else key)
    return found


def log(shop: Shop, made: dict[str, Any], **query: Any) -> list[dict[str, Any]]:
    path = f"/v1/webhooks/{made['id']}/deliveries?depot_id=hel" + "".join(f"&{name}={value}" for name, value in query.items())
    found: list[dict[str, Any]] = shop.call("GET", path).json["deliveries"]
    return found


def test_events_come_signed_and_in_order(shop: Shop, listener: Listener) -> None:
    """As the standard's own library verifies them, with what the feed says; only one's own, only what is wanted, from now on."""
    shop.depot()
    shop.order()
    deliver(shop)
    made = hook(shop, listener.url)
    picky = hook(shop, listener.url.replace("a=1", "a=2"), types=["order.cancelled"])
    rival = make_key(shop.store, Role.SHIPPER, tenant="acme")[0]
    hook(shop, listener.url.replace("a=1", "rival"), key=rival)
    order = shop.order(SPOTS[1], external_id="A")
    shop.call("DELETE", f"/v1/orders/{order['id']}", key=shop.shipper)
    assert deliver(shop) == 3
    assert sorted(listener.types) == ["order.accepted", "order.cancelled", "order.cancelled"]
    events = [event for event in shop.call("GET", "/v1/events?depot_id=hel", key=shop.shipper).json["events"]
              if event["data"]["order_id"] == order["id"]]  # fmt: skip
    whole = [row for row in listener.got if Verifies(made["secret"])(row)]
    assert [json.loads(body) for _, body in whole] == events
    assert [headers["webhook-id"] for headers, _ in whole] == [event["id"] for event in events]
    assert sum(Verifies(picky["secret"])(row) for row in listener.got) == 1
    assert deliver(shop) == 0
    assert len(listener.got) == 3


class Verifies:
    def __init__(self, secret: str) -> None:
        self.verifier = Verifier(secret)

    def __call__(self, row: tuple[dict[str, str], str]) -> bool:
        try:
            self.verifier.verify(row[1], row[0])
        except WebhookVerificationError:
            return False
        return True


def test_a_listener_that_fails_gets_it_again_and_again_for_a_day(shop: Shop, listener: Listener) -> None:
    """The same message, ever longer waits; after a day it is dead, and sent again by hand from the beginning."""
    shop.depot()
    made = hook(shop, listener.url)
    listener.answers = [500]
    shop.order()
    waits = []
    assert deliver(shop) == 0
    for _ in range(len(deliveries.RETRIES_S)):
        (row,) = log(shop, made)
        assert row["state"] == "pending"
        delivery = deliveries.found(shop.store, "hel", made["id"], 1)
        assert delivery is not None
        assert delivery.next_at is not None
        waits.append(delivery.next_at - delivery.tries[-1].at)
        assert later(shop) == 0
    told = sum(deliveries.RETRIES_S)
    assert 23 * 3600 < told < 24 * 3600
    assert told * (1 - deliveries.JITTER) <= sum(waits) <= told * (1 + deliveries.JITTER)
    assert all(a < b for a, b in zip(waits, waits[1:], strict=False))
    (row,) = log(shop, made, state="dead")
    assert (row["attempts"], row["tries"][-1]["error"]) == (len(deliveries.RETRIES_S) + 1, "HTTP 500")
    assert len({headers["webhook-id"] for headers, _ in listener.got}) == 1
    count = len(listener.got)
    assert later(shop) == 0
    assert len(listener.got) == count, "what is dead is not sent"
    listener.answers = [200]
    answer = shop.call("POST", f"/v1/webhooks/{made['id']}/deliveries/{row['event_id']}/retry", key=shop.shipper)
    assert (answer.status_code, answer.json["state"]) == (202, "pending")
    assert deliver(shop) == 1
    assert [row["state"] for row in log(shop, made)] == ["delivered"]


def test_all_dead_ones_can_be_sent_again(shop: Shop, listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deliveries, "RETRIES_S", ())
    monkeypatch.setattr(deliveries, "RESTS_S", 0.0)
    shop.depot()
    made = hook(shop, listener.url)
    listener.answers = [503]
    for place in SPOTS[:3]:
        shop.order(place)
    for _ in range(3):
        later(shop)
    assert len(log(shop, made, state="dead")) == 3
    listener.answers = [200]
    assert shop.call("POST", f"/v1/webhooks/{made['id']}/retry?depot_id=hel", key=shop.shipper).json == {"retried": 3}
    assert later(shop) == 3


def test_a_listener_that_is_down_rests_and_does_not_hold_up_others(shop: Shop, listener: Listener) -> None:
    """One try, not one for each message; what waits is sent in order when it is back."""
    shop.depot()
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        down = hook(shop, f"http://127.0.0.1:{closed.getsockname()[1]}/")
        up = hook(shop, listener.url)
        for place in SPOTS[:3]:
            shop.order(place)
        assert deliver(shop) == 3
    assert [len(row["tries"]) for row in log(shop, down)] == [0, 0, 1]
    assert [row["state"] for row in log(shop, up)] == ["delivered"] * 3
    assert shop.store.zscore(keys.shared_key("deliverable"), "hel") > time.time(), "nothing is due before it has rested"
    shop.call("PATCH", f"/v1/webhooks/{down['id']}", {"url": listener.url}, key=shop.shipper)
    listener.got.clear()
    assert later(shop) == 3
    assert [json.loads(body)["sequence"] for _, body in listener.got] == [1, 2, 3]


def test_retry_after_is_heeded_and_gone_is_gone(shop: Shop, listener: Listener) -> None:
    """429 with a wait; 410 disables; enabled again it hears what waited, and what comes."""
    shop.depot()
    made = hook(shop, listener.url)
    listener.answers, listener.headers = [429], {"Retry-After": "900"}
    shop.order()
    deliver(shop)
    delivery = deliveries.found(shop.store, "hel", made["id"], 1)
    assert delivery is not None
    assert delivery.next_at is not None
    assert delivery.next_at - delivery.tries[-1].at == 900
    listener.answers = [410]
    later(shop)
    assert shop.call("GET", f"/v1/webhooks/{made['id']}", key=shop.shipper).json["why_disabled"] == "it answered 410 Gone"
    count = len(listener.got)
    later(shop)
    assert len(listener.got) == count
    assert shop.call("POST", f"/v1/webhooks/{made['id']}/retry?depot_id=hel", key=shop.shipper).status_code == 409
    shop.call("PATCH", f"/v1/webhooks/{made['id']}", {"enabled": True}, key=shop.shipper)
    listener.answers = [200]
    shop.order(SPOTS[1])
    assert deliver(shop) == 2


def test_what_waits_while_a_webhook_is_disabled_is_sent_afterwards(shop: Shop, listener: Listener) -> None:
    """It stays in the log; what happens in between is in the feed alone."""
    shop.depot()
    made = hook(shop, listener.url)
    listener.answers = [500]
    for place in SPOTS[:2]:
        shop.order(place)
    deliver(shop)
    change = partial(shop.call, "PATCH", f"/v1/webhooks/{made['id']}", key=shop.shipper)
    change({"enabled": False})
    shop.order(SPOTS[2])
    assert later(shop) == 0
    assert [row["state"] for row in log(shop, made)] == ["pending"] * 2
    listener.answers = [200]
    change({"enabled": True})
    assert deliver(shop) == 2
    assert [json.loads(body)["sequence"] for _, body in listener.got[-2:]] == [1, 2]


def test_a_backlog_of_days_is_given_up_with_its_first(shop: Shop, listener: Listener) -> None:
    """A dead listener is not tried for each of a thousand old messages; they can be sent again by hand."""
    shop.depot()
    made = hook(shop, listener.url)
    listener.answers = [500]
    for place in SPOTS[:3]:
        shop.order(place)
    deliver(shop)
    name = keys.depot_key("hel", "deliveries")
    for field, text in shop.store.hgetall(name).items():
        old = json.loads(text)
        shop.store.hset(name, field, json.dumps(old | {"created_at": old["created_at"] - deliveries.GIVEN_UP_S}))
    tried = len(listener.got)
    later(shop)
    assert len(listener.got) == tried + 1
    assert [row["state"] for row in log(shop, made)] == ["dead"] * 3
    listener.answers = [200]
    assert shop.call("POST", f"/v1/webhooks/{made['id']}/retry?depot_id=hel", key=shop.shipper).json == {"retried": 3}
    assert later(shop) == 3


def test_a_slow_listener_holds_nobody_up(shop: Shop, listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though it says 200 in the end; and the test events of one shipper leave threads for others' calls."""
    other = Listener()
    monkeypatch.setattr(deliveries, "TURN_S", 0.5)
    shop.depot()
    listener.waits = 2.0
    hook(shop, listener.url)
    quick = hook(shop, other.url)
    shop.order()
    while feed.tell(shop.store):
        pass
    working = threading.Thread(target=deliver, args=(shop,))
    working.start()
    wait_for(lambda: listener.got and other.got, what="both")
    time.sleep(0.7)  # longer than a turn
    shop.order(SPOTS[1])
    while feed.tell(shop.store):
        pass
    wait_for(lambda: len(other.got) == 2, seconds=1.0, what="the second, while the slow one takes its time over the first")
    assert working.is_alive()
    working.join()
    other.waits = 1.0
    path = f"/v1/webhooks/{quick['id']}/test"
    told: list[int] = []
    callers = [threading.Thread(target=lambda: told.append(shop.app.test_client().post(
        path, headers={"Authorization": f"Bearer {shop.shipper}"}).status_code)) for _ in range(4)]  # fmt: skip
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert sorted(told) == [200, 200, 503, 503]
    other.server.shutdown()
    other.server.server_close()


def test_a_host_that_is_not_resolved_in_time_is_none(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The resolver of the system has no limit of its own."""
    monkeypatch.setattr(webhooks, "RESOLVE_S", 0.1)
    monkeypatch.setattr("ingest.webhooks.socket.getaddrinfo", lambda *args, **kwargs: time.sleep(1.0))
    answer = shop.call("POST", "/v1/webhooks", {"url": "https://slow.example/"}, key=shop.shipper)
    assert (answer.status_code, answer.json["errors"][0]["code"]) == (422, "unsafe_url")


def test_operators_may_have_as_many_as_each_shipper(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shippers' webhooks are not theirs."""
    monkeypatch.setattr(webhooks, "MOST", 2)
    for _ in range(2):
        hook(shop, "http://127.0.0.1:9/")
    refused = shop.call("POST", "/v1/webhooks", {"url": "http://127.0.0.1:9/"}, key=shop.shipper)
    assert (refused.status_code, refused.json["code"]) == (409, "too_many_webhooks")
    hook(shop, "http://127.0.0.1:9/", key=shop.operator)


def test_a_redirect_is_no_delivery(shop: Shop, listener: Listener) -> None:
    """Nobody is followed to where nobody has judged."""
    shop.depot()
    made = hook(shop, listener.url)
    listener.answers, listener.headers = [302], {"Location": listener.url}
    shop.order()
    assert deliver(shop) == 0
    assert len(listener.got) == 1
    assert log(shop, made)[0]["tries"][0]["error"] == "HTTP 302"


def test_a_secret_is_changed_with_both_good_for_a_while(shop: Shop, listener: Listener) -> None:
    """Whoever has either can verify; after the overlap only the new one is good."""
    shop.depot()
    made = hook(shop, listener.url)
    new = shop.made(f"/v1/webhooks/{made['id']}/rotate", {"overlap": 3600}, key=shop.shipper)
    assert new["secret"] != made["secret"]
    assert new["earlier_secret_until"] is not None
    shop.order()
    deliver(shop)
    assert Verifies(made["secret"])(listener.got[0])
    assert Verifies(new["secret"])(listener.got[0])
    found = webhooks.one(shop.store, made["id"])
    assert found is not None
    assert found.secrets(time.time() + 3601) == [new["secret"]]
    newest = shop.made(f"/v1/webhooks/{made['id']}/rotate", {"overlap": 0}, key=shop.shipper)
    shop.order(SPOTS[1])
    deliver(shop)
    good = [Verifies(secret)(listener.got[1]) for secret in (made["secret"], new["secret"], newest["secret"])]
    assert good == [False, False, True]


def test_a_test_event_says_what_came_of_it(shop: Shop, listener: Listener) -> None:
    shop.depot()
    made = hook(shop, listener.url)
    told = shop.made(f"/v1/webhooks/{made['id']}/test", None, key=shop.shipper)
    assert (told["delivered"], told["status"]) == (True, 204)
    assert listener.types == ["webhook.test"]
    assert Verifies(made["secret"])(listener.got[0])
    listener.answers = [404]
    told = shop.made(f"/v1/webhooks/{made['id']}/test", None, key=shop.shipper)
    assert (told["delivered"], told["error"]) == (False, "HTTP 404")


def test_whoever_drips_is_cut_off(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A listener that sends a byte now and then for ever does not hold a worker."""
    monkeypatch.setattr(webhooks, "WHOLE_S", 0.5)
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()

        def drip() -> None:
            connection, _ = server.accept()
            with connection:
                try:
                    for byte in b"HTTP/1.1 200 OK\r\nX-A: " + b"a" * 100:
                        connection.send(bytes([byte]))
                        time.sleep(0.05)
                except OSError:
                    pass

        threading.Thread(target=drip, daemon=True).start()
        made = webhooks.Webhook("wh_1", "acme", "", f"http://127.0.0.1:{server.getsockname()[1]}/", webhooks.new_secret(), 0.0)
        begin = time.monotonic()
        sent = webhooks.send(made, "evt_1", b"{}", HERE)
        assert not sent.delivered
        assert time.monotonic() - begin < 3


NOWHERE = [
    "http://example.com/", "https://127.0.0.1/", "https://localhost/", "https://[::1]/", "https://169.254.169.254/latest/meta-data",
    "https://10.1.2.3/", "https://192.168.0.1/", "https://172.16.5.4/", "https://100.64.0.1/", "https://0.0.0.0/", "https://[::]/",
    "https://[::ffff:127.0.0.1]/", "https://[64:ff9b::7f00:1]/", "https://[fd00::1]/", "https://[fe80::1]/", "https://2130706433/",
    "https://0x7f.1/", "https://224.0.0.1/", "https://255.255.255.255/", "https://user:pw@93.184.216.34/", "https://no.such.host.invalid/",
    "https://[2002:7f00:1::]/", "https://[64:ff9b:1::7f00:1]/", "https://[fec0::1]/", "https://[::10.0.0.1]/",
    "https://[::ffff:0:127.0.0.1]/", "https://192.0.0.8/", "https://192.88.99.1/", "https://[5f00::1]/", "https://[3fff::1]/",
]  # fmt: skip


@pytest.mark.parametrize("url", NOWHERE)
@one_server
def test_nothing_is_sent_to_places_that_are_nobodys_business(settings: Settings, url: str) -> None:
    """Refused when it is asked for, and again when it is sent: a name may have come to mean something else."""
    shop = Shop(settings)
    shop.depot()
    answer = shop.call("POST", "/v1/webhooks", {"url": url}, key=shop.shipper)
    assert (answer.status_code, answer.json["code"], answer.json["errors"][0]["pointer"]) == (422, "unsafe_url", "/url")
    made = webhooks.Webhook("wh_1", "acme", "", url, webhooks.new_secret(), 0.0)
    sent = webhooks.send(made, "evt_1", b"{}", ())
    assert sent.error.startswith("refused: ")


def test_a_name_that_changes_its_mind_is_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The address that was judged is the one that is connected to; of several, all must be good."""
    def resolve(addresses: list[str]) -> Callable[..., Any]:
        return lambda host, port, **_: [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    from urllib.parse import urlsplit

    monkeypatch.setattr(socket, "getaddrinfo", resolve(["93.184.216.34"]))
    assert webhooks.judged(urlsplit("https://shop.example/"), ()) == "93.184.216.34"
    monkeypatch.setattr(socket, "getaddrinfo", resolve(["93.184.216.34", "10.0.0.1"]))
    with pytest.raises(webhooks.Unsafe):
        webhooks.judged(urlsplit("https://shop.example/"), ())


def test_the_address_that_was_judged_is_the_one_that_is_sent_to(listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name is looked up once: what it means a moment later nobody asks."""
    look_up, asked = socket.getaddrinfo, []

    def resolve(host: str, port: int, *args: Any, **more: Any) -> Any:
        if host == "shop.example":
            asked.append(host)
            return look_up("127.0.0.1" if len(asked) == 1 else "10.255.255.1", port, *args, **more)
        return look_up(host, port, *args, **more)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    made = webhooks.Webhook("wh_1", "acme", "", listener.url.replace("127.0.0.1", "shop.example"), webhooks.new_secret(), 0.0)
    assert webhooks.send(made, "evt_1", b"{}", HERE).delivered
    assert asked == ["shop.example"]
    assert listener.got[0][0]["Host"].startswith("shop.example:")


def test_webhooks_are_their_owners(shop: Shop, listener: Listener) -> None:
    """Another shipper has no part in them; operators of the tenant see them, another tenant's do not. Secrets are told once."""
    shop.depot()
    made = hook(shop, listener.url)
    rival = make_key(shop.store, Role.SHIPPER, tenant="acme")[0]
    stranger = make_key(shop.store, Role.OPERATOR, tenant="rival")[0]
    for key in (rival, stranger):
        assert shop.call("GET", "/v1/webhooks", key=key).json == {"webhooks": []}
        for method, path in (("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/rotate"), ("POST", "/test"),
                             ("GET", "/deliveries?depot_id=hel"), ("POST", "/retry?depot_id=hel")):  # fmt: skip
            body: Any = {} if method in ("PATCH", "POST") else None
            assert shop.call(method, f"/v1/webhooks/{made['id']}{path}", body, key=key).status_code == 404, path
    assert made["secret"] not in shop.call("GET", "/v1/webhooks").text
    assert shop.call("POST", "/v1/webhooks", {"url": listener.url, "depots": ["hel"]}, key=stranger).status_code == 404
    assert shop.call("DELETE", f"/v1/webhooks/{made['id']}", key=shop.shipper).status_code == 204
    shop.order()
    assert deliver(shop) == 0


def test_a_webhook_of_operators_hears_of_plans(shop: Shop, listener: Listener) -> None:
    from workers import replan

    shop.depot()
    hook(shop, listener.url, key=shop.operator, types=["plan.*"])
    shop.crew("anna")
    shop.order()
    replan.repair(shop.store, shop.settings, "hel")
    assert deliver(shop) == 1
    assert json.loads(listener.got[0][1])["data"]["drivers"] == ["hel.anna"]


def test_the_log_goes_with_the_feed(shop: Shop, listener: Listener) -> None:
    shop.depot()
    made = hook(shop, listener.url)
    shop.order()
    deliver(shop)
    shop.store.xtrim(keys.depot_key("hel", "feed"), maxlen=0, approximate=False)
    deliveries.forget(shop.store, "hel")
    assert log(shop, made) == []
    assert shop.store.hlen(keys.depot_key("hel", "deliveries")) == 0
    assert readers.feed_ends(shop.store, "hel") == (2, 1)


def test_networks_are_a_setting() -> None:
    read = Settings.read({"LASTLEG_WEBHOOK_NETWORKS": "10.0.0.0/8 fd00::/8"})
    assert [str(network) for network in read.webhook_networks] == ["10.0.0.0/8", "fd00::/8"]
    with pytest.raises(BadSettings):
        Settings.read({"LASTLEG_WEBHOOK_NETWORKS": "10.0.0.1/8"})


def test_a_delivery_is_dropped_with_what_it_was_of() -> None:
    """Types and depots narrow; what was told before is not for a new listener."""
    hook = webhooks.Webhook("wh", "acme", "shop", "https://x.example", "whsec_eA==", 10.0, ("order.*",), ("hel",))
    assert hook.wants("hel", "acme", "shop", "order.planned", 11.0)
    for wrong in (("tam", "acme", "shop", "order.planned", 11.0), ("hel", "x", "shop", "order.planned", 11.0),
                  ("hel", "acme", "y", "order.planned", 11.0), ("hel", "acme", "", "order.planned", 11.0),
                  ("hel", "acme", "shop", "plan.published", 11.0), ("hel", "acme", "shop", "order.planned", 9.0)):  # fmt: skip
        assert not hook.wants(*wrong), wrong
    assert not msgspec.structs.replace(hook, enabled=False).wants("hel", "acme", "shop", "order.planned", 11.0)


@pytest.fixture
def local_hooks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LASTLEG_WEBHOOK_NETWORKS", "127.0.0.0/8")


@pytest.mark.usefixtures("local_hooks")
def test_the_running_system_delivers(stack: Any, listener: Listener) -> None:
    """Dispatcher, `rq worker deliver` and a listener: an order is told of within seconds."""
    import requests

    def post(path: str, body: Any) -> Any:
        answer = requests.post(stack.url + path, json=body, headers={"Authorization": f"Bearer {stack.operator_key}"}, timeout=10)
        assert answer.status_code < 300, answer.text
        return answer.json()

    from tests.conftest import HOME
    from tests.conftest import order as order_body

    post("/v1/depots", {"id": "hel", "map": "helsinki", "location": HOME, "dimensions": ["parcels"]})
    made = post("/v1/webhooks", {"url": listener.url})
    post("/v1/orders", order_body())
    wait_for(lambda: "order.accepted" in listener.types, seconds=15, what="a message")
    assert Verifies(made["secret"])(listener.got[0])


def test_gone_undoes_nothing_that_came_meanwhile(shop: Shop, listener: Listener) -> None:
    """A webhook that was rotated, or deleted, while its listener said that it is gone."""
    shop.depot()
    made = hook(shop, listener.url)
    found = webhooks.one(shop.store, made["id"])
    assert found is not None
    rotated = shop.made(f"/v1/webhooks/{made['id']}/rotate", {}, key=shop.shipper)
    deliveries._silence(shop.store, found)
    now = webhooks.one(shop.store, made["id"])
    assert now is not None
    assert (now.secret, now.enabled) == (rotated["secret"], False)
    shop.call("DELETE", f"/v1/webhooks/{made['id']}", key=shop.shipper)
    deliveries._silence(shop.store, found)
    assert webhooks.one(shop.store, made["id"]) is None


def test_a_listener_with_much_to_hear_does_not_hold_up_others(shop: Shop, listener: Listener, monkeypatch: pytest.MonkeyPatch
                                                              ) -> None:  # fmt: skip
    """Of each only so many are taken at a time."""
    monkeypatch.setattr(deliveries, "EACH", 2)
    shop.depot()
    busy = hook(shop, listener.url, key=shop.operator, types=["order.accepted"])
    calm = hook(shop, listener.url, key=shop.operator, types=["order.cancelled"])
    for place in SPOTS[:5]:
        made = shop.order(place)
    while feed.tell(shop.store):
        pass
    shop.call("DELETE", f"/v1/orders/{made['id']}", key=shop.shipper)
    while feed.tell(shop.store):
        pass
    depot = readers.depot(shop.store, "hel")
    assert depot is not None
    deliveries._fan_out(shop.store, depot)
    due = deliveries._due(shop.store, "hel", {webhook.id: webhook for webhook in webhooks.every(shop.store)})
    assert {name: len(rows) for name, rows in due.items()} == {busy["id"]: 2, calm["id"]: 1}
