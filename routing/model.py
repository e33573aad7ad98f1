"""The words of the domain, as frozen data.

Units, everywhere in the core: integer seconds (times are seconds since the Unix epoch in *depot time*),
integer metres, WGS 84 degrees in `Location(lat, lon)`. A time window says when service may *begin*;
both ends are inclusive. Nothing here reads a clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Location:
    """A place on Earth, in degrees."""

    lat: float
    lon: float


class Kerb(StrEnum):
    """Which side of the vehicle a stop must be on when it gets there: `either`, or one that no street is crossed from."""

    EITHER = "either"
    RIGHT = "right"
    LEFT = "left"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a vehicle is or stops, and on which side."""

    location: Location
    kerb: Kerb = Kerb.EITHER


@dataclass(frozen=True, slots=True)
class TimeWindow:
    """When service may begin; both ends inclusive."""

    start: int
    end: int


class OrderKind(StrEnum):
    """What a shipper asks for, and (`reload`) what nobody does: that a vehicle comes back to the depot for more.

    A delivery's goods start at the depot, a collection's end there; a transport's are picked up on the way and delivered by
    the same vehicle. It has two stops, all others have one.
    """

    DELIVERY = "delivery"
    COLLECTION = "collection"
    SERVICE = "service"
    TRANSPORT = "transport"
    RELOAD = "reload"


class Dispatch(StrEnum):
    """How an order finds its driver.

    `planned` ones are put into routes. The others are offered to one driver after another until one accepts; an `emergency` to
    whoever is there first, and it goes before whatever that driver is only on the way to.
    """

    PLANNED = "planned"
    IMMEDIATE = "immediate"
    EMERGENCY = "emergency"


class Turn(StrEnum):
    """A pin to an end of a route: before or after all stops that a plan may still move and that are not pinned so."""

    FIRST = "first"
    LAST = "last"


@dataclass(frozen=True, slots=True)
class Pin:
    """What an operator has decided of a stop: who does it, in which position, and not before when.

    A number counts all stops of the driver's shift from 1, those already made too; see `routing.solve.rules.pins`.
    """

    driver_id: str | None = None
    position: Turn | int | None = None
    not_before: int | None = None


@dataclass(frozen=True, slots=True)
class Costs:
    """What a vehicle costs, in seconds of driving at the standard rate: once if it is used, per km and per hour driven."""

    fixed: int = 0
    per_km: int = 50
    per_hour: int = 3600


class StopState(StrEnum):
    """Progress of one stop; an absent state means open. See `TERMINAL`."""

    EN_ROUTE = "en_route"
    ARRIVED = "arrived"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


TERMINAL = frozenset({StopState.COMPLETED, StopState.FAILED, StopState.CANCELLED})
"""States a stop never leaves."""


class TriggerKind(StrEnum):
    """Reasons to re-solve."""

    ORDER_NEW = "order_new"
    ORDER_CHANGED = "order_changed"
    ORDER_CANCELLED = "order_cancelled"
    RESERVATION_OVER = "reservation_over"
    ORDER_READMITTED = "order_readmitted"
    STOP_FAILED = "stop_failed"
    STOP_SKIPPED = "stop_skipped"
    STOP_DECLINED = "stop_declined"
    STOP_CONFLICT = "stop_conflict"
    DRIVER_SILENT = "driver_silent"
    DRIVER_BACK = "driver_back"
    DRIVER_OFF_DUTY = "driver_off_duty"
    VEHICLE_BROKEN = "vehicle_broken"
    DRIVER_ON_BREAK = "driver_on_break"
    DRIVER_OFF_BREAK = "driver_off_break"
    BREAK_OVER = "break_over"
    UNACKNOWLEDGED = "unacknowledged"
    DRIVER_ON_DUTY = "driver_on_duty"
    DRIVER_RETURNED = "driver_returned"
    LATENESS_FORESEEN = "lateness_foreseen"
    OFFER_ACCEPTED = "offer_accepted"
    DETOUR = "detour"
    STANDING_STILL = "standing_still"
    ROADS_CHANGED = "roads_changed"
    SHIFT_CHANGED = "shift_changed"
    SHIFT_STARTED = "shift_started"
    SHIFT_ENDED = "shift_ended"
    PERIODIC = "periodic"
    REQUESTED = "requested"


