"""A frozen, self-contained instance: the live situation of one depot with its travel matrix.

Times are depot seconds, distances metres; `place` fields index the matrix. Built from a snapshot by
`build`; written to and read from JSON by `routing.codec`, so that a bug report can be replayed anywhere.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import ceil

import numpy as np
from numpy.typing import NDArray

from routing import access
from routing.model import (
    PICKUP,
    TERMINAL,
    Break,
    Costs,
    Dispatch,
    Limits,
    Order,
    OrderKind,
    Place,
    Policy,
    Progress,
    Relation,
    RelationKind,
    RoadState,
    Shift,
    Snapshot,
    StopState,
    TimeWindow,
    Turn,
    order_of,
    reloads,
)
from routing.roads import profile
from routing.roads.profile import DAY
from routing.roads.travel import UNREACHABLE, Matrix

STANDARD = Costs()
"""What vehicles cost that say nothing else."""

ANY = Limits()
"""None at all."""

MatrixOf = Callable[[Sequence[Place]], Matrix]
"""Travel times between places; never raises for places off the map, which are `UNREACHABLE`."""


PROMISED = 100_000
"""The priority of what took a quote's window: a thousand others of the highest that can be asked for, 100, do not outbid it."""


@dataclass(frozen=True, slots=True)
class Bond:
    """How a task is bound to another one."""

    kind: RelationKind
    task: int


@dataclass(frozen=True, slots=True)
class Task:
    """One stop to place.

    `goods_on` is the shift whose vehicle carries the goods (deliveries only). `pair` is the task at the other end of goods
    that are at a pickup: a collection that comes first, and a delivery, on one vehicle. `setup_time` is spent before service
    begins, unless the stop before is at the same place. `not_before` is a moment before which service may not begin,
    `promised` one by which it was promised to; `only` and `position` pin it to a driver and a position. `locked`: it is in a locked
    route. With `reload_of` it is no order's, but lets that shift come back to the depot where that is of use. `relations` bind it
    to other tasks; `bound_to` is the shift in which something was done that it goes with, `parted_from` those of what it does not
    go with.
    """

    stop_id: str
    order_id: str
    kind: OrderKind
    place: int
    windows: tuple[TimeWindow, ...]
    hard: bool
    service_time: int
    demand: tuple[int, ...]
    skills: frozenset[str]
    priority: int
    declined_by: frozenset[str]
    goods_on: str | None
    revision: int
    was_unassigned: bool
    setup_time: int = 0
    excluded: frozenset[str] = frozenset()
    pair: int | None = None
    not_before: int | None = None
    promised: int | None = None
    only: str | None = None
    position: Turn | int | None = None
    locked: bool = False
    relations: tuple[Bond, ...] = ()
    bound_to: str | None = None
    parted_from: frozenset[str] = frozenset()
    reload_of: str | None = None

    @property
    def second(self) -> bool:
        """Whether it is the delivery of a pair."""
        return self.pair is not None and self.kind is OrderKind.DELIVERY

    @property
    def at_depot(self) -> bool:
        """Whether it delivers goods that are at the depot."""
        return self.kind is OrderKind.DELIVERY and self.goods_on is None and self.pair is None

    @property
    def to_depot(self) -> bool:
        """Whether it collects goods that stay aboard until the depot."""
        return self.kind is OrderKind.COLLECTION and self.pair is None


