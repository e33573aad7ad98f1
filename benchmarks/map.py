"""`python -m benchmarks.map --map FILE`: what a map costs, and how fast the rest of the roads is.

Import (time and peak memory of the command, in a process of its own), opening, snapping, paths, one new stop, and
from a closure to the legs that it touches. Snapping and paths stand beside osmnx and networkx on the same map, on
the same points; the answers are compared before anything is timed. Figures are medians, on one core.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # one core for everyone, before any library is loaded

import argparse
import json
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.timing import Peak, median, one_core, timed
from routing.model import Location
from routing.roads import graphs, impact
from routing.roads.cache import MatrixCache
from routing.roads.metric import Metric, Metrics, customize
from routing.roads.network import Network
from routing.roads.snapping import Snapper, both_ways
from routing.roads.spot import Spot
from routing.roads.traffic import Overlay
from routing.roads.travel import Roads

PINGS = 100_000
PEER_PINGS, PEER_LEGS = 1000, 20
"""Samples for peers that take seconds."""


def main(argv: list[str] | None = None) -> int:
    """Measure and print; exit status 1 if any answers differ."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.map", description=__doc__)
    parser.add_argument("--map", required=True, help="anything `python -m routing.roads import` takes")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--repeat", type=int, default=7)
    parser.add_argument("--peers", default="osmnx", help="osmnx, or nothing")
    parser.add_argument("--json", action="store_true", help="print the JSON line only")
    arguments = parser.parse_args(argv)
    one_core()
    with tempfile.TemporaryDirectory() as folder:
        figures = _import(arguments.map, Path(folder) / "city.map")
        figures |= _measure(Path(folder), arguments)
    if not arguments.json:
        for name, value in figures.items():
            print(f"{name:28} {value:,.4g}" if isinstance(value, float) else f"{name:28} {value:,}")
    print(json.dumps({"map": Path(arguments.map).name, "seed": arguments.seed} | figures))
    return int(figures["mismatches"] > 0)


def _import(source: str, path: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "routing.roads", "import", source, "--out", str(path)]
    begin = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{source} could not be imported")
    return {"import_s": time.perf_counter() - begin, "import_peak_mb": usage.ru_maxrss / 1024, "map_mb": path.stat().st_size / 1e6}


