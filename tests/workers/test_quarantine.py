"""What re-solves fail on goes aside, the rest is planned, and the innocent come back."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest
import redis
from rq import Queue
from rq.serializers import JSONSerializer

from ingest.store import keys, readers, writers
from ingest.store.connection import connect
from routing.solve import engines
from routing.solve.problem import Problem, Solution
from tests.conftest import SPOTS, Shop, one_server
from workers import dispatcher, jobs, replan
from workers.rq_worker import Worker

Trap = Callable[[Problem], None]


def laid(monkeypatch: pytest.MonkeyPatch, trap: Trap) -> None:
    """A solver that falls into a trap."""
    solve = engines.ENGINES["repair"]

    def falling(problem: Problem, *args: Any, **more: Any) -> Solution:
        trap(problem)
        return solve(problem, *args, **more)

    monkeypatch.setitem(engines.ENGINES, "repair", falling)


def poison(*orders: str) -> Trap:
    def raises(problem: Problem) -> None:
        if set(orders) & {task.order_id for task in problem.tasks}:
            raise ZeroDivisionError("poison")

    return raises


def work_off(shop: Shop, *, seconds: float = 20.0) -> None:
    """What dispatcher and worker do, without their waits, until nothing is left to do."""
    until = time.monotonic() + seconds
    while shop.store.zcard(keys.depot_key("hel", "triggers")):
        assert time.monotonic() < until, "the depot is never answered"
        shop.store.delete(keys.hint("hel", "repair"))
        try:
            jobs.repair("hel")
        except ZeroDivisionError:
            continue


@pytest.fixture
def depot(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """A depot with a driver, and jobs that find its store."""
    monkeypatch.setenv("REDIS_URL", str(shop.settings.redis_url))
    monkeypatch.setenv("LASTLEG_STATE", str(shop.settings.state))
    shop.depot()
    shop.crew("anna")
    return shop


@pytest.mark.parametrize("guilty", [(0,), (4,), (1, 6)])
def test_only_the_guilty_stay_aside(depot: Shop, monkeypatch: pytest.MonkeyPatch, guilty: tuple[int, ...]) -> None:
    """Of eight orders that came together: all others are planned, and who stays out can be read."""
    made = [depot.order(SPOTS[number % 6])["id"] for number in range(8)]
    bad = {made[number] for number in guilty}
    laid(monkeypatch, poison(*bad))
    work_off(depot)
    status = {order: depot.call("GET", f"/v1/orders/{order}").json for order in made}
    assert {order for order in made if status[order]["status"] == "planned"} == set(made) - bad
    assert [status[order]["reasons"] for order in bad] == [[{"code": "set_aside"}]] * len(bad)
    shown = depot.call("GET", "/v1/depots/hel/aside").json["aside"]
    assert {(row["id"], row["state"]) for row in shown} == {(order, "guilty") for order in bad}
    assert {row["failure"] for row in shown} == {"ZeroDivisionError: poison"}
    assert f"lastleg_records_aside {len(bad)}" in depot.call("GET", "/metrics").text


def test_a_road_event_can_be_guilty(depot: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then roads are planned without it, and new orders are answered."""
    def raises(problem: Problem) -> None:
        if problem.road_state is not None and problem.road_state.factors:
            raise ZeroDivisionError("poison")

    laid(monkeypatch, raises)
    closure = {"depot_id": "hel", "kind": "close", "edges": [3], "end": "2030-01-01T12:00:00Z"}
    event = depot.made("/v1/road-events", closure)["id"]
    order = depot.order()["id"]
    work_off(depot)
    assert [row["id"] for row in depot.call("GET", "/v1/depots/hel/aside").json["aside"]] == [event]
    assert depot.call("GET", f"/v1/orders/{order}").json["status"] == "planned"


