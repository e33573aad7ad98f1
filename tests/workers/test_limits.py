"""What is over is forgotten by policy, and a full depot says so."""

from __future__ import annotations

import time
from pathlib import Path

import polars as pl

from ingest.store import keys, readers
from tests.conftest import SPOTS, Shop, one_server
from workers import archive, replan

DAY = 86_400


def test_what_is_long_over_is_archived_and_forgotten(shop: Shop, tmp_path: Path) -> None:
    """Closed orders and ended shifts, with all that was kept of them; what is open or recent stays."""
    shop.depot(policy={"keep_days": 2})
    token = shop.crew("anna")
    done, cancelled, waiting = (shop.order(spot, external_id=f"A-{spot['lat']}")["id"] for spot in SPOTS[:3])
    replan.repair(shop.store, shop.settings, "hel")
    shop.leave(token)
    for kind in ("arrived", "completed"):
        assert shop.event(token, f"{done}.delivery", kind, event_id=kind).status_code == 200
    assert shop.call("DELETE", f"/v1/orders/{cancelled}").status_code == 200
    assert archive.retire(shop.store, tmp_path, "hel", now=time.time() + 1.5 * DAY) == 0
    assert archive.retire(shop.store, tmp_path, "hel", now=time.time() + 4 * DAY) == 2
    assert shop.call("GET", f"/v1/orders/{done}").status_code == 404
    assert shop.call("GET", f"/v1/orders/{waiting}").status_code == 200
    assert [order["id"] for order in shop.call("GET", "/v1/orders?depot_id=hel").json["orders"]] == [waiting]
    assert shop.call("GET", "/v1/shifts?depot_id=hel").json["shifts"] == []
    emptied = ("progress", "trail", "departed", "goods", "stop_shift")
    assert not any(shop.store.exists(keys.depot_key("hel", name)) for name in emptied)
    assert shop.store.hvals(keys.depot_key("hel", "external")) == [waiting]
    written = {name: pl.read_parquet(tmp_path / name / "*.parquet")["document"].str.json_path_match("$.id").to_list()
               for name in ("orders", "shifts")}  # fmt: skip
    assert {name: sorted(ids) for name, ids in written.items()} == {"orders": sorted([done, cancelled]), "shifts": ["hel.day-anna"]}
    shop.order(SPOTS[4])
    replan.repair(shop.store, shop.settings, "hel")
    assert readers.plan(shop.store, "hel") is not None


def test_a_shift_that_lasts_keeps_its_orders(shop: Shop, tmp_path: Path) -> None:
    """However long they are closed: the driver's route still shows them."""
    shop.depot(policy={"keep_days": 1})
    token = shop.crew("anna", end="2030-01-02T07:59:00Z")
    order = shop.order()["id"]
    replan.repair(shop.store, shop.settings, "hel")
    shop.leave(token)
    for kind in ("arrived", "completed"):
        shop.event(token, f"{order}.delivery", kind, event_id=kind)
    assert archive.retire(shop.store, tmp_path, "hel", now=time.time() + 1.2 * DAY) == 0
    assert shop.call("GET", f"/v1/orders/{order}").json["status"] == "completed"


@one_server
def test_old_versions_go(shop: Shop) -> None:
    """All but the newest, up to the last snapshot before them; each that stays can be put together."""
    shop.depot(policy={"keep_versions": 100})
    shop.crew("anna")
    for _ in range(160):
        order = shop.order(kind="collection")["id"]
        assert replan.repair(shop.store, shop.settings, "hel") == 1
        shop.call("DELETE", f"/v1/orders/{order}")
    kept = sorted(map(int, shop.store.hkeys(keys.depot_key("hel", "versions"))))
    newest = int(shop.store.get(keys.depot_key("hel", "version")))
    assert kept == list(range(kept[0], newest + 1))
    assert 100 <= len(kept) <= 150
    assert all(readers.plan_at(shop.store, "hel", version) for version in kept)
    assert readers.plan_at(shop.store, "hel", kept[0] - 1) is None
    assert shop.call("GET", "/v1/depots/hel/plans").json["plans"]
    assert set(map(int, shop.store.hkeys(keys.depot_key("hel", "commit_ms")))) <= set(kept)


def test_a_full_depot_refuses_more_and_serves_what_it_has(shop: Shop) -> None:
    """Orders, drivers and road events; when an order is done, there is room for another."""
    shop.depot(policy={"max_open_orders": 2, "max_records": 1})
    shop.crew("anna")
    first, _ = shop.order()["id"], shop.order(external_id="B")
    body = {"depot_id": "hel", "kind": "delivery", "location": SPOTS[0], "demand": {"parcels": 1}}
    refused = shop.call("POST", "/v1/orders", body | {"external_id": "C"}, key=shop.shipper)
    assert (refused.status_code, refused.json["code"]) == (409, "depot_full")
    again = shop.call("POST", "/v1/orders", body | {"external_id": "B"}, key=shop.shipper)
    assert again.status_code == 200
    assert shop.call("POST", "/v1/drivers", {"depot_id": "hel", "id": "bo"}).json["code"] == "depot_full"
    closure = {"depot_id": "hel", "kind": "close", "edges": [3], "end": "2030-01-01T12:00:00Z"}
    answers = [shop.call("POST", "/v1/road-events", closure).status_code for _ in range(2)]
    assert answers == [201, 409]
    replan.repair(shop.store, shop.settings, "hel")
    assert shop.call("GET", f"/v1/orders/{first}").json["status"] == "planned"
    shop.call("DELETE", f"/v1/orders/{first}")
    assert shop.call("POST", "/v1/orders", body | {"external_id": "C"}, key=shop.shipper).status_code == 201
