"""What a driver's app is promised beyond routes: acknowledgement, breaks, proof; and its page, line by line."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from datetime import datetime
from typing import Any

from ingest.settings import ROOT
from ingest.store import keys, readers, writers
from tests.conftest import HOME, SPOTS, Shop, one_server, wait_for
from workers import replan
from workers.formulation import problem_of


def repair(shop: Shop) -> int:
    return replan.repair(shop.store, shop.settings, "hel")


def acknowledge(shop: Shop, token: str, version: int) -> Any:
    return shop.call("POST", "/v1/drivers/me/acks", {"route_version": version}, key=token)


def triggers(shop: Shop) -> list[tuple[str, str]]:
    snapshot = readers.snapshot(shop.store, "hel")
    assert snapshot is not None
    return [(trigger.kind, trigger.subject) for trigger in snapshot.triggers]


def fire(shop: Shop, kind: str, subject: str) -> bool:
    """The time of a timer has come."""
    member = f"hel {kind} {subject}"
    if shop.store.zscore(keys.shared_key("timers"), member) is None:
        return False
    shop.store.zadd(keys.shared_key("timers"), {member: time.time() - 1})
    return writers.due(shop.store, "hel", "timer", member, kind, subject, time.time())


def planned(shop: Shop, **policy: Any) -> str:
    """Anna is on the road with one stop. Her token."""
    shop.depot(policy=policy)
    anna = shop.crew("anna")
    shop.order(SPOTS[1], kind="service", demand={}, service_time=300)
    repair(shop)
    shop.leave(anna)
    return anna


def test_the_newest_version_that_was_acknowledged_counts(shop: Shop) -> None:
    """Whatever comes late; a version that there is not is refused."""
    anna = planned(shop)
    assert acknowledge(shop, anna, 1).json == {"acknowledged": 1, "route_version": 1}
    assert acknowledge(shop, anna, 0).json == {"acknowledged": 1, "route_version": 1}
    refused = acknowledge(shop, anna, 2)
    assert (refused.status_code, refused.json["errors"][0]["pointer"]) == (422, "/route_version")
    assert shop.call("GET", "/v1/drivers/me/route", key=anna).json["acknowledged"] == 1
    assert shop.call("GET", "/v1/depots/hel/plan").json["routes"][0]["acknowledged"] == 1


@one_server
def test_a_route_that_nobody_acknowledges_asks_for_a_re_solve(shop: Shop) -> None:
    """After the policy's time; not if it was acknowledged, and not by default."""
    anna = planned(shop, ack_after=30)
    repair(shop)
    assert fire(shop, "unacknowledged", "hel.anna")
    assert triggers(shop) == [("unacknowledged", "hel.anna")]
    repair(shop)
    shop.order(SPOTS[2], kind="service", demand={})
    assert repair(shop) == 1
    version = shop.call("GET", "/v1/drivers/me/route", key=anna).json["route_version"]
    acknowledge(shop, anna, version)
    assert not fire(shop, "unacknowledged", "hel.anna")
    shop.call("PATCH", "/v1/depots/hel", {"policy": {"ack_after": None}})
    repair(shop)
    shop.order(SPOTS[3], kind="service", demand={})
    assert repair(shop) == 1
    assert shop.store.zscore(keys.shared_key("timers"), "hel unacknowledged hel.anna") is None


@one_server
def test_a_break_puts_off_what_follows_and_ends_by_itself(shop: Shop) -> None:
    """Nobody who has a break is silent, and stops stay with the driver."""
    anna = planned(shop)
    repair(shop)
    start = shop.call("GET", "/v1/depots/hel").json["clock"]["now"]
    until = start[:11] + "09:30:00Z"
    body = {"event_id": "b", "type": "on_break", "occurred_at": start, "until": until}
    assert shop.call("POST", "/v1/drivers/me/events", body, key=anna).status_code == 200
    assert shop.call("GET", "/v1/drivers/hel.anna").json["state"] == "on_break"
    assert ("driver_on_break", "hel.anna") in triggers(shop)
    repair(shop)
    [stop] = shop.call("GET", "/v1/depots/hel/plan").json["routes"][0]["stops"]
    snapshot = readers.snapshot(shop.store, "hel")
    assert snapshot is not None
    problem, _ = problem_of(shop.settings, snapshot, at=time.time())
    assert problem.crews[0].ready == int(datetime.fromisoformat(until).timestamp())
    assert problem.crews[0].frozen, f"{stop} is hers all the same"
    shop.store.zadd(keys.shared_key("heard"), {"hel hel.anna": 0})
    assert not writers.due(shop.store, "hel", "silence", "hel hel.anna", "driver_silent", "hel.anna", time.time())
    assert shop.store.zscore(keys.shared_key("heard"), "hel hel.anna") > time.time() + 3600
    assert fire(shop, "break_over", "hel.anna")
    assert shop.call("GET", "/v1/drivers/hel.anna").json["state"] == "available"
    assert ("break_over", "hel.anna") in triggers(shop)


