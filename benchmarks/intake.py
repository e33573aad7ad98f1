"""`python -m benchmarks.intake`: how many pings and orders one API process takes in through HTTP.

One API process has a core of its own; the store, which gets what it accepts, shares the other with the client. Beside it, in the
same run: the same server answering a Flask endpoint that does nothing, and the store alone, getting the same pings from
one connection without HTTP. Then all of it again while `--streams` drivers hold a stream and `--polls` wait for a new route.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import sys
import time
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import aiohttp
import psutil
from flask import Flask

import app
from benchmarks.load import Client, Town, at, running, tell
from ingest.settings import ROOT, Settings
from ingest.store import keys
from ingest.store.connection import LUA, connect, source
from routing.roads.network import Network
from workers.front import Front
from workers.supervisor import Stack

BATCH = 100
DRIVERS = 100

Request = tuple[str, str, str, bytes]
"""Method, path, key, body."""


def create_front() -> Front:
    """What the server runs here: the product, with one endpoint more."""
    return app.create_front(_with_an_empty_endpoint)


def _with_an_empty_endpoint(settings: Settings) -> Flask:
    made = app.create_app(settings)
    made.add_url_rule("/empty", "empty", lambda: {})
    return made


class Alone(Stack):
    """The store and one API process: nothing reads what comes in."""

    def commands(self) -> dict[str, list[str]]:
        """What runs, by name."""
        served = super().commands()["api"]
        return {"api": ["benchmarks.intake:create_front" if part == "app:create_front" else part for part in served]}

    def _await_workers(self, client: Any) -> None:
        del client


def main() -> int:
    """Run and print; the last line is JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.intake", description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each measurement")
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--streams", type=int, default=1000)
    parser.add_argument("--polls", type=int, default=100)
    parser.add_argument("--json", action="store_true", help="print the JSON line only")
    arguments = parser.parse_args()
    with running(Alone) as stack:
        _apart(stack.processes["api"].pid)
        tell(asyncio.run(_run(stack, arguments)), json_only=arguments.json)
    return 0


def _apart(pid: int) -> None:
    """Give the API process, with its threads, one core, and everything else the others."""
    mine, *rest = sorted(os.sched_getaffinity(0))
    api = psutil.Process(pid)
    for process in (api, *api.children(recursive=True)):
        for thread in process.threads():
            os.sched_setaffinity(thread.id, {mine})
    os.sched_setaffinity(0, set(rest or [mine]))


async def _run(stack: Stack, arguments: argparse.Namespace) -> dict[str, Any]:
    network = Network.open(ROOT / "data" / "helsinki.map")
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        client = Client(stack.url, stack.operator_key, session)
        town = Town(client, "hel", network, DRIVERS, random.Random(1))
        await town.build("helsinki", 1, {"max_open_orders": 100_000})
        tokens = {driver: (await client.made("/v1/keys", {"role": "driver", "driver_id": driver}))["key"] for driver in town.crew}
        told = await _measured(stack, town, tokens, arguments)
        waiting = [asyncio.create_task(client.stream(town.crew[number % DRIVERS], lambda *_: None))
                   for number in range(arguments.streams)]  # fmt: skip
        waiting += [asyncio.create_task(_poll(client, town.crew[number % DRIVERS])) for number in range(arguments.polls)]
        await asyncio.sleep(5.0)
        busy = await _measured(stack, town, tokens, arguments)
        held = sum(not task.done() for task in waiting)
        for task in waiting:
            task.cancel()
    redis_alone = _store_alone(stack.settings, arguments.seconds)
    return told | {"redis_pings_per_s": redis_alone, "waiting": {"held": held, **busy}}


async def _poll(client: Client, driver: str) -> str:
    """Wait for a new route, again and again."""
    headers = client._headers | {"If-None-Match": '"0"'}
    while True:
        async with client._session.get(f"{client.url}/v1/drivers/{driver}/route?wait=60", headers=headers) as answer:
            await answer.read()