@dataclass(frozen=True, slots=True)
class Crew:
    """One shift as it stands: where it is, what it carries, what is behind it and what it may not change.

    `ready` is when it leaves `place` (for a stop in progress: when it arrived there). `done` are the stop
    ids behind it; `frozen` indexes the tasks ahead that no plan may touch, the first of which is being
    driven to or served (`serving`). `base` indexes the rest of its current route. `load` is on board now. `overtime` are
    the seconds it may work beyond `shift_end`, at a price. A `locked` one's route stays as it is. `limits` are what its whole shift
    may come to; of that `driven` (metres, seconds) is behind it, as far as a limit asks for it. `left_at` is when it left.
    With `end_places` it ends at the nearest of those; `end_place` is then a place of its own, as far from each place as that.
    `breaks` are those that are still to come, in their order,
    `break_places` where (none: anywhere); `wheel` are the seconds driven since the last rest.
    `reloads` index the tasks with which it may come back to the depot, `collected` is what of the load a reload takes off.
    `revisions` are those of its shift, driver and vehicle, which a commit compares.
    """

    shift_id: str
    driver_id: str
    vehicle_id: str
    place: int
    ready: int
    end_place: int | None
    shift_end: int
    capacity: tuple[int, ...]
    load: tuple[int, ...]
    skills: frozenset[str]
    departed: bool
    absent: bool
    serving: bool
    done: tuple[str, ...]
    frozen: tuple[int, ...]
    base: tuple[int, ...]
    revisions: dict[str, int]
    overtime: int = 0
    costs: Costs = STANDARD
    setup: int = 0
    locked: bool = False
    limits: Limits = ANY
    driven: tuple[int, int] = (0, 0)
    left_at: int | None = None
    breaks: tuple[Break, ...] = ()
    wheel: int = 0
    end_places: tuple[int, ...] = ()
    break_places: tuple[int | None, ...] = ()
    reloads: tuple[int, ...] = ()
    collected: tuple[int, ...] = ()

    def spare(self, route: Sequence[int]) -> int | None:
        """The next reload that a route of this crew does not have yet."""
        return next((reload for reload in self.reloads if reload not in route), None)

    @property
    def rests(self) -> bool:
        """Whether it has breaks to take, or to rest from driving."""
        return bool(self.breaks) or self.limits.stretch is not None


@dataclass(frozen=True, eq=False)
class Hours:
    """How legs take longer at some hours: periods of the day that begin `starts` seconds after `midnight` (depot time).

    `matrices` has one (P, P) for each period.
    """

    starts: tuple[int, ...]
    midnight: int
    matrices: tuple[Matrix, ...]

    @cached_property
    def by_period(self) -> NDArray[np.int32]:
        """(P, P, periods) seconds: all periods of a leg side by side, as they are asked for."""
        return np.stack([matrix.seconds for matrix in self.matrices], axis=-1)

    def period(self, depart: int) -> int:
        """The period at a depot time."""
        return (bisect_right(self.starts, (depart - self.midnight) % DAY) - 1) % len(self.starts)

    def seconds(self, a: int, b: int, depart: int) -> int:
        """How long a leg takes that is left for at a depot time, in whole seconds; `UNREACHABLE` where there is no way."""
        own: list[int] = self.by_period[a, b].tolist()
        if own[0] >= UNREACHABLE:
            return UNREACHABLE
        if min(own) == max(own):
            return own[0]
        return ceil(profile.duration(self.starts, own, depart - self.midnight) - 1e-6)


@dataclass(frozen=True, eq=False)
class Problem:
    """What an engine gets.

    `matrix` is (P, P) over `places`, computed on `road_state`, as the roads are at the present hour; where `hours` is given,
    plans are timed and priced by that.
    """

    depot_id: str
    now: int
    revision: int
    version: int
    roads: int
    dimensions: tuple[str, ...]
    policy: Policy
    tasks: tuple[Task, ...]
    crews: tuple[Crew, ...]
    matrix: Matrix
    places: tuple[Place, ...] = ()
    road_state: RoadState | None = None
    hours: Hours | None = None

    @cached_property
    def relations(self) -> tuple[tuple[RelationKind, int, int], ...]:
        """All there are: how a task is bound to another one."""
        return tuple((bond.kind, number, bond.task) for number, task in enumerate(self.tasks) for bond in task.relations)

    @cached_property
    def relations_of(self) -> dict[int, list[tuple[RelationKind, int, int]]]:
        """Those that a task has to do with, on either side."""
        found: dict[int, list[tuple[RelationKind, int, int]]] = {}
        for relation in self.relations:
            for number in relation[1:]:
                found.setdefault(number, []).append(relation)
        return found

    @cached_property
    def fixed(self) -> frozenset[int]:
        """The tasks in frozen prefixes."""
        return frozenset(task for crew in self.crews for task in crew.frozen)

    @cached_property
    def ends(self) -> dict[int, tuple[int, ...]]:
        """Those places that stand for the nearest of others."""
        return {crew.end_place: crew.end_places for crew in self.crews if crew.end_places and crew.end_place is not None}

    def nearest_end(self, a: int, b: int, depart: int) -> int:
        """The place that a leg to b ends at: b itself, unless that stands for the nearest of others."""
        return min(self.ends.get(b, (b,)), key=lambda end: self.leg(a, end, depart))

    def leg(self, a: int, b: int, depart: int) -> tuple[int, int]:
        """Seconds and metres of a leg that is left for at a depot time."""
        if b in self.ends:
            return min(self.leg(a, end, depart) for end in self.ends[b])
        if self.hours is None:
            return int(self.matrix.seconds[a, b]), int(self.matrix.metres[a, b])
        return self.hours.seconds(a, b, depart), int(self.hours.matrices[self.hours.period(depart)].metres[a, b])


