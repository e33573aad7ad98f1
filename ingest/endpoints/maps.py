"""Maps: what a page needs to draw one, and to name a street on it."""

from __future__ import annotations

import gzip
from functools import lru_cache
from typing import Any

import msgspec
import numpy as np
from flask import Blueprint, Response, request

from ingest.auth import Role
from ingest.context import ALL_ROLES, allow, map_of
from ingest.openapi import describe
from ingest.parsing import query
from ingest.problems import ApiProblem
from ingest.schemas import StreetQuery, TileQuery
from ingest.views import MapView, StreetView, TileView
from routing.errors import OffMap
from routing.model import Location
from routing.roads import tiles
from routing.roads.network import Network
from routing.roads.osm import CLASSES
from routing.roads.snapping import Snapper, both_ways
from routing.roads.travel import steps

blueprint = Blueprint("maps", __name__)

KEPT = 2000
"""So many tiles are kept ready by a process: some 10 MB."""

DAY_S = 86_400


@blueprint.get("/v1/maps/<map_name>")
@allow(*ALL_ROLES)
@describe({200: MapView})
def one(map_name: str) -> dict[str, Any]:
    """What a map is: where, by whom, and which edition."""
    return about(map_of(map_name))


def about(network: Network) -> dict[str, Any]:
    """What a page needs to know of a map."""
    bounds = {"south": float(network.lat.min()), "west": float(network.lon.min()), "north": float(network.lat.max()),
              "east": float(network.lon.max())}  # fmt: skip
    return {"name": network.name, "attribution": network.attribution, "edition": network.fingerprint, "nodes": network.nodes,
            "edges": network.arcs, "bounds": bounds, "max_zoom": tiles.MAX_ZOOM, "extent": tiles.EXTENT}  # fmt: skip


@blueprint.get("/v1/maps/<map_name>/tiles/<int:zoom>/<int:column>/<int:row>")
@allow(*ALL_ROLES)
@describe({200: TileView, 304: None}, query=TileQuery)
def tile(map_name: str, zoom: int, column: int, row: int) -> Response:
    """A tile of the map's streets in the grid of web maps (`z/x/y`): lines by kind of street.

    Each is `[x, y, dx, dy, …]`, in units of `extent` a tile from its north-west corner.
    """
    return drawn(map_of(map_name), zoom, column, row)


def drawn(network: Network, zoom: int, column: int, row: int) -> Response:
    """A tile as an answer that is kept while it is of the edition that was asked for."""
    lasting = query(TileQuery).edition == network.fingerprint
    said = {"ETag": f'"{network.fingerprint}"', "Cache-Control": f"private, max-age={DAY_S}" if lasting else "private, no-cache",
            "Vary": "Accept-Encoding"}  # fmt: skip
    if request.if_none_match.contains(network.fingerprint):
        return Response(status=304, headers=said)
    if zoom > tiles.MAX_ZOOM or max(column, row) >= 2**zoom:
        raise ApiProblem(404, "not_found", "The grid has no such tile.", f"Zooms go to {tiles.MAX_ZOOM}.")
    packed = _tile(network, zoom, column, row)
    if request.accept_encodings["gzip"]:
        return Response(packed, headers=said | {"Content-Encoding": "gzip"}, content_type="application/json")
    return Response(gzip.decompress(packed), headers=said, content_type="application/json")


@lru_cache(maxsize=KEPT)
def _tile(network: Network, zoom: int, column: int, row: int) -> bytes:
    return gzip.compress(msgspec.json.encode(tiles.tile(network, zoom, column, row)), 5)


@blueprint.get("/v1/maps/<map_name>/street")
@allow(Role.OPERATOR)
@describe({200: StreetView}, query=StreetQuery)
def street(map_name: str) -> dict[str, Any]:
    """The street nearest to a place, between two junctions: its `edges` are what road events take."""
    network, asked = map_of(map_name), query(StreetQuery)
    try:
        spot = Snapper(network).snap(Location(asked.lat, asked.lon))
    except OffMap as error:
        raise ApiProblem(404, error.code, error.detail, error.remedy) from None
    edges = both_ways(network, np.array([spot.arc])).tolist()
    return {"edges": edges, "kind": CLASSES[network.road_class[spot.arc]], "metres": round(float(network.metres[spot.arc])),
            "distance_m": round(spot.distance_m, 1), "points": steps(network.polyline(spot.arc))}  # fmt: skip
