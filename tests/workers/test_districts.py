"""Giant depots: districts searched by all workers at once, and one commit, whoever of them dies."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import redis
from rq import Queue
from rq.serializers import JSONSerializer

from ingest.settings import ROOT
from ingest.store import keys, readers
from routing import codec
from routing.model import Snapshot
from routing.roads import maps
from routing.solve import checker
from routing.solve.findings import Violation
from tests.conftest import SPOTS, Shop, one_server, wait_for
from tests.workers.test_rq import RQ, environment
from workers import commit, dispatcher, districts, jobs, replan
from workers.supervisor import rq_environment

ORDERS, CREWS = 64, 8


@pytest.fixture
def giant(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """A depot that is larger than its policy says a district is, with a plan of repairs only."""
    monkeypatch.setenv("REDIS_URL", str(shop.settings.redis_url))
    monkeypatch.setenv("LASTLEG_STATE", str(shop.settings.state))
    return grown(shop)


def grown(shop: Shop, **clock: Any) -> Shop:
    shop.depot(policy={"district_stops": 20, "improve_budget": 1.0, "min_gain": 1},
               clock={"scale": 1, "start": "2030-01-01T08:00:00Z"} | clock)  # fmt: skip
    for number in range(CREWS):
        shop.crew(f"d{number}")
    network, dice = maps.network(ROOT / "data" / "helsinki.map"), np.random.default_rng(5)
    for node in dice.choice(len(network.lat), ORDERS, replace=False).tolist():
        shop.order({"lat": round(float(network.lat[node]), 6), "lon": round(float(network.lon[node]), 6)})
    replan.repair(shop.store, shop.settings, "hel")
    return shop


def cost(shop: Shop) -> int:
    plan = readers.plan(shop.store, "hel")
    assert plan is not None
    assert sum(len(route.stops) for route in plan.routes) == ORDERS
    return plan.cost


def metric(shop: Shop, name: str) -> float:
    lines = shop.call("GET", "/metrics").text.splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(name))


@one_server
def test_districts_are_searched_until_no_border_hides_a_gain(giant: Shop) -> None:
    """One plan version for all districts; what it gains is followed by a search in others, until that gains nothing."""
    versions, costs = 0, [cost(giant)]
    while giant.store.zscore(keys.shared_key("improvable"), "hel") is not None:
        published = jobs.improve("hel")
        versions += published
        costs.append(cost(giant))
        assert (costs[-1] < costs[-2]) == bool(published)
    assert 2 <= versions < 15
    plan = readers.plan(giant.store, "hel")
    assert plan is not None
    assert plan.engine == "improve"
    assert metric(giant, 'lastleg_districts_total{who="caller"}') >= 3 * (versions + 1)
    assert metric(giant, 'lastleg_districts_total{who="nobody"}') == 0
    assert not [key for key in giant.store.scan_iter("*districts:*")]


@pytest.fixture
def workers(giant: Shop) -> Iterator[int]:
    """Two workers at the queue of improvements, by RQ's own command line."""
    told = environment(giant, **rq_environment(), LASTLEG_STATE=str(giant.settings.state))
    both = [subprocess.Popen([RQ, "worker", "improve"], env=told, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            for _ in range(2)]  # fmt: skip
    wait_for(lambda: len(readers.workers_at(giant.store, "improve")) == 2, seconds=30, what="two workers")
    yield len(both)
    for process in both:
        process.send_signal(signal.SIGTERM)
    for process in both:
        process.wait(15)


@one_server
def test_other_workers_help(giant: Shop, workers: int) -> None:
    """Who is free takes districts of a round that another one has begun, and brings them back."""
    giant.call("PATCH", "/v1/depots/hel", {"policy": {"improve_budget": 3.0, "min_gain": 60}})
    replan.repair(giant.store, giant.settings, "hel")
    before, raw = cost(giant), redis.Redis.from_url(str(giant.settings.redis_url))
    queues = {role: Queue(role, connection=raw, serializer=JSONSerializer) for role in ("improve",)}
    while giant.store.zscore(keys.shared_key("improvable"), "hel") is not None:
        dispatcher._wake(giant.store, queues, time.time())
        time.sleep(0.05)
    assert cost(giant) < before
    assert metric(giant, 'lastleg_districts_total{who="helper"}') > 0


@one_server
def test_a_district_that_nobody_brings_back_stays_as_it_is(giant: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has taken it died: the others are published in time, it is searched again another time, and nothing is lost."""
    before, taken = readers.plan(giant.store, "hel"), list[dict[str, Any]]()
    assert before is not None

    def dies(settings: object, depot_id: str, made: str, *, hands: int, seconds: float) -> None:
        number = int(giant.store.lpop(keys.untaken(depot_id, made)))
        taken.append(json.loads(giant.store.hget(keys.districts(depot_id, made), f"state:{number}")))

    monkeypatch.setattr(dispatcher, "call", dies)
    giant.call("PATCH", "/v1/depots/hel", {"policy": {"improve_budget": 2.5}})
    replan.repair(giant.store, giant.settings, "hel")
    assert jobs.improve("hel") == 1
    after = readers.plan(giant.store, "hel")
    assert after is not None
    assert after.cost < before.cost
    routes = {route.shift_id: route.sequence for route in after.routes}
    assert taken[0]["shifts"]
    for shift in taken[0]["shifts"]:
        assert routes[shift] == next(route.sequence for route in before.routes if route.shift_id == shift)
    assert metric(giant, 'lastleg_districts_total{who="nobody"') == 1


@one_server
def test_a_repair_ends_the_search_of_all(giant: Shop) -> None:
    """As it ends any other: what was found until then is published, and long before its time is over."""
    giant.call("PATCH", "/v1/depots/hel", {"policy": {"improve_budget": 30.0}})
    replan.repair(giant.store, giant.settings, "hel")
    began, pid = time.monotonic(), os.fork()
    if pid == 0:
        time.sleep(4)
        giant.order()
        os._exit(0)
    jobs.improve("hel")
    os.waitpid(pid, 0)
    assert time.monotonic() - began < 20


@one_server
def test_a_window_that_passes_with_a_lost_district_is_mended(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The plan in force breaks a rule in a district that nobody brings back: it is mended, and the others are not lost."""
    monkeypatch.setenv("REDIS_URL", str(shop.settings.redis_url))
    monkeypatch.setenv("LASTLEG_STATE", str(shop.settings.state))
    giant = grown(shop, scale=60)
    began = time.time()
    window = {"from": "2030-01-01T08:00:00Z", "to": "2030-01-01T08:12:00Z"}
    order = giant.order(SPOTS[3], windows=[window], lateness="hard", kind="collection")["id"]
    giant.store.zadd(keys.shared_key("dirty"), {"hel": 0}, xx=True)
    replan.repair(giant.store, giant.settings, "hel")
    assert giant.call("GET", f"/v1/orders/{order}").json["status"] == "planned"

    def dies(settings: object, depot_id: str, made: str, *, hands: int, seconds: float) -> None:
        for number in range(8):
            state = giant.store.hget(keys.districts(depot_id, made), f"state:{number}")
            if state and order in state:
                giant.store.lrem(keys.untaken(depot_id, made), 0, str(number))

    monkeypatch.setattr(dispatcher, "call", dies)
    time.sleep(max(0.0, began + 13 - time.time()))  # until the window is over
    assert jobs.improve("hel") >= 1
    assert giant.call("GET", f"/v1/orders/{order}").json["status"] == "unassigned"


@one_server
def test_what_is_not_searched_is_searched_again(giant: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A round that gains nothing, but has not seen all districts, does not end the improvement."""
    giant.call("PATCH", "/v1/depots/hel", {"policy": {"min_gain": 50_000}})
    replan.repair(giant.store, giant.settings, "hel")
    monkeypatch.setattr(dispatcher, "call", lambda settings, depot_id, made, **_: giant.store.lpop(keys.untaken(depot_id, made)))
    assert jobs.improve("hel") == 0
    assert giant.store.zscore(keys.shared_key("improvable"), "hel") is not None
    monkeypatch.undo()
    monkeypatch.setenv("REDIS_URL", str(giant.settings.redis_url))
    monkeypatch.setenv("LASTLEG_STATE", str(giant.settings.state))
    assert jobs.improve("hel") == 0
    assert giant.store.zscore(keys.shared_key("improvable"), "hel") is None


@one_server
def test_a_joined_plan_that_is_refused_is_kept(giant: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the state it was made from, and said to be refused."""
    monkeypatch.setattr(checker, "check", lambda problem, plan: [Violation("cost", "hel", "as a test has it")])
    with pytest.raises(replan.PlanRefused):
        jobs.improve("hel")
    kept = sorted(path.name for path in (giant.settings.state / "refused").iterdir())
    assert kept == ["hel-2.plan.json", "hel-2.state.json"]
    assert len(codec.loads((giant.settings.state / "refused" / kept[1]).read_bytes(), Snapshot).orders) == ORDERS


@one_server
def test_commits_that_are_refused_do_not_hold_up_a_job(giant: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver who moves on refuses a round: the next one is another job's, long before this one takes too long."""
    monkeypatch.setattr(commit, "publish", lambda *_: (commit.Outcome.MOVED, "a stop"))
    giant.call("PATCH", "/v1/depots/hel", {"policy": {"improve_budget": 2.5}})
    replan.repair(giant.store, giant.settings, "hel")
    began = time.monotonic()
    assert jobs.improve("hel") == 0
    assert time.monotonic() - began < 8
    assert giant.store.zscore(keys.shared_key("improvable"), "hel") is not None


@one_server
def test_no_budget_is_no_fault(giant: Shop, workers: int) -> None:
    """With nothing to search for, nothing is found."""
    giant.call("PATCH", "/v1/depots/hel", {"policy": {"improve_budget": 0.0}})
    replan.repair(giant.store, giant.settings, "hel")
    assert jobs.improve("hel") == 0


def test_late_findings_leave_nothing_behind(giant: Shop) -> None:
    """Who brings back a district when the round is over writes nothing."""
    key = keys.districts("hel", "over")
    giant.store.eval(districts._BRING, 1, key, "routes:0", "{}")
    assert not giant.store.exists(key)


def test_help_that_comes_too_late_finds_nothing_to_do(giant: Shop) -> None:
    """Or is asked for twice."""
    assert jobs.district("hel", "over") == 0
