"""What all benchmarks measure with: one core, medians, peak memory."""

from __future__ import annotations

import ctypes
import math
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def one_core() -> None:
    """Stay on one core from here on, with all that is started."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def timed(step: Callable[[], Any]) -> float:
    """Seconds that a step takes."""
    begin = time.perf_counter()
    step()
    return time.perf_counter() - begin


def median(step: Callable[[], Any], repeat: int) -> float:
    """Median seconds of a step that is repeated."""
    return statistics.median(timed(step) for _ in range(repeat))


class Peak:
    """The most memory that is resident during a block beyond what was there before, in MB (Linux; elsewhere None).

    What the allocator has kept of earlier blocks is given back first: it would hide what this one takes.
    """

    mb: float | None = None

    def __enter__(self) -> Peak:
        try:
            ctypes.CDLL(None).malloc_trim(0)
            Path("/proc/self/clear_refs").write_text("5")
            self._before = status_mb("VmRSS")
        except (OSError, AttributeError):
            self._before = math.nan
        return self

    def __exit__(self, *_: object) -> None:
        if not math.isnan(self._before):
            self.mb = round(max(0.0, status_mb("VmHWM") - self._before), 1)


def status_mb(name: str, pid: int | str = "self") -> float:
    """What Linux says of a process's memory: `VmRSS`, what is resident, or `VmHWM`, the most that was (MB).

    Raises
    ------
    OSError
        If there is no such process.
    """
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next((float(line.split()[1]) / 1024 for line in lines if line.startswith(f"{name}:")), 0.0)
