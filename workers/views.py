"""What answers with plans and routes look like, as `ingest.views` has it for the rest."""

from __future__ import annotations

from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict

from ingest.schemas import Ordered
from ingest.views import Amounts, EtaView, OrderView, ReasonView, RecipientView, Status, Steps, Time, WindowView
from routing.model import Kerb, Location, OrderKind, TriggerKind

StopStateView = Literal["open", "en_route", "arrived", "completed", "failed", "cancelled", "moved"]


class TriggerView(TypedDict):
    """A reason to re-solve; `at` in real seconds since 1970."""

    kind: TriggerKind
    subject: str
    revision: int
    at: float


class StopView(TypedDict):
    """A stop with its planned times; what its order asks for is there while the order is kept.

    `loads` are the orders whose goods come aboard at a reload.
    """

    stop_id: str
    order_id: str
    kind: NotRequired[OrderKind]
    location: NotRequired[Location]
    kerb: NotRequired[Kerb]
    service_time: NotRequired[int]
    windows: NotRequired[list[WindowView]]
    loads: NotRequired[list[str]]
    arrive: Time
    begin: Time
    leave: Time
    late_by: int
    state: StopStateView
    eta: NotRequired[EtaView]
    inferred: NotRequired[bool]
    recipient: NotRequired[RecipientView]


class RestView(TypedDict):
    """A rest on the way to a stop, or home; one from `driving` may be anywhere on that way, a break is taken before it."""

    before: str | None
    begin: Time
    end: Time
    driving: bool
    location: NotRequired[Location]


class ShiftRouteView(TypedDict):
    """A driver's stops in one shift, and the rests that are planned between them."""

    shift_id: str
    vehicle_id: str
    stops: list[StopView]
    rests: NotRequired[list[RestView]]
    end: NotRequired[Location]


class ChangesView(TypedDict):
    """Stops that a version gave to a driver, took from him, put elsewhere, or changed where they are."""

    gained: list[str]
    lost: list[str]
    reordered: list[str]
    updated: list[str]


class OfferStopView(TypedDict):
    """A stop of an offered order."""

    stop_id: str
    location: Location


class OfferView(TypedDict):
    """An order that cannot wait, as its driver is told of it; `wait` in s until he would be there, `number` counts offers."""

    order_id: str
    driver_id: str
    stop_id: str
    kind: Ordered
    stops: list[OfferStopView]
    demand: Amounts
    emergency: bool
    number: int
    wait: int
    expires_at: Time
    state: Literal["open", "accepted", "declined", "expired", "withdrawn"]


class OffersView(TypedDict):
    """The open offer, if there is one."""

    offers: list[OfferView]


class RouteView(TypedDict):
    """A driver's whole route, what changed in it last, and why."""

    driver_id: str
    depot_id: str
    route_version: int
    planned_at: NotRequired[Time]
    shifts: list[ShiftRouteView]
    changes: ChangesView | None
    triggers: list[TriggerView]
    acknowledged: int
    offer: NotRequired[OfferView]


class RouteChangeView(ChangesView):
    """What a version changed for one driver; `because` are the revisions of the triggers that it answers (old versions lack it)."""

    driver_id: str
    because: NotRequired[list[int]]


class DiffView(TypedDict):
    """What a version changed."""

    routes: list[RouteChangeView]
    newly_unassigned: list[str]
    no_longer_unassigned: list[str]


class DisruptionView(TypedDict):
    """Stops of drivers on the road that changed hands or places, promises not kept, and what that costs."""

    moved: int
    resequenced: int
    shifted: int
    cost: int


class VersionView(TypedDict):
    """A plan version: what it changed for whom, why, and how long it took (`timings` in ms)."""

    version: int
    revision: int
    roads: int
    engine: str
    created_at: Time
    published_at: float
    cost: int
    latency_s: float | None
    triggers: list[TriggerView]
    diff: DiffView
    timings: dict[str, float]
    costs: dict[str, int]
    disruption: DisruptionView


class VersionsView(TypedDict):
    """Plan versions, oldest first; `version` is the newest there is."""

    version: int
    plans: list[VersionView]


