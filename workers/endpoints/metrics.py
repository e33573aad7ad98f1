"""`GET /metrics`: the whole deployment's figures in Prometheus' text format. No ids, names or places are in them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

from flask import Blueprint, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from ingest.context import store
from ingest.openapi import describe
from ingest.store import keys, metrics, readers
from ingest.store.connection import Store

blueprint = Blueprint("metrics", __name__)

TOLD = {
    "event_to_plan_seconds": "From an event to the published plan that answers it: the first one, and an improved one",
    "step_seconds": "Steps of a published plan",
    "eta_error_seconds": "How far from the published time drivers arrive, by side, in depot time",
    "plans": "Published plans",
    "districts": "Districts of giant depots, by who has searched them for an improvement",
    "noops": "Re-solves that changed nothing, and so were not published",
    "proposals": "Plans that were put before a dispatcher",
    "triggers": "Triggers answered",
    "triggers_coalesced": "Triggers that were answered together with an earlier one",
    "commits_refused": "Plans that were not published because the state had moved on",
    "jobs_failed": "Jobs that ended with an error",
    "look_lag_seconds": "How long after it was due a depot's drivers were looked at",
    "eta_judged": "Arrivals that an ETA was held against, by how many minutes ahead it was given",
    "eta_kept": "Those of them that came no later than P50, and than P80",
    "eta_forecast_error_seconds": "How far from P50 drivers arrived, by how many minutes ahead it was given, in depot time",
    "offers": "Offers of orders that cannot wait",
    "match_seconds": "Matching what cannot wait, batch by batch",
    "webhook_messages": "Messages sent to webhooks, by what came of it",
    "pings_shed": "Pings that moved a driver but were not kept, because too many waited for the archiver",
    "looks": "Looks ahead for a depot's drivers on the road",
    "records_set_aside": "Orders and road events found guilty of failing re-solves",
    "timers_dropped": "Timers that could not be fired",
}
"""What each figure is; `lastleg_` stands before its name."""


@blueprint.get("/metrics")
@describe({200: str}, media="text/plain")
def told() -> Response:
    """All figures."""
    registry = CollectorRegistry()
    registry.register(_Figures(store()))
    return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


class _Figures(Collector):
    def __init__(self, client: Store) -> None:
        self._client = client

    def describe(self) -> list[Metric]:
        """Nothing: what there is differs."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Sums kept in Redis, and what stands there now."""
        families: dict[str, CounterMetricFamily | HistogramMetricFamily] = {}
        for found in metrics.series(self._client):
            if found.name not in TOLD:  # of a newer version that runs beside this one
                continue
            family = families.setdefault(found.name, _family(found))
            values = list(found.labels.values())
            if isinstance(family, HistogramMetricFamily):
                family.add_metric(values, _cumulative(found), found.sum)
            else:
                family.add_metric(values, found.count)
        yield from families.values()
        yield from self._now()

    def _now(self) -> Iterator[Metric]:
        client, now = self._client, time.time()
        dirty = client.zrange(keys.shared_key("dirty"), 0, -1)
        oldest = [found for depot in dirty if (found := _oldest(client, depot)) is not None]
        yield GaugeMetricFamily("lastleg_oldest_trigger_age_seconds", "Age of the oldest unanswered trigger",
                                max((now - at for at in oldest), default=0.0))  # fmt: skip
        yield GaugeMetricFamily("lastleg_depots_waiting_for_repair", "Depots with unanswered triggers", len(dirty))
        yield GaugeMetricFamily("lastleg_depots_waiting_for_improvement", "Depots whose plan may be improved",
                                client.zcard(keys.shared_key("improvable")))  # fmt: skip
        longest = client.zrange(keys.shared_key("moving"), 0, 0, withscores=True)
        yield GaugeMetricFamily("lastleg_look_overdue_seconds", "How long a depot with drivers on the road has waited for a look",
                                max((now - due for _, due in longest), default=0.0))  # fmt: skip
        waiting = sum(client.zcard(keys.depot_key(depot, "deliver_due")) for depot in client.smembers(keys.shared_key("depots")))
        yield GaugeMetricFamily("lastleg_webhook_messages_waiting", "Messages that listeners do not have yet", waiting)
        read = client.get(keys.shared_key("feed_read")) or "0"
        untold = client.xrange(keys.shared_key("events"), min=f"({read}" if read != "0" else "-", count=1)
        yield GaugeMetricFamily("lastleg_feed_lag_seconds", "Age of the oldest event that shippers have not been told of",
                                max(0.0, now - int(untold[0][0].split("-")[0]) / 1000) if untold else 0.0)  # fmt: skip
        aside = sum(client.hlen(keys.depot_key(depot, "aside")) for depot in client.smembers(keys.shared_key("depots")))
        yield GaugeMetricFamily("lastleg_records_aside", "Orders and road events that plans are made without", aside)
        jobs = GaugeMetricFamily("lastleg_queue_jobs", "Jobs in RQ's queue", labels=["queue"])
        workers = GaugeMetricFamily("lastleg_workers", "RQ workers at a queue", labels=["queue"])
        for queue in keys.DUE:
            jobs.add_metric([queue], client.llen(keys.rq_queue(queue)))
            workers.add_metric([queue], len(readers.workers_at(client, queue)))
        yield jobs
        yield workers
        entries = GaugeMetricFamily("lastleg_stream_entries", "Entries in a stream", labels=["stream"])
        for stream in ("events", "pings", "published"):
            entries.add_metric([stream], client.xlen(keys.shared_key(stream)))
        yield entries
        yield GaugeMetricFamily("lastleg_redis_memory_bytes", "Memory in use by Redis", client.info("memory")["used_memory"])


def _oldest(client: Store, depot_id: str) -> float | None:
    """When the oldest of a depot's triggers came that asks for a repair."""
    reasons = map(json.loads, client.zrange(keys.depot_key(depot_id, "triggers"), 0, -1))
    return min((float(reason["at"]) for reason in reasons if reason.get("asks", True)), default=None)


def _family(found: metrics.Series) -> CounterMetricFamily | HistogramMetricFamily:
    kind = HistogramMetricFamily if found.name in metrics.HISTOGRAMS else CounterMetricFamily
    return kind(f"lastleg_{found.name}", TOLD[found.name], labels=list(found.labels))


def _cumulative(found: metrics.Series) -> list[tuple[str, float]]:
    bounds = [*(str(bound) for bound in metrics.HISTOGRAMS[found.name]), "+Inf"]
    total, rows = 0.0, []
    for bound, here in zip(bounds, found.buckets, strict=True):
        total += here
        rows.append((bound, total))
    return rows
