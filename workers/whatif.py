"""What if: the plan that some changes would lead to, made as a repair makes it, compared with the plan as it is, thrown away."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ingest.settings import Settings
from ingest.store import readers
from ingest.store.connection import Store
from routing.model import RELOAD, TERMINAL, Diff, Order, Plan, Progress, RoadEvent, Snapshot, StopProgress, StopState, order_of
from routing.solve import checker, engines
from routing.solve.plan import diff, publishable
from routing.solve.problem import Problem, Solution, current
from routing.solve.stopping import never
from workers.formulation import problem_of
from workers.quotes import some_wait
from workers.replan import REPAIR_BUDGET_S, PlanRefused


@dataclass(frozen=True, slots=True)
class Changes:
    """What is tried, all of it together."""

    orders: tuple[Order, ...] = ()
    cancelled: frozenset[str] = frozenset()
    road_events: tuple[RoadEvent, ...] = ()
    reopened: frozenset[str] = frozenset()
    off_duty: frozenset[str] = frozenset()
    on_duty: frozenset[str] = frozenset()

    @property
    def of_roads(self) -> bool:
        """Whether roads would be others."""
        return bool(self.road_events or self.reopened)


@dataclass(frozen=True, slots=True)
class Answer:
    """The plan without the changes and the plan with them, and what is different for whom."""

    version: int
    before: Plan
    after: Plan
    diff: Diff


def ask(client: Store, settings: Settings, depot_id: str, changes: Changes, *, at: float, budget: float = 0.0) -> Answer | None:
    """What changes would come to at a real time (s); None if there is no such depot. Nothing is changed.

    What waits for its plan already is planned in both. With a `budget` (s) both are improved for so long.

    Raises
    ------
    PlanRefused
        If the checker refuses one of the plans: a defect.
    """
    snapshot = readers.snapshot(client, depot_id)
    if snapshot is None:
        return None
    now = snapshot.depot.clock.depot(at)
    problem, _ = problem_of(settings, snapshot, at=at)
    start = _repaired(problem) if snapshot.triggers or some_wait(snapshot) else current(problem)
    before = _plan(snapshot, problem, start, budget)
    related = snapshot.related | readers.related(client, depot_id, changes.orders)
    changed = applied(replace(snapshot, related=related, sequences={route.shift_id: route.sequence for route in before.routes},
                              unassigned=tuple(item.order_id for item in before.unassigned)), changes, now)  # fmt: skip
    problem, touched = problem_of(settings, changed, at=at, aside=changes.of_roads)
    after = _plan(changed, problem, _repaired(problem), budget)
    return Answer(snapshot.version, before, after, diff(changed, after, touched=touched))


def applied(snapshot: Snapshot, changes: Changes, now: int) -> Snapshot:
    """The state as it would be then."""
    orders = {key: order for key, order in snapshot.orders.items() if key not in changes.cancelled}
    gone = {key: snapshot.orders[key] for key in changes.cancelled & snapshot.orders.keys()}
    events = [event for event in snapshot.road_events if event.id not in changes.reopened]
    absent = (set(snapshot.absent) | changes.off_duty) - changes.on_duty
    stops = {stop for order in gone.values() for stop in order.stop_ids}
    begun = {stop.stop_id for progress in snapshot.progress.values() for stop in progress.trail} | stops
    following = {shift: next((stop for stop in sequence if stop not in begun
                              and (order_of(stop) in orders or stop.endswith(RELOAD))), None)
                 for shift, sequence in snapshot.sequences.items()}  # fmt: skip
    return replace(
        snapshot, orders=orders | {order.id: order for order in changes.orders}, closed=snapshot.closed | gone,
        road_events=(*events, *changes.road_events), absent=tuple(sorted(absent)),
        progress={shift: _without(progress, stops, following.get(shift), now) for shift, progress in snapshot.progress.items()},
        breaks={driver: until for driver, until in snapshot.breaks.items() if driver not in changes.off_duty | changes.on_duty},
        unassigned=tuple(order for order in snapshot.unassigned if order not in gone), triggers=(), improving=())  # fmt: skip


def _without(progress: Progress, stops: set[str], following: str | None, now: int) -> Progress:
    """Progress with cancelled stops given up; who was under way to one drives to the one that follows."""
    given_up = [stop.stop_id in stops and stop.state not in TERMINAL for stop in progress.trail]
    if not any(given_up):
        return progress
    trail = [replace(stop, state=StopState.CANCELLED, left=now) if up else stop
             for stop, up in zip(progress.trail, given_up, strict=True)]  # fmt: skip
    if following is not None and not progress.returned and all(stop.state in TERMINAL for stop in trail):
        trail.append(StopProgress(following, StopState.EN_ROUTE))
    return replace(progress, trail=tuple(trail))


def _repaired(problem: Problem) -> Solution:
    return engines.ENGINES["repair"](problem, budget=REPAIR_BUDGET_S, stop=never)


def _plan(snapshot: Snapshot, problem: Problem, solution: Solution, budget: float) -> Plan:
    if budget > 0:
        solution = engines.ENGINES["improve"](problem, solution, budget=budget, stop=never)
    plan = publishable(problem, solution, progress=snapshot.progress, engine="improve" if budget > 0 else "repair")
    violations = checker.check(problem, plan)
    if violations:
        raise PlanRefused(f"{len(violations)} violations, the first: {violations[0]}.")
    return plan


def late(plan: Plan) -> int:
    """How many stops are planned to begin late."""
    return sum(stop.late_by > 0 for route in plan.routes for stop in route.stops)
