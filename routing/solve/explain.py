"""Why an order is not in any route: for each driver the rule that stands in the way and by how much."""

from __future__ import annotations

from routing.model import Reason, ReasonCode, Unassigned
from routing.roads.travel import UNREACHABLE
from routing.solve.evaluation import barred, evaluate
from routing.solve.problem import Problem, Solution
from routing.solve.tour import Breach, deadline


def explain(problem: Problem, solution: Solution, task: int) -> Unassigned:
    """Reasons of one unassigned task: one per crew, or `no_vehicle` when there is no crew at all."""
    order = problem.tasks[task].order_id
    if not problem.crews:
        return Unassigned(order, (Reason(ReasonCode.NO_VEHICLE),))
    reasons = [_reason(problem, number, solution.routes[number], task) for number in range(len(problem.crews))]
    return Unassigned(order, tuple(reasons))


def _reason(problem: Problem, number: int, route: tuple[int, ...], task: int) -> Reason:
    crew = problem.crews[number]
    bar = barred(crew, problem.tasks[task])
    if bar is not None:
        return Reason(bar, crew.driver_id)
    if _cut_off(problem, task):
        return Reason(ReasonCode.CLOSED_ROAD, crew.driver_id)
    alone = _least(problem, number, crew.frozen, task)
    if alone is not None:
        return Reason(alone.code, crew.driver_id, alone.shortfall or None, alone.unit or None)
    crowded = _least(problem, number, route, task)
    if crowded is None:  # it would fit: the engine ran out of time
        return Reason(ReasonCode.SOLVER_TIMEOUT, crew.driver_id)
    return Reason(ReasonCode.OUTPRIORITISED, crew.driver_id, crowded.shortfall or None, crowded.unit or None)


def _cut_off(problem: Problem, task: int) -> bool:
    """Whether no crew can get there at all (its street is closed or cut off)."""
    place = problem.tasks[task].place
    return all(problem.matrix.seconds[crew.place, place] >= UNREACHABLE for crew in problem.crews)


def _least(problem: Problem, number: int, route: tuple[int, ...], task: int) -> Breach | None:
    """The smallest breach over all positions of a route, or None if one position has none."""
    crew = problem.crews[number]
    ends_by = deadline(problem, crew)
    breaches = []
    for position in range(len(crew.frozen), len(route) + 1):
        breach = evaluate(problem, crew, [*route[:position], task, *route[position:]], ends_by=ends_by).breach
        if breach is None:
            return None
        breaches.append(breach)
    return min(breaches, key=lambda breach: breach.shortfall)
