"""Maps in and out, snapping, closures, and travel times against networkx."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import osmium
import osmnx
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from routing.errors import ImportFailed, MapFileError, OffMap
from routing.model import Kerb, Location, Place, RoadEvent
from routing.roads import graphs, maps, osm
from routing.roads.importer import import_map
from routing.roads.metric import customize
from routing.roads.network import FORMAT, MAGIC, Network
from routing.roads.snapping import Snapper, both_ways
from routing.roads.spot import Spot
from routing.roads.streets import assemble, haversine
from routing.roads.traffic import Overlay
from routing.roads.travel import UNREACHABLE, Leg, Roads, line
from tests.routing.dijkstra import DijkstraTimes
from tests.routing.towns import towns

NODES = {1: (60.0, 24.0), 2: (60.0, 24.002), 3: (60.001, 24.002), 4: (60.001, 24.0), 5: (60.0, 24.001), 9: (60.01, 24.0)}
WAYS: list[tuple[int, list[int], dict[str, str]]] = [
    (10, [1, 5, 2], {"highway": "residential"}),
    (11, [2, 3], {"highway": "residential", "maxspeed": "30 mph"}),
    (12, [3, 4], {"highway": "primary", "oneway": "yes"}),
    (13, [4, 1], {"highway": "service"}),
    (14, [4, 9], {"highway": "footway"}),
    (15, [3, 9], {"highway": "residential", "oneway": "yes"}),  # one way out: nothing comes back from 9
    (16, [5, 777], {"highway": "residential"}),  # clipped: 777 is not in the extract
    (17, [1, 4], {"highway": "service", "access": "private"}),
]


Nodes = dict[int, tuple[float, float]]
Ways = list[tuple[int, list[int], dict[str, str]]]


def write_osm(path: Path, places: Nodes = NODES, streets: Ways = WAYS) -> Path:
    """An extract; a little town with a clipped way, a footway, a private way and a dead end one way only."""
    with osmium.SimpleWriter(str(path), overwrite=True) as writer:
        for ref, (lat, lon) in places.items():
            writer.add_node(osmium.osm.mutable.Node(id=ref, location=(lon, lat), version=1))
        for ref, nodes, tags in streets:
            writer.add_way(osmium.osm.mutable.Way(id=ref, nodes=nodes, tags=tags, version=1))
    return path


@pytest.mark.parametrize("name", ["town.osm.pbf", "town.osm", "town.osm.bz2"])
def test_an_extract_keeps_what_reaches_every_other_place(tmp_path: Path, name: str) -> None:
    """The dead end and what vehicles may not use are left out, and the report says so."""
    network, report = import_map(str(write_osm(tmp_path / name)))
    assert network.nodes == 5
    assert nx.number_strongly_connected_components(nx.DiGraph(graphs.to_networkx(network))) == 1
    assert 9 not in network.osm_id
    assert report.dropped_arcs == 1
    assert report.dropped_nodes == 1
    assert report.islands == 1
    assert any("1" in line and "islands" in line for line in report.lines())


def test_a_one_way_street_is_one_way_and_posted_limits_count(tmp_path: Path) -> None:
    """Way 12 is driven 3 to 4 only, and way 11 has a limit in miles per hour."""
    network, _ = import_map(str(write_osm(tmp_path / "town.osm.pbf")))
    ends = {(int(network.osm_id[a]), int(network.osm_id[b])): arc for arc, (a, b) in
            enumerate(zip(network.tail, network.head, strict=True))}  # fmt: skip
    assert (3, 4) in ends
    assert (4, 3) not in ends
    arc = ends[2, 3]
    assert network.metres[arc] / network.seconds[arc] * 3.6 == pytest.approx(0.85 * 30 * 1.609344, rel=1e-4)
    assert network.reverse[arc] == ends[3, 2]
    assert network.reverse[ends[3, 4]] == -1


def test_a_map_survives_being_saved_and_opened(tmp_path: Path, helsinki: Network) -> None:
    """Every array comes back as it was."""
    helsinki.save(tmp_path / "copy.map")
    copy = Network.open(tmp_path / "copy.map")
    for whole, again in ((helsinki, copy), (helsinki.hierarchy, copy.hierarchy), (helsinki.grid, copy.grid)):
        for name in set(type(whole).__slots__) - {"hierarchy", "grid"}:
            assert np.array_equal(getattr(again, name), getattr(whole, name)), name


@pytest.mark.parametrize(("content", "words"), [
    (b"", "cannot be opened"), (b"hello, I am a text", "not a lastleg map"), (MAGIC + b"\xff" * 30, "cut off"),
    (MAGIC + (2).to_bytes(8, "little") + b"{}", f"reads {FORMAT}"),
])  # fmt: skip
def test_a_broken_map_is_refused_with_what_to_do(tmp_path: Path, content: bytes, words: str) -> None:
    """Empty, foreign, cut off, of another format."""
    (tmp_path / "bad.map").write_bytes(content)
    with pytest.raises(MapFileError, match=words) as error:
        Network.open(tmp_path / "bad.map")
    assert "import" in error.value.remedy


def test_a_map_cut_in_the_middle_is_refused(tmp_path: Path) -> None:
    """A copy that was interrupted."""
    whole = (maps.find("helsinki", [Path("data")])).read_bytes()
    (tmp_path / "cut.map").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(MapFileError, match="cut off"):
        Network.open(tmp_path / "cut.map")


@pytest.mark.parametrize("source", ["missing.osm.pbf", "empty.osm.pbf", "junk.osm.pbf", "junk.graphml", "junk.osm", "strange.txt"])
def test_a_bad_source_is_refused(tmp_path: Path, source: str) -> None:
    """One clear error, whatever is wrong with the file."""
    if not source.startswith("missing"):
        (tmp_path / source).write_bytes(b"" if source.startswith("empty") else b"<junk>")
    with pytest.raises(ImportFailed):
        import_map(str(tmp_path / source))


def test_names_of_maps_are_never_paths(tmp_path: Path) -> None:
    """A request cannot reach another file."""
    (tmp_path / "secret.map").write_bytes(b"x")
    inside = tmp_path / "maps"
    inside.mkdir()
    for name in ("../secret", str(tmp_path / "secret"), "", "..", "a/b"):
        with pytest.raises(MapFileError):
            maps.find(name, [inside])


def test_the_command_imports_and_exports(tmp_path: Path) -> None:
    """From the shell: pbf in, GraphML out, and the same travel times back in."""
    source = write_osm(tmp_path / "town.osm.pbf")
    run = [sys.executable, "-m", "routing.roads"]
    told = subprocess.run([*run, "import", str(source), "--out", str(tmp_path / "a.map")], check=True, capture_output=True,
                          text=True)  # fmt: skip
    assert "kept" in told.stdout
    assert "dropped" in told.stdout
    assert "reading nodes and ways" in told.stderr
    subprocess.run([*run, "export", str(tmp_path / "a.map"), "--out", str(tmp_path / "a.graphml")], check=True)
    subprocess.run([*run, "import", str(tmp_path / "a.graphml"), "--out", str(tmp_path / "b.map")], check=True)
    first, second = Network.open(tmp_path / "a.map"), Network.open(tmp_path / "b.map")
    assert sorted(first.seconds.tolist()) == pytest.approx(sorted(second.seconds.tolist()))
    assert "strongly connected parts: 1" in subprocess.run([*run, "info", str(tmp_path / "a.map")], check=True,
                                                           capture_output=True, text=True).stdout  # fmt: skip
    failed = subprocess.run([*run, "import", "nowhere.osm.pbf", "--out", str(tmp_path / "c.map")], capture_output=True, text=True)
    assert failed.returncode == 1
    assert failed.stderr.startswith("import_failed: ")


def test_an_osmnx_graph_gives_osmnx_travel_times(helsinki: Network) -> None:
    """Out to osmnx and in again: our times are osmnx's own shortest paths."""
    graph = graphs.to_networkx(helsinki)
    network, _ = assemble(graphs.streets(graph), name="again", attribution="", source="")
    times = Roads(network, customize(network))
    rng = np.random.default_rng(0)
    nodes = rng.choice(network.nodes, 12, replace=False)
    matrix = times.matrix([_at_node(network, int(node)) for node in nodes])
    for i, a in enumerate(nodes):
        for j, b in enumerate(nodes):
            path = osmnx.routing.shortest_path(graph, int(network.osm_id[a]), int(network.osm_id[b]), weight="travel_time")
            assert path is not None
            steps = zip(path, path[1:], strict=False)
            total = sum(min(edge["travel_time"] for edge in graph[u][v].values()) for u, v in steps)
            assert matrix.seconds[i, j] == pytest.approx(total, abs=2)


