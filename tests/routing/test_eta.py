"""What pings, drives and visits teach, and what is expected from that."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.settings import ROOT
from routing.eta import chance, matching, service, speeds
from routing.eta.forecast import Learned, Travel, forecast, learn_travel, with_overruns
from routing.eta.service import Services, Visit
from routing.model import Break, Limits, Location, TimeWindow
from routing.roads import maps, osm
from routing.roads.metric import customize
from routing.roads.network import Network
from routing.roads.profile import FREE_FLOW
from routing.roads.spot import Spot
from routing.roads.travel import Roads
from routing.solve.tour import walk
from tests.builders import CERTAIN, T0, Situation, order

HOME = Location(60.17, 24.94)


@pytest.fixture(scope="module")
def ways(helsinki: Network) -> list[matching.Way]:
    """Forty legs through Helsinki."""
    metric = customize(helsinki)
    rng = np.random.default_rng(3)
    arcs, shares = rng.integers(0, helsinki.arcs, (40, 2)), rng.random((40, 2))
    legs = Roads(helsinki, metric).legs([(Spot(int(a), float(p)), Spot(int(b), float(q)))
                                         for (a, b), (p, q) in zip(arcs, shares, strict=True)])  # fmt: skip
    found = [(leg, matching.way(helsinki, metric, leg)) for leg in legs if leg is not None and leg.metres > 500]
    assert len(found) > 25
    for leg, way in found:
        assert way.seconds[-1] == pytest.approx(leg.seconds, abs=1.5)
        assert way.along[-1] == pytest.approx(leg.metres, rel=0.02, abs=5)
        assert way.free[-1].sum() == pytest.approx(way.seconds[-1], abs=0.5 + 0.001 * len(leg.arcs))
    return [way for _, way in found]


def _pings(network: Network, way: matching.Way, along: np.ndarray, noise: np.ndarray) -> list[matching.Ping]:
    x, y = (np.interp(along, way.along, column) + noise[:, axis] for axis, column in enumerate((way.x, way.y)))
    grid = network.grid
    return [matching.Ping(float(b / grid.y_scale), float(a / grid.x_scale), float(number)) for number, (a, b) in
            enumerate(zip(x, y, strict=True))]  # fmt: skip


def test_pings_are_matched_to_where_on_the_way_they_were(helsinki: Network, ways: list[matching.Way]) -> None:
    """With the error that phones have, most places are right to some twenty metres, also where the way passes a street twice."""
    rng = np.random.default_rng(4)
    off = []
    for way in ways:
        truth = np.linspace(0, way.along[-1], max(4, int(way.along[-1] / 120)))
        found = matching.match(helsinki, way, _pings(helsinki, way, truth, rng.normal(0, 15, (len(truth), 2))))
        off += np.abs(found - truth).tolist()
    errors = np.array(off)
    assert np.isnan(errors).mean() < 0.01
    assert np.nanmedian(errors) < 15
    assert np.nanquantile(errors, 0.95) < 45


def test_who_leaves_the_way_is_seen_to_leave_it_and_to_come_back(helsinki: Network, ways: list[matching.Way]) -> None:
    """Pings far aside belong to no place of it."""
    way = max(ways, key=lambda other: other.along[-1])
    truth = np.linspace(0, way.along[-1], 12)
    aside = np.zeros((12, 2))
    aside[4:7] = 3000
    found = matching.match(helsinki, way, _pings(helsinki, way, truth, aside))
    assert np.isnan(found).tolist() == [4 <= number < 7 for number in range(12)]


def test_no_pings_and_a_way_of_no_length_are_no_trouble(helsinki: Network) -> None:
    """A leg from a spot to itself."""
    metric = customize(helsinki)
    leg = Roads(helsinki, metric).leg(Spot(7, 0.5), Spot(7, 0.5))
    assert leg is not None
    way = matching.way(helsinki, metric, leg)
    assert way.along[-1] == 0
    assert matching.match(helsinki, way, []).shape == (0,)
    assert matching.match(helsinki, way, _pings(helsinki, way, np.zeros(1), np.zeros((1, 2)))).tolist() == [0.0]


@given(st.floats(1, 5000), st.floats(0.01, 1.5), st.floats(0, 20_000))
def test_what_has_lasted_already_lasts_at_least_as_long(median: float, sigma: float, elapsed: float) -> None:
    """And the longer it has, the later it ends."""
    whole = chance.lasting(0, 64, median, sigma, elapsed)
    assert (whole >= elapsed).all()
    assert np.isfinite(whole).all()
    assert np.median(whole) >= np.median(chance.lasting(0, 64, median, sigma)) - 1e-6
    if elapsed == 0:
        assert chance.quantile(whole, 0.8) == pytest.approx(median * np.exp(0.8416 * sigma), rel=0.05)


def _visits(rng: np.random.Generator, place: Location, factor: float, count: int, kind: str = "delivery") -> list[Visit]:
    return [Visit(kind, place, "d.a", 120, float(120 * factor * rng.lognormal(0, 0.4))) for _ in range(count)]


def test_a_place_where_it_takes_long_is_learned(helsinki: Network) -> None:
    """Well known after many visits, hardly believed after one; a place nobody has been to is like the others."""
    rng = np.random.default_rng(5)
    slow, once = Location(1.0, 1.0), Location(2.0, 2.0)
    usual = [visit for number in range(40) for visit in _visits(rng, Location(3.0, number / 100), rng.lognormal(0, 0.3), 5)]
    known = service.learn([*usual, *_visits(rng, slow, 3.0, 20), Visit("delivery", once, "d.a", 120, 480.0)])
    elsewhere, uncertain = known.of("delivery", Location(9.0, 9.0), "d.b", 120)
    there, certain = known.of("delivery", slow, "d.b", 120)
    assert there / elsewhere == pytest.approx(3.0, rel=0.25)
    assert 1.0 < known.of("delivery", once, "d.b", 120)[0] / elsewhere < 2.6
    assert certain < uncertain
    assert known.spread["delivery"] == pytest.approx(0.4, abs=0.06)
    assert known.of("service", slow, "d.b", 0) == (0.0, 0.0)


def test_a_slow_driver_is_learned() -> None:
    """Apart from the places he goes to, which others go to as well."""
    rng = np.random.default_rng(6)
    found = [Visit("service", Location(1.0, place / 100), driver, 600, float(600 * factor * rng.lognormal(0, 0.3)))
             for place in range(20) for driver, factor in (("d.a", 1.0), ("d.b", 1.6), ("d.c", 1.0)) for _ in range(4)]  # fmt: skip
    known = service.learn(found)
    assert known.drivers["d.b"] - known.drivers["d.a"] == pytest.approx(np.log(1.6), abs=0.17)


def test_before_the_first_visit_orders_are_believed() -> None:
    """On average a visit takes what its order says, and plans take it so."""
    median, spread = Services().of("delivery", HOME, "d.a", 200)
    assert median * np.exp(spread**2 / 2) == pytest.approx(200)
    assert Services().expected("delivery", HOME, 200) == 200
    assert service.learn([]) == Services()
    assert service.learn([Visit("delivery", HOME, "d.a", 0, 50.0)]) == Services()


def _drives(rng: np.random.Generator, truth: np.ndarray, days: int) -> speeds.Drives:
    hour = rng.integers(0, 24 * days, 16_000)
    free = rng.exponential(10, (16_000, len(osm.CLASSES))) * (rng.random((16_000, len(osm.CLASSES))) < 0.2)
    return speeds.Drives((free * truth[hour]).sum(axis=1) * rng.lognormal(0, 0.1, 16_000), free, hour.astype(np.int64))


def test_slow_hours_are_learned_by_class_of_street() -> None:
    """Three days show which streets are slow in the morning; the weekend, of which nothing is known, stays as the table says."""
    rng = np.random.default_rng(7)
    truth = np.ones((168, len(osm.CLASSES)))
    truth[[24 * day + hour for day in range(7) for hour in (7, 8)], :6] = 1.8
    prior = maps.speeds("free_flow", (ROOT / "data",))
    table = np.array(speeds.learn(_drives(rng, truth, 3), prior).table)
    assert table[24 + 7, :6] == pytest.approx(1.8, abs=0.25)
    assert table[24 + 7, 8:] == pytest.approx(1.0, abs=0.25)
    assert table[24 + 12] == pytest.approx(1.0, abs=0.12)
    assert table[24 * 3 + 7, :6] == pytest.approx(table[24 + 7, :6], rel=0.15), "Thursday is like Tuesday"
    assert table[24 * 6 + 8] == pytest.approx(1.0, abs=0.1), "nobody has driven on a Sunday"


def test_hours_that_are_alike_are_one_period() -> None:
    """Each period costs a matrix."""
    table = np.ones((168, len(osm.CLASSES)))
    assert speeds.Speeds(tuple(map(tuple, table.tolist())), (1.0,) * len(osm.CLASSES)).profile(0).periods == 1
    table[7:9] = 1.4
    profile = speeds.Speeds(tuple(map(tuple, table.tolist())), (1.0,) * len(osm.CLASSES)).profile(0)
    assert profile.starts == (0, 7 * 3600, 9 * 3600)
    assert profile.table[1] == pytest.approx(1.4)
    noisy = table * np.random.default_rng(8).lognormal(0, 0.1, table.shape)
    assert speeds.Speeds(tuple(map(tuple, noisy.tolist())), (1.0,) * len(osm.CLASSES)).profile(0).periods <= speeds.PERIODS


def test_no_drives_leave_the_table_as_it_is() -> None:
    """Hour by hour."""
    typical = maps.speeds("typical", (ROOT / "data",))
    none = speeds.Drives(np.empty(0), np.empty((0, len(osm.CLASSES))), np.empty(0, np.int64))
    assert np.array(speeds.learn(none, typical).table) == pytest.approx(speeds.hours(typical), abs=1e-4)
    assert speeds.hours(FREE_FLOW).shape == (168, len(osm.CLASSES))


def test_what_legs_take_beyond_the_roads_is_learned() -> None:
    """Parking, and how far off the roads' times are; one lunch break is neither."""
    rng = np.random.default_rng(9)
    road = rng.uniform(60, 1800, 2000)
    taken = road + 45 + rng.normal(0, 20, 2000) + rng.normal(0, 0.1, 2000) * road
    taken[5] += 3600
    found = learn_travel(taken.tolist(), road.tolist())
    assert found.extra == pytest.approx(45, abs=8)
    assert found.share == pytest.approx(0.1, abs=0.02)
    assert found.fixed == pytest.approx(20, abs=12)
    assert learn_travel([], []) == Travel()


