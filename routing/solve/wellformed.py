"""Whether a problem from a file hangs together: what `build` guarantees, and nobody who writes JSON by hand does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from routing.roads.profile import DAY
from routing.roads.travel import Matrix
from routing.solve.problem import PROMISED, Crew, Problem, Task

LONGEST = 5 * 365 * 86_400
"""Seconds: no time is farther from now."""

MOST_STOPS = 10_000
"""No route is longer."""

LATEST = 1 << 40
"""No time is later."""

LARGEST = 10**9
"""No amount, price or distance is larger."""


def faults(problem: Problem) -> Iterator[str]:
    """What is wrong, each with its place in the file; nothing if all is well."""
    if problem.matrix.seconds.ndim != 2 and not (problem.matrix.seconds.size == 0 and not problem.tasks and not problem.crews):
        yield "matrix.seconds is no table"
        return
    size = len(problem.matrix.seconds)
    if not 0 <= problem.now <= LATEST:
        yield f"now is {problem.now}, not seconds since 1970"
    yield from _hours(problem)
    for name, matrix in _matrices(problem):
        yield from _matrix(name, matrix, size)
    for number, task in enumerate(problem.tasks):
        yield from (f"tasks[{number}]: {text}" for text in _task(problem, number, task, size))
    for number, crew in enumerate(problem.crews):
        yield from (f"crews[{number}]: {text}" for text in _crew(problem, crew, size))
    routed = Counter(task for crew in problem.crews for task in (*crew.frozen, *crew.base))
    yield from (f"task {task} is in the plan in force {times} times" for task, times in routed.items() if times > 1)
    for what, ids in (("stop", [task.stop_id for task in problem.tasks]), ("shift", [crew.shift_id for crew in problem.crews])):
        yield from (f"there are {times} {what}s {name!r}" for name, times in Counter(ids).items() if times > 1)
    singles = Counter(task.order_id for task in problem.tasks if task.pair is None)
    yield from (f"order {name!r} has {times} tasks that are no pair" for name, times in singles.items() if times > 1)
    made = {stop for crew in problem.crews for stop in crew.done}
    yield from (f"stop {task.stop_id!r} is to be made, and is done" for task in problem.tasks if task.stop_id in made)
    policy = problem.policy
    if policy.max_moves_per_driver is not None and not 0 <= policy.max_moves_per_driver <= LARGEST:
        yield f"policy.max_moves_per_driver is {policy.max_moves_per_driver}, not a number from 0 on"
    for name in ("move_price", "reorder_price", "late_price", "promise_price", "overtime_price", "min_gain", "near"):
        if not 0 <= getattr(policy, name) <= LARGEST:
            yield f"policy.{name} is {getattr(policy, name)}, not a number from 0 on"
    if policy.near == 0:
        yield "policy.near is 0: it is a time that prices rise in, at least 1"


def _hours(problem: Problem) -> Iterator[str]:
    hours = problem.hours
    if hours is None:
        return
    if not hours.starts or len(hours.starts) != len(hours.matrices):
        yield f"hours has {len(hours.starts)} periods and {len(hours.matrices)} matrices"
    if sorted(set(hours.starts)) != list(hours.starts) or any(not 0 <= start < DAY for start in hours.starts):
        yield f"hours.starts {hours.starts} are not rising seconds of a day"
    if abs(hours.midnight - problem.now) > LONGEST:
        yield "hours.midnight is years away"


def _matrices(problem: Problem) -> Iterator[tuple[str, Matrix]]:
    yield "matrix", problem.matrix
    for period, matrix in enumerate(problem.hours.matrices if problem.hours is not None else ()):
        yield f"hours.matrices[{period}]", matrix


def _matrix(name: str, matrix: Matrix, size: int) -> Iterator[str]:
    for part in ("seconds", "metres"):
        table = getattr(matrix, part)
        if table.shape != (size, size) and not (size == 0 and table.size == 0):
            yield f"{name}.{part} has the shape {table.shape}, not {(size, size)}"
        elif table.size and table.min() < 0:
            yield f"{name}.{part} has negative numbers"


def _task(problem: Problem, number: int, task: Task, size: int) -> Iterator[str]:
    if not 0 <= task.place < size:
        yield f"place {task.place} is outside the matrix"
    if len(task.demand) != len(problem.dimensions) or any(not 0 <= amount <= LARGEST for amount in task.demand):
        yield f"demand {task.demand} is not an amount from 0 on for each of the {len(problem.dimensions)} dimensions"
    for name in ("service_time", "setup_time"):
        if not 0 <= getattr(task, name) <= LONGEST:
            yield f"{name} is {getattr(task, name)}, not seconds from 0 on"
    ends = [problem.now - LONGEST, *(moment for window in task.windows for moment in (window.start, window.end))]
    if ends != sorted(ends) or ends[-1] > problem.now + LONGEST:
        yield "windows overlap, are not in order, end before they begin, or are years away"
    for name in ("not_before", "promised"):
        moment = getattr(task, name)
        if moment is not None and abs(moment - problem.now) > LONGEST:
            yield f"{name} is years away"
    if not 0 <= task.priority <= 100 and task.priority != PROMISED:
        yield f"priority is {task.priority}, not from 0 to 100"
    if isinstance(task.position, int) and not 1 <= task.position <= MOST_STOPS:
        yield f"position is {task.position}, not a number from 1 to {MOST_STOPS}"
    if any(not 0 <= bond.task < len(problem.tasks) or bond.task in (number, task.pair) for bond in task.relations):
        yield "its relations name no other task"
    if task.reload_of is not None and (task.pair is not None or any(task.demand) or number not in [
            reload for crew in problem.crews if crew.shift_id == task.reload_of for reload in crew.reloads]):  # fmt: skip
        yield f"it is no reload of {task.reload_of!r}: that shift does not have it, or it has demand or a pair"
    if task.pair is not None and not (0 <= task.pair < len(problem.tasks) and task.pair != number):
        yield f"pair {task.pair} is no other task"
    elif task.pair is not None:
        other = problem.tasks[task.pair]
        if other.pair != number or {task.kind, other.kind} != {"collection", "delivery"}:
            yield f"it is one half of a pair, a collection and a delivery, with {task.pair}, which is not the other half"
        elif other.order_id != task.order_id or other.demand != task.demand or other.priority != task.priority:
            yield f"its order, demand or priority differ from those of the other half of its pair, {task.pair}"


def _crew(problem: Problem, crew: Crew, size: int) -> Iterator[str]:
    if not 0 <= crew.place < size or (crew.end_place is not None and not 0 <= crew.end_place < size):
        yield "its place or end_place is outside the matrix"
    if any(not 0 <= place < size for place in crew.end_places) or crew.end_place in crew.end_places:
        yield "its end_places are outside the matrix, or its end_place is one of them"
    for name in ("capacity", "load"):
        amounts = getattr(crew, name)
        if len(amounts) != len(problem.dimensions) or any(not 0 <= amount <= LARGEST for amount in amounts):
            yield f"{name} {amounts} is not an amount from 0 on for each of the {len(problem.dimensions)} dimensions"
    if any(not 0 <= task < len(problem.tasks) for task in (*crew.frozen, *crew.base)):
        yield "its route names a task that is not there"
    if any(not 0 <= task < len(problem.tasks) or problem.tasks[task].reload_of != crew.shift_id for task in crew.reloads):
        yield "its reloads are not tasks of its own"
    if crew.collected and (len(crew.collected) != len(crew.load) or any(
            not 0 <= some <= amount for some, amount in zip(crew.collected, crew.load, strict=False))):  # fmt: skip
        yield "what it has collected is not part of its load"
    if not 0 <= crew.setup <= LONGEST:
        yield f"setup is {crew.setup}, not seconds from 0 on"
    if any(0 <= task < len(problem.tasks) and problem.tasks[task].reload_of for task in crew.frozen[:-1]):
        yield "its route has frozen stops behind a reload, which is over then"
    if crew.frozen and not crew.departed:
        yield "its route has frozen stops, but it has not left"
    if not crew.frozen and crew.ready < problem.now:
        yield f"it is ready at {crew.ready}, before now, with nothing under way"
    if min(crew.ready, crew.shift_end) < 0:
        yield "ready or shift_end are before 1970"
    if any(abs(moment - problem.now) > LONGEST for moment in (crew.ready, crew.shift_end)) or not 0 <= crew.overtime <= LONGEST:
        yield "ready, shift_end or overtime are years away"
    for name in ("stops", "distance", "duration", "driving"):
        limit = getattr(crew.limits, name)
        if limit is not None and not 0 <= limit <= LARGEST:
            yield f"limits.{name} is {limit}, not a number from 0 on"
    if len(crew.break_places) not in (0, len(crew.breaks)) or any(
            place is not None and not 0 <= place < size for place in crew.break_places):  # fmt: skip
        yield "its break_places are not one for each break, or outside the matrix"
    if crew.limits.stretch is not None and not 1 <= crew.limits.stretch <= LARGEST:
        yield f"limits.stretch is {crew.limits.stretch}, not seconds from 1 on"
    if not 0 <= crew.limits.rest <= LONGEST or not 0 <= crew.wheel <= LARGEST:
        yield "limits.rest or wheel are not seconds from 0 on"
    for number, one in enumerate(crew.breaks):
        if not one.earliest <= one.latest or not 0 <= one.duration <= LONGEST or abs(one.latest - problem.now) > LONGEST:
            yield f"breaks[{number}] ends before it begins, lasts less than nothing, or is years away"
    if len(crew.driven) != 2 or any(not 0 <= amount <= LARGEST for amount in crew.driven):
        yield f"driven is {crew.driven}, not metres and seconds from 0 on"
    if crew.left_at is not None and abs(crew.left_at - problem.now) > LONGEST:
        yield "left_at is years away"
    if any(not 0 <= price <= LARGEST for price in (crew.costs.fixed, crew.costs.per_km, crew.costs.per_hour)):
        yield f"costs {crew.costs} are not prices from 0 on"
