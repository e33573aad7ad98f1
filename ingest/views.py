"""What answers look like: the types that the interface is described by, and that tests hold every answer to."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from ingest.auth import Role
from ingest.schemas import Ordered
from routing.model import Dispatch, Kerb, Location, Policy, ReasonCode, RelationKind, Turn

Time = Annotated[str, Field(json_schema_extra={"format": "date-time"}, examples=["2027-03-01T09:00:00Z"])]
"""ISO 8601 in UTC."""

Amounts = dict[str, int]
"""By the depot's dimensions."""


Steps = Annotated[list[int], Field(examples=[[6017118, 2494412, 9, -14]])]
"""A line: latitude and longitude in 1e-5 degrees, then the steps to each next point."""


class ProblemFault(TypedDict):
    """One thing that is wrong: where in the body (a JSON pointer), or in which parameter."""

    code: str
    detail: str
    pointer: NotRequired[str]
    parameter: NotRequired[str]
    remedy: NotRequired[str]


class Problem(TypedDict):
    """A problem document (RFC 9457). Some codes come with more, as docs/errors.md says."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    remedy: NotRequired[str]
    errors: NotRequired[list[ProblemFault]]
    order_id: NotRequired[str]
    route: NotRequired[dict[str, Any] | None]


WindowView = TypedDict("WindowView", {"from": Time, "to": Time})
"""When service may begin; both ends inclusive."""


class EtaView(TypedDict):
    """When the driver arrives at even odds, and four times in five."""

    p50: Time
    p80: Time


class ReasonView(TypedDict):
    """Why a driver cannot take an order; `driver_id` is for operators."""

    code: ReasonCode
    driver_id: NotRequired[str | None]
    shortfall: NotRequired[int | None]
    unit: NotRequired[str | None]


class RecipientView(TypedDict):
    """Who waits there, as far as that has not been erased."""

    name: NotRequired[str]
    phone: NotRequired[str]
    note: NotRequired[str]


class ProofView(TypedDict):
    """What shows that a stop was made."""

    note: NotRequired[str]
    code: NotRequired[str]
    signed_by: NotRequired[str]
    photos: NotRequired[list[str]]
    reason: NotRequired[str]


class PickupView(TypedDict):
    """Where and when a transport's goods are fetched."""

    stop_id: str
    location: Location
    kerb: Kerb
    windows: list[WindowView]
    service_time: int
    setup_time: int


class PinView(TypedDict):
    """What an operator has decided of an order."""

    driver_id: str | None
    position: Turn | int | None
    not_before: Time | None


class OfferedView(TypedDict):
    """The offer that an order which cannot wait is in; `driver_id` is for operators."""

    expires_at: Time
    wait: int
    driver_id: NotRequired[str]


Status = Literal["accepted", "reserved", "matching", "offered", "planned", "unassigned", "picked_up", "en_route", "arrived",
                 "completed", "failed", "cancelled"]  # fmt: skip


class RelationView(TypedDict):
    """How an order is bound to another one."""

    kind: RelationKind
    order_id: NotRequired[str]
    external_id: NotRequired[str]


class OrderView(TypedDict):
    """What was asked, and what has become of it."""

    id: str
    depot_id: str
    external_id: str | None
    kind: Ordered
    location: Location
    kerb: Kerb
    windows: list[WindowView]
    lateness: Literal["soft", "hard"]
    service_time: int
    setup_time: int
    demand: Amounts
    skills: list[str]
    priority: int
    promised_by: Time | None
    dispatch: Dispatch
    recipient: RecipientView
    created_at: Time
    stop_id: str
    status: Status
    pickup: NotRequired[PickupView]
    relations: list[RelationView]
    pin: NotRequired[PinView]
    excluded_drivers: NotRequired[list[str]]
    reasons: NotRequired[list[ReasonView]]
    offer: NotRequired[OfferedView]
    reserved_until: NotRequired[Time]
    eta: NotRequired[EtaView]
    picked_up_at: NotRequired[Time]
    arrived_at: NotRequired[Time]
    left_at: NotRequired[Time]
    inferred: NotRequired[bool]
    proof: NotRequired[ProofView]
    pickup_proof: NotRequired[ProofView]


class OrdersView(TypedDict):
    """A page of orders; `next_cursor` is null on the last one."""

    orders: list[OrderView]
    next_cursor: str | None


class DryRunView(TypedDict):
    """What would come of a call. The id of an order that would be created is not kept."""

    dry_run: Literal[True]
    result: Literal["created", "replayed", "changed", "unchanged", "cancelled"]
    order: OrderView


class BatchResultView(TypedDict):
    """What has come of one order of a batch: its status as if it had been sent alone, and the order or what is wrong with it."""

    status: int
    order: NotRequired[OrderView]
    problem: NotRequired[Problem]
    dry_run: NotRequired[Literal[True]]
    result: NotRequired[str]


class BatchView(TypedDict):
    """The results, in the order of the batch."""

    results: list[BatchResultView]
    accepted: int
    refused: int


class ClockView(TypedDict):
    """A depot's clock."""

    scale: float
    now: Time


class DiscView(TypedDict):
    """A point and a radius in metres."""

    centre: Location
    radius_m: float


class AccessView(TypedDict):
    """An area whose stops ask for skills."""

    name: str
    skills: list[str]
    disc: NotRequired[DiscView]
    polygon: NotRequired[list[Location]]


