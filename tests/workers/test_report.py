"""Key figures of days that happened, and files of them: held against what was done by hand."""

from __future__ import annotations

import io
import json
import math
import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import gpxpy
import polars as pl
import pytest

from ingest.settings import ROOT
from ingest.store import keys, readers
from routing.model import Depot
from tests.conftest import HOME, SPOTS, Shop, one_server
from workers import archive, report
from workers.replan import repair


def plan(shop: Shop) -> None:
    shop.store.zadd(keys.shared_key("dirty"), {"hel": 0}, xx=True)
    repair(shop.store, shop.settings, "hel")


def day(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Anna makes three stops: one in time, one late, one in vain; a fourth order is cancelled. Pings to the first and back."""
    shop.depot()
    anna = shop.crew("anna")
    window = [{"from": "2030-01-01T08:00:00Z", "to": "2030-01-01T09:00:00Z"}]
    made = [shop.order(place, windows=window, external_id=f"E{number}") for number, place in enumerate(SPOTS[:4])]
    shop.call("DELETE", f"/v1/orders/{made[3]['id']}", key=shop.shipper)
    plan(shop)
    shop.leave(anna)
    monkeypatch.setattr("ingest.context.now", lambda: time.time() + 8 * 3600)  # the day is over, and may be told
    for number, (order, arrived, left, how) in enumerate([
        (made[0], "08:30:00", "08:40:00", "completed"), (made[1], "09:30:00", "09:40:00", "completed"),
        (made[2], "08:50:00", "08:55:00", "failed")]):  # fmt: skip
        for kind, at in (("arrived", arrived), (how, left)):
            told = shop.event(anna, order["stop_id"], kind, event_id=f"{number}{kind}", at=f"2030-01-01T{at}Z")
            assert told.status_code == 200, told.text
    for seq, place in enumerate((HOME, SPOTS[0], HOME)):
        shop.call("POST", "/v1/drivers/me/pings", [place | {"seq": seq, "recorded_at": f"2030-01-01T08:0{seq}:00Z"}], key=anna)
    home = {"event_id": "home", "type": "returned", "occurred_at": "2030-01-01T10:00:00Z"}
    shop.call("POST", "/v1/drivers/me/events", home, key=anna)
    for stream in ("events", "pings"):
        archive.archive(shop.store, shop.settings.archive, stream)


def depots(shop: Shop) -> dict[str, Depot]:
    found = (readers.depot(shop.store, depot_id) for depot_id in readers.depots(shop.store))
    return {depot.id: depot for depot in found if depot is not None}


def test_key_figures_are_those_of_the_day(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counts, the share in time, hours and distance, by the depot's day."""
    day(shop, monkeypatch)
    table = report.of(shop.settings, depots(shop), days=1)
    row = {name: value for name, value in next(iter(table.iter_rows(named=True))).items() if value is not None}
    assert len(table) == 1
    assert str(row["day"]) == "2030-01-01"
    assert {name: row[name] for name in ("orders", "completed", "failed", "cancelled")} == {
        "orders": 4, "completed": 2, "failed": 1, "cancelled": 1}  # fmt: skip
    assert row["on_time"] == 0.5
    assert row["hours"] == 2.0
    north, east = (math.radians(HOME[name] - SPOTS[0][name]) for name in ("lat", "lon"))
    assert row["km"] == pytest.approx(2 * 6371 * math.hypot(north, east * math.cos(math.radians(HOME["lat"]))), rel=0.001)
    assert row["cost_s"] == round(2 * 3600 + row["km"] * 1000 / 20)
    assert row["plans"] >= 1
    assert row["repairs"] == row["plans"]


def test_what_a_driver_reports_counts_instead_of_what_pings_show(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """An inferred arrival in time, and the reported one that was late."""
    day(shop, monkeypatch)
    events = pl.DataFrame({
        "depot": ["hel"] * 3, "type": ["stop.arrived", "stop.arrived", "stop.completed"], "at": [datetime.now()] * 3,
        "data": [json.dumps({"stop_id": "hel.o.service", "at": at, "due": 100, "inferred": inferred})
                 for at, inferred in ((120, False), (90, True), (130, False))]})  # fmt: skip
    table = report.kpis(events, pl.DataFrame(schema=dict.fromkeys(("depot", "driver", "pings"), pl.String)), depots(shop))
    assert table["on_time"].to_list() == [0.0]


def test_days_without_anything_are_no_days(shop: Shop) -> None:
    shop.depot()
    assert len(report.of(shop.settings, depots(shop), days=1)) == 0
    assert next(report.lines(report.of(shop.settings, depots(shop), days=1))).startswith("depot")


def export(shop: Shop, what: str, **query: Any) -> Any:
    answer = shop.call("GET", f"/v1/exports/{what}", query_string={"depot_id": "hel"} | query)
    assert answer.status_code == 200, answer.text
    assert 'attachment; filename="hel-' in answer.headers["Content-Disposition"]
    return answer.data


def test_stops_routes_and_pings_come_as_files(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same in every format; lines go along streets, longitude first."""
    day(shop, monkeypatch)
    table = pl.read_csv(io.BytesIO(export(shop, "stops")))
    plan_ = shop.call("GET", "/v1/depots/hel/plan").json
    assert table["stop_id"].to_list() == [stop["stop_id"] for stop in plan_["routes"][0]["stops"]]
    assert sorted(table["state"].to_list()) == ["completed", "completed", "failed"]
    assert pl.read_parquet(io.BytesIO(export(shop, "stops", format="parquet")))["position"].to_list() == [1, 2, 3]
    assert len(export(shop, "stops", format="ndjson").splitlines()) == 3
    points = json.loads(export(shop, "stops", format="geojson"))["features"]
    first = next(point for point in points if point["properties"]["external_id"] == "E0")
    assert first["geometry"]["coordinates"] == [SPOTS[0]["lon"], SPOTS[0]["lat"]]
    line, *named = json.loads(export(shop, "routes"))["features"]
    assert line["geometry"]["type"] == "LineString"
    assert len(line["geometry"]["coordinates"]) > 10
    assert line["geometry"]["coordinates"][0] == pytest.approx([HOME["lon"], HOME["lat"]], abs=1e-4)
    assert line["geometry"]["coordinates"][-1] == pytest.approx([HOME["lon"], HOME["lat"]], abs=1e-4)
    assert [point["properties"]["stop_id"] for point in named] == line["properties"]["stops"]
    gpx = gpxpy.parse(export(shop, "routes", format="gpx").decode())
    assert len(gpx.tracks[0].segments[0].points) == len(line["geometry"]["coordinates"])
    assert [point.name for point in gpx.waypoints] == line["properties"]["stops"]
    pings = pl.read_csv(io.BytesIO(export(shop, "pings")))
    assert pings["recorded_at"].to_list() == [f"2030-01-01T08:0{number}:00Z" for number in range(3)]
    track = json.loads(export(shop, "pings", format="geojson"))["features"][0]
    assert track["properties"]["coordTimes"] == pings["recorded_at"].to_list()
    driven = gpxpy.parse(export(shop, "pings", format="gpx").decode()).tracks[0].segments[0].points
    assert driven[1].time == datetime(2030, 1, 1, 8, 1, tzinfo=UTC)
    assert pl.read_csv(io.BytesIO(export(shop, "kpis")))["completed"].to_list() == [2]
    assert json.loads(export(shop, "kpis", format="ndjson"))["day"] == "2030-01-01"
    assert json.loads(export(shop, "routes", driver_id="hel.nobody"))["features"] == []


def test_what_cannot_be_exported_is_refused(shop: Shop) -> None:
    shop.depot()
    answer = shop.call("GET", "/v1/exports/stops?depot_id=hel&format=gpx")
    assert (answer.status_code, answer.json["code"]) == (422, "cannot_export")
    assert shop.call("GET", "/v1/exports/wishes?depot_id=hel").status_code == 404
    assert shop.call("GET", "/v1/exports/stops?depot_id=hel", key=shop.shipper).status_code == 403
    assert json.loads(export(shop, "routes")) == {"type": "FeatureCollection", "features": []}
    assert pl.read_csv(io.BytesIO(export(shop, "stops"))).is_empty()


@one_server
def test_the_commands_write_table_picture_and_files(shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`report` and `export`, as an operator calls them."""
    day(shop, monkeypatch)

    def run(*arguments: str) -> str:
        told = os.environ | {"REDIS_URL": str(shop.settings.redis_url), "LASTLEG_STATE": str(shop.settings.state)}
        done = subprocess.run([sys.executable, "-m", "workers", *arguments], cwd=ROOT, env=told, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    shown = run("report", "--out", str(tmp_path / "out")).splitlines()
    assert shown[0].split()[:3] == ["depot", "day", "orders"]
    assert shown[1].split()[:4] == ["hel", "2030-01-01", "4", "2"]
    assert "50.0%" in shown[1]
    assert pl.read_parquet(tmp_path / "out" / "kpis.parquet")["orders"].to_list() == [4]
    assert (tmp_path / "out" / "kpis.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads(run("report", "--json", "--depot", "hel"))[0]["completed"] == 2
    run("export", "stops", "--depot", "hel", "--out", str(tmp_path / "stops.parquet"))
    assert len(pl.read_parquet(tmp_path / "stops.parquet")) == 3
    imported = tmp_path / "orders.csv"
    imported.write_text(f"kind,lat,lon\nservice,{SPOTS[0]['lat']},{SPOTS[0]['lon']}\n")
    assert "1 rows, 1 accepted" in run("import", str(imported), "--depot", "hel")


def test_the_first_report_counts_as_in_the_state(shop: Shop) -> None:
    """A second arrival, a failure after completion; who only says that it is done was there by then; a reload does not count."""
    shop.depot()
    told = [("a.service", "arrived", 90), ("a.service", "arrived", 120), ("a.service", "completed", 130),
            ("a.service", "failed", 140), ("b.delivery", "completed", 300), ("day-anna.1.reload", "completed", 90)]  # fmt: skip
    events = pl.DataFrame(
        {
            "depot": ["hel"] * len(told),
            "type": [f"stop.{kind}" for _, kind, _ in told],
            "at": [datetime(2026, 1, 1, 0, 0, number) for number in range(len(told))],
            "data": [json.dumps({"stop_id": f"hel.{name}", "at": at, "due": 100}) for name, _, at in told],
        }
    )
    table = report.kpis(events, pl.DataFrame(schema=dict.fromkeys(("depot", "driver", "pings"), pl.String)), depots(shop))
    assert table.select("completed", "failed", "on_time").rows() == [(2, 0, 0.5)]


def test_no_formula_reaches_a_spreadsheet(shop: Shop) -> None:
    """What a shipper calls an order is text to whoever opens the file."""
    shop.depot()
    shop.crew("anna")
    for number, name in enumerate(('=HYPERLINK("http://evil.example","x")', "@SUM(A1)", "-1", "fine")):
        shop.order(SPOTS[number], external_id=name)
    repair(shop.store, shop.settings, "hel")
    told = pl.read_csv(io.BytesIO(export(shop, "stops")))["external_id"].to_list()
    assert sorted(told) == ["'-1", '\'=HYPERLINK("http://evil.example","x")', "'@SUM(A1)", "fine"]
    assert "=HYPERLINK" in export(shop, "stops", format="ndjson").decode()


def test_what_nobody_has_ordered_is_no_order(shop: Shop) -> None:
    """A reservation that lapses, and rows that an import took back, are in no figures."""
    shop.depot()
    rows = [("order.created", "a", {}), ("order.created", "b", {}), ("order.cancelled", "b", {"reservation": "over"}),
            ("order.created", "c", {}), ("order.cancelled", "c", {"import": "withdrawn"}), ("order.created", "d", {}),
            ("order.cancelled", "d", {})]  # fmt: skip
    events = pl.DataFrame({
        "depot": ["hel"] * len(rows), "type": [kind for kind, _, _ in rows], "at": [datetime.now()] * len(rows),
        "data": [json.dumps({"order_id": f"hel.o{name}"} | more) for _, name, more in rows]})  # fmt: skip
    table = report.kpis(events, pl.DataFrame(schema=dict.fromkeys(("depot", "driver", "pings"), pl.String)), depots(shop))
    assert (table["orders"].to_list(), table["cancelled"].to_list()) == ([2], [1])
