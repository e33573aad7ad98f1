"""`python -m benchmarks.roads --map FILE --stops 100,300,1000 --peers scipy,networkx,pyroutingkit,routingkit_cch`.

Travel-time matrices between the same junctions by all engines, in one process on one core. Weights are whole
milliseconds for everyone, and answers are compared before anything is timed. Ours is timed as the product calls it:
spots in, seconds and metres out; the peers return times only. Figures are medians; networkx is timed on a sample of
sources and scaled, as its whole matrix takes minutes.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # one core for everyone, before any library is loaded

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from benchmarks.timing import Peak, median, one_core
from routing.roads import hierarchy, maps
from routing.roads.importer import import_map
from routing.roads.metric import customize
from routing.roads.network import Network
from routing.roads.spot import Spot
from routing.roads.travel import UNREACHABLE, Roads

PEERS = ("scipy", "networkx", "pyroutingkit", "routingkit_cch")
SAMPLE = 12
"""Sources that networkx is timed on."""

Answers = NDArray[np.float64]
"""(S, T) milliseconds, infinite where there is no way."""


@dataclass
class Engine:
    """One contender: `matrix` takes nodes and a number of sources, and returns milliseconds.

    `timed` is what is timed, again and again; engines without it are slow and timed while they answer.
    """

    name: str
    preprocess: Callable[[], Any]
    customize: Callable[[], Any]
    matrix: Callable[[NDArray[np.int64], int], Answers]
    timed: Callable[[NDArray[np.int64]], Any] | None = None
    sample: int | None = None
    figures: dict[str, float | None] = field(default_factory=dict)


def main(argv: list[str] | None = None) -> int:
    """Measure and print; exit status 1 if any answers differ."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.roads", description=__doc__)
    parser.add_argument("--map", required=True, help="anything `python -m routing.roads import` takes, or a .map file")
    parser.add_argument("--stops", default="100,300,1000")
    parser.add_argument("--stops-like", choices=("uniform", "clustered"), default="uniform")
    parser.add_argument("--peers", default="scipy,pyroutingkit,routingkit_cch", help=f"any of {','.join(PEERS)}, or nothing")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--repeat", type=int, default=7)
    parser.add_argument("--json", action="store_true", help="print the JSON line only")
    arguments = parser.parse_args(argv)
    one_core()
    if arguments.map.endswith(maps.SUFFIX):
        network = Network.open(Path(arguments.map))
    else:
        network, _ = import_map(arguments.map)
    say: Callable[[str], None] = (lambda text: None) if arguments.json else (lambda text: print(text, flush=True))
    say(f"{network.name}: {network.nodes:,} junctions, {network.arcs:,} arcs; stops {arguments.stops_like}, one core")
    engines = [_ours(network), *(_PEERS[name](network) for name in arguments.peers.split(",") if name)]
    for engine in engines:
        _prepare(engine, arguments.repeat)
        say(f"{engine.name:15} preprocess {engine.figures['preprocess_s']:8.3f} s  customize {engine.figures['customize_s']:8.4f} s"
            f"  peak {_shown(engine.figures['peak_mb'])} MB")  # fmt: skip
    results = []
    for count in (int(text) for text in arguments.stops.split(",")):
        results += _round(network, engines, min(count, network.nodes), arguments, say)
    print(json.dumps({"map": network.name, "nodes": network.nodes, "arcs": network.arcs, "stops_like": arguments.stops_like,
                      "seed": arguments.seed, "results": results}))  # fmt: skip
    return int(any(row["mismatches"] for row in results))


