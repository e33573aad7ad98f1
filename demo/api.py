"""The API as a shipper's or driver's program would call it: with retries for outages and nothing else."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import requests

TIMEOUT_S = 65.0


class Api:
    """One caller with one key."""

    def __init__(self, url: str, key: str) -> None:
        self.url = url
        self._session = requests.Session()
        self._session.headers["Authorization"] = f"Bearer {key}"

    def call(self, method: str, path: str, body: Any = None, *, headers: dict[str, str] | None = None) -> requests.Response:
        """Call once, and again while the service says 503 or is being restarted. Every write has an id, so it is safe."""
        for attempt in range(30):
            try:
                answer = self._session.request(method, self.url + path, json=body, headers=headers, timeout=TIMEOUT_S)
            except requests.ConnectionError:
                time.sleep(min(2.0, 0.2 * (attempt + 1)))
                continue
            if answer.status_code != 503:
                return answer
            time.sleep(float(answer.headers.get("Retry-After", 1)))
        raise ConnectionError(f"{self.url} has not answered {method} {path}")

    def get(self, path: str) -> Any:
        """GET; the JSON."""
        answer = self.call("GET", path)
        answer.raise_for_status()
        return answer.json()

    def post(self, path: str, body: Any, *, headers: dict[str, str] | None = None) -> Any:
        """POST; the JSON. Raises with the problem's detail if it is refused."""
        answer = self.call("POST", path, body, headers=headers)
        if answer.status_code >= 400:
            raise RuntimeError(f"POST {path}: {answer.status_code} {answer.text}")
        return answer.json()


class DepotTime:
    """The depot's clock, as told by the API once."""

    def __init__(self, clock: dict[str, Any]) -> None:
        self.scale = float(clock["scale"])
        self._zero = datetime.fromisoformat(clock["now"]).timestamp()
        self._real = time.monotonic()

    def now(self) -> float:
        """Depot seconds since the epoch."""
        return self._zero + (time.monotonic() - self._real) * self.scale


def iso(moment: float) -> str:
    """ISO 8601 in UTC."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds")
