"""What requests look like. Times are ISO 8601 with an offset, durations whole seconds, places `{lat, lon}` in degrees."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal
from zoneinfo import available_timezones

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SkipValidation,
    StrictBool,
    StrictFloat,
    StrictInt,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from routing import access
from routing.model import (
    LEARNED,
    PICKUP,
    Access,
    Dispatch,
    Kerb,
    Location,
    OrderKind,
    Policy,
    RelationKind,
    TimeWindow,
    TriggerKind,
    TriggerRule,
    Turn,
)

DAY_S = 86_400
MAX_CURSOR = 10**15
MAX_AMOUNT = 1_000_000
"""Demands and capacities above this are typing errors."""


def _text_only(value: Any) -> Any:
    if not isinstance(value, str | datetime):
        raise ValueError("give a time as ISO 8601 with an offset")
    return value


def _in_range(moment: datetime) -> datetime:
    if not 2000 <= moment.astimezone(UTC).year < 2100:
        raise ValueError("give a time between 2000 and 2100")
    return moment


def _with_room(value: Any) -> Any:
    """Times at the very ends of the calendar overflow when an offset is applied: judge the year first."""
    if isinstance(value, str) and value[:1].isdigit() and value[4:5] == "-" and not "2000" <= value[:4] <= "2099":
        raise ValueError("give a time between 2000 and 2100")
    return _text_only(value)


Moment = Annotated[AwareDatetime, BeforeValidator(_with_room), AfterValidator(_in_range)]
"""A time: ISO 8601 with an offset, in this century."""

KINDS = tuple(kind for kind in OrderKind if kind is not OrderKind.RELOAD)


def _ordered(kind: OrderKind) -> OrderKind:
    if kind not in KINDS:
        raise PydanticCustomError("enum", "a shift's `reloads` say how often it comes back to the depot; no order does")
    return kind


Ordered = Annotated[OrderKind, AfterValidator(_ordered), WithJsonSchema({"type": "string", "enum": [*map(str, KINDS)]})]
"""What an order may be."""

Slug = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,40}$")]
Name = Annotated[str, Field(min_length=1, max_length=200)]
Skill = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,40}$")]
Amount = Annotated[StrictInt, Field(ge=0, le=MAX_AMOUNT)]
Amounts = Annotated[dict[str, Amount], Field(max_length=8)]
Skills = Annotated[list[Skill], Field(max_length=32)]


def _distinct(names: list[str]) -> list[str]:
    if len(set(names)) < len(names):
        raise ValueError("each name may be there once")
    return names


def _zone(name: str) -> str:
    if name not in available_timezones():
        raise PydanticCustomError("unknown_id", "there is no such time zone; give its name, such as Europe/Helsinki")
    return name


Zone = Annotated[str, Field(max_length=64), AfterValidator(_zone)]
"""A time zone by its IANA name."""


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


def _shown(example: dict[str, Any]) -> ConfigDict:
    """The configuration of a body that gives an example of itself."""
    return ConfigDict(extra="forbid", json_schema_extra={"examples": [example]})


class Place(_Body):
    """Degrees, WGS 84."""

    lat: StrictFloat = Field(ge=-90, le=90, allow_inf_nan=False)
    lon: StrictFloat = Field(ge=-180, le=180, allow_inf_nan=False)

    def location(self) -> Location:
        """As the core has it."""
        return Location(self.lat, self.lon)


class Window(_Body):
    """When service may begin; both ends inclusive. `from` and `to` in JSON."""

    start: Moment = Field(alias="from")
    end: Moment = Field(alias="to")

    @model_validator(mode="after")
    def _in_order(self) -> Window:
        if self.end < self.start:
            raise ValueError("the window ends before it begins")
        return self


class ClockIn(_Body):
    """A depot's own clock: `scale` depot seconds pass per real second, beginning at `start` when it is made."""

    scale: StrictFloat = Field(default=1.0, gt=0, le=3600, allow_inf_nan=False)
    start: Moment | None = None


class TriggerRuleIn(_Body):
    """See `routing.model.TriggerRule`."""

    asks: StrictBool = True
    wait: StrictFloat | None = Field(default=None, ge=0, le=3600)
    cooldown: StrictFloat = Field(default=0, ge=0, le=DAY_S)


