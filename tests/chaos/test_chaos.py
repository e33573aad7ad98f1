"""The short form of `make chaos`, and the proof that it notices when a safeguard is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.__main__ import asked, run, wrong


@pytest.mark.timeout(180)
def test_nothing_is_lost_while_processes_die(tmp_path: Path) -> None:
    """A quarter of a minute of faults at places in turn and at any moment, with orders and drivers all the while."""
    figures = run(asked(["--seconds", "15", "--depots", "3"]), tmp_path)
    assert wrong(figures) == []
    assert figures["faults"] >= 5
    assert figures["orders_accepted"] >= 15


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize(("safeguard", "faults", "noticed"), [
    ("cas", ["freeze at commit_sent", "3"], {"stale_commits_published"}),
    ("idempotency", ["kill at write_done", "1"], {"orders_doubled", "requests_failed_after_retry"}),
    ("sweep", ["kill at hint_taken", "1"], {"orders_lost", "recovery_p99_s"}),
])  # fmt: skip
def test_a_missing_safeguard_is_noticed(tmp_path: Path, safeguard: str, faults: list[str], noticed: set[str]) -> None:
    """Each of the three taken out, and the fault it guards against."""
    what, count = faults
    figures = run(asked(["--without", safeguard, "--only", what, "--faults", count, "--seconds", "25", "--depots", "2"]), tmp_path)
    assert noticed & set(wrong(figures)), figures
