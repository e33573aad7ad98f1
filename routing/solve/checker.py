"""The independent checker: every plan is judged here before anybody sees it.

It shares no code with the evaluator or any engine: it walks each route again, in plain Python, from the
facts in the problem, and returns *all* violations. An empty list means the plan may be published.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from routing.model import Plan
from routing.solve.problem import Crew, Problem, Task

NO_WAY = 10_000_000


@dataclass(frozen=True, slots=True)
class Violation:
    """A broken rule: `code` from a short list, the `subject` it concerns, and a sentence."""

    code: str
    subject: str
    detail: str


def check(problem: Problem, plan: Plan) -> list[Violation]:
    """All violations of a plan, in no particular order.

    Rules: every open order is in exactly one route or unassigned with a reason; what is done or frozen keeps
    its place; skills, declines, absence and the place of goods hold; no dimension is ever over capacity; no hard
    window is missed and no shift outlasted by a stop that could still have been left out; late soft windows are
    flagged with the right number of seconds.
    """
    tasks = {task.stop_id: task for task in problem.tasks}
    found = _served_once(problem, plan, tasks)
    routes = {route.shift_id: route for route in plan.routes}
    for crew in problem.crews:
        if crew.shift_id not in routes:
            found.append(Violation("missing_route", crew.shift_id, "the shift has no route"))
            continue
        stops = routes[crew.shift_id].stops
        ids = [stop.stop_id for stop in stops]
        found += _prefix_kept(problem, crew, ids)
        ahead = [tasks[stop] for stop in ids[len(crew.done) :] if stop in tasks]
        found += _rules_kept(crew, ahead)
        found += _loads_kept(problem, crew, ahead)
        late = {stop.stop_id: stop.late_by for stop in stops}
        found += _times_kept(problem, crew, ahead, late)
    found += [Violation("unknown_route", shift, "no such shift") for shift in routes
              if shift not in {crew.shift_id for crew in problem.crews}]  # fmt: skip
    return found


def _served_once(problem: Problem, plan: Plan, tasks: dict[str, Task]) -> list[Violation]:
    found = []
    done = {stop for crew in problem.crews for stop in crew.done}
    times = Counter(stop.stop_id for route in plan.routes for stop in route.stops)
    reasons = {item.order_id: item.reasons for item in plan.unassigned}
    for stop, task in tasks.items():
        if times[stop] > 1:
            found.append(Violation("served_twice", stop, f"it is in the plan {times[stop]} times"))
        if times[stop] and task.order_id in reasons:
            found.append(Violation("served_and_unassigned", stop, "it is in a route and unassigned"))
        if not times[stop] and not reasons.get(task.order_id):
            found.append(Violation("lost", stop, "it is in no route and has no reason"))
    found += [Violation("unknown_stop", stop, "no such open order") for stop in times if stop not in tasks and stop not in done]
    return found


def _prefix_kept(problem: Problem, crew: Crew, ids: list[str]) -> list[Violation]:
    fixed = [*crew.done, *(problem.tasks[task].stop_id for task in crew.frozen)]
    if ids[: len(fixed)] == fixed:
        return []
    return [Violation("prefix_changed", crew.shift_id, f"it must begin with {fixed}, not {ids[: len(fixed)]}")]


def _rules_kept(crew: Crew, ahead: list[Task]) -> list[Violation]:
    found = []
    for task in ahead[len(crew.frozen) :]:
        mine = task.goods_on == crew.shift_id
        if task.skills - crew.skills:
            found.append(Violation("skill", task.stop_id, f"{crew.driver_id} lacks {sorted(task.skills - crew.skills)}"))
        if crew.driver_id in task.declined_by:
            found.append(Violation("declined", task.stop_id, f"{crew.driver_id} declined it"))
        if crew.absent and not mine:
            found.append(Violation("absent", task.stop_id, f"{crew.driver_id} is silent or off duty"))
        if task.kind == "delivery" and task.goods_on not in (None, crew.shift_id):
            found.append(Violation("goods", task.stop_id, f"its goods are on {task.goods_on}"))
        if task.kind == "delivery" and task.goods_on is None and crew.departed:
            found.append(Violation("goods", task.stop_id, "its goods are at the depot and the vehicle has left"))
    return found


def _loads_kept(problem: Problem, crew: Crew, ahead: list[Task]) -> list[Violation]:
    found = []
    for axis, name in enumerate(problem.dimensions):
        joining = [] if crew.departed else [t.demand[axis] for t in ahead if t.kind == "delivery" and t.goods_on is None]
        load = crew.load[axis] + sum(joining)
        if any(joining) and load > crew.capacity[axis]:
            found.append(Violation("capacity", crew.shift_id, f"leaves with {load} {name} of {crew.capacity[axis]}"))
        for position, task in enumerate(ahead):
            absent_goods = crew.departed and task.goods_on is None
            if task.kind == "delivery" and not absent_goods:
                load -= task.demand[axis]
            if task.kind == "collection":
                load += task.demand[axis]
                if task.demand[axis] and position >= len(crew.frozen) and load > crew.capacity[axis]:
                    found.append(Violation("capacity", task.stop_id, f"{load} {name} on board of {crew.capacity[axis]}"))
    return found


def _times_kept(problem: Problem, crew: Crew, ahead: list[Task], flagged: dict[str, int]) -> list[Violation]:
    found = []
    at, clock = crew.place, crew.ready
    must_end = crew.shift_end
    for position in range(len(ahead) + 1):
        if position == len(crew.frozen):  # what no plan could change is not held against this one
            home = 0 if crew.end_place is None else int(problem.matrix.seconds[at][crew.end_place])
            must_end = max(must_end, clock + home)
        if position == len(ahead):
            break
        task = ahead[position]
        leg = int(problem.matrix.seconds[at][task.place])
        clock += leg
        if position >= len(crew.frozen) and clock < problem.now:
            found.append(Violation("in_the_past", task.stop_id, f"it would be reached {problem.now - clock} s ago"))
        current = position == 0 and crew.departed and bool(crew.frozen)
        if current and not crew.serving and clock < problem.now:
            clock = problem.now
        late = 0
        if task.windows:
            usable = [window for window in task.windows if window.end >= clock]
            if usable:
                clock = max(clock, usable[0].start)
            else:
                late = clock - max(window.end for window in task.windows)
        clock += task.service_time
        if current and clock < problem.now:
            clock = problem.now
        at = task.place
        if flagged[task.stop_id] != late:
            found.append(Violation("late_flag", task.stop_id, f"{late} s late but flagged {flagged[task.stop_id]}"))
        if position >= len(crew.frozen):
            if leg >= NO_WAY:
                found.append(Violation("unreachable", task.stop_id, "there is no way there"))
            if task.hard and late:
                found.append(Violation("time_window", task.stop_id, f"{late} s after its last window"))
    if len(ahead) > len(crew.frozen):
        home = 0 if crew.end_place is None else int(problem.matrix.seconds[at][crew.end_place])
        if clock + home > must_end:
            found.append(Violation("shift_end", crew.shift_id, f"ends {clock + home - must_end} s too late"))
    return found
