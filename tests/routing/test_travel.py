"""Travel times and paths against scipy's Dijkstra; metrics, matrices and what is kept of them."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.settings import ROOT
from routing import codec
from routing.errors import BadRoads, WrongMap
from routing.model import RoadEvent, RoadState
from routing.roads import arrays, cache, hierarchy, impact, maps, metric, rphast
from routing.roads.cache import MatrixCache
from routing.roads.day import Day
from routing.roads.importer import import_map
from routing.roads.metric import Metric, Metrics, customize
from routing.roads.network import Network
from routing.roads.profile import DAY
from routing.roads.spot import Spot
from routing.roads.streets import haversine
from routing.roads.traffic import Overlay
from routing.roads.travel import UNREACHABLE, Leg, Matrix, Roads, line
from tests.routing.dijkstra import DECIMETRE, DijkstraTimes
from tests.routing.towns import spots_on, town, towns


def same(found: Matrix, expected: Matrix) -> bool:
    return np.array_equal(found.seconds, expected.seconds) and np.array_equal(found.metres, expected.metres)


def weight_of(state: Metric, leg: Leg) -> float:
    """The packed weight of driving a leg's arcs, street by street."""
    weight = np.where(np.isfinite(state.weight), state.weight, state.free)[list(leg.arcs)]
    low, high = np.zeros(len(leg.arcs)), np.ones(len(leg.arcs))
    low[0], high[-1] = leg.begin, leg.end
    return float(metric.part(weight, high - low).sum())


# --- against the oracle ---------------------------------------------------------------------------------------------


@settings(max_examples=150, deadline=None)
@given(towns(), st.data())
def test_times_and_distances_are_those_of_dijkstra(town: tuple[Network, Overlay], data: st.DataObject) -> None:
    """To the second and the metre, on any town, with closures, slow-downs and parts that do not meet."""
    network, overlay = town
    spots = data.draw(spots_on(network))
    roads = Roads(network, customize(network, overlay))
    oracle = DijkstraTimes(network, overlay)
    assert same(roads.matrix(spots), oracle.matrix(spots))
    expected = oracle.packed(spots)
    sources, targets = data.draw(st.permutations(range(len(spots)))), list(range(0, len(spots), 2))
    found = roads.packed([spots[s] for s in sources], [spots[t] for t in targets])
    assert np.array_equal(found, expected[np.ix_(sources, targets)])
    whole = oracle.matrix(spots)
    many = [*spots, *spots]
    table = roads.table(many, spots[:1])
    off = slice(1, len(spots))  # from a spot to itself a table has the way round, a matrix nothing
    assert table.seconds[off, 0].tolist() == whole.seconds[1:, 0].tolist(), "many sources, few targets: swept from the other end"
    assert table.metres[off, 0].tolist() == whole.metres[1:, 0].tolist()


@settings(max_examples=150, deadline=None)
@given(towns(), st.data())
def test_a_path_is_what_its_matrix_entry_says(town: tuple[Network, Overlay], data: st.DataObject) -> None:
    """Its streets join up, are open (but for the way out of a closure), and add up to the entry, time and distance."""
    network, overlay = town
    spots = data.draw(spots_on(network, 4))
    state = customize(network, overlay)
    roads = Roads(network, state)
    matrix, packed = roads.matrix(spots), roads.packed(spots, spots)
    for i, start in enumerate(spots):
        for j, end in enumerate(spots):
            leg = roads.leg(start, end)
            if i == j:
                continue
            if leg is None:
                assert matrix.seconds[i, j] == UNREACHABLE
                continue
            assert (leg.seconds, leg.metres) == (matrix.seconds[i, j], matrix.metres[i, j])
            assert all(network.head[a] == network.tail[b] for a, b in zip(leg.arcs, leg.arcs[1:], strict=False))
            open_ = np.isfinite(state.weight[list(leg.arcs)])
            assert open_.tolist() == sorted(open_.tolist()), "closed streets are only left, never entered"
            assert packed[i, j] == weight_of(state, leg)
            assert len(line(network, leg)) >= 2