class ReasonCode(StrEnum):
    """Why an order is unassigned: the closed list."""

    SKILL = "skill"
    CAPACITY = "capacity"
    TIME_WINDOW = "time_window"
    SHIFT_END = "shift_end"
    BREAK = "break"
    MAX_DURATION = "max_duration"
    MAX_DRIVING = "max_driving"
    MAX_DISTANCE = "max_distance"
    MAX_STOPS = "max_stops"
    UNREACHABLE = "unreachable"
    CLOSED_ROAD = "closed_road"
    LOCKED_ROUTE = "locked_route"
    DEPARTED = "departed"
    DRIVER_DECLINED = "driver_declined"
    DRIVER_ABSENT = "driver_absent"
    DRIVER_EXCLUDED = "driver_excluded"
    PINNED = "pinned"
    PRECEDENCE = "precedence"
    RELATION = "relation"
    NO_VEHICLE = "no_vehicle"
    OUTPRIORITISED = "outprioritised"
    DISRUPTION_BUDGET = "disruption_budget"
    SOLVER_TIMEOUT = "solver_timeout"
    SET_ASIDE = "set_aside"
    INVALID_LOCATION = "invalid_location"


@dataclass(frozen=True, slots=True)
class Clock:
    """Depot time as a straight line over real time: `depot = depot_zero + scale * (real - real_zero)`.

    Fixed when the depot is made. The default is the identity.
    """

    scale: float = 1.0
    real_zero: float = 0.0
    depot_zero: float = 0.0

    def depot(self, real: float) -> int:
        """Depot time (s) at real time `real` (s)."""
        return int(self.depot_zero + self.scale * (real - self.real_zero))

    def real(self, depot: float) -> float:
        """Real time (s) at which the depot's clock shows `depot` (s)."""
        return self.real_zero + (depot - self.depot_zero) / self.scale


@dataclass(frozen=True, slots=True)
class TriggerRule:
    """How a depot answers one kind of trigger."""

    asks: bool = True
    """Whether it asks for a re-solve itself. If not, the next plan that another trigger asks for answers it, too."""
    wait: float | None = None
    """Real seconds until the repair, in place of the policy's `debounce`: 0 is most urgent."""
    cooldown: float = 0.0
    """Real seconds between two repairs that this kind asks for; what comes in between waits, and is answered together."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What a depot's operator may set. Prices are in seconds of driving unless said."""

    silent_after: int = 300
    """Depot seconds without a ping after which a driver on the road counts as silent."""
    late_after: int = 180
    """Depot seconds by which something must be too late, beyond what the plan says, to ask for a re-solve before it happens."""
    detour_after: int = 180
    """Depot seconds by which a driver must have gone away from the next stop to ask for a re-solve."""
    still_after: int = 600
    """Depot seconds that a driver must have stood still on the way to a stop to ask for a re-solve."""
    infer_progress: bool = True
    """Whether drivers who forget to report arrive and leave as their pings show, until they do report."""
    infer_after: int = 60
    """Depot seconds near a stop after which its driver counts as arrived."""
    ack_after: float | None = None
    """Real seconds after which a route that its driver, on the road, has not acknowledged asks for a re-solve; None: never."""
    offer_ttl: int = 30
    """Real seconds that a driver has to accept an order that cannot wait."""
    match_wait: float = 0.3
    """Real seconds that orders which cannot wait are collected for, to be matched together; emergencies are not."""
    eta_step: int = 300
    """Depot seconds that an expected arrival must have moved to be told anew in an event."""
    learned_service: bool = True
    """Whether plans take service to last as long as has been learned, in place of what orders say."""
    review: bool = False
    """Whether plans wait for a dispatcher's yes."""
    personal_days: int = 30
    """Real days after which names, phones, notes and proofs are forgotten, if nobody has erased them before."""
    feed_days: int = 7
    """Real days that events for shippers are kept, for those who were away."""
    debounce: float = 0.05
    """Real seconds between a trigger and the repair that answers it, so that what comes together is answered together."""
    max_wait: float = 0.4
    """Real seconds between two repairs: in a burst, the most that a trigger waits; also how calm it must be to improve."""
    periodic: float | None = None
    """Real seconds after which the depot is re-solved though nothing has happened; None: never."""
    triggers: dict[TriggerKind, TriggerRule] = field(default_factory=dict)
    """What else than the default applies to a kind of trigger."""
    engine: str = "improve"
    """Which engine searches for better plans; see `routing.solve.engines`."""
    improve_budget: float = 2.0
    """Real seconds an improvement may search."""
    district_stops: int = 2500
    """A depot with more open stops than that is improved in districts of about as many, side by side."""
    horizon: int = 36 * 3600
    """Depot seconds ahead: shifts that start later are not planned yet."""
    metres_per_second_price: int = 20
    """Metres that cost as much as one second of driving."""
    promise_price: int = 1
    """Price of a second that service begins after the time promised to the recipient; twice that when it is due (`near`)."""
    overtime_price: int = 2
    """Price of a second of overtime."""
    late_price: int = 3
    """Price of a second of lateness at priority 0; grows linearly to 11 times that at 100."""
    move_price: int = 600
    """Price of giving a planned stop to another driver."""
    reorder_price: int = 60
    """Price of a stop that follows another stop than before."""
    near: int = 7200
    """Depot seconds ahead within which changing a stop costs more, up to twice as much for the very next."""
    max_moves_per_driver: int | None = None
    """How many stops of drivers on the road may change hands in one plan: for each of them given and taken together; None: any."""
    keep_days: int = 30
    """Days that closed orders and ended shifts stay before they are archived: depot days for shifts, real ones for orders."""
    keep_versions: int = 1000
    """How many plan versions stay readable."""
    max_open_orders: int = 10_000
    """So many orders may be open; further ones are refused."""
    max_records: int = 5_000
    """So many drivers, vehicles, shifts, and road events there may be of each; further ones are refused."""
    min_gain: int = 120
    """An improvement is published only if it gains at least this much, disruption included."""