def _round(network: Network, engines: list[Engine], count: int, arguments: argparse.Namespace,
           say: Callable[[str], None]) -> list[dict[str, Any]]:  # fmt: skip
    """All engines on the same stops: first the answers, then the times."""
    stops = _stops(network, count, arguments.stops_like, arguments.seed)
    truth: Answers | None = None
    rows: list[dict[str, Any]] = []
    for engine in sorted(engines, key=lambda engine: engine.name != "scipy"):  # whom the others are compared with
        begin = time.perf_counter()
        with Peak() as peak:
            found = engine.matrix(stops, engine.sample or count)
        seconds = time.perf_counter() - begin
        truth = found if truth is None else truth
        wrong = int((found != truth[: len(found)]).sum())
        if engine.timed is not None:
            seconds = median(partial(engine.timed, stops), arguments.repeat)
        elif engine.sample:
            seconds *= count / min(engine.sample, count)
        rows.append({"engine": engine.name, "stops": count, "matrix_s": seconds, "customize_s": engine.figures["customize_s"],
                     "preprocess_s": engine.figures["preprocess_s"], "peak_mb": peak.mb, "mismatches": wrong,
                     "timed_sources": min(engine.sample or count, count)})  # fmt: skip
    ours = next(row["matrix_s"] for row in rows if row["engine"] == "lastleg")
    for row in sorted(rows, key=lambda row: row["matrix_s"]):
        say(f"{count:5} stops  {row['engine']:15} {row['matrix_s']:9.4f} s  {row['matrix_s'] / ours:8.1f} x"
            f"  mismatches {row['mismatches']}")  # fmt: skip
    return rows


def _stops(network: Network, count: int, like: str, seed: int) -> NDArray[np.int64]:
    """Different junctions: anywhere, or in ten neighbourhoods, each the nearest around a centre."""
    rng = np.random.default_rng(seed)
    if like == "uniform":
        return rng.choice(network.nodes, count, replace=False)
    chosen: list[int] = []
    centres = rng.choice(network.nodes, min(10, count), replace=False)
    east = np.cos(np.radians(network.lat.mean()))
    for number, centre in enumerate(centres):
        far = np.hypot(network.lat - network.lat[centre], (network.lon - network.lon[centre]) * east)
        taken = set(chosen)
        near = [node for node in np.argsort(far)[: 2 * count].tolist() if node not in taken]
        chosen += near[: (count * (number + 1)) // len(centres) - len(chosen)]
    return rng.permutation(np.array(chosen))


def _millis(network: Network) -> NDArray[np.float64]:
    return np.rint(network.seconds.astype(np.float64) * 1000)


def _lightest(network: Network) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float64]]:
    """The quickest of parallel arcs, for engines that know no parallel arcs: they are sorted by time."""
    first = np.ones(network.arcs, bool)
    first[1:] = (network.tail[1:] != network.tail[:-1]) | (network.head[1:] != network.head[:-1])
    return network.tail[first], network.head[first], _millis(network)[first]


def _ours(network: Network) -> Engine:
    roads = Roads(network, customize(network))

    def spots(nodes: NDArray[np.int64]) -> list[Spot]:
        return [Spot(int(arc), 0.0) for arc in np.searchsorted(network.tail, nodes)]

    def matrix(nodes: NDArray[np.int64], sources: int) -> Answers:
        """Milliseconds from inside; and what the product returns must be the same, rounded up."""
        packed = roads.packed(spots(nodes)[:sources], spots(nodes))
        shown = roads.matrix(spots(nodes)).seconds[:sources]
        millis = np.floor(packed)
        agree = shown == np.where(np.isfinite(millis), np.ceil(millis / 1000), UNREACHABLE)
        return np.where(agree, millis, np.nan)

    def preprocess() -> None:
        number = hierarchy.numbering(np.asarray(network.lat), np.asarray(network.lon), network.tail.astype(np.int64),
                                     network.head.astype(np.int64))  # fmt: skip
        hierarchy.build(network.nodes, number[network.tail].astype(np.int32), number[network.head].astype(np.int32))

    return Engine("lastleg", preprocess, lambda: customize(network), matrix, timed=lambda nodes: roads.matrix(spots(nodes)))


