"""Everything that reads the state, plans included."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any, TypeVar

import msgspec

from ingest.store import keys
from ingest.store.connection import Store, run
from routing import codec
from routing.model import (
    RELOAD,
    Depot,
    Driver,
    Flag,
    Location,
    Order,
    Plan,
    Position,
    Progress,
    RoadEvent,
    RoadState,
    Route,
    Shift,
    Snapshot,
    StopProgress,
    StopState,
    Trigger,
    Unassigned,
    Vehicle,
    depot_of,
    order_of,
    reloads_of,
)

T = TypeVar("T")

FAMILIES: dict[str, type[Any]] = {"drivers": Driver, "vehicles": Vehicle, "shifts": Shift, "orders": Order,
                                  "road_events": RoadEvent}  # fmt: skip
"""Record families that are stored as documents by id."""


class VersionRecord(msgspec.Struct, frozen=True):
    """One plan version as stored: what it changed. Whole routes of those that changed, all unassigned."""

    version: int
    revision: int
    roads: int
    engine: str
    created_at: int
    published_at: float
    cost: int
    routes: tuple[Route, ...]
    over: tuple[str, ...]
    unassigned: tuple[Unassigned, ...]
    triggers: tuple[Trigger, ...]
    timings: dict[str, float]
    diff: Any
    costs: dict[str, int] = {}
    moved: int = 0
    resequenced: int = 0
    flags: tuple[Flag, ...] = ()
    shifted: int = 0


class SeenAt(msgspec.Struct, frozen=True):
    """A ping as stored."""

    location: Location
    at: int
    accuracy_m: float | None = None
    speed: float | None = None
    heading: float | None = None


def depot(client: Store, depot_id: str) -> Depot | None:
    """A depot, or None."""
    text = client.get(keys.depot_key(depot_id, "depot"))
    return None if text is None else _depot(text)


@lru_cache(maxsize=1024)
def _depot(text: str) -> Depot:
    return codec.loads(text, Depot)


def depots(client: Store) -> list[str]:
    """All depot ids, sorted."""
    return sorted(client.smembers(keys.shared_key("depots")))


def record(client: Store, family: str, depot_id: str, record_id: str) -> Any | None:
    """One driver, vehicle, shift, order or road event, or None."""
    text = client.hget(keys.depot_key(depot_id, family), record_id)
    return None if text is None else codec.loads(text, FAMILIES[family])


def records_of(client: Store, family: str, depot_id: str, record_ids: Sequence[str]) -> list[Any]:
    """Those of some records that there are, in this order."""
    texts = client.hmget(keys.depot_key(depot_id, family), list(record_ids)) if record_ids else []
    return [codec.loads(text, FAMILIES[family]) for text in texts if text is not None]


def ids(client: Store, family: str, depot_id: str) -> list[str]:
    """The ids of all records of a family at a depot."""
    return list(client.hkeys(keys.depot_key(depot_id, family)))


def orders_of(client: Store, depot: Depot, stops: Iterable[str]) -> dict[str, Order]:
    """What stops are for, as far as it is kept: orders by id, and reloads."""
    stops = set(stops)
    returns = {stop for stop in stops if stop.endswith(RELOAD)}
    found = records_of(client, "orders", depot.id, sorted({order_of(stop) for stop in stops - returns}))
    shifts = records_of(client, "shifts", depot.id, sorted({order_of(order_of(stop)) for stop in returns}))
    return {order.id: order for order in found} | reloads_of(returns, {shift.id: shift for shift in shifts}, depot)


def record_revision(client: Store, record_id: str) -> int:
    """The revision of a record's last change; 0 if there is no such record."""
    return int(client.hget(keys.depot_key(depot_of(record_id), "record_rev"), record_id) or 0)


def external(client: Store, depot_id: str, shipper: str, external_id: str) -> str | None:
    """The id of a shipper's order by the shipper's own id, or None."""
    found: str | None = client.hget(keys.depot_key(depot_id, "external"), f"{shipper}|{external_id}")
    return found


def fingerprint(client: Store, depot_id: str, record_id: str) -> str | None:
    """What the last request that made or changed a record looked like."""
    found: str | None = client.hget(keys.depot_key(depot_id, "fingerprints"), record_id)
    return found