@dataclass(frozen=True, slots=True)
class Solution:
    """Task indices per crew, frozen ones first, and those nobody serves."""

    routes: tuple[tuple[int, ...], ...]
    unassigned: tuple[int, ...]


def current(problem: Problem) -> Solution:
    """The plan that is in force, as a solution; what it does not place is unassigned."""
    routes = tuple(crew.frozen + crew.base for crew in problem.crews)
    return of_routes(problem, routes)


def of_routes(problem: Problem, routes: Sequence[Sequence[int]]) -> Solution:
    """The solution of some routes: what they leave out is unassigned, but for reloads, which nobody misses."""
    placed = {task for route in routes for task in route}
    left = (number for number, task in enumerate(problem.tasks) if number not in placed and task.reload_of is None)
    return Solution(tuple(map(tuple, routes)), tuple(left))


def one_each(problem: Problem, tasks: Collection[int]) -> list[int]:
    """Of some tasks, without reloads and the deliveries whose pickups are among them: one for each order."""
    return [number for number in tasks if problem.tasks[number].reload_of is None
            and not (problem.tasks[number].second and problem.tasks[number].pair in tasks)]  # fmt: skip


HoursOf = Callable[[Sequence[Place], int], Hours | None]
"""Travel times by the hour between places, as far as a depot time; None where all hours are alike."""


def build(snapshot: Snapshot, matrix_of: MatrixOf, free_flow_of: MatrixOf, *, now: int, freeze: int,
          hours_of: HoursOf | None = None) -> Problem:  # fmt: skip
    """Freeze a snapshot into a problem.

    Parameters
    ----------
    matrix_of, free_flow_of
        Travel times on today's roads, and with no closure at all; the latter is asked only for legs that
        today's roads have cut and nobody can avoid, so that a driver caught in a closure still has a plan.
    hours_of
        Travel times by the hour; by default, those of now are taken for all hours.
    now
        Depot time of the decision.
    freeze
        Depot seconds from `now` for which drivers keep moving while this problem is solved: stops they will
        be driving to before then are frozen too.
    """
    shifts = [shift for shift in snapshot.shifts.values() if in_play(shift, snapshot, now)]
    shifts.sort(key=lambda shift: (shift.start, shift.id))
    orders = sorted(snapshot.orders.values(), key=lambda order: order.id)
    places: dict[Place, int] = {}
    tasks = related(_tasks(orders, snapshot, places), snapshot, {shift.id for shift in shifts})
    tasks += tuple(_reloads(shifts, snapshot, places))
    index = {task.stop_id: number for number, task in enumerate(tasks)}
    crews = tuple(_crew(shift, snapshot, index, tasks, places, now) for shift in shifts)
    behind = [_behind(shift, snapshot, places, now) for shift in shifts]
    problem = Problem(
        depot_id=snapshot.depot.id, now=now, revision=snapshot.revision, version=snapshot.version,
        roads=snapshot.roads, dimensions=snapshot.depot.dimensions, policy=snapshot.depot.policy,
        tasks=with_locks(tasks, crews), crews=crews, matrix=matrix_of(list(places)), places=tuple(places),
        hours=hours_of(list(places), max((crew.shift_end + crew.overtime for crew in crews), default=now)) if hours_of else None,
    )  # fmt: skip
    problem = replace(problem, crews=tuple(_reachable_breaks(problem.matrix, crew) for crew in problem.crews))
    driven = [_driven(problem.matrix, path, _rested_at(shift, snapshot)) for shift, path in zip(shifts, behind, strict=True)]
    problem = replace(problem, crews=tuple(
        replace(crew, driven=done, wheel=wheel) for crew, (done, wheel) in zip(crews, driven, strict=True)))  # fmt: skip
    problem = with_ends(_reopen_cut_legs(problem, list(places), free_flow_of))
    return replace(problem, crews=tuple(_freeze(problem, crew, now + freeze) for crew in problem.crews))