def test_a_graph_of_osmnxs_own_making_gives_osmnx_travel_times(reference: Path, tmp_path: Path) -> None:
    """Monaco as osmnx simplifies it, with its speeds: parallel streets, loops and attributes that are lists included."""
    _drivable_xml(reference / "osm" / "monaco.osm.pbf", tmp_path / "monaco.osm")
    graph = osmnx.graph_from_xml(tmp_path / "monaco.osm", retain_all=True)
    graph = osmnx.add_edge_travel_times(osmnx.add_edge_speeds(graph))
    network, report = assemble(graphs.streets(graph), name="monaco", attribution="", source="osmnx")
    assert report.dropped_nodes >= len(graph) - network.nodes, "loops are cut in two, which makes junctions of their own"
    roads = Roads(network, customize(network))
    nodes = np.random.default_rng(5).choice(np.flatnonzero(network.osm_id > 0), 15, replace=False)
    found = roads.packed(*[[_at_node(network, int(node)) for node in nodes]] * 2)
    for i, a in enumerate(nodes):
        lengths = nx.single_source_dijkstra_path_length(graph, int(network.osm_id[a]), weight="travel_time")
        for j, b in enumerate(nodes):
            ours = np.floor(found[i, j]) / 1000
            assert ours == pytest.approx(lengths[int(network.osm_id[b])], abs=0.1), "each street is rounded to the millisecond"


