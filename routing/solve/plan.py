"""Between solutions (indices) and plans (ids): what is published, and what changed."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from routing.model import (
    TERMINAL,
    Diff,
    Location,
    Plan,
    PlannedRest,
    PlannedStop,
    Progress,
    Route,
    RouteChange,
    Snapshot,
    TriggerKind,
    Unassigned,
    order_of,
)
from routing.solve.evaluation import parts
from routing.solve.explain import explain, flags
from routing.solve.problem import Crew, Problem, Solution
from routing.solve.rules.changes import disruption
from routing.solve.tour import Tour, tour


def publishable(problem: Problem, solution: Solution, *, progress: dict[str, Progress], engine: str,
                unassigned: tuple[Unassigned, ...] | None = None) -> Plan:  # fmt: skip
    """The next plan version: finished stops first (as they happened), then the solution with its times.

    `unassigned` are the reasons of what is in no route, where they are known already.
    """
    routes = []
    for crew, route in zip(problem.crews, solution.routes, strict=True):
        past = {stop.stop_id: stop for stop in progress.get(crew.shift_id, Progress()).trail}
        done = [PlannedStop(stop, *_happened(past[stop].arrived, past[stop].left)) if stop in past
                else PlannedStop(stop, 0, 0, 0) for stop in crew.done]  # fmt: skip
        way = tour(problem, crew, route)
        ahead = [PlannedStop(task.stop_id, visit.arrive, visit.begin, visit.leave, visit.late)
                 for task, visit in zip(way.tasks, way.visits, strict=True)]  # fmt: skip
        rests = [PlannedRest(ahead[pause.before].stop_id if pause.before < len(ahead) else None, pause.start, pause.end,
                             pause.on_the_way, None if pause.place is None else problem.places[pause.place].location)
                 for pause in way.pauses if ahead]  # fmt: skip
        end = _end(problem, crew, way) if crew.end_places and ahead else None
        routes.append(Route(crew.shift_id, crew.driver_id, crew.vehicle_id, (*done, *ahead), tuple(rests), end))
    costs, change = parts(problem, solution), disruption(problem, solution)
    return Plan(
        depot_id=problem.depot_id, version=problem.version + 1, revision=problem.revision, roads=problem.roads,
        engine=engine, created_at=problem.now, published_at=0.0, cost=sum(costs.values()), costs=costs, moved=change.moved,
        resequenced=change.resequenced, shifted=change.shifted, flags=flags(problem, solution), routes=tuple(routes),
        unassigned=explain(problem, solution) if unassigned is None else unassigned,
    )  # fmt: skip


def _end(problem: Problem, crew: Crew, way: Tour) -> Location | None:
    """Which of several places a route ends at."""
    if crew.end_place is None:
        return None
    last = way.visits[-1]
    place, leaves = problem.tasks[last.task].place, last.leave
    for pause in way.pauses:
        if pause.before == len(way.visits) and not pause.on_the_way:
            place, leaves = place if pause.place is None else pause.place, pause.end
    return problem.places[problem.nearest_end(place, crew.end_place, leaves)].location


def _happened(arrived: int | None, left: int | None) -> tuple[int, int, int]:
    end = left or arrived or 0
    return arrived or end, arrived or end, end


def diff(snapshot: Snapshot, plan: Plan, *, touched: Collection[str] = ()) -> Diff:
    """What a new plan changes for whom, shift by shift, against the sequences in force.

    Stops of changed orders, and those `touched` (whose way there has changed), are updated where they stay.
    """
    edited = {trigger.subject for trigger in snapshot.triggers if trigger.kind is TriggerKind.ORDER_CHANGED}
    edited |= {order_of(stop) for stop in (*touched, *_rested(snapshot, plan))}
    after = {route.shift_id: route.sequence for route in plan.routes}
    by_driver: dict[str, list[RouteChange]] = {}
    for shift_id in sorted({*after, *snapshot.sequences}):
        shift = snapshot.shifts[shift_id]
        before = _still_of_interest(snapshot, snapshot.sequences.get(shift_id, ()), shift_id in after)
        change = _change(shift.driver_id, before, after.get(shift_id, ()), edited)
        if change is not None:
            by_driver.setdefault(shift.driver_id, []).append(change)
    was, is_ = set(snapshot.unassigned), {item.order_id for item in plan.unassigned}
    return Diff(
        routes=_because(snapshot, plan, [_joined(driver, changes) for driver, changes in sorted(by_driver.items())]),
        newly_unassigned=tuple(sorted(is_ - was)), no_longer_unassigned=tuple(sorted(was - is_)),
    )  # fmt: skip


def _rested(snapshot: Snapshot, plan: Plan) -> Iterator[str]:
    """The next stops of drivers who have rested, or do not any more: what was planned for them to rest, and when, is another."""
    kinds = (TriggerKind.DRIVER_ON_BREAK, TriggerKind.DRIVER_OFF_BREAK, TriggerKind.BREAK_OVER)
    drivers = {trigger.subject for trigger in snapshot.triggers if trigger.kind in kinds}
    for route in plan.routes:
        shift = snapshot.shifts[route.shift_id]
        if route.driver_id in drivers and (shift.breaks or shift.limits.stretch is not None):
            done = {stop.stop_id for stop in snapshot.progress.get(shift.id, Progress()).trail if stop.state in TERMINAL}
            yield from [stop.stop_id for stop in route.stops if stop.stop_id not in done][:1]


def _because(snapshot: Snapshot, plan: Plan, changes: list[RouteChange]) -> tuple[RouteChange, ...]:
    """The changes with the triggers they answer: of the orders and drivers concerned, else those that no other change answers."""
    holders = {stop: snapshot.shifts[shift].driver_id for shift, stops in snapshot.sequences.items() for stop in stops}
    direct: list[set[int]] = []
    for change in changes:
        concerned = {order_of(stop) for stop in change.stops} | {holders.get(stop, "") for stop in change.gained}
        concerned |= {*change.stops, change.driver_id}
        concerned |= {shift.id for shift in snapshot.shifts.values() if shift.driver_id == change.driver_id}
        direct.append({trigger.revision for trigger in plan.triggers if trigger.subject in concerned})
    everything = {trigger.revision for trigger in plan.triggers}
    rest = everything.difference(*direct) or everything
    return tuple(replace(change, because=tuple(sorted(mine or rest))) for change, mine in zip(changes, direct, strict=True))


def _still_of_interest(snapshot: Snapshot, sequence: tuple[str, ...], planned: bool) -> tuple[str, ...]:
    """A route that is over leaves the plan without a change, unless it leaves open stops behind."""
    return sequence if planned else tuple(stop for stop in sequence if order_of(stop) in snapshot.orders)


def _change(driver: str, before: Sequence[str], after: Sequence[str], edited: set[str]) -> RouteChange | None:
    updated = tuple(stop for stop in after if stop in before and order_of(stop) in edited)
    if tuple(before) == tuple(after) and not updated:
        return None
    gained = tuple(stop for stop in after if stop not in before)
    lost = tuple(stop for stop in before if stop not in after)
    kept_before = [stop for stop in before if stop in after]
    kept_after = [stop for stop in after if stop in before]
    moved = tuple(b for a, b in zip(kept_before, kept_after, strict=True) if a != b)
    return RouteChange(driver, gained, lost, moved, updated)


def _joined(driver: str, changes: list[RouteChange]) -> RouteChange:
    """The changes of all of a driver's shifts as one."""
    names = ("gained", "lost", "reordered", "updated")
    return RouteChange(driver, *(tuple(stop for change in changes for stop in getattr(change, name)) for name in names))