def records(client: Store, family: str, depot_id: str) -> list[Any]:
    """All records of a family, by id."""
    rows = client.hvals(keys.depot_key(depot_id, family))
    return sorted((codec.loads(row, FAMILIES[family]) for row in rows), key=lambda item: item.id)


def order_page(client: Store, depot_id: str, *, after: int, limit: int) -> list[tuple[int, str]]:
    """(cursor, order id) of orders accepted after a cursor, oldest first."""
    rows = client.zrangebyscore(keys.depot_key(depot_id, "order_index"), f"({after}", "+inf", start=0, num=limit,
                                withscores=True)  # fmt: skip
    return [(int(score), order_id) for order_id, score in rows]


def personal(client: Store, depot_id: str, record_id: str) -> dict[str, str]:
    """Name, phone and note of a record, as far as they have not expired."""
    return dict(client.hgetall(keys.personal(depot_id, record_id)))


def personals(client: Store, depot_id: str, record_ids: Sequence[str]) -> list[dict[str, str]]:
    """The same of several records."""
    with client.pipeline(transaction=False) as pipeline:
        for record_id in record_ids:
            pipeline.hgetall(keys.personal(depot_id, record_id))
        return list(pipeline.execute())


class Aside(msgspec.Struct, frozen=True):
    """A record that plans are made without: since when (real s), after which failure, and where that stands.

    `state` is `waiting` to be tried, `on_trial` in the next plan, or `guilty`: tried alone, in vain.
    """

    since: float
    failure: str
    state: str


def aside(client: Store, depot_id: str) -> dict[str, Aside]:
    """Orders and road events that a depot is planned without, by id, the longest aside first."""
    rows = {key: codec.loads(text, Aside) for key, text in client.hgetall(keys.depot_key(depot_id, "aside")).items()}
    return dict(sorted(rows.items(), key=lambda row: (row[1].since, row[0])))


def availability(client: Store, depot_id: str, driver_id: str) -> str:
    """`available`, `on_break`, `silent`, `off_duty` or `broken_down`."""
    absent = client.hget(keys.depot_key(depot_id, "absent"), driver_id)
    return str(absent or ("on_break" if client.hexists(keys.depot_key(depot_id, "breaks"), driver_id) else "available"))


def acknowledged(client: Store, depot_id: str, driver_ids: Sequence[str]) -> dict[str, int]:
    """The newest route version that each driver has acknowledged; 0 for none."""
    found = client.hmget(keys.depot_key(depot_id, "acks"), list(driver_ids)) if driver_ids else []
    return {driver: int(version or 0) for driver, version in zip(driver_ids, found, strict=True)}


def snapshot(client: Store, depot_id: str) -> Snapshot | None:
    """The depot's whole state at one revision, or None if there is no such depot."""
    owner = depot(client, depot_id)
    if owner is None:
        return None
    (rev, version, roads, drivers, vehicles, shifts, open_, closed, goods, declined, absent, positions, departed,
     returned, trail, progress, sequences, unassigned, road_events, revisions, triggers, planned_on,
     improving, held, breaks, rested, aside) = run(
        client, depot_id, "snapshot", [])  # fmt: skip
    started = _started(progress)
    left, back = _pairs(departed), _pairs(returned)
    orders = _by_id(open_)
    trails = {shift: tuple(started[stop] for stop in text.split()) for shift, text in _pairs(trail).items()}
    return Snapshot(
        depot=owner, revision=int(rev), version=int(version), roads=int(roads),
        drivers=_documents(drivers, Driver), vehicles=_documents(vehicles, Vehicle), shifts=_documents(shifts, Shift),
        orders=orders, closed={key: order for key, order in _by_id(closed).items() if key not in orders}, goods=_pairs(goods),
        declined={order: tuple(text.split()) for order, text in _pairs(declined).items()}, absent=tuple(sorted(absent)),
        positions=_documents(positions, Position),
        progress={shift: Progress(int(left[shift]) if shift in left else None, shift in back, trails.get(shift, ()))
                  for shift in {*left, *back, *trails}},
        sequences={shift: tuple(text.split()) for shift, text in _pairs(sequences).items()},
        unassigned=tuple(sorted(unassigned)), road_events=tuple(codec.loads(text, RoadEvent) for text in road_events if text),
        record_revisions={key: int(value) for key, value in _pairs(revisions).items()},
        triggers=tuple(codec.loads(text, Trigger) for text in triggers),
        planned_on=codec.loads(planned_on, RoadState) if planned_on else None,
        improving=tuple(codec.loads(text, Trigger) for text in improving), held=_pairs(held),
        breaks={driver: int(float(text.split()[0])) for driver, text in _pairs(breaks).items()},
        rested={shift: _spans(text) for shift, text in _pairs(rested).items()}, related=related(client, depot_id, orders.values()),
        aside=tuple(sorted(aside)),
    )  # fmt: skip