def _behind(shift: Shift, snapshot: Snapshot, places: dict[Place, int], now: int) -> list[tuple[int, int]]:
    """The places that a crew has driven through, and when it got there, where a limit asks for that; the last is where it is."""
    progress, limits = snapshot.progress.get(shift.id, Progress()), shift.limits
    if progress.departed_at is None or (limits.distance, limits.driving, limits.stretch) == (None, None, None):
        return []
    made = [(place_of(snapshot, stop.stop_id), stop.arrived) for stop in progress.trail if stop.arrived is not None]
    here = _whereabouts(shift, progress, snapshot, progress.departed_at)[0]
    path = [(Place(shift.start_location), progress.departed_at), *made, (here, now)]
    return [(_place(places, place), at) for place, at in path if place is not None]


def _driven(matrix: Matrix, path: Sequence[tuple[int, int]], since: int) -> tuple[tuple[int, int], int]:
    """Metres and seconds along a path on today's roads, and the seconds of it since a moment at most.

    A leg that the roads no longer have counts for nothing.
    """
    legs = [(a, b, at) for (a, _), (b, at) in zip(path, path[1:], strict=False) if matrix.seconds[a, b] < UNREACHABLE]
    return ((sum(int(matrix.metres[a, b]) for a, b, _ in legs), sum(int(matrix.seconds[a, b]) for a, b, _ in legs)),
            sum(min(int(matrix.seconds[a, b]), max(0, at - since)) for a, b, at in legs))  # fmt: skip


def _rested_at(shift: Shift, snapshot: Snapshot) -> int:
    """When the last rest that ends a stretch of driving was over, or will be; the beginning of all time if there was none."""
    return max((end for start, end in snapshot.rested.get(shift.id, ()) if end - start >= shift.limits.rest), default=0)


def _reachable_breaks(matrix: Matrix, crew: Crew) -> Crew:
    """A crew that takes its breaks anywhere if it cannot get to where it should: a closed street may not strand it."""
    spots = [spot if spot is not None and matrix.seconds[crew.place, spot] < UNREACHABLE else None for spot in crew.break_places]
    return replace(crew, break_places=tuple(spots) if any(spot is not None for spot in spots) else ())


def _to_come(shift: Shift, rested: Sequence[tuple[int, int]]) -> tuple[Break, ...]:
    """The breaks of a shift that are still to be taken: a rest is the first that it is long enough for and does not end before."""
    left, rests = list(shift.breaks), sorted(rested)
    for one in shift.breaks:
        rest = next(((start, end) for start, end in rests if end - start >= one.duration and end > one.earliest), None)
        if rest is None:
            break
        rests = [other for other in rests if other > rest]
        left.remove(one)
    return tuple(left)


def with_locks(tasks: Sequence[Task], crews: Sequence[Crew]) -> tuple[Task, ...]:
    """The tasks of locked routes, each pinned to where it is."""
    found = list(tasks)
    for crew in crews:
        before = len(crew.done) + len(crew.frozen)
        for task in crew.frozen if crew.locked else ():
            found[task] = replace(found[task], locked=True)
        for number, task in enumerate(crew.base if crew.locked else (), before + 1):
            found[task] = replace(found[task], only=crew.driver_id, position=number, locked=True)
    return tuple(found)


