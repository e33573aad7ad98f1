"""The first command a newcomer types."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from ingest.settings import ROOT
from tests.conftest import alive, free_port, wait_for


def test_the_demo_turns_orders_into_routes_and_leaves_nothing_behind(tmp_path: Path) -> None:
    """Plans appear with what changed for whom and how fast; Ctrl-C ends every process it started."""
    output = tmp_path / "output"
    environment = os.environ | {"LASTLEG_STATE": str(tmp_path), "LASTLEG_PORT": str(free_port()), "REDIS_URL": ""}
    with output.open("w") as file:
        demo = subprocess.Popen([sys.executable, "-m", "demo", "--speed", "60", "--orders", "12", "--drivers", "2"], cwd=ROOT,
                                env=environment, stdout=file, stderr=file)  # fmt: skip
    try:
        wait_for(lambda: "order_new" in output.read_text(), seconds=40, what="a plan")
        wait_for(lambda: output.read_text().count("  v") >= 4, seconds=40, what="more plans")
    finally:
        demo.send_signal(signal.SIGINT)
        demo.wait(30)
    text = output.read_text()
    assert demo.returncode == 0, text
    assert "console http://127.0.0.1:" in text
    assert "event → plan median" in text
    assert " ms" in text
    wait_for(lambda: alive(str(tmp_path)) == [], seconds=5, what="all processes to end")


def test_a_taken_port_is_told(tmp_path: Path) -> None:
    """One line that says what to do."""
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        environment = os.environ | {"LASTLEG_STATE": str(tmp_path), "LASTLEG_PORT": str(taken.getsockname()[1]), "REDIS_URL": ""}
        done = subprocess.run([sys.executable, "-m", "workers", "run"], cwd=ROOT, env=environment, capture_output=True, text=True,
                              timeout=30)  # fmt: skip
    assert done.returncode == 1
    assert "port_taken" in done.stderr
    assert "LASTLEG_PORT" in done.stderr