class DepotView(TypedDict):
    """A depot, with its time."""

    id: str
    name: str
    map: str
    location: Location
    dimensions: list[str]
    clock: ClockView
    policy: Policy
    speeds: str
    timezone: str
    access: list[AccessView]


class DepotsView(TypedDict):
    """Depots."""

    depots: list[DepotView]


class RevisionView(TypedDict):
    """The state's revision that will be answered."""

    revision: int


class AsideView(TypedDict):
    """What plans are made without."""

    id: str
    since: float
    failure: str
    state: Literal["waiting", "on_trial", "guilty"]


class AsidesView(TypedDict):
    """All that plans of a depot are made without."""

    aside: list[AsideView]


class TrialView(TypedDict):
    """Let into the next plan again."""

    id: str
    state: Literal["on_trial"]


class DriverView(TypedDict):
    """A driver."""

    id: str
    depot_id: str
    skills: list[str]
    state: Literal["available", "on_break", "silent", "off_duty", "broken_down"]
    name: NotRequired[str]
    phone: NotRequired[str]


class DriversView(TypedDict):
    """Drivers of a depot."""

    drivers: list[DriverView]


class CostsView(TypedDict):
    """What a vehicle costs, in seconds of driving at the standard rate."""

    fixed: int
    per_km: int
    per_hour: int


class VehicleView(TypedDict):
    """A vehicle."""

    id: str
    depot_id: str
    capacity: Amounts
    skills: list[str]
    costs: CostsView | None


class VehiclesView(TypedDict):
    """Vehicles of a depot."""

    vehicles: list[VehicleView]


class LimitsView(TypedDict):
    """The most that a shift may come to; null: any."""

    stops: int | None
    distance: int | None
    duration: int | None
    driving: int | None
    stretch: int | None
    rest: int


BreakView = TypedDict("BreakView", {"from": Time, "to": Time, "duration": int, "location": NotRequired[Location]})
"""When a break may begin, how long it lasts, and where it is if that is said."""


class ShiftView(TypedDict):
    """A shift; without an end location it ends at its last stop."""

    id: str
    depot_id: str
    driver_id: str
    vehicle_id: str
    start: Time
    end: Time
    start_location: Location
    end_location: Location | None
    other_ends: list[Location]
    overtime: int
    locked: bool
    limits: LimitsView
    breaks: list[BreakView]
    reloads: int
    reload_time: int


class ShiftsView(TypedDict):
    """Shifts of a depot."""

    shifts: list[ShiftView]


class RoadEventView(TypedDict):
    """Streets closed or slowed, with their lines; `outdated`, and without, if reported on another edition of the map."""

    id: str
    depot_id: str
    kind: Literal["close", "slow"]
    edges: list[int]
    start: Time
    end: Time
    factor: float | None
    reason: str
    outdated: bool
    lines: list[Steps]


class RoadEventsView(TypedDict):
    """Road events of a depot."""

    road_events: list[RoadEventView]


class KeyView(TypedDict):
    """A key without its secret."""

    id: str
    role: Role
    name: str
    prefix: str
    driver_id: str | None
    depots: list[str]
    made_at: Time
    expires_at: Time | None
    shipper: str | None
    scopes: list[str]
    last_used_at: Time | None


class NewKeyView(KeyView):
    """A key with its secret, which is told this once."""

    key: str


class BoundsView(TypedDict):
    """A part of the world, in degrees."""

    south: float
    west: float
    north: float
    east: float


class MapView(TypedDict):
    """A map: `edition` names this very set of edges, `extent` the units along a tile's side."""

    name: str
    attribution: str
    edition: str
    nodes: int
    edges: int
    bounds: BoundsView
    max_zoom: int
    extent: int


TileView = dict[Literal["motorway", "primary", "secondary", "tertiary", "street", "service"], list[list[int]]]
"""Lines by kind of street."""


class StreetView(TypedDict):
    """A street between two junctions, both ways of it."""

    edges: list[int]
    kind: str
    metres: int
    distance_m: float
    points: Steps


class SessionView(TypedDict):
    """A browser's session: whose it is, until when, and the `csrf_token` that calls of its pages send as `X-CSRF-Token`."""

    role: Role
    name: str
    driver_id: str | None
    csrf_token: str
    expires_at: Time


class CurrentSessionView(TypedDict):
    """The session that a browser has open, if it has one."""

    session: SessionView | None


class KeysView(TypedDict):
    """All keys of the tenant."""

    keys: list[KeyView]


class AuditEntryView(TypedDict):
    """A call of an operator that changed something; `body` without names, phones, notes and URLs."""

    id: str
    at: Time
    key_id: str
    name: str
    action: str
    method: str
    path: str
    status: int
    body: str


class AuditView(TypedDict):
    """Entries after a cursor; `more` if there may be some after these."""

    entries: list[AuditEntryView]
    next_cursor: str
    more: bool


class PingsView(TypedDict):
    """How many pings were new, seen before, or older than the newest."""

    stored: int
    duplicates: int
    late: int


class StopEventView(TypedDict):
    """A report that is recorded; with `conflict`, the stop had moved, and `route` is what holds now."""

    recorded: bool
    replayed: bool
    conflict: bool
    route: NotRequired[dict[str, Any] | None]


class DriverEventView(TypedDict):
    """A report that is recorded."""

    recorded: bool
    replayed: bool


class AckView(TypedDict):
    """The newest route version that is acknowledged, and the newest there is."""

    acknowledged: int
    route_version: int