LEARNED = "learned"
"""What speeds are called that come from a fleet's own drives: no table has this name."""


@dataclass(frozen=True, slots=True)
class Access:
    """An area whose stops ask for skills of drivers or vehicles: within a ring of places, or a `radius` (m) of a single one."""

    name: str
    skills: tuple[str, ...]
    ring: tuple[Location, ...]
    radius: float | None = None


@dataclass(frozen=True, slots=True)
class Depot:
    """The unit of partition: a place, its map, its clock and its policy.

    `speeds` names the table of speeds by hour of the day, or is `learned` (from the fleet's own drives), `timezone` (IANA) says
    whose hours those are. `access` says where not every vehicle fits.
    """

    id: str
    tenant: str
    name: str
    map: str
    location: Location
    dimensions: tuple[str, ...] = ()
    clock: Clock = Clock()
    policy: Policy = Policy()
    speeds: str = LEARNED
    timezone: str = "UTC"
    access: tuple[Access, ...] = ()


@dataclass(frozen=True, slots=True)
class Pickup:
    """Where and when a transport's goods are fetched; as the fields of `Order`."""

    location: Location
    kerb: Kerb = Kerb.EITHER
    windows: tuple[TimeWindow, ...] = ()
    service_time: int = 0
    setup_time: int = 0


class RelationKind(StrEnum):
    """How an order is bound to another: one driver for both, and after it or right behind it; or not the same driver."""

    SAME_DRIVER = "same_driver"
    AFTER = "after"
    DIRECTLY_AFTER = "directly_after"
    NOT_TOGETHER = "not_together"


