"""`python -m demo`: a city at work on this machine, until Ctrl-C."""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import sys
import threading
import time
import webbrowser
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.text import Text

from demo.api import iso
from demo.table import History, changes, cost, disruption, latency, render, triggers
from demo.world import World
from ingest.settings import ROOT, Settings
from routing.errors import LastlegError
from routing.roads import maps
from routing.roads.importer import import_map
from routing.roads.network import Network
from workers.supervisor import Stack


def main(argv: list[str] | None = None) -> int:
    """Run the demo; errors are one line on stderr and exit status 1."""
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument("--map", help="a .map file, or one to import (.osm.pbf, .osm, .graphml)")
    parser.add_argument("--city", help="a place to import by name, with the internet")
    parser.add_argument("--drivers", type=int, default=6)
    parser.add_argument("--orders", type=int, default=40, help="orders known before the shifts begin")
    parser.add_argument("--speed", type=float, default=20.0, help="depot seconds per real second")
    parser.add_argument("--no-browser", action="store_true", help="do not open the console in a browser")
    parser.add_argument("--seconds", type=float, default=0.0, help="stop after so many real seconds")
    arguments = parser.parse_args(argv)
    console = Console(stderr=not sys.stdout.isatty())
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        _run(arguments, console, stop)
    except LastlegError as error:
        print(f"{error.code}: {error}", file=sys.stderr)
        return 1
    return 0


def _settings() -> Settings:
    """The demo keeps its own state, and begins each time with an empty store unless REDIS_URL names one."""
    settings = Settings.read()
    state = ROOT / "var" / "demo" if settings.state == ROOT / "var" else settings.state
    return replace(settings, state=state, archive=state / "archive", maps=(*settings.maps, state / "maps"))


def _run(arguments: argparse.Namespace, console: Console, stop: threading.Event) -> None:
    settings = _settings()
    name, network = _map(arguments, settings, console)
    begin = time.monotonic()
    stack = Stack(settings, say=lambda text: console.print(f"[dim]{time.monotonic() - begin:5.1f} s  {text}[/dim]"))
    if settings.redis_url is None:
        shutil.rmtree(settings.state / "redis", ignore_errors=True)
        (settings.state / "operator.key").unlink(missing_ok=True)
    with stack:
        depot_id = f"{name}-{datetime.now(UTC):%H%M%S}"[:40]
        world = World(url=stack.url, key=stack.operator_key, map_name=name, network=network, depot_id=depot_id,
                      day=f"{datetime.now(UTC):%Y-%m-%d}", drivers=arguments.drivers, orders=arguments.orders,
                      scale=arguments.speed)  # fmt: skip
        stack.say(f"making a depot, {arguments.drivers} drivers and {arguments.orders} orders over HTTP")
        world.build()
        world.start()
        page = f"{stack.url}/#{stack.operator_key}"
        key = settings.state / "operator.key"
        console.print(f"console [bold]{page}[/bold]   (signs in by itself; the key is in {key})", soft_wrap=True)
        console.print(f"a driver's page [bold]{stack.url}/driver#{world.tokens[0]}[/bold]   depot {depot_id}", soft_wrap=True)
        if not arguments.no_browser and _has_display():
            webbrowser.open(page)
        try:
            _show(world, stack, console, stop, arguments.seconds)
        finally:
            world.stop()
            console.print("[dim]stopping everything[/dim]")


def _has_display() -> bool:
    """Whether a browser that is opened can be seen."""
    display = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    return sys.stdout.isatty() and (sys.platform == "darwin" or bool(display))


def _map(arguments: argparse.Namespace, settings: Settings, console: Console) -> tuple[str, Network]:
    """The map to run on, imported into the state folder if need be."""
    source = arguments.map or arguments.city
    if not source:
        return "helsinki", maps.network(maps.find("helsinki", settings.maps))
    name = re.sub(r"[^a-z0-9]+", "-", Path(source).name.split(".")[0].split(",")[0].lower()).strip("-")[:30] or "city"
    target = settings.state / "maps" / f"{name}{maps.SUFFIX}"
    path = Path(source)
    if path.suffix == maps.SUFFIX:
        network = Network.open(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
        return name, network
    if not target.exists() or (path.is_file() and path.stat().st_mtime > target.stat().st_mtime):
        network, report = import_map(source, name=name, progress=lambda text: console.print(f"[dim]{text}[/dim]"))
        network.save(target)
        console.print("\n".join(report.lines()))
    return name, maps.network(target)


def _show(world: World, stack: Stack, console: Console, stop: threading.Event, seconds: float) -> None:
    history, until = History(), time.monotonic() + seconds if seconds else float("inf")
    live = Live(console=console, refresh_per_second=4, transient=False) if console.is_terminal else None
    if live:
        live.start()
    try:
        while not stop.wait(0.5) and time.monotonic() < until:
            stack.watch()
            page = world.api.get(f"/v1/depots/{world.depot_id}/plans?after={history.version}")
            history.add(page["plans"])
            if live:
                counts = _counts(world)
                live.update(render(history, title=f"Lastleg · {world.map_name}", clock=iso(world.clock.now())[11:19],
                                   counts=counts, note=" · ".join(world.said[-2:]) or "Ctrl-C stops everything"))  # fmt: skip
            else:
                _lines(page["plans"])
    finally:
        if live:
            live.stop()
        if history.latencies:
            print(f"{len(history.latencies)} plans, event → plan median {median(history.latencies):.3f} s, "
                  f"p95 {history.p95():.3f} s; orders: {dict(_counts(world))}", flush=True)  # fmt: skip


def _lines(plans: list[dict[str, Any]]) -> None:
    """Without a terminal: one line per version."""
    for plan in plans:
        told = f"costs {cost(plan)}, disruption {disruption(plan)}, solved in {plan['timings'].get('solve', 0):.0f} ms"
        cells = (plan["created_at"][11:19], f"v{plan['version']}", triggers(plan), changes(plan), told, latency(plan))
        print(Text.from_markup("  ".join(cells)).plain, flush=True)


def _counts(world: World) -> Counter[str]:
    counts: Counter[str] = Counter()
    cursor = "0"
    while cursor is not None:
        page = world.api.get(f"/v1/orders?depot_id={world.depot_id}&cursor={cursor}")
        counts.update(order["status"] for order in page["orders"])
        cursor = page["next_cursor"]
    return counts


if __name__ == "__main__":
    sys.exit(main())