def _late_afternoon() -> Situation:
    found = Situation(2).add(order("x", 0, 6, "service", windows=(TimeWindow(T0 + 3600, T0 + 7200),)),
                             order("y", 0, 9, "service", service_time=600), order("z", 0, 1, "service"))  # fmt: skip
    found.changes["sequences"] = {"d.day-a": ("d.y.service", "d.x.service"), "d.day-b": ("d.z.service",)}
    return found


@pytest.mark.parametrize(
    "rules", [{}, {"breaks": (Break(T0 + 1200, T0 + 1500, 1800),)}, {"limits": Limits(stretch=200, rest=500)}])
def test_where_nothing_is_left_to_chance_a_forecast_is_the_plan(rules: dict[str, Any]) -> None:
    """Arrivals of a walk along the plan in force, waiting for windows and rests included."""
    problem = _late_afternoon().problem()
    for crew in problem.crews:
        crew = replace(crew, **rules)
        found = forecast(problem, crew, CERTAIN, stated={})
        planned = [visit.arrive for visit in walk(problem, crew, crew.base)]
        assert [stop.p50 for stop in found.stops] == pytest.approx(planned, abs=3)
        assert [stop.p80 for stop in found.stops] == pytest.approx(planned, abs=3)
        assert {stop.late for stop in found.stops} == {0}


