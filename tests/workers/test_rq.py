"""RQ's own command line runs our jobs, and nothing but our jobs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import redis
from rq import Callback, Queue
from rq.serializers import JSONSerializer

from ingest.settings import ROOT
from ingest.store import keys
from tests.conftest import Shop, one_server, wait_for
from workers.lease import hold
from workers.rq_worker import LastlegJob, NotAllowed, Worker
from workers.supervisor import rq_environment

RQ = str(Path(sys.executable).with_name("rq"))


def environment(shop: Shop, **more: str) -> dict[str, str]:
    return os.environ | {"REDIS_URL": str(shop.settings.redis_url), "PYTHONPATH": str(ROOT)} | more


def hint(shop: Shop, role: str) -> None:
    raw = redis.Redis.from_url(str(shop.settings.redis_url))
    Queue(role, connection=raw, serializer=JSONSerializer).enqueue_call(f"workers.jobs.{role}", args=("hel",), result_ttl=0)


@one_server
@pytest.mark.parametrize("words", [["worker", "--burst", "repair"], ["worker-pool", "--burst", "-n", "2", "repair"]])
def test_the_stock_command_line_runs_the_jobs(shop: Shop, words: list[str]) -> None:
    """`rq worker repair` and `rq worker-pool repair`, told once by the environment."""
    shop.depot()
    shop.crew("anna")
    made = shop.order()
    hint(shop, "repair")
    told = environment(shop, **rq_environment())
    done = subprocess.run([RQ, *words], env=told, cwd=ROOT, check=True, timeout=60, capture_output=True)
    assert shop.call("GET", f"/v1/orders/{made['id']}").json["status"] == "planned"
    lines = [json.loads(line) for line in (done.stdout + done.stderr).decode().splitlines() if "workers.replan" in line]
    assert [(line["depot"], line["version"], line["level"]) for line in lines] == [("hel", 1, "INFO")]
    assert lines[0]["revision"] > 0
    assert lines[0]["job"]


@one_server
def test_without_our_class_the_worker_says_what_to_do(shop: Shop) -> None:
    """RQ's own class would fail every job; it does not start."""
    done = subprocess.run([RQ, "worker", "-c", "workers.rq_settings", "--burst", "repair"], env=environment(shop), cwd=ROOT,
                          capture_output=True, text=True, timeout=60)  # fmt: skip
    assert done.returncode != 0
    assert "workers.rq_worker.Worker" in done.stderr
    ours = [RQ, "worker", "-c", "workers.rq_settings", "-w", "workers.rq_worker.Worker", "--burst", "repair", "improve"]
    done = subprocess.run(ours, env=environment(shop), cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert "exactly one queue" in done.stderr + done.stdout


def test_no_other_callable_can_be_run(shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither as a job nor as a callback, whatever stands in Redis."""
    monkeypatch.setenv("REDIS_URL", str(shop.settings.redis_url))
    raw = redis.Redis.from_url(str(shop.settings.redis_url))
    queue = Queue("repair", connection=raw, serializer=JSONSerializer)
    proof = tmp_path / "proof"
    job = queue.enqueue_call("os.mkdir", args=(str(proof),))
    assert LastlegJob.fetch(job.id, connection=raw, serializer=JSONSerializer).func_name == "os.mkdir"
    with pytest.raises(NotAllowed):
        _ = LastlegJob.fetch(job.id, connection=raw, serializer=JSONSerializer).func
    queue.enqueue("workers.jobs.repair", "hel", on_success=Callback("os.abort"), on_failure=Callback("os.abort"))
    worker = Worker([queue], connection=raw)
    worker.work(burst=True, logging_level="ERROR")
    assert not proof.exists()
    assert queue.failed_job_registry.get_job_ids() == [job.id]
    assert queue.count == 0


def test_an_improvement_runs_as_a_job_and_clears_its_mark(shop: Shop) -> None:
    """Asked for by the repair; done once, the depot is no longer marked."""
    from workers import jobs, replan

    shop.depot(policy={"improve_budget": 0.3})
    shop.crew("anna")
    shop.order()
    replan.repair(shop.store, shop.settings, "hel")
    assert shop.store.zscore(keys.shared_key("improvable"), "hel") is not None
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REDIS_URL", str(shop.settings.redis_url))
        jobs.improve("hel")
    assert shop.store.zscore(keys.shared_key("improvable"), "hel") is None


@one_server
def test_a_suspended_queue_does_not_fill_up(shop: Shop) -> None:
    """`rq suspend`: workers take nothing, `rq info` tells what waits, which stays one job a depot; after `rq resume` it is done."""
    from workers import dispatcher

    shop.depot()
    shop.crew("anna")
    order = shop.order()["id"]
    raw = redis.Redis.from_url(str(shop.settings.redis_url))
    queues = {role: Queue(role, connection=raw, serializer=JSONSerializer) for role in ("repair", "improve")}
    told = environment(shop, **rq_environment())

    def rq(*words: str) -> str:
        done = subprocess.run([RQ, *words], env=told, cwd=ROOT, capture_output=True, text=True, timeout=60)
        return done.stdout + done.stderr

    rq("suspend")
    for _ in range(3):
        shop.store.delete(keys.hint("hel", "repair"))  # as it runs out
        dispatcher._wake(shop.store, queues, time.time() + 1)
    rq("worker", "--burst", "repair")
    assert queues["repair"].count == 1
    assert rq("info", "--raw").startswith("queue repair 1, 0 executing, 0 finished, 0 failed\n")
    rq("resume")
    rq("worker", "--burst", "repair")
    assert shop.call("GET", f"/v1/orders/{order}").json["status"] == "planned"


def test_a_lease_is_held_by_one_and_renewed_while_it_works(shop: Shop) -> None:
    """Longer than its own time to live; then it is free at once."""
    with hold(shop.store, "hel", "repair") as first, hold(shop.store, "hel", "repair") as second:
        assert (first, second) == (True, False)
        key = keys.lease("hel", "repair")
        wait_for(lambda: shop.store.pttl(key) < 1400, what="the lease to run down")
        wait_for(lambda: shop.store.pttl(key) > 1600, what="a renewal")
    assert not shop.store.exists(keys.lease("hel", "repair"))


def test_hints_are_given_once_until_taken_or_lost(shop: Shop) -> None:
    """Dirty depots get one hint each; a leased depot none."""
    from workers import dispatcher

    shop.depot()
    shop.order()
    raw = redis.Redis.from_url(str(shop.settings.redis_url))
    queues = {role: Queue(role, connection=raw, serializer=JSONSerializer) for role in ("repair", "improve")}
    for _ in range(3):
        dispatcher._wake(shop.store, queues, time.time() + 1)
    assert queues["repair"].count == 1
    shop.store.delete(keys.hint("hel", "repair"))
    with hold(shop.store, "hel", "repair"):
        dispatcher._wake(shop.store, queues, time.time() + 1)
    assert queues["repair"].count == 1
    raw.lpop(keys.rq_queue("repair"))  # a worker takes it, and dies
    dispatcher._wake(shop.store, queues, time.time() + 1)
    assert queues["repair"].count == 1


@one_server
def test_there_is_no_worker_for_a_queue_that_nobody_fills(shop: Shop) -> None:
    """A typing error is told at once, and no worker waits for ever."""
    from workers import rq_worker

    raw = redis.Redis.from_url(str(shop.settings.redis_url))
    with pytest.raises(SystemExit, match="no queue 'repairs'; there are repair, improve"):
        rq_worker.Worker([Queue("repairs", connection=raw, serializer=JSONSerializer)], connection=raw).work(burst=True)


@one_server
def test_a_job_that_hangs_in_compiled_code_is_ended(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no signal is heard of: it has its timeout, and a little more, of processor time."""
    from workers import jobs, rq_worker

    monkeypatch.setattr(rq_worker, "HANGS_S", 0)
    monkeypatch.setattr(jobs, "_doer", lambda role: lambda *_: sum(range(10**13)))
    monkeypatch.setenv("REDIS_URL", str(shop.settings.redis_url))
    shop.depot()
    shop.order()
    raw = redis.Redis.from_url(str(shop.settings.redis_url))
    queue = Queue("repair", connection=raw, serializer=JSONSerializer)
    job = queue.enqueue_call("workers.jobs.repair", args=("hel",), timeout=1)
    begun = time.monotonic()
    rq_worker.Worker([queue], connection=raw).work(burst=True, logging_level="CRITICAL")
    assert time.monotonic() - begun < 20
    assert job.get_status() == "failed"


def test_a_depot_whose_job_fails_is_left_alone_for_a_while(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its trigger stays, but the others get the worker first."""
    from workers import dispatcher, jobs, replan

    shop.depot()
    shop.order()
    monkeypatch.setenv("REDIS_URL", str(shop.settings.redis_url))
    monkeypatch.setattr(replan, "problem_of", _fails)
    with pytest.raises(ZeroDivisionError):
        jobs.repair("hel")
    raw = redis.Redis.from_url(str(shop.settings.redis_url))
    queues = {role: Queue(role, connection=raw, serializer=JSONSerializer) for role in ("repair", "improve")}
    dispatcher._wake(shop.store, queues, time.time() + 1)
    assert queues["repair"].count == 0
    assert shop.store.zcard(keys.depot_key("hel", "triggers")) == 1
    assert 0 < shop.store.pttl(keys.hint("hel", "repair")) <= 500


def _fails(*_: object, **__: object) -> None:
    raise ZeroDivisionError