def test_changing_it_or_an_operator_lets_it_in_again(depot: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """And when all is well, it is aside no longer; a cancelled one is gone."""
    first, second, third = (depot.order(spot)["id"] for spot in SPOTS[:3])
    laid(monkeypatch, poison(first, second, third))
    work_off(depot)
    assert len(readers.aside(depot.store, "hel")) == 3
    monkeypatch.undo()
    monkeypatch.setenv("REDIS_URL", str(depot.settings.redis_url))
    assert depot.call("PATCH", f"/v1/orders/{first}", {"service_time": 90}).status_code == 200
    assert depot.call("POST", f"/v1/depots/hel/aside/{second}/try").status_code == 202
    assert depot.call("DELETE", f"/v1/orders/{third}").status_code == 200
    work_off(depot)
    assert readers.aside(depot.store, "hel") == {}
    assert {depot.call("GET", f"/v1/orders/{order}").json["status"] for order in (first, second)} == {"planned"}
    missing = depot.call("POST", f"/v1/depots/hel/aside/{second}/try")
    assert (missing.status_code, missing.json["code"]) == (404, "not_found")


def test_what_was_tried_can_be_replayed(depot: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a file, with no Redis; with the fault mended it is well."""
    order = depot.order()["id"]
    laid(monkeypatch, poison(order))
    work_off(depot)
    kept = sorted((depot.settings.state / "aside").glob("hel-*.repair.json"))
    assert kept
    with pytest.raises(ZeroDivisionError):
        replan.replay(depot.settings, kept[0])
    monkeypatch.undo()
    assert replan.replay(depot.settings, kept[0]) == "repair: 1 stops, 0 left out, 0 violations"


@one_server
def test_an_order_that_takes_the_process_down_goes_aside(depot: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A real worker and dispatcher, a work horse that dies of one order: the others are planned within seconds."""
    made = [depot.order(spot)["id"] for spot in SPOTS[:3]]

    def dies(problem: Problem) -> None:
        if made[1] in {task.order_id for task in problem.tasks}:
            os.kill(os.getpid(), signal.SIGKILL)

    laid(monkeypatch, dies)
    raw = redis.Redis.from_url(str(depot.settings.redis_url))
    queues = {role: Queue(role, connection=raw, serializer=JSONSerializer) for role in ("repair", "improve")}
    until = time.monotonic() + 60
    while depot.store.zcard(keys.depot_key("hel", "triggers")) and time.monotonic() < until:
        dispatcher._wake(connect(depot.settings), queues, time.time())
        Worker([queues["repair"]], connection=raw).work(burst=True, logging_level="CRITICAL")
        depot.store.delete(keys.lease("hel", "repair"), keys.hint("hel", "repair"))  # as they would run out
    assert {order: entry.state for order, entry in readers.aside(depot.store, "hel").items()} == {made[1]: "guilty"}
    assert {depot.call("GET", f"/v1/orders/{order}").json["status"] for order in (made[0], made[2])} == {"planned"}


def test_an_improvement_that_fails_is_given_up(depot: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The repaired plan stays, and the depot no longer asks for it."""
    depot.order()
    work_off(depot)

    def broken(*_: object, **__: object) -> Solution:
        raise ZeroDivisionError

    monkeypatch.setitem(engines.ENGINES, "improve", broken)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            jobs.improve("hel")
    assert jobs.improve("hel") == 0
    assert depot.store.zscore(keys.shared_key("improvable"), "hel") > time.time() + 200
    assert readers.plan(depot.store, "hel") is not None


def test_what_is_aside_is_tried_again_though_nothing_happens(depot: Shop) -> None:
    """As when the worker that should have let it in was killed after its last commit."""
    made = depot.order()["id"]
    writers.aside(depot.store, "hel", [made], "waiting", now=time.time() - 31, failure="x")
    work_off(depot)
    depot.store.hset(keys.depot_key("hel", "aside"), made, '{"since":1,"failure":"x","state":"waiting"}')
    assert depot.store.zscore(keys.shared_key("dirty"), "hel") is None
    dispatcher._clock(depot.store, time.time())
    work_off(depot)
    assert depot.call("GET", f"/v1/orders/{made}").json["status"] == "planned"
    dispatcher._clock(depot.store, time.time() + 100)
    assert depot.store.zscore(keys.shared_key("dirty"), "hel") is None, "nothing is aside any more"


def test_an_order_that_turns_bad_after_it_was_planned_goes_aside(depot: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that came later are suspected first, and come back."""
    old = [depot.order(spot)["id"] for spot in SPOTS[:3]]
    work_off(depot)
    new = [depot.order(spot)["id"] for spot in SPOTS[3:5]]
    laid(monkeypatch, poison(old[1]))
    work_off(depot)
    assert {order: entry.state for order, entry in readers.aside(depot.store, "hel").items()} == {old[1]: "guilty"}
    assert {depot.call("GET", f"/v1/orders/{order}").json["status"] for order in (old[0], old[2], *new)} == {"planned"}


def test_a_full_disk_condemns_nobody(depot: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does anything else that fails whatever the orders are: the plan in force stays, and is the next one's beginning."""
    made = [depot.order(spot)["id"] for spot in SPOTS[:3]]
    work_off(depot)
    for error in (OSError(28, "No space left on device"), ZeroDivisionError("a driver's data")):
        def raises(problem: Problem, error: Exception = error) -> None:
            raise error

        laid(monkeypatch, raises)
        depot.call("POST", "/v1/depots/hel/resolve")
        for _ in range(6):
            depot.store.delete(keys.hint("hel", "repair"))
            with pytest.raises(type(error)):
                jobs.repair("hel")
        assert readers.aside(depot.store, "hel") == {}
        monkeypatch.undo()
        monkeypatch.setenv("REDIS_URL", str(depot.settings.redis_url))
        monkeypatch.setenv("LASTLEG_STATE", str(depot.settings.state))
        work_off(depot)
        assert {depot.call("GET", f"/v1/orders/{order}").json["status"] for order in made} == {"planned"}
    assert depot.call("GET", "/v1/depots/hel/plan").json["version"] == 1


def test_a_second_chance_asks_whatever_the_policy_says(depot: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    made = depot.order()["id"]
    laid(monkeypatch, poison(made))
    work_off(depot)
    depot.call("PATCH", "/v1/depots/hel", {"policy": {"triggers": {"order_readmitted": {"asks": False}}}})
    monkeypatch.undo()
    monkeypatch.setenv("REDIS_URL", str(depot.settings.redis_url))
    monkeypatch.setenv("LASTLEG_STATE", str(depot.settings.state))
    work_off(depot)
    assert depot.call("POST", f"/v1/depots/hel/aside/{made}/try").status_code == 202
    depot.store.delete(keys.hint("hel", "repair"))
    assert depot.store.zscore(keys.shared_key("dirty"), "hel") is not None
    work_off(depot)
    assert depot.call("GET", f"/v1/orders/{made}").json["status"] == "planned"


def test_a_store_that_is_away_condemns_nobody(depot: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    made = depot.order()["id"]

    def away(*_: object) -> int:
        raise redis.ConnectionError("gone")

    monkeypatch.setattr(jobs, "_doer", lambda role: away)
    for _ in range(5):
        with pytest.raises(redis.ConnectionError):
            jobs.repair("hel")
        assert depot.store.hgetall(keys.depot_key("hel", "tries")) == {"repair": "0"}
    monkeypatch.undo()
    monkeypatch.setenv("REDIS_URL", str(depot.settings.redis_url))
    monkeypatch.setenv("LASTLEG_STATE", str(depot.settings.state))
    work_off(depot)
    assert depot.call("GET", f"/v1/orders/{made}").json["status"] == "planned"


def test_a_timer_nobody_understands_is_dropped(depot: Shop) -> None:
    """And those behind it fire."""
    depot.store.zadd(keys.shared_key("timers"), {"nonsense": 1, "gone periodic depot": 2, "hel shift_started hel.day-anna": 3})
    dispatcher._clock(depot.store, time.time())
    waiting = depot.store.zrange(keys.shared_key("timers"), 0, -1)
    assert not {"nonsense", "gone periodic depot", "hel shift_started hel.day-anna"} & set(waiting)
    assert "shift_started" in "".join(depot.store.zrange(keys.depot_key("hel", "triggers"), 0, -1))


