"""The independent checker: every plan is judged here before anybody sees it.

It shares no code with the evaluator or any engine: it walks each route again, in plain Python, from the facts in the
problem, adds up what the plan costs, and returns *all* violations. An empty list means the plan may be published. What a
rule demands stands in its file in `routing.solve.rules`, beside what engines know of it and apart from that.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Sequence

from routing.model import Location, Plan, PlannedStop, Route
from routing.solve.findings import Passed, Rested, Violation, Way
from routing.solve.problem import Crew, Problem, Task
from routing.solve.rules import CHECKS, CHECKS_OF_ALL

LEFT_OUT = 10_000_000_000
NO_WAY = 10_000_000
CAP = 5_000_000


def check(problem: Problem, plan: Plan) -> list[Violation]:
    """All violations of a plan, in no particular order.

    Every open order is in exactly one route or unassigned with a reason; what is done or frozen keeps its place; each rule
    in `routing.solve.rules` holds; the plan costs what it says.
    """
    tasks = {task.stop_id: task for task in problem.tasks}
    found = [*_served_once(problem, plan, tasks), *_labels(problem, plan)]
    routes = {route.shift_id: route for route in plan.routes}
    ways = []
    for crew in problem.crews:
        if crew.shift_id not in routes:
            found.append(Violation("missing_route", crew.shift_id, "the shift has no route"))
            continue
        stops = routes[crew.shift_id].stops
        found += _prefix_kept(problem, crew, [stop.stop_id for stop in stops])
        ways.append(_way(problem, crew, [(tasks[stop.stop_id], stop) for stop in stops[len(crew.done) :] if stop.stop_id in tasks]))
        found += _times(ways[-1], stops[len(crew.done) :])
        found += _told(ways[-1], routes[crew.shift_id])
        for rule in CHECKS:
            found += rule(ways[-1])
    shifts = {crew.shift_id for crew in problem.crews}
    found += [Violation("unknown_route", shift, "no such shift") for shift in routes if shift not in shifts]
    sequences = {shift: [stop.stop_id for stop in route.stops] for shift, route in routes.items()}
    for whole in CHECKS_OF_ALL:
        found += whole(problem, sequences)
    return found or _figures(problem, plan, ways)


def _labels(problem: Problem, plan: Plan) -> list[Violation]:
    """Whose plan it is, and whose routes."""
    found = []
    if (plan.depot_id, plan.version) != (problem.depot_id, problem.version + 1):
        found.append(Violation("another_plan", plan.depot_id, f"it is version {plan.version} of depot {plan.depot_id}"))
    people = {crew.shift_id: (crew.driver_id, crew.vehicle_id) for crew in problem.crews}
    for shift, times in Counter(route.shift_id for route in plan.routes).items():
        if times > 1:
            found.append(Violation("route_twice", shift, f"the shift has {times} routes"))
    for route in plan.routes:
        if people.get(route.shift_id) not in (None, (route.driver_id, route.vehicle_id)):
            found.append(Violation("wrong_crew", route.shift_id, f"the shift is not of {route.driver_id} with {route.vehicle_id}"))
    return found


def _times(way: Way, planned: Sequence[PlannedStop]) -> list[Violation]:
    """Nothing is planned at another time than it can be driven to."""
    found = []
    for passed, stop in zip(way.stops, planned, strict=False):
        real = (passed.reached, passed.begun, passed.left)
        if real != (stop.arrive, stop.begin, stop.leave):
            found.append(Violation("times", stop.stop_id, "it would be reached at {}, begun at {} and left at {}".format(*real)))
    return found


def _told(way: Way, route: Route) -> list[Violation]:
    """What a route tells of rests, and of where it ends, is what it comes to."""
    problem, crew, ids = way.problem, way.crew, [stop.task.stop_id for stop in way.stops]
    spots = crew.break_places or (None,) * len(crew.breaks)
    real: list[tuple[int, int, int, bool, Location | None]] = [(*halt, True, None) for halt in way.halts]
    real += [(rest.before, rest.start, rest.start + one.duration, False, None if spot is None else problem.places[spot].location)
             for rest, one, spot in zip(way.rests, crew.breaks, spots, strict=False)]  # fmt: skip
    rests = sorted(((start, end, None if before == len(ids) else ids[before], driving, where)
                    for before, start, end, driving, where in real if ids), key=repr)  # fmt: skip
    told = sorted(((rest.start, rest.end, rest.before, rest.driving, rest.location) for rest in route.rests), key=repr)
    found = [] if rests == told else [Violation("rests", crew.shift_id, f"it rests {rests}, not {told}")]
    ends = {problem.places[end].location for end in crew.end_places
            if ids and _leg(problem, way.origin[0], end, way.origin[1]) == way.home}  # fmt: skip
    if (route.end is None) != (not ends) or (ends and route.end not in ends):
        found.append(Violation("end", crew.shift_id, f"it ends at {sorted(map(str, ends))}, not {route.end}"))
    return found


def _figures(problem: Problem, plan: Plan, ways: list[Way]) -> list[Violation]:
    """What a plan that keeps all rules says of itself."""
    changes_cost, moved, resequenced = _changes(problem, ways)
    shifted = sum(stop.task.promised is not None and stop.begun > stop.task.promised for way in ways for stop in way.stops)
    found = []
    cost, parts = _cost(problem, ways) + changes_cost, sum(plan.costs.values())
    if not cost == plan.cost == parts:
        found.append(Violation("cost", problem.depot_id, f"the plan costs {cost} but says {plan.cost}, and {parts} in parts"))
    if (moved, resequenced, shifted) != (plan.moved, plan.resequenced, plan.shifted):
        told = f"{moved} moved, {resequenced} resequenced, {shifted} shifted stops"
        found.append(Violation("disruption", problem.depot_id, told))
    return found


def _served_once(problem: Problem, plan: Plan, tasks: dict[str, Task]) -> list[Violation]:
    found = []
    done = {stop for crew in problem.crews for stop in crew.done}
    times = Counter(stop.stop_id for route in plan.routes for stop in route.stops)
    reasons = {item.order_id: item.reasons for item in plan.unassigned}
    for stop, task in tasks.items():
        if times[stop] > 1:
            found.append(Violation("served_twice", stop, f"it is in the plan {times[stop]} times"))
        other = None if task.pair is None else problem.tasks[task.pair].stop_id
        if times[stop] and task.order_id in reasons and (other is None or times[other]):
            found.append(Violation("served_and_unassigned", stop, "it is in a route and unassigned"))
        if not times[stop] and not reasons.get(task.order_id) and task.reload_of is None:
            found.append(Violation("lost", stop, "it is in no route and has no reason"))
    known = {task.order_id for task in problem.tasks}
    found += [Violation("unknown_order", order, "no such open order") for order in reasons if order not in known]
    found += [Violation("unknown_stop", stop, "no such open order") for stop in times if stop not in tasks and stop not in done]
    return found


def _prefix_kept(problem: Problem, crew: Crew, ids: list[str]) -> list[Violation]:
    fixed = [*crew.done, *(problem.tasks[task].stop_id for task in crew.frozen)]
    if ids[: len(fixed)] == fixed:
        return []
    return [Violation("prefix_changed", crew.shift_id, f"it must begin with {fixed}, not {ids[: len(fixed)]}")]


def _way(problem: Problem, crew: Crew, ahead: list[tuple[Task, PlannedStop]]) -> Way:
    """What a crew would do, from the facts."""
    stops: list[Passed] = []
    at, clock = crew.place, crew.ready
    must_end, bare = crew.shift_end + crew.overtime, (0, 0)
    if crew.limits.duration is not None:
        must_end = min(must_end, crew.limits.duration + (crew.ready if crew.left_at is None else crew.left_at))
    rests = _Rests(problem, crew)
    for position in range(len(ahead) + 1):
        if position == len(crew.frozen):  # what no plan could change is not held against this one
            free = rests.twin()
            over, last = (clock, _home(problem, crew, at, clock)) if crew.end_place is None else free.home(at, clock, position)
            must_end, aside = max(must_end, over), [rest for rest in free.taken if rest.before == position]
            bare = (last[0] + sum(rest.seconds for rest in aside), last[1] + sum(rest.metres for rest in aside))
        if position == len(ahead):
            break
        task, planned = ahead[position]
        current = position == 0 and crew.departed and bool(crew.frozen)
        if current:
            seconds, metres = _leg(problem, at, task.place, clock)
            reached, rests.wheel = clock + seconds, rests.at_most(rests.wheel + seconds)
        else:
            reached, (seconds, metres), at = rests.reach(position, at, clock, task)
        if current and not crew.serving and reached < problem.now:
            reached = problem.now
        ready = reached
        if current and crew.serving:
            ready += crew.setup
        elif at != task.place:
            ready += task.setup_time
        if task.not_before is not None and ready < task.not_before:
            ready = task.not_before
        begun, late = ready, 0
        if task.windows:
            usable = [window for window in task.windows if window.end >= ready]
            begun = max(ready, usable[0].start) if usable else ready
            late = 0 if usable else ready - max(window.end for window in task.windows)
        left = begun + task.service_time
        if current and left < problem.now:
            left = problem.now
        stops.append(Passed(task, seconds, metres, reached, begun, left, late, planned.late_by))
        at, clock = task.place, left
        if position < len(crew.frozen):
            rests.settle(left, at)
    over, home = (clock, (0, 0)) if crew.end_place is None else rests.home(at, clock, len(stops))
    return Way(problem, crew, tuple(stops), home, over, must_end, bare, tuple(rests.taken), tuple(rests.halts), rests.origin)


class _Rests:
    """The breaks that a crew has to take and the rests it needs at the wheel, as it goes along its way."""

    def __init__(self, problem: Problem, crew: Crew) -> None:
        spots = crew.break_places or (None,) * len(crew.breaks)
        self.problem, self.crew, self.limits = problem, crew, crew.limits
        self.waiting = list(zip(crew.breaks, spots, strict=True))
        self.wheel = self.at_most(crew.wheel)
        self.taken: list[Rested] = []
        self.halts: list[tuple[int, int, int]] = []
        self.origin = (crew.place, crew.ready)
        self.settle(crew.ready, crew.place)

    def twin(self) -> _Rests:
        """The same up to here, for another way on."""
        other = copy.copy(self)
        other.waiting, other.taken, other.halts = list(self.waiting), list(self.taken), list(self.halts)
        return other

    def at_most(self, wheel: int) -> int:
        """What is beyond the longest stretch can be mended no more."""
        return wheel if self.limits.stretch is None or wheel < self.limits.stretch else self.limits.stretch

    def settle(self, clock: int, at: int) -> None:
        """Only from here on a plan can do otherwise."""
        self.known = (clock, at, self.wheel)

    def reach(self, position: int, at: int, clock: int, task: Task) -> tuple[int, tuple[int, int], int]:
        """When a stop is reached, the leg to it, and where that begins."""

        def open_at(moment: int, origin: int) -> int:
            moment += 0 if origin == task.place else task.setup_time
            moment = max(moment, task.not_before if task.not_before is not None else 0)
            later = [max(moment, window.start) for window in task.windows if window.end >= moment]
            return later[0] if later else moment

        return self._go(position, at, clock, lambda origin, then: _leg(self.problem, origin, task.place, then), open_at, task)

    def home(self, at: int, clock: int, position: int) -> tuple[int, tuple[int, int]]:
        """When the way home is over, and its last leg."""
        over, leg, _ = self._go(position, at, clock, lambda origin, then: _home(self.problem, self.crew, origin, then),
                                lambda moment, _: moment, None)  # fmt: skip
        return over, leg

    def _go(self, position: int, at: int, clock: int, leg: Callable[[int, int], tuple[int, int]],
            open_at: Callable[[int, int], int], task: Task | None) -> tuple[int, tuple[int, int], int]:  # fmt: skip
        while self.waiting:
            one, spot = self.waiting[0]
            straight = leg(at, clock)[0]
            begins = open_at(clock + straight + self._standing(self.wheel, straight), at)
            done, comes_back = begins, 0
            if task is not None:
                done += task.service_time
                comes_back = 0 if spot is None else _leg(self.problem, task.place, spot, done)[0]
            aside = (0, 0) if spot is None else _leg(self.problem, at, spot, clock)
            rest = max(one.earliest, clock if spot is None else clock + aside[0] + self._standing(self.wheel, aside[0]))
            onward = straight if spot is None else leg(spot, rest + one.duration)[0]
            idle = rest <= one.latest and rest + one.duration + onward <= begins
            if not idle and done + comes_back <= one.latest:
                break
            self.waiting.pop(0)
            since, origin, wheel = self.known
            there = 0 if spot is None else _leg(self.problem, origin, spot, since)[0]
            soonest = since + there + (0 if spot is None else self._standing(wheel, there))
            self.taken.append(Rested(position, rest, max(one.latest, soonest), *aside))
            if spot is not None:
                self._turn(position, clock, aside[0])
            clock, at = rest + one.duration, at if spot is None else spot
            if one.duration >= self.limits.rest:
                self.wheel = 0
            if rest == soonest:
                self.settle(clock, at)
        last, self.origin = leg(at, clock), (at, clock)
        self._turn(position, clock, last[0])
        return clock + last[0] + self._stood(position, clock), last, at

    def _turn(self, position: int, clock: int, seconds: int) -> None:
        """Drive for so long from now on, and halt where that has lasted for too long."""
        while self.limits.stretch is not None and self.wheel + seconds > self.limits.stretch:
            gone = self.limits.stretch - self.wheel
            clock, seconds, self.wheel = clock + gone + self.limits.rest, seconds - gone, 0
            self.halts.append((position, clock - self.limits.rest, clock))
        self.wheel += seconds

    def _stood(self, position: int, since: int) -> int:
        """How long it has halted before a stop since then."""
        return sum(end - begin for before, begin, end in self.halts if before == position and begin >= since)

    def _standing(self, wheel: int, seconds: int) -> int:
        wheel, stood = wheel + seconds, 0
        while self.limits.stretch is not None and wheel > self.limits.stretch:
            wheel, stood = wheel - self.limits.stretch, stood + self.limits.rest
        return stood


def _home(problem: Problem, crew: Crew, at: int, clock: int) -> tuple[int, int]:
    """Seconds and metres to where the shift ends, or to the nearest of the places where it may."""
    return min(_leg(problem, at, end, clock) for end in crew.end_places or (crew.end_place,))


def _leg(problem: Problem, a: int, b: int | None, at: int) -> tuple[int, int]:
    """Seconds and metres; none to an open end. By the hour, each period drives its part of the way."""
    if b is None:
        return 0, 0
    if problem.hours is None:
        return int(problem.matrix.seconds[a, b]), int(problem.matrix.metres[a, b])
    starts, matrices = problem.hours.starts, problem.hours.matrices
    second = (at - problem.hours.midnight) % 86_400
    period = max((p for p in range(len(starts)) if starts[p] <= second), default=len(starts) - 1)
    metres, share, gone = int(matrices[period].metres[a, b]), 1.0, 0.0
    if int(matrices[0].seconds[a, b]) >= NO_WAY:
        return NO_WAY, metres
    while True:
        until = (starts[(period + 1) % len(starts)] - second) % 86_400 or 86_400
        whole = int(matrices[period].seconds[a, b])
        if share * whole <= until:
            return -int(-(gone + share * whole - 1e-6) // 1), metres
        share, gone = share - until / whole, gone + until
        second, period = (second + until) % 86_400, (period + 1) % len(starts)


def _cost(problem: Problem, ways: list[Way]) -> int:
    """What a plan that keeps all rules costs, in seconds of driving."""
    policy, cost = problem.policy, 0
    for way in ways:
        crew = way.crew
        if not way.stops and not crew.departed:
            continue
        cost += crew.costs.fixed
        for seconds, metres in [*((stop.seconds, stop.metres) for stop in way.stops), way.home,
                                *((rest.seconds, rest.metres) for rest in way.rests)]:  # fmt: skip
            cost += seconds * crew.costs.per_hour // 3600 + metres * crew.costs.per_km // 1000
        for stop in way.stops:
            price = stop.late * (policy.late_price * (stop.task.priority + 10) // 10)
            if stop.task.promised is not None and stop.begun > stop.task.promised:
                ahead = min(policy.near, max(0, stop.task.promised - problem.now))
                weight = round((policy.near + policy.near - ahead) * policy.promise_price / policy.near)
                price += (stop.begun - stop.task.promised) * weight
            cost += min(CAP, price)
        if way.over > crew.shift_end:
            cost += min(CAP, (way.over - crew.shift_end) * policy.overtime_price)
    served = {stop.task.stop_id for way in ways for stop in way.stops}
    left = {task.order_id: task.priority for task in problem.tasks if task.stop_id not in served and task.reload_of is None}
    return cost + sum(LEFT_OUT * (priority + 10) // 10 for priority in left.values())


def _changes(problem: Problem, ways: list[Way]) -> tuple[int, int, int]:
    """What changing the plan in force costs, and how many stops of drivers on the road are moved and resequenced."""
    policy, cost, moved, resequenced = problem.policy, 0, 0, 0
    place: dict[str, tuple[str, str | None, int]] = {}
    for crew in problem.crews:
        if crew.departed:
            route = [problem.tasks[task] for task in (*crew.frozen, *crew.base)]
            before: str | None = None
            planned = [(task, PlannedStop(task.stop_id, 0, 0, 0)) for task in route]
            for position, stop in enumerate(_way(problem, crew, planned).stops):
                if position >= len(crew.frozen):
                    place[stop.task.stop_id] = (crew.shift_id, before, stop.begun)
                before = stop.task.stop_id
    served = {stop.task.stop_id for way in ways for stop in way.stops} | {
        task.stop_id for task in problem.tasks if task.reload_of is not None}  # fmt: skip
    moved += len(place.keys() - served)
    for way in ways:
        previous: Passed | None = None
        older: str | None = None
        for number, stop in enumerate(way.stops):
            shift, before, begin = place.get(stop.task.stop_id, (None, None, 0))
            if shift is not None:
                ahead = min(policy.near, max(0, begin - problem.now))
                behind_new = previous is not None and previous.task.stop_id != older
                if shift != way.crew.shift_id:
                    moved += 1
                    cost += policy.move_price * (2 * policy.near - ahead) // policy.near
                elif before != older:
                    resequenced += 1
                    if not behind_new:
                        cost += policy.reorder_price * (2 * policy.near - ahead) // policy.near
            if shift is not None or number < len(way.crew.frozen):
                older = stop.task.stop_id
            previous = stop
    return cost, moved, resequenced
