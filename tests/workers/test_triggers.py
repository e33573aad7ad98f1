"""Triggers are a policy: which ask for a repair, how soon, how often; and each change says which it answers."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
import redis
from rq import Queue
from rq.serializers import JSONSerializer

from ingest.store import keys, metrics, readers
from routing.solve import engines
from tests.conftest import SPOTS, Shop
from workers import replan


def due(shop: Shop) -> float | None:
    """Seconds until the depot's repair, None if none is asked for."""
    found = shop.store.zscore(keys.shared_key("dirty"), "hel")
    return None if found is None else found - time.time()


def kinds(shop: Shop) -> list[str]:
    snapshot = readers.snapshot(shop.store, "hel")
    assert snapshot is not None
    return [trigger.kind for trigger in snapshot.triggers]


def set_policy(shop: Shop, **policy: Any) -> Any:
    return shop.call("PATCH", "/v1/depots/hel", {"policy": policy})


def repaired(shop: Shop, *, after: float = 0.0, **policy: Any) -> None:
    """A depot with a plan that can be improved upon, made so long (s) after its orders came."""
    shop.depot(policy={"min_gain": 0} | policy)
    shop.crew("anna")
    for spot in SPOTS:
        shop.order(spot)
    time.sleep(after)
    replan.repair(shop.store, shop.settings, "hel")


def test_a_kind_that_does_not_ask_waits_for_one_that_does(shop: Shop) -> None:
    shop.depot(policy={"triggers": {"order_new": {"asks": False}, "shift_changed": {"asks": False}}})
    shop.crew("anna")
    made = shop.order()
    assert (due(shop), kinds(shop)) == (None, ["shift_changed", "order_new"])
    assert "lastleg_oldest_trigger_age_seconds 0.0" in shop.call("GET", "/metrics").text, "nobody waits for it"
    shop.call("POST", "/v1/depots/hel/resolve")
    assert replan.repair(shop.store, shop.settings, "hel") == 1
    assert shop.call("GET", f"/v1/orders/{made['id']}").json["status"] == "planned"


def test_the_soonest_kind_decides(shop: Shop) -> None:
    shop.depot(policy={"debounce": 0.5, "triggers": {"order_new": {"wait": 30}, "requested": {"wait": 0}}})
    shop.order()
    assert 29 < (due(shop) or 0) <= 30
    assert replan.repair(shop.store, shop.settings, "hel") == 0
    shop.crew("anna")
    assert 0 < (due(shop) or 0) <= 0.5
    shop.call("POST", "/v1/depots/hel/resolve")
    assert (due(shop) or 0) <= 0
    assert kinds(shop) == ["order_new", "shift_changed", "requested"]


def test_a_cooldown_postpones_and_loses_nothing(shop: Shop) -> None:
    shop.depot(policy={"triggers": {"order_new": {"cooldown": 60}}})
    shop.crew("anna")
    shop.order()
    assert (due(shop) or 0) <= 0
    assert replan.repair(shop.store, shop.settings, "hel") == 1
    shop.order(SPOTS[1])
    shop.order(SPOTS[2])
    assert 58 < (due(shop) or 0) <= 60
    assert kinds(shop) == ["order_new", "order_new"]


def test_a_change_that_does_not_ask_reaches_the_driver_with_the_next_plan(shop: Shop) -> None:
    shop.depot(policy={"triggers": {"order_changed": {"asks": False}}})
    anna = shop.crew("anna")
    made = shop.order()
    replan.repair(shop.store, shop.settings, "hel")
    shop.call("PATCH", f"/v1/orders/{made['id']}", {"location": SPOTS[1]})
    assert due(shop) is None
    shop.call("POST", "/v1/depots/hel/resolve")
    assert replan.repair(shop.store, shop.settings, "hel") == 1
    [stop] = shop.call("GET", "/v1/drivers/me/route", key=anna).json["shifts"][0]["stops"]
    assert stop["location"] == SPOTS[1]