def _drivable_xml(source: Path, target: Path) -> None:
    """What vehicles may use of an extract, as the XML that osmnx reads (which filters nothing itself)."""
    found: Any = osmium.FileProcessor(str(source)).with_locations().with_filter(osmium.filter.EntityFilter(osmium.osm.WAY))
    ways = [(way.id, dict(way.tags), [(node.ref, node.location.lat, node.location.lon) for node in way.nodes]) for way in found
            if osm.drivable(dict(way.tags)) and all(node.location.valid() for node in way.nodes)]  # fmt: skip
    with osmium.SimpleWriter(str(target), overwrite=True) as writer:
        for ref, (lat, lon) in {ref: (lat, lon) for _, _, nodes in ways for ref, lat, lon in nodes}.items():
            writer.add_node(osmium.osm.mutable.Node(id=ref, location=(lon, lat), version=1))
        for way_id, tags, nodes in ways:
            writer.add_way(osmium.osm.mutable.Way(id=way_id, tags=tags, nodes=[ref for ref, _, _ in nodes], version=1))


def _at_node(network: Network, node: int) -> Spot:
    """The spot at a junction: the beginning of a street that leaves it."""
    return Spot(int(np.searchsorted(network.tail, node)), 0.0, 0.0)


@pytest.mark.parametrize("name", ["porto-alegre", "porto"])
def test_real_extracts_import(reference: Path, tmp_path: Path, name: str) -> None:
    """Porto Alegre and Porto, strongly connected; opening is a matter of mapping the file."""
    network, report = import_map(str(reference / "osm" / f"{name}.osm.pbf"))
    assert report.nodes > 5_000
    network.save(tmp_path / "x.map")
    assert Network.open(tmp_path / "x.map").arcs == report.arcs


# --- travel times ---------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(towns(), st.data())
def test_travel_times_are_shortest_paths(town: tuple[Network, Overlay], data: st.DataObject) -> None:
    """Against networkx, from mid-street to mid-street, with closures; and legs agree with the matrix."""
    network, overlay = town
    spots = [Spot(arc, share, 0.0) for arc, share in data.draw(st.lists(
        st.tuples(st.integers(0, network.arcs - 1), st.sampled_from([0.0, 0.25, 0.5, 1.0])), min_size=2, max_size=5))]  # fmt: skip
    times = Roads(network, customize(network, overlay))
    matrix = times.matrix(spots)
    graph: Any = nx.DiGraph()
    graph.add_nodes_from(range(network.nodes))
    for arc in range(network.arcs):
        weight = float(network.seconds[arc]) * overlay.factor[arc]
        a, b = int(network.tail[arc]), int(network.head[arc])
        if np.isfinite(weight):
            graph.add_edge(a, b, w=min(weight, graph.get_edge_data(a, b, {"w": np.inf})["w"]))
    for i, start in enumerate(spots):
        for j, end in enumerate(spots):
            if i == j:
                assert matrix.seconds[i, j] == 0
                continue
            best = _by_hand(graph, network, overlay, start, end)
            if best == np.inf:
                assert matrix.seconds[i, j] == UNREACHABLE
                assert times.leg(start, end) is None
            else:
                assert matrix.seconds[i, j] == pytest.approx(best, abs=1.2)
                leg = times.leg(start, end)
                assert leg is not None
                assert (leg.seconds, leg.metres) == (matrix.seconds[i, j], matrix.metres[i, j])


