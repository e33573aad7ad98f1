"""What a fleet's days were like: key figures by depot and day, from what the archiver has written. `python -m workers report`.

Days are those of the depot's clock and time zone. On time is who arrived by the end of the order's window (or what was promised, if
that is sooner). Distances are between pings, so a little less than was driven. Cost is hours out and distance at the depot's
standard rate, in seconds of driving, as plans have it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import polars as pl

from ingest.settings import Settings
from routing.model import RELOAD, Depot
from workers import learn

DAY_S = 86_400
APART_S, APART_M = 300, 20_000
"""Between pings that are farther apart than this nobody knows what was driven."""

_STOP = pl.Struct(
    {"stop_id": pl.String, "order_id": pl.String, "driver_id": pl.String, "at": pl.Int64, "due": pl.Int64, "inferred": pl.Boolean,
     "reservation": pl.String, "import": pl.String}
)  # fmt: skip
_PLAN = pl.Struct({"role": pl.String, "moved": pl.Int64, "resequenced": pl.Int64, "latency_s": pl.Float64})
_SHIFT = pl.Struct({"shift_id": pl.String, "at": pl.Int64})
_JUDGED = pl.Struct({"at": pl.Int64, "told": pl.String})

KEY = ["depot", "day"]


def of(settings: Settings, depots: Mapping[str, Depot], *, days: int) -> pl.DataFrame:
    """The key figures of so many days back, from the archive."""
    since = time.time() - days * DAY_S
    events = learn.archived(settings.archive / "events", since, ("depot", "type", "data", "at"))
    pings = learn.archived(settings.archive / "pings", since, ("depot", "driver", "pings"))
    return kpis(events, pings, depots)


def kpis(events: pl.DataFrame, pings: pl.DataFrame, depots: Mapping[str, Depot]) -> pl.DataFrame:
    """Key figures by depot and day; `events` and `pings` are as archived."""
    events = events.filter(pl.col("depot").is_in(list(depots)))
    pings = pings.filter(pl.col("depot").is_in(list(depots)))
    parts = [
        _orders(events, depots),
        _stops(events, depots),
        _plans(events, depots),
        _etas(events, depots),
        _hours(events, depots),
        _distance(pings, depots),
    ]
    days = pl.concat([part.select(KEY) for part in parts]).unique().sort(KEY)
    for part in parts:
        days = days.join(part, on=KEY, how="left")
    rate = {depot.id: depot.policy.metres_per_second_price for depot in depots.values()}
    metres = pl.col("depot").replace_strict(rate, default=20, return_dtype=pl.Int64)
    counts = ["orders", "cancelled", "completed", "failed", "plans", "repairs", "moved", "resequenced"]
    return (
        days.with_columns(pl.col(counts).fill_null(0))
        .with_columns(
            cost_s=(pl.col("hours").fill_null(0) * 3600 + pl.col("km").fill_null(0) * 1000 / metres).round(),
            changes_per_stop=(pl.col("moved") + pl.col("resequenced")) / pl.max_horizontal(pl.col("completed"), 1),
        )
        .select(
            *KEY,
            "orders",
            "completed",
            "failed",
            "cancelled",
            "on_time",
            "km",
            "hours",
            "cost_s",
            "plans",
            "repairs",
            "moved",
            "resequenced",
            "changes_per_stop",
            "eta_error_s",
            "eta_by_p80",
            "event_to_plan_s",
        )
    )


def _days(frame: pl.DataFrame, at: str, depots: Mapping[str, Depot], *, real: bool = False) -> pl.DataFrame:
    """With the day that a time (depot s, or real ones) is of at each row's depot."""
    parts = []
    for depot in depots.values():
        mine = frame.filter(pl.col("depot") == depot.id)
        seconds = pl.col(at).cast(pl.Float64)
        if real:
            seconds = depot.clock.depot_zero + depot.clock.scale * (seconds - depot.clock.real_zero)
        moment = pl.from_epoch(seconds.cast(pl.Int64), time_unit="s").dt.replace_time_zone("UTC")
        parts.append(mine.with_columns(day=moment.dt.convert_time_zone(depot.timezone).dt.date()))
    return pl.concat(parts) if parts else frame.with_columns(day=pl.lit(None, pl.Date))


