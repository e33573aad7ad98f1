"""A problem as the kernel's flat arrays, and its routes back as a solution.

`Arrays` keeps nothing of an earlier search: it may be used for one after another.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from routing.model import OrderKind, RelationKind, Turn
from routing.roads.travel import UNREACHABLE
from routing.solve import kernel as k
from routing.solve.alike import recognized
from routing.solve.evaluation import bars, evaluate, unassigned_price
from routing.solve.pauses import Wheel
from routing.solve.problem import Crew, Problem, Solution, Task, of_routes
from routing.solve.rules.capacity import after_prefix, collected
from routing.solve.rules.changes import held
from routing.solve.rules.limits import limited, room
from routing.solve.rules.pins import rank as rank_of
from routing.solve.rules.windows import late_weight, promise_weight
from routing.solve.stopping import Stop, Stopped, never, slices
from routing.solve.tour import deadline, tour, walk

NEAR = 50
"""Neighbours next to which a task is tried: those that can best be its neighbours in time, too."""
AROUND = 200
"""Neighbours whose routes a ruin reaches: the nearest on the road."""


OF_LATER = {RelationKind.NOT_TOGETHER: k.APART, RelationKind.AFTER: k.AFTER}
OF_SOONER = {RelationKind.NOT_TOGETHER: k.APART, RelationKind.AFTER: k.AHEAD, RelationKind.DIRECTLY_AFTER: k.IN_FRONT}
"""What a relation is to the kernel, for either of the two that it is between."""


class Arrays:
    """The kernel's view of a problem.

    Parameters
    ----------
    neighbours
        Whether the search is to be run: a repair needs no neighbour lists.
    stop
        Asked every few milliseconds while they are made.

    Raises
    ------
    Stopped
        If `stop` says so.
    """

    def __init__(self, problem: Problem, *, neighbours: bool = True, stop: Stop = never) -> None:
        self.problem = problem
        self.wheels = [Wheel(crew) if crew.rests else None for crew in problem.crews]
        self.prefixes = [walk(problem, crew, crew.frozen, wheel) for crew, wheel in zip(problem.crews, self.wheels, strict=True)]
        self.zero = min([problem.now, *(crew.ready for crew in problem.crews)]) - 1
        self.tasks = sorted((number for number in range(len(problem.tasks)) if number not in problem.fixed),
                            key=lambda number: problem.tasks[number].reload_of is not None)  # fmt: skip
        self.number = {task: u for u, task in enumerate(self.tasks)}
        self._fill(neighbours, stop)
        self.constant = self._constant()

    @property
    def apart(self) -> bool:
        """Whether no rule is about several routes: then routes of different plans may stand side by side."""
        return not self.rules & (k.RELATED | k.RELOADED) and self.problem.policy.max_moves_per_driver is None

    def _fill(self, neighbours: bool, stop: Stop) -> None:
        problem, n, crews = self.problem, len(self.tasks), len(self.problem.crews)
        tasks = [problem.tasks[number] for number in self.tasks]
        axes = len(problem.dimensions)
        self.node = np.zeros((n + 2 * crews, 16), np.int32)
        self.price = np.zeros((n + 2 * crews, k.CHANGES + 2 * axes), np.int64)
        self.price[:, [k.LATE_FROM, k.PROMISE]] = k.BEYOND
        self.price[:, [k.PAIR, k.MATES]] = -1
        self.node[:, k.WINDOW] = self.node[:, k.OWNER] = self.node[:, k.BEFORE] = -1
        self.node[:, k.DUE] = k.BEYOND
        kinds, reloads = {task.kind for task in tasks if any(task.demand)}, any(crew.reloads for crew in problem.crews)
        self.mixed = {OrderKind.COLLECTION, OrderKind.DELIVERY} <= kinds or reloads
        self.rows: list[tuple[int, int]] = []
        self.resting: dict[tuple[tuple[int, int], ...], int] = {}
        self._tasks(tasks, axes)
        self.rules = (k.LIMITED * any(limited(crew) or crew.rests for crew in problem.crews)
                      + k.NUMBERED * bool((self.price[:, k.NUMBER] % k.END).any()) + k.RELOADED * reloads)  # fmt: skip
        self.crew = np.zeros((crews, k.AMOUNTS + 2 * axes + k.LIMITS * bool(self.rules & k.LIMITED)), np.int64)
        places = self._crews(axes)
        self._owners()
        self.bar = bars(problem, self.tasks)
        self._relations()
        self._legs(tasks, places, stop)
        for v in range(crews):
            if self.crew[v, k.ROAD]:
                start, end = self.node[n + v, k.LOC], self.node[n + crews + v, k.LOC]
                self.crew[v, k.BASE] = self.matrix[self.crew[v, k.PROFILE], start, end, 0]
        self._kinds()
        self.keys = self._keys(tasks)
        near, self.around = self._neighbours(stop) if neighbours else (np.zeros((n, 0, 3), np.int32), np.zeros((n, 0), np.int32))
        self.constants = k.Fixed(
            n, crews, axes, bool((self.price[:, k.LATE] + self.price[:, k.SHIFTED]).any()), self.mixed, self.stable,
            bool(self.bar.any()), bool((self.price[:, k.PAIR] >= 0).any()),
            self.rules, self.kinds, self.matrix, self.price,
            np.array([*self.rows, (0, -1)], np.int32), self.bar, near)  # fmt: skip
        size = n + 2 * crews
        self.live = k.Live(
            self.node, self.crew, np.zeros(k.SPARE + self.kinds, np.int64), np.zeros((7, size), np.int32),
            np.zeros((size, 9), np.int32), np.zeros((crews, 5 + axes), np.int64),
            np.zeros((size if self.mixed else 0, axes, 3), np.int32), np.ones(1, np.uint64))  # fmt: skip

    def _tasks(self, tasks: Sequence[Task], axes: int) -> None:
        n = len(tasks)
        node, price = self.node[:n], self.price[:n]
        node[:, k.LOC] = np.arange(n)
        node[:, k.SERVICE] = [task.service_time for task in tasks]
        node[:, k.CLOSE] = k.BEYOND
        price[:, k.LEFT_OUT] = [unassigned_price(task) if task.reload_of is None else 0 for task in tasks]
        price[:, k.GOODS] = [k.RELOAD if task.reload_of is not None else k.AT_DEPOT if task.at_depot
                             else k.TO_DEPOT if task.to_depot else 0 for task in tasks]  # fmt: skip
        simple = [u for u, task in enumerate(tasks) if len(task.windows) == 1 and task.not_before is None]
        self._one_window(simple, [tasks[u] for u in simple])
        for u, task in enumerate(tasks):
            if len(task.windows) > 1 or task.not_before is not None:
                self._windows(u, task)
            if task.promised is not None:
                price[u, k.PROMISE] = min(max(task.promised - self.zero, -k.BEYOND), k.BEYOND)
                price[u, k.SHIFTED] = promise_weight(self.problem, task)
                node[u, k.DUE] = min(node[u, k.DUE], price[u, k.PROMISE])
            if task.pair in self.number:
                price[u, k.PAIR] = self.number[task.pair]
                if task.second:
                    price[u, k.SECOND], price[u, k.LEFT_OUT] = 1, 0
            if task.position is not None:
                price[u, k.NUMBER] = task.position if isinstance(task.position, int) else k.END * (task.position is Turn.LAST)
            if task.kind is OrderKind.COLLECTION:
                price[u, k.CHANGES : k.CHANGES + axes] = task.demand
            elif task.at_depot:
                price[u, k.CHANGES : k.CHANGES + axes] = [-amount for amount in task.demand]
                price[u, k.CHANGES + axes :] = task.demand
            elif task.kind is OrderKind.DELIVERY and self.mixed:  # aboard; where nothing joins, it weighs on nothing
                price[u, k.CHANGES : k.CHANGES + axes] = [-amount for amount in task.demand]

    def _one_window(self, rows: Sequence[int], tasks: Sequence[Task]) -> None:
        """The same as `_windows` for all tasks at once that have one and nothing else: most of them."""
        if not rows:
            return
        node, price = self.node, self.price
        spans = [(window.start, window.end) for task in tasks for window in task.windows]
        start, end = (np.array(spans, np.int64) - self.zero).T
        soft = np.array([not task.hard for task in tasks])
        over = ~soft & (end < 0)
        node[rows, k.OPEN] = np.where(over, 0, np.clip(start, -k.BEYOND, k.BEYOND))
        node[rows, k.CLOSE] = np.where(over, -k.BEYOND, np.where(soft, k.BEYOND, np.minimum(end, k.BEYOND)))
        late = np.array(rows)[soft]
        node[late, k.DUE] = price[late, k.LATE_FROM] = np.clip(end[soft], -k.BEYOND, k.BEYOND)
        price[late, k.LATE] = [late_weight(self.problem, task) for task in tasks if not task.hard]

    def _windows(self, u: int, task: Task) -> None:
        """When service may begin, from the moments a crew is ready for it; after the last window too where that is soft."""
        node, earliest = self.node, -k.BEYOND if task.not_before is None else task.not_before - self.zero
        windows = [(window.start - self.zero, window.end - self.zero) for window in task.windows] or [(earliest, k.BEYOND)]
        last = windows[-1][1]
        if not task.hard and task.windows:
            node[u, k.DUE] = self.price[u, k.LATE_FROM] = max(min(last, k.BEYOND), -k.BEYOND)
            self.price[u, k.LATE] = late_weight(self.problem, task)
            windows[-1:] = [(windows[-1][0], k.BEYOND)] if len(windows) == 1 else [windows[-1], (last + 1, k.BEYOND)]
        windows = [(max(start, earliest), min(end, k.BEYOND)) for start, end in windows if end >= max(earliest, 0)]
        if not windows:
            node[u, [k.OPEN, k.CLOSE]] = 0, -k.BEYOND
            return
        node[u, [k.OPEN, k.CLOSE]] = min(windows[0][0], k.BEYOND), windows[-1][1]
        if len(windows) > 1:
            node[u, k.WINDOW] = len(self.rows)
            self.rows += [*windows, (0, -1)]

    def _crews(self, axes: int) -> list[int]:
        """Fill in starts and ends; returns the matrix place of each row of the kernel's matrix, -1 for an open end."""
        problem, n, count = self.problem, len(self.tasks), len(self.problem.crews)
        places = [problem.tasks[number].place for number in self.tasks]
        row: dict[int, int] = {}
        most = problem.policy.max_moves_per_driver
        for v, (crew, prefix) in enumerate(zip(problem.crews, self.prefixes, strict=True)):
            start = problem.tasks[prefix[-1].task].place if prefix else crew.place
            for x, place in ((n + v, start), (n + count + v, -1 if crew.end_place is None else crew.end_place)):
                if place not in row:
                    row[place] = len(places)
                    places.append(place)
                self.node[x, k.LOC] = row[place]
            ready = (prefix[-1].leave if prefix else crew.ready) - self.zero
            self.node[n + v, [k.OPEN, k.CLOSE]] = ready, k.BEYOND
            ends, end = deadline(problem, crew), n + count + v
            self.node[end, k.CLOSE] = min(ends - self.zero, k.BEYOND)
            if ends > crew.shift_end:
                self.node[end, k.DUE] = self.price[end, k.LATE_FROM] = crew.shift_end - self.zero
                self.price[end, k.LATE] = problem.policy.overtime_price
            self.crew[v, k.ROAD] = int(crew.departed or bool(crew.frozen))
            self.crew[v, k.FIXED] = 0 if self.crew[v, k.ROAD] else crew.costs.fixed
            self.crew[v, k.BEHIND] = len(crew.done) + len(crew.frozen)
            self.crew[v, k.MOST_MOVES] = k.BEYOND if most is None or not crew.departed else most
            loads, reloaded = after_prefix(problem, crew), any(problem.tasks[number].reload_of for number in crew.frozen)
            self.crew[v, k.LOADS] = int(not crew.departed or reloaded)
            self.price[n + v, k.CHANGES : k.CHANGES + axes] = collected(problem, crew)
            if self.rules & k.LIMITED:
                self.crew[v, [k.MOST_STOPS - k.LIMITS, k.MOST - k.LIMITS, k.MOST + 1 - k.LIMITS]] = room(problem, crew)
                self.crew[v, k.RESTS - k.LIMITS] = self._rests(crew, self.wheels[v], row, places)
            space = [capacity - load for capacity, load in zip(crew.capacity, loads, strict=True)]
            self.crew[v, k.AMOUNTS + axes : k.AMOUNTS + 2 * axes] = space
        return places

    def _rests(self, crew: Crew, wheel: Wheel | None, row: dict[int, int], places: list[int]) -> int:
        """The row of `rows` where a crew's rests stand, the same for all who have the same; -1 for none. Their places get rows."""
        if wheel is None:
            return -1
        stretch = k.BEYOND if crew.limits.stretch is None else crew.limits.stretch
        rows = [(stretch, crew.limits.rest), (wheel.since, int(crew.end_place is not None))]
        spots = crew.break_places or (None,) * len(crew.breaks)
        for one, spot in list(zip(crew.breaks, spots, strict=True))[wheel.taken :]:
            if spot is not None and spot not in row:
                row[spot] = len(places)
                places.append(spot)
            first, last = (min(max(moment - self.zero, 0), k.BEYOND) for moment in (one.earliest, one.latest))
            rows += [(first, last), (one.duration, 0 if spot is None else row[spot] + 1)]
        key = tuple([*rows, (0, -1)])
        if key not in self.resting:
            self.resting[key] = len(self.rows)
            self.rows += key
        return self.resting[key]

    def _relations(self) -> None:
        """What of a task's relations binds it to others that may still be placed, as rows."""
        problem, n = self.problem, len(self.tasks)
        if not problem.relations:
            return
        starts = {crew.frozen[-1]: n + v for v, crew in enumerate(problem.crews) if crew.frozen}
        rows: dict[int, list[tuple[int, int]]] = {}
        for kind, task, other in problem.relations:
            a, b = self.number.get(task), self.number.get(other)
            if a is not None and kind is RelationKind.DIRECTLY_AFTER and (b is not None or other in starts):
                rows.setdefault(a, []).append((k.BEHIND_IT, starts[other] if b is None else b))
            if a is None or b is None:
                continue
            for u, row in ((a, OF_LATER.get(kind)), (b, OF_SOONER.get(kind))):
                together = [] if kind is RelationKind.NOT_TOGETHER else [(k.TOGETHER, a + b - u)]
                rows.setdefault(u, []).extend([*together, *([] if row is None else [(row, a + b - u)])])
        for u, mine in rows.items():
            self.price[u, k.MATES] = len(self.rows)
            self.rows += [*mine, (-1, -1)]
        self.rules |= k.RELATED * bool(rows)

    def _owners(self) -> None:
        """Who has what in the plan in force, where that binds: drivers on the road."""
        n = len(self.tasks)
        mine = held(self.problem)
        self.stable = bool(mine)
        for task, was in mine.items():
            u = self.number[task]
            self.node[u, k.OWNER], self.node[u, k.BEFORE] = was.crew, n + was.crew
            if was.before in self.number:
                self.node[u, k.BEFORE] = self.number[was.before]
            self.price[u, k.MOVE], self.price[u, k.REORDER] = was.move, was.reorder

    def _legs(self, tasks: Sequence[Task], places: list[int], stop: Stop) -> None:
        """The kernel's matrix: one for each kind of vehicle costs."""
        problem = self.problem
        profiles: dict[tuple[int, int], int] = {}
        for v, crew in enumerate(problem.crews):
            self.crew[v, k.PROFILE] = profiles.setdefault((crew.costs.per_hour, crew.costs.per_km), len(profiles))
        rest = [0] * (len(places) - len(tasks))
        setup = np.array([*(task.setup_time for task in tasks), *rest], np.int64)
        rank = np.array([rank_of(task) for task in tasks] + [-1] * len(rest), np.int64)
        where, seconds, metres = np.array(places, np.int64), problem.matrix.seconds, problem.matrix.metres
        if problem.hours is not None:
            seconds, metres = self._at_their_hours(tasks, where)
        self.matrix = np.empty((max(1, len(profiles)), len(places), len(places), 6 if self.rules & k.LIMITED else 4), np.int32)
        for (per_hour, per_km), number in profiles.items():
            if stop():
                raise Stopped
            k.legs(seconds, metres, where, setup, rank, per_hour, per_km, UNREACHABLE, self.matrix[number])

    def _at_their_hours(self, tasks: Sequence[Task], where: NDArray[np.int64]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Matrices of the hour in which each place will be left, as far as can be told before a plan is made.

        The kernel knows no hours: what it finds is held to them afterwards, see `repair.settle`.
        """
        problem, hours = self.problem, self.problem.hours
        assert hours is not None
        moment = np.full(len(problem.matrix.seconds), problem.now)
        for task in tasks:
            if task.windows:
                moment[task.place] = max(problem.now, (task.windows[0].start + task.windows[-1].end) // 2)
        for crew in problem.crews:
            for visit in walk(problem, crew, crew.frozen + crew.base):
                moment[problem.tasks[visit.task].place] = visit.leave
        period = np.array([hours.period(int(at)) for at in moment])
        rows = np.arange(len(period))
        found = [np.stack([getattr(matrix, name) for matrix in hours.matrices])[period, rows] for name in ("seconds", "metres")]
        return found[0], found[1]

    def _kinds(self) -> None:
        """Crews that are alike as long as they have no stops; and those that would be if nothing barred one and not the other."""
        n, crews = len(self.tasks), self.problem.crews
        starts, ends = self.node[n : n + len(crews)], self.node[n + len(crews) :]
        ending = np.hstack((ends[:, [k.LOC, k.CLOSE, k.DUE]], self.price[n + len(crews) :], self.crew[:, [k.PROFILE]]))
        start = np.hstack((starts[:, [k.LOC, k.OPEN]], self.crew))
        seen: dict[object, int] = {}
        same: dict[object, int] = {}
        endings: dict[object, int] = {}
        self.alike: list[int] = []
        rows = zip(crews, map(bytes, start), map(bytes, ending), map(bytes, self.bar), strict=True)
        for v, (crew, head, tail, bar) in enumerate(rows):
            mine = v if crew.frozen or (crew.departed and crew.base) else -1  # what it has had is cheaper with it
            self.alike.append(same.setdefault((head, tail, mine), len(same)))
            self.crew[v, k.KIND] = seen.setdefault((head, tail, bar, mine), len(seen))
            self.crew[v, k.ENDING] = endings.setdefault(tail, len(endings))
        self.kinds = len(seen)

    def _keys(self, tasks: Sequence[Task]) -> NDArray[np.float64]:
        """(6, n): demand, distance from where crews start, width of the window, its begin, its end; and room to sort by them."""
        n = len(tasks)
        starts = np.unique(self.node[n : n + len(self.problem.crews), k.LOC])
        far = self.matrix[0][np.ix_(starts, np.arange(n))][:, :, 0].min(axis=0) if len(starts) and n else np.zeros(n)
        demand = np.abs(self.price[:n, k.CHANGES : k.CHANGES + len(self.problem.dimensions)]).sum(axis=1)
        ends = np.minimum(self.node[:n, k.CLOSE], self.node[:n, k.DUE]).astype(float)
        opens = self.node[:n, k.OPEN].astype(float)
        return np.ascontiguousarray([demand, far, ends - opens, opens, ends, np.zeros(n)], np.float64).reshape(6, n)

    def _neighbours(self, stop: Stop) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        n = len(self.tasks)
        near = np.empty((n, min(NEAR, max(n - 1, 0)), 3), np.int32)
        around = np.empty((n, min(AROUND, n)), np.int32)
        for first, last in slices(n, stop):
            k.nearest(self.matrix, self.node, near, around, first, last)
        return near, around

    def _constant(self) -> int:
        """The price of what no search changes: the frozen prefixes, without their ways home."""
        cost = 0
        for v, crew in enumerate(self.problem.crews):
            if self.crew[v, k.ROAD] and not crew.frozen:
                cost += crew.costs.fixed
            elif self.crew[v, k.ROAD]:
                prefix = evaluate(self.problem, crew, crew.frozen)
                home = tour(self.problem, crew, crew.frozen).legs(len(crew.frozen))
                cost += prefix.cost - prefix.parts["overtime"] - sum(
                    seconds * crew.costs.per_hour // 3600 + metres * crew.costs.per_km // 1000 for seconds, metres in home)
        return cost

    @cached_property
    def base(self) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """The plan in force, for `kernel.begin_with`."""
        return self.sequence([crew.base for crew in self.problem.crews])

    def sequence(self, routes: Sequence[Sequence[int]]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Routes of tasks, without their frozen prefixes, for `kernel.begin_with`."""
        nodes = [self.number[task] for route in routes for task in route]
        return np.array(nodes, np.int32), np.cumsum([0, *map(len, routes)]).astype(np.int32)

    def twin(self) -> Arrays:
        """The same problem in the same state, for a search of its own beside this one."""
        other = copy.copy(self)
        other.live, other.keys = k.Live(*map(np.copy, self.live)), self.keys.copy()
        other.constants = self.constants._replace(price=self.price.copy())  # of reloads it changes while they are looked at
        return other

    def go_on_from(self, solution: Solution) -> None:
        """Search on from a solution; the best so far stays the best, unless this is better."""
        kept, best = self.live.lists[[k.BEST_NEXT, k.BEST_LEFT_OUT]].copy(), self.live.total[[k.BEST, k.BEST_LEFT]].copy()
        routes = [route[len(crew.frozen) :] for crew, route in zip(self.problem.crews, solution.routes, strict=True)]
        left = k.begin_with(self.constants, self.live, *self.sequence(routes))
        self.live.lists[k.LEFT_NOW, :left] = self.live.lists[k.GONE, :left]
        self.live.total[k.LEFT] = left
        k.keep_best(self.constants, self.live)
        if self.live.total[k.BEST] > best[0]:
            self.live.lists[[k.BEST_NEXT, k.BEST_LEFT_OUT]] = kept
            self.live.total[[k.BEST, k.BEST_LEFT]] = best

    def routes_now(self) -> list[tuple[tuple[int, ...], int]]:
        """The routes as they are, without what is frozen, and what each costs; of crews without stops what they cost so."""
        n, following = len(self.tasks), self.live.node[:, k.NEXT].tolist()
        found = []
        for v in range(len(self.problem.crews)):
            route, x = [], following[n + v]
            while x < n:
                route.append(self.tasks[x])
                x = following[x]
            found.append((tuple(route), int(k.route_price(self.constants, self.live, v) + self.live.crew[v, k.LATENESS])))
        return found

    def solution(self) -> Solution:
        """The best routes that the kernel has seen."""
        n, following = len(self.tasks), self.live.lists[k.BEST_NEXT].tolist()
        routes = []
        for v, crew in enumerate(self.problem.crews):
            route, x = list(crew.frozen), following[n + v]
            while x < n:
                route.append(self.tasks[x])
                x = following[x]
            routes.append(tuple(route))
        routes = self.recognized(routes)
        return of_routes(self.problem, routes)

    def recognized(self, routes: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
        """Routes, given out so that nobody swaps for nothing; see `alike`."""
        bars_ = np.zeros((len(self.problem.crews), max(1, len(self.problem.tasks))), np.uint8)
        bars_[:, self.tasks] = self.bar[:, : len(self.tasks)]
        return recognized(self.problem, self.alike, bars_, routes)

    @property
    def now(self) -> int:
        """The price of the routes as they are, without what no search changes."""
        return int(self.live.total[k.COSTS])

    @property
    def cost(self) -> int:
        """The price of the best routes, as `evaluation.total` has it."""
        return int(self.live.total[k.BEST]) + self.constant