def _by_hand(graph: Any, network: Network, overlay: Overlay, start: Spot, end: Spot) -> float:
    """Streets out of `start`, shortest path between junctions, streets into `end`."""

    def sides(spot: Spot) -> list[tuple[int, float]]:
        other = int(network.reverse[spot.arc])
        return [(spot.arc, spot.fraction)] + ([(other, 1 - spot.fraction)] if other >= 0 else [])

    best = np.inf
    for arc, share in sides(start):
        closed = not np.isfinite(overlay.factor[arc])
        out = float(network.seconds[arc]) * (1.0 if closed else overlay.factor[arc]) * (1 - share)
        exits = _ways_out(network, overlay, int(network.head[arc])) if closed else {int(network.head[arc]): 0.0}
        if share in (0.0, 1.0):  # on the junction itself
            here = int(network.head[arc] if share else network.tail[arc])
            out, exits = 0.0, {here: 0.0} if graph.out_degree(here) else _ways_out(network, overlay, here)
        for other, into in sides(end):
            cost = float(network.seconds[other]) * overlay.factor[other]
            b = int(network.tail[other])
            if other == arc and into == share:
                return 0.0
            if other == arc and into >= share and np.isfinite(cost):
                best = min(best, cost * (into - share))
            if into in (0.0, 1.0):
                b, cost = int(network.head[other] if into else b), 0.0
            if not np.isfinite(cost):
                continue
            for a, driven in exits.items():
                try:
                    way = 0.0 if a == b else nx.shortest_path_length(graph, a, b, weight="w")
                except (nx.NetworkXNoPath, nx.NodeNotFound):
                    continue
                best = min(best, out + driven + way + cost * into)
    return float(best)


def _ways_out(network: Network, overlay: Overlay, junction: int) -> dict[int, float]:
    """Seconds from a junction to every one that closed streets lead to: whoever stands inside may drive out."""
    inner: Any = nx.DiGraph()
    inner.add_node(junction)
    for arc in np.flatnonzero(~np.isfinite(overlay.factor)):
        a, b, seconds = int(network.tail[arc]), int(network.head[arc]), float(network.seconds[arc])
        inner.add_edge(a, b, w=min(seconds, inner.get_edge_data(a, b, {"w": np.inf})["w"]))
    left = set(network.tail[np.isfinite(overlay.factor)].tolist()) | {junction}
    found = nx.single_source_dijkstra_path_length(inner, junction, weight="w")
    return {node: seconds for node, seconds in found.items() if node in left}


