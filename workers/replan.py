"""Answer a depot's triggers: snapshot, problem, engine, checker, diff, commit; and again while something is new."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from ingest.settings import Settings
from ingest.store import keys, readers
from ingest.store.connection import Store
from ingest.store.metrics import Tally, count
from routing import codec
from routing.errors import LastlegError
from routing.model import Plan, Snapshot, TriggerKind
from routing.solve import checker, engines
from routing.solve.plan import diff, publishable
from routing.solve.stopping import Stop, never
from workers import commit, districts
from workers.commit import Outcome, Work
from workers.dispatcher import SOON_S
from workers.formulation import problem_of
from workers.found import Found
from workers.lease import TURN_S
from workers.quarantine import Tried

log = logging.getLogger(__name__)

R = TypeVar("R")

AROUND_S = 1.0
"""Real seconds that pass around an improvement's search. Stops driven to by then are frozen; a repair freezes only what has begun:
it is over so soon that the commit may refuse what has begun since."""

REPAIR_BUDGET_S = 0.5
"""Real seconds after which a repair, which takes milliseconds, no longer looks for places for what is left out."""

LEAST_IMPROVE_S = 0.25
"""Real seconds below which a search is hardly worth its preparation."""

MAX_TRIES = 20
"""Refused commits in a row before a job gives up; the sweep then tries in a new one."""


class PlanRefused(LastlegError):
    """The checker refused an engine's plan: a defect, and never published."""

    code = "plan_refused"


def repair(client: Store, settings: Settings, depot_id: str) -> int:
    """Answer all triggers with mended plans; returns how many versions were published.

    Raises
    ------
    PlanRefused
        If the checker refuses a plan; the triggers stay, and so does the plan in force.
    """
    published, until = 0, time.monotonic() + TURN_S
    for _ in range(MAX_TRIES):
        if not _due(client, "repair", depot_id) or (published and time.monotonic() > until):
            break
        begin = time.time()
        snapshot = readers.snapshot(client, depot_id)
        if snapshot is None or not snapshot.triggers:
            break
        timings: dict[str, float] = {}
        problem, touched = _timed(timings, "matrix", partial(problem_of, settings, snapshot, at=time.time()))
        timings["wait"] = (begin - min(trigger.at for trigger in snapshot.triggers)) * 1000
        solve = partial(engines.ENGINES["repair"], problem, budget=REPAIR_BUDGET_S, stop=never)
        found = Found(problem, _timed(timings, "solve", solve), "repair", touched)
        elsewhere = not touched and all(trigger.kind is TriggerKind.ROADS_CHANGED for trigger in snapshot.triggers)
        work = Work("repair", begin, improve=not elsewhere)
        done = _settle(client, settings, snapshot, found, timings, work)
        published += done is Outcome.PUBLISHED
    return published


def attempt(settings: Settings, snapshot: Snapshot, at: float) -> None:
    """Plan a snapshot as a repair would, and throw the plan away: whether that fails."""
    problem, _ = problem_of(settings, snapshot, at=at)
    found = engines.ENGINES["repair"](problem, budget=REPAIR_BUDGET_S, stop=never)
    if checker.check(problem, publishable(problem, found, progress=snapshot.progress, engine="repair")):
        raise PlanRefused("The checker refuses the plan.")


def replay(settings: Settings, path: Path) -> str:
    """Plan again, in this process and without Redis, what a try has failed on (`quarantine.Tried`); what came of it, in one line.

    Raises
    ------
    BadProblem
        If the file is no such thing.
    """
    tried = codec.loads(path.read_bytes(), Tried)
    snapshot, policy = tried.snapshot, tried.snapshot.depot.policy
    problem, _ = problem_of(settings, snapshot, at=tried.at)
    engine = "repair" if tried.role == "repair" else engines.able(policy.engine, problem, policy.improve_budget)
    found = engines.ENGINES[engine](problem, budget=policy.improve_budget, stop=never)
    violations = checker.check(problem, publishable(problem, found, progress=snapshot.progress, engine=engine))
    return f"{engine}: {len(problem.tasks)} stops, {len(found.unassigned)} left out, {len(violations)} violations" + (
        f", the first: {violations[0]}" if violations else "")  # fmt: skip