class PlannedRouteView(TypedDict):
    """A route of a plan; `acknowledged` is the newest route version that its driver has seen."""

    shift_id: str
    driver_id: str
    vehicle_id: str
    acknowledged: int
    stops: list[StopView]
    rests: list[RestView]
    end: NotRequired[Location]


class UnassignedView(TypedDict):
    """An order that no route serves."""

    order_id: str
    reasons: list[ReasonView]


class FlagView(TypedDict):
    """A rule broken by a stop that no plan may change any more."""

    stop_id: str
    reason: ReasonView


class SideView(TypedDict):
    """A plan in figures: cost by part (s of driving; the sum without what is left out), stops that are late, orders in no route."""

    cost: int
    costs: dict[str, int]
    late: int
    unassigned: int


class WhatIfView(TypedDict):
    """What changes would come to, against the plan without them; `orders` are the ids given to those that were tried."""

    version: int
    before: SideView
    after: SideView
    diff: DiffView
    disruption: DisruptionView
    unassigned: list[UnassignedView]
    orders: list[str]


class PlanView(VersionView):
    """A whole plan."""

    depot_id: str
    routes: list[PlannedRouteView]
    unassigned: list[UnassignedView]
    flags: list[FlagView]


class LegView(TypedDict):
    """The way to a stop, or (without one) to where the shift ends."""

    stop_id: str | None
    points: Steps


class LineView(TypedDict):
    """A route's way."""

    driver_id: str
    shift_id: str
    metres: int
    legs: list[LegView]


class LinesView(TypedDict):
    """The ways of a plan version's routes."""

    version: int
    lines: list[LineView]


class ProposalView(TypedDict):
    """The plan that waits for a yes, and the version that it would replace; all null if none does."""

    proposal_id: str | None
    base: int | None
    plan: PlanView | None


class AcceptedView(TypedDict):
    """The version that was published."""

    version: int


class NearView(TypedDict):
    """A driver on duty, and how far from a place: by today's roads, and as the crow flies."""

    driver_id: str
    shift_id: str
    seconds: int
    metres: int
    crow_m: int
    state: str
    stop_id: str | None
    skills: list[str]
    location: Location
    seen_at: Time


class NearsView(TypedDict):
    """Drivers on duty, the first to be there first."""

    drivers: list[NearView]


ProblemFile = dict[str, Any]
"""The state as a problem, for `python -m routing solve|check`."""


class AliveView(TypedDict):
    """The process answers."""

    status: Literal["alive"]


class ReadyView(TypedDict):
    """Redis answers, and these maps are there."""

    status: Literal["ready"]
    maps: list[str]


class EtaOfView(TypedDict):
    """When a driver is expected; `stops_before` are made first, as the plan is."""

    order_id: str
    status: Status
    eta: NotRequired[EtaView]
    stops_before: NotRequired[int]
    arrived_at: NotRequired[Time]
    left_at: NotRequired[Time]


class OrderEventView(TypedDict):
    """Something an order has been through; `at` in the depot's time."""

    type: str
    at: Time
    status: NotRequired[Status]
    reasons: NotRequired[list[ReasonView]]
    eta: NotRequired[EtaView]
    inferred: NotRequired[bool]


class TimelineView(TypedDict):
    """What an order has been through, oldest first."""

    order_id: str
    events: list[OrderEventView]


class RelaxationView(TypedDict):
    """What would let an order be served: a rule that gives way, and by how much; or `moved`: a stop that goes to another driver.

    `cost` is what the plan would cost more, in seconds of driving.
    """

    code: str
    driver_id: NotRequired[str]
    cost: NotRequired[int]
    amount: NotRequired[int]
    unit: NotRequired[str]
    skills: NotRequired[list[str]]
    stop_id: NotRequired[str]
    to_driver_id: NotRequired[str]


class ExplanationView(TypedDict):
    """Why an order is where it is; `codes` counts reasons, of the 25 drivers who come nearest to taking it."""

    order_id: str
    status: Status
    plan_version: int
    drivers_tried: int
    codes: dict[str, int]
    summary: str
    reasons: list[ReasonView]
    verdict: NotRequired[Literal["impossible", "outprioritised"]]
    relaxations: NotRequired[list[RelaxationView]]