def test_the_farther_ahead_the_less_is_sure() -> None:
    """P80 is after P50, more so for later stops; the window of one is where that is made good."""
    problem = _late_afternoon().problem()
    y, x = forecast(problem, problem.crews[0], Learned(), stated={}).stops
    assert 0 < y.p80 - y.p50 < x.p80 - x.p50
    late = forecast(problem, problem.crews[0], Learned(), stated={"d.y.service": 7200}).stops[1]
    assert late.late > 600, "a service that is known to take two hours"


def test_a_visit_that_drags_on_puts_off_what_follows() -> None:
    """The longer it has lasted, the longer it will: overruns are pushed at once."""
    told = []
    for minutes in (1, 20, 60):
        situation = Situation().add(order("y", 0, 1, "service", service_time=600), order("x", 0, 6, "service"))
        situation.on_the_road("a", ["d.y.service", "d.x.service"], arrived=True)
        problem = situation.problem(now=T0 + 60 * minutes)
        first, second = forecast(problem, problem.crews[0], Learned(), stated={}).stops
        assert first.p50 == T0
        told.append(second.p50 - (T0 + 60 * minutes))
    assert told[0] > 500
    assert told[2] > told[1]
    assert told[2] > 600, "after an hour nobody believes that it is over in a minute"


def test_plans_expect_a_visit_that_drags_on_to_go_on() -> None:
    """Not to end this very moment; what is within the usual is left as it is."""
    for minutes, least in ((5, 600), (60, 3600 + 300)):
        situation = Situation().add(order("y", 0, 1, "service", service_time=600), order("x", 0, 6, "service"))
        situation.on_the_road("a", ["d.y.service", "d.x.service"], arrived=True)
        problem = with_overruns(situation.problem(now=T0 + 60 * minutes), Learned(), stated={})
        takes = problem.tasks[problem.crews[0].frozen[0]].service_time
        assert least <= takes < 1.2 * least + 600
        assert walk(problem, problem.crews[0], problem.crews[0].frozen)[0].leave == T0 + takes


def test_who_is_not_heard_of_on_the_way_has_not_arrived() -> None:
    """An ETA is never in the past."""
    situation = Situation().add(order("y", 0, 1, "service"))
    situation.on_the_road("a", ["d.y.service"])
    problem = situation.problem(now=T0 + 1800)
    [stop] = forecast(problem, problem.crews[0], Learned(), stated={}).stops
    assert T0 + 1800 <= stop.p50 <= stop.p80
