"""When a driver rests: what a route's order of stops and the rules of a shift come to, by one policy for all engines.

A break is taken as late as it may begin, between two stops; sooner where the driver would wait that long anyway. It is not needed
where work is over by then. Driving is interrupted, anywhere on the way, when it has lasted for as long as it may. A break that is
as long as such a rest counts as one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from routing.solve.problem import Crew


@dataclass(frozen=True, slots=True)
class Pause:
    """A rest (depot s), before a position of a route; `late_by` is how much later than it may, and could, a break begins.

    One from driving is `on_the_way` there.
    """

    before: int
    start: int
    end: int
    late_by: int = 0
    on_the_way: bool = False


@dataclass(slots=True)
class Wheel:
    """A crew on its way: how many breaks are behind it, and for how long it has driven since the last rest.

    `floor` is the first moment that a plan could use for a rest: what is missed before is not held against it.
    """

    crew: Crew
    taken: int = 0
    since: int = -1
    floor: int = -1
    pauses: list[Pause] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.since, self.floor = self.crew.wheel, self.crew.ready

    def drive(self, position: int, time: int, seconds: int, begin: Callable[[int], int], service: int) -> int:
        """The arrival after a leg that is left for at `time`, rests taken before and on the way.

        `begin` says when service of the next stop, which lasts for `service`, begins for who arrives then.
        """
        limits = self.crew.limits
        while self.taken < len(self.crew.breaks):
            one = self.crew.breaks[self.taken]
            start, soonest = max(time, one.earliest), begin(time + seconds + self._rested(seconds))
            waits = start <= one.latest and start + one.duration + seconds <= soonest
            if soonest + service <= one.latest and not waits:
                break
            self.pauses.append(Pause(position, start, start + one.duration, max(0, start - max(one.latest, self.floor))))
            time, self.taken = start + one.duration, self.taken + 1
            if start == self.floor:
                self.floor = time
            if one.duration >= limits.rest:
                self.since = 0
        rested = self._rested(seconds)
        if limits.stretch is not None:
            count, at = (rested // limits.rest if limits.rest else 0), time + limits.stretch - self.since
            for number in range(count):
                begins = at + number * (limits.stretch + limits.rest)
                self.pauses.append(Pause(position, begins, begins + limits.rest, on_the_way=True))
            self.since += seconds - count * limits.stretch
        return time + seconds + rested

    def _rested(self, seconds: int) -> int:
        """How long a leg is interrupted, that takes so many seconds of driving."""
        limits = self.crew.limits
        if limits.stretch is None:
            return 0
        return max(0, -(-(self.since + seconds) // limits.stretch) - 1) * limits.rest