def related(client: Store, depot_id: str, orders: Iterable[Order]) -> dict[str, str]:
    """The ids of orders that relations name by external ids, which are given once: they need not be of the same moment."""
    named = list(dict.fromkeys(order.known_as(one.external_id) for order in orders for one in order.relations if one.external_id))
    ids = client.hmget(keys.depot_key(depot_id, "external"), named) if named else []
    return {name: found for name, found in zip(named, ids, strict=True) if found is not None}


def _spans(text: str) -> tuple[tuple[int, int], ...]:
    moments = [int(float(word)) for word in text.split()]
    return tuple(zip(moments[::2], moments[1::2], strict=True))


def _pairs(flat: list[str]) -> dict[str, str]:
    return dict(zip(flat[::2], flat[1::2], strict=True))


def _documents(flat: list[str], kind: type[T]) -> dict[str, T]:
    return {key: codec.loads(text, kind) for key, text in _pairs(flat).items()}


def _by_id(texts: Iterable[str]) -> dict[str, Order]:
    orders = (codec.loads(text, Order) for text in texts if text)
    return {order.id: order for order in orders}


def _started(flat: list[str]) -> dict[str, StopProgress]:
    rows = zip(flat[::4], flat[1::4], flat[2::4], flat[3::4], strict=True)
    return {stop: StopProgress(stop, StopState(state or "en_route"), _time(arrived), _time(left))
            for stop, state, arrived, left in rows}  # fmt: skip


def _time(text: str | None) -> int | None:
    return int(float(text)) if text else None


def progress_of(client: Store, depot_id: str, stops: list[str]) -> dict[str, StopProgress]:
    """Progress of those stops that have any."""
    if not stops:
        return {}
    fields = [f"{stop}|{name}" for stop in stops for name in _PROGRESS]
    return _progress(stops, client.hmget(keys.depot_key(depot_id, "progress"), fields))


_PROGRESS = ("state", "arrived", "left", "inferred")


def _progress(stops: Sequence[str], values: Sequence[str | None]) -> dict[str, StopProgress]:
    rows = zip(stops, values[::4], values[1::4], values[2::4], values[3::4], strict=True)
    return {stop: StopProgress(stop, StopState(state), _time(arrived), _time(left), inferred=bool(inferred))
            for stop, state, arrived, left, inferred in rows if state}  # fmt: skip


def holders(client: Store, depot_id: str, stops: list[str]) -> dict[str, str]:
    """The shift each stop belongs to now, for those that have one."""
    found = client.hmget(keys.depot_key(depot_id, "stop_shift"), stops) if stops else []
    return {stop: shift for stop, shift in zip(stops, found, strict=True) if shift}


def etas(client: Store, depot_id: str, stops: Sequence[str]) -> dict[str, tuple[int, int]]:
    """When drivers will be at those stops that something is expected of (depot s): at even odds, and four times in five."""
    found = client.hmget(keys.depot_key(depot_id, "etas"), list(stops)) if stops else []
    return {stop: eta for stop, text in zip(stops, found, strict=True) if (eta := _eta(text)) is not None}


def _eta(text: str | None) -> tuple[int, int] | None:
    if not text:
        return None
    p50, p80 = text.split()
    return int(float(p50)), int(float(p80))


def place_of(client: Store, depot_id: str, driver_id: str) -> dict[str, float] | None:
    """Where a driver was heard of last."""
    text = client.hget(keys.depot_key(depot_id, "positions"), driver_id)
    return json.loads(text)["location"] if text else None


