"""RQ's worker, made safe for this project: JSON, only our jobs, one queue, everything loaded before the fork."""

from __future__ import annotations

import os
import resource
import signal
import time
from typing import Any

import redis
import rq
from rq.exceptions import StopRequested
from rq.job import Job
from rq.serializers import JSONSerializer

from ingest import logs
from ingest.parent import die_with_parent
from ingest.settings import Settings
from ingest.store import keys
from ingest.store.connection import WrongSchema, away, check_schema, connect
from ingest.store.embedded import ONCE_MORE
from routing.errors import LastlegError
from workers import jobs

ALLOWED = frozenset(f"workers.jobs.{role}" for role in (*keys.DUE, "district"))
"""The only callables a job may name. JSON alone would still run any importable one."""


class NotAllowed(LastlegError):
    """A job that names something else than this project's jobs."""

    code = "job_not_allowed"


class LastlegJob(Job):
    """A job that may run nothing but `ALLOWED`, and no callbacks."""

    @property
    def func(self) -> Any:
        """The callable to run.

        Raises
        ------
        NotAllowed
            If it is not on the list.
        """
        if self.func_name not in ALLOWED:
            raise NotAllowed(f"Job {self.id} names {self.func_name!r}.")
        return super().func

    def perform(self) -> Any:
        """Run it, with its id in every line of the log."""
        logs.job.set(self.id)
        return super().perform()

    success_callback = failure_callback = stopped_callback = property(lambda self: None)


NICE = 10
"""How far all others stand back behind repairs and matches: they take what those leave of the processors."""


WORKER_TTL_S = 17
"""So long after its last beat a worker counts as gone. RQ waits 15 s less than that for a job before it beats again: so soon a
connection that died without a word is noticed."""

HANGS_S = 5
"""Seconds of processor time beyond its timeout after which a job is stopped that does not hear of it, as in compiled code."""


def patient(name: str, *, again: bool = True) -> Any:
    """A method of RQ's worker that waits while Redis is away, and is called again then.

    RQ's own would end the worker, which takes seconds to start.
    """
    method = getattr(rq.Worker, name)

    def waits(self: Worker, *args: Any, **kwargs: Any) -> Any:
        while True:
            try:
                return method(self, *args, **kwargs)
            except redis.RedisError as error:
                if not away(error):
                    raise
                self.log.warning("Redis is away in %s: %s", name, error)
                time.sleep(0.2)
                self.wait_for_redis()
            if not again:
                return None

    return waits


def _limit(what: int, most: int) -> None:
    """Limit what this process may use, within what it may use at all."""
    _, hard = resource.getrlimit(what)
    resource.setrlimit(what, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


class Worker(rq.Worker):
    """Runs this project's jobs from exactly one queue (RQ loses no job only then), and lives through any outage of Redis."""

    check_for_suspension = patient("check_for_suspension")
    run_maintenance_tasks = patient("run_maintenance_tasks")
    heartbeat = patient("heartbeat")
    dequeue_job_and_maintain_ttl = patient("dequeue_job_and_maintain_ttl")
    execute_job = patient("execute_job", again=False)  # what it was about is found by the sweep

    max_connection_wait_time = 1
    """Seconds between two tries to reach Redis again; RQ would wait up to a minute."""

    def __init__(self, queues: Any, *args: Any, **kwargs: Any) -> None:
        kwargs.pop("default_worker_ttl", None)
        kwargs.update(serializer=JSONSerializer, job_class=LastlegJob, worker_ttl=WORKER_TTL_S, default_result_ttl=0,
                      job_monitoring_interval=5, maintenance_interval=5)  # fmt: skip
        super().__init__(queues, *args, **kwargs)
        self.connection.set_retry(ONCE_MORE)
        working = kwargs.get("prepare_for_work", True)  # else it is looked at: `rq info` makes workers that have no queue
        if working and len(self.queues) != 1:
            raise SystemExit(f"rq: give exactly one queue to a worker: {', '.join(keys.DUE)}")
        for queue in self.queues:
            queue.serializer, queue.job_class = JSONSerializer, LastlegJob

    def register_birth(self) -> None:
        """Be listed, and its queue with it: `rq info` tells only of workers at queues it knows, else those that ever had a job."""
        super().register_birth()  # type: ignore[no-untyped-call]  # RQ does not annotate it
        self.connection.sadd(rq.Queue.redis_queues_keys, *(queue.key for queue in self.queues))

    def wait_for_redis(self) -> None:
        """Wait until Redis answers, without a job and ready to stop; then be registered, however long that was."""
        if self.horse_pid:
            self.kill_horse()
            self.wait_for_horse()
            self._horse_pid = 0
        while True:
            if self._stop_requested:
                raise StopRequested
            try:
                if not self.connection.exists(self.key):
                    self.register_birth()
                return
            except redis.RedisError as error:
                if not away(error):
                    raise
                time.sleep(0.2)

    @property
    def connection_timeout(self) -> int:
        """How long (s) an answer may take, with the wait for a job in it."""
        return int(self.dequeue_timeout) + 1

    def work(self, *args: Any, **kwargs: Any) -> Any:
        """Work until told to stop; not at all on data of another version, or for a role that there is none of."""
        role = self.queues[0].name
        if role not in keys.DUE:
            raise SystemExit(f"rq: there is no queue {role!r}; there are {', '.join(keys.DUE)}")
        try:
            check_schema(connect(Settings.read()))
        except WrongSchema as error:
            raise SystemExit(f"rq: {error}") from None
        except redis.RedisError as error:
            self.log.warning("Redis is away: %s", error)
        if role not in ("repair", "match"):
            os.nice(NICE)
        jobs.preload(role)
        return super().work(*args, **kwargs)

    def main_work_horse(self, job: Any, queue: Any) -> None:
        """What a job's process does: its worker's end is its own, and it has only so much processor time."""
        die_with_parent(signal.SIGKILL)
        _limit(resource.RLIMIT_CORE, 0)
        _limit(resource.RLIMIT_CPU, int(time.process_time()) + 1 + int(job.timeout or 0) + HANGS_S)
        super().main_work_horse(job, queue)


logs.setup(Settings.read().log)