def _scipy(network: Network) -> Engine:
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import dijkstra

    tail, head, weight = _lightest(network)
    graph = csr_array((weight, (tail, head)), shape=(network.nodes, network.nodes))

    def matrix(nodes: NDArray[np.int64], sources: int) -> Answers:
        found: Answers = dijkstra(graph, indices=nodes[:sources])[:, nodes]
        return found

    return Engine("scipy", lambda: None, lambda: csr_array((weight, (tail, head)), shape=graph.shape), matrix)


def _networkx(network: Network) -> Engine:
    graph: nx.DiGraph[int] = nx.DiGraph()

    def fill() -> None:
        rows = zip(*(column.tolist() for column in _lightest(network)), strict=True)
        graph.add_weighted_edges_from(rows)

    def matrix(nodes: NDArray[np.int64], sources: int) -> Answers:
        rows = (nx.single_source_dijkstra_path_length(graph, source) for source in nodes[:sources].tolist())
        return np.array([[row.get(target, np.inf) for target in nodes.tolist()] for row in rows])

    return Engine("networkx", lambda: None, fill, matrix, sample=SAMPLE)


def _pyroutingkit(network: Network) -> Engine:
    import pyroutingkit

    topology, state = pyroutingkit.CCHTopology(), {}
    weight = _millis(network).astype(np.uint32)

    def preprocess() -> None:
        topology.build(network.tail.astype(np.uint32), network.head.astype(np.uint32), network.lat.astype(np.float32),
                       network.lon.astype(np.float32), network.nodes)  # fmt: skip
        state["metric"] = pyroutingkit.CCHMetric(topology)

    def matrix(nodes: NDArray[np.int64], sources: int) -> Answers:
        asked = nodes.astype(np.uint32)
        found = np.asarray(state["metric"].distances_many_to_many(asked[:sources], asked))
        return np.where(found >= pyroutingkit.INF_WEIGHT, np.inf, found)

    def timed(nodes: NDArray[np.int64]) -> None:
        asked = nodes.astype(np.uint32)
        state["metric"].distances_many_to_many(asked, asked)

    return Engine("pyroutingkit", preprocess, lambda: state["metric"].customize(weight), matrix, timed)


def _routingkit_cch(network: Network) -> Engine:
    import routingkit_cch

    state: dict[str, Any] = {}
    tail, head, weight = network.tail.tolist(), network.head.tolist(), _millis(network).astype(int).tolist()
    lat, lon = network.lat.tolist(), network.lon.tolist()

    def preprocess() -> None:
        order = routingkit_cch.compute_order_inertial(network.nodes, tail, head, lat, lon)
        state["graph"] = routingkit_cch.CCH(order, tail, head, False)
        state["metric"] = routingkit_cch.CCHMetric(state["graph"], weight)

    def timed(nodes: NDArray[np.int64]) -> list[list[int | None]]:
        asked = nodes.tolist()
        search = routingkit_cch.CCHOneToMany(state["metric"], asked)
        return [search.distances_from(source) for source in asked]

    def matrix(nodes: NDArray[np.int64], sources: int) -> Answers:
        return np.array([[np.inf if cell is None else cell for cell in row] for row in timed(nodes)[:sources]], np.float64)

    return Engine("routingkit_cch", preprocess, lambda: state["metric"].reset(weight), matrix, timed)


_PEERS = {"scipy": _scipy, "networkx": _networkx, "pyroutingkit": _pyroutingkit, "routingkit_cch": _routingkit_cch}


def _shown(mb: float | None) -> str:
    return "     ?" if mb is None else f"{mb:6.0f}"


def _prepare(engine: Engine, repeat: int) -> None:
    with Peak() as peak:
        begin = time.perf_counter()
        engine.preprocess()
        engine.figures["preprocess_s"] = time.perf_counter() - begin
        engine.figures["customize_s"] = median(engine.customize, 1 if engine.timed is None else repeat)
    engine.figures["peak_mb"] = peak.mb


if __name__ == "__main__":
    sys.exit(main())