def _measure(folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    repeat, rng = arguments.repeat, np.random.default_rng(arguments.seed)
    path = folder / "city.map"
    network = Network.open(path)
    metrics = Metrics(folder)
    roads = Roads(network, metrics.of(network, Overlay.free_flow(network)))
    [metric] = folder.glob("*.metric")
    spots = _spots(network, rng, 1001)
    near = rng.integers(0, network.nodes, PINGS)
    lat, lon = network.lat[near] + rng.normal(0, 2e-4, PINGS), network.lon[near] + rng.normal(0, 2e-4, PINGS)
    snapper = Snapper(network)
    pairs = list(zip(spots, spots[1:], strict=False))
    single = [timed(partial(roads.leg, *pair)) for pair in pairs]
    figures: dict[str, Any] = {
        "nodes": network.nodes, "arcs": network.arcs, "metric_mb": metric.stat().st_size / 1e6,
        "open_map_ms": median(partial(Network.open, path), repeat) * 1000,
        "open_metric_ms": median(partial(Metric.open, metric), repeat) * 1000,
        "pings_per_s": PINGS / median(partial(snapper.arrays, lat, lon), repeat),
        "leg_ms": float(np.median(single)) * 1000, "leg_p99_ms": float(np.quantile(single, 0.99)) * 1000,
        "leg_of_200_ms": median(partial(roads.legs, pairs[:200]), repeat) * 1000 / 200,
        "matrix_1001_ms": median(partial(roads.matrix, spots), repeat) * 1000,
    }  # fmt: skip
    figures |= _ten_thousand(folder, roads, rng)
    figures |= _new_stop(folder, roads, spots, repeat) | _closure(network, metrics, roads, pairs[:200], rng, repeat)
    figures |= _area(network, snapper, rng, repeat)
    figures["mismatches"] = 0
    if arguments.peers:
        figures |= _osmnx(network, roads, snapper, lat[:PEER_PINGS], lon[:PEER_PINGS], rng)
    return figures


def _spots(network: Network, rng: np.random.Generator, count: int) -> list[Spot]:
    """Anywhere on the streets."""
    arcs, shares = rng.integers(0, network.arcs, count), rng.random(count)
    return [Spot(int(arc), float(share)) for arc, share in zip(arcs, shares, strict=True)]


def _new_stop(folder: Path, roads: Roads, spots: list[Spot], repeat: int) -> dict[str, float]:
    """A thousand places known, one more asked for; each time in an empty table."""
    times = []
    for number in range(repeat):
        cache = MatrixCache(folder, f"depot{number}", roads)
        cache.matrix(spots[:1000])
        times.append(timed(partial(cache.matrix, spots)))
    again = timed(partial(cache.matrix, spots))
    return {"new_stop_1001_ms": float(np.median(times)) * 1000, "known_1001_ms": again * 1000}


def _ten_thousand(folder: Path, roads: Roads, rng: np.random.Generator) -> dict[str, Any]:
    """As many places as a depot may have open at once: the first matrix, and the memory for it, table included."""
    spots = _spots(roads.network, rng, 10_000)
    with Peak() as peak:
        seconds = timed(partial(MatrixCache(folder, "large", roads).matrix, spots))
    return {"places_10000_s": seconds, "places_10000_peak_mb": peak.mb}


def _closure(network: Network, metrics: Metrics, before: Roads, legs: list[tuple[Spot, Spot]], rng: np.random.Generator,
             repeat: int) -> dict[str, float]:  # fmt: skip
    """Streets closed: the new metric on disk, and which of 200 legs used them."""
    applied, found = [], []
    for version in range(1, repeat + 1):
        factor = np.ones(network.arcs)
        factor[both_ways(network, rng.integers(0, network.arcs, 10))] = np.inf
        begin = time.perf_counter()
        after = Roads(network, metrics.of(network, Overlay(network.fingerprint, version, factor)))
        applied.append(time.perf_counter() - begin)
        found.append(timed(partial(impact.touched, before, after, legs)))
    return {"closure_ms": float(np.median(applied)) * 1000, "touched_of_200_ms": float(np.median(found)) * 1000}


def _area(network: Network, snapper: Snapper, rng: np.random.Generator, repeat: int) -> dict[str, float]:
    """All streets within a kilometre of the middle closed: a hundred places in there, a hundred anywhere."""
    middle = Location(float(np.median(network.lat)), float(np.median(network.lon)))
    shut = both_ways(network, snapper.arcs_within(snapper.disc(middle, 1000)))
    factor = np.ones(network.arcs)
    factor[shut] = np.inf
    roads = Roads(network, customize(network, Overlay(network.fingerprint, 1, factor)))
    inside, anywhere = [Spot(int(arc), 0.5) for arc in rng.choice(shut, 100)], _spots(network, rng, 100)
    return {"closed_area_arcs": len(shut), "closed_area_200_ms": median(partial(roads.matrix, inside + anywhere), repeat) * 1000,
            "closed_area_leg_ms": median(partial(roads.leg, inside[0], anywhere[0]), repeat) * 1000}  # fmt: skip


def _osmnx(network: Network, roads: Roads, snapper: Snapper, lat: Any, lon: Any, rng: np.random.Generator) -> dict[str, float]:
    import networkx as nx
    import osmnx

    graph = graphs.to_networkx(network)
    flat = osmnx.projection.project_graph(graph)
    points = osmnx.projection.project_gdf(_points(lat, lon), to_crs=flat.graph["crs"]).geometry
    begin = time.perf_counter()
    _, metres = osmnx.distance.nearest_edges(flat, points.x.to_numpy(), points.y.to_numpy(), return_dist=True)
    snapping = time.perf_counter() - begin
    wrong = int((np.abs(np.asarray(metres) - snapper.arrays(lat, lon)[2]) > 0.2).sum())  # two projections differ by centimetres
    nodes = rng.choice(network.nodes, (PEER_LEGS, 2), replace=False)
    times = []
    for a, b in nodes.tolist():
        begin = time.perf_counter()
        length, _ = nx.single_source_dijkstra(graph, int(network.osm_id[a]), int(network.osm_id[b]), weight="travel_time")
        times.append(time.perf_counter() - begin)
        leg = roads.leg(*(Spot(int(np.searchsorted(network.tail, node)), 0.0) for node in (a, b)))
        wrong += leg is None or abs(leg.seconds - length) > 1.1  # ours are whole seconds, rounded up from whole milliseconds
    return {"osmnx_pings_per_s": len(lat) / snapping, "networkx_leg_ms": float(np.median(times)) * 1000, "mismatches": wrong}


def _points(lat: Any, lon: Any) -> Any:
    import geopandas

    return geopandas.GeoDataFrame(geometry=geopandas.points_from_xy(lon, lat), crs="epsg:4326")


if __name__ == "__main__":
    sys.exit(main())