@dataclass(frozen=True, slots=True)
class Relation:
    """How an order is bound to another of the depot, by its id, or by the one that the same shipper has given it.

    There need be no such order yet: until then it binds nothing.
    """

    kind: RelationKind
    order_id: str | None = None
    external_id: str | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """A shipper's request, without personal fields.

    `demand` follows the depot's `dimensions`. `hard` windows are never missed (the order is rather left
    unassigned); otherwise lateness is priced by `priority` (0-100) and flagged. `setup_time` comes before service, unless the
    vehicle is there already. `promised_by` is the latest begin the recipient was told. `pickup` is where a transport starts.
    `reserved_until` (real s) is when it is cancelled by itself, unless it is confirmed; `confirmed`, its window is a promise.
    """

    id: str
    depot_id: str
    tenant: str
    shipper: str
    kind: OrderKind
    location: Location
    windows: tuple[TimeWindow, ...] = ()
    hard: bool = False
    service_time: int = 0
    demand: tuple[int, ...] = ()
    skills: tuple[str, ...] = ()
    priority: int = 0
    external_id: str | None = None
    created_at: int = 0
    revision: int = 0
    kerb: Kerb = Kerb.EITHER
    setup_time: int = 0
    promised_by: int | None = None
    excluded_drivers: tuple[str, ...] = ()
    pin: Pin = Pin()
    pickup: Pickup | None = None
    dispatch: Dispatch = Dispatch.PLANNED
    reserved_until: float | None = None
    confirmed: bool = False
    relations: tuple[Relation, ...] = ()

    def known_as(self, external_id: str) -> str:
        """How an order of the same shipper is known by the id that the shipper has given it."""
        return f"{self.shipper}|{external_id}"

    @property
    def promised_window(self) -> bool:
        """Whether its window was offered in a quote, and taken: other orders do not outbid it."""
        return self.confirmed or self.reserved_until is not None

    def half(self, stop_id: str) -> Order | Pickup:
        """What it asks for at one of its stops."""
        return self.pickup if self.pickup is not None and stop_id.endswith(PICKUP) else self

    def place_of(self, stop_id: str) -> Place:
        """Where one of its stops is."""
        half = self.half(stop_id)
        return Place(half.location, half.kerb)

    def due(self, stop_id: str, at: int) -> int | None:
        """By when service had to begin at one of its stops, for somebody who came at `at`; None if any time would do.

        It is the end of the window that was open then or next, else the last one's, or what was promised, if that is sooner.
        """
        ends = sorted(window.end for window in self.half(stop_id).windows)
        window = next((end for end in ends if end >= at), ends[-1] if ends else None)
        known = [end for end in (window, self.promised_by if stop_id == self.stop_id else None) if end is not None]
        return min(known, default=None)

    @property
    def stop_id(self) -> str:
        """The id of the stop that fulfils it."""
        return f"{self.id}.{OrderKind.DELIVERY if self.kind is OrderKind.TRANSPORT else self.kind}"

    @property
    def stop_ids(self) -> tuple[str, ...]:
        """The ids of all its stops, in the order they are made."""
        return (self.stop_id,) if self.pickup is None else (self.id + PICKUP, self.stop_id)


PICKUP = ".pickup"
"""How the id of a transport's first stop ends."""

RELOAD = ".reload"
"""How the id of a stop ends at which a shift comes back to the depot."""


def kind_of(stop_id: str) -> str:
    """What is done at a stop: `delivery`, `collection`, `service`, `pickup` or `reload`."""
    return stop_id.rpartition(".")[2]


def order_of(stop_id: str) -> str:
    """The order a stop belongs to."""
    return stop_id.rpartition(".")[0]


def depot_of(record_id: str) -> str:
    """The depot any record id belongs to: ids begin with it."""
    return record_id.partition(".")[0]


