"""From what drivers report, through the archive, to what plans and ETAs believe."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from datetime import datetime
from typing import Any

import polars as pl
import pytest

from ingest.settings import ROOT, Settings
from ingest.store import readers
from routing.model import Location, Place
from routing.roads import maps
from routing.roads.day import Day
from routing.roads.metric import Metrics
from routing.roads.profile import FREE_FLOW
from routing.roads.snapping import Snapper
from routing.roads.traffic import Overlay
from routing.roads.travel import line
from tests.conftest import SPOTS, Shop, one_server
from workers import archive, learn, learned, replan
from workers.formulation import problem_of

TAKES, STATED, SLOW = 700, 120, 2.0
"""Service lasts so long (s) where orders say that, and roads are so many times as slow as free ones."""


def at(second: float) -> str:
    return datetime.fromtimestamp(BEGIN + int(second)).astimezone().isoformat()


BEGIN = int(datetime.fromisoformat("2030-01-01T08:00:00+00:00").timestamp())


def drive(shop: Shop) -> None:
    """Anna serves eight stops in turn, at half the speed of free roads and with pings every twenty seconds; all is archived."""
    shop.depot(clock={"scale": 1, "start": "2030-01-01T14:00:00Z"})
    anna = shop.crew("anna", end="2030-01-01T20:00:00Z")
    orders = [shop.order(SPOTS[number % 4], kind="service", demand={}, service_time=STATED) for number in range(8)]
    replan.repair(shop.store, shop.settings, "hel")
    shop.leave(anna)
    network = maps.network(maps.find("helsinki", shop.settings.maps))
    day = Day(network, Overlay.free_flow(network), FREE_FLOW, Metrics(shop.settings.state / "x").of)
    now, here, seq, pings = 600.0, Location(SPOTS[5]["lat"], SPOTS[5]["lon"]), 0, list[dict[str, Any]]()
    for number, order in enumerate(orders):
        there = Location(**order["location"])
        a, b = Snapper(network).nearest([Place(here), Place(there)])
        leg = day.leg(a, b, 0)
        assert leg is not None
        way = line(network, leg)
        whole = leg.seconds * SLOW
        for second in range(0, int(whole), 20):
            seq += 1
            lat, lon = way[int(second / whole * len(way))].tolist()
            pings.append({"lat": lat, "lon": lon, "seq": seq, "recorded_at": at(now + second)})
        now += whole
        shop.event(anna, order["stop_id"], "arrived", event_id=f"a{number}", at=at(now))
        now += TAKES + 20 * (number % 3)
        shop.event(anna, order["stop_id"], "completed", event_id=f"c{number}", at=at(now))
        here = there
    assert shop.call("POST", "/v1/drivers/me/pings", pings, key=anna).json["stored"] == len(pings)
    for name in archive.STREAMS:
        archive.archive(shop.store, shop.settings.archive, name)


@one_server
def test_what_the_archive_teaches_is_in_the_next_plan(shop: Shop) -> None:
    """Service that takes longer than orders say is planned so, unless the policy says otherwise; and legs take longer, too."""
    drive(shop)
    shop.order(SPOTS[0], kind="service", demand={}, service_time=STATED)
    assert _takes(shop) == STATED
    depot = readers.depot(shop.store, "hel")
    assert depot is not None
    told = list(learn.run(shop.settings, [depot], now=time.time()))
    assert told == [f"map helsinki: 7 drives, {told[0].split()[4]} pieces between pings", "depot hel: 8 visits, 7 drives"]
    assert int(told[0].split()[4]) > 20
    assert 300 < _takes(shop) < TAKES, "eight visits are believed by half"
    known, typical = learned.profile(shop.settings, depot, 1), maps.speeds("typical", shop.settings.maps)
    nine, before_nine = (speeds.table[speeds.period(9 * 3600)].mean() for speeds in (known, typical))
    assert nine > 1.15 * before_nine
    shop.call("PATCH", "/v1/depots/hel", {"policy": {"learned_service": False}, "speeds": "typical"})
    assert _takes(shop) == STATED


def _takes(shop: Shop) -> int:
    """How long plans take the one open stop to last."""
    snapshot = readers.snapshot(shop.store, "hel")
    assert snapshot is not None
    problem, _ = problem_of(shop.settings, snapshot, at=time.time())
    return problem.tasks[0].service_time


@one_server
def test_reports_and_pings_that_came_twice_or_in_disorder_teach_the_same(shop: Shop) -> None:
    """As phones that were offline send them."""
    drive(shop)
    events = learn.archived(shop.settings.archive / "events", 0, ("depot", "type", "data"))
    pings = learn.archived(shop.settings.archive / "pings", 0, ("depot", "driver", "pings"))
    again = [pl.concat([frame, frame]).sample(fraction=1.0, shuffle=True, seed=3) for frame in (events, pings)]
    assert learn.visits(again[0]).equals(learn.visits(events))
    assert learn.positions(again[1]).equals(learn.positions(pings))
    assert learn.visits(events).height == 8


def test_an_empty_archive_teaches_nothing(settings: Settings) -> None:
    """And is no error."""
    assert learn.archived(settings.archive / "events", 0, ("depot", "type", "data")).height == 0
    assert list(learn.run(settings, [], now=time.time())) == []
    assert learn.calibration(learn.archived(settings.archive / "events", 0, ("depot", "type", "data"))).height == 0


def test_how_well_etas_have_held_is_a_table() -> None:
    """By depot and minutes ahead."""
    told = [("hel", 1000, "60 900 1100 15 990 1020"), ("hel", 1000, "15 1100 1200"), ("cph", 50, "5 60 70")]
    events = pl.DataFrame([{"depot": depot, "type": "eta.judged", "data": json.dumps({"stop_id": "x", "at": moment, "told": text})}
                           for depot, moment, text in told])  # fmt: skip
    assert learn.calibration(events).rows() == [("cph", 5, 1, 1.0, 1.0, 10.0), ("hel", 15, 2, 0.5, 1.0, 55.0),
                                                ("hel", 60, 1, 0.0, 1.0, 100.0)]  # fmt: skip


@one_server
def test_what_cannot_be_read_is_left_out(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    """A damaged file stops no plan."""
    folder = learned.folder(shop.settings) / "depots"
    folder.mkdir(parents=True)
    (folder / "hel.json").write_text("{")
    assert learned.of(shop.settings, "hel").services.visits == 0
    assert "cannot be read" in caplog.text


@one_server
def test_the_commands_say_what_they_found(shop: Shop, settings: Settings) -> None:
    """`python -m workers learn` and `etas`, as an operator runs them."""
    drive(shop)
    environment = {"LASTLEG_STATE": str(settings.state), "REDIS_URL": str(settings.redis_url), "PATH": ""}

    def run(word: str) -> str:
        command = [sys.executable, "-m", "workers", word]
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout

    assert "depot hel: 8 visits, 7 drives" in run("learn")
    assert "by P80" in run("etas")