@pytest.mark.parametrize("name", ["monaco", "porto-alegre", "porto"])
def test_real_maps_have_dijkstras_times(reference: Path, name: str) -> None:
    """Sampled pairs, first on free roads, then with hundreds of closures and slow-downs; and their paths add up."""
    network, _ = import_map(str(reference / "osm" / f"{name}.osm.pbf"))
    rng = np.random.default_rng(3)
    factor = np.ones(network.arcs)
    spots = [Spot(int(arc), float(share)) for arc, share in zip(rng.integers(0, network.arcs, 30), rng.random(30), strict=True)]
    for version in range(2):
        overlay = Overlay(network.fingerprint, version, factor.copy())
        state = customize(network, overlay)
        roads = Roads(network, state)
        matrix, packed = roads.matrix(spots), roads.packed(spots, spots)
        assert same(matrix, DijkstraTimes(network, overlay).matrix(spots))
        assert matrix.roads == version
        for i, j in zip(rng.integers(0, 30, 40).tolist(), rng.integers(0, 30, 40).tolist(), strict=True):
            leg = roads.leg(spots[i], spots[j])
            assert (leg is None) == (matrix.seconds[i, j] == UNREACHABLE)
            if leg is not None and i != j:
                assert packed[i, j] == weight_of(state, leg)
        factor[rng.random(network.arcs) < 0.02] = np.inf
        factor[rng.random(network.arcs) < 0.1] = 3.0


def test_one_node_is_nothing_from_itself() -> None:
    """The smallest graph there can be: no street at all."""
    graph = hierarchy.build(1, np.empty(0, np.int32), np.empty(0, np.int32))
    no_edges = np.zeros(2, np.int32), np.empty(0, np.int32), np.empty(0)
    door = np.array([0, 1], np.int32), np.zeros(1, np.int32), np.zeros(1)
    [(batch, weights)] = rphast.many_to_many(graph, no_edges, no_edges, door, door, no_edges)
    assert batch.tolist() == [0]
    assert weights[:, 0].tolist() == [0.0]
    assert hierarchy.numbering(np.zeros(1), np.zeros(1), np.empty(0, np.int64), np.empty(0, np.int64)).tolist() == [0]


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 60), st.integers(0, 150), st.integers(0, 2**16), st.booleans())
def test_junctions_are_numbered_once_in_postorder(size: int, streets: int, seed: int, in_one_place: bool) -> None:
    """Any graph, connected or not, even if all its junctions lie in the same place."""
    rng = np.random.default_rng(seed)
    ends = rng.integers(0, size, (2, streets))
    place = np.zeros(size) if in_one_place else rng.random(size)
    number = hierarchy.numbering(place, place[::-1].copy(), ends[0], ends[1])
    assert sorted(number) == list(range(size))
    graph = hierarchy.build(size, number[ends[0]].astype(np.int32), number[ends[1]].astype(np.int32))
    parent = [int(graph.high[graph.first[v]]) if graph.first[v] < graph.first[v + 1] else -1 for v in range(size)]
    below = np.ones(size, int)
    for v, above in enumerate(parent):
        if above >= 0:
            assert v < above
            assert above - v < below[above] + below[v] + size
            below[above] += below[v]
    for v, above in enumerate(parent):
        inside = range(v - below[v] + 1, v + 1)
        assert all(parent[u] in inside for u in inside if u != v), "descendants come right before"
        ancestors = set()
        while above >= 0:
            ancestors.add(above)
            above = parent[above]
        assert set(graph.high[graph.first[v] : graph.first[v + 1]].tolist()) <= ancestors


@settings(max_examples=60, deadline=None)
@given(towns(), st.data())
def test_a_way_on_the_map_is_as_long_as_it_says(town: tuple[Network, Overlay], data: st.DataObject) -> None:
    """A leg's line runs from spot to spot, without a jump, for the metres of the leg (towns' streets are a metre longer)."""
    network, overlay = town
    start, end = data.draw(spots_on(network, 1)), data.draw(spots_on(network, 1))
    leg = Roads(network, customize(network, overlay)).leg(start[0], end[0])
    if leg is None:
        return
    drawn = line(network, leg)
    for spot, point in ((start[0], drawn[0]), (end[0], drawn[-1])):
        ends = network.polyline(spot.arc)
        assert point == pytest.approx(ends[0] + spot.fraction * (ends[-1] - ends[0]), abs=1e-9)
    steps = haversine(drawn[:-1, 0], drawn[:-1, 1], drawn[1:, 0], drawn[1:, 1])
    assert leg.metres == pytest.approx(steps.sum(), abs=len(leg.arcs) * 1.2 + 1)


