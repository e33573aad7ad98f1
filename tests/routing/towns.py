"""Random small towns for property tests: one-way and parallel streets, dead ends, parts that do not meet, closures."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from routing.roads import streets
from routing.roads.network import Network
from routing.roads.osm import CLASSES
from routing.roads.spot import Spot
from routing.roads.streets import Streets, haversine
from routing.roads.traffic import Overlay

SHARES = st.sampled_from([0.0, 0.25, 0.5, 0.8, 1.0])


@st.composite
def towns(draw: st.DrawFn, connected: bool = False) -> tuple[Network, Overlay]:
    """A town and what happens on its streets; `connected` ones let every place reach every other."""
    size = draw(st.integers(2, 10))
    pairs = st.tuples(st.integers(0, size - 1), st.integers(0, size - 1)).filter(lambda pair: pair[0] != pair[1])
    links = draw(st.lists(pairs, min_size=1, max_size=18))
    both = draw(st.lists(pairs, max_size=4))
    links += [*both, *((b, a) for a, b in both)]
    if connected:
        links += [(i, (i + 1) % size) for i in range(size)]
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    network = town(np.array(links), rng, size)
    factors = st.sampled_from([1.0, 1.0, 1.0, 2.5, np.inf])
    factor = np.array(draw(st.lists(factors, min_size=network.arcs, max_size=network.arcs)))
    return network, Overlay(network.fingerprint, 1, factor)


def town(links: np.ndarray, rng: np.random.Generator, size: int, *, road_class: int | None = None) -> Network:
    """A network of straight streets between random places, whether or not they reach each other."""
    lat, lon = rng.uniform(60, 60.01, size), rng.uniform(24, 24.02, size)
    low, high = links.min(axis=1), links.max(axis=1)
    tail, head = links[:, 0], links[:, 1]
    metres = haversine(lat[low], lon[low], lat[high], lon[high]) + 1
    arcs = len(links)
    classes = rng.integers(0, len(CLASSES), arcs) if road_class is None else np.full(arcs, road_class)
    found = Streets(
        node_id=np.arange(size), lat=lat, lon=lon, tail=tail, head=head, seconds=metres / rng.uniform(3, 15, arcs),
        metres=metres, way=low * size + high, road_class=classes.astype(np.uint8),
        shape_start=np.arange(0, 2 * arcs + 1, 2), shape_lat=np.column_stack([lat[tail], lat[head]]).ravel(),
        shape_lon=np.column_stack([lon[tail], lon[head]]).ravel(),
    )  # fmt: skip
    return streets.pack(found, np.ones(arcs, bool), np.ones(size, bool), name="town", attribution="", source="town")


def spots_on(network: Network, most: int = 6) -> st.SearchStrategy[list[Spot]]:
    """Places on a town's streets."""
    one = st.builds(Spot, arc=st.integers(0, network.arcs - 1), fraction=SHARES, one_side=st.booleans())
    return st.lists(one, min_size=1, max_size=most)
