"""What OpenStreetMap's tags mean for a delivery van: which ways it may use, which way, how fast.

Free-flow speeds follow the usual car profiles: the posted limit at 85 %, or a table by class at 80 %,
because nobody drives the limit through junctions.
"""

from __future__ import annotations

from collections.abc import Mapping

CLASSES = (
    "motorway", "motorway_link", "trunk", "trunk_link", "primary", "primary_link", "secondary", "secondary_link",
    "tertiary", "tertiary_link", "unclassified", "residential", "living_street", "service", "road",
)  # fmt: skip
"""Drivable values of `highway`; a network's `road_class` is an index into this."""

CLASS_SPEED = {
    "motorway": 110, "motorway_link": 60, "trunk": 90, "trunk_link": 50, "primary": 60, "primary_link": 45,
    "secondary": 50, "secondary_link": 40, "tertiary": 45, "tertiary_link": 35, "unclassified": 40,
    "residential": 30, "living_street": 10, "service": 15, "road": 30,
}  # fmt: skip
"""km/h where no limit is posted."""

_CLOSED_SERVICE = frozenset({"emergency_access", "parking_aisle", "private", "drive-through"})
_NO = frozenset({"no", "private"})
_KMH_PER_MPH = 1.609344


def drivable(tags: Mapping[str, str]) -> bool:
    """Whether a delivery van may use this way."""
    if tags.get("highway") not in CLASS_SPEED or tags.get("area") == "yes":
        return False
    if tags.get("highway") == "service" and tags.get("service") in _CLOSED_SERVICE:
        return False
    allowed = {"yes", "designated", "permissive", "delivery", "destination"}
    for key in ("motorcar", "motor_vehicle", "vehicle", "access"):
        value = tags.get(key)
        if value in allowed:
            return True
        if value in _NO:
            return False
    return True


def direction(tags: Mapping[str, str]) -> int:
    """1 along the way only, -1 against it only, 0 both."""
    oneway = tags.get("oneway")
    if oneway in {"-1", "reverse"}:
        return -1
    if oneway in {"yes", "true", "1"}:
        return 1
    if oneway == "no":
        return 0
    one = tags.get("junction") in {"roundabout", "circular"} or tags.get("highway") in {"motorway", "motorway_link"}
    return int(one)


def posted_limit(value: str | None) -> float | None:
    """A `maxspeed` in km/h, or None where it says nothing usable ("none", "walk", "RU:urban")."""
    if not value:
        return None
    text = value.split(";")[0].strip().lower()
    factor = 1.0
    if text.endswith("mph"):
        text, factor = text[:-3], _KMH_PER_MPH
    try:
        limit = float(text.removesuffix("km/h")) * factor
    except ValueError:
        return None
    return limit if 5 <= limit <= 150 else None


def speed(tags: Mapping[str, str]) -> float:
    """Free-flow speed in km/h."""
    limit = posted_limit(tags.get("maxspeed"))
    return 0.85 * limit if limit else 0.8 * CLASS_SPEED[tags["highway"]]
