"""What drivers send: pings, stop events, shift and duty events."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, ClassVar

import msgspec
from flask import Blueprint, request

from ingest import context
from ingest.auth import Role
from ingest.context import allow, caller, my_driver, services, store
from ingest.openapi import describe
from ingest.parsing import body, checked
from ingest.problems import MOST_FAULTS, ApiProblem, Fault, invalid, not_found
from ingest.schemas import AckIn, DriverEventIn, StopEventIn, seconds
from ingest.store import metrics, readers, writers
from ingest.store.metrics import Tally
from ingest.views import AckView, DriverEventView, PingsView, StopEventView
from routing.model import Depot, Order, OrderKind, depot_of, kind_of, order_of

blueprint = Blueprint("drivers", __name__)

MAX_PINGS = 1000
BREAK_S = 1800
"""How long (depot s) a break lasts that nobody has told the end of."""

SKEW_S = 60
"""Real seconds a phone's clock may be ahead of ours."""


class Ping(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """One position. Decoded with msgspec: this is the hot path."""

    lat: Annotated[float, msgspec.Meta(ge=-90, le=90)]
    lon: Annotated[float, msgspec.Meta(ge=-180, le=180)]
    recorded_at: Annotated[datetime, msgspec.Meta(tz=True)]
    seq: Annotated[int, msgspec.Meta(ge=0, le=2**52)]
    accuracy_m: Annotated[float, msgspec.Meta(ge=0)] | None = None
    speed: Annotated[float, msgspec.Meta(ge=0)] | None = None
    heading: Annotated[float, msgspec.Meta(ge=0, le=360)] | None = None

    EXAMPLE: ClassVar = {"lat": 60.1712, "lon": 24.9441, "recorded_at": "2026-11-23T09:40:00Z", "seq": 1041, "accuracy_m": 8}


_BATCH = msgspec.json.Decoder(list[Ping])
_ONE = msgspec.json.Decoder(Ping)
_RAW = msgspec.json.Decoder(list[msgspec.Raw])


@blueprint.post("/v1/drivers/<driver_id>/pings")
@allow(Role.OPERATOR, Role.DRIVER)
@describe({200: PingsView}, body=list[Ping])
def pings(driver_id: str) -> dict[str, Any]:
    """Store an array of pings. 200 means stored; sent again, they count once; late ones never move a driver back."""
    depot, driver = my_driver(driver_id)
    batch = _decode(request.get_data())
    now = context.now()
    latest = depot.clock.depot(now) + SKEW_S * max(1.0, depot.clock.scale)
    faults = [Fault("from_the_future", f"/{number}/recorded_at", "The ping was recorded later than now.",
                    "Send the phone's UTC time.") for number, ping in enumerate(batch)
              if ping.recorded_at.timestamp() > latest]  # fmt: skip
    if faults:
        raise invalid(faults)
    if not batch:
        return {"stored": 0, "duplicates": 0, "late": 0}
    rows = [(ping.seq, ping.recorded_at.timestamp(), _document(ping)) for ping in batch]
    deadline = now + depot.policy.silent_after / depot.clock.scale
    new, duplicates, late = writers.pings(store(), depot.id, driver, rows, now=now, deadline=deadline,
                                          most=services().settings.pings)  # fmt: skip
    return {"stored": new, "duplicates": duplicates, "late": late}


def _document(ping: Ping) -> str:
    """As stored: a `Position` with what else the phone told."""
    rest = {"accuracy_m": ping.accuracy_m, "speed": ping.speed, "heading": ping.heading}
    told = {name: value for name, value in rest.items() if value is not None}
    place = {"location": {"lat": ping.lat, "lon": ping.lon}, "at": int(ping.recorded_at.timestamp()), "seq": ping.seq}
    return msgspec.json.encode(place | told).decode()


def _decode(raw: bytes) -> list[Ping]:
    try:
        batch = _BATCH.decode(raw)
    except msgspec.ValidationError:
        raise invalid(_ping_faults(raw)) from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise ApiProblem(400, "malformed_json", f"The body is not JSON: {error}.", "Send an array of pings.") from None
    if len(batch) > MAX_PINGS:
        raise invalid([_too_many(len(batch))])
    return batch


def _too_many(count: int) -> Fault:
    return Fault("out_of_range", "", f"{count} pings are too many.", f"Send at most {MAX_PINGS}.")


def _ping_faults(raw: bytes) -> list[Fault]:
    """Off the hot path: decode one by one, to tell all faults at once."""
    try:
        items = _RAW.decode(raw)
    except (msgspec.ValidationError, RecursionError):
        return [Fault("wrong_type", "", "The body must be an array of pings.", "[{lat, lon, recorded_at, seq}]")]
    if len(items) > MAX_PINGS:
        return [_too_many(len(items))]
    faults = []
    for number, item in enumerate(items):
        try:
            _ONE.decode(item)
        except msgspec.ValidationError as error:
            message, _, path = str(error).partition(" - at `$")
            where = f"/{number}" + path.rstrip("`").replace(".", "/")
            code = "missing" if "missing required" in message else "wrong_value"
            faults.append(Fault(code, where, message + "."))
            if len(faults) == MOST_FAULTS:
                break
    return faults


@blueprint.post("/v1/stops/<stop_id>/events")
@allow(Role.OPERATOR, Role.DRIVER)
@describe({200: StopEventView}, body=StopEventIn, problems=(409,))
def stop_event(stop_id: str) -> dict[str, Any]:
    """Record what a driver reports of a stop: facts always, intentions only while the stop is theirs."""
    event = checked(StopEventIn, body())
    if caller().role is Role.OPERATOR and event.driver_id is None:
        raise invalid([Fault("missing", "/driver_id", "An operator must name the driver.", "Give driver_id.")])
    depot, driver = my_driver(event.driver_id or "me")
    order = readers.orders_of(store(), depot, [stop_id]).get(order_of(stop_id)) if depot_of(stop_id) == depot.id else None
    if order is None or stop_id not in order.stop_ids:
        raise not_found("stop", stop_id)
    if order.kind is OrderKind.RELOAD and event.type in ("loaded", "declined"):
        raise invalid([Fault("wrong_value", "/type", f"The depot's stop {stop_id!r} is not {event.type}.",
                             "Report it skipped, failed or completed; goods are loaded at their own stops.")])  # fmt: skip
    now, at = _moment(depot, event.occurred_at)
    today = depot.clock.depot(now)
    told = event.model_dump(mode="json", exclude_none=True, exclude={"proof", "reason"})  # what people write is kept apart
    told |= {"stop_id": stop_id, "driver_id": driver, "at": at, "due": order.due(stop_id, at)}
    told["stop"] = _learnable(order, stop_id, at)
    result = writers.stop_event(
        store(), depot.id, driver=driver, shift=readers.current_shift(store(), depot.id, driver, today, over=True),
        stop=stop_id,
        kind=event.type, at=at, event_id=event.event_id, body=told, now=now,
        deadline=now + depot.policy.silent_after / depot.clock.scale, proof=event.proofs(stop_id),
    )  # fmt: skip
    if result[0] == "reused":
        raise _reused(event.event_id)
    route = readers.route_document(store(), depot.id, driver)
    if result[0] == "refused":
        raise ApiProblem(409, "stop_moved", "This stop is no longer yours, or it is finished.", "Take the route in this answer.",
                         extra={"route": route})  # fmt: skip
    replayed = result[1:2] == ["replayed"]
    if event.type == "arrived" and not replayed and route is not None:
        _count_error(stop_id, at, route)
    metrics.judged(store(), at, result[2] if len(result) > 2 else "")
    answer: dict[str, Any] = {"recorded": True, "replayed": replayed, "conflict": result[0] == "conflict"}
    return answer | ({"route": route} if answer["conflict"] else {})


def _learnable(order: Order, stop_id: str, at: int) -> dict[str, Any]:
    """What of a stop teaches how long service takes there: kept with the report, as the order may be gone when it is read."""
    half = order.half(stop_id)
    opens = next((window.start for window in half.windows if at <= window.end), 0)
    return {"kind": kind_of(stop_id), "lat": half.location.lat, "lon": half.location.lon, "service_time": half.service_time,
            "opens": opens}  # fmt: skip


def _count_error(stop_id: str, at: int, route: dict[str, Any]) -> None:
    """Note how far from the time in the published route a driver has arrived."""
    for stop in (stop for shift in route["shifts"] for stop in shift["stops"] if stop["stop_id"] == stop_id):
        error = at - datetime.fromisoformat(stop["arrive"]).timestamp()
        tally = Tally()
        tally.observe("eta_error_seconds", abs(error), side="late" if error > 0 else "early")
        tally.add(store())


@blueprint.post("/v1/drivers/<driver_id>/events")
@allow(Role.OPERATOR, Role.DRIVER)
@describe({200: DriverEventView}, body=DriverEventIn, problems=(409,))
def driver_event(driver_id: str) -> dict[str, Any]:
    """Record departure and return, and duty on or off."""
    depot, driver = my_driver(driver_id)
    event = checked(DriverEventIn, body())
    now, at = _moment(depot, event.occurred_at)
    shift = readers.current_shift(store(), depot.id, driver, depot.clock.depot(now), at=at,
                                  over=event.type in ("departed", "returned"), home=event.type == "returned")  # fmt: skip
    until = seconds(event.until) if event.until else at + BREAK_S
    told = {"driver_id": driver, "shift_id": shift, "at": at} | ({"until": until} if event.type == "on_break" else {})
    result = writers.driver_event(
        store(), depot.id, driver=driver, shift=shift, kind=event.type, at=at, event_id=event.event_id, body=told, now=now,
        deadline=now + depot.policy.silent_after / depot.clock.scale, until=(until, depot.clock.real(until)),
        exact=event.occurred_at.timestamp(),
    )  # fmt: skip
    if result[0] == "reused":
        raise _reused(event.event_id)
    if result[0] == "no_shift":
        raise ApiProblem(409, "no_shift", "This driver has no shift now.", "Make a shift first.")
    return {"recorded": True, "replayed": len(result) > 1}


@blueprint.post("/v1/drivers/<driver_id>/acks")
@allow(Role.OPERATOR, Role.DRIVER)
@describe({200: AckView}, body=AckIn)
def acknowledge(driver_id: str) -> dict[str, Any]:
    """The driver has seen a version of the route. Sent late or twice, the newest one counts."""
    depot, driver = my_driver(driver_id)
    wanted = checked(AckIn, body())
    there, known, newest = writers.acknowledge(store(), depot.id, driver, wanted.route_version)
    if not there:
        raise invalid([Fault("out_of_range", "/route_version", f"The newest version is {newest}.", "Send the one that was shown.")])
    return {"acknowledged": known, "route_version": newest}


def _reused(event_id: str) -> ApiProblem:
    return ApiProblem(422, "event_id_reused", f"Event {event_id!r} was another event.", "Give each event an id of its own.")


def _moment(depot: Depot, occurred_at: datetime) -> tuple[float, int]:
    """Real now and the event's depot time, which may not be in the future."""
    now = context.now()
    at = seconds(occurred_at)
    if at > depot.clock.depot(now) + SKEW_S * max(1.0, depot.clock.scale):
        raise invalid([Fault("from_the_future", "/occurred_at", "It happened later than now.", "Send the phone's UTC time.")])
    return now, at