def test_a_person_is_always_heard(shop: Shop) -> None:
    """Also where the policy says that requests do not ask."""
    shop.depot(policy={"triggers": {"requested": {"asks": False}}})
    assert shop.call("POST", "/v1/depots/hel/resolve").status_code == 202
    assert due(shop) is not None


@pytest.mark.parametrize("rule", [{"wait": 30}, {"cooldown": 30}])
def test_what_comes_while_a_repair_runs_waits_as_its_rule_says(shop: Shop, monkeypatch: pytest.MonkeyPatch, rule: Any) -> None:
    shop.depot(policy={"triggers": {"requested": rule}})
    shop.crew("anna")
    shop.order()
    if "cooldown" in rule:
        shop.call("POST", "/v1/depots/hel/resolve")
    solve = engines.ENGINES["repair"]

    def slowly(*args: Any, **more: Any) -> Any:
        monkeypatch.undo()
        shop.call("POST", "/v1/depots/hel/resolve")
        return solve(*args, **more)

    monkeypatch.setitem(engines.ENGINES, "repair", slowly)
    replan.repair(shop.store, shop.settings, "hel")
    assert kinds(shop) == ["requested"]
    assert 28 < (due(shop) or 0) <= 30


def test_what_follows_does_not_put_a_repair_off(shop: Shop) -> None:
    """The first of a burst says when the repair is due."""
    shop.depot(policy={"debounce": 5})
    shop.order()
    first = shop.store.zscore(keys.shared_key("dirty"), "hel")
    time.sleep(0.05)
    shop.order(SPOTS[1])
    assert shop.store.zscore(keys.shared_key("dirty"), "hel") == first