class PolicyIn(_Body):
    """See `routing.model.Policy` for each field's meaning and unit.

    Null gives a default back; the rule of a trigger is replaced whole.
    """

    silent_after: StrictInt | None = Field(default=None, ge=10, le=DAY_S)
    late_after: StrictInt | None = Field(default=None, ge=10, le=DAY_S)
    detour_after: StrictInt | None = Field(default=None, ge=10, le=DAY_S)
    still_after: StrictInt | None = Field(default=None, ge=60, le=3600)
    infer_progress: StrictBool | None = None
    infer_after: StrictInt | None = Field(default=None, ge=10, le=3600)
    ack_after: StrictFloat | None = Field(default=None, ge=1, le=DAY_S)
    offer_ttl: StrictInt | None = Field(default=None, ge=5, le=3600)
    match_wait: StrictFloat | None = Field(default=None, ge=0, le=60)
    eta_step: StrictInt | None = Field(default=None, ge=10, le=DAY_S)
    learned_service: StrictBool | None = None
    personal_days: StrictInt | None = Field(default=None, ge=1, le=3650)
    review: StrictBool | None = None
    feed_days: StrictInt | None = Field(default=None, ge=1, le=365)
    debounce: StrictFloat | None = Field(default=None, ge=0, le=60)
    max_wait: StrictFloat | None = Field(default=None, ge=0, le=600)
    periodic: StrictFloat | None = Field(default=None, ge=1, le=DAY_S)
    triggers: dict[TriggerKind, TriggerRuleIn | None] | None = None
    engine: Literal["improve", "portfolio", "ortools", "pyvrp"] | None = None
    improve_budget: StrictFloat | None = Field(default=None, ge=0, le=60)
    district_stops: StrictInt | None = Field(default=None, ge=20, le=100_000)
    horizon: StrictInt | None = Field(default=None, ge=3600, le=14 * DAY_S)
    metres_per_second_price: StrictInt | None = Field(default=None, ge=1, le=MAX_AMOUNT)
    late_price: StrictInt | None = Field(default=None, ge=0, le=1000)
    promise_price: StrictInt | None = Field(default=None, ge=0, le=1000)
    overtime_price: StrictInt | None = Field(default=None, ge=0, le=1000)
    move_price: StrictInt | None = Field(default=None, ge=0, le=DAY_S)
    reorder_price: StrictInt | None = Field(default=None, ge=0, le=DAY_S)
    near: StrictInt | None = Field(default=None, ge=1, le=DAY_S)
    max_moves_per_driver: StrictInt | None = Field(default=None, ge=0, le=10_000)
    keep_days: StrictInt | None = Field(default=None, ge=1, le=3650)
    keep_versions: StrictInt | None = Field(default=None, ge=100, le=100_000)
    max_open_orders: StrictInt | None = Field(default=None, ge=1, le=100_000)
    max_records: StrictInt | None = Field(default=None, ge=1, le=100_000)
    min_gain: StrictInt | None = Field(default=None, ge=0, le=DAY_S)

    def policy(self, before: Policy) -> Policy:
        """The policy with what is given here replaced."""
        default = Policy()
        given = {name: getattr(default, name) if getattr(self, name) is None else getattr(self, name)
                 for name in self.model_fields_set - {"triggers"}}  # fmt: skip
        rules = {kind: TriggerRule(**dict(rule)) if rule else None for kind, rule in (self.triggers or {}).items()}
        kept = {kind: rule for kind, rule in (before.triggers | rules).items() if rule is not None}
        return replace(before, **given, triggers=kept)


class Disc(_Body):
    """A point and a radius in metres."""

    centre: Place
    radius_m: StrictFloat = Field(ge=1, le=20_000)


class AccessIn(_Body):
    """An area, a `disc` or a `polygon`, whose stops ask for skills of drivers or vehicles."""

    model_config = _shown(
        {"name": "old town", "disc": {"centre": {"lat": 60.1668, "lon": 24.937}, "radius_m": 200.0}, "skills": ["bike"]}
    )

    name: Name
    skills: Annotated[list[Skill], Field(min_length=1, max_length=20)]
    disc: Disc | None = None
    polygon: list[Place] | None = Field(default=None, min_length=3, max_length=1000)

    @model_validator(mode="after")
    def _one_area(self) -> AccessIn:
        if (self.disc is None) == (self.polygon is None):
            raise ValueError("give exactly one of disc and polygon")
        if self.polygon is not None and not access.sound([place.location() for place in self.polygon]):
            raise ValueError("the polygon crosses itself or has no area")
        return self

    def area(self) -> Access:
        """As the depot keeps it."""
        ring = [self.disc.centre] if self.disc else self.polygon or []
        return Access(self.name, tuple(sorted(set(self.skills))), tuple(place.location() for place in ring),
                      self.disc.radius_m if self.disc else None)  # fmt: skip


