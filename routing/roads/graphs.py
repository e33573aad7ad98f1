"""networkx and osmnx graphs in and out.

A graph comes in as osmnx makes it: a `MultiDiGraph` whose nodes have `x` (longitude) and `y` (latitude)
and whose edges have `length` (m) and either `travel_time` (s) or the OpenStreetMap tags to work it out.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from numbers import Integral
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
        return _one_way_motorways(osmnx.graph_from_place(place, network_type="drive_service", retain_all=True))
    except Exception as error:  # osmnx raises whatever its HTTP library or parser raises
        raise ImportFailed(
            f"{place!r} could not be fetched: {error}.",
            remedy="It needs the internet; or give a file (.osm.pbf, .osm, .graphml).",
        ) from error


def _one_way_motorways(graph: nx.MultiDiGraph[Any]) -> nx.MultiDiGraph[Any]:
    """Take out what osmnx adds against the direction of motorways that do not say that they are one-way."""
    against = [(u, v, key) for u, v, key, data in graph.edges(keys=True, data=True)
               if data.get("reversed") is True and set(_values(data, "highway")) <= {"motorway", "motorway_link"}
               and "no" not in _values(data, "oneway")]  # fmt: skip
    graph.remove_edges_from(against)
    return graph


def from_graphml(path: Path, progress: Progress) -> nx.MultiDiGraph[Any]:
    """Read a GraphML file as osmnx writes it."""
    import osmnx

    progress("reading GraphML")
    try:
        return osmnx.load_graphml(path)
    except Exception as error:
        raise ImportFailed(f"{path} is no osmnx GraphML: {error}.", remedy="Write it with osmnx.save_graphml.") from error


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
    index = {node: number for number, (node, _) in enumerate(nodes)}
    lat = np.array([_number(data, "y", f"Node {node}") for node, data in nodes])
    lon = np.array([_number(data, "x", f"Node {node}") for node, data in nodes])
    if not ((np.abs(lat) <= 90) & (np.abs(lon) <= 180)).all():
        raise ImportFailed("The graph is projected: x and y are not degrees.", remedy="Project it back to degrees.")
    edges = [(u, v, data) for u, v, data in graph.edges(data=True)]
    with_time = sum("travel_time" in data for _, _, data in edges)
    if 0 < with_time < len(edges):
        raise ImportFailed(f"Only {with_time} of {len(edges)} edges have a travel_time.", remedy="Use osmnx.add_edge_travel_times.")
    number = {name: position for position, name in enumerate(osm.CLASSES)}
    tail, head, seconds, metres, way, road_class = [], [], [], [], [], []
    shape_start, shape_lat, shape_lon = [0], [], []
    for a, b, data in edges:
        where, u, v = f"Edge {a} to {b}", index[a], index[b]
        kind = next((str(value) for value in _values(data, "highway") if str(value) in number), None)
        if kind is None and not with_time:
            raise ImportFailed(f"{where} has neither travel_time nor a highway for vehicles.", remedy="Use drivable osmnx graphs.")
        tail.append(u)
        head.append(v)
        metres.append(_number(data, "length", where))
        limit = next((str(value) for value in _values(data, "maxspeed")), "")
        seconds.append(_number(data, "travel_time", where) if with_time
                       else metres[-1] / (osm.speed({"highway": str(kind), "maxspeed": limit}) / 3.6))  # fmt: skip
        ids = [value for value in _values(data, "osmid") if isinstance(value, Integral) and abs(int(value)) < 2**63]
        way.append(min(map(int, ids), default=0))
        road_class.append(number[kind or "road"])
        lons, lats = _line(data, where, (lon[u], lat[u]), (lon[v], lat[v]))
        shape_lon += lons
        shape_lat += lats
        shape_start.append(len(shape_lat))
    whole = all(isinstance(node, Integral) and abs(int(node)) < 2**63 for node in index)
    return Streets(
        node_id=np.array([int(node) for node in index] if whole else range(len(nodes)), np.int64), lat=lat, lon=lon,
        tail=np.array(tail, np.int64), head=np.array(head, np.int64), seconds=np.array(seconds, float),
        metres=np.array(metres, float), way=np.array(way, np.int64), road_class=np.array(road_class, np.uint8),
        shape_start=np.array(shape_start, np.int64), shape_lat=np.array(shape_lat), shape_lon=np.array(shape_lon),
    )  # fmt: skip


def _values(data: dict[str, Any], key: str) -> list[Any]:
    """Osmnx merges ways and keeps a list where they differ."""
    value = data.get(key)
    return list(value) if isinstance(value, list | tuple | set) else [] if value is None else [value]


def _number(data: dict[str, Any], key: str, where: str) -> float:
    try:
        return float(data[key])
    except (KeyError, TypeError, ValueError):
        raise ImportFailed(f"{where} has no usable {key}: {data.get(key)!r}.", remedy="Use an unprojected osmnx graph.") from None


def _line(data: dict[str, Any], where: str, tail: tuple[float, float], head: tuple[float, float]
          ) -> tuple[list[float], list[float]]:  # fmt: skip
    if data.get("geometry") is None:
        return [tail[0], head[0]], [tail[1], head[1]]
    try:
        xs, ys = data["geometry"].xy
    except (AttributeError, NotImplementedError):
        raise ImportFailed(f"{where} has a geometry that is no line.", remedy="Use an unprojected osmnx graph.") from None
    if len(xs) < 2:
        raise ImportFailed(f"{where} has a geometry without points.", remedy="Leave it out, or give both ends.")
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