def _place(places: dict[Place, int], place: Place) -> int:
    return places.setdefault(place, len(places))


def in_play(shift: Shift, snapshot: Snapshot, now: int) -> bool:
    """Not over, and not so far ahead that planning it would be noise. Unfinished goods keep a shift in play."""
    progress = snapshot.progress.get(shift.id, Progress())
    if progress.returned or shift.start > now + snapshot.depot.policy.horizon:
        return False
    return now <= shift.end or progress.departed_at is not None


def _tasks(orders: Sequence[Order], snapshot: Snapshot, places: dict[Place, int]) -> tuple[Task, ...]:
    """A task for each stop that is still to be made: of a transport two, as long as it is not picked up."""
    done = {stop.stop_id for progress in snapshot.progress.values() for stop in progress.trail if stop.state is StopState.COMPLETED}
    tasks: list[Task] = []
    for order in orders:
        if order.pickup is None or order.id + PICKUP in done or order.id in snapshot.goods:
            tasks.append(_task(order, snapshot, places))
            continue
        number, delivery = len(tasks), _task(order, snapshot, places)
        pickup = order.pickup
        tasks.append(replace(
            delivery, stop_id=order.id + PICKUP, kind=OrderKind.COLLECTION, place=_place(places, order.place_of(order.id + PICKUP)),
            windows=pickup.windows, service_time=pickup.service_time, setup_time=pickup.setup_time, pair=number + 1,
            promised=None, position=Turn.FIRST if delivery.position is Turn.FIRST else None))  # fmt: skip
        tasks.append(replace(delivery, pair=number, not_before=None))
    if snapshot.depot.access:
        needed = access.needed(snapshot.depot.access, [place.location for place in places])
        tasks = [replace(task, skills=task.skills | needed[task.place]) if needed[task.place] else task for task in tasks]
    return tuple(tasks)


def related(tasks: Sequence[Task], snapshot: Snapshot, shifts: Collection[str]) -> tuple[Task, ...]:
    """The tasks with what binds them: the first of an order to another one's, or to the shift in which that was done."""
    if not any(order.relations for order in snapshot.orders.values()):
        return tuple(tasks)
    found, mine = list(tasks), dict[str, list[int]]()
    for number, task in enumerate(tasks):
        mine.setdefault(task.order_id, []).append(number)
    done = {order_of(stop.stop_id): (shift, stop == progress.trail[-1]) for shift, progress in snapshot.progress.items()
            for stop in progress.trail if stop.state is StopState.COMPLETED and shift in shifts}  # fmt: skip
    for order, relation, other in bonds(snapshot):
        first, known = mine[order.id][0], snapshot.orders.get(other)
        task, behind = found[first], relation.kind in (RelationKind.AFTER, RelationKind.DIRECTLY_AFTER)
        if known is not None and known.dispatch is not Dispatch.PLANNED:  # it goes to whoever can have it at once
            continue
        if other in mine and other != order.id:
            bond = Bond(relation.kind, mine[other][-1 if behind else 0])
            found[first] = replace(task, relations=(*task.relations, bond))
        elif other in done and relation.kind is RelationKind.NOT_TOGETHER:
            found[first] = replace(task, parted_from=task.parted_from | {done[other][0]})
        elif other in done:
            shift, last = done[other]
            next_ = last and relation.kind is RelationKind.DIRECTLY_AFTER and task.position is None
            found[first] = replace(task, bound_to=shift, position=Turn.FIRST if next_ else task.position)
    return tuple(found)


def bonds(snapshot: Snapshot) -> Iterator[tuple[Order, Relation, str]]:
    """What binds the open orders: an order, how it is bound, and to which other ('': there is none yet), open or not."""
    known_as = snapshot.related | {order.known_as(order.external_id): order.id
                                   for order in snapshot.orders.values() if order.external_id}  # fmt: skip
    for order in sorted(snapshot.orders.values(), key=lambda order: order.id):
        for relation in order.relations:
            yield order, relation, relation.order_id or known_as.get(order.known_as(relation.external_id or ""), "")


