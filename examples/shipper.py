"""A shipper's client, `shipper.py API KEY DEPOT orders.csv`: orders from a file, and follows each until it has a driver."""

import hashlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import requests

SETTLED = {"planned", "unassigned", "completed", "failed", "cancelled"}


class Shipper:
    """Calls with a key; what goes wrong on the way is sent again, which is safe as every order has an id of ours."""

    def __init__(self, api: str, key: str) -> None:
        self.api, self.session = api, requests.Session()
        self.session.headers["Authorization"] = f"Bearer {key}"

    def call(self, method: str, path: str, **more: Any) -> Any:
        """The answer's JSON; a busy or resting server is asked again."""
        for wait in (0.5, 1, 2, 4, 0):
            answer = self.session.request(method, self.api + path, timeout=30, **more)
            if answer.status_code not in (429, 503):
                break
            time.sleep(float(answer.headers.get("Retry-After", wait)))
        told = answer.json()
        if answer.status_code >= 400:
            raise SystemExit(f"{told['code']}: {told['detail']} {told.get('remedy', '')}")
        return told

    def send(self, depot: str, file: bytes) -> Any:
        """All orders of a file, or none; the same file again is the same import."""
        key = {"Idempotency-Key": hashlib.sha256(file).hexdigest()}
        found = self.call("POST", f"/imports?depot_id={depot}", data=file, headers=key)
        while found["state"] not in ("done", "failed"):
            time.sleep(0.2)
            found = self.call("GET", f"/imports/{found['id']}")
        return found

    def events(self, depot: str, after: int = 0) -> Iterator[Any]:
        """Every event of our orders, in order, as they come."""
        while True:
            page = self.call("GET", f"/events?depot_id={depot}&after={after}")
            yield from page["events"]
            after = page["next_cursor"]
            time.sleep(0 if page["more"] else 0.5)


if __name__ == "__main__":
    shipper, depot, raw = Shipper(*sys.argv[1:3]), sys.argv[3], Path(sys.argv[4]).read_bytes()
    told, waiting = shipper.send(depot, raw), {row.split(",")[0] for row in raw.decode().splitlines()[1:]}
    print(f"{told['accepted']} accepted, {told['same']} there before, {told['refused']} refused", *told["errors"], sep="\n")
    for event in shipper.events(depot) if told["state"] == "done" else ():
        print(event["sequence"], event["type"], event["data"]["external_id"])
        waiting -= {event["data"]["external_id"]} if event["data"].get("status") in SETTLED else set()
        if not waiting:
            break
