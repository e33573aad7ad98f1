"""Drivers, vehicles and shifts."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

from flask import Blueprint

from ingest import context, fleet
from ingest.auth import Role
from ingest.context import allow, my_depot, my_driver, my_record, snapper_of, store
from ingest.openapi import describe
from ingest.parsing import body, checked, parse, query
from ingest.problems import ApiProblem, Fault, full, invalid
from ingest.schemas import DepotQuery, DriverIn, ShiftIn, VehicleIn, iso
from ingest.store import readers, writers
from ingest.views import DriversView, DriverView, ShiftsView, ShiftView, VehiclesView, VehicleView
from routing.model import Driver, Shift, Vehicle

blueprint = Blueprint("fleet", __name__)


@blueprint.post("/v1/drivers")
@allow(Role.OPERATOR)
@describe({201: DriverView, 200: DriverView}, body=DriverIn, problems=(409,))
def make_driver() -> tuple[dict[str, Any], int]:
    """Make a driver. The same request again answers 200 with the same record."""
    data = body()
    wanted = checked(DriverIn, data)
    made, personal = fleet.driver(my_depot(wanted.depot_id), wanted)
    return _put("drivers", made, data, personal)


@blueprint.post("/v1/vehicles")
@allow(Role.OPERATOR)
@describe({201: VehicleView, 200: VehicleView}, body=VehicleIn, problems=(409,))
def make_vehicle() -> tuple[dict[str, Any], int]:
    """Make a vehicle."""
    data = body()
    wanted, right, faults = parse(VehicleIn, data)
    depot = my_depot(right["depot_id"]) if "depot_id" in right else None
    if depot is not None:
        faults += fleet.vehicle_faults(depot, right)
    if wanted is None or depot is None or faults:
        raise invalid(faults)
    return _put("vehicles", fleet.vehicle(depot, wanted), data, {})


@blueprint.post("/v1/shifts")
@allow(Role.OPERATOR)
@describe({201: ShiftView, 200: ShiftView}, body=ShiftIn, problems=(409,))
def make_shift() -> tuple[dict[str, Any], int]:
    """Make a shift of a driver with a vehicle of the same depot."""
    data = body()
    wanted, right, faults = parse(ShiftIn, data)
    depot = my_depot(right["depot_id"]) if "depot_id" in right else None
    if depot is not None:
        faults += fleet.shift_faults(depot, snapper_of(depot), right)
    if wanted is None or depot is None or faults:
        raise invalid(faults)
    made = fleet.shift(depot, wanted)
    return _put("shifts", made, data, {}, fleet.timers(depot, made))


def _put(family: str, record: Driver | Vehicle | Shift, data: Any, personal: dict[str, str],
         timers: dict[str, float] | None = None) -> tuple[dict[str, Any], int]:  # fmt: skip
    result = writers.put_record(store(), family, record, print_=writers.fingerprint(data), now=context.now(),
                                personal=personal, timers=timers)  # fmt: skip
    if result[0] == "conflict":
        raise ApiProblem(409, "duplicate", f"{record.id!r} exists with other values.", "Choose another id.")
    if result[0] == "unknown":
        raise invalid([Fault("unknown_id", f"/{result[1]}", "There is no such record.", "Make it first.")])
    if result[0] == "full":
        raise full(f"There are {result[1]} {family} at this depot; it takes no more.", "max_records")
    if result[0] == "overlap":
        raise ApiProblem(409, "overlap", f"Shift {result[2]} has this {result[1].removesuffix('_id')} at that time.",
                         "Shifts of one driver or one vehicle may not overlap.",
                         faults=[Fault("overlap", f"/{result[1]}", f"It is taken by {result[2]}.")])  # fmt: skip
    return view(record), 201 if result[0] == "created" else 200


@blueprint.get("/v1/drivers")
@allow(Role.OPERATOR)
@describe({200: DriversView}, query=DepotQuery)
def drivers() -> dict[str, Any]:
    """All drivers of a depot."""
    return _all("drivers")


@blueprint.get("/v1/vehicles")
@allow(Role.OPERATOR)
@describe({200: VehiclesView}, query=DepotQuery)
def vehicles() -> dict[str, Any]:
    """All vehicles of a depot."""
    return _all("vehicles")


@blueprint.get("/v1/shifts")
@allow(Role.OPERATOR)
@describe({200: ShiftsView}, query=DepotQuery)
def shifts() -> dict[str, Any]:
    """All shifts of a depot."""
    return _all("shifts")


def _all(family: str) -> dict[str, Any]:
    depot = my_depot(query(DepotQuery).depot_id)
    return {family: [view(record) for record in readers.records(store(), family, depot.id)]}


@blueprint.get("/v1/drivers/<driver_id>")
@allow(Role.OPERATOR, Role.DRIVER)
@describe({200: DriverView})
def driver(driver_id: str) -> dict[str, Any]:
    """One driver; for a driver's token its own, as `me`."""
    return view(my_record("drivers", my_driver(driver_id)[1])[1])


