"""Orders that belong together, or do not: one driver for both, one after the other or right behind it; or never one driver.

What is served counts: who has one of two that go together has the other as well, or nobody has. Only what comes right behind an
order needs that one. What is done or frozen already binds what is still open to its shift; an order of stops that can no longer be
had, since the later one is made already, binds nobody to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from routing.model import ReasonCode, RelationKind
from routing.solve.findings import Violation, Way
from routing.solve.problem import Crew, Problem, Task
from routing.solve.tour import Breach, Tour

APART = RelationKind.NOT_TOGETHER


def bars(crew: Crew, task: Task) -> ReasonCode | None:
    """Everybody but the shift that what it goes with was done in; who has done what it does not go with."""
    if crew.shift_id in task.parted_from or task.bound_to not in (None, crew.shift_id):
        return ReasonCode.RELATION
    return None


def severed(problem: Problem, crew: Crew, number: int) -> bool:
    """Whether a frozen stop, by a relation, keeps a task from a crew."""
    for kind, task, other in problem.relations_of.get(number, ()):
        fixed = other if task == number else task
        if fixed in problem.fixed and (fixed in crew.frozen) == (kind is APART):
            return True
    return False


def breach(tour: Tour) -> Breach | None:
    """The first stop that is in front of one it comes after, not right behind the one it has to be, or with one it has to avoid."""
    relations, frozen = tour.problem.relations_of, len(tour.crew.frozen)
    if not relations:
        return None
    numbers = [visit.task for visit in tour.visits]
    at = {number: position for position, number in enumerate(numbers)}
    for position in range(frozen, len(numbers)):
        for kind, task, other in relations.get(numbers[position], ()):
            if task != numbers[position]:
                continue
            before = at.get(other)
            wrong = before is not None and (kind is APART or (kind is RelationKind.AFTER and before > position))
            if kind is RelationKind.DIRECTLY_AFTER and not _passed_by(tour.crew, other):
                wrong = before != position - 1
            if wrong:
                return Breach(ReasonCode.RELATION, 0, "", max(position, before or 0))
    return None


def _passed_by(crew: Crew, number: int) -> bool:
    """Whether something else has come behind a stop already."""
    return number in crew.frozen[:-1]


def kept(problem: Problem, routes: Sequence[Sequence[int]]) -> bool:
    """Whether what goes together is in one route, and what does not is not."""
    if not problem.relations_of:
        return True
    owner = {task: number for number, route in enumerate(routes) for task in route}
    return all((owner[task] == owner[other]) == (kind is not APART) for kind, task, other in problem.relations
               if task in owner and other in owner and not problem.fixed.issuperset((task, other)))  # fmt: skip


def check(way: Way) -> Iterator[Violation]:
    """What a route alone shows: what was done binds what is open, and what follows at once does."""
    for stop in way.free:
        task = stop.task
        if task.bound_to is not None and task.bound_to != way.crew.shift_id:
            yield Violation("relation", task.stop_id, f"it goes with what was done in shift {task.bound_to}")
        if way.crew.shift_id in task.parted_from:
            yield Violation("relation", task.stop_id, f"it does not go with what was done in shift {way.crew.shift_id}")


def check_all(problem: Problem, routes: dict[str, list[str]]) -> Iterator[Violation]:
    """Every relation of an open stop, over all routes."""
    where = {stop: (shift, number) for shift, stops in routes.items() for number, stop in enumerate(stops)}
    frozen = {problem.tasks[task].stop_id for crew in problem.crews for task in crew.frozen}
    last = {problem.tasks[crew.frozen[-1]].stop_id for crew in problem.crews if crew.frozen}
    for task in problem.tasks:
        for bond in task.relations:
            other, kind = problem.tasks[bond.task].stop_id, bond.kind.value
            mine, its = where.get(task.stop_id), where.get(other)
            if mine is None or (task.stop_id in frozen and (other in frozen or its is None)):
                continue
            if kind == "directly_after" and task.stop_id not in frozen and (other not in frozen or other in last):
                if its is None or mine != (its[0], its[1] + 1):
                    yield Violation("relation", task.stop_id, f"it has to be right behind {other}")
            elif its is not None and kind == "not_together":
                if mine[0] == its[0]:
                    yield Violation("relation", task.stop_id, f"it may not be with {other}")
            elif its is not None and mine[0] != its[0]:
                yield Violation("relation", task.stop_id, f"it has to be with {other}")
            elif its is not None and kind == "after" and mine[1] < its[1] and task.stop_id not in frozen:
                yield Violation("relation", task.stop_id, f"it has to come after {other}")