@dataclass(frozen=True, slots=True)
class Driver:
    """A person."""

    id: str
    depot_id: str
    tenant: str
    skills: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Vehicle:
    """What a driver drives; `capacity` follows the depot's `dimensions`. `costs` default to the depot's prices."""

    id: str
    depot_id: str
    tenant: str
    capacity: tuple[int, ...] = ()
    skills: tuple[str, ...] = ()
    costs: Costs | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that a shift may come to: stops, metres driven, seconds from leaving to the end, seconds at the wheel; None: any.

    `stretch` are the seconds at the wheel without a rest of `rest` seconds in between.
    """

    stops: int | None = None
    distance: int | None = None
    duration: int | None = None
    driving: int | None = None
    stretch: int | None = None
    rest: int = 2700


@dataclass(frozen=True, slots=True)
class Break:
    """A rest of `duration` seconds that begins between two depot times, anywhere or at a place.

    It is not needed where work is over by `latest`.
    """

    earliest: int
    latest: int
    duration: int
    location: Location | None = None


@dataclass(frozen=True, slots=True)
class Shift:
    """Driver + vehicle + hours + places. `end_location=None` ends at the last stop; `overtime` (s) may follow, at a price.

    A `locked` one's route stays as it is. `breaks` are taken in their order. With `other_ends` it ends at the nearest of all ends.
    It may come back to the depot `reloads` times, for `reload_time` seconds each.
    """

    id: str
    depot_id: str
    tenant: str
    driver_id: str
    vehicle_id: str
    start: int
    end: int
    start_location: Location
    end_location: Location | None
    overtime: int = 0
    locked: bool = False
    limits: Limits = Limits()
    breaks: tuple[Break, ...] = ()
    other_ends: tuple[Location, ...] = ()
    reloads: int = 0
    reload_time: int = 900


def reloads(shift: Shift, depot: Depot) -> tuple[Order, ...]:
    """The stops at which a shift may come back to the depot: orders that nobody has given."""
    return tuple(Order(f"{shift.id}.{number}", shift.depot_id, shift.tenant, "", OrderKind.RELOAD, depot.location,
                       service_time=shift.reload_time, demand=(0,) * len(depot.dimensions))
                 for number in range(1, shift.reloads + 1))  # fmt: skip


def reloads_of(stops: Iterable[str], shifts: Mapping[str, Shift], depot: Depot) -> dict[str, Order]:
    """Those among some stops, by `order_of`, as far as their shifts are known and may come back so often."""
    asked = {order_of(stop) for stop in stops if stop.endswith(RELOAD)}
    known = [shifts[shift] for shift in sorted({order_of(order) for order in asked} & shifts.keys())]
    return {order.id: order for shift in known for order in reloads(shift, depot) if order.id in asked}


@dataclass(frozen=True, slots=True)
class RoadEvent:
    """Streets closed (`factor` None) or slowed (travel times multiplied by `factor` > 1) in [start, end).

    `map` is the fingerprint of the network that `arcs` are numbered in.
    """

    id: str
    depot_id: str
    tenant: str
    arcs: tuple[int, ...]
    start: int
    end: int
    factor: float | None = None
    reason: str = ""
    map: str = ""


@dataclass(frozen=True, slots=True)
class RoadState:
    """What road events come to at one moment: the arcs of a map that are closed (factor None) or slowed."""

    map: str
    arcs: tuple[int, ...] = ()
    factors: tuple[float | None, ...] = ()


@dataclass(frozen=True, slots=True)
class Trigger:
    """A reason to re-solve: what happened (`kind`), to whom (`subject`), at which state revision, when (real s)."""

    kind: TriggerKind
    subject: str
    revision: int
    at: float


@dataclass(frozen=True, slots=True)
class Position:
    """Where a driver was last seen, in depot time."""

    location: Location
    at: int


@dataclass(frozen=True, slots=True)
class StopProgress:
    """One started stop of a shift. Times are depot seconds, None while unknown.

    `inferred` is what only pings have told so far, not the driver.
    """

    stop_id: str
    state: StopState
    arrived: int | None = None
    left: int | None = None
    inferred: bool = False


@dataclass(frozen=True, slots=True)
class Progress:
    """What has happened in a shift: `trail` lists the started stops in the order they were started."""

    departed_at: int | None = None
    returned: bool = False
    trail: tuple[StopProgress, ...] = ()


@dataclass(frozen=True, slots=True)
class PlannedStop:
    """A stop in a route with its planned times (depot s). `late_by` > 0 flags a soft window missed."""

    stop_id: str
    arrive: int
    begin: int
    leave: int
    late_by: int = 0


@dataclass(frozen=True, slots=True)
class PlannedRest:
    """A rest on the way to a stop (None: on the way home), from when to when (depot s).

    One from `driving` may be anywhere on that way; a break is taken before it, at its `location` if it has one.
    """

    before: str | None
    start: int
    end: int
    driving: bool = False
    location: Location | None = None


@dataclass(frozen=True, slots=True)
class Route:
    """One driver's ordered stops for one shift, and the rests that are planned between them.

    `end` is where it ends, for a shift that may end at one of several places.
    """

    shift_id: str
    driver_id: str
    vehicle_id: str
    stops: tuple[PlannedStop, ...] = ()
    rests: tuple[PlannedRest, ...] = ()
    end: Location | None = None

    @property
    def sequence(self) -> tuple[str, ...]:
        """The stop ids in order: what makes two routes the same."""
        return tuple(stop.stop_id for stop in self.stops)


@dataclass(frozen=True, slots=True)
class Reason:
    """Why one driver (or, with `driver_id` None, nobody) can take an order; `shortfall` in `unit`."""

    code: ReasonCode
    driver_id: str | None = None
    shortfall: int | None = None
    unit: str | None = None


@dataclass(frozen=True, slots=True)
class Flag:
    """A rule that is broken by a stop no plan may change any more: the rest is planned around it."""

    stop_id: str
    reason: Reason


@dataclass(frozen=True, slots=True)
class Unassigned:
    """An order no route serves, with its reasons."""

    order_id: str
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class RouteChange:
    """What a plan version changed for one driver; `updated` are stops whose order was changed where it stands.

    `because` are the revisions of the triggers that the change answers.
    """

    driver_id: str
    gained: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    reordered: tuple[str, ...] = ()
    updated: tuple[str, ...] = ()
    because: tuple[int, ...] = ()

    @property
    def stops(self) -> tuple[str, ...]:
        """All stops concerned."""
        return self.gained + self.lost + self.reordered + self.updated


@dataclass(frozen=True, slots=True)
class Diff:
    """What a plan version changed against the version before it."""

    routes: tuple[RouteChange, ...] = ()
    newly_unassigned: tuple[str, ...] = ()
    no_longer_unassigned: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.routes or self.newly_unassigned or self.no_longer_unassigned)


@dataclass(frozen=True, slots=True)
class Plan:
    """All routes of one depot and its unassigned orders, at one version.

    `revision` is the state it answers, `roads` the version of the road overlay it was computed on, `cost` in seconds of
    driving, `costs` the same by part, `timings` in real milliseconds by step. `moved` and `resequenced` count the stops of
    drivers on the road that the plan before had given to another driver (or that nobody has any more), or put behind another stop;
    `shifted` the stops that are planned to begin later than promised. `flags` say what is wrong
    with stops that nobody may change any more.
    """

    depot_id: str
    version: int
    revision: int
    roads: int
    engine: str
    created_at: int
    published_at: float
    cost: int
    routes: tuple[Route, ...] = ()
    unassigned: tuple[Unassigned, ...] = ()
    triggers: tuple[Trigger, ...] = ()
    timings: dict[str, float] = field(default_factory=dict)
    costs: dict[str, int] = field(default_factory=dict)
    moved: int = 0
    resequenced: int = 0
    shifted: int = 0
    flags: tuple[Flag, ...] = ()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A depot's whole state at one revision, as read in one step from the store.

    `orders` holds the open ones; `closed` those others that still matter: whose goods are
    on a vehicle, or where a driver was last.
    `goods` maps an order to the shift whose vehicle carries its goods. `declined` maps an order to the
    drivers who will not get it again. `absent` lists drivers who are silent or off duty. `sequences` are
    the current plan's routes by shift, `planned_on` is the road state that plan was made on. `triggers` wait for a repair;
    `improving` are answered already, but no improvement has looked at them yet. `held` maps orders that cannot wait to the
    drivers who have accepted them; those that nobody holds are not among `orders`. `breaks` says until when drivers have one,
    `rested` from when to when those of a shift were. `related` are the ids of orders that relations name, by
    shipper and external id (`Order.known_as`), `aside` those of open ones that plans leave out.
    """

    depot: Depot
    revision: int
    version: int
    roads: int
    drivers: dict[str, Driver]
    vehicles: dict[str, Vehicle]
    shifts: dict[str, Shift]
    orders: dict[str, Order]
    closed: dict[str, Order]
    goods: dict[str, str]
    declined: dict[str, tuple[str, ...]]
    absent: tuple[str, ...]
    positions: dict[str, Position]
    progress: dict[str, Progress]
    sequences: dict[str, tuple[str, ...]]
    unassigned: tuple[str, ...]
    road_events: tuple[RoadEvent, ...]
    record_revisions: dict[str, int]
    triggers: tuple[Trigger, ...]
    planned_on: RoadState | None = None
    improving: tuple[Trigger, ...] = ()
    held: dict[str, str] = field(default_factory=dict)
    breaks: dict[str, int] = field(default_factory=dict)
    rested: dict[str, tuple[tuple[int, int], ...]] = field(default_factory=dict)
    related: dict[str, str] = field(default_factory=dict)
    aside: tuple[str, ...] = ()

    def order(self, stop_id: str) -> Order | None:
        """What a stop is for, be it open or not, as far as that is known here."""
        order = order_of(stop_id)
        return self.orders.get(order) or self.closed.get(order) or reloads_of([stop_id], self.shifts, self.depot).get(order)