@one_server
def test_a_break_ends_when_the_driver_says_so(shop: Shop) -> None:
    """And the report of its beginning that comes after that changes nothing."""
    anna = planned(shop)
    told = [{"event_id": "e", "type": "off_break", "occurred_at": "2030-01-01T08:00:02Z"},
            {"event_id": "b", "type": "on_break", "occurred_at": "2030-01-01T08:00:01Z"}]  # fmt: skip
    for body in told:
        assert shop.call("POST", "/v1/drivers/me/events", body, key=anna).status_code == 200
    assert shop.call("GET", "/v1/drivers/hel.anna").json["state"] == "available"
    wrong = {"event_id": "x", "type": "off_break", "occurred_at": "2030-01-01T08:00:02Z", "until": "2030-01-01T09:00:00Z"}
    assert shop.call("POST", "/v1/drivers/me/events", wrong, key=anna).status_code == 422


@one_server
def test_proof_is_kept_with_the_recipient_and_erased_with_it(shop: Shop) -> None:
    """The shipper sees it; the archive of events does not have it."""
    anna = planned(shop)
    [stop] = shop.call("GET", "/v1/depots/hel/plan").json["routes"][0]["stops"]
    proof = {"note": "with the neighbour", "code": "4711", "signed_by": "Ada", "photos": ["s3://pod/1.jpg", "s3://pod/2.jpg"]}
    body = {"event_id": "1", "type": "completed", "occurred_at": "2030-01-01T08:00:01Z", "proof": proof}
    for _ in range(2):  # a phone that has not heard the answer
        assert shop.call("POST", f"/v1/stops/{stop['stop_id']}/events", body, key=anna).status_code == 200
    shown = shop.call("GET", f"/v1/orders/{stop['order_id']}", key=shop.shipper).json
    assert (shown["proof"], shown["recipient"]) == (proof, {})
    assert all("neighbour" not in event["data"] and "4711" not in event["data"] for _, event in readers.events(shop.store))
    assert shop.call("DELETE", f"/v1/orders/{stop['order_id']}/personal", key=shop.shipper).status_code == 204
    assert "proof" not in shop.call("GET", f"/v1/orders/{stop['order_id']}", key=shop.shipper).json
    early = {"event_id": "2", "type": "arrived", "occurred_at": "2030-01-01T08:00:01Z", "proof": proof}
    assert shop.call("POST", f"/v1/stops/{stop['stop_id']}/events", early, key=anna).status_code == 422


@one_server
def test_only_the_report_that_counts_brings_proof(shop: Shop) -> None:
    """Nobody else's, no replay's with other words, and none comes back that was erased."""
    anna, bob = planned(shop), shop.crew("bob")
    [stop] = shop.call("GET", "/v1/depots/hel/plan").json["routes"][0]["stops"]
    path, order = f"/v1/stops/{stop['stop_id']}/events", f"/v1/orders/{stop['order_id']}"
    body = {"event_id": "1", "type": "completed", "occurred_at": "2030-01-01T08:00:01Z", "proof": {"signed_by": "Ada"}}
    assert shop.call("POST", path, body, key=anna).status_code == 200
    other = body | {"event_id": "2", "type": "failed", "proof": {"note": "nobody home"}}
    assert shop.call("POST", path, other, key=bob).status_code == 200
    shop.call("POST", path, body | {"proof": {"note": "forged"}}, key=anna)
    assert shop.call("GET", order).json["proof"] == {"signed_by": "Ada"}
    shop.call("DELETE", order + "/personal")
    shop.call("POST", path, body, key=anna)
    assert "proof" not in shop.call("GET", order).json


