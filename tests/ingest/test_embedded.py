"""The embedded server: one per folder, durable, never orphaned."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import redis

from ingest.settings import ROOT, Settings
from ingest.store import embedded
from tests.conftest import kill, wait_for


@pytest.fixture
def own(tmp_path: Path) -> Settings:
    return Settings.read({"LASTLEG_STATE": str(tmp_path)})


def client(settings: Settings) -> redis.Redis:
    return redis.Redis.from_url(embedded.url(settings), socket_timeout=2)


def test_of_many_starters_one_starts_and_the_others_attach(own: Settings) -> None:
    """At the same moment, on the same folder."""
    found: list[subprocess.Popen[bytes] | None] = []
    threads = [threading.Thread(target=lambda: found.append(embedded.ensure(own, die_with_parent=False))) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    started = [process for process in found if process is not None]
    assert len(started) == 1
    assert client(own).ping()
    started[0].terminate()
    assert started[0].wait(5) is not None


def test_what_was_written_survives_a_kill(own: Settings) -> None:
    """The log is on by default; a new server reads it and takes the stale socket over."""
    first = embedded.ensure(own)
    assert first is not None
    for number in range(200):
        client(own).set(f"k{number}", number)
    kill(first)
    second = embedded.ensure(own)
    assert second is not None
    assert client(own).dbsize() == 200
    second.terminate()
    second.wait(5)


def test_a_hanging_server_is_told_and_not_doubled(own: Settings) -> None:
    """It holds its folder though it answers nothing; once it goes on, it is attached to."""
    process = embedded.ensure(own)
    assert process is not None
    process.send_signal(signal.SIGSTOP)
    try:
        with pytest.raises(embedded.NoServer, match="does not answer"):
            embedded.ensure(own, deadline=1)
    finally:
        process.send_signal(signal.SIGCONT)
    assert embedded.ensure(own) is None
    process.terminate()
    process.wait(5)


def test_it_ends_with_who_started_it(own: Settings, tmp_path: Path) -> None:
    """`kill -9` of the parent leaves no server behind."""
    script = "import sys, time; from ingest.settings import Settings; from ingest.store import embedded; " \
             "print(embedded.ensure(Settings.read()).pid, flush=True); time.sleep(60)"  # fmt: skip
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, cwd=ROOT,
                              env=os.environ | {"LASTLEG_STATE": str(tmp_path), "REDIS_URL": ""})  # fmt: skip
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    kill(parent)
    wait_for(lambda: not Path(f"/proc/{pid}").exists(), what="the server to end")


def test_redis_url_wins(tmp_path: Path) -> None:
    """Nothing is started when a Redis is named."""
    settings = Settings.read({"REDIS_URL": "redis://127.0.0.1:1/0", "LASTLEG_STATE": str(tmp_path)})
    assert embedded.ensure(settings) is None
    assert embedded.url(settings) == "redis://127.0.0.1:1/0"
    assert not (tmp_path / "redis").exists()


def test_a_long_path_gets_a_short_socket(tmp_path: Path) -> None:
    """A Unix socket's path may have about a hundred bytes."""
    deep = tmp_path / ("d" * 120)
    assert len(str(embedded.socket_path(deep))) < 100
    assert embedded.socket_path(deep) != embedded.socket_path(tmp_path / ("e" * 120))
