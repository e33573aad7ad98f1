"""The live table: triggers, the plan version that answered them, what changed for whom, and how fast."""

from __future__ import annotations

from collections import Counter, deque
from statistics import median
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

ROWS = 16


class History:
    """Plan versions as they appear."""

    def __init__(self) -> None:
        self.version = 0
        self.rows: deque[dict[str, Any]] = deque(maxlen=ROWS)
        self.latencies: list[float] = []

    def add(self, plans: list[dict[str, Any]]) -> None:
        """Take in a page of `GET /v1/depots/{id}/plans`."""
        for plan in plans:
            self.version = plan["version"]
            self.rows.append(plan)
            if plan["engine"] == "repair" and plan["latency_s"] is not None:
                self.latencies.append(plan["latency_s"])

    def p95(self) -> float:
        """95th percentile of the times from event to published plan (s)."""
        ordered = sorted(self.latencies)
        return ordered[int(0.95 * (len(ordered) - 1))] if ordered else 0.0


def render(history: History, *, title: str, clock: str, counts: dict[str, int], note: str) -> Group:
    """The whole screen."""
    table = Table(title=title, expand=True, title_justify="left")
    for name, style in (("time", "dim"), ("plan", "bold"), ("triggers", "yellow"), ("what changed for whom", ""), ("cost", ""),
                        ("disruption", ""), ("solve", "green"), ("event → plan", "green")):  # fmt: skip
        table.add_column(name, style=style, no_wrap=name != "what changed for whom")
    for plan in history.rows:
        table.add_row(plan["created_at"][11:19], f"v{plan['version']}", triggers(plan), changes(plan), cost(plan),
                      disruption(plan), f"{plan['timings'].get('solve', 0):.0f} ms", latency(plan))  # fmt: skip
    speed = "no plan yet"
    if history.latencies:
        speed = f"event → plan: median {median(history.latencies) * 1000:.0f} ms, p95 {history.p95() * 1000:.0f} ms"
    orders = ", ".join(f"{number} {status}" for status, number in sorted(counts.items()))
    return Group(table, Text(f"{clock}   {speed}   orders: {orders}"), Text(note, style="dim"))


def triggers(plan: dict[str, Any]) -> str:
    """`order_new ×3, roads_changed`, or `improvement`."""
    if plan["engine"] != "repair":
        return "improvement"
    kinds = Counter(trigger["kind"] for trigger in plan["triggers"])
    return ", ".join(f"{kind} ×{number}" if number > 1 else kind for kind, number in kinds.items())


def changes(plan: dict[str, Any]) -> str:
    """`anna +2, bo −1 ↻3 ~1`: gained, lost, reordered and updated stops by driver; then orders left out or taken in."""
    parts = []
    for change in plan["diff"]["routes"]:
        name = change["driver_id"].partition(".")[2]
        marks = {"+": change["gained"], "−": change["lost"], "↻": change["reordered"], "~": change["updated"]}
        parts.append(f"{name} " + " ".join(f"{mark}{len(stops)}" for mark, stops in marks.items() if stops))
    if plan["diff"]["newly_unassigned"]:
        parts.append(f"[red]{len(plan['diff']['newly_unassigned'])} unassigned[/red]")
    if plan["diff"]["no_longer_unassigned"]:
        parts.append(f"{len(plan['diff']['no_longer_unassigned'])} no longer unassigned")
    return ", ".join(parts)


def cost(plan: dict[str, Any]) -> str:
    """Minutes of driving that all open routes cost, without what is unassigned."""
    return f"{(plan['cost'] - plan['costs'].get('unassigned', 0)) / 60:.0f} min"


def disruption(plan: dict[str, Any]) -> str:
    """`2 moved, 1 ↻`: stops of drivers on the road that changed hands, or got another stop before them."""
    change = plan["disruption"]
    marks = (f"{change['moved']} moved" * bool(change["moved"]), f"{change['resequenced']} ↻" * bool(change["resequenced"]))
    return ", ".join(mark for mark in marks if mark) or "none"


def latency(plan: dict[str, Any]) -> str:
    """Milliseconds from the oldest trigger to the published plan."""
    return "" if plan["engine"] != "repair" or plan["latency_s"] is None else f"{plan['latency_s'] * 1000:.0f} ms"