def _task(order: Order, snapshot: Snapshot, places: dict[Place, int]) -> Task:
    kind = OrderKind.DELIVERY if order.kind is OrderKind.TRANSPORT else order.kind
    return Task(
        stop_id=order.stop_id, order_id=order.id, kind=kind, place=_place(places, order.place_of(order.stop_id)),
        windows=order.windows, hard=order.hard, service_time=order.service_time, demand=order.demand,
        skills=frozenset(order.skills), priority=PROMISED if order.promised_window else order.priority,
        declined_by=frozenset(snapshot.declined.get(order.id, ())),
        goods_on=snapshot.goods.get(order.id) if kind is OrderKind.DELIVERY else None,
        revision=snapshot.record_revisions.get(order.id, 0), was_unassigned=order.id in snapshot.unassigned,
        setup_time=order.setup_time, excluded=frozenset(order.excluded_drivers), not_before=order.pin.not_before,
        promised=order.promised_by, only=snapshot.held.get(order.id, order.pin.driver_id),
        position=order.pin.position if order.dispatch is Dispatch.PLANNED else Turn.FIRST,
    )  # fmt: skip


def _crew(shift: Shift, snapshot: Snapshot, index: dict[str, int], tasks: tuple[Task, ...],
          places: dict[Place, int], now: int) -> Crew:  # fmt: skip
    driver, vehicle = snapshot.drivers[shift.driver_id], snapshot.vehicles[shift.vehicle_id]
    progress = snapshot.progress.get(shift.id, Progress())
    done = tuple(stop.stop_id for stop in progress.trail if stop.state in TERMINAL)
    started = [stop for stop in progress.trail if stop.state not in TERMINAL and stop.stop_id in index]
    begun = {stop.stop_id for other in snapshot.progress.values() for stop in other.trail}
    sequence = snapshot.sequences.get(shift.id, ())
    where, ready = _whereabouts(shift, progress, snapshot, now)
    absent = shift.driver_id in snapshot.absent
    serving = bool(started) and started[0].state is StopState.ARRIVED
    carried = [order for order in (*snapshot.orders.values(), *snapshot.closed.values())
               if snapshot.goods.get(order.id) == shift.id]  # fmt: skip
    load = tuple(map(sum, zip(*(order.demand for order in carried), strict=True))) or (0,) * len(vehicle.capacity)
    frozen = tuple(index[stop.stop_id] for stop in started)
    base = [index[stop] for stop in sequence if stop in index and stop not in begun]
    base = [task for task in base if _may_keep(tasks[task], shift, absent)
            and snapshot.held.get(tasks[task].order_id, shift.driver_id) == shift.driver_id]  # fmt: skip
    if progress.departed_at is not None and not started:
        ready = max(ready, now)
    if not serving:
        ready = max(ready, snapshot.breaks.get(shift.driver_id, ready))
    gathered = [order.demand for order in carried if order.id not in snapshot.orders and order.id not in snapshot.aside]
    records = (shift.id, shift.driver_id, shift.vehicle_id)
    breaks = _to_come(shift, snapshot.rested.get(shift.id, ()))
    spots = [None if one.location is None else _place(places, Place(one.location)) for one in breaks]
    ends = [_place(places, Place(end)) for end in (shift.end_location, *shift.other_ends) if end is not None]
    return Crew(
        shift_id=shift.id, driver_id=shift.driver_id, vehicle_id=shift.vehicle_id, place=_place(places, where),
        ready=ready, end_place=ends[0] if ends else None, shift_end=shift.end,
        end_places=tuple(dict.fromkeys(ends)) if len(set(ends)) > 1 else (),
        capacity=vehicle.capacity, load=load, skills=frozenset(driver.skills) | frozenset(vehicle.skills),
        departed=progress.departed_at is not None, absent=absent,
        serving=serving, setup=_setup(snapshot, progress, tasks[index[started[0].stop_id]]) if serving else 0, done=done,
        frozen=frozen,
        base=tuple(_with_goods(frozen, base, tasks, loaded=progress.departed_at is None)),
        locked=shift.locked and not absent,  # who is away cannot keep what others could take
        revisions={record: snapshot.record_revisions.get(record, 0) for record in records}, overtime=shift.overtime,
        costs=vehicle.costs or Costs(per_km=1000 // snapshot.depot.policy.metres_per_second_price), limits=shift.limits,
        left_at=progress.departed_at, breaks=breaks, break_places=tuple(spots) if any(spot is not None for spot in spots) else (),
        reloads=tuple(number for number, task in enumerate(tasks) if task.reload_of == shift.id),
        collected=tuple(map(sum, zip(*gathered, strict=True))) if shift.reloads else (),
    )  # fmt: skip


def _reloads(shifts: Sequence[Shift], snapshot: Snapshot, places: dict[Place, int]) -> Iterator[Task]:
    """A task for each time that a shift may still come back to the depot."""
    for shift in shifts:
        made = {stop.stop_id for stop in snapshot.progress.get(shift.id, Progress()).trail if stop.state in TERMINAL}
        for order in reloads(shift, snapshot.depot):
            if order.stop_id not in made:
                yield replace(_task(order, snapshot, places), reload_of=shift.id)


def place_of(snapshot: Snapshot, stop: str) -> Place | None:
    """Where a stop is, if its order is still known."""
    order = snapshot.order(stop)
    return None if order is None else order.place_of(stop)


def _setup(snapshot: Snapshot, progress: Progress, task: Task) -> int:
    """The set-up time of a stop that is being served: none if the stop before was at the same place."""
    before = [stop.stop_id for stop in progress.trail if stop.state in TERMINAL and stop.arrived is not None][-1:]
    here = place_of(snapshot, task.stop_id)
    return 0 if here in [place_of(snapshot, stop) for stop in before] else task.setup_time


def _with_goods(frozen: Sequence[int], base: Sequence[int], tasks: Sequence[Task], *, loaded: bool) -> Iterator[int]:
    """What of a route is left without the deliveries whose goods are at the depot while it does not come back there before."""
    loaded = loaded or any(tasks[task].reload_of for task in frozen)
    for task in base:
        loaded = loaded or tasks[task].reload_of is not None
        if loaded or not tasks[task].at_depot:
            yield task


def _may_keep(task: Task, shift: Shift, absent: bool) -> bool:
    """Whether the driver's own plan may still hold this stop; an absent driver keeps only what is in the van."""
    if shift.driver_id in task.declined_by:
        return False
    return task.goods_on == shift.id if absent else task.goods_on in (None, shift.id)


def _whereabouts(shift: Shift, progress: Progress, snapshot: Snapshot, now: int) -> tuple[Place, int]:
    """Where a crew is and when it can leave there: the newest of start, last stop and last ping."""
    if progress.departed_at is None:
        return Place(shift.start_location), max(shift.start, now)
    serving = next((stop for stop in progress.trail if stop.state is StopState.ARRIVED), None)
    if serving and order_of(serving.stop_id) not in snapshot.closed and (here := place_of(snapshot, serving.stop_id)):
        return here, serving.arrived or now
    last = max((stop.left for stop in progress.trail if stop.left is not None), default=progress.departed_at)
    seen = snapshot.positions.get(shift.driver_id)
    if seen is not None and seen.at >= last:
        return Place(seen.location), max(seen.at, now)
    for stop in reversed(progress.trail):
        place = place_of(snapshot, stop.stop_id)
        if stop.arrived is not None and stop.left is not None and place is not None:  # no way to a cancelled one
            return place, last
    return Place(seen.location if seen else shift.start_location), last


def _reopen_cut_legs(problem: Problem, places: list[Place], free_flow_of: MatrixOf) -> Problem:
    """Give legs that a closure has cut, but that nobody can avoid, their free-flow times.

    These are the legs of frozen prefixes, and all ways home: a closed street at the depot may not strand a fleet.
    """
    legs = set()
    for crew in problem.crews:
        path = [crew.place, *(problem.tasks[task].place for task in crew.frozen)]
        legs |= set(zip(path, path[1:], strict=False))
        ends = crew.end_places or (() if crew.end_place is None else (crew.end_place,))
        for place in [*path, *(task.place for task in problem.tasks)] if ends else ():
            if all(problem.matrix.seconds[place, end] >= UNREACHABLE for end in ends):
                legs |= {(place, end) for end in ends}
    cut = [leg for leg in sorted(legs) if problem.matrix.seconds[leg] >= UNREACHABLE]
    if not cut:
        return problem
    seconds, metres = problem.matrix.seconds.copy(), problem.matrix.metres.copy()
    wanted = sorted({place for leg in cut for place in leg})
    number = {place: row for row, place in enumerate(wanted)}
    free = free_flow_of([places[place] for place in wanted])
    for a, b in cut:
        seconds[a, b], metres[a, b] = free.seconds[number[a], number[b]], free.metres[number[a], number[b]]
    hours = problem.hours
    if hours is not None:  # closures hold all day: what is cut at this hour is cut at all
        opened = tuple(np.array(leg) for leg in zip(*cut, strict=True))
        for matrix in {id(matrix): matrix for matrix in hours.matrices}.values():
            matrix.seconds[opened], matrix.metres[opened] = seconds[opened], metres[opened]
    return replace(problem, matrix=replace(problem.matrix, seconds=seconds, metres=metres))


def with_ends(problem: Problem) -> Problem:
    """With a place more for each choice of ends, as far from each place as the nearest of them."""
    choices = list(dict.fromkeys(crew.end_places for crew in problem.crews if crew.end_places))
    if not choices:
        return problem

    def wider(matrix: Matrix) -> Matrix:
        far = matrix.seconds.astype(np.int64) << 32 | matrix.metres
        nearest = [np.array(ends)[np.argmin(far[:, ends], axis=1)] for ends in choices]
        rows, firsts = np.arange(len(matrix.seconds)), [ends[0] for ends in choices]
        tables = []
        for table in (matrix.seconds, matrix.metres):
            table = np.column_stack([table, *(table[rows, ends] for ends in nearest)])
            tables.append(np.ascontiguousarray(np.vstack([table, table[firsts]])))
        return replace(matrix, seconds=tables[0], metres=tables[1])

    size, hours = len(problem.places), problem.hours
    if hours is not None:
        each = {id(matrix): wider(matrix) for matrix in hours.matrices}
        hours = replace(hours, matrices=tuple(each[id(matrix)] for matrix in hours.matrices))
    place = {ends: size + number for number, ends in enumerate(choices)}
    crews = tuple(replace(crew, end_place=place.get(crew.end_places, crew.end_place)) for crew in problem.crews)
    return replace(problem, matrix=wider(problem.matrix), hours=hours, crews=crews,
                   places=(*problem.places, *(problem.places[ends[0]] for ends in choices)))  # fmt: skip


def _freeze(problem: Problem, crew: Crew, until: int) -> Crew:
    """Move stops that will be driven to before `until` from the base route into the frozen prefix.

    None behind a reload: who reports it makes all plans out of date that were made before.
    """
    from routing.solve.tour import walk

    frozen, base = list(crew.frozen), list(crew.base)
    while base and crew.departed and not crew.absent:
        visits = walk(problem, crew, [*frozen, base[0]])
        leaves = visits[-2].leave if frozen else crew.ready
        at = problem.tasks[frozen[-1]].place if frozen else crew.place
        cut_off = problem.matrix.seconds[at, problem.tasks[base[0]].place] >= UNREACHABLE
        if cut_off or (frozen and (leaves >= until or problem.tasks[frozen[-1]].reload_of is not None)):
            break
        frozen.append(base.pop(0))
    return replace(crew, frozen=tuple(frozen), base=tuple(base))