class DepotIn(_Body):
    """A depot to make."""

    model_config = _shown(
        {
            "id": "hel",
            "map": "helsinki",
            "location": {"lat": 60.16865, "lon": 24.938},
            "dimensions": ["parcels"],
            "timezone": "Europe/Helsinki",
        }
    )

    id: Slug
    name: Name | None = None
    map: Slug
    location: Place
    dimensions: Annotated[list[Slug], AfterValidator(_distinct)] = Field(default_factory=list, max_length=8)
    clock: ClockIn = Field(default_factory=ClockIn)
    policy: PolicyIn = Field(default_factory=PolicyIn)
    speeds: Slug = LEARNED
    timezone: Zone = "UTC"
    access: list[AccessIn] = Field(default_factory=list, max_length=100)


class DepotPatch(_Body):
    """What of a depot can be changed while it runs."""

    model_config = _shown({"name": "Helsinki", "policy": {"late_after": 240, "triggers": {"roads_changed": {"wait": 1}}}})

    name: Name | None = None
    policy: PolicyIn = PolicyIn()
    access: list[AccessIn] | None = Field(default=None, max_length=100)
    speeds: Slug | None = None
    timezone: Zone | None = None


class DriverIn(_Body):
    """A driver to make; `id` becomes `<depot>.<id>`."""

    model_config = _shown({"depot_id": "hel", "id": "anna", "name": "Anna", "skills": ["fragile"]})

    depot_id: Slug
    id: Slug
    name: Name | None = None
    phone: Annotated[str, Field(max_length=40)] | None = None
    skills: Skills = Field(default_factory=list)


class CostsIn(_Body):
    """What a vehicle costs, in seconds of driving at the standard rate: once if it is used, per km and per hour driven."""

    fixed: StrictInt = Field(default=0, ge=0, le=DAY_S)
    per_km: StrictInt = Field(default=50, ge=0, le=10_000)
    per_hour: StrictInt = Field(default=3600, ge=0, le=100_000)


