"""All processes of a single machine: started, watched, restarted when they die, and stopped to the last."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import TracebackType

import redis

from ingest.auth import Role, make_key, principal_of
from ingest.parent import die_with_parent
from ingest.settings import ROOT, Settings
from ingest.store import embedded, keys, readers
from ingest.store.connection import Store, check_schema, connect
from routing.errors import LastlegError
from workers import dispatcher

TENANT = "default"
RESTART_AFTER_S = 1.0
STOP_WITHIN_S = 8.0

START_WITHIN_S = 240.0
"""So long all may take to be there for the first time: without compiled kernels, each process compiles them."""

UP_WITHIN_S = 60.0
"""So long a new process may take to be there before the one before is ended all the same."""

FINISH_WITHIN_S = 90.0
"""So long a worker may take to finish its job when it is replaced: longer than any improvement searches."""

BACKLOG = "16384"
"""Requests an API process works on at a time; each stream and each long poll is one all the while."""

DRAIN_S = "5"
"""Seconds that an API process which is to end has for the calls it has begun."""

TAKE_OVER_S = "8"
"""Seconds after which a new API process has certainly taken over from the one before: it is not asked."""


class PortTaken(LastlegError):
    """Somebody else listens on the port."""

    code = "port_taken"


@dataclass
class Stack:
    """The running system. Use as a context manager: leaving it leaves no process behind."""

    settings: Settings
    say: Callable[[str], None] = print
    workers: int = 1
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    started: dict[str, float] = field(default_factory=dict)
    server: subprocess.Popen[bytes] | None = None
    operator_key: str = ""

    @property
    def url(self) -> str:
        """Where the API listens."""
        return f"http://{self.settings.host}:{self.settings.port}"

    def __enter__(self) -> Stack:
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def _start(self) -> None:
        _port_free(self.settings)
        self.say("starting the store")
        self.server = embedded.ensure(self.settings)
        client = connect(self.settings)
        check_schema(client)
        self.operator_key = operator_key(self.settings)
        (self.settings.state / "log").mkdir(parents=True, exist_ok=True)
        self.say("starting the API, the dispatcher, the archiver and the workers")
        for name in self.commands():
            self._spawn(name)
        self._await_api()
        self._await_workers(client)

    def commands(self) -> dict[str, list[str]]:
        """What runs, by name."""
        python, host, port = sys.executable, self.settings.host, str(self.settings.port)
        tool = str(Path(sys.executable).with_name("rq"))
        granian = str(Path(sys.executable).with_name("granian"))
        commands = {
            "api": [granian, "--interface", "asgi", "--factory", "app:create_front", "--host", host, "--port", port,
                    "--workers", "1", "--workers-kill-timeout", DRAIN_S, "--respawn-interval", TAKE_OVER_S, "--no-ws",
                    "--loop", "asyncio", "--log-level", "warning", "--backlog", BACKLOG, "--backpressure", BACKLOG],
            "dispatcher": [python, "-m", "workers", "dispatch"],
            "archiver": [python, "-m", "workers", "archive"],
        }  # fmt: skip
        for number in range(self.workers):
            suffix = f"-{number + 1}" if self.workers > 1 else ""
            commands[f"repair{suffix}"] = [tool, "worker", "repair"]
        commands |= {role: [tool, "worker", role] for role in ("improve", "track", "match", "deliver", "load")}
        return commands

    def _spawn(self, name: str) -> None:
        environment = os.environ | rq_environment() | {"PYTHONPATH": str(ROOT), "LASTLEG_STATE": str(self.settings.state)}
        with (self.settings.state / "log" / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                self.commands()[name], cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True, preexec_fn=die_with_parent,
            )  # fmt: skip
        self.started[name] = time.monotonic()

    def _await_api(self) -> None:
        until = time.monotonic() + START_WITHIN_S
        while time.monotonic() < until:
            if self.processes["api"].poll() is not None:
                break
            try:
                socket.create_connection((self.settings.host, self.settings.port), 0.2).close()
                return
            except OSError:
                time.sleep(0.05)
        raise LastlegError("The API did not start.", remedy=f"Look at {self.settings.state / 'log' / 'api.log'}.")

    def _await_workers(self, client: Store) -> None:
        """Wait until somebody listens at each queue, so that the first event is answered at once."""
        until = time.monotonic() + START_WITHIN_S
        while not all(readers.workers_at(client, role) for role in keys.DUE):
            if time.monotonic() > until:
                raise LastlegError("The workers did not start.", remedy=f"Look at {self.settings.state / 'log' / 'repair.log'}.")
            time.sleep(0.05)

    def watch(self) -> None:
        """Restart what has died; call it now and then. A store that does not come up is started again the next time."""
        for name, process in list(self.processes.items()):
            if process.poll() is not None and time.monotonic() - self.started[name] > RESTART_AFTER_S:
                self.say(f"{name} ended with status {process.returncode}; starting it again")
                self._spawn(name)
        if self.server is None or self.server.poll() is not None:  # or somebody else's may have ended
            try:
                started = embedded.ensure(self.settings)
            except embedded.NoServer as error:
                self.say(str(error))
                return
            if started is not None:
                self.say("the store ended; it is started again")
            self.server = started

    def roll(self, stopped: Callable[[], bool] = lambda: False) -> None:
        """Start every process anew, on the code and maps as they are now, one after the other; nobody who calls notices.

        The API's server starts a new worker, lets it take over and the old one end. All others are replaced by a twin that is
        there before they go; what they had begun they finish. Meanwhile what dies is started again, and `stopped` ends it.
        """
        compiled = [sys.executable, "-m", "routing.jit"]  # so that all start soon
        subprocess.run(compiled, cwd=ROOT, check=False, stdout=subprocess.DEVNULL)
        _signal(self.processes["api"], signal.SIGHUP)
        for name in [name for name in self.commands() if name != "api"]:
            before = self.processes.pop(name)
            if name == "archiver":  # the only one of which there is one
                self._end(before, stopped)
            self._spawn(name)
            self._watch_until(partial(self._listens, name), UP_WITHIN_S, stopped)
            self._end(before, stopped)
            if stopped():
                if before.poll() is None:
                    self.processes[f"{name} before"] = before  # to be ended with all others
                return

    def _watch_until(self, done: Callable[[], bool], seconds: float, stopped: Callable[[], bool]) -> None:
        """Watch over all processes until something is done, or for so long, or until all is to stop."""
        until = time.monotonic() + seconds
        while not done() and not stopped() and time.monotonic() < until:
            self.watch()
            time.sleep(0.05)

    def _listens(self, name: str) -> bool:
        """Whether a process does its work: a worker is at its queue, a dispatcher in its group."""
        client, pid = connect(self.settings), self.processes[name].pid
        try:
            if name.startswith("dispatcher"):
                found = client.xinfo_consumers(keys.shared_key("events"), dispatcher.GROUP)
                return dispatcher.consumer(pid) in [consumer["name"] for consumer in found]
            role = name.split("-")[0]
            return role not in keys.DUE or (socket.gethostname(), pid) in readers.workers_at(client, role)
        except redis.RedisError:
            return False

    def _end(self, process: subprocess.Popen[bytes], stopped: Callable[[], bool]) -> None:
        """Let a process finish what it does."""
        _signal(process, signal.SIGTERM)
        self._watch_until(lambda: process.poll() is not None, FINISH_WITHIN_S, stopped)
        if process.poll() is None and not stopped():
            _signal_group(process, signal.SIGKILL)
            process.wait()

    def stop(self) -> None:
        """Stop everything this started: first those who write, the store last."""
        for process in self.processes.values():
            _signal(process, signal.SIGTERM)
        until = time.monotonic() + STOP_WITHIN_S
        for process in self.processes.values():
            try:
                process.wait(max(0.1, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                _signal_group(process, signal.SIGKILL)
                process.wait()
        self.processes.clear()
        if self.server is not None:
            _signal(self.server, signal.SIGTERM)
            try:
                self.server.wait(STOP_WITHIN_S)
            except subprocess.TimeoutExpired:
                self.server.kill()
                self.server.wait()
            self.server = None


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    if process.poll() is None:
        process.send_signal(number)


def _signal_group(process: subprocess.Popen[bytes], number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def _port_free(settings: Settings) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError:
            raise PortTaken(
                f"Something listens on {settings.host}:{settings.port} already.",
                remedy="Stop it, or choose another with LASTLEG_PORT.",
            ) from None


def rq_environment() -> dict[str, str]:
    """What RQ's command line must be told once."""
    return {"RQ_CONFIG": "workers.rq_settings", "RQ_WORKER_CLASS": "workers.rq_worker.Worker"}


def operator_key(settings: Settings) -> str:
    """The operator key made at set-up; it is kept in a file only its owner can read, and hashed in Redis."""
    path = settings.state / "operator.key"
    client = connect(settings)
    if path.exists():
        secret = path.read_text().strip()
        if principal_of(client, secret) is not None:
            return secret
    secret, _ = make_key(client, Role.OPERATOR, tenant=TENANT, name="set-up")
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(secret + "\n")
    return secret