class Standing(msgspec.Struct, frozen=True):
    """How a depot's drivers stand: their newest pings, who is absent or has a break, all ETAs, and the version of the roads."""

    positions: dict[str, dict[str, Any]]
    absent: dict[str, str]
    breaks: frozenset[str]
    etas: dict[str, tuple[int, int]]
    roads: int


def standing(client: Store, depot_id: str) -> Standing:
    """What changes from moment to moment, read in one step."""
    with client.pipeline(transaction=False) as pipeline:
        for name in ("positions", "absent", "etas"):
            pipeline.hgetall(keys.depot_key(depot_id, name))
        pipeline.hkeys(keys.depot_key(depot_id, "breaks"))
        pipeline.get(keys.depot_key(depot_id, "roads"))
        positions, absent, told, breaks, roads = pipeline.execute()
    found = {stop: eta for stop, text in told.items() if (eta := _eta(text)) is not None}
    places = {driver: json.loads(text) for driver, text in positions.items()}
    return Standing(places, absent, frozenset(breaks), found, int(roads or 0))


class OrderState(msgspec.Struct, frozen=True):
    """All that is known of where an order stands; `shift` has its last stop, `eta` is of that stop."""

    progress: dict[str, StopProgress]
    aside: bool
    unassigned: Unassigned | None
    unmatched: bool
    offer: Offer | None
    shift: str | None
    eta: tuple[int, int] | None


def order_states(client: Store, depot_id: str, orders: Sequence[Order]) -> list[OrderState]:
    """Where orders stand, read in one go."""
    if not orders:
        return []
    ids, stops = [order.id for order in orders], [order.stop_id for order in orders]
    every = [stop for order in orders for stop in order.stop_ids]
    with client.pipeline(transaction=False) as pipeline:
        pipeline.hmget(keys.depot_key(depot_id, "progress"), [f"{stop}|{name}" for stop in every for name in _PROGRESS])
        for name in ("aside", "unassigned", "offers"):
            pipeline.hmget(keys.depot_key(depot_id, name), ids)
        for name in ("stop_shift", "etas"):
            pipeline.hmget(keys.depot_key(depot_id, name), stops)
        pipeline.smismember(keys.depot_key(depot_id, "unmatched"), ids)
        told, aside, unassigned, offers, shifts, etas, unmatched = pipeline.execute()
    progress = _progress(every, told)
    return [
        OrderState(
            {stop: progress[stop] for stop in order.stop_ids if stop in progress}, bool(aside[number]),
            codec.loads(unassigned[number], Unassigned) if unassigned[number] else None, bool(unmatched[number]),
            codec.loads(offers[number], Offer) if offers[number] else None, shifts[number], _eta(etas[number]),
        )
        for number, order in enumerate(orders)
    ]  # fmt: skip


class NearBy(msgspec.Struct, frozen=True):
    """Where a driver is, and how far that is as the crow flies."""

    location: Location
    metres: float


class OnDuty(msgspec.Struct, frozen=True):
    """A driver who works now, with what he and his vehicle can do; `stop` is the one driven to or served, in `state`."""

    driver_id: str
    shift_id: str
    skills: frozenset[str]
    seen_at: int
    stop: str | None
    state: str | None


def near(client: Store, depot_id: str, place: Location, *, within: float, most: int) -> dict[str, NearBy]:
    """Drivers on duty and heard of within so many metres as the crow flies, the nearest first."""
    rows = client.geosearch(keys.depot_key(depot_id, "near"), longitude=place.lon, latitude=place.lat, radius=within, unit="m",
                            sort="ASC", count=most, withdist=True, withcoord=True)  # fmt: skip
    return {driver: NearBy(Location(float(lat), float(lon)), float(metres)) for driver, metres, (lon, lat) in rows}


