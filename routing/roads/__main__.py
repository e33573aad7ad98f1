"""`python -m routing.roads import|export|info`: maps in, graphs out."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import networkx as nx

from routing.errors import LastlegError
from routing.roads import graphs
from routing.roads.importer import import_map
from routing.roads.network import Network


def main(argv: list[str] | None = None) -> int:
    """Run one command; errors are one line on stderr and exit status 1."""
    parser = argparse.ArgumentParser(prog="python -m routing.roads", description=__doc__)
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("import", help="make a map from a place name, .osm.pbf, .osm or .graphml")
    command.add_argument("source", metavar="PLACE_OR_FILE")
    command.add_argument("--out", type=Path, required=True, metavar="MAP")
    command.add_argument("--name", help="what the map calls itself (default: the file's or the place's name)")
    command.set_defaults(run=_import)
    command = commands.add_parser("export", help="write a map as GraphML, for networkx and osmnx")
    command.add_argument("map", type=Path)
    command.add_argument("--out", type=Path, required=True, metavar="FILE.graphml")
    command.set_defaults(run=_export)
    command = commands.add_parser("info", help="describe a map")
    command.add_argument("map", type=Path)
    command.set_defaults(run=_info)
    arguments = parser.parse_args(argv)
    try:
        arguments.run(arguments)
    except LastlegError as error:
        print(f"{error.code}: {error}", file=sys.stderr)
        return 1
    return 0


def _import(arguments: argparse.Namespace) -> None:
    begin = time.perf_counter()

    def progress(text: str) -> None:
        print(f"{time.perf_counter() - begin:6.1f} s  {text}", file=sys.stderr, flush=True)

    network, report = import_map(arguments.source, name=arguments.name, progress=progress)
    network.save(arguments.out)
    progress(f"wrote {arguments.out} ({arguments.out.stat().st_size / 1e6:.1f} MB)")
    print("\n".join(report.lines()))


def _export(arguments: argparse.Namespace) -> None:
    import osmnx

    osmnx.save_graphml(graphs.to_networkx(Network.open(arguments.map)), arguments.out)
    print(f"wrote {arguments.out}")


def _info(arguments: argparse.Namespace) -> None:
    network = Network.open(arguments.map)
    graph = graphs.to_networkx(network)
    print(f"{network.name}: {network.attribution}; made from {network.source}")
    print(f"{network.nodes:,} junctions, {network.arcs:,} arcs, {network.metres.sum() / 1000:,.1f} km")
    print(f"lat {network.lat.min():.4f}..{network.lat.max():.4f}, lon {network.lon.min():.4f}..{network.lon.max():.4f}")
    print(f"strongly connected parts: {nx.number_strongly_connected_components(graph)}")


if __name__ == "__main__":
    sys.exit(main())