@blueprint.get("/v1/vehicles/<vehicle_id>")
@allow(Role.OPERATOR)
@describe({200: VehicleView})
def vehicle(vehicle_id: str) -> dict[str, Any]:
    """One vehicle."""
    return view(my_record("vehicles", vehicle_id)[1])


@blueprint.get("/v1/shifts/<shift_id>")
@allow(Role.OPERATOR)
@describe({200: ShiftView})
def shift(shift_id: str) -> dict[str, Any]:
    """One shift."""
    return view(my_record("shifts", shift_id)[1])


@blueprint.put("/v1/shifts/<shift_id>/lock")
@allow(Role.OPERATOR)
@describe({200: ShiftView})
def lock(shift_id: str) -> dict[str, Any]:
    """Let a route stay as it is: no plan gives it anything, takes anything from it or reorders it, unless its driver is away."""
    return _locked(shift_id, locked=True)


@blueprint.delete("/v1/shifts/<shift_id>/lock")
@allow(Role.OPERATOR)
@describe({200: ShiftView})
def unlock(shift_id: str) -> dict[str, Any]:
    """Let plans change a route again."""
    return _locked(shift_id, locked=False)


def _locked(shift_id: str, *, locked: bool) -> dict[str, Any]:
    while True:
        expected = readers.record_revision(store(), shift_id)
        _, record = my_record("shifts", shift_id)
        changed = replace(record, locked=locked)
        if record.locked is locked or writers.lock_shift(store(), changed, expected=expected, now=context.now()):
            return view(changed)


@blueprint.delete("/v1/drivers/<driver_id>/personal")
@allow(Role.OPERATOR)
@describe({204: None})
def erase(driver_id: str) -> tuple[str, int]:
    """Erase a driver's name and phone. Erased twice is erased."""
    depot, record = my_record("drivers", driver_id)
    writers.erase_personal(store(), depot.id, record.id)
    return "", 204


def view(record: Driver | Vehicle | Shift) -> dict[str, Any]:
    """A record as the API shows it."""
    shown = asdict(record)
    del shown["tenant"]
    if isinstance(record, Driver):
        shown |= readers.personal(store(), record.depot_id, record.id)
        shown["state"] = readers.availability(store(), record.depot_id, record.id)
    if isinstance(record, Vehicle):
        depot = readers.depot(store(), record.depot_id)
        shown["capacity"] = dict(zip(depot.dimensions if depot else (), record.capacity, strict=True))
    if isinstance(record, Shift):
        shown |= {"start": iso(record.start), "end": iso(record.end)}
        shown["breaks"] = [{"from": iso(one.earliest), "to": iso(one.latest), "duration": one.duration}
                           | ({"location": asdict(one.location)} if one.location else {}) for one in record.breaks]  # fmt: skip
    return shown