def on_duty(client: Store, depot_id: str, drivers: Sequence[str], now: int) -> list[OnDuty]:
    """Those of some drivers whose shift is going on, or has begun."""
    wanted, found = set(drivers), []
    shifts = [shift for shift in records(client, "shifts", depot_id) if shift.driver_id in wanted]
    ids = [shift.id for shift in shifts]
    told = {name: client.hmget(keys.depot_key(depot_id, name), ids) if ids else [] for name in ("departed", "returned", "trail")}
    people = {driver.id: driver for driver in records(client, "drivers", depot_id) if driver.id in wanted}
    vehicles = {vehicle.id: vehicle for vehicle in records(client, "vehicles", depot_id)}
    seen = dict(zip(drivers, client.hmget(keys.depot_key(depot_id, "ping_at"), list(drivers)) if drivers else [], strict=True))
    for shift, left, back, trail in zip(shifts, told["departed"], told["returned"], told["trail"], strict=True):
        if back or not (left or shift.start <= now <= shift.end):
            continue
        progress = progress_of(client, depot_id, (trail or "").split())
        current = next((stop for stop in progress.values() if stop.state in (StopState.EN_ROUTE, StopState.ARRIVED)), None)
        skills = frozenset(people[shift.driver_id].skills) | frozenset(vehicles[shift.vehicle_id].skills)
        found.append(OnDuty(shift.driver_id, shift.id, skills, int(float(seen[shift.driver_id] or 0)),
                            current.stop_id if current else None, current.state if current else None))  # fmt: skip
    return found


class Offer(msgspec.Struct, frozen=True):
    """An order that cannot wait, offered to one driver until `expires_at` (real s); `wait` s until he would be there.

    `view` is what his app is told. `state` is `open` or how it ended: `accepted`, `declined`, `expired`, `withdrawn`.
    """

    order_id: str
    driver_id: str
    shift_id: str
    stop_id: str
    number: int
    wait: int
    emergency: bool
    expires_at: float
    state: str
    view: dict[str, Any]


def offers(client: Store, depot_id: str) -> dict[str, Offer]:
    """All open offers, by order."""
    rows = client.hgetall(keys.depot_key(depot_id, "offers"))
    return {order: codec.loads(text, Offer) for order, text in rows.items()}


def offer(client: Store, depot_id: str, order_id: str) -> Offer | None:
    """An order's open offer."""
    text = client.hget(keys.depot_key(depot_id, "offers"), order_id)
    return codec.loads(text, Offer) if text else None


def offer_to(client: Store, depot_id: str, driver_id: str) -> Offer | None:
    """A driver's open offer."""
    order = client.hget(keys.depot_key(depot_id, "offered"), driver_id)
    return offer(client, depot_id, order) if order else None


def unmatched(client: Store, depot_id: str) -> list[Order]:
    """Orders that cannot wait, and that nobody holds; the longest waiting first."""
    ids = sorted(client.smembers(keys.depot_key(depot_id, "unmatched")))
    texts = client.hmget(keys.depot_key(depot_id, "orders"), ids) if ids else []
    return sorted((codec.loads(text, Order) for text in texts if text), key=lambda order: (order.created_at, order.id))


def passed(client: Store, depot_id: str) -> dict[str, list[str]]:
    """Drivers who have let an offer pass, or could not keep it, by order."""
    return {order: text.split() for order, text in client.hgetall(keys.depot_key(depot_id, "passed")).items()}


def recent_pings(client: Store, depot_id: str, driver_ids: Sequence[str]) -> dict[str, list[SeenAt]]:
    """Drivers' newest pings, thinned, oldest first; late ones are not among them."""
    with client.pipeline(transaction=False) as pipeline:
        for driver in driver_ids:
            pipeline.lrange(keys.recent_pings(depot_id, driver), 0, -1)
        return {driver: [codec.loads(text, SeenAt) for text in texts]
                for driver, texts in zip(driver_ids, pipeline.execute(), strict=True)}  # fmt: skip


def driven_to_since(client: Store, depot_id: str, stops: Sequence[str]) -> dict[str, float]:
    """Since when (real s) stops are driven to; 0 where that is not known."""
    found = client.hmget(keys.depot_key(depot_id, "progress"), [f"{stop}|since" for stop in stops]) if stops else []
    return {stop: float(since or 0) for stop, since in zip(stops, found, strict=True)}


def duty_since(client: Store, depot_id: str) -> dict[str, float]:
    """When (depot s) drivers last said something of their duty; for `<driver>|rested`, a break of theirs was over by itself."""
    return {driver: float(at) for driver, at in client.hgetall(keys.depot_key(depot_id, "duty")).items()}