def _of_type(events: pl.DataFrame, kinds: Sequence[str], shape: pl.Struct) -> pl.DataFrame:
    """Events of some types with what they say."""
    return (
        events.filter(pl.col("type").is_in(list(kinds)))
        .rename({"at": "heard"})
        .with_columns(pl.col("data").str.json_decode(shape), heard=pl.col("heard").dt.epoch("s"))
        .unnest("data")
    )


def _orders(events: pl.DataFrame, depots: Mapping[str, Depot]) -> pl.DataFrame:
    told = _of_type(events, ["order.created", "order.cancelled"], _STOP)
    never = told.filter(pl.col("reservation").is_not_null() | pl.col("import").is_not_null())  # held, or taken back: nobody ordered
    told = _days(told.join(never, on=["depot", "order_id"], how="anti"), "heard", depots, real=True)
    return told.group_by(KEY).agg(
        orders=(pl.col("type") == "order.created").sum().cast(pl.Int64),
        cancelled=(pl.col("type") == "order.cancelled").sum().cast(pl.Int64),
    )


def _stops(events: pl.DataFrame, depots: Mapping[str, Depot]) -> pl.DataFrame:
    """How stops ended, and whether they were reached in time, as the state has it: of several reports the driver's first counts.

    Who only says that a stop is done was there by then. Reloads are nobody's orders.
    """
    told = _of_type(events, ["stop.arrived", "stop.completed", "stop.failed"], _STOP)
    told = told.filter(~pl.col("stop_id").str.ends_with(RELOAD))
    told = told.with_columns(pl.col("inferred").fill_null(False)).sort("inferred", "heard")
    stop = ["depot", "stop_id"]
    ends = told.filter(pl.col("type") != "stop.arrived").group_by(stop, maintain_order=True)
    ended = ends.agg(pl.col("type").first(), pl.col("at").first(), done_by=pl.col("due").first())
    arrivals = told.filter(pl.col("type") == "stop.arrived").group_by(stop, maintain_order=True)
    reached = arrivals.agg(arrived=pl.col("at").first(), due=pl.col("due").first())
    both = _days(ended.join(reached, on=stop, how="left"), "at", depots)
    arrived, due = pl.coalesce("arrived", "at"), pl.when(pl.col("arrived").is_null()).then("done_by").otherwise("due")
    return both.group_by(KEY).agg(
        completed=(pl.col("type") == "stop.completed").sum().cast(pl.Int64),
        failed=(pl.col("type") == "stop.failed").sum().cast(pl.Int64),
        on_time=(arrived <= due).filter(pl.col("type") == "stop.completed", due.is_not_null()).mean(),
    )


def _plans(events: pl.DataFrame, depots: Mapping[str, Depot]) -> pl.DataFrame:
    told = _days(_of_type(events, ["plan.published"], _PLAN), "heard", depots, real=True)
    return told.group_by(KEY).agg(
        plans=pl.len().cast(pl.Int64),
        repairs=(pl.col("role") == "repair").sum().cast(pl.Int64),
        moved=pl.col("moved").sum(),
        resequenced=pl.col("resequenced").sum(),
        event_to_plan_s=pl.col("latency_s").filter(pl.col("role") == "repair").median(),
    )


def _etas(events: pl.DataFrame, depots: Mapping[str, Depot]) -> pl.DataFrame:
    """What was told at most half an hour ahead, and first so."""
    judged = _of_type(events, ["eta.judged"], _JUDGED)
    rows = [
        (depot, at, abs(at - float(p50)), at <= float(p80))
        for depot, at, told in judged.select("depot", "at", "told").iter_rows()
        for minutes, p50, p80 in zip(*(told.split()[part::3] for part in range(3)), strict=True)
        if minutes == "30"
    ]
    shape = {"depot": pl.String, "at": pl.Int64, "error": pl.Float64, "kept": pl.Boolean}
    told = _days(pl.DataFrame(rows, schema=shape, orient="row"), "at", depots)
    return told.group_by(KEY).agg(eta_error_s=pl.col("error").mean(), eta_by_p80=pl.col("kept").mean())


