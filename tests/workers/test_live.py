"""What dispatchers see as it happens."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest

from ingest.store import readers
from tests.conftest import HOME, SPOTS, Shop, one_server
from tests.workers.test_front import Caller
from workers import feed, front, live, replan


def parsed(text: str) -> list[tuple[str, int | None, Any]]:
    """Name, number and data of events."""
    found = []
    for block in text.strip().split("\n\n"):
        rows = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(("retry", ":")))
        if rows:
            found.append((rows["event"], int(rows["id"]) if "id" in rows else None, json.loads(rows["data"])))
    return found


def looked(told: Sequence[live.Said]) -> dict[str, list[Any]]:
    """Data by name."""
    found: dict[str, list[Any]] = {}
    for name, _, data in parsed("".join(text for _, text in told)):
        found.setdefault(name, []).append(data)
    return found


def tell(shop: Shop) -> None:
    """Plan what waits, and tell of it."""
    replan.repair(shop.store, shop.settings, "hel")
    while feed.tell(shop.store):
        pass


@one_server
def test_each_look_tells_what_has_changed(shop: Shop) -> None:
    """Events of the feed with their numbers, drivers who moved or went off duty, closed roads."""
    shop.depot()
    anna = shop.crew("anna")
    shop.crew("bo")
    depot = readers.depot(shop.store, "hel")
    assert depot is not None
    watcher = live.Watcher(shop.store, depot)
    assert looked(watcher.look())["drivers"] == [{"hel.anna": {"state": "available"}, "hel.bo": {"state": "available"}}]
    assert watcher.look() == []
    made = shop.order()
    tell(shop)
    told = looked(watcher.look())
    assert [row["type"] for row in told["feed"]] == ["order.accepted", "order.planned", "plan.published"]
    assert [row["sequence"] for row in told["feed"]] == [1, 2, 3]
    assert told["feed"][0]["data"]["order_id"] == made["id"]
    shop.call("POST", "/v1/drivers/me/pings", [HOME | {"recorded_at": "2030-01-01T08:00:00Z", "seq": 1, "heading": 90}], key=anna)
    off_duty = {"event_id": "1", "type": "off_duty", "occurred_at": "2030-01-01T08:00:00Z"}
    shop.call("POST", "/v1/drivers/me/events", off_duty, key=anna)
    shop.made("/v1/road-events", {"depot_id": "hel", "kind": "close", "disc": {"centre": SPOTS[2], "radius_m": 30},
                                  "end": "2030-01-01T10:00:00Z"})  # fmt: skip
    told = looked(watcher.look())
    assert told["drivers"] == [{"hel.anna": {"state": "off_duty", "location": HOME, "seen_at": "2030-01-01T08:00:00Z",
                                             "heading": 90}}]  # fmt: skip
    assert told["roads"] == [{"roads": 1}]
    assert watcher.look() == []


@one_server
def test_a_look_that_fails_loses_nothing(shop: Shop, monkeypatch: Any) -> None:
    """What it had read of the feed is told by the next one."""
    shop.depot()
    shop.crew("anna")
    depot = readers.depot(shop.store, "hel")
    assert depot is not None
    watcher = live.Watcher(shop.store, depot)
    watcher.look()
    shop.order()
    tell(shop)
    with monkeypatch.context() as patched:
        patched.setattr(live, "standing", lambda *_: (_ for _ in ()).throw(OSError("away")))
        with pytest.raises(OSError, match="away"):
            watcher.look()
    assert [row["sequence"] for row in looked(watcher.look())["feed"]] == [1, 2, 3]


@one_server
def test_who_was_away_catches_up_or_begins_anew(shop: Shop) -> None:
    """What was missed one by one, while that is little; and how everything stands."""
    shop.depot()
    shop.crew("anna")
    for spot in SPOTS[:2]:
        shop.order(spot)
    tell(shop)
    depot = readers.depot(shop.store, "hel")
    assert depot is not None
    newest = readers.feed_ends(shop.store, "hel")[1]
    for after, begins, missed in ((None, "hello", 0), (2, "hello", newest - 2), (newest, "hello", 0), (newest + 1, "reset", 0)):
        text, number = live.catch_up(shop.store, depot, after)
        names = [name for name, _, _ in parsed(text)]
        assert names == [begins, *["feed"] * missed, "drivers", "etas"]
        assert number == newest
    live.MOST, before = 3, live.MOST
    try:
        assert parsed(live.catch_up(shop.store, depot, 1)[0])[0][:2] == ("reset", newest)
    finally:
        live.MOST = before


@one_server
def test_the_front_tells_all_who_watch(shop: Shop, monkeypatch: Any) -> None:
    """One look for all of them; nobody looks when nobody watches."""
    monkeypatch.setattr(front, "LOOK_S", 0.05)
    shop.depot()
    shop.crew("anna")

    async def scenario() -> None:
        app = front.Front(shop.app, shop.settings)
        looking = asyncio.create_task(app._watch.run())
        callers = [Caller(app, "/v1/depots/hel/stream", shop.operator, b"") for _ in range(2)]
        await asyncio.sleep(0.5)
        await asyncio.to_thread(shop.order)
        await asyncio.to_thread(tell, shop)
        await asyncio.sleep(0.5)
        for caller in callers:
            text = b"".join(message.get("body", b"") for message in caller.got[1:]).decode()
            events = parsed(text)
            assert events[0][0] == "hello"
            assert [number for name, number, _ in events if name == "feed"] == [1, 2, 3]
            caller.gone.set()
            await caller.call
        await asyncio.sleep(0.2)
        assert not app._watch._watchers
        looking.cancel()
        stranger = Caller(app, "/v1/depots/hel/stream", shop.shipper, b"")
        assert (await stranger.told())[0] == 403

    asyncio.run(scenario())
