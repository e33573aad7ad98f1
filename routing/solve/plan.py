"""Between solutions (indices) and plans (ids): what is published, and what changed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from routing.model import Diff, Plan, PlannedStop, Progress, Route, RouteChange, Snapshot, order_of
from routing.solve.evaluation import total, walk
from routing.solve.explain import explain
from routing.solve.problem import Problem, Solution


def publishable(problem: Problem, solution: Solution, *, progress: dict[str, Progress], engine: str,
                published_at: float = 0.0) -> Plan:  # fmt: skip
    """The next plan version: finished stops first (as they happened), then the solution with its times."""
    routes = []
    for crew, route in zip(problem.crews, solution.routes, strict=True):
        past = {stop.stop_id: stop for stop in progress.get(crew.shift_id, Progress()).trail}
        done = [PlannedStop(stop, *_happened(past[stop].arrived, past[stop].left)) if stop in past
                else PlannedStop(stop, 0, 0, 0) for stop in crew.done]  # fmt: skip
        ahead = [PlannedStop(problem.tasks[visit.task].stop_id, visit.arrive, visit.begin, visit.leave, visit.late)
                 for visit in walk(problem, crew, route)]  # fmt: skip
        routes.append(Route(crew.shift_id, crew.driver_id, crew.vehicle_id, (*done, *ahead)))
    return Plan(
        depot_id=problem.depot_id, version=problem.version + 1, revision=problem.revision, roads=problem.roads,
        engine=engine, created_at=problem.now, published_at=published_at, cost=total(problem, solution),
        routes=tuple(routes), unassigned=tuple(explain(problem, solution, task) for task in solution.unassigned),
    )  # fmt: skip


def _happened(arrived: int | None, left: int | None) -> tuple[int, int, int]:
    end = left or arrived or 0
    return arrived or end, arrived or end, end


def diff(snapshot: Snapshot, plan: Plan) -> Diff:
    """What a new plan changes for whom, against the sequences in force."""
    planned = {route.shift_id for route in plan.routes}
    before = _by_driver((snapshot.shifts[shift].driver_id, _still_of_interest(snapshot, sequence, shift in planned))
                        for shift, sequence in snapshot.sequences.items() if shift in snapshot.shifts)  # fmt: skip
    after = _by_driver((route.driver_id, route.sequence) for route in plan.routes)
    changes = [_change(driver, before.get(driver, ()), after.get(driver, ())) for driver in sorted({*before, *after})]
    was, is_ = set(snapshot.unassigned), {item.order_id for item in plan.unassigned}
    return Diff(
        routes=tuple(change for change in changes if change is not None),
        newly_unassigned=tuple(sorted(is_ - was)), no_longer_unassigned=tuple(sorted(was - is_)),
    )  # fmt: skip


def _still_of_interest(snapshot: Snapshot, sequence: tuple[str, ...], planned: bool) -> tuple[str, ...]:
    """A route that is over leaves the plan without a change, unless it leaves open stops behind."""
    return sequence if planned else tuple(stop for stop in sequence if order_of(stop) in snapshot.orders)


def _by_driver(rows: Iterable[tuple[str, tuple[str, ...]]]) -> dict[str, tuple[str, ...]]:
    sequences: dict[str, tuple[str, ...]] = {}
    for driver, sequence in rows:
        sequences[driver] = sequences.get(driver, ()) + sequence
    return sequences


def _change(driver: str, before: Sequence[str], after: Sequence[str]) -> RouteChange | None:
    if tuple(before) == tuple(after):
        return None
    gained = tuple(stop for stop in after if stop not in before)
    lost = tuple(stop for stop in before if stop not in after)
    kept_before = [stop for stop in before if stop in after]
    kept_after = [stop for stop in after if stop in before]
    moved = tuple(b for a, b in zip(kept_before, kept_after, strict=True) if a != b)
    return RouteChange(driver, gained, lost, moved)