def test_a_closure_is_driven_around_and_ends(helsinki: Network) -> None:
    """While it holds, no leg uses its arcs; afterwards all is as before."""
    snapper = Snapper(helsinki)
    start, end = snapper.nearest([Place(Location(60.166, 24.935)), Place(Location(60.173, 24.946))])
    free = Roads(helsinki, customize(helsinki)).leg(start, end)
    assert free is not None
    shut = both_ways(helsinki, np.array(free.arcs[len(free.arcs) // 2 :][:2]))
    event = RoadEvent("r", "d", "t", tuple(shut.tolist()), 100, 200, map=helsinki.fingerprint)
    during = Roads(helsinki, customize(helsinki, Overlay.at(helsinki, [event], 150, version=1))).leg(start, end)
    assert during is None or not set(during.arcs) & set(shut.tolist())
    assert during is None or during.seconds >= free.seconds
    after = Roads(helsinki, customize(helsinki, Overlay.at(helsinki, [event], 200, version=2))).leg(start, end)
    assert after is not None
    assert after.seconds == free.seconds


def test_whoever_stands_in_a_closed_area_drives_out_and_nobody_drives_in(helsinki: Network) -> None:
    """An area of many streets: every other place can be reached from inside, none inside from anywhere else."""
    snapper = Snapper(helsinki)
    centre = Location(60.1698, 24.9405)
    shut = both_ways(helsinki, snapper.arcs_within(snapper.disc(centre, 120)))
    assert len(shut) > 30
    event = RoadEvent("r", "d", "t", tuple(shut.tolist()), 0, 10, map=helsinki.fingerprint)
    times = Roads(helsinki, customize(helsinki, Overlay.at(helsinki, [event], 5, version=1)))
    inside, outside = snapper.nearest([Place(centre), Place(Location(60.1745, 24.9405))])
    matrix = times.matrix([inside, outside])
    assert matrix.seconds[0, 1] < 1000
    assert matrix.seconds[1, 0] == UNREACHABLE
    leg = times.leg(inside, outside)
    assert leg is not None
    assert leg.seconds == matrix.seconds[0, 1]
    spots = [inside, outside, *(Spot(int(arc), 0.5) for arc in shut[:20]), Spot(int(shut[0]), 0.0), Spot(int(shut[-1]), 1.0)]
    oracle = DijkstraTimes(helsinki, Overlay.at(helsinki, [event], 5, version=1)).matrix(spots)
    assert np.array_equal(times.matrix(spots).seconds, oracle.seconds), "by the best of all ways out"
    open_ = [arc not in set(shut.tolist()) for arc in leg.arcs]
    assert open_ == sorted(open_), "once out, it does not come back in"


@pytest.mark.parametrize("seed", range(8))
def test_closed_areas_are_left_by_the_best_of_many_ways_out(helsinki: Network, seed: int) -> None:
    """Discs of all sizes, spots in and around them, against Dijkstra: many doors a spot, and all of them matter."""
    rng, snapper = np.random.default_rng(seed), Snapper(helsinki)
    node = int(rng.integers(helsinki.nodes))
    area = snapper.disc(Location(float(helsinki.lat[node]), float(helsinki.lon[node])), float(rng.uniform(60, 220)))
    shut = both_ways(helsinki, snapper.arcs_within(area))
    factor = np.where(rng.random(helsinki.arcs) < 0.2, 3.0, 1.0)
    factor[shut] = np.inf
    overlay = Overlay(helsinki.fingerprint, 1, factor)
    roads = Roads(helsinki, customize(helsinki, overlay))
    arcs = [*rng.choice(shut, 25).tolist(), *rng.integers(0, helsinki.arcs, 25).tolist()]
    spots = [Spot(arc, share) for arc, share in zip(arcs, rng.choice([0.0, 0.3, 0.7, 1.0], 50).tolist(), strict=True)]
    assert np.array_equal(roads.packed(spots, spots), DijkstraTimes(helsinki, overlay).packed(spots))


def test_a_place_snaps_to_the_nearest_street(helsinki: Network) -> None:
    """Points beside the middle of a street come back to it; far ones are refused with their distance."""
    snapper = Snapper(helsinki)
    for arc in range(0, helsinki.arcs, 97):
        line = helsinki.polyline(arc)
        middle = line[:2].mean(axis=0)
        spot = snapper.snap(Location(float(middle[0]), float(middle[1])))
        assert spot.distance_m < 1.0
    with pytest.raises(OffMap) as error:
        snapper.snap(Location(61.0, 25.0))
    assert error.value.distance_m > 80_000


@pytest.mark.parametrize("name", ["monaco", "porto-alegre"])
def test_snapping_finds_the_nearest_of_all_segments(reference: Path, name: str) -> None:
    """Against every segment, one by one: beside streets, far from any, and beyond the edge of the map."""
    network, _ = import_map(str(reference / "osm" / f"{name}.osm.pbf"))
    rng = np.random.default_rng(8)
    near = rng.integers(0, network.nodes, 60)
    spread = np.repeat([1e-4, 3e-3, 0.1], 20)
    lat, lon = network.lat[near] + rng.normal(0, spread), network.lon[near] + rng.normal(0, spread)
    arc, fraction, metres, _ = Snapper(network).arrays(lat, lon)
    x, y = network.grid.project(network.shape_lat / 1e7, network.shape_lon / 1e7)
    begins = np.delete(np.arange(len(x)), network.shape_start[1:] - 1)
    ax, ay, dx, dy = x[begins], y[begins], x[begins + 1] - x[begins], y[begins + 1] - y[begins]
    px, py = network.grid.project(lat, lon)
    for q in range(len(lat)):
        share = np.clip(((px[q] - ax) * dx + (py[q] - ay) * dy) / np.maximum(dx * dx + dy * dy, 1e-12), 0, 1)
        best = np.hypot(ax + share * dx - px[q], ay + share * dy - py[q]).min()
        assert metres[q] == pytest.approx(best, abs=1e-2)
        drawn = line(network, Leg(0, 0, (int(arc[q]),), float(fraction[q]), float(fraction[q])))[0]
        fx, fy = network.grid.project(drawn[:1], drawn[1:])
        assert np.hypot(fx[0] - px[q], fy[0] - py[q]) == pytest.approx(best, abs=0.05), "and the fraction leads there"


def test_the_outer_side_of_a_bend_is_on_one_side(tmp_path: Path) -> None:
    """A hairpin to the right: what lies beyond its tip is on its left, whichever of its two ways is nearer."""
    nodes = {1: (60.0, 24.0), 2: (60.001, 24.0), 3: (60.0, 24.0002)}
    write_osm(tmp_path / "bend.osm", nodes, [(1, [1, 2, 3], {"highway": "residential"})])
    network, _ = import_map(str(tmp_path / "bend.osm"))
    snapper = Snapper(network)
    for lat, lon in ((60.0011, 23.9999), (60.0011, 24.0), (60.0011, 24.0001), (60.00105, 24.00005)):
        right, left = snapper.nearest([Place(Location(lat, lon), kerb) for kerb in (Kerb.RIGHT, Kerb.LEFT)])
        up = network.polyline(left.arc)[0]
        assert up == pytest.approx([60.0, 24.0], abs=1e-6), "driven from the hairpin's first end, it is on the left"
        assert right.arc == network.reverse[left.arc]


def test_a_street_that_ends_where_it_begins_is_kept(tmp_path: Path) -> None:
    """A cul-de-sac's ring, one-way and not: cut in two, both halves joined to their other direction, as long as before."""
    nodes = {1: (60.0, 24.0), 2: (60.001, 24.0), 3: (60.002, 24.001), 4: (60.002, 24.002), 5: (60.001, 24.001)}
    ring = [2, 3, 4, 5, 2]
    for tags, arcs in (({}, 4), ({"oneway": "yes"}, 2)):
        ways: Ways = [(1, [1, 2], {"highway": "residential"}), (2, ring, {"highway": "residential"} | tags)]
        write_osm(tmp_path / "ring.osm", nodes, ways)
        network, report = import_map(str(tmp_path / "ring.osm"))
        assert (network.nodes, network.arcs) == (3, 2 + arcs)
        assert report.dropped_arcs == 0
        around = np.flatnonzero(network.way == 2)
        places = [nodes[node] for node in ring]
        whole = sum(float(haversine(*map(np.array, (*a, *b)))) for a, b in zip(places, places[1:], strict=False))
        assert network.metres[around].sum() == pytest.approx(whole * arcs / 2, rel=1e-5)
        assert (network.reverse[around] >= 0).all() == (tags == {})
        spot = Snapper(network).snap(Location(60.002, 24.0015))
        assert spot.distance_m < 1
        assert Roads(network, customize(network)).matrix([spot, _at_node(network, 0)]).seconds.max() < 1000


def test_a_motorway_is_one_way_in_every_format(tmp_path: Path) -> None:
    """Though it does not say so."""
    nodes: Nodes = {1: (60.0, 24.0), 2: (60.01, 24.0), 3: (60.0, 24.001)}
    ways: Ways = [(1, [1, 2], {"highway": "motorway"}), (2, [2, 3, 1], {"highway": "residential"})]
    for name in ("m.osm", "m.osm.bz2", "m.osm.pbf"):
        network, _ = import_map(str(write_osm(tmp_path / name, nodes, ways)))
        assert (network.way == 1).sum() == 1
        assert (network.way == 2).sum() == 2


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"node": {"y": float("nan")}}, "projected"), ({"node": {"x": None}}, "no usable x"),
        ({"node": {"y": 4_000_000}}, "projected"), ({"travel_time": [1, 2]}, "no usable travel_time"),
        ({"travel_time": float("nan")}, "travel time"), ({"travel_time": -1}, "travel time"),
        ({"length": None}, "no usable length"), ({"length": 1e9}, "length"), ({"length": float("inf")}, "length"),
        ({"geometry": "LINESTRING"}, "no line"), ({"geometry": shapely.LineString()}, "without points"),
        ({"travel_time": "gone"}, "Only 1 of 2"),
    ],
)  # fmt: skip
def test_a_graph_that_cannot_be_is_refused(change: dict[str, Any], words: str) -> None:
    """Not a number, negative, endless, of the wrong kind, or only here and there."""
    graph: Any = nx.MultiDiGraph()
    graph.add_node("a", **({"x": 24.0, "y": 60.0} | change.pop("node", {})))
    graph.add_node("b", x=24.01, y=60.0)
    data = {"length": 500.0, "travel_time": 50.0, "highway": ["crossing", "primary"], "osmid": [7, "x"]}
    graph.add_edge("a", "b", **data)
    graph.add_edge("b", "a", **{key: value for key, value in (data | change).items() if value != "gone"})
    with pytest.raises(ImportFailed, match=words) as error:
        assemble(graphs.streets(graph), name="x", attribution="", source="x")
    assert error.value.remedy


