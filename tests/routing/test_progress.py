"""Arrived, gone and standing still, by pings alone."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from routing.eta.matching import Ping
from routing.eta.progress import Observed, observe, standing_since
from routing.model import Location

DOOR = Location(60.0, 25.0)


def away(metres: float, at: int, accuracy: float | None = None) -> Ping:
    """So many metres north of the door."""
    return Ping(60.0 + metres / 111_195, 25.0, at, accuracy)


def seen(*pings: tuple[float, int], arrived: int | None = None, since: int = 0, dwell: int = 60) -> Observed:
    return observe([away(*ping) for ping in pings], DOOR, since=since, arrived=arrived, dwell=dwell)


def test_who_drives_past_or_waits_at_a_light_has_not_arrived() -> None:
    assert seen((500, 0), (40, 20), (30, 40), (400, 60), (900, 80)) == Observed()
    assert seen() == Observed()


def test_who_stays_has_arrived_when_he_came() -> None:
    """And one ping astray, within the outer fence, changes nothing."""
    assert seen((500, 0), (50, 20), (10, 40), (120, 60), (20, 90)) == Observed(arrived=20)
    assert seen((500, 0), (50, 20), (10, 40)) == Observed(), "not long enough yet"


def test_who_is_well_away_for_a_while_has_left_when_last_seen_there() -> None:
    stay = [(50, 20), (10, 50), (20, 90)]
    assert seen(*stay, (300, 120), (900, 200)) == Observed(20, 90)
    assert seen(*stay, (300, 120)) == Observed(20), "one ping is none"
    assert seen(*stay, (300, 120), (350, 150)) == Observed(20), "around the corner"
    assert seen(*stay, (300, 120), (350, 200), (30, 210)) == Observed(20), "and back again"


def test_an_arrival_that_is_known_needs_no_dwell() -> None:
    """Tapped on the last metres, and gone without another tap."""
    assert seen((10, 100), (400, 120), (900, 200), arrived=95) == Observed(95, 100)
    assert seen((10, 100), (20, 300), arrived=95) == Observed(95)


def test_who_reports_from_the_car_park_leaves_from_there() -> None:
    """Or the pin is wrong: it says nothing of where the driver serves."""
    assert seen((300, 100), (310, 130), (290, 400), arrived=95) == Observed(95)
    assert seen((300, 100), (310, 130), (900, 400), (950, 500), arrived=95) == Observed(95, 130)
    assert seen((300, 100), (20, 200), (10, 300), (15, 400), arrived=95) == Observed(95), "at the door"
    assert seen((5000, 2000), (10, 2400), (15, 2500), arrived=95, since=1900) == Observed(95), "back from lunch"


def test_what_was_before_the_way_to_the_stop_does_not_count() -> None:
    """He may have been there for something else."""
    assert seen((10, 0), (10, 100), (500, 300), since=200) == Observed()


def test_a_phone_that_hardly_knows_where_it_is_tells_nothing() -> None:
    """Cell towers make nobody arrive or leave."""
    assert observe([away(1000, 0, 2000.0), away(1000, 70, 2000.0)], DOOR, since=0, arrived=None, dwell=60) == Observed()
    jump = [away(10, 0), away(15, 60), away(600, 70, 800.0), away(620, 140, 800.0)]
    assert observe(jump, DOOR, since=0, arrived=0, dwell=60) == Observed(0)
    assert seen((50, 0), (130, 30), (55, 100)) == Observed(), "passed twice"


def test_a_phone_that_is_unsure_is_given_room() -> None:
    assert observe([away(80, 0, 60.0), away(80, 70, 60.0)], DOOR, since=0, arrived=None, dwell=60) == Observed(arrived=0)
    assert observe([away(80, 0), away(80, 70)], DOOR, since=0, arrived=None, dwell=60) == Observed()


@given(st.lists(st.tuples(st.floats(0, 1000), st.integers(1, 90)), max_size=40))
def test_times_are_in_order_and_what_is_seen_so_far_is_not_taken_back(steps: list[tuple[float, int]]) -> None:
    """With each further ping an arrival stays as it is, and a departure comes after it."""
    at, pings, before = 0, list[Ping](), Observed()
    for metres, gap in steps:
        at += gap
        pings.append(away(metres, at))
        found = observe(pings, DOOR, since=0, arrived=before.arrived, dwell=60)
        if before.arrived is not None:
            assert found.arrived == before.arrived
        if found.left is not None:
            assert found.arrived is not None
            assert found.arrived <= found.left <= at
            return
        before = found


def test_standing_still_is_counted_from_the_last_move() -> None:
    pings = [away(0, 0), away(200, 60), away(210, 120), away(190, 300)]
    assert standing_since(pings) == 60
    assert standing_since(pings[:1]) == 0
    assert standing_since([]) is None
