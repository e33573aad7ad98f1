"""networkx and osmnx graphs in and out.

A graph comes in as osmnx makes it: a `MultiDiGraph` whose nodes have `x` (longitude) and `y` (latitude)
and whose edges have `length` (m) and either `travel_time` (s) or the OpenStreetMap tags to work it out.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np

from routing.errors import ImportFailed
from routing.roads import osm
from routing.roads.network import Network
from routing.roads.streets import Streets

Progress = Callable[[str], None]


def from_place(place: str, progress: Progress) -> nx.MultiDiGraph[Any]:
    """Fetch a place's drivable streets by name, with osmnx over the internet.

    Raises
    ------
    ImportFailed
        If there is no such place, or no network to ask.
    """
    import osmnx  # here, because it takes two seconds and only imports need it

    osmnx.settings.use_cache = True
    osmnx.settings.cache_folder = tempfile.gettempdir() + "/lastleg-osmnx"
    progress(f"asking OpenStreetMap for {place!r}")
    try:
        return osmnx.graph_from_place(place, network_type="drive_service", retain_all=True)
    except Exception as error:  # osmnx raises whatever its HTTP library or parser raises
        raise ImportFailed(
            f"{place!r} could not be fetched: {error}.",
            remedy="It needs the internet; or give a file (.osm.pbf, .osm, .graphml).",
        ) from error


def from_graphml(path: Path, progress: Progress) -> nx.MultiDiGraph[Any]:
    """Read a GraphML file as osmnx writes it."""
    import osmnx

    progress("reading GraphML")
    try:
        return osmnx.load_graphml(path)
    except Exception as error:
        raise ImportFailed(f"{path} is no osmnx GraphML: {error}.", remedy="Write it with osmnx.save_graphml.") from error


def from_xml(path: Path, progress: Progress) -> nx.MultiDiGraph[Any]:
    """Read OpenStreetMap XML (`.osm`, `.osm.bz2`) with osmnx, after taking out what no vehicle may use.

    osmnx itself neither filters the ways of a file nor accepts a clipped extract; both are done first.
    """
    import osmnx

    progress("taking out what vehicles may not use")
    with tempfile.TemporaryDirectory() as folder:
        clean = Path(folder) / "drivable.osm"
        _write_drivable(path, clean)
        progress("building the graph")
        try:
            return osmnx.graph_from_xml(clean, retain_all=True)
        except Exception as error:
            raise ImportFailed(f"{path} cannot be read: {error}.", remedy="Is it OpenStreetMap XML?") from error


def _write_drivable(source: Path, target: Path) -> None:
    import osmium

    try:
        present = {node.id for node in osmium.FileProcessor(str(source), osmium.osm.NODE)}
        runs: list[tuple[int, dict[str, str], list[int]]] = []
        ways: Iterable[Any] = osmium.FileProcessor(str(source), osmium.osm.WAY)
        for way in ways:
            tags = dict(way.tags)
            if osm.drivable(tags):
                pieces = _present_runs([node.ref for node in way.nodes], present)
                runs += [(way.id, tags, piece) for piece in pieces]
    except RuntimeError as error:
        raise ImportFailed(f"{source} cannot be read: {error}.", remedy="Is it OpenStreetMap XML?") from None
    if not runs:
        raise ImportFailed(f"{source} has no way that vehicles may use.", remedy="Is it an extract of a town?")
    needed = {ref for _, _, refs in runs for ref in refs}
    with osmium.SimpleWriter(str(target), overwrite=True) as writer:
        nodes: Iterable[Any] = osmium.FileProcessor(str(source), osmium.osm.NODE)
        for node in nodes:
            if node.id in needed:
                place = (node.location.lon, node.location.lat)
                writer.add_node(osmium.osm.mutable.Node(id=node.id, location=place, version=1))
        seen: set[int] = set()
        for number, (way_id, tags, refs) in enumerate(runs):
            unique = way_id if way_id not in seen else 10**15 + number  # a way cut in two needs two ids
            seen.add(unique)
            writer.add_way(osmium.osm.mutable.Way(id=unique, tags=tags, nodes=refs, version=1))


def _present_runs(refs: list[int], present: set[int]) -> list[list[int]]:
    runs: list[list[int]] = [[]]
    for ref in refs:
        if ref in present:
            runs[-1].append(ref)
        else:
            runs.append([])
    return [run for run in runs if len(run) > 1]


def streets(graph: nx.MultiDiGraph[Any]) -> Streets:
    """Turn a graph into arcs.

    Travel times present on every edge are kept as they are; otherwise they follow from length, `highway`
    and `maxspeed` as for any other import.

    Raises
    ------
    ImportFailed
        If nodes lack coordinates, or edges a length or a way to tell their speed.
    """
    nodes = list(graph.nodes(data=True))
    if any("x" not in data or "y" not in data for _, data in nodes):
        raise ImportFailed("A node of the graph has no x and y.", remedy="Use an unprojected osmnx graph.")
    index = {node: number for number, (node, _) in enumerate(nodes)}
    lat = np.array([float(data["y"]) for _, data in nodes])
    lon = np.array([float(data["x"]) for _, data in nodes])
    if len(nodes) and (np.abs(lat).max() > 90 or np.abs(lon).max() > 180):
        raise ImportFailed("The graph is projected: x and y are not degrees.", remedy="Project it back to degrees.")
    edges = [(index[u], index[v], data) for u, v, data in graph.edges(data=True)]
    timed = all("travel_time" in data for _, _, data in edges)
    number = {name: position for position, name in enumerate(osm.CLASSES)}
    tail, head, seconds, metres, way, road_class = [], [], [], [], [], []
    shape_start, shape_lat, shape_lon = [0], [], []
    for u, v, data in edges:
        tags = {key: _first(data[key]) for key in ("highway", "maxspeed") if data.get(key) is not None}
        known = tags.get("highway") in number
        if "length" not in data or not (timed or known):
            raise ImportFailed("An edge has neither travel_time nor length and highway.", remedy="Use osmnx graphs.")
        tail.append(u)
        head.append(v)
        metres.append(float(data["length"]))
        seconds.append(float(data["travel_time"]) if timed else metres[-1] / (osm.speed(tags) / 3.6))
        way.append(_way_id(data.get("osmid")))
        road_class.append(number[tags["highway"]] if known else number["road"])
        lons, lats = _line(data, (lon[u], lat[u]), (lon[v], lat[v]))
        shape_lon += lons
        shape_lat += lats
        shape_start.append(len(shape_lat))
    ids = [node if isinstance(node, int) else position for position, (node, _) in enumerate(nodes)]
    return Streets(
        node_id=np.array(ids, np.int64), lat=lat, lon=lon, tail=np.array(tail, np.int64), head=np.array(head, np.int64),
        seconds=np.array(seconds), metres=np.array(metres), way=np.array(way, np.int64),
        road_class=np.array(road_class, np.uint8), shape_start=np.array(shape_start, np.int64),
        shape_lat=np.array(shape_lat), shape_lon=np.array(shape_lon),
    )  # fmt: skip


def _first(value: Any) -> str:
    """Osmnx merges ways and keeps a list where they differ; the first stands for all."""
    return str(value[0] if isinstance(value, list) else value)


def _way_id(value: Any) -> int:
    first = min(value) if isinstance(value, list) else value
    return int(first) if isinstance(first, int) else 0


def _line(data: dict[str, Any], tail: tuple[float, float], head: tuple[float, float]) -> tuple[list[float], list[float]]:
    if "geometry" not in data:
        return [tail[0], head[0]], [tail[1], head[1]]
    xs, ys = data["geometry"].xy
    return list(xs), list(ys)


def to_networkx(network: Network) -> nx.MultiDiGraph[Any]:
    """A graph that osmnx's functions accept; parallel streets keep keys of their own."""
    from shapely import LineString

    graph: nx.MultiDiGraph[Any] = nx.MultiDiGraph(crs="epsg:4326", name=network.name, attribution=network.attribution)
    ids = network.osm_id.tolist()
    if len(set(ids)) < len(ids):
        ids = list(range(network.nodes))
    rows = zip(ids, network.lat.tolist(), network.lon.tolist(), strict=True)
    graph.add_nodes_from((node, {"x": lon, "y": lat}) for node, lat, lon in rows)
    for arc in range(network.arcs):
        line = LineString(network.polyline(arc)[:, ::-1])
        graph.add_edge(
            ids[network.tail[arc]], ids[network.head[arc]], osmid=int(network.way[arc]), length=float(network.metres[arc]),
            travel_time=float(network.seconds[arc]), highway=osm.CLASSES[network.road_class[arc]], geometry=line,
        )  # fmt: skip
    return graph
