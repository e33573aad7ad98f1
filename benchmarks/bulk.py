"""`python -m benchmarks.bulk --rows 100000`: a file of orders, from its upload over HTTP until all of them are accepted.

The whole system runs as in `make run`. The file is CSV, all or nothing, with a window, an external id and a recipient for each
order, or several files, each for one of `--depots`. Nobody drives there: what is measured is taking orders in.
"""

from __future__ import annotations

import argparse
import io
import random
import sys
import time
from pathlib import Path
from typing import Any

import polars as pl
import requests

from benchmarks.load import CLOSES, OPENS, running, tell
from ingest.settings import ROOT
from routing.roads.network import Network
from workers.supervisor import Stack


def main() -> int:
    """Run and print; the last line is JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bulk", description=__doc__)
    parser.add_argument("--map", type=Path, default=ROOT / "data" / "helsinki.map", help="a .map file")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--depots", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print the JSON line only")
    arguments = parser.parse_args()
    network = Network.open(arguments.map)
    with running(maps=(arguments.map.parent,)) as stack:
        tell(_run(stack, network, arguments), json_only=arguments.json)
    return 0


def _file(network: Network, rows: int, dice: random.Random) -> bytes:
    nodes = [dice.randrange(network.nodes) for _ in range(rows)]
    frame = pl.DataFrame({
        "external_id": [f"A-{number}" for number in range(rows)], "kind": ["delivery"] * rows,
        "lat": [round(float(network.lat[node]), 6) for node in nodes],
        "lon": [round(float(network.lon[node]), 6) for node in nodes],
        "window_from": [OPENS] * rows, "window_to": [CLOSES] * rows, "parcels": [1 + number % 3 for number in range(rows)],
        "recipient_name": [f"Recipient {number}" for number in range(rows)],
    })  # fmt: skip
    written = io.BytesIO()
    frame.write_csv(written)
    return written.getvalue()


def _run(stack: Stack, network: Network, arguments: argparse.Namespace) -> dict[str, Any]:
    session, dice = requests.Session(), random.Random(1)
    session.headers["Authorization"] = f"Bearer {stack.operator_key}"
    each = arguments.rows // arguments.depots
    for number in range(arguments.depots):
        made = session.post(f"{stack.url}/v1/depots", json={
            "id": f"town{number}", "map": arguments.map.stem, "dimensions": ["parcels"], "policy": {"max_open_orders": 100_000},
            "location": {"lat": float(network.lat[0]), "lon": float(network.lon[0])},
            "clock": {"scale": 1, "start": OPENS}}, timeout=30)  # fmt: skip
        made.raise_for_status()
    files = [_file(network, each, dice) for _ in range(arguments.depots)]
    begin = time.perf_counter()
    paths = []
    for number, file in enumerate(files):
        answer = session.post(f"{stack.url}/v1/imports?depot_id=town{number}", data=file, timeout=60)
        answer.raise_for_status()
        paths.append(answer.headers["Location"])
    done: list[dict[str, Any]] = []
    while len(done) < len(paths):
        found = session.get(stack.url + paths[len(done)], timeout=60).json()
        if found["state"] in ("done", "failed"):
            done.append(found)
        else:
            time.sleep(0.1)
    seconds = time.perf_counter() - begin
    accepted = sum(found["accepted"] for found in done)
    return {"rows": accepted, "refused": sum(found["refused"] for found in done), "megabytes": round(sum(map(len, files)) / 1e6, 1),
            "seconds": round(seconds, 2), "rows_per_s": round(accepted / seconds)}  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
