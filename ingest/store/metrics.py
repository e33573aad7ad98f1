"""Figures of the running system, summed up in Redis so that any API process can tell them for all processes.

One hash holds all counters: a field is `<name> <label>=<value>,... <part>`, where the part is `count`, `sum`, or the number of a
histogram's bucket. What a process has not yet added when it is killed is lost; the state itself never is.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from dataclasses import dataclass, field

from ingest.store import keys
from ingest.store.connection import Store

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0)
"""Upper bounds of the buckets of processing times."""

MINUTES = (15.0, 30.0, 60.0, 120.0, 180.0, 300.0, 600.0, 900.0, 1800.0, 3600.0)
"""Upper bounds of the buckets of how far off a planned time was."""

HISTOGRAMS = {"event_to_plan_seconds": SECONDS, "step_seconds": SECONDS, "look_lag_seconds": SECONDS, "match_seconds": SECONDS,
              "eta_error_seconds": MINUTES, "eta_forecast_error_seconds": MINUTES}
"""Bounds by name; everything else is a counter."""


@dataclass(slots=True)
class Tally:
    """Increments that are added in one go."""

    steps: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    def count(self, name: str, by: float = 1, **labels: str) -> None:
        """Add to a counter."""
        self.steps[f"{name} {_told(labels)} count"] += by

    def observe(self, name: str, value: float, **labels: str) -> None:
        """Add a value to a histogram."""
        told = _told(labels)
        self.steps[f"{name} {told} {bisect_left(HISTOGRAMS[name], value)}"] += 1
        self.steps[f"{name} {told} sum"] += value

    def add(self, client: Store) -> None:
        """Write what has come together."""
        with client.pipeline(transaction=False) as pipeline:
            for name, by in self.steps.items():
                pipeline.hincrbyfloat(keys.shared_key("metrics"), name, by)
            pipeline.execute()
        self.steps.clear()


def count(client: Store, name: str, by: float = 1, **labels: str) -> None:
    """Add to one counter at once."""
    tally = Tally()
    tally.count(name, by, **labels)
    tally.add(client)


def judged(client: Store, arrived: int, told: str) -> None:
    """Hold an arrival against what was expected of it: minutes ahead, P50 and P80, as often as that was remembered."""
    rows = told.split()
    if not rows:
        return
    tally = Tally()
    for horizon, p50, p80 in zip(rows[::3], rows[1::3], rows[2::3], strict=True):
        tally.count("eta_judged", horizon=horizon)
        tally.count("eta_kept", arrived <= float(p50), horizon=horizon, quantile="0.5")
        tally.count("eta_kept", arrived <= float(p80), horizon=horizon, quantile="0.8")
        tally.observe("eta_forecast_error_seconds", abs(arrived - float(p50)), horizon=horizon)
    tally.add(client)


def _told(labels: dict[str, str]) -> str:
    return ",".join(f"{name}={value}" for name, value in sorted(labels.items())) or "-"


@dataclass(frozen=True, slots=True)
class Series:
    """One counter (`count`) or histogram (`buckets`, the last without bound, and `sum`)."""

    name: str
    labels: dict[str, str]
    count: float
    buckets: tuple[float, ...]
    sum: float


def series(client: Store) -> list[Series]:
    """Everything that has been counted, by name and labels."""
    found: dict[tuple[str, str], dict[str, float]] = defaultdict(dict)
    for where, value in client.hgetall(keys.shared_key("metrics")).items():
        name, labels, part = where.split(" ")
        found[name, labels][part] = float(value)
    return [_series(name, labels, parts) for (name, labels), parts in sorted(found.items())]


def _series(name: str, labels: str, parts: dict[str, float]) -> Series:
    told = dict(pair.split("=", 1) for pair in labels.split(",")) if labels != "-" else {}
    buckets = tuple(parts.get(str(number), 0.0) for number in range(len(HISTOGRAMS[name]) + 1)) if name in HISTOGRAMS else ()
    return Series(name, told, parts.get("count", sum(buckets)), buckets, parts.get("sum", 0.0))
