"""When a driver rests: what a route's order of stops and the rules of a shift come to, by one policy for all engines.

A break is taken as late as it may begin, between two stops; sooner where the driver would wait that long anyway. It is not needed
where work is over by then. One at a place is driven to. Driving is interrupted, anywhere on the way, when it has lasted for as long
as it may. A break that is as long as such a rest counts as one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from routing.solve.problem import Crew, Problem


@dataclass(frozen=True, slots=True)
class Pause:
    """A rest (depot s), before a position of a route; `late_by` is how much later than it may, and could, a break begins.

    One from driving is `on_the_way` there. One at a `place` is driven to for so many `seconds` and `metres`.
    """

    before: int
    start: int
    end: int
    late_by: int = 0
    on_the_way: bool = False
    place: int | None = None
    seconds: int = 0
    metres: int = 0


@dataclass(slots=True)
class Wheel:
    """A crew on its way: how many breaks are behind it, and for how long it has driven since the last rest.

    From `floor` on, at `spot`, after `behind` seconds at the wheel, a plan could do anything: what is missed before that, or could
    not be reached from there, is not held against it.
    """

    crew: Crew
    taken: int = 0
    since: int = 0
    floor: int = -1
    spot: int = -1
    behind: int = 0
    pauses: list[Pause] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.turn(self.crew.wheel)
        self.free_from(self.crew.ready, self.crew.place)

    def free_from(self, time: int, place: int) -> None:
        """Nothing before can be changed."""
        self.floor, self.spot, self.behind = time, place, self.since

    def turn(self, seconds: int) -> None:
        """Drive for so long without a rest: beyond what may be, there is nothing to be done about it any more."""
        stretch = self.crew.limits.stretch
        self.since = self.since + seconds if stretch is None else min(self.since + seconds, stretch)

    def drive(self, problem: Problem, position: int, way: tuple[int, int], time: int, begin: Callable[[int, int], int],
              service: int | None) -> tuple[int, int, tuple[int, int]]:  # fmt: skip
        """The arrival after a leg that is left for at `time`, rests taken before and on the way; where it began, seconds, metres.

        `begin` says when service of the next stop, which lasts for `service`, begins for who arrives then from a place; going home
        there is none.
        """
        place, to = way
        while self.taken < len(self.crew.breaks):
            one, spot = self.crew.breaks[self.taken], self.crew.break_places[self.taken] if self.crew.break_places else None
            straight = problem.leg(place, to, time)[0]
            soonest = begin(time + straight + self._rested(straight), place)
            over = soonest + (service or 0)
            there, reach, onward, back = (0, 0), time, straight, 0
            if spot is not None:
                there = problem.leg(place, spot, time)
                reach = time + there[0] + self._rested(there[0])
                onward = problem.leg(spot, to, max(reach, one.earliest) + one.duration)[0]
                back = 0 if service is None else problem.leg(to, spot, over)[0]
            start = max(reach, one.earliest)
            waits = start <= one.latest and start + one.duration + onward <= soonest
            if over + back <= one.latest and not waits:
                break
            possible = self._possible(problem, spot)
            if spot is not None:
                self._interrupt(position, time, there[0])
            self.pauses.append(Pause(position, start, start + one.duration, max(0, start - max(one.latest, possible)),
                                     place=spot, seconds=there[0], metres=there[1]))  # fmt: skip
            time, place, self.taken = start + one.duration, place if spot is None else spot, self.taken + 1
            if one.duration >= self.crew.limits.rest:
                self.since = 0
            if start == possible:
                self.free_from(time, place)
        seconds, metres = problem.leg(place, to, time)
        return time + seconds + self._interrupt(position, time, seconds), place, (seconds, metres)

    def _possible(self, problem: Problem, spot: int | None) -> int:
        """When a rest could begin at the soonest."""
        if spot is None:
            return self.floor
        seconds = problem.leg(self.spot, spot, self.floor)[0]
        return self.floor + seconds + self._count(seconds, self.behind) * self.crew.limits.rest

    def _interrupt(self, position: int, time: int, seconds: int) -> int:
        """Drive for so long, and rest where that is too long; how long these rests are together."""
        limits, rested = self.crew.limits, self._rested(seconds)
        if limits.stretch is None:
            return 0
        count, at = self._count(seconds, self.since), time + limits.stretch - self.since
        for number in range(count):
            begins = at + number * (limits.stretch + limits.rest)
            self.pauses.append(Pause(position, begins, begins + limits.rest, on_the_way=True))
        self.since += seconds - count * limits.stretch
        return rested

    def _rested(self, seconds: int) -> int:
        """How long a leg is interrupted, that takes so many seconds of driving."""
        return self._count(seconds, self.since) * self.crew.limits.rest

    def _count(self, seconds: int, since: int) -> int:
        stretch = self.crew.limits.stretch
        return 0 if stretch is None else max(0, -(-(since + seconds) // stretch) - 1)