async def _measured(stack: Stack, town: Town, tokens: dict[str, str], arguments: argparse.Namespace) -> dict[str, Any]:
    """Rates and times of an empty endpoint, pings and orders, one after the other."""
    host, port = stack.settings.host, stack.settings.port
    begun = time.time_ns()
    numbers, seconds = count(begun // 1000), count()
    drivers = list(tokens)

    def empty() -> Iterator[Request]:
        while True:
            yield "GET", "/empty", "", b""

    def pings() -> Iterator[Request]:
        while True:
            second = next(seconds)
            for driver in drivers:
                yield "POST", "/v1/drivers/me/pings", tokens[driver], _batch(town, numbers, second)

    def orders() -> Iterator[Request]:
        while True:
            body = {"depot_id": "hel", "kind": "collection", "location": town.place(), "demand": {"parcels": 1}, "service_time": 60}
            yield "POST", "/v1/orders", stack.operator_key, json.dumps(body).encode()

    told: dict[str, Any] = {}
    await _pressed(host, port, orders, arguments.connections, min(1.0, arguments.seconds))  # what comes first is slower
    for name, requests, each in (("empty_endpoint", empty, 1), ("pings", pings, BATCH), ("orders", orders, 1)):
        rate, times = await _pressed(host, port, requests, arguments.connections, arguments.seconds)
        told |= {f"{name}_per_s": round(each * rate), f"{name}_p50_ms": _ms(times, 0.5), f"{name}_p99_ms": _ms(times, 0.99)}
    return told


def _batch(town: Town, numbers: Iterator[int], second: int) -> bytes:
    place, at_ = town.place(), f"2030-01-01T08:{second // 60:02}:{second % 60:02}Z"
    rows = [place | {"recorded_at": at_, "seq": next(numbers), "speed": 8.5, "accuracy_m": 5.0} for _ in range(BATCH)]
    return json.dumps(rows).encode()


def _ms(times: list[float], share: float) -> float:
    return round(1000 * (at(times, share) or 0.0), 1)


async def _pressed(host: str, port: int, requests: Callable[[], Iterator[Request]], connections: int,
                   seconds: float) -> tuple[float, list[float]]:  # fmt: skip
    """Requests per second and the time of each, over so many connections that are kept open.

    Requests are made before they are timed, and written as they are: a client that thinks takes from what it measures.
    """
    source = requests()
    prepared = [_raw(*next(source)) for _ in range(2000)]
    following, times = iter(count()), list[float]()
    until = time.perf_counter() + seconds

    async def press() -> None:
        reader, writer = await asyncio.open_connection(host, port)
        while (began := time.perf_counter()) < until:
            number = next(following)
            writer.write(prepared[number] if number < len(prepared) else _raw(*next(source)))
            await _answer(reader)
            times.append(time.perf_counter() - began)
        writer.close()

    began = time.perf_counter()
    await asyncio.gather(*(press() for _ in range(connections)))
    return len(times) / (time.perf_counter() - began), times


def _raw(method: str, path: str, key: str, body: bytes) -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nHost: bench\r\nContent-Length: {len(body)}\r\n"
    if key:
        head += f"Authorization: Bearer {key}\r\nContent-Type: application/json\r\n"
    return head.encode() + b"\r\n" + body


async def _answer(reader: asyncio.StreamReader) -> None:
    """Read one answer, which must be a success."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
    body = await reader.readexactly(length)
    if not head.startswith(b"http/1.1 2"):
        raise RuntimeError(f"{head!r} {body!r}")


def _store_alone(settings: Settings, seconds: float) -> int:
    """Pings per second that the store takes in batches of 100 from one connection, 20 batches under way."""
    client = connect(settings)
    script = client.script_load(source(LUA, "pings", ("SEQS", "RECENT")))
    names, numbers, done = keys.script_keys("hel"), count(time.time_ns() // 1000), 0
    document = '{"at":%d,"location":{"lat":60.17,"lon":24.94},"seq":%d,"accuracy_m":5.0,"speed":8.5}'
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        pipeline = client.pipeline(transaction=False)
        for number in range(20):
            driver, now = f"hel.d{number}", time.time()
            batch = [next(numbers) for _ in range(BATCH)]
            rows = [part for seq in batch for part in (seq, seq / 1000, document % (seq // 1000, seq))]
            own = keys.ping_seqs("hel", driver), keys.recent_pings("hel", driver)
            pipeline.evalsha(script, len(names) + 2, *names, *own, driver, now, now + 3600, settings.pings, *rows)
        pipeline.execute()
        done += 20 * BATCH
    return round(done / seconds)


if __name__ == "__main__":
    sys.exit(main())
