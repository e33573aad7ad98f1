"""`python -m benchmarks.memory`: what the store needs for an open order, a driver, a ping and a plan version, in bytes.

A depot in Helsinki gets drivers with vehicle, shift and token, then as many orders each, then a plan, then ten orders that one more
version each answers, and pings in batches of 100, by the API's own code; `MEMORY USAGE` of all keys is summed up in between. Pings
and events are archived and trimmed, the others stay as long as the depot's policy says.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from typing import Any

from flask.testing import FlaskClient

from app import create_app
from benchmarks.load import running, tell
from ingest.auth import Role, make_key
from ingest.settings import ROOT, Settings
from ingest.store.connection import Store, connect
from routing.roads.network import Network
from workers import replan
from workers.supervisor import Stack


def main() -> int:
    """Fill a store and print; the last line is JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__)
    parser.add_argument("--drivers", type=int, default=20)
    parser.add_argument("--orders", type=int, default=400)
    parser.add_argument("--pings", type=int, default=100_000)
    parser.add_argument("--json", action="store_true", help="print the JSON line only")
    arguments = parser.parse_args()
    with running(StoreAlone, redis_url=None) as stack:
        tell(_measured(stack.settings, arguments), json_only=arguments.json)
    return 0


class StoreAlone(Stack):
    """The store alone: the API's code runs in this process."""

    def commands(self) -> dict[str, list[str]]:
        """Nothing else runs."""
        return {}

    def _await_api(self) -> None:
        pass

    def _await_workers(self, client: Store) -> None:
        pass


def _measured(settings: Settings, arguments: argparse.Namespace) -> dict[str, int]:
    client, network, dice = connect(settings), Network.open(ROOT / "data" / "helsinki.map"), random.Random(1)
    app = create_app(settings).test_client()
    key = make_key(client, Role.OPERATOR, tenant="t")[0]

    def place() -> dict[str, float]:
        node = dice.randrange(network.nodes)
        return {"lat": float(network.lat[node]), "lon": float(network.lon[node])}

    def made(path: str, body: Any) -> Any:
        return _post(app, key, path, body)

    made("/v1/depots", {"id": "hel", "map": "helsinki", "location": place(), "dimensions": ["parcels", "kg"],
                         "policy": {"debounce": 0, "max_wait": 0}})  # fmt: skip
    points = [_used(client)]
    for number in range(arguments.drivers):
        own = {"depot_id": "hel"}
        made("/v1/drivers", own | {"id": f"d{number}", "name": "Anna Andersson", "phone": "+358 40 1234567", "skills": ["lift"]})
        made("/v1/vehicles", own | {"id": f"v{number}", "capacity": {"parcels": 1000, "kg": 5000}})
        made("/v1/shifts", own | {"id": f"s{number}", "driver_id": f"hel.d{number}", "vehicle_id": f"hel.v{number}",
                                  "start": _in(-1), "end": _in(9)})  # fmt: skip
        made("/v1/keys", {"role": "driver", "driver_id": f"hel.d{number}"})
    points.append(_used(client))
    for number in range(arguments.orders):
        made("/v1/orders", {
            "depot_id": "hel", "kind": "collection", "location": place(), "demand": {"parcels": 1, "kg": 3}, "service_time": 120,
            "external_id": f"A-{number}", "pin": {"driver_id": f"hel.d{number % arguments.drivers}"},
            "windows": [{"from": _in(0), "to": _in(8)}], "skills": ["lift"],
            "recipient": {"name": "Ada Lovelace", "phone": "+44 20 1234567", "note": "second floor, ring twice"},
        })  # fmt: skip
    points.append(_used(client))
    published = replan.repair(client, settings, "hel")
    points.append(_used(client))
    for number in range(10):
        made("/v1/orders", {"depot_id": "hel", "kind": "collection", "location": place(), "external_id": f"B-{number}",
                            "pin": {"driver_id": f"hel.d{number % arguments.drivers}"}})  # fmt: skip
        published += replan.repair(client, settings, "hel")
    if published != 11:
        raise RuntimeError(f"{published} plans instead of 11")
    points.append(_used(client))
    for number in range(arguments.pings // 100):
        rows = [place() | {"recorded_at": _in(0), "seq": 100 * number + row, "speed": 8.5, "accuracy_m": 5} for row in range(100)]
        made(f"/v1/drivers/hel.d{number % arguments.drivers}/pings", rows)
    points.append(_used(client))
    drivers, orders, plan, versions, pings = (b - a for a, b in zip(points, points[1:], strict=False))
    order = orders / arguments.orders
    return {"driver_bytes": round(drivers / arguments.drivers), "open_order_bytes": round(order),
            "planned_order_bytes": round((orders + plan) / arguments.orders), "version_bytes": round(versions / 10 - order),
            "ping_bytes": round(pings / arguments.pings)}  # fmt: skip


def _post(app: FlaskClient, key: str, path: str, body: Any) -> Any:
    answer = app.post(path, json=body, headers={"Authorization": f"Bearer {key}"})
    if answer.status_code >= 300:
        raise RuntimeError(f"POST {path}: {answer.status_code} {answer.text}")
    return answer.json


def _in(hours: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600 * hours))


def _used(client: Store) -> int:
    return sum(int(client.memory_usage(name, samples=0) or 0) for name in client.scan_iter(count=1000))


if __name__ == "__main__":
    sys.exit(main())
