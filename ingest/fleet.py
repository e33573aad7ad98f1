"""Drivers, vehicles and shifts: how each is made of a request, and what a schema cannot see of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ingest.faults import dimension_faults, place_faults
from ingest.problems import Fault
from ingest.schemas import DriverIn, LimitsIn, ShiftIn, VehicleIn, seconds
from ingest.settings import ROOT
from routing.model import Break, Costs, Depot, Driver, Limits, Shift, Vehicle

if TYPE_CHECKING:  # who reads no map loads no kernels
    from routing.roads.snapping import Snapper

PRESETS = ROOT / "data" / "driving_rules.json"
"""Limits by the name of a law, with where it says so."""


def driver(depot: Depot, wanted: DriverIn) -> tuple[Driver, dict[str, str]]:
    """A driver, and what is kept apart: name and phone."""
    personal = {name: value for name, value in (("name", wanted.name), ("phone", wanted.phone)) if value}
    return Driver(f"{depot.id}.{wanted.id}", depot.id, depot.tenant, tuple(sorted(set(wanted.skills)))), personal


def vehicle(depot: Depot, wanted: VehicleIn) -> Vehicle:
    """A vehicle."""
    capacity = tuple(wanted.capacity.get(name, 0) for name in depot.dimensions)
    costs = Costs(**dict(wanted.costs)) if wanted.costs else None
    return Vehicle(f"{depot.id}.{wanted.id}", depot.id, depot.tenant, capacity, tuple(sorted(set(wanted.skills))), costs)


def vehicle_faults(depot: Depot, right: dict[str, Any]) -> list[Fault]:
    """What is wrong with a vehicle's fields that have the right form."""
    return dimension_faults(depot, right.get("capacity") or {}, "/capacity")


def shift(depot: Depot, wanted: ShiftIn) -> Shift:
    """A shift; where it says nothing of places it begins and ends at the depot."""
    start = wanted.start_location.location() if wanted.start_location else depot.location
    end = wanted.end_location.location() if wanted.end_location else depot.location
    return Shift(
        f"{depot.id}.{wanted.id}", depot.id, depot.tenant, wanted.driver_id, wanted.vehicle_id, seconds(wanted.start),
        seconds(wanted.end), start, None if wanted.open_end else end, wanted.overtime,
        limits=_limits(wanted.limits) if wanted.limits else Limits(),
        breaks=tuple(Break(seconds(one.start), seconds(one.end), one.duration, one.location.location() if one.location else None)
                     for one in wanted.breaks),
        other_ends=tuple(place.location() for place in wanted.other_ends), reloads=wanted.reloads, reload_time=wanted.reload_time,
    )  # fmt: skip


def _limits(wanted: LimitsIn) -> Limits:
    """What is asked for, and of a preset what is not; a tighter preset is not loosened by it."""
    preset = json.loads(PRESETS.read_bytes())[wanted.preset]["limits"] if wanted.preset else {}
    asked = {name: value for name, value in wanted.model_dump(exclude={"preset"}).items() if value is not None}
    for name in preset.keys() & asked.keys():
        asked[name] = max(asked[name], preset[name]) if name == "rest" else min(asked[name], preset[name])
    return Limits(**preset | asked)


def shift_faults(depot: Depot, snapper: Snapper, right: dict[str, Any]) -> list[Fault]:
    """What is wrong with a shift's fields that have the right form."""
    faults = [fault for name in ("start_location", "end_location")
              for fault in place_faults(snapper, right.get(name), f"/{name}")]  # fmt: skip
    for number, place in enumerate(right.get("other_ends") or []):
        faults += place_faults(snapper, place, f"/other_ends/{number}")
    for number, one in enumerate(right.get("breaks") or []):
        faults += place_faults(snapper, one.location, f"/breaks/{number}/location")
    return faults + [Fault("unknown_id", f"/{name}", f"{right[name]!r} is not of depot {depot.id!r}.", "Use its full id.")
                     for name in ("driver_id", "vehicle_id")
                     if name in right and not right[name].startswith(f"{depot.id}.")]  # fmt: skip


def timers(depot: Depot, made: Shift) -> dict[str, float]:
    """When (real s) the clock brings something of a shift."""
    moments = {"shift_changed": made.start - depot.policy.horizon, "shift_started": made.start, "shift_ended": made.end + 1}
    return {kind: depot.clock.real(moment) for kind, moment in moments.items()}


def put_faults(result: list[str]) -> list[Fault]:
    """What `writers.put_record` refuses a record for; nothing if it did not."""
    kinds = {
        "conflict": lambda: Fault("duplicate", "/id", "There is one with this id and other values.", "Choose another id."),
        "unknown": lambda: Fault("unknown_id", f"/{result[1]}", "There is no such record.", "Make it first."),
        "full": lambda: Fault("depot_full", "", f"There are {result[1]} already; the depot takes no more.", "Raise `max_records`."),
        "overlap": lambda: Fault("overlap", f"/{result[1]}", f"It is taken by {result[2]} at that time.",
                                 "Shifts of one driver or one vehicle may not overlap."),
    }  # fmt: skip
    return [kinds[result[0]]()] if result[0] in kinds else []
