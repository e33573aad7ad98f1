"""A depot's snapshot as the problem that engines solve, offers are matched in, and forecasts look ahead in."""

from __future__ import annotations

from dataclasses import replace

from ingest.settings import Settings
from routing.eta.forecast import with_overruns
from routing.model import Snapshot
from routing.solve.problem import Problem, build
from workers import learned, travel


def problem_of(settings: Settings, snapshot: Snapshot, *, at: float, freeze: float = 0.0,
               aside: bool = False) -> tuple[Problem, set[str]]:  # fmt: skip
    """The problem at a real time (s), and the stops whose legs new roads have touched.

    What begins within `freeze` real seconds stays as it is. What is kept of roads `aside` takes no place from the real ones.
    """
    clock = snapshot.depot.clock
    now = clock.depot(at)
    roads = travel.of(settings, snapshot, now)
    if aside:
        roads = replace(roads, depot_id=f"{roads.depot_id}~")
    problem = build(learned.applied(settings, snapshot), roads.matrix, roads.free_flow, now=now,
                    freeze=round(freeze * clock.scale), hours_of=roads.hours)  # fmt: skip
    problem = with_overruns(problem, learned.of(settings, snapshot.depot.id), stated=learned.stated(snapshot))
    return replace(problem, road_state=roads.day.overlay.state()), travel.touched(roads, snapshot, problem)