class LimitsIn(_Body):
    """The most that a shift may come to: stops, metres, seconds from leaving to the end, seconds at the wheel.

    `stretch` are the seconds at the wheel without a `rest` of so many. A `preset` says what is not given.
    """

    model_config = _shown({"distance": 80_000, "driving": 14_400})

    stops: StrictInt | None = Field(default=None, ge=1, le=10_000)
    distance: StrictInt | None = Field(default=None, ge=1, le=10_000_000)
    duration: StrictInt | None = Field(default=None, ge=1, le=2 * DAY_S)
    driving: StrictInt | None = Field(default=None, ge=1, le=2 * DAY_S)
    stretch: StrictInt | None = Field(default=None, ge=60, le=DAY_S)
    rest: StrictInt | None = Field(default=None, ge=60, le=DAY_S // 2)
    preset: Literal["eu_561", "us_hos"] | None = None

    @model_validator(mode="after")
    def _rests_from_something(self) -> LimitsIn:
        if self.rest is not None and self.stretch is None and self.preset is None:
            raise ValueError("a rest alone bounds nothing: give the stretch that it interrupts, too")
        return self


class BreakIn(_Body):
    """A break of so many seconds that begins between two moments, anywhere or at a place."""

    start: Moment = Field(alias="from")
    end: Moment = Field(alias="to")
    duration: StrictInt = Field(ge=60, le=DAY_S // 2)
    location: Place | None = None

    @model_validator(mode="after")
    def _in_order(self) -> BreakIn:
        if self.end < self.start:
            raise ValueError("the last moment to begin it is before the first")
        return self


class VehicleIn(_Body):
    """A vehicle to make; capacities by the depot's dimensions, 0 where absent."""

    model_config = _shown(
        {"depot_id": "hel", "id": "van-1", "capacity": {"parcels": 60}, "costs": {"fixed": 1800, "per_km": 60, "per_hour": 3600}}
    )

    depot_id: Slug
    id: Slug
    capacity: Amounts = Field(default_factory=dict)
    skills: Skills = Field(default_factory=list)
    costs: CostsIn | None = None


class ShiftIn(_Body):
    """A shift to make. Start and end place default to the depot; `open_end` lets it end at its last stop.

    With `other_ends` it ends at the nearest of all of them. It may come back to the depot for more `reloads` times.
    """

    model_config = _shown(
        {
            "depot_id": "hel",
            "id": "monday-anna",
            "driver_id": "hel.anna",
            "vehicle_id": "hel.van-1",
            "start": "2027-03-01T08:00:00+02:00",
            "end": "2027-03-01T16:00:00+02:00",
        }
    )

    depot_id: Slug
    id: Slug
    driver_id: str
    vehicle_id: str
    start: Moment
    end: Moment
    start_location: Place | None = None
    end_location: Place | None = None
    other_ends: list[Place] = Field(default_factory=list, max_length=10)
    open_end: StrictBool = False
    overtime: StrictInt = Field(default=0, ge=0, le=DAY_S // 2)
    limits: LimitsIn | None = None
    breaks: list[BreakIn] = Field(default_factory=list, max_length=8)
    reloads: StrictInt = Field(default=0, ge=0, le=9)
    reload_time: StrictInt = Field(default=900, ge=0, le=DAY_S // 2)

    @model_validator(mode="after")
    def _in_order(self) -> ShiftIn:
        if any(not self.start <= one.start <= one.end <= self.end for one in self.breaks):
            raise ValueError("a break does not begin within the shift")
        if any(a.start + timedelta(seconds=a.duration) > b.end for a, b in itertools.pairwise(self.breaks)):
            raise ValueError("breaks are not in order: one ends at the soonest after the next must have begun")
        if self.end <= self.start:
            raise ValueError("the shift ends before it begins")
        if (self.end - self.start).total_seconds() > DAY_S:
            raise ValueError("the shift is longer than a day")
        if self.open_end and (self.end_location or self.other_ends):
            raise ValueError("an open end has no end_location, and no other_ends")
        return self


class Recipient(_Body):
    """Who waits there; kept apart from the order, and erased by policy."""

    name: Name | None = None
    phone: Annotated[str, Field(max_length=40)] | None = None
    note: Annotated[str, Field(max_length=1000)] | None = None

    def fields(self) -> dict[str, str]:
        """What is given, by name."""
        return {name: value for name, value in self if value is not None}


class PinIn(_Body):
    """What an operator decides of an order: its driver, its position, and not before when."""

    driver_id: str | None = None
    position: Turn | Annotated[StrictInt, Field(ge=1, le=10_000)] | None = None
    not_before: Moment | None = None


class RelationIn(_Body):
    """What binds an order to another one: that one's id, or the `external_id` that the same shipper has given it, or will."""

    kind: RelationKind
    order_id: str | None = None
    external_id: Annotated[str, Field(min_length=1, max_length=200)] | None = None

    @model_validator(mode="after")
    def _one_other(self) -> RelationIn:
        if (self.order_id is None) == (self.external_id is None):
            raise ValueError("it names another order by one of order_id and external_id")
        return self


class PickupIn(_Body):
    """Where and when a transport's goods are fetched."""

    location: Place
    kerb: Kerb = Kerb.EITHER
    windows: list[Window] = Field(default_factory=list, max_length=8)
    service_time: StrictInt = Field(default=120, ge=0, le=DAY_S)
    setup_time: StrictInt = Field(default=0, ge=0, le=DAY_S)


ORDER: dict[str, Any] = {
    "depot_id": "hel",
    "kind": "delivery",
    "location": {"lat": 60.1712, "lon": 24.9441},
    "external_id": "A-17",
    "windows": [{"from": "2027-03-01T09:00:00+02:00", "to": "2027-03-01T11:00:00+02:00"}],
    "service_time": 120,
    "demand": {"parcels": 2},
    "recipient": {"name": "Ada", "phone": "+358 40 123", "note": "second floor"},
}


class OrderPatch(_Body):
    """What of an open order can be changed."""

    model_config = _shown({"windows": [{"from": "2027-03-01T12:00:00+02:00", "to": "2027-03-01T14:00:00+02:00"}], "priority": 50})

    location: Place | None = None
    kerb: Kerb | None = None
    windows: list[Window] | None = Field(default=None, max_length=8)
    lateness: Literal["soft", "hard"] | None = None
    service_time: StrictInt | None = Field(default=None, ge=0, le=DAY_S)
    setup_time: StrictInt | None = Field(default=None, ge=0, le=DAY_S)
    demand: Amounts | None = None
    skills: Skills | None = None
    priority: StrictInt | None = Field(default=None, ge=0, le=100)
    promised_by: Moment | None = None
    pickup: PickupIn | None = None
    pin: PinIn | None = None
    excluded_drivers: list[str] | None = Field(default=None, max_length=100)
    relations: list[RelationIn] | None = Field(default=None, max_length=20)
    recipient: Recipient | None = None


class OrderIn(_Body):
    """An order to accept."""

    model_config = _shown(ORDER)

    depot_id: Slug
    external_id: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    kind: Ordered
    location: Place
    kerb: Kerb = Kerb.EITHER
    windows: list[Window] = Field(default_factory=list, max_length=8)
    lateness: Literal["soft", "hard"] = "soft"
    service_time: StrictInt = Field(default=120, ge=0, le=DAY_S)
    setup_time: StrictInt = Field(default=0, ge=0, le=DAY_S)
    demand: Amounts = Field(default_factory=dict)
    skills: Skills = Field(default_factory=list)
    priority: StrictInt = Field(default=0, ge=0, le=100)
    promised_by: Moment | None = None
    pickup: PickupIn | None = None
    pin: PinIn = Field(default_factory=PinIn)  # a default would be copied deeply for each order
    excluded_drivers: list[str] = Field(default_factory=list, max_length=100)
    relations: list[RelationIn] = Field(default_factory=list, max_length=20)
    recipient: Recipient | None = None
    dispatch: Dispatch = Dispatch.PLANNED


class OrdersIn(_Body):
    """Orders to accept, each judged for itself."""

    model_config = _shown({"orders": [ORDER, ORDER | {"external_id": "A-18", "location": {"lat": 60.1688, "lon": 24.9322}}]})

    orders: list[SkipValidation[OrderIn]] = Field(min_length=1, max_length=1000)


class TrackingIn(_Body):
    """A link to make; it is good for `ttl` seconds, or until two days after the order's windows."""

    model_config = _shown({"ttl": 86400})

    ttl: StrictInt | None = Field(default=None, ge=60, le=90 * DAY_S)


Url = Annotated[str, Field(min_length=8, max_length=2000, pattern=r"^https?://[!-~]+$")]
EventTypes = Annotated[list[Annotated[str, Field(pattern=r"^[a-z_]+\.([a-z_]+|\*)$", max_length=50)]], Field(max_length=50)]


class WebhookIn(_Body):
    """A webhook to make: where to send which events of which depots (none named: all)."""

    model_config = _shown({"url": "https://shop.example/lastleg", "types": ["order.*"]})

    url: Url
    types: EventTypes = Field(default_factory=list)
    depots: list[Slug] = Field(default_factory=list, max_length=100)


class WebhookPatch(_Body):
    """What of a webhook can be changed."""

    model_config = _shown({"types": ["order.arrived", "order.completed", "order.failed"]})

    url: Url | None = None
    types: EventTypes | None = None
    depots: list[Slug] | None = Field(default=None, max_length=100)
    enabled: StrictBool | None = None


class RotateIn(_Body):
    """How long (s) the secret before is good beside the new one."""

    model_config = _shown({"overlap": 86400})

    overlap: StrictInt = Field(default=DAY_S, ge=0, le=30 * DAY_S)


class QuoteIn(_Body):
    """A prospective order, without windows, and the windows that are asked about."""

    model_config = _shown({"order": {name: value for name, value in ORDER.items() if name != "windows"}})

    order: OrderIn
    windows: list[Window] | None = Field(default=None, min_length=1, max_length=48)


class AcceptIn(_Body):
    """Which window of a quote, counted from 0."""

    model_config = _shown({"window": 0})

    window: StrictInt = Field(ge=0, le=100)


class KeyIn(_Body):
    """A key to make: a shipper key (maybe for some depots, or reading, only), a driver's token, or another operator's key.

    Keys of the same `shipper` reach the same orders; without it each is a shipper of its own.
    """

    model_config = _shown({"role": "shipper", "name": "Bakery", "depots": ["hel"]})

    role: Literal["operator", "shipper", "driver"]
    name: Name | None = None
    driver_id: str | None = None
    depots: list[Slug] = Field(default_factory=list, max_length=100)
    shipper: Slug | None = None
    scopes: list[Literal["read", "write"]] = Field(default=["read", "write"], min_length=1)
    ttl: StrictInt | None = Field(default=None, ge=60, le=366 * DAY_S, description="Seconds; a driver's: a day unless told")

    @model_validator(mode="after")
    def _driver(self) -> KeyIn:
        if (self.role == "driver") != (self.driver_id is not None):
            raise ValueError("driver_id is for driver tokens, which need it")
        if self.depots and self.role != "shipper":
            raise ValueError("depots limit shipper keys only")
        if (self.shipper or set(self.scopes) != {"read", "write"}) and self.role != "shipper":
            raise ValueError("shipper and scopes are for shipper keys only")
        return self


class SessionIn(_Body):
    """The key of an operator or a driver, to open a browser's session with."""

    model_config = _shown({"key": "ll_operator_…"})

    key: Annotated[str, Field(min_length=1, max_length=200)]
    role: Literal["operator", "driver"] | None = Field(default=None, description="Open none if the key is of another")


class ProofIn(_Body):
    """What shows that a stop was made. It is kept apart from the order, like the recipient, and erased with it."""

    note: Annotated[str, Field(max_length=1000)] | None = None
    code: Annotated[str, Field(max_length=100)] | None = None
    signed_by: Name | None = None
    photos: list[Annotated[str, Field(min_length=1, max_length=500)]] = Field(default_factory=list, max_length=10)
    reason: Annotated[str, Field(max_length=500)] | None = None

    def fields(self, stop_id: str) -> dict[str, str]:
        """As kept: text by name; a transport's pickup has its own."""
        of = "pickup_proof_" if stop_id.endswith(PICKUP) else "proof_"
        photos = json.dumps(self.photos) if self.photos else None
        given = {"note": self.note, "code": self.code, "signed_by": self.signed_by, "photos": photos,
                 "reason": self.reason}  # fmt: skip
        return {of + name: value for name, value in given.items() if value is not None}


class StopEventIn(_Body):
    """What a driver reports of a stop. `event_id` is the client's own: sent twice, it counts once."""

    model_config = _shown(
        {
            "event_id": "5b1c8c56-6f0e",
            "type": "completed",
            "occurred_at": "2026-11-23T09:41:12Z",
            "proof": {"signed_by": "Ada", "photos": ["https://photos.example/1.jpg"]},
            "driver_id": "hel.anna",
        }
    )

    event_id: Annotated[str, Field(min_length=1, max_length=100)]
    type: Literal["accepted", "declined", "en_route", "skipped", "loaded", "arrived", "completed", "failed"]
    occurred_at: Moment
    plan_version_seen: StrictInt | None = Field(default=None, ge=0)
    reason: Annotated[str, Field(max_length=500)] | None = None
    driver_id: str | None = None
    proof: ProofIn | None = None

    def proofs(self, stop_id: str) -> dict[str, str] | None:
        """What is kept of how the stop ended, as `ProofIn.fields`; the driver's own words with it."""
        found = self.proof.fields(stop_id) if self.proof else {}
        if self.reason and self.type in ("completed", "failed"):
            found |= ProofIn(reason=self.reason).fields(stop_id)
        return found or None

    @model_validator(mode="after")
    def _proof(self) -> StopEventIn:
        if self.proof is not None and self.type not in ("completed", "failed"):
            raise ValueError("proof is for completed and failed")
        return self


class DriverEventIn(_Body):
    """What a driver reports of the shift or of duty."""

    model_config = _shown({"event_id": "0f6a3c9e-18d2", "type": "departed", "occurred_at": "2026-11-23T08:02:40Z"})

    event_id: Annotated[str, Field(min_length=1, max_length=100)]
    type: Literal["departed", "returned", "on_duty", "off_duty", "broken_down", "on_break", "off_break"]
    occurred_at: Moment
    until: Moment | None = None

    @model_validator(mode="after")
    def _break(self) -> DriverEventIn:
        if self.until is not None and (self.type != "on_break" or self.until <= self.occurred_at):
            raise ValueError("until is when a break ends, after it began")
        return self


class AckIn(_Body):
    """A driver has seen a version of the route."""

    model_config = _shown({"route_version": 12})

    route_version: StrictInt = Field(ge=0)


class RoadEventIn(_Body):
    """Streets to close, or to slow by a factor: exactly one of `edges`, `disc`, `polygon` says which."""

    model_config = _shown(
        {
            "depot_id": "hel",
            "kind": "close",
            "disc": {"centre": {"lat": 60.1668, "lon": 24.937}, "radius_m": 60},
            "end": "2099-01-01T00:00:00Z",
            "reason": "burst pipe",
        }
    )

    depot_id: Slug
    kind: Literal["close", "slow"]
    factor: StrictFloat | None = Field(default=None, gt=1, le=100)
    edges: list[Annotated[StrictInt, Field(ge=0)]] | None = Field(default=None, min_length=1, max_length=10_000)
    disc: Disc | None = None
    polygon: list[Place] | None = Field(default=None, min_length=3, max_length=1000)
    start: Moment | None = None
    end: Moment
    reason: Annotated[str, Field(max_length=500)] = ""

    @model_validator(mode="after")
    def _consistent(self) -> RoadEventIn:
        if sum(area is not None for area in (self.edges, self.disc, self.polygon)) != 1:
            raise ValueError("give exactly one of edges, disc and polygon")
        if (self.kind == "slow") != (self.factor is not None):
            raise ValueError("factor is for kind slow, which needs it")
        if self.start and self.end <= self.start:
            raise ValueError("it ends before it begins")
        return self


class WhatIfIn(_Body):
    """Changes to try, all together: each is what would be asked for by itself; with `budget` (s) the plans are improved, too."""

    model_config = _shown(
        {
            "off_duty": ["hel.anna"],
            "road_events": [
                {
                    "depot_id": "hel",
                    "kind": "close",
                    "disc": {"centre": {"lat": 60.1668, "lon": 24.937}, "radius_m": 60},
                    "end": "2099-01-01T00:00:00Z",
                }
            ],
        }
    )

    orders: list[OrderIn] = Field(default_factory=list, max_length=50)
    cancel: list[str] = Field(default_factory=list, max_length=50)
    road_events: list[RoadEventIn] = Field(default_factory=list, max_length=50)
    reopen: list[str] = Field(default_factory=list, max_length=50)
    off_duty: list[str] = Field(default_factory=list, max_length=50)
    on_duty: list[str] = Field(default_factory=list, max_length=50)
    budget: StrictInt | StrictFloat = Field(default=0, ge=0, le=2)


class DepotQuery(_Body):
    """Of which depot."""

    depot_id: Slug = Field(description="The depot's id")


class OrdersQuery(DepotQuery):
    """Which orders."""

    cursor: int = Field(default=0, ge=0, le=MAX_CURSOR, description="`next_cursor` of the page before")


class EventsQuery(DepotQuery):
    """Which events."""

    after: int = Field(default=0, ge=0, le=MAX_CURSOR, description="`next_cursor` of the last answer; 0 for all that are kept")
    limit: int = Field(default=100, ge=1, le=1000, description="So many at most are looked at")


class ImportQuery(DepotQuery):
    """What is imported, and how."""

    what: Literal["orders", "drivers", "vehicles", "shifts"] = Field(default="orders", description="What the rows are")
    format: Literal["csv", "ndjson", "parquet"] = Field(default="csv", description="How the file is written")
    mode: Literal["all", "best"] = Field(default="all", description="All rows or none, or as many as are good")
    columns: str = Field(default="", max_length=10_000, description='JSON: names of the file → ours, "" to leave a column out')
    dry_run: bool = Field(default=False, description="Only judge the rows")


class ExportQuery(DepotQuery):
    """What of it, and how it is written."""

    format: Literal["csv", "ndjson", "parquet", "geojson", "gpx"] | None = Field(default=None, description="Unless said, the first")
    days: int = Field(default=1, ge=1, le=366, description="So many days back, for pings and kpis")
    driver_id: str | None = Field(default=None, max_length=100, description="Only this driver's")


class DeliveriesQuery(DepotQuery):
    """Which deliveries."""

    state: Literal["pending", "delivered", "dead"] | None = Field(default=None, description="Only those that are so")
    limit: int = Field(default=100, ge=1, le=1000, description="So many at most")


class AuditQuery(_Body):
    """Which entries of the audit log."""

    after: str = Field(default="0", pattern=r"^\d{1,15}(-\d{1,9})?$", description="`next_cursor` of the last answer")
    limit: int = Field(default=100, ge=1, le=1000, description="So many at most are looked at")


class SessionQuery(_Body):
    """Which session of this browser."""

    role: Literal["operator", "driver"] = Field(default="operator", description="Whose page asks")


class VersionsQuery(_Body):
    """Which plan versions."""

    after: int = Field(default=0, ge=0, le=MAX_CURSOR, description="The last version that is known")


class StreetQuery(_Body):
    """Where a street is looked for."""

    lat: float = Field(ge=-90, le=90, allow_inf_nan=False)
    lon: float = Field(ge=-180, le=180, allow_inf_nan=False)


class ExplanationQuery(_Body):
    """How much is to be explained."""

    relax: bool = Field(default=False, description="Whether to look for what would let the order be served, which takes longer")


class TileQuery(_Body):
    """Of which edition a tile is to be."""

    edition: str | None = Field(default=None, max_length=100, description="As the map told it; such tiles keep for a day")


class LinesQuery(_Body):
    """Whose lines."""

    driver_id: str | None = Field(default=None, max_length=100, description="Only this driver's")


class RouteQuery(_Body):
    """How long to wait for a route."""

    wait: float = Field(default=0, ge=0, allow_inf_nan=False, description="So many seconds, at most 60, for a version that is new")


class StreamQuery(_Body):
    """Where a stream goes on, for clients that cannot send `Last-Event-ID`."""

    last_event_id: int | None = Field(default=None, ge=0, le=MAX_CURSOR, description="The last route version that was received")


class StreamHeaders(_Body):
    """Where a stream goes on."""

    last_event_id: int | None = Field(default=None, alias="Last-Event-ID", ge=0, le=MAX_CURSOR,
                                      description="The last route version that was received")  # fmt: skip


class RouteHeaders(_Body):
    """What is known of a route."""

    known: str | None = Field(default=None, alias="If-None-Match",
                              description="`ETag` of the route that is known; 304 while it is in force")  # fmt: skip


class IdempotencyHeaders(_Body):
    """By what a call that is made again is known."""

    idempotency_key: Annotated[str, Field(min_length=1, max_length=255)] | None = Field(
        default=None, alias="Idempotency-Key",
        description="Of your choice: the same key within 24 h with the same body is the same call",
    )  # fmt: skip


class ChangeHeaders(_Body):
    """What is to be changed."""

    if_match: Annotated[str, Field(max_length=100)] | None = Field(
        default=None, alias="If-Match", description="`ETag` of the order as it was read: 412 if it has changed since"
    )


class DryRunQuery(_Body):
    """Whether it is meant."""

    dry_run: bool = Field(default=False, description="Only say what would come of it: nothing is changed")


class NearQuery(_Body):
    """Drivers near which place, and who can do what."""

    lat: float = Field(ge=-90, le=90, allow_inf_nan=False)
    lon: float = Field(ge=-180, le=180, allow_inf_nan=False)
    skills: str = Field(default="", max_length=2000, description="Comma separated; drivers who lack one are left out")
    free: bool = Field(default=False, description="Leave out who drives to a stop, or serves one")
    limit: int = Field(default=10, ge=1, le=50, description="So many at most")


def seconds(moment: datetime) -> int:
    """Epoch seconds, as the core has times."""
    return int(moment.timestamp())


def window_view(window: TimeWindow) -> dict[str, str]:
    """When service may begin."""
    return {"from": iso(window.start), "to": iso(window.end)}


def eta_view(eta: tuple[int, int]) -> dict[str, str]:
    """When a driver arrives at even odds, and four times in five."""
    return {"p50": iso(eta[0]), "p80": iso(eta[1])}


def iso(moment: float) -> str:
    """A time for the API: ISO 8601 in UTC."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