def test_what_comes_while_a_repair_runs_keeps_the_distance(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of `max_wait` from its beginning."""
    shop.depot(policy={"max_wait": 20})
    shop.crew("anna")
    solve = engines.ENGINES["repair"]

    def slowly(*args: Any, **more: Any) -> Any:
        monkeypatch.undo()
        shop.order()
        return solve(*args, **more)

    monkeypatch.setitem(engines.ENGINES, "repair", slowly)
    replan.repair(shop.store, shop.settings, "hel")
    assert 18 < (due(shop) or 0) <= 20


def test_no_depot_is_improved_while_it_waits_for_a_repair(shop: Shop) -> None:
    from workers import dispatcher

    shop.depot(policy={"debounce": 0.5, "triggers": {"order_changed": {"wait": 60}}})
    made = shop.order()
    shop.store.zadd(keys.shared_key("improvable"), {"hel": 0})
    raw = redis.Redis.from_url(str(shop.settings.redis_url))
    queues = {role: Queue(role, connection=raw, serializer=JSONSerializer) for role in keys.DUE}
    dispatcher._wake(shop.store, queues, time.time())
    assert [queue.count for queue in queues.values()] == [0] * len(queues)
    shop.store.delete(keys.shared_key("dirty"))
    shop.call("PATCH", f"/v1/orders/{made['id']}", {"priority": 3})
    dispatcher._wake(shop.store, queues, time.time())
    assert [role for role, queue in queues.items() if queue.count] == ["improve"], "a repair in a minute is no reason to wait"


def test_a_job_ends_though_something_new_comes_all_the_time(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it is counted for is one try, and other depots wait."""
    monkeypatch.setattr(replan, "TURN_S", 0.0)
    shop.depot()
    shop.crew("anna")
    shop.order()
    solve = engines.ENGINES["repair"]

    def slowly(*args: Any, **more: Any) -> Any:
        shop.call("POST", "/v1/depots/hel/resolve")
        return solve(*args, **more)

    monkeypatch.setitem(engines.ENGINES, "repair", slowly)
    assert replan.repair(shop.store, shop.settings, "hel") == 1
    assert kinds(shop) == ["requested"]


def test_metrics_tell_of_waits_and_improvements(shop: Shop) -> None:
    repaired(shop, after=0.3, improve_budget=0.2)
    assert replan.improve(shop.store, shop.settings, "hel") == 1
    plans = shop.call("GET", "/v1/depots/hel/plans").json["plans"]
    assert all(plan["timings"]["wait"] >= 300 for plan in plans)
    told = shop.call("GET", "/metrics").text
    assert f'lastleg_event_to_plan_seconds_count{{stage="improved",trigger="order_new"}} {float(len(SPOTS))}' in told
    waits = 'lastleg_step_seconds_sum{engine="repair",step="wait"} '
    assert float(told.split(waits)[1].split("\n")[0]) >= 0.3


@pytest.mark.parametrize(("waiting", "share"), [(1, 2.0), (4, 0.5), (100, replan.LEAST_IMPROVE_S)])
def test_depots_that_wait_share_what_there_is_of_a_search(shop: Shop, waiting: int, share: float) -> None:
    shop.store.zadd(keys.shared_key("improvable"), {f"d{number}": 0 for number in range(waiting)})
    assert replan._share(shop.store, 2.0) == share


def test_a_shorter_cooldown_counts_at_once(shop: Shop) -> None:
    shop.depot(policy={"triggers": {"order_new": {"cooldown": 86_400}}})
    shop.crew("anna")
    shop.order()
    replan.repair(shop.store, shop.settings, "hel")
    shop.order()
    assert (due(shop) or 0) > 86_000
    set_policy(shop, triggers={"order_new": {"cooldown": 5}})
    shop.store.delete(keys.shared_key("dirty"))
    shop.order()
    assert 4 < (due(shop) or 0) <= 5


def test_a_clock_that_was_ahead_holds_nothing_up(shop: Shop) -> None:
    """Another machine's last repair, an hour in the future of ours."""
    shop.depot(policy={"max_wait": 2})
    shop.store.set(keys.depot_key("hel", "repaired"), time.time() + 3600)
    shop.order()
    assert (due(shop) or 0) <= 2


def test_only_another_policy_asks_for_a_re_solve(shop: Shop) -> None:
    """Another name does not, nor does it start the period again."""
    shop.depot(policy={"periodic": 100})
    [(_, when)] = shop.store.zrange(keys.shared_key("timers"), 0, -1, withscores=True)
    shop.call("PATCH", "/v1/depots/hel", {"name": "Helsinki"})
    assert due(shop) is None
    assert shop.store.zrange(keys.shared_key("timers"), 0, -1, withscores=True)[0][1] == when
    set_policy(shop, late_price=7)
    assert due(shop) is not None


def test_a_burst_waits_for_the_repair_before_it(shop: Shop) -> None:
    shop.depot(policy={"max_wait": 5})
    shop.crew("anna")
    shop.order()
    assert replan.repair(shop.store, shop.settings, "hel") == 1
    shop.order(SPOTS[1])
    assert 4 < (due(shop) or 0) <= 5


def test_a_policy_can_be_changed_and_taken_back_while_it_runs(shop: Shop) -> None:
    shop.depot()
    assert set_policy(shop, triggers={"order_new": {"wait": 7}, "driver_silent": {"asks": False}}).status_code == 200
    changed = set_policy(shop, triggers={"order_new": None}, periodic=3).json["policy"]
    assert changed["triggers"] == {"driver_silent": {"asks": False, "wait": None, "cooldown": 0.0}}
    assert "hel periodic depot" in shop.store.zrange(keys.shared_key("timers"), 0, -1)
    wrong = set_policy(shop, triggers={"meteor": {}, "order_new": {"wait": -1, "patience": 3}})
    assert wrong.status_code == 422
    assert {error["pointer"] for error in wrong.json["errors"]} >= {
        "/policy/triggers/order_new/wait", "/policy/triggers/order_new/patience"}  # fmt: skip
    assert shop.call("GET", "/v1/depots/hel").json["policy"] == changed


def test_a_depot_is_re_solved_periodically_if_it_wants(shop: Shop) -> None:
    from ingest.store import writers

    shop.depot(policy={"periodic": 10})
    [(member, when)] = shop.store.zrange(keys.shared_key("timers"), 0, -1, withscores=True)
    assert writers.due(shop.store, "hel", "timer", member, "periodic", "depot", when + 1)
    assert kinds(shop) == ["periodic"]
    assert shop.store.zscore(keys.shared_key("timers"), member) == pytest.approx(when + 11)


def test_each_change_says_which_trigger_it_answers(shop: Shop) -> None:
    """Two orders at once: each driver hears of the own one; the record knows both."""
    shop.depot()
    tokens = {name: shop.crew(name, skills=[name]) for name in ("anna", "bo")}
    replan.repair(shop.store, shop.settings, "hel")
    made = {name: shop.order(spot, skills=[name]) for name, spot in zip(tokens, SPOTS, strict=False)}
    assert replan.repair(shop.store, shop.settings, "hel") == 1
    for name, token in tokens.items():
        route = shop.call("GET", "/v1/drivers/me/route", key=token).json
        assert [trigger["subject"] for trigger in route["triggers"]] == [made[name]["id"]]
    plan = shop.call("GET", "/v1/depots/hel/plan").json
    revisions = {trigger["subject"]: trigger["revision"] for trigger in plan["triggers"]}
    assert {change["driver_id"]: change["because"] for change in plan["diff"]["routes"]} == {
        f"hel.{name}": [revisions[order["id"]]] for name, order in made.items()}  # fmt: skip


def test_an_improvement_answers_the_triggers_of_the_repairs_before_it(shop: Shop) -> None:
    """And they wait for it no longer, whether it found something or not."""
    repaired(shop, improve_budget=0.2)
    before = readers.snapshot(shop.store, "hel")
    assert before is not None
    assert [trigger.kind for trigger in before.improving] == ["shift_changed"] + ["order_new"] * len(SPOTS)
    assert replan.improve(shop.store, shop.settings, "hel") == 1
    assert readers.version_record(shop.store, "hel", 2).timings["wait"] > 0  # type: ignore[union-attr]  # just published
    after = readers.snapshot(shop.store, "hel")
    assert after is not None
    assert after.improving == ()


def test_an_improvement_ends_with_what_it_has_when_something_happens(shop: Shop) -> None:
    """It does not wait for its budget, and what it has found is not lost."""
    repaired(shop, improve_budget=30)
    later = threading.Timer(1.0, shop.order, [SPOTS[0]])
    later.start()
    begun = time.monotonic()
    assert replan.improve(shop.store, shop.settings, "hel") == 1
    assert time.monotonic() - begun < 15
    later.join()
    assert kinds(shop) == ["order_new"]


def test_a_broken_vehicle_loses_its_open_stops(shop: Shop) -> None:
    shop.depot()
    tokens = [shop.crew(name) for name in ("anna", "bo")]
    made = shop.order(kind="collection")
    replan.repair(shop.store, shop.settings, "hel")
    holder = 0 if shop.call("GET", "/v1/drivers/me/route", key=tokens[0]).json["shifts"][0]["stops"] else 1
    body = {"event_id": "smoke", "type": "broken_down", "occurred_at": "2030-01-01T08:00:00Z"}
    assert shop.call("POST", "/v1/drivers/me/events", body, key=tokens[holder]).status_code == 200
    assert kinds(shop) == ["vehicle_broken"]
    replan.repair(shop.store, shop.settings, "hel")
    route = shop.call("GET", "/v1/drivers/me/route", key=tokens[1 - holder]).json
    assert [stop["order_id"] for shift in route["shifts"] for stop in shift["stops"]] == [made["id"]]


def test_metrics_tell_what_happened(shop: Shop) -> None:
    """Summed up from Redis, in Prometheus' format, for anybody, with nothing personal in them."""
    shop.depot()
    shop.crew("anna")
    shop.order()
    shop.order(SPOTS[1])
    before = shop.call("GET", "/metrics", key="").text
    assert "lastleg_depots_waiting_for_repair 1.0" in before
    replan.repair(shop.store, shop.settings, "hel")
    told = shop.call("GET", "/metrics", key="").text
    assert 'lastleg_event_to_plan_seconds_count{stage="first",trigger="order_new"} 2.0' in told
    assert 'lastleg_plans_total{engine="repair"} 1.0' in told
    assert "lastleg_triggers_coalesced_total 2.0" in told
    assert 'lastleg_step_seconds_count{engine="repair",step="commit"} 1.0' in told
    assert 'lastleg_queue_jobs{queue="repair"} 0.0' in told
    assert "hel" not in told.replace("help", "")
    timings = shop.call("GET", "/v1/depots/hel/plans").json["plans"][0]["timings"]
    assert set(timings) == {"wait", "matrix", "solve", "check", "commit"}
    series = {(item.name, item.labels.get("stage")): item for item in metrics.series(shop.store)}
    assert sum(series["event_to_plan_seconds", "first"].buckets) in (1.0, 2.0)


def test_a_cooldown_holds_however_often_it_is_asked(shop: Shop) -> None:
    """Triggers that come faster than their repair is due do not push its next one forward."""
    from ingest.store import writers

    shop.depot(policy={"debounce": 0.3, "triggers": {"requested": {"cooldown": 60}}})
    moments = []
    for at in (1000.0, 1000.2, 1000.4, 1000.6):
        writers.request(shop.store, "hel", "somebody", at)
        moments.append(shop.store.zscore(keys.shared_key("dirty"), "hel"))
        if at == 1000.2:  # answered
            shop.store.delete(keys.shared_key("dirty"))
    assert moments == pytest.approx([1000.3, 1000.3, 1060.3, 1060.3])


def test_null_gives_a_default_back(shop: Shop) -> None:
    """Also where the default is to have none."""
    shop.depot(policy={"periodic": 10, "max_moves_per_driver": 2})
    told = set_policy(shop, periodic=None, max_moves_per_driver=None, max_wait=None).json["policy"]
    assert (told["periodic"], told["max_moves_per_driver"], told["max_wait"]) == (None, None, 0.4)
    assert shop.store.zrange(keys.shared_key("timers"), 0, -1) == []


def test_a_job_goes_on_with_other_depots_but_not_in_circles(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that are due; one that cannot be worked off is asked once."""
    from workers import jobs

    for depot in ("hel", "esp"):
        shop.depot(depot)
        shop.crew("anna", depot)
    made = [shop.order(), shop.order(depot_id="esp")]
    monkeypatch.setenv("REDIS_URL", str(shop.settings.redis_url))
    assert jobs.repair("hel") == 2
    assert [shop.call("GET", f"/v1/orders/{order['id']}").json["status"] for order in made] == ["planned", "planned"]
    shop.order(SPOTS[1])
    asked: list[str] = []

    def improve(client: object, settings: object, depot: str) -> int:
        asked.append(depot)
        return replan.improve(client, settings, depot)  # type: ignore[arg-type]

    monkeypatch.setattr(jobs, "_doer", lambda role: improve)
    set_policy(shop, improve_budget=0.1)
    shop.call("PATCH", "/v1/depots/esp", {"policy": {"improve_budget": 0.1}})
    jobs.improve("hel")
    assert sorted(asked) == ["esp", "hel"], "both wait for a repair first"


def test_metrics_tell_how_far_off_the_published_times_are(shop: Shop) -> None:
    """By side, once for each arrival, however often it is reported."""
    shop.depot()
    token = shop.crew("anna")
    shop.order(kind="collection")
    replan.repair(shop.store, shop.settings, "hel")
    shop.leave(token)
    [stop] = shop.call("GET", "/v1/drivers/me/route", key=token).json["shifts"][0]["stops"]
    for _ in range(2):
        assert shop.event(token, stop["stop_id"], "arrived", event_id="here").status_code == 200
    text = shop.call("GET", "/metrics", key="").text
    assert 'lastleg_eta_error_seconds_count{side="early"} 1.0' in text
