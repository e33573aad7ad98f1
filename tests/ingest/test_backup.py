"""A depot goes into a file and comes back; data of older schemas are brought up."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from ingest.settings import ROOT
from ingest.store import backup, keys, migrations, readers
from ingest.store.connection import WrongSchema, check_schema
from tests.conftest import SPOTS, Shop
from workers import replan

OLD = Path(__file__).with_name("schema-1.jsonl")
"""A depot as the first version of this program kept it: two drivers, one on the road, five orders, one of them unanswered."""


def seen(shop: Shop, depot: str = "hel") -> dict[str, Any]:
    """All that people see of a depot."""
    paths = [f"/v1/depots/{depot}/plan", f"/v1/depots/{depot}/plans", f"/v1/drivers/{depot}.anna/route"]
    paths += [f"/v1/{family}?depot_id={depot}" for family in ("orders", "drivers", "shifts")]
    return {path: shop.call("GET", path).json | {"version": 0} for path in paths}


def busy(shop: Shop) -> None:
    shop.depot()
    token = shop.crew("anna")
    for spot in SPOTS[:4]:
        shop.order(spot, recipient={"name": "Ada"})
    replan.repair(shop.store, shop.settings, "hel")
    shop.leave(token)
    ping = SPOTS[0] | {"seq": 1, "recorded_at": "2030-01-01T08:00:00Z"}
    assert shop.call("POST", "/v1/drivers/me/pings", [ping], key=token).json["stored"] == 1
    current = shop.call("GET", "/v1/drivers/me/route", key=token).json["shifts"][0]["stops"][0]["stop_id"]
    shop.event(token, current, "arrived", event_id="there")


def test_a_depot_comes_back_as_it_was(shop: Shop) -> None:
    """With its people's names, its versions and its drivers' progress; the next plan goes on from there."""
    busy(shop)
    before, lines = seen(shop), list(backup.dump(shop.store, "hel"))
    shop.depot("other")
    shop.store.delete(*shop.store.scan_iter(match="lastleg:{hel}:*"))
    shop.store.srem(keys.shared_key("depots"), "hel")
    assert shop.call("GET", "/v1/depots/hel").status_code == 404
    assert backup.load(shop.store, lines) == "hel"
    assert seen(shop) == before
    assert shop.order(SPOTS[5], kind="collection")["status"] == "accepted"
    assert replan.repair(shop.store, shop.settings, "hel") == 1
    plan = shop.call("GET", "/v1/depots/hel/plan").json
    assert plan["version"] > 1000
    assert shop.call("GET", f"/v1/depots/hel/plans/{plan['version']}").json["routes"] == plan["routes"]


def test_no_version_is_given_out_twice(shop: Shop) -> None:
    """A depot that goes back to an older state tells every driver, under a version above all that they have heard of."""
    shop.depot()
    anna = shop.crew("anna")
    shop.order(SPOTS[0])
    replan.repair(shop.store, shop.settings, "hel")
    lines = list(backup.dump(shop.store, "hel"))
    for spot in SPOTS[1:4]:
        shop.order(spot)
        replan.repair(shop.store, shop.settings, "hel")
    heard = shop.call("GET", "/v1/drivers/me/route", key=anna)
    backup.load(shop.store, lines, replace=True)
    assert replan.repair(shop.store, shop.settings, "hel") == 1
    route = shop.call("GET", "/v1/drivers/me/route", key=anna, headers={"If-None-Match": heard.headers["ETag"]})
    assert route.status_code == 200
    assert route.json["route_version"] > heard.json["route_version"]
    assert len(route.json["shifts"][0]["stops"]) == 1
    later = readers.missed_routes(shop.store, "hel", "hel.anna", heard.json["route_version"], 100)
    assert [version for version, _ in later or []] == [route.json["route_version"]]


def test_shippers_are_told_on_above_all_that_they_have_heard(shop: Shop) -> None:
    """A cursor from after the backup does not miss what happens after the restore; what was told before is not told again."""
    shop.depot()
    first = shop.order(SPOTS[0])
    _tell(shop)
    lines = list(backup.dump(shop.store, "hel"))
    for spot in SPOTS[1:4]:
        shop.order(spot)
    _tell(shop)
    cursor = shop.call("GET", "/v1/events?depot_id=hel", key=shop.shipper).json["next_cursor"]
    backup.load(shop.store, lines, replace=True)
    shop.call("DELETE", f"/v1/orders/{first['id']}", key=shop.shipper)
    _tell(shop)
    after = shop.call("GET", f"/v1/events?depot_id=hel&after={cursor}", key=shop.shipper).json["events"]
    assert [(event["type"], event["data"]["order_id"]) for event in after] == [("order.cancelled", first["id"])]
    assert after[0]["sequence"] > 1000


def _tell(shop: Shop) -> None:
    from workers import feed

    while feed.tell(shop.store):
        pass


def test_what_is_sent_again_after_a_restore_counts_once(shop: Shop) -> None:
    """An order with its idempotency key, and a report with its id."""
    shop.depot()
    anna = shop.crew("anna")
    body = {"depot_id": "hel", "kind": "collection", "location": SPOTS[0]}
    made = shop.call("POST", "/v1/orders", body, headers={"Idempotency-Key": "k1"}).json
    replan.repair(shop.store, shop.settings, "hel")
    assert shop.event(anna, made["stop_id"], "arrived", event_id="1").status_code == 200
    lines = list(backup.dump(shop.store, "hel"))
    keys_ = shop.store.hgetall(keys.shared_key("keys"))
    shop.store.flushdb()
    shop.store.hset(keys.shared_key("keys"), mapping=keys_)
    backup.load(shop.store, lines)
    again = shop.call("POST", "/v1/orders", body, headers={"Idempotency-Key": "k1"})
    assert (again.status_code, again.json["id"]) == (200, made["id"])
    assert shop.event(anna, made["stop_id"], "arrived", event_id="1").json["replayed"] is True
    assert not [line for line in lines if "foreseen" in line or "lease" in line]


def test_nothing_is_overwritten_unasked(shop: Shop) -> None:
    """A depot that is there stays, and a broken file changes nothing."""
    busy(shop)
    lines = list(backup.dump(shop.store, "hel"))
    later = shop.order(SPOTS[5])["id"]
    head = json.loads(lines[0])
    heads = [head | {"schema": schema} for schema in ("99", "0", "²")]
    heads += [head | {"shared": shared} for shared in (1, {"dirty": [1]})]
    depot = next(number for number, line in enumerate(lines) if '"lastleg:{hel}:depot"' in line)
    document = json.loads(lines[depot])
    strange = [document | {"value": value} for value in ("{}", "garbage", 1, ["x"])]
    strange += [document | {"expires_at": "soon"}, document | {"type": "list"}, document | {"type": []}]
    more = [{"key": "lastleg:keys", "type": "string", "value": "x"}, {"key": "lastleg:{hel}:x", "type": "module", "value": "x"},
            {"key": "lastleg:{hel}:x", "type": "hash", "value": 1}, {"key": 1, "type": "string", "value": "x"},
            {"key": "lastleg:{hel}:x", "type": "zset", "value": [["a", "b"]]},
            {"key": "lastleg:{hel}:x", "type": "stream", "value": [["1-x", {"a": "b"}]]},
            {"key": "lastleg:{-}:once:order:x", "type": "string", "value": "x other.o1"}]  # fmt: skip
    for wrong in (lines, [*lines[:3], "{"], [], ["{}"], [*lines[:2], '{"key": 1}'], [lines[0]], lines[:-1], lines[: depot + 1],
                  *([json.dumps(other), *lines[1:]] for other in heads),
                  *([*lines[:depot], json.dumps(other), *lines[depot + 1 :]] for other in strange),
                  *([json.dumps(head | {"keys": len(lines)}), *lines[1:], json.dumps(other)] for other in more)):  # fmt: skip
        with pytest.raises(backup.BackupFault):
            backup.load(shop.store, wrong, replace=wrong is not lines)
    assert shop.call("GET", f"/v1/orders/{later}").status_code == 200
    backup.load(shop.store, lines, replace=True)
    assert shop.call("GET", f"/v1/orders/{later}").status_code == 404
    with pytest.raises(backup.BackupFault, match="There are: hel"):
        list(backup.dump(shop.store, "lund"))


def test_a_backup_is_of_one_moment(shop: Shop) -> None:
    """Taken while orders come in: every open order in it has its document, up to its revision."""
    shop.depot()
    over = threading.Event()

    def keep_ordering() -> None:
        mine = Shop(shop.settings)
        while not over.wait(0.02):
            mine.call("POST", "/v1/orders", {"depot_id": "hel", "kind": "service", "location": SPOTS[0]}, key=shop.operator)

    thread = threading.Thread(target=keep_ordering)
    thread.start()
    try:
        for _ in range(10):
            head, *rows = (json.loads(line) for line in backup.dump(shop.store, "hel"))
            found = {row["key"].rpartition(":")[2]: row["value"] for row in rows}
            if "open" in found:
                assert sorted(found["orders"]) == found["open"]
                assert max(map(int, found["record_rev"].values())) <= int(found["rev"])
            assert head["depot"] == "hel"
    finally:
        over.set()
        thread.join()


def test_the_commands_do_it(shop: Shop, tmp_path: Path) -> None:
    """`python -m workers backup` and `restore`, with a file only its owner can read."""
    busy(shop)
    before, file = seen(shop), tmp_path / "hel.jsonl"
    told = os.environ | {"REDIS_URL": str(shop.settings.redis_url), "LASTLEG_STATE": str(tmp_path)}

    def workers(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-m", "workers", *words], env=told, cwd=ROOT, capture_output=True, text=True)

    assert workers("backup", "hel", "--out", str(file)).returncode == 0
    assert file.stat().st_mode & 0o077 == 0
    shop.store.flushdb()
    shop = Shop(shop.settings)  # with new keys of callers
    done = workers("restore", str(file))
    assert done.stdout == "depot hel is back; a plan is asked for\n", done.stderr
    assert seen(shop) == before
    again = workers("restore", str(file))
    assert (again.returncode, again.stderr[:7]) == (1, "backup:")
    missing = workers("restore", str(tmp_path / "none.jsonl"))
    assert (missing.returncode, missing.stderr.count("\n")) == (1, 1)


def test_data_of_the_first_schema_are_brought_up(shop: Shop) -> None:
    """In place by `migrate`, after a start was refused: all is there, and the unanswered order is answered."""
    head, *rows = (json.loads(line) for line in OLD.read_text().splitlines())
    shop.store.set(keys.shared_key("schema"), "1")
    shop.store.sadd(keys.shared_key("depots"), "old")
    for row in rows:
        backup._SET[row["type"]](shop.store, row["key"], row["value"])
    for name, members in head["shared"].items():
        if members:
            shop.store.zadd(keys.shared_key(name), dict(members))
    with pytest.raises(WrongSchema, match="migrate"):
        check_schema(shop.store)
    assert migrations.migrate(shop.store) == (1, 1)
    check_schema(shop.store)
    _works(shop)


def test_an_old_backup_is_brought_up_too(shop: Shop) -> None:
    """By `restore`, into data of this schema."""
    backup.load(shop.store, OLD.read_text().splitlines())
    _works(shop)


def _works(shop: Shop) -> None:
    before = seen(shop, "old")
    assert len(before["/v1/depots/old/plans"]["plans"]) == 1
    statuses = {order["external_id"] or "new": order["status"] for order in before["/v1/orders?depot_id=old"]["orders"]}
    assert sorted(statuses.values()) == ["accepted", "en_route", "planned", "planned", "planned"]
    assert statuses["new"] == "accepted"
    assert shop.store.zscore(keys.shared_key("dirty"), "old") == 0
    assert replan.repair(shop.store, shop.settings, "old") == 1
    after = {order["external_id"] or "new": order["status"] for order in seen(shop, "old")["/v1/orders?depot_id=old"]["orders"]}
    assert after["new"] in {"planned", "unassigned"}
    shop.order(SPOTS[1], depot_id="old")


def test_data_of_a_newer_program_are_left_alone(shop: Shop) -> None:
    """By `migrate` as well."""
    shop.store.set(keys.shared_key("schema"), "99")
    with pytest.raises(WrongSchema, match="newer"):
        migrations.migrate(shop.store)
    assert shop.store.get(keys.shared_key("schema")) == "99"
