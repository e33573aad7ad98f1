"""The commit: one winner, no stale plan, and drivers who move on while a plan is made."""

from __future__ import annotations

import random
import threading
import time
from dataclasses import replace
from typing import Any

import pytest

from ingest.store import keys, readers
from routing.model import Snapshot
from routing.solve import repair as mending
from routing.solve.checker import check
from routing.solve.plan import diff, publishable
from routing.solve.problem import Problem, Solution, build
from tests.conftest import SPOTS, Shop
from workers import commit, replan, travel
from workers.commit import Outcome, Work

REPORTS = ["arrived", "completed", "completed", "failed", "declined", "skipped", "en_route", "loaded", "accepted"]


def situation(shop: Shop, *, freeze: int = 0) -> tuple[Snapshot, Problem]:
    snapshot = readers.snapshot(shop.store, "hel")
    assert snapshot is not None
    now = snapshot.depot.clock.depot(time.time())
    roads = travel.of(shop.settings, snapshot, now)
    return snapshot, build(snapshot, roads.matrix, roads.free_flow, now=now, freeze=freeze, hours_of=roads.hours)


def publish(shop: Shop, snapshot: Snapshot, problem: Problem, solution: Solution) -> Outcome:
    plan = publishable(problem, solution, progress=snapshot.progress, engine="test")
    assert check(problem, plan) == []
    plan = replace(plan, triggers=snapshot.triggers, published_at=random.random())
    return commit.publish(shop.store, snapshot, problem, plan, diff(snapshot, plan), Work("repair", time.time()))[0]


def repair(shop: Shop) -> int:
    """What is due, and what tests have let happen in the future."""
    shop.store.zadd(keys.shared_key("dirty"), {"hel": 0}, xx=True)
    return replan.repair(shop.store, shop.settings, "hel")


def test_a_commit_that_is_sent_twice_is_published_once(shop: Shop) -> None:
    """As when its answer is lost on the way: the second time it says what became of it."""
    shop.depot()
    shop.crew("anna")
    shop.order()
    snapshot, problem = situation(shop)
    plan = replace(publishable(problem, mending.repair(problem), progress={}, engine="test"), published_at=time.time())
    work = Work("repair", time.time())
    twice = [commit.publish(shop.store, snapshot, problem, plan, diff(snapshot, plan), work) for _ in range(2)]
    assert twice == [(Outcome.PUBLISHED, "1")] * 2
    other = replace(plan, published_at=plan.published_at + 1)
    assert commit.publish(shop.store, snapshot, problem, other, diff(snapshot, other), work)[0] is Outcome.OUTDATED


def test_a_no_op_of_an_older_plan_answers_nothing(shop: Shop) -> None:
    shop.depot()
    shop.crew("anna")
    shop.order()
    snapshot, problem = situation(shop)
    assert publish(shop, snapshot, problem, mending.repair(problem)) is Outcome.PUBLISHED
    shop.order(SPOTS[1])
    waiting = shop.store.zcard(keys.depot_key("hel", "triggers"))
    assert not commit.answered(shop.store, replace(snapshot, revision=99), Work("repair", time.time()))
    assert shop.store.zcard(keys.depot_key("hel", "triggers")) == waiting == 1


def test_a_shift_that_is_over_gets_no_stops(shop: Shop) -> None:
    """Its driver has reported the return while the plan was made."""
    shop.depot()
    anna = shop.crew("anna")
    repair(shop)
    shop.leave(anna)
    shop.order(kind="collection")
    snapshot, problem = situation(shop)
    body = {"event_id": "back", "type": "returned", "occurred_at": "2030-01-01T08:00:00Z"}
    shop.call("POST", "/v1/drivers/me/events", body, key=anna)
    shop.store.hset(keys.depot_key("hel", "record_rev"), mapping=snapshot.record_revisions)  # what else would tell
    assert publish(shop, snapshot, problem, mending.repair(problem)) is Outcome.MOVED