def _hours(events: pl.DataFrame, depots: Mapping[str, Depot]) -> pl.DataFrame:
    """From when a vehicle left until it was back, on the day it left."""
    told = _of_type(events, ["shift.departed", "shift.returned"], _SHIFT)
    key = ["depot", "shift_id"]
    left = told.filter(pl.col("type") == "shift.departed").group_by(key).agg(left=pl.col("at").min())
    back = told.filter(pl.col("type") == "shift.returned").group_by(key).agg(back=pl.col("at").max())
    both = _days(left.join(back, on=key), "left", depots)
    return both.group_by(KEY).agg(hours=((pl.col("back") - pl.col("left")) / 3600).clip(0).sum())


def _distance(pings: pl.DataFrame, depots: Mapping[str, Depot]) -> pl.DataFrame:
    """Straight from ping to ping of a driver."""
    seen = learn.positions(pings)
    before = {name: pl.col(name).shift().over("depot", "driver") for name in ("lat", "lon", "at")}
    north = (pl.col("lat") - before["lat"]).radians()
    east = (pl.col("lon") - before["lon"]).radians() * pl.col("lat").radians().cos()
    metres = 6_371_000 * (north.pow(2) + east.pow(2)).sqrt()
    known = (pl.col("at") - before["at"] <= APART_S) & (metres <= APART_M)
    driven = _days(seen.with_columns(km=pl.when(known).then(metres / 1000)), "at", depots)
    return driven.group_by(KEY).agg(km=pl.col("km").sum())


def as_json(table: pl.DataFrame) -> str:
    """The table as JSON, a row for each depot and day."""
    return table.with_columns(pl.col("day").dt.to_string("iso")).write_json()


def lines(table: pl.DataFrame) -> Iterator[str]:
    """The table for people; what is not known is left blank."""
    heads = {
        "depot": "depot",
        "day": "day",
        "orders": "orders",
        "completed": "done",
        "failed": "failed",
        "cancelled": "cancelled",
        "on_time": "on time",
        "km": "km",
        "hours": "hours",
        "cost_s": "cost (h)",
        "repairs": "repairs",
        "plans": "plans",
        "changes_per_stop": "changes/stop",
        "eta_error_s": "ETA error",
        "eta_by_p80": "by P80",
        "event_to_plan_s": "to plan",
    }
    shapes = {
        "on_time": "{:.1%}",
        "eta_by_p80": "{:.0%}",
        "km": "{:.1f}",
        "hours": "{:.1f}",
        "changes_per_stop": "{:.2f}",
        "eta_error_s": "{:.0f} s",
        "event_to_plan_s": "{:.2f} s",
    }
    rows = [list(heads.values())]
    for row in table.with_columns(cost_s=pl.col("cost_s") / 3600).iter_rows(named=True):
        shape = shapes | {"cost_s": "{:.1f}"}
        rows.append(["" if row[name] is None else shape.get(name, "{}").format(row[name]) for name in heads])
    widths = [max(len(row[column]) for row in rows) for column in range(len(heads))]
    for cells in rows:
        shown = [
            cell.ljust(width) if column < 2 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        yield "  ".join(shown).rstrip()


SHOWN = {
    "orders": "orders",
    "completed": "completed",
    "on_time": "on time",
    "km": "km",
    "hours": "hours out",
    "changes_per_stop": "changes per stop",
    "plans": "plans",
    "eta_error_s": "ETA error (s)",
    "event_to_plan_s": "event to plan (s)",
}
"""What is drawn, and what it is called."""


def draw(table: pl.DataFrame, path: Path) -> None:
    """The key figures over the days, a line for each depot, as a picture (by the path's suffix)."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(3, 3, figsize=(14, 9), layout="constrained", sharex=True)
    for axis, (name, title) in zip(axes.flat, SHOWN.items(), strict=True):
        for (depot,), mine in table.sort("day").group_by(["depot"], maintain_order=True):
            axis.plot(mine["day"].to_list(), mine[name].to_list(), marker="o", markersize=3, label=str(depot))
        axis.set_title(title)
        axis.set_ylim(0, 1.1 * axis.get_ylim()[1] or 1)
        axis.grid(alpha=0.3)
        axis.tick_params(axis="x", rotation=45)
    axes.flat[0].legend(frameon=False)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