def plan(client: Store, depot_id: str) -> Plan | None:
    """The plan in force, or None before the first."""
    text = client.get(keys.depot_key(depot_id, "plan"))
    return None if text is None else codec.loads(text, Plan)


def plan_version(client: Store, depot_id: str) -> int:
    """The version of the plan in force; 0 before the first."""
    return int(client.get(keys.depot_key(depot_id, "version")) or 0)


def version_record(client: Store, depot_id: str, version: int) -> VersionRecord | None:
    """What one version changed, or None if there is no such version."""
    return next(iter(version_records(client, depot_id, [version])), None)


def version_records(client: Store, depot_id: str, versions: Iterable[int]) -> list[VersionRecord]:
    """What those versions changed, as far as there are any; the time of their commit among their timings."""
    fields = [str(version) for version in versions]
    if not fields:
        return []
    texts = client.hmget(keys.depot_key(depot_id, "versions"), fields)
    commits = client.hmget(keys.depot_key(depot_id, "commit_ms"), fields)
    return [_timed(codec.loads(text, VersionRecord), took) for text, took in zip(texts, commits, strict=True) if text]


def _timed(record: VersionRecord, commit_ms: str | None) -> VersionRecord:
    if commit_ms is None:
        return record
    return msgspec.structs.replace(record, timings=record.timings | {"commit": float(commit_ms)})