def test_a_graph_with_ids_that_are_no_numbers_keeps_its_classes() -> None:
    """The first class that vehicles use of several, and positions for ids."""
    graph: Any = nx.MultiDiGraph()
    graph.add_node("a", x=24.0, y=60.0)
    graph.add_node(np.int64(7), x=24.01, y=60.0)
    graph.add_edge("a", np.int64(7), length=500.0, highway=["crossing", "primary"], osmid=[7, "x"])
    graph.add_edge(np.int64(7), "a", length=500.0, highway="primary", osmid=7)
    network, _ = assemble(graphs.streets(graph), name="x", attribution="", source="x")
    assert sorted(network.osm_id.tolist()) == [0, 1]
    assert {osm.CLASSES[number] for number in network.road_class} == {"primary"}
    assert network.way.tolist() == [7, 7]


@pytest.mark.parametrize("seed", range(20))
def test_a_damaged_map_is_refused(tmp_path: Path, helsinki: Network, seed: int) -> None:
    """One bit turned over anywhere behind the header."""
    helsinki.save(tmp_path / "x.map")
    raw = bytearray((tmp_path / "x.map").read_bytes())
    at = np.random.default_rng(seed).integers(len(raw) // 10, len(raw))
    raw[at] ^= 1 << seed % 8
    (tmp_path / "x.map").write_bytes(raw)
    with pytest.raises(MapFileError, match="damaged"):
        Network.open(tmp_path / "x.map")


def test_a_map_that_is_replaced_is_opened_again(tmp_path: Path, helsinki: Network) -> None:
    """By a process that had the old one open, and still has it."""
    helsinki.save(tmp_path / "x.map")
    first = maps.network(tmp_path / "x.map")
    assert maps.network(tmp_path / "x.map") is first
    replace(helsinki, name="new").save(tmp_path / "x.map")
    assert maps.network(tmp_path / "x.map").name == "new"
    assert first.name == "helsinki"


def test_a_kerb_is_the_side_the_vehicle_stops_on(helsinki: Network) -> None:
    """Beside the middle of two-way streets: right-hand stops are on one direction only, left-hand ones on the other."""
    snapper = Snapper(helsinki)
    roads = Roads(helsinki, customize(helsinki))
    seen = 0
    for arc in range(helsinki.arcs):
        if helsinki.reverse[arc] < 0 or helsinki.metres[arc] < 30:
            continue
        line = helsinki.polyline(arc)
        a, b = line[len(line) // 2 - 1], line[len(line) // 2]
        east = np.cos(np.radians(a[0]))
        ahead = np.array([b[0] - a[0], (b[1] - a[1]) * east])
        right = np.array([-ahead[1], ahead[0] / east]) / np.hypot(*ahead) * 4 / 111_195
        beside = Location(*((a + b) / 2 + right).tolist())
        either, on_right, on_left = snapper.nearest([Place(beside, kerb) for kerb in (Kerb.EITHER, Kerb.RIGHT, Kerb.LEFT)])
        if either.arc not in (arc, helsinki.reverse[arc]) or either.distance_m < 3.9:
            continue  # another street, or another bend of this one, is nearer
        seen += 1
        assert not either.one_side
        assert (on_right.arc, on_right.one_side) == (arc, True)
        assert (on_left.arc, on_left.one_side) == (helsinki.reverse[arc], True)
        assert on_right.fraction == pytest.approx(1 - on_left.fraction)
        far = Spot(int(helsinki.reverse[arc]), 0.0)
        assert roads.table([far], [on_right]).seconds[0, 0] >= roads.table([far], [either]).seconds[0, 0]
        assert roads.matrix([on_right, on_left]).seconds[0, 1] > 0, "from one side to the other is a way round"
    assert seen > 100