# --- hours of the day -----------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(towns(), st.data(), st.floats(0, DAY))
def test_each_hour_has_its_own_times(town: tuple[Network, Overlay], data: st.DataObject, depart: float) -> None:
    """Dijkstra's on streets as slow as the table says; and a leg lasts what the travel-speed model makes of all periods."""
    network, overlay = town
    spots = data.draw(spots_on(network, 4))
    table = maps.speeds("typical", (ROOT / "data",))
    day = Day(network, overlay, table, customize)
    times = day.travel_times(spots)
    assert len(times.periods) == table.periods == 5
    for period, matrix in enumerate(times.periods):
        assert same(matrix, DijkstraTimes(network, overlay, table.table[period][network.road_class]).matrix(spots))
    leg = day.leg(spots[0], spots[-1], depart)
    if len(spots) > 1:
        assert times.duration(0, len(spots) - 1, depart) == (leg.seconds if leg else UNREACHABLE)
        assert times.metres(0, len(spots) - 1, depart) == (leg.metres if leg else UNREACHABLE)


# --- metrics --------------------------------------------------------------------------------------------------------


def test_the_same_roads_are_the_same_file(tmp_path: Path, helsinki: Network) -> None:
    """Made once, opened ever after, by another process too, and made again when damaged."""
    factor = np.ones(helsinki.arcs)
    factor[7] = np.inf
    store = Metrics(tmp_path)
    first = store.of(helsinki, Overlay(helsinki.fingerprint, 4, factor))
    [path] = tmp_path.glob("*.metric")
    born = path.stat().st_ino
    again = store.of(helsinki, Overlay(helsinki.fingerprint, 9, factor))
    assert (first.roads, again.roads) == (4, 9)
    assert np.array_equal(first.up, again.up)
    assert path.stat().st_ino == born
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.apply(os.path.exists, (path,))
        assert pool.apply(_first_weight, (path,)) == first.weight[0]
    path.write_bytes(path.read_bytes()[:-200])
    assert np.array_equal(store.of(helsinki, Overlay(helsinki.fingerprint, 9, factor)).up, first.up)


def _first_weight(path: Path) -> float:
    return float(Metric.open(path).weight[0])


def test_only_the_last_metrics_stay(tmp_path: Path, helsinki: Network) -> None:
    """A day of closures does not fill the disk; what is open stays usable."""
    store = Metrics(tmp_path)
    opened = [store.of(helsinki, Overlay(helsinki.fingerprint, n, np.full(helsinki.arcs, 1.0 + n))) for n in range(metric.KEEP + 5)]
    assert len(list(tmp_path.glob("*.metric"))) == metric.KEEP
    assert np.isfinite(opened[0].weight).all()


