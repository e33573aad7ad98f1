"""Speeds by hour of the day."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.settings import ROOT
from routing.errors import BadRoads
from routing.roads import maps, osm, profile
from routing.roads.day import TravelTimes
from routing.roads.profile import DAY, FREE_FLOW, Profile
from routing.roads.travel import Matrix


@st.composite
def profiles(draw: st.DrawFn) -> tuple[Profile, list[int]]:
    """A profile of up to six periods, and how many seconds a leg would take in each."""
    starts = sorted(draw(st.sets(st.integers(0, DAY - 1), min_size=1, max_size=6)))
    factors = np.ones((len(starts), len(osm.CLASSES)))
    seconds = draw(st.lists(st.integers(1, 3 * DAY), min_size=len(starts), max_size=len(starts)))
    return Profile(tuple(starts), factors), seconds


@given(profiles(), st.floats(0, DAY), st.floats(0, 2 * DAY))
def test_who_leaves_later_never_arrives_earlier(case: tuple[Profile, list[int]], depart: float, later: float) -> None:
    """First in, first out, whatever the speeds and however long the leg."""
    day, seconds = case
    first, second = depart + day.duration(seconds, depart), depart + later + day.duration(seconds, depart + later)
    assert second >= first - 1e-6


@given(profiles(), st.integers(0, DAY), st.integers(1, 5000))
def test_whole_seconds_stay_in_order_too(case: tuple[Profile, list[int]], depart: int, later: int) -> None:
    """What is planned with is rounded up; that turns nobody's order round."""
    day, seconds = case
    periods = tuple(Matrix(np.array([[0, s], [s, 0]], np.int32), np.zeros((2, 2), np.int32)) for s in seconds)
    times = TravelTimes(day, periods)
    assert depart + later + times.duration(0, 1, depart + later) >= depart + times.duration(0, 1, depart)
    assert times.duration(0, 0, depart) == 0


@given(profiles(), st.integers(0, DAY - 1))
def test_a_leg_is_driven_at_each_periods_pace(case: tuple[Profile, list[int]], depart: int) -> None:
    """Second by second: the shares of the way that are driven add up to the whole."""
    day, seconds = case
    seconds = [min(s, 20_000) for s in seconds]
    lasts = day.duration(seconds, depart)
    whole = math.floor(lasts)
    driven = sum(1 / seconds[day.period(depart + second)] for second in range(whole))
    driven += (lasts - whole) / seconds[day.period(depart + whole)]
    assert driven == pytest.approx(1.0, abs=1e-6)


def test_a_rush_hour_that_begins_on_the_way_slows_the_rest() -> None:
    """Half an hour's way, left for a quarter of an hour before speeds halve: 15 + 2 x 15 minutes."""
    day = Profile((0, 8 * 3600), np.ones((2, len(osm.CLASSES))))
    assert day.duration([1800, 3600], 7.75 * 3600) == pytest.approx(2700)
    assert day.duration([1800, 3600], 23.75 * 3600) == pytest.approx(900 * 2 / 2 + 1800 - 450)
    assert FREE_FLOW.duration([1800], 86_399) == pytest.approx(1800)


def test_the_tables_that_come_with_it_have_five_periods_and_one() -> None:
    """Rush hours are slower than the night, on every class at least as slow."""
    typical = maps.speeds("typical", (ROOT / "data",))
    assert typical.periods == 5
    assert (typical.table >= 1).all()
    assert typical.table[typical.period(8 * 3600)].max() > typical.table[typical.period(3 * 3600)].max() == 1.0
    assert maps.speeds("free_flow", (ROOT / "data",)).table.tolist() == FREE_FLOW.table.tolist()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "no table"),
        ("road_class,06:30\nmotorway,1.0\n", "no road class"),
        ("road_class,6h\n" + "".join(f"{name},1\n" for name in osm.CLASSES), "no table"),
        ("road_class,06:00,07:00\n" + "".join(f"{name},1\n" for name in osm.CLASSES), "no table"),
        ("road_class,06:00\n" + "".join(f"{name},quick\n" for name in osm.CLASSES), "no table"),
        ("road_class,06:00\n" + "".join(f"{name},0\n" for name in osm.CLASSES), "positive"),
        ("road_class,06:00\n" + "".join(f"{name},nan\n" for name in osm.CLASSES), "positive"),
        ("road_class,06:00,06:00\n" + "".join(f"{name},1,1\n" for name in osm.CLASSES), "ascending"),
    ],
)
def test_a_broken_table_is_refused_with_what_to_do(tmp_path: Path, content: str, words: str) -> None:
    """Missing classes, times that are none, factors that no street can have."""
    path = tmp_path / "x.speeds.csv"
    path.write_text(content)
    with pytest.raises(BadRoads) as error:
        profile.read(path)
    assert words in str(error.value)
    assert error.value.remedy


def test_tables_are_found_by_name_only(tmp_path: Path) -> None:
    """What is not there is told, with what is."""
    with pytest.raises(BadRoads, match="free_flow, typical"):
        maps.speeds("../data/typical", (ROOT / "data",))
    with pytest.raises(BadRoads, match="there are none"):
        maps.speeds("typical", (tmp_path,))