@one_server
def test_a_drivers_token_sees_nobody_elses_route(shop: Shop) -> None:
    """Nor offers, nor acknowledges for others."""
    planned(shop)
    bob = shop.crew("bob")
    for method, path, body in (("GET", "/v1/drivers/hel.anna/route", None), ("GET", "/v1/drivers/hel.anna/offers", None),
                               ("POST", "/v1/drivers/hel.anna/acks", {"route_version": 1})):  # fmt: skip
        assert shop.call(method, path, body, key=bob).status_code == 404
    assert shop.call("GET", "/v1/depots/hel/near?lat=60.17&lon=24.94", key=bob).status_code == 403


def test_the_client_of_the_drivers_page_works_as_written(stack: Any) -> None:
    """docs/driver-app.md: its ten lines follow a route, acknowledge it, and make its stops, against the running system."""
    page = (ROOT / "docs" / "driver-app.md").read_text()
    client = re.search(r"```python\n(.*?)```", page, re.DOTALL)
    assert client is not None
    assert len(client[1].strip().splitlines()) <= 10
    import requests

    key = (stack.settings.state / "operator.key").read_text().strip()
    who = {"Authorization": f"Bearer {key}"}

    def made(path: str, body: Any) -> Any:
        return requests.post(stack.url + path, json=body, headers=who, timeout=10)

    def shown(path: str) -> Any:
        return requests.get(stack.url + path, headers=who, timeout=10).json()

    made("/v1/depots", {"id": "hel", "map": "helsinki", "location": HOME})
    made("/v1/drivers", {"depot_id": "hel", "id": "anna"})
    made("/v1/vehicles", {"depot_id": "hel", "id": "van"})
    hours = {"start": datetime.fromtimestamp(time.time() - 60).astimezone().isoformat(),
             "end": datetime.fromtimestamp(time.time() + 7200).astimezone().isoformat()}  # fmt: skip
    made("/v1/shifts", {"depot_id": "hel", "id": "day", "driver_id": "hel.anna", "vehicle_id": "hel.van"} | hours)
    token = made("/v1/keys", {"role": "driver", "driver_id": "hel.anna"}).json()["key"]
    order = made("/v1/orders", {"depot_id": "hel", "kind": "service", "location": SPOTS[1]}).json()["id"]
    script = client[1].replace("http://127.0.0.1:8080", stack.url).replace("TOKEN", token)
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        wait_for(lambda: shown(f"/v1/orders/{order}")["status"] == "completed", seconds=30, what="the client to make the stop")
        wait_for(lambda: shown("/v1/drivers/hel.anna/route")["acknowledged"] >= 1, what="the acknowledgement")
    finally:
        process.kill()
        _, error = process.communicate()
        assert not error, error.decode()
    _offered(stack.url, token, who)


def _offered(url: str, token: str, operator: dict[str, str]) -> None:
    """An order that cannot wait reaches the same driver's stream, is accepted, and is in the route."""
    import requests

    hers = {"Authorization": f"Bearer {token}"}
    now = datetime.now().astimezone().isoformat()
    requests.post(f"{url}/v1/drivers/me/pings", json=[HOME | {"seq": 1, "recorded_at": now}], headers=hers, timeout=10)
    with requests.get(f"{url}/v1/drivers/me/stream", headers=hers, stream=True, timeout=20) as stream:
        body = {"depot_id": "hel", "kind": "service", "location": SPOTS[2], "dispatch": "immediate"}
        order = requests.post(f"{url}/v1/orders", json=body, headers=operator, timeout=10).json()
        lines = stream.iter_lines(decode_unicode=True)
        assert next(line for line in lines if line == "event: offer")
        offer = json.loads(next(lines).removeprefix("data: "))
        assert (offer["order_id"], offer["state"]) == (order["id"], "open")
        report = {"event_id": "yes", "type": "accepted", "occurred_at": now}
        assert requests.post(f"{url}/v1/stops/{offer['stop_id']}/events", json=report, headers=hers, timeout=10).status_code == 200
        assert next(line for line in lines if line.startswith("data: ") and '"accepted"' in line)
        assert next(line for line in lines if line == "event: route")
        assert order["id"] in next(line for line in lines if line.startswith("data: "))