def test_a_metric_of_another_format_is_made_again(tmp_path: Path, helsinki: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    """After an upgrade of the program."""
    store = Metrics(tmp_path)
    free = Overlay.free_flow(helsinki)
    monkeypatch.setattr(metric, "FORMAT", 0)
    store.of(helsinki, free)
    monkeypatch.undo()
    [path] = tmp_path.glob("*.metric")
    with pytest.raises(arrays.Unreadable):
        Metric.open(path)
    assert Metric.open(path) if store.of(helsinki, free) and path.exists() else False


def test_whoever_reads_keeps_a_consistent_state_while_roads_change(helsinki: Network) -> None:
    """Four threads ask on the state they hold, over and over, while a fifth lays one overlay after the other."""
    rng = np.random.default_rng(0)
    spots = [Spot(int(arc), 0.5) for arc in rng.integers(0, helsinki.arcs, 40)]
    states = []
    for version in range(6):
        factor = np.where(rng.random(helsinki.arcs) < 0.2, rng.choice([2.0, np.inf], helsinki.arcs), 1.0)
        overlay = Overlay(helsinki.fingerprint, version, factor)
        states.append((overlay, DijkstraTimes(helsinki, overlay).matrix(spots)))
    current = [(Roads(helsinki, customize(helsinki, states[0][0])), states[0][1])]
    wrong: list[int] = []
    asked = [0] * 4
    done = threading.Event()

    def read(who: int) -> None:
        while not done.is_set():
            roads, expected = current[0]
            if not same(roads.matrix(spots), expected):
                wrong.append(roads.metric.roads)
            asked[who] += 1

    readers = [threading.Thread(target=read, args=(who,)) for who in range(4)]
    for reader in readers:
        reader.start()
    deadline = time.monotonic() + 60
    rounds = 0
    while (min(asked) < 20 or rounds < 60) and time.monotonic() < deadline:
        overlay, expected = states[rounds % len(states)]
        current[0] = (Roads(helsinki, customize(helsinki, overlay)), expected)
        rounds += 1
    done.set()
    for reader in readers:
        reader.join()
    assert min(asked) >= 20
    assert not wrong


# --- kept matrices --------------------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(st.integers(0, 60), min_size=1, max_size=24), min_size=1, max_size=8), st.integers(8, 40))
def test_kept_matrices_are_those_computed_afresh(
    tmp_path_factory: pytest.TempPathFactory, helsinki: Network, requests: list[list[int]], room: int
) -> None:
    """Whatever was asked before, however little room there is, places twice or more."""
    rng = np.random.default_rng(1)
    places = [Spot(int(arc), float(share)) for arc, share in zip(rng.integers(0, helsinki.arcs, 61), rng.random(61), strict=True)]
    roads = Roads(helsinki, customize(helsinki))
    kept = MatrixCache(tmp_path_factory.mktemp("cache"), "hel", roads, max_places=room)
    for request in requests:
        spots = [places[number] for number in request]
        assert same(kept.matrix(spots), roads.matrix(spots))


def test_a_new_stop_costs_one_row_and_one_column(tmp_path: Path, helsinki: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is asked of the engine: all pairs once, then the new one only, then nothing."""
    roads = Roads(helsinki, customize(helsinki))
    asked: list[tuple[int, int]] = []

    class Counting(Roads):
        def table(self, sources: list[Spot], targets: list[Spot]) -> Matrix:  # type: ignore[override]
            asked.append((len(sources), len(targets)))
            return super().table(sources, targets)

    spots = [Spot(arc, 0.5) for arc in range(0, 1000, 10)]
    MatrixCache(tmp_path, "hel", Counting(helsinki, roads.metric)).matrix(spots[:99])
    asked.clear()
    again = MatrixCache(tmp_path, "hel", Counting(helsinki, roads.metric))
    assert same(again.matrix(spots), roads.matrix(spots))
    assert asked == [(1, 100), (100, 1)]
    asked.clear()
    assert same(again.matrix(spots[::-1]), roads.matrix(spots[::-1]))
    assert asked == []


def test_ten_thousand_places_stay_within_the_stated_memory(tmp_path: Path, helsinki: Network) -> None:
    """A day of moving drivers at a depot of 150 stops: 10,000 places in all, one table of 2 MB."""
    rng = np.random.default_rng(2)
    roads = Roads(helsinki, customize(helsinki))
    kept = MatrixCache(tmp_path, "hel", roads)
    stops = [Spot(int(arc), 0.25) for arc in rng.integers(0, helsinki.arcs, 150)]
    seen: set[Spot] = set()
    while len(seen) < 10_000:
        moving = [Spot(int(arc), float(rng.random())) for arc in rng.integers(0, helsinki.arcs, 60)]
        seen |= set(moving)
        found = kept.matrix(stops + moving)
    assert same(found, roads.matrix(stops + moving))
    [table] = tmp_path.glob("*.matrix")
    assert table.stat().st_size <= 2.2e6


def test_ends_of_streets_are_places_of_their_own(tmp_path: Path, helsinki: Network) -> None:
    """A hair inside a one-way street is not on its junction: whoever was asked for first, the answers are their own."""
    roads = Roads(helsinki, customize(helsinki))
    one_way = int(np.flatnonzero(helsinki.reverse < 0)[0])
    spots = [Spot(one_way, share) for share in (0.0, 2e-7, 0.5, 1 - 2e-7, 1.0)] + [Spot(900, 0.5)]
    for order in (slice(None), slice(None, None, -1)):
        kept = MatrixCache(tmp_path, f"hel{order.step}", roads)
        for spot in spots[order]:
            kept.matrix([spot, spots[-1]])
        assert np.abs(kept.matrix(spots).seconds - roads.matrix(spots).seconds).max() <= 1, "a millionth of a street apart"


@pytest.mark.parametrize("spot", [Spot(0, float("nan")), Spot(0, float("inf")), Spot(5, 1.5), Spot(10**6, 0.5), Spot(-1, 0.5)])
def test_kept_matrices_refuse_what_matrices_refuse(tmp_path: Path, helsinki: Network, spot: Spot) -> None:
    """Before it could be taken for another place."""
    with pytest.raises(BadRoads):
        MatrixCache(tmp_path, "hel", Roads(helsinki, customize(helsinki))).matrix([Spot(1, 0.5), spot])


def test_a_full_disk_costs_time_only(tmp_path: Path, helsinki: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a metric nor a table can be kept: both are computed, and nothing half-written stays."""

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    monkeypatch.setattr(arrays, "save", full)
    roads = Roads(helsinki, Metrics(tmp_path).of(helsinki, Overlay.free_flow(helsinki)))
    spots = [Spot(1, 0.5), Spot(2, 0.5)]
    assert same(MatrixCache(tmp_path, "hel", roads).matrix(spots), roads.matrix(spots))
    assert [path.name for path in tmp_path.iterdir()] == ["hel.lock"]


def test_a_table_is_never_waited_for(tmp_path: Path, helsinki: Network) -> None:
    """While another process has it, or hangs with it, the answer is computed."""
    import fcntl

    roads = Roads(helsinki, customize(helsinki))
    spots = [Spot(1, 0.5), Spot(2, 0.5)]
    with (tmp_path / "hel.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert same(MatrixCache(tmp_path, "hel", roads).matrix(spots), roads.matrix(spots))
    assert not list(tmp_path.glob("*.matrix"))


def test_half_written_numbers_are_computed_again(tmp_path: Path, helsinki: Network) -> None:
    """As a process leaves them that is killed while it writes: zero is unknown, in either table."""
    roads = Roads(helsinki, customize(helsinki))
    kept = MatrixCache(tmp_path, "hel", roads)
    spots = [Spot(arc, 0.5) for arc in range(0, 500, 10)]
    kept.matrix(spots)
    [path] = tmp_path.glob("*.matrix")
    table = cache._Table.open(path)
    assert table is not None
    table.metres[:30:3, 5:] = 0
    table.seconds[20:, ::7] = 0
    assert same(kept.matrix(spots), roads.matrix(spots))
    path.write_bytes(path.read_bytes()[:1000])
    assert same(kept.matrix(spots), roads.matrix(spots))


def test_each_state_of_the_roads_has_its_own_table(tmp_path: Path, helsinki: Network) -> None:
    """A closure is not answered from before it; of the old tables the last one stays."""
    spots = [Spot(arc, 0.5) for arc in range(0, 400, 40)]
    for version in range(4):
        factor = np.full(helsinki.arcs, 1.0 + version)
        roads = Roads(helsinki, customize(helsinki, Overlay(helsinki.fingerprint, version, factor)))
        assert same(MatrixCache(tmp_path, "hel", roads).matrix(spots), roads.matrix(spots))
        MatrixCache(tmp_path, "hel-2", roads).matrix(spots)
    assert len(list(tmp_path.glob("hel.*.matrix"))) == len(list(tmp_path.glob("hel-2.*.matrix"))) == cache.KEEP


# --- what a change touches ------------------------------------------------------------------------------------------


@settings(max_examples=100, deadline=None)
@given(towns(), st.data())
def test_a_change_touches_the_legs_that_use_its_streets(town: tuple[Network, Overlay], data: st.DataObject) -> None:
    """A leg is left alone only if it takes the same time and way on the same streets as before."""
    network, overlay = town
    spots = data.draw(spots_on(network, 4))
    before, after = Roads(network, customize(network)), Roads(network, customize(network, overlay))
    legs = [(a, b) for a in spots for b in spots]
    changed = set(np.flatnonzero(overlay.factor != 1.0).tolist())
    assert set(impact.changed_arcs(before.metric, after.metric).tolist()) <= changed
    for (a, b), touched in zip(legs, impact.touched(before, after, legs), strict=True):
        was, is_ = before.leg(a, b), after.leg(a, b)
        if not touched:
            assert (was is None) == (is_ is None)
            if was is not None and is_ is not None:
                assert (was.seconds, was.metres) == (is_.seconds, is_.metres)
                assert not set(was.arcs) & set(impact.changed_arcs(before.metric, after.metric).tolist())
        elif was is not None and is_ is not None and was.seconds == is_.seconds and was.metres == is_.metres:
            assert set(was.arcs) & changed


# --- wrong use ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spot", [Spot(10**6, 0.5), Spot(-1, 0.5), Spot(0, 1.01), Spot(0, float("nan")), Spot(0, -0.1)])
def test_a_spot_that_is_not_on_the_map_is_refused(helsinki: Network, spot: Spot) -> None:
    """Arcs out of range and shares that are none, as source, target and in a leg."""
    roads = Roads(helsinki, customize(helsinki))
    with pytest.raises(BadRoads, match="is at") as error:
        roads.matrix([Spot(0, 0.5), spot])
    assert "1376" in error.value.remedy
    with pytest.raises(BadRoads):
        roads.leg(Spot(0, 0.5), spot)


def test_an_overlay_comes_back_from_its_state(helsinki: Network) -> None:
    """As a plan keeps it; and one of another map, or beyond this one, is refused."""
    factor = np.ones(helsinki.arcs)
    factor[[3, 9]] = 2.5, np.inf
    overlay = Overlay(helsinki.fingerprint, 4, factor)
    state = overlay.state()
    assert (state.arcs, state.factors) == ((3, 9), (2.5, None))
    assert np.array_equal(Overlay.of(helsinki, codec.loads(codec.dumps(state), RoadState)).factor, factor)
    for wrong in (replace(state, map="other"), replace(state, arcs=(3, helsinki.arcs))):
        with pytest.raises(WrongMap):
            Overlay.of(helsinki, wrong)


def test_a_street_that_takes_no_time_can_be_closed(helsinki: Network) -> None:
    """Nothing times infinity is not a number; it is closed."""
    seconds = helsinki.seconds.copy()
    seconds[7] = 0
    factor = np.ones(helsinki.arcs)
    factor[7] = np.inf
    state = customize(replace(helsinki, seconds=seconds), Overlay(helsinki.fingerprint, 1, factor))
    assert np.isinf(state.weight[7])


def test_maps_that_differ_in_their_classes_have_names_of_their_own() -> None:
    """Speeds by the hour depend on classes: nothing made for the one may serve the other."""
    first, other = (town(np.array([[0, 1], [1, 0]]), np.random.default_rng(0), 2, road_class=number) for number in (3, 4))
    assert np.array_equal(first.seconds, other.seconds)
    assert first.fingerprint != other.fingerprint


def test_an_overlay_of_another_map_is_refused(helsinki: Network) -> None:
    """By fingerprint, by length, and an event of another edition by its own."""
    other = town(np.array([[0, 1], [1, 0]]), np.random.default_rng(0), 2)
    with pytest.raises(WrongMap, match="belongs to map"):
        customize(helsinki, Overlay.free_flow(other))
    with pytest.raises(WrongMap):
        customize(helsinki, Overlay(helsinki.fingerprint, 0, np.ones(3)))
    event = RoadEvent("r", "d", "t", (1,), 0, 10, map=other.fingerprint)
    with pytest.raises(WrongMap, match="another edition"):
        Overlay.at(helsinki, [event], 5, version=1)
    with pytest.raises(WrongMap):
        Overlay.at(helsinki, [replace(event, map=helsinki.fingerprint, arcs=(helsinki.arcs,))], 5, version=1)


@pytest.mark.parametrize("factor", [0.0, -1.0, float("nan"), float("-inf")])
def test_a_factor_that_no_road_can_have_is_refused(helsinki: Network, factor: float) -> None:
    """Zero, negative, no number."""
    factors = np.ones(helsinki.arcs)
    factors[5] = factor
    with pytest.raises(BadRoads, match="arc 5"):
        Overlay(helsinki.fingerprint, 1, factors)


@pytest.mark.parametrize("seconds", [-1.0, float("nan")])
def test_a_street_that_takes_no_possible_time_is_refused(helsinki: Network, seconds: float) -> None:
    """As a damaged map would have it."""
    times = helsinki.seconds.copy()
    times[3] = seconds
    with pytest.raises(BadRoads, match="arc 3"):
        customize(replace(helsinki, seconds=times))


def test_weights_are_exact_sums() -> None:
    """The packing that all this rests on: shares and sums lose neither a millisecond nor a decimetre."""
    weight = metric.pack(np.array([12345.4, 70.0, np.inf]), np.array([678.94, 0.04, 5.0], np.float32))
    assert weight.tolist() == [12345 + 6789 * DECIMETRE, 70.0, np.inf]
    whole = metric.part(weight[:1], np.array([1.0]))
    assert whole[0] == weight[0]
    assert sum([float(weight[0])] * 20_000) == 20_000 * 12345 + 20_000 * 6789 * DECIMETRE