def _due(client: Store, role: str, depot_id: str) -> bool:
    """Whether a depot waits for a role, and its time has come."""
    due = client.zscore(keys.shared_key(keys.DUE[role]), depot_id)
    return due is not None and due <= time.time()


def improve(client: Store, settings: Settings, depot_id: str) -> int:
    """Search for a better plan within the depot's budget; published only if it pays for its disruption.

    A repair takes the depot over: when one is asked for the search ends with what it has, and when a version has appeared meanwhile
    it starts again from there. A giant depot is searched in districts; what that gains is followed by another search, in others.
    """
    published, until = 0, time.monotonic() + TURN_S
    for number in range(MAX_TRIES):
        if not _due(client, "improve", depot_id) or (number and time.monotonic() > until):
            break
        begin = time.time()
        snapshot = readers.snapshot(client, depot_id)
        if snapshot is None:
            break
        if _asked(client, depot_id):  # first that; it asks for an improvement again
            break
        budget = _share(client, snapshot.depot.policy.improve_budget)
        timings = {"wait": (begin - min((trigger.at for trigger in snapshot.improving), default=begin)) * 1000}
        stop = partial(_interrupted, client, depot_id, snapshot.version)
        searchers = 1 + readers.idle_at(client, "improve")
        parts = districts.of(snapshot, time.time(), searchers)
        if len(parts) > 1:
            search = partial(districts.search, client, settings, snapshot, parts, searchers=searchers, budget=budget, stop=stop)
            found = _timed(timings, "solve", search)
        else:
            found = _searched(settings, snapshot, budget, stop, timings)
        if _outdated(client, depot_id, snapshot.version):
            continue
        work = Work("improve", begin, improve=len(parts) > 1)
        if not engines.pays(found.problem, found.solution):
            if _asked(client, depot_id) or not found.complete:  # it was not given its time
                break
            commit.answered(client, snapshot, work)
            count(client, "noops", role="improve")
            continue
        done = _settle(client, settings, snapshot, found, timings, work)
        published += done is Outcome.PUBLISHED
    return published


def district(client: Store, settings: Settings, depot_id: str, made: str) -> int:
    """Help to improve a giant depot: search districts of a round that nobody has taken yet; how many."""

    def stop_of(version: int) -> Stop:
        return partial(_interrupted, client, depot_id, version)

    return districts.help_out(client, settings, depot_id, made, stop_of=stop_of)


def _searched(settings: Settings, snapshot: Snapshot, budget: float, stop: Stop, timings: dict[str, float]) -> Found:
    """Search the depot as one problem."""
    pose = partial(problem_of, settings, snapshot, at=time.time(), freeze=budget + AROUND_S)
    problem, touched = _timed(timings, "matrix", pose)
    engine = engines.able(snapshot.depot.policy.engine, problem, budget)
    solve = partial(engines.ENGINES[engine], problem, budget=budget, stop=stop)
    return Found(problem, _timed(timings, "solve", solve), engine, touched)


def _share(client: Store, budget: float) -> float:
    """A fair part of a depot's budget (s), so that a better answer comes in time where many depots wait for one."""
    waiting = int(client.zcount(keys.shared_key("improvable"), "-inf", time.time()))
    workers = max(1, len(readers.workers_at(client, "improve")))
    return min(budget, max(LEAST_IMPROVE_S, budget * workers / max(1, waiting)))


def _asked(client: Store, depot_id: str) -> bool:
    """Whether a repair is due, or about to be."""
    due = client.zscore(keys.shared_key(keys.DUE["repair"]), depot_id)
    return due is not None and due <= time.time() + SOON_S


def _interrupted(client: Store, depot_id: str, version: int) -> bool:
    """Whether a search that began at a version has to end."""
    return _asked(client, depot_id) or _outdated(client, depot_id, version)