def test_a_lease_is_let_go_by_its_holder_only(shop: Shop) -> None:
    from workers.lease import hold

    with hold(shop.store, "hel", "repair") as mine:
        assert mine
        shop.store.set(keys.lease("hel", "repair"), "another's")  # it had run out
    assert shop.store.get(keys.lease("hel", "repair")) == "another's"


def route(shop: Shop, token: str) -> list[tuple[str, str]]:
    """(stop, state) of a driver's route as the driver reads it."""
    document = shop.call("GET", "/v1/drivers/me/route", key=token).json
    return [(stop["stop_id"], stop["state"]) for shift in document["shifts"] for stop in shift["stops"]]


def test_many_writers_on_one_version_leave_one_winner(shop: Shop) -> None:
    """All have seen the same state; the first commit wins, the others are outdated, and nothing of theirs is left."""
    shop.depot()
    shop.crew("anna"), shop.crew("bo")
    for round_ in range(5):
        shop.order(SPOTS[round_])
        snapshot, problem = situation(shop)
        outcomes: list[Outcome] = []
        start = threading.Barrier(8)

        def write(snapshot: Snapshot = snapshot, problem: Problem = problem, start: threading.Barrier = start,
                  outcomes: list[Outcome] = outcomes) -> None:  # fmt: skip
            solution = mending.repair(problem)
            start.wait()
            outcomes.append(publish(shop, snapshot, problem, solution))

        threads = [threading.Thread(target=write) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(outcomes) == [Outcome.OUTDATED] * 7 + [Outcome.PUBLISHED]
        assert shop.store.get(keys.depot_key("hel", "version")) == str(round_ + 1)
    published = shop.store.xrange(keys.shared_key("published"))
    assert [int(fields["version"]) for _, fields in published] == [1, 2, 3, 4, 5]


def test_a_commit_that_moves_the_stop_a_driver_has_gone_to_is_refused(shop: Shop) -> None:
    """The driver finishes a stop while the plan is made, and so drives to the next: the plan that reorders it is stale."""
    shop.depot()
    anna = shop.crew("anna")
    for spot in SPOTS[:3]:
        shop.order(spot)
    assert repair(shop) == 1
    shop.leave(anna)
    first, second, third = [stop for stop, _ in route(shop, anna)]
    snapshot, problem = situation(shop)
    number = {task.stop_id: index for index, task in enumerate(problem.tasks)}
    swapped = Solution(((number[first], number[third], number[second]),), ())
    assert shop.event(anna, first, "completed", event_id="c1").status_code == 200
    assert route(shop, anna)[1] == (second, "en_route")
    assert publish(shop, snapshot, problem, swapped) is Outcome.MOVED
    assert [stop for stop, _ in route(shop, anna)] == [first, second, third]
    snapshot, problem = situation(shop)  # made from the new state, the same wish is fine behind the frozen stop
    assert problem.crews[0].done == (first,)
    assert [problem.tasks[task].stop_id for task in problem.crews[0].frozen] == [second]


def test_progress_within_the_frozen_prefix_does_not_stop_a_commit(shop: Shop) -> None:
    """What was frozen as of now + budget covers the driver's next stop: the plan may still be published."""
    shop.depot()
    anna, _ = shop.crew("anna"), shop.crew("bo")
    for spot in SPOTS[:3]:
        shop.order(spot)
    repair(shop)
    shop.leave(anna)
    stops = [stop for stop, _ in route(shop, anna)]
    shop.order(SPOTS[4], kind="collection")
    snapshot, problem = situation(shop, freeze=3600)
    assert len(problem.crews[0].frozen) >= 2
    shop.event(anna, stops[0], "completed", event_id="c1")
    assert publish(shop, snapshot, problem, mending.repair(problem)) is Outcome.PUBLISHED


@pytest.mark.parametrize("loaded", [1, 0])
def test_goods_cannot_join_a_van_that_leaves_meanwhile(shop: Shop, loaded: int) -> None:
    """The plan gave it one more delivery; the van, with something to do or with nothing, left without it."""
    shop.depot()
    anna = shop.crew("anna")
    for spot in SPOTS[:loaded]:
        shop.order(spot)
    repair(shop)
    shop.order(SPOTS[1])
    snapshot, problem = situation(shop)
    shop.leave(anna)
    assert publish(shop, snapshot, problem, mending.repair(problem)) is Outcome.MOVED
    repair(shop)
    plan = shop.call("GET", "/v1/depots/hel/plan").json
    assert [reason["code"] for item in plan["unassigned"] for reason in item["reasons"]] == ["departed"]


def test_an_order_changed_or_cancelled_meanwhile_refuses_the_plan(shop: Shop) -> None:
    """The plan knows another revision of it."""
    shop.depot()
    shop.crew("anna")
    made = shop.order()
    snapshot, problem = situation(shop)
    shop.call("PATCH", f"/v1/orders/{made['id']}", {"priority": 9})
    assert publish(shop, snapshot, problem, mending.repair(problem)) is Outcome.CHANGED
    snapshot, problem = situation(shop)
    shop.call("DELETE", f"/v1/orders/{made['id']}")
    assert publish(shop, snapshot, problem, mending.repair(problem)) is Outcome.CHANGED
    assert repair(shop) == 0
    assert shop.store.zcard(keys.shared_key("dirty")) == 0


def test_a_commit_answers_triggers_up_to_its_snapshot_only(shop: Shop) -> None:
    """What came while it was made still waits, and keeps the depot dirty."""
    shop.depot()
    shop.crew("anna")
    shop.order()
    snapshot, problem = situation(shop)
    later = shop.order(SPOTS[1])
    assert publish(shop, snapshot, problem, mending.repair(problem)) is Outcome.PUBLISHED
    after = readers.snapshot(shop.store, "hel")
    assert after is not None
    assert [trigger.subject for trigger in after.triggers] == [later["id"]]
    assert shop.store.zscore(keys.shared_key("dirty"), "hel") is not None
    repair(shop)
    assert shop.store.zscore(keys.shared_key("dirty"), "hel") is None


def test_a_no_op_publishes_nothing_and_clears_its_trigger(shop: Shop) -> None:
    """Asked to re-solve with nothing to do: no version, no event for anybody."""
    shop.depot()
    shop.crew("anna")
    shop.order()
    repair(shop)
    before = shop.store.xlen(keys.shared_key("published"))
    assert shop.call("POST", "/v1/depots/hel/resolve").status_code == 202
    assert repair(shop) == 0
    assert shop.store.xlen(keys.shared_key("published")) == before
    assert shop.store.zcard(keys.depot_key("hel", "triggers")) == 0


def test_facts_are_recorded_and_intentions_refused_when_a_stop_has_moved(shop: Shop) -> None:
    """Rule 7: offline, Anna did what is Bo's now. What she did counts; what she wants is refused with her route."""
    shop.depot()
    anna, bo = shop.crew("anna"), shop.crew("bo")
    made = shop.order(kind="service", demand={})
    repair(shop)
    owner, other = (anna, bo) if route(shop, anna) else (bo, anna)
    stop = made["stop_id"]
    refused = shop.event(other, stop, "en_route", event_id="i1")
    assert (refused.status_code, refused.json["code"]) == (409, "stop_moved")
    assert "route" in refused.json
    done = shop.event(other, stop, "completed", event_id="f1")
    assert (done.status_code, done.json["conflict"], "route" in done.json) == (200, True, True)
    assert shop.call("GET", f"/v1/orders/{made['id']}").json["status"] == "completed"
    again = shop.event(other, stop, "completed", event_id="f1")
    assert (again.json["replayed"], again.json["conflict"]) == (True, True)
    repair(shop)
    assert [stop for stop, _ in route(shop, owner)] == []
    assert shop.event(owner, stop, "accepted", event_id="i2").status_code == 409


def test_declining_failing_and_skipping_ask_for_a_new_plan(shop: Shop) -> None:
    """A declined stop goes to somebody else; a skipped one comes later; a failed one is over."""
    shop.depot()
    anna, bo = shop.crew("anna"), shop.crew("bo", start="2030-01-01T08:30:00Z")
    orders = [shop.order(spot, kind="service", demand={}) for spot in SPOTS[:4]]
    repair(shop)
    shop.leave(anna)
    mine = [stop for stop, _ in route(shop, anna)]
    assert len(mine) == 4
    assert shop.event(anna, mine[3], "declined", event_id="d").status_code == 200
    assert repair(shop) == 1
    assert [stop for stop, _ in route(shop, bo)] == [mine[3]]
    assert shop.event(anna, mine[0], "skipped", event_id="s").status_code == 200
    repair(shop)
    assert route(shop, anna)[0] == (mine[1], "en_route")
    assert mine[0] in [stop for stop, _ in route(shop, anna)]
    assert shop.event(anna, mine[1], "failed", event_id="f").status_code == 200
    repair(shop)
    assert shop.call("GET", f"/v1/orders/{mine[1].rpartition('.')[0]}").json["status"] == "failed"
    assert {order["status"] for order in shop.call("GET", "/v1/orders?depot_id=hel").json["orders"]} <= {
        "failed", "planned", "en_route"}  # fmt: skip
    assert len(orders) == 4


def test_a_cancelled_stop_sends_its_driver_on(shop: Shop) -> None:
    """Though it was being driven to."""
    shop.depot()
    anna = shop.crew("anna")
    for spot in SPOTS[:2]:
        shop.order(spot)
    repair(shop)
    shop.leave(anna)
    (first, _), (second, _) = route(shop, anna)
    shop.call("DELETE", f"/v1/orders/{first.rpartition('.')[0]}")
    assert route(shop, anna) == [(first, "cancelled"), (second, "en_route")]


def test_a_silent_driver_loses_what_others_can_take_and_gets_work_when_back(shop: Shop) -> None:
    """Silence fires once; the next ping takes it back."""
    from ingest.store import writers

    shop.depot(policy={"silent_after": 10})
    anna, bo = shop.crew("anna"), shop.crew("bo", start="2030-01-01T08:30:00Z")
    for spot in SPOTS[:3]:
        shop.order(spot, kind="collection")
    repair(shop)
    shop.leave(anna)
    member = shop.store.zrange(keys.shared_key("heard"), 0, -1)[0]
    soon = shop.store.zscore(keys.shared_key("heard"), member) + 1
    assert not writers.due(shop.store, "hel", "silence", member, "driver_silent", "hel.anna", soon - 5)
    assert writers.due(shop.store, "hel", "silence", member, "driver_silent", "hel.anna", soon)
    assert not writers.due(shop.store, "hel", "silence", member, "driver_silent", "hel.anna", soon)
    repair(shop)
    assert len(route(shop, anna)) == 1
    assert len(route(shop, bo)) == 2
    ping = {"lat": 60.17, "lon": 24.94, "recorded_at": "2030-01-01T08:00:01Z", "seq": 1}
    shop.call("POST", "/v1/drivers/me/pings", [ping], key=anna)
    snapshot = readers.snapshot(shop.store, "hel")
    assert snapshot is not None
    assert snapshot.absent == ()
    assert [trigger.kind for trigger in snapshot.triggers] == ["driver_back"]


def test_goods_brought_back_can_be_planned_again(shop: Shop) -> None:
    """A driver returns with an undelivered parcel: it is at the depot again, for the next van."""
    shop.depot()
    anna = shop.crew("anna")
    made = shop.order()
    repair(shop)
    shop.leave(anna)
    shop.crew("bo")
    body = {"event_id": "r", "type": "returned", "occurred_at": "2030-01-01T08:00:00Z"}
    assert shop.call("POST", "/v1/drivers/me/events", body, key=anna).status_code == 200
    assert repair(shop) >= 1
    plan = shop.call("GET", "/v1/depots/hel/plan").json
    assert [(r["driver_id"], [stop["order_id"] for stop in r["stops"]]) for r in plan["routes"]] == [("hel.bo", [made["id"]])]


def test_who_leaves_again_has_come_back_before(shop: Shop) -> None:
    """Yesterday's driver never said so: leaving today ends yesterday's shift, and its parcels can be planned again."""
    shop.depot(clock={"scale": 1, "start": "2030-01-01T15:59:00Z"})
    anna = shop.crew("anna")
    made = shop.order()
    repair(shop)
    report = lambda kind, at, name: shop.call("POST", "/v1/drivers/me/events", {"event_id": name, "type": kind, "occurred_at": at},  # noqa: E731
                                              key=anna)  # fmt: skip
    assert report("departed", "2030-01-01T15:59:00Z", "1").status_code == 200
    shop.made("/v1/shifts", {"depot_id": "hel", "id": "next", "driver_id": "hel.anna", "vehicle_id": "hel.van-anna",
                             "start": "2030-01-01T16:00:00Z", "end": "2030-01-02T00:00:00Z"})  # fmt: skip
    assert readers.current_shift(shop.store, "hel", "hel.anna", 1893513600 + 60) == "hel.next"
    later = shop.call("GET", "/v1/depots/hel").json["clock"]["now"]
    assert later.startswith("2030-01-01T15:59")
    run_depart(shop, "hel.next")
    snapshot, _ = situation(shop)
    assert "driver_returned" in [trigger.kind for trigger in snapshot.triggers]
    assert snapshot.progress["hel.day-anna"].returned
    assert made["id"] not in snapshot.goods


def run_depart(shop: Shop, shift: str) -> None:
    """The driver leaves in a shift of his choice."""
    from ingest.store import writers

    writers.driver_event(shop.store, "hel", driver="hel.anna", shift=shift, kind="departed", at=1893513660, event_id="x", body={},
                         now=time.time(), deadline=time.time() + 60)  # fmt: skip


def test_what_is_aboard_is_counted_once(shop: Shop) -> None:
    """Open deliveries loaded at departure, collected goods, and a failed parcel that is still in the van."""
    shop.depot()
    anna = shop.crew("anna")
    parcels = [shop.order(spot, demand={"parcels": 2, "kg": 5}) for spot in SPOTS[:3]]
    repair(shop)
    shop.leave(anna)
    assert situation(shop)[1].crews[0].load == (6, 15)
    first, second, _ = [stop for stop, _ in route(shop, anna)]
    shop.event(anna, first, "completed", event_id="1")
    shop.event(anna, second, "failed", event_id="2")
    assert situation(shop)[1].crews[0].load == (4, 10)
    pickup = shop.order(SPOTS[4], kind="collection", demand={"parcels": 3})
    repair(shop)
    shop.event(anna, pickup["stop_id"], "completed", event_id="3")
    assert situation(shop)[1].crews[0].load == (7, 10)
    assert len(parcels) == 3


def test_older_versions_can_be_read_whole(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put together from a snapshot and the changes since, every version is the plan as it was."""
    monkeypatch.setattr(readers, "SNAPSHOT_EVERY", 3)
    shop.depot()
    shop.crew("anna"), shop.crew("bo")
    seen: dict[int, Any] = {}
    for spot in SPOTS + SPOTS[:2]:
        shop.order(spot, kind="service", demand={})
        repair(shop)
        plan = shop.call("GET", "/v1/depots/hel/plan").json
        seen[plan["version"]] = {r["shift_id"]: [stop["stop_id"] for stop in r["stops"]] for r in plan["routes"]}
    assert len(seen) == 8
    for version, routes in seen.items():
        old = shop.call("GET", f"/v1/depots/hel/plans/{version}").json
        assert {r["shift_id"]: [stop["stop_id"] for stop in r["stops"]] for r in old["routes"]} == routes
        assert old["diff"]["routes"]
        assert [trigger["kind"] for trigger in old["triggers"]][-1] == "order_new"
    page = shop.call("GET", "/v1/depots/hel/plans?after=5").json
    assert [item["version"] for item in page["plans"]] == [6, 7, 8]


@pytest.mark.parametrize("seed", range(12))
def test_random_days_keep_every_promise(shop: Shop, seed: int) -> None:
    """Orders, cancellations, facts, intentions, departures and plans in any order: nothing lost, nothing twice."""
    rng = random.Random(seed)
    shop.depot()
    tokens = {name: shop.crew(name) for name in ("anna", "bo")}
    orders: list[dict[str, Any]] = []
    left: set[str] = set()
    for step in range(60):
        act = rng.choice(["order", "order", "cancel", "event", "event", "event", "leave", "repair", "repair", "duty", "change"])
        name = rng.choice(sorted(tokens))
        if act == "order":
            kind = rng.choice(["delivery", "collection", "service"])
            orders.append(shop.order(rng.choice(SPOTS), kind=kind, demand={} if kind == "service" else {"parcels": 1}))
        elif act == "cancel" and orders:
            shop.call("DELETE", f"/v1/orders/{rng.choice(orders)['id']}")
        elif act == "leave" and name not in left and rng.random() < 0.4:
            left.add(name)
            shop.leave(tokens[name])
        elif act == "event" and orders:
            mine = [stop for stop, _ in route(shop, tokens[name])] or [rng.choice(orders)["stop_id"]]
            kind = rng.choice(REPORTS)
            anybodys = rng.choice(orders)["stop_id"]
            stop = anybodys if rng.random() < 0.3 else rng.choice(mine)
            assert shop.event(tokens[name], stop, kind, event_id=f"{step}").status_code in {200, 409}
        elif act == "change" and orders:
            change = {"location": rng.choice(SPOTS), "priority": rng.randrange(100)}
            shop.call("PATCH", f"/v1/orders/{rng.choice(orders)['id']}", change)
        elif act == "duty":
            body = {"event_id": f"d{step}", "type": rng.choice(["on_duty", "off_duty"]), "occurred_at": "2030-01-01T08:00:00Z"}
            shop.call("POST", "/v1/drivers/me/events", body, key=tokens[name])
        elif act == "repair":
            current = {name: [s for s in route(shop, tokens[name]) if s[1] in {"en_route", "arrived"}] for name in tokens}
            repair(shop)
            for name, before in current.items():
                now = [s for s in route(shop, tokens[name]) if s[1] in {"en_route", "arrived"}]
                assert set(before) <= set(now[: len(before)]), "the stop being driven to has changed"
    repair(shop)
    for token in tokens.values():
        body = {"event_id": "end", "type": "on_duty", "occurred_at": "2030-01-01T08:00:00Z"}
        shop.call("POST", "/v1/drivers/me/events", body, key=token)
    repair(shop)
    plan = readers.plan(shop.store, "hel")
    if plan is None:
        return
    sequences = readers.snapshot(shop.store, "hel").sequences  # type: ignore[union-attr]  # the depot is there
    served = [stop for sequence in sequences.values() for stop in sequence]
    assert len(served) == len(set(served)), "an order is in two routes"
    unassigned = set(shop.store.hkeys(keys.depot_key("hel", "unassigned")))
    for order_id in shop.store.smembers(keys.depot_key("hel", "open")):
        placed = any(stop.rpartition(".")[0] == order_id for stop in served)
        assert placed != (order_id in unassigned), f"{order_id} is lost"