def plan_at(client: Store, depot_id: str, version: int) -> tuple[Plan, VersionRecord] | None:
    """Any version of the plan, put together from the snapshot before it and the changes since."""
    asked = version_record(client, depot_id, version)
    if asked is None:
        return None
    base = (version // SNAPSHOT_EVERY) * SNAPSHOT_EVERY
    routes: dict[str, Route] = {}
    text = client.hget(keys.depot_key(depot_id, "snapshots"), str(base)) if base else None
    if text is not None:
        routes = {route.shift_id: route for route in codec.loads(text, Plan).routes}
    later = [str(number) for number in range(base + 1, version + 1)]
    for row in client.hmget(keys.depot_key(depot_id, "versions"), later) if later else []:
        change = codec.loads(row, VersionRecord)
        routes.update((route.shift_id, route) for route in change.routes)
        for shift in change.over:
            routes.pop(shift, None)
    plan_ = Plan(depot_id, version, asked.revision, asked.roads, asked.engine, asked.created_at, asked.published_at,
                 asked.cost, tuple(routes.values()), asked.unassigned, asked.triggers, asked.timings, asked.costs, asked.moved,
                 asked.resequenced, asked.shifted, asked.flags)  # fmt: skip
    return plan_, asked


SNAPSHOT_EVERY = 50
"""Every so many versions the whole plan is kept beside the changes."""


def route_version(client: Store, depot_id: str, driver_id: str) -> int:
    """The last plan version that changed this driver's route; 0 before the first."""
    return int(client.hget(keys.depot_key(depot_id, "route_versions"), driver_id) or 0)


def route_document(client: Store, depot_id: str, driver_id: str) -> dict[str, Any] | None:
    """The driver's route as published, or None before the first."""
    text = client.hget(keys.depot_key(depot_id, "routes"), driver_id)
    return None if text is None else dict(json.loads(text))


def missed_routes(client: Store, depot_id: str, driver_id: str, after: int, limit: int) -> list[tuple[int, str]] | None:
    """(version, document) of a driver's route versions after one, or None if they are too many or not kept any more."""
    stream = keys.route_stream(depot_id, driver_id)
    rows = client.xrange(stream, min=f"({after}-0", max="+", count=limit + 1)
    first = client.xrange(stream, count=1)
    trimmed = bool(first) and after > 0 and int(first[0][0].split("-")[0]) > after
    if not rows or len(rows) > limit or trimmed:
        return None
    return [(int(entry.split("-")[0]), fields["route"]) for entry, fields in rows]


def workers_at(client: Store, role: str) -> list[tuple[str, int]]:
    """Host and process of those who work at a role's queue; RQ's set of workers names the dead as well."""
    found = [client.hmget(name, "hostname", "pid") for name in client.smembers(keys.rq_workers(role))]
    return [(host, int(pid)) for host, pid in found if pid]


def idle_at(client: Store, role: str) -> int:
    """How many of them have nothing to do at the moment."""
    return sum(client.hget(name, "state") == "idle" for name in client.smembers(keys.rq_workers(role)))


def events(client: Store, *, after: str = "0") -> Iterator[tuple[str, dict[str, str]]]:
    """All events of this Redis after an id, oldest first."""
    while rows := client.xrange(keys.shared_key("events"), min=f"({after}" if after != "0" else "-", count=1000):
        yield from rows
        after = rows[-1][0]


def entry_number(entry: str) -> tuple[int, int]:
    """A stream entry's id, to compare."""
    milliseconds, _, number = entry.partition("-")
    return int(milliseconds), int(number or 0)


def timelines(client: Store, depot_id: str, order_ids: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """What has been told of orders, oldest first."""
    found = client.hmget(keys.depot_key(depot_id, "timelines"), list(order_ids)) if order_ids else []
    return {order: json.loads(text) if text else [] for order, text in zip(order_ids, found, strict=True)}


class Told(msgspec.Struct, frozen=True):
    """An event of a depot's feed: its numbers for operators and for the shipper ("" if only operators are told), when (real s)."""

    number: int
    own: int
    shipper: str
    at: float
    event: dict[str, Any]


def feed(client: Store, depot_id: str, *, after: int, limit: int) -> list[Told]:
    """Events of a depot's feed after a number, oldest first."""
    rows = client.xrange(keys.depot_key(depot_id, "feed"), min=f"({after}-0", max="+", count=limit)
    return [Told(int(entry.split("-")[0]), int(row["own"]), row["shipper"], float(row["at"]), json.loads(row["event"]))
            for entry, row in rows]  # fmt: skip


def feed_ends(client: Store, depot_id: str) -> tuple[int, int]:
    """The numbers of the oldest event that is still kept (one more than the newest if none is), and of the newest."""
    newest = int(client.hget(keys.depot_key(depot_id, "feed_seq"), "") or 0)
    first = client.xrange(keys.depot_key(depot_id, "feed"), count=1)
    return (int(first[0][0].split("-")[0]) if first else newest + 1), newest


def audit(client: Store, *, after: str, limit: int) -> list[tuple[str, dict[str, str]]]:
    """What operators have done after an id, of all tenants."""
    return list(client.xrange(keys.shared_key("audit"), min=f"({after}" if after != "0" else "-", count=limit))


EARLY_S = 4 * 3600
"""A shift's reports are taken for it from so long before its start."""


LATE_S = 3600
"""So long after its end a shift's reports may still be its own."""


def current_shift(client: Store, depot_id: str, driver_id: str, now: int, *, over: bool = False, at: int | None = None,
                  home: bool = False) -> str:  # fmt: skip
    """The shift a driver's reports belong to; '' if none.

    The one on the road while it lasts, else today's, else one on the road that should be over; whoever comes `home` ends one on the
    road, however late that is. With `over`, facts that come late still belong to the last shift that has ended, or to the one whose
    hours they are of (`at`).
    """
    mine = sorted((shift for shift in records(client, "shifts", depot_id) if shift.driver_id == driver_id),
                  key=lambda shift: shift.start)  # fmt: skip
    if not mine:
        return ""
    ids = [shift.id for shift in mine]
    departed, returned = ({shift: int(float(when)) for shift, when in zip(ids, client.hmget(keys.depot_key(depot_id, name), ids),
                                                                        strict=True) if when is not None}
                          for name in ("departed", "returned"))  # fmt: skip
    live = [shift for shift in mine if shift.id not in returned]
    out = [shift for shift in live if shift.id in departed]
    today = [shift for shift in live if shift.start - EARLY_S <= now <= shift.end]
    found = [shift for shift in out if shift.end >= now] or (out if home else []) or today or out
    left = [shift for shift in mine if shift.id in departed]
    if at is not None and found and at < departed.get(found[0].id, at):  # of an earlier one, and late
        found = [shift for shift in left if departed[shift.id] <= at <= shift.end + shift.overtime + LATE_S
                 and at <= returned.get(shift.id, at)][-1:] or found  # fmt: skip
    elif over and (not found or (home and not out)):
        hours = [shift for shift in left if at is None or shift.start - EARLY_S <= at <= shift.end + LATE_S]
        found = hours[-1:] or found
    return str(found[0].id) if found else ""
