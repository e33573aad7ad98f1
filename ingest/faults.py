"""What a schema cannot see of a request: the depot's map and dimensions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ingest.problems import Fault
from ingest.schemas import Place
from routing.errors import OffMap
from routing.model import Depot

if TYPE_CHECKING:  # who reads no map loads no kernels
    from routing.roads.snapping import Snapper


def dimension_faults(depot: Depot, amounts: dict[str, int], where: str) -> list[Fault]:
    """A fault for each dimension the depot does not have."""
    known = ", ".join(depot.dimensions) or "none"
    return [Fault("unknown_dimension", f"{where}/{name}", f"Depot {depot.id!r} has no dimension {name!r}.",
                  f"It has: {known}.") for name in amounts if name not in depot.dimensions]  # fmt: skip


def place_faults(snapper: Snapper, place: Place | None, where: str) -> list[Fault]:
    """A fault if a place is off the depot's map, with the distance to the nearest street."""
    if place is None:
        return []
    try:
        snapper.snap(place.location())
    except OffMap as error:
        return [Fault(error.code, where, error.detail, error.remedy)]
    return []