class EventView(TypedDict):
    """An event as it is told, in the feed and to webhooks; `timestamp` is real time, times in `data` are the depot's."""

    id: str
    type: str
    timestamp: Time
    depot_id: str
    sequence: int
    data: dict[str, Any]


class EventsView(TypedDict):
    """Events after a cursor; `more` if there are some after these."""

    events: list[EventView]
    next_cursor: int
    more: bool


class LinkView(TypedDict):
    """A link that needs no key; `url` is a path of this server."""

    url: str
    page: str
    expires_at: Time


class TrackingView(TypedDict):
    """What a recipient may know: nothing of names, drivers or other orders, and of places his own. `now` is the depot's time.

    `vehicle` is where the vehicle is while it drives to this stop.
    """

    status: Status
    location: Location
    timezone: str
    vehicle: NotRequired[Location]
    windows: list[WindowView]
    now: Time
    eta: NotRequired[EtaView]
    stops_before: NotRequired[int]
    arrived_at: NotRequired[Time]
    left_at: NotRequired[Time]


class WebhookView(TypedDict):
    """A webhook without its secret; the one before it is good until `earlier_secret_until`."""

    id: str
    url: str
    types: list[str]
    depots: list[str]
    enabled: bool
    why_disabled: str
    created_at: Time
    secret_prefix: str
    earlier_secret_until: Time | None


class NewWebhookView(WebhookView):
    """A webhook with its secret, which is told this once."""

    secret: str


class WebhooksView(TypedDict):
    """Webhooks, the oldest first."""

    webhooks: list[WebhookView]


class SentView(TypedDict):
    """What came of a message: the listener's status, or what went wrong; in `ms`."""

    event_id: str
    delivered: bool
    status: int | None
    error: str
    ms: int


class TryView(TypedDict):
    """A try to deliver."""

    at: Time
    status: int | None
    error: str
    ms: int


class DeliveryView(TypedDict):
    """An event for a listener: `pending`, `delivered`, or `dead`: given up after a day."""

    event_id: str
    depot_id: str
    state: Literal["pending", "delivered", "dead"]
    attempts: int
    next_attempt_at: Time | None
    tries: list[TryView]


class DeliveriesView(TypedDict):
    """Deliveries, the newest first."""

    deliveries: list[DeliveryView]


class RetriedView(TypedDict):
    """How many are sent again."""

    retried: int


class QuotedWindowView(TypedDict("QuotedWindowView", {"from": Time, "to": Time})):
    """A window that can be served: for how much more (seconds of driving), when service would begin, and by how many drivers."""

    extra_cost: int
    begin: Time
    drivers: int
    driver_id: NotRequired[str]


class QuoteView(TypedDict):
    """A quote; it can be accepted until `expires_at`."""

    quote_id: str
    expires_at: Time
    windows: list[QuotedWindowView]
    unavailable: list[WindowView]


class ReservationView(TypedDict):
    """An order that is held until `reserved_until` (real time); null once it is confirmed."""

    order: OrderView
    reserved_until: Time | None


class RowFaultView(TypedDict):
    """Something wrong in a row: the line it begins at, and the column ("" if it is in no single one)."""

    line: int
    column: str
    code: str
    detail: str
    remedy: str


class ImportView(TypedDict):
    """An import and how far it is; `same` were there before. `errors` are the first thousand."""

    id: str
    depot_id: str
    what: Literal["orders", "drivers", "vehicles", "shifts"]
    format: Literal["csv", "ndjson", "parquet"]
    mode: Literal["all", "best"]
    dry_run: bool
    state: Literal["waiting", "checking", "writing", "done", "failed"]
    rows: int
    checked: int
    written: int
    accepted: int
    same: int
    refused: int
    errors: list[RowFaultView]
    seconds: float
    created_at: Time
    reason: str


class ImportsView(TypedDict):
    """Imports, the newest first."""

    imports: list[ImportView]
