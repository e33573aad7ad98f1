"""What a depot's dispatchers are shown as it happens: events of the feed, drivers' places and states, ETAs, and changed roads."""

from __future__ import annotations

import json
from typing import Any

from ingest.schemas import eta_view, iso
from ingest.store import readers
from ingest.store.connection import Store
from routing.model import Depot
from workers.feed import envelope

MOST = 1000
"""So many events at most are told at once; who has missed more reads everything anew."""

Said = tuple[int | None, str]
"""A server-sent event, and its number in the feed if it is of the feed."""


class Watcher:
    """Looks at a depot again and again, and says what has changed since the last look; the first one says everything."""

    def __init__(self, client: Store, depot: Depot) -> None:
        self._client, self._depot = client, depot
        self._after = readers.feed_ends(client, depot.id)[1]
        self._known: dict[str, Any] = {"drivers": {}, "etas": {}, "roads": None}

    def look(self) -> list[Said]:
        """What is new, the oldest event first."""
        told = [_of_feed(self._depot, row) for row in readers.feed(self._client, self._depot.id, after=self._after, limit=MOST)]
        now = standing(self._client, self._depot)
        for name in ("drivers", "etas"):
            changed = {key: value for key, value in now[name].items() if self._known[name].get(key) != value}
            if changed:
                told.append((None, event(name, None, json.dumps(changed))))
        if now["roads"] != self._known["roads"]:
            told.append((None, event("roads", None, json.dumps({"roads": now["roads"]}))))
        self._known = now  # only now: of a look that fails nothing has been told
        self._after = max([self._after, *(number for number, _ in told if number is not None)])
        return told


def catch_up(client: Store, depot: Depot, after: int | None) -> tuple[str, int]:
    """What whoever begins to listen is told first, and the feed's number it goes on from.

    That is what has happened after an event; `reset` if so much has that everything is to be read anew; and how everything stands.
    """
    oldest, newest = readers.feed_ends(client, depot.id)
    missed = [] if after is None else readers.feed(client, depot.id, after=after, limit=MOST + 1)
    lost = after is not None and (after > newest or after + 1 < oldest or len(missed) > MOST)
    text = event("reset" if lost else "hello", newest if lost or after is None else after, json.dumps({"sequence": newest}))
    if not lost:
        text += "".join(_of_feed(depot, row)[1] for row in missed)
        newest = max([newest if after is None else after, *(row.number for row in missed)])
    now = standing(client, depot)
    return text + "".join(event(name, None, json.dumps(now[name])) for name in ("drivers", "etas")), newest


def standing(client: Store, depot: Depot) -> dict[str, Any]:
    """Drivers' places and states, ETAs by stop, and the version of the roads."""
    found = readers.standing(client, depot.id)
    drivers: dict[str, dict[str, Any]] = {
        driver: {"state": found.absent.get(driver) or ("on_break" if driver in found.breaks else "available")}
        for driver in sorted({*found.positions, *found.absent, *found.breaks, *readers.ids(client, "drivers", depot.id)})
    }
    for driver, seen in found.positions.items():
        drivers[driver] |= {"location": seen["location"], "seen_at": iso(seen["at"])}
        drivers[driver] |= {"heading": seen["heading"]} if "heading" in seen else {}
    return {"drivers": drivers, "etas": {stop: eta_view(eta) for stop, eta in found.etas.items()}, "roads": found.roads}


def _of_feed(depot: Depot, row: readers.Told) -> Said:
    return row.number, event("feed", row.number, json.dumps(envelope(depot, row, operator=True)))


def event(name: str, number: int | None, data: str) -> str:
    """One server-sent event; without a number it is none to resume from."""
    return f"event: {name}\n" + ("" if number is None else f"id: {number}\n") + f"data: {data}\n\n"
