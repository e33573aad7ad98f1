"""Streets as vector tiles."""

from __future__ import annotations

from itertools import accumulate
from math import asinh, pi, radians, tan

import pytest

from routing.roads import tiles
from routing.roads.network import Network


def at(lat: float, lon: float, zoom: int) -> tuple[float, float]:
    """Where a place is in the grid."""
    return (lon + 180) / 360 * 2**zoom, (1 - asinh(tan(radians(lat))) / pi) / 2 * 2**zoom


def points(line: list[int]) -> list[tuple[int, int]]:
    """The points of a line, without differences."""
    return list(zip(accumulate(line[::2]), accumulate(line[1::2]), strict=True))


@pytest.mark.parametrize("zoom", [15, 17, 19])
def test_every_street_is_in_the_tiles_it_runs_through(helsinki: Network, zoom: int) -> None:
    """Both its ends are points of a line of its kind, within a unit."""
    drawn: dict[tuple[int, int], dict[str, list[list[int]]]] = {}
    for arc in range(0, helsinki.arcs, 7):
        kind = tiles.KINDS[tiles._KIND[helsinki.road_class[arc]]]
        for node in (helsinki.tail[arc], helsinki.head[arc]):
            x, y = at(float(helsinki.lat[node]), float(helsinki.lon[node]), zoom)
            spot = int(x), int(y)
            if spot not in drawn:
                drawn[spot] = tiles.tile(helsinki, zoom, *spot)
            ends = {end for line in drawn[spot][kind] for end in (points(line)[0], points(line)[-1])}
            u, v = (x - spot[0]) * tiles.EXTENT, (y - spot[1]) * tiles.EXTENT
            assert any(abs(u - a) <= 1 and abs(v - b) <= 1 for a, b in ends)


def test_a_line_that_crosses_a_side_is_in_both_tiles(helsinki: Network) -> None:
    """Also one whose ends are in neither."""
    x, y = (int(value) for value in at(60.17, 24.94, 18))
    for column in range(x - 6, x + 6):
        for kind, lines in tiles.tile(helsinki, 18, column, y).items():
            for line in lines:
                if any(a < 0 for a, _ in points(line)) and any(a > 0 for a, _ in points(line)):
                    moved = [line[0] + tiles.EXTENT, *line[1:]]
                    assert moved in tiles.tile(helsinki, 18, column - 1, y).get(kind, [])


def test_little_streets_show_only_from_near(helsinki: Network) -> None:
    """And each street is drawn once, not once each way."""
    known = {tiles.KINDS[tiles._KIND[helsinki.road_class[arc]]] for arc in range(helsinki.arcs)}
    for zoom in range(9, 17):
        found: dict[str, list[list[int]]] = {}
        x, y = (int(value) for value in at(60.17, 24.94, zoom))
        for column in (x - 1, x, x + 1):
            for row in (y - 1, y, y + 1):
                found |= tiles.tile(helsinki, zoom, column, row)
        assert found.keys() == {kind for kind in known if zoom >= tiles.FROM_ZOOM[tiles.KINDS.index(kind)]}
    for column in range(x - 2, x + 3):  # from as near as that no two streets fall on the same points
        ways = [tuple(points(line)) for lines in tiles.tile(helsinki, zoom, column, y).values() for line in lines]
        assert not {way for way in ways if way[0] != way[-1]} & {way[::-1] for way in ways}


@pytest.mark.parametrize("spot", [(0, 0, 0), (12, 0, 0), (19, 10**6, 3), (5, -4, 99)])
def test_elsewhere_there_is_nothing(helsinki: Network, spot: tuple[int, int, int]) -> None:
    """On the other side of the world, and beside it."""
    assert set(tiles.tile(helsinki, *spot)) <= {"motorway"}