def _outdated(client: Store, depot_id: str, version: int) -> bool:
    """Whether a newer plan than that version is in force."""
    return (client.get(keys.depot_key(depot_id, "version")) or "0") != str(version)


def _keep_refused(settings: Settings, snapshot: Snapshot, found: Found, plan: Plan) -> Path:
    """Write what the checker refused to the state folder, as a bug report needs it: the problem, or the state that was cut."""
    folder = settings.state / "refused"
    folder.mkdir(parents=True, exist_ok=True)
    name = folder / f"{plan.depot_id}-{plan.version}"
    path = name.with_suffix(".state.json") if found.divided else name.with_suffix(".problem.json")
    path.write_bytes(codec.dumps(snapshot if found.divided else found.problem))
    name.with_suffix(".plan.json").write_bytes(codec.dumps(plan))
    return path


def _settle(client: Store, settings: Settings, snapshot: Snapshot, found: Found, timings: dict[str, float],
            work: Work) -> Outcome | None:  # fmt: skip
    """Check and publish; None for a no-op, which only clears its triggers."""
    triggers = snapshot.triggers if work.role == "repair" else snapshot.improving
    problem = found.problem
    plan = publishable(problem, found.solution, progress=snapshot.progress, engine=found.engine, unassigned=found.unassigned)
    plan = replace(plan, triggers=triggers)
    violations = _timed(timings, "check", partial(checker.check, problem, plan))
    if violations:
        for violation in violations:
            log.error("%s %s %s", violation.code, violation.subject, violation.detail, extra=_about(snapshot, plan.version))
        raise PlanRefused(f"{len(violations)} violations, the first: {violations[0]}.",
                          remedy=f"What it was made from is kept: {_keep_refused(settings, snapshot, found, plan)}.")  # fmt: skip
    changes = diff(snapshot, plan, touched=found.touched)
    if not changes:
        commit.answered(client, snapshot, work)
        _count(client, work, Outcome.NOTHING, plan)
        return None
    rounded = {name: round(value, 1) for name, value in timings.items()}
    plan = replace(plan, published_at=time.time(), timings=rounded)
    publish = partial(commit.publish, client, snapshot, problem, plan, changes, work)
    outcome, detail = _timed(timings, "commit", publish)
    if outcome is Outcome.PUBLISHED:
        commit.took(client, snapshot.depot.id, plan.version, timings["commit"])
    _count(client, work, outcome, replace(plan, timings=timings))
    log.info("version %d %s %s", plan.version, outcome, detail, extra=_about(snapshot, plan.version) | {"ms": rounded})
    return outcome


def _count(client: Store, work: Work, outcome: Outcome, plan: Plan) -> None:
    """Sum up what became of a plan, for `/metrics`."""
    tally = Tally()
    answered = outcome in (Outcome.PUBLISHED, Outcome.NOTHING, Outcome.PROPOSED)
    if outcome is Outcome.PUBLISHED:
        tally.count("plans", engine=plan.engine)
        stage = "first" if work.role == "repair" else "improved"
        for trigger in plan.triggers:
            tally.observe("event_to_plan_seconds", time.time() - trigger.at, stage=stage, trigger=trigger.kind)
        for step, milliseconds in plan.timings.items():
            tally.observe("step_seconds", milliseconds / 1000, engine=plan.engine, step=step)
    elif outcome in (Outcome.NOTHING, Outcome.PROPOSED):
        tally.count("noops" if outcome is Outcome.NOTHING else "proposals", role=work.role)
    else:
        tally.count("commits_refused", why=outcome)
    if answered and work.role == "repair":
        tally.count("triggers", len(plan.triggers))
        tally.count("triggers_coalesced", max(0, len(plan.triggers) - 1))
    tally.add(client)


def _about(snapshot: Snapshot, version: int) -> dict[str, object]:
    """What a line of the log says beside its text."""
    return {"depot": snapshot.depot.id, "revision": snapshot.revision, "version": version}


def _timed(timings: dict[str, float], name: str, step: Callable[[], R]) -> R:
    begin = time.perf_counter()
    result = step()
    timings[name] = (time.perf_counter() - begin) * 1000
    return result
