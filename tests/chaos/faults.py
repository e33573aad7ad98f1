"""The system's own processes, with places at which they can be killed or frozen, and with a safeguard taken out.

A process that comes by a place takes what the file `<state>/chaos/<place>` says: `kill` or `freeze`. Nothing of this is in the
product: the functions around each step are wrapped when a process starts through this module.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from types import ModuleType
from typing import Any

from ingest.settings import Settings
from ingest.store import connection, readers, writers
from routing.solve import checker, engines
from workers import commit, dispatcher, jobs, replan
from workers.__main__ import main
from workers.front import Front
from workers.rq_worker import Worker as Product

WORKER = ("hint_taken", "snapshot_read", "problem_built", "plan_solved", "plan_checked", "commit_sent", "commit_done", "work_done")
IMPROVER = ("improvement_found",)
API = ("write_sent", "write_done")
DISPATCHER = ("event_heard", "hint_given")
PLACES = (*WORKER, *IMPROVER, *API, *DISPATCHER)
"""Every step between an event and its plan, in order."""

WITHOUT = {
    "cas": ("commit", (
        ("if version ~= c.version then return", "if false then return"),
        ("if tonumber(redis.call('HGET', K.record_rev, record) or '0') ~= rev then return", "if false then return"),
        ("if not assumed[stop] then return", "if false then return"),
        ("~= route.departed then return", "== nil then return"),
    )),
    "idempotency": ("order_create", (("if known then", "if false then"),)),
    "sweep": ("", ()),
}  # fmt: skip
"""What can be taken out: the script that has it, and what its lines become."""


def place(name: str) -> None:
    """Come by a place: do what somebody has left there for whoever comes first."""
    order = Settings.read().state / "chaos" / name
    taken = order.with_suffix(f".{os.getpid()}")
    try:
        order.rename(taken)
    except OSError:
        return
    if taken.read_text() == "freeze":
        os.kill(os.getpid(), signal.SIGSTOP)
    else:
        os.kill(os.getpid(), signal.SIGKILL)


def around(where: ModuleType | dict[str, Any], name: str, *, before: str = "", after: str = "",
           only: Callable[..., bool] | None = None) -> None:  # fmt: skip
    """Put places in front of and behind a function, for the calls that `only` says."""
    function = where[name] if isinstance(where, dict) else getattr(where, name)

    @wraps(function)
    def wrapped(*args: Any, **more: Any) -> Any:
        meant = only is None or only(*args, **more)
        if before and meant:
            place(before)
        result = function(*args, **more)
        if after and meant:
            place(after)
        return result

    if isinstance(where, dict):
        where[name] = wrapped
    else:
        setattr(where, name, wrapped)


def _take_out(what: str) -> None:
    if what == "sweep":
        dispatcher.HINT_S = 3600.0  # a lost hint is never given again
        jobs._another = lambda *_: None  # and nobody looks for depots that have been forgotten
        return
    script, changes = WITHOUT[what]
    source = connection.source

    def changed(folder: Path, name: str, extra: tuple[str, ...]) -> str:
        text = str(source(folder, name, extra))
        if name == script:
            for line, instead in changes:
                assert line in text, line
                text = text.replace(line, instead)
        return text

    connection.source = changed  # type: ignore[assignment]  # the cache around it does not matter here


def install() -> None:
    """Wrap every step."""
    if os.environ.get("LASTLEG_CHAOS_WITHOUT"):
        _take_out(os.environ["LASTLEG_CHAOS_WITHOUT"])
    around(jobs, "_work", before="hint_taken", only=lambda _, role: role == "repair")
    around(readers, "snapshot", after="snapshot_read")
    around(replan, "problem_of", after="problem_built")
    around(engines.ENGINES, "repair", after="plan_solved")
    around(engines.ENGINES, "improve", after="improvement_found")
    around(checker, "check", after="plan_checked")
    around(commit, "run", before="commit_sent", after="commit_done")
    around(jobs, "_depot", after="work_done")
    around(writers, "run", before="write_sent", after="write_done", only=_by_api)
    around(dispatcher, "_listen", after="event_heard")
    around(dispatcher, "_hint", after="hint_given")


def _by_api(client: Any, depot_id: str, script: str, *_: Any, **__: Any) -> bool:
    return script in {"order_create", "order_cancel", "stop_event", "driver_event"}


class Worker(Product):
    """The product's worker, with places."""


def create_front() -> Front:
    """The product's front, with places."""
    from app import create_front as product

    return product()


install()

if __name__ == "__main__":
    sys.exit(main())
