"""Offers, answers, expiries, cancellations and facts in any order, against a model: never two who hold the same order."""

from __future__ import annotations

import json
import time
from typing import Any

from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from ingest.store import keys, readers, writers
from tests.conftest import SPOTS, Shop, one_server
from workers import replan

DRIVERS = ("hel.anna", "hel.bob", "hel.cleo")
BY = st.sampled_from(("theirs", "theirs", "theirs", *DRIVERS))
"""Mostly whoever is asked for an order, or has it: else hardly anything happens."""

WHICH = st.integers(0, 2)
"""One of the newest orders."""


KINDS = (*["add"] * 2, *["offer"] * 5, *["accept"] * 4, *["decline"] * 2, *["time_passes"] * 3, "expire", "cancel",
         *["skip"] * 2, *["duty"] * 2, "arrive", "complete", *["repair"] * 2)  # fmt: skip


class Holders(RuleBasedStateMachine):
    """The model: of each open order who is asked (and whether too late), or who has it (and whether it is begun)."""

    shop: Shop

    def __init__(self) -> None:
        super().__init__()
        self.shop.store.flushdb()
        self.shop = Shop(self.shop.settings)
        self.shop.depot()
        for driver in DRIVERS:
            self.shop.crew(driver.partition(".")[2])
        self.asked: dict[str, str] = {}
        self.stale: set[str] = set()
        self.holder: dict[str, str] = {}
        self.begun: set[str] = set()
        self.open: set[str] = set()
        self.declined: dict[str, set[str]] = {}
        self.passed: dict[str, set[str]] = {}
        self.off: set[str] = set()
        self.orders: list[str] = []
        self.emergencies: set[str] = set()
        self.number = 0

    def _pick(self, which: int, driver: str = "") -> tuple[str, str]:
        order = self.orders[-1 - which % len(self.orders)]
        theirs = self.asked.get(order) or self.holder.get(order) or DRIVERS[which % 3]
        return order, theirs if driver == "theirs" else driver

    def _id(self) -> str:
        self.number += 1
        return str(self.number)

    @rule(kind=st.sampled_from(KINDS), which=WHICH, driver=BY)
    def step(self, kind: str, which: int, driver: str) -> None:
        """One of them: rules of their own would be switched off in most runs, and hardly anything would ever be accepted."""
        if self.orders or kind == "add":
            getattr(self, kind)(which, driver)

    def _event(self, order: str, driver: str, kind: str) -> str:
        now = time.time()
        result = writers.stop_event(
            self.shop.store, "hel", driver=driver, shift="hel.day-" + driver.partition(".")[2], stop=f"{order}.service", kind=kind,
            at=1_893_484_800 + self.number, event_id=self._id(), body={}, now=now, deadline=now + 600)  # fmt: skip
        return result[0]

    def _seeks(self, order: str) -> None:
        """Nobody has it, and nobody is asked."""
        self.asked.pop(order, None)
        self.holder.pop(order, None)
        self.stale.discard(order)

    def add(self, which: int, driver: str) -> None:
        if len(self.open) >= 3:
            return
        body = {"depot_id": "hel", "kind": "service", "location": SPOTS[self.number % 6],
                "dispatch": "emergency" if which else "immediate"}  # fmt: skip
        found: str = self.shop.made("/v1/orders", body)["id"]
        self.open.add(found)
        self.orders.append(found)
        if which:
            self.emergencies.add(found)
        self.declined[found], self.passed[found] = set(), set()

    def offer(self, which: int, driver: str) -> None:
        order, driver = self._pick(which, driver)
        other = next((other for other, asked in self.asked.items() if asked == driver), None)
        gives_way = other is not None and order in self.emergencies and other not in self.emergencies
        may = (order in self.open and order not in self.asked and order not in self.holder and driver not in self.off
               and driver not in self.declined[order] and (other is None or gives_way))  # fmt: skip
        revision = readers.record_revision(self.shop.store, order)
        offers = [{"order": order, "driver": driver, "shift": "hel.day-" + driver.partition(".")[2], "stop": f"{order}.service",
                   "expires_at": time.time() + 600, "wait": 60, "emergency": order in self.emergencies, "revision": revision,
                   "view": {"driver_id": driver}}]  # fmt: skip
        assert writers.offer(self.shop.store, "hel", offers) == may
        if may and other is not None:
            self._seeks(other)
        if may:
            self.asked[order] = driver

    def time_passes(self, which: int, driver: str) -> None:
        """The offer is over, but the dispatcher has not said so yet."""
        order, _ = self._pick(which)
        if order in self.asked:
            name = keys.depot_key("hel", "offers")
            document = json.loads(self.shop.store.hget(name, order)) | {"expires_at": time.time() - 1}
            self.shop.store.hset(name, order, json.dumps(document))
            self.shop.store.zadd(keys.shared_key("timers"), {f"hel offer_expired {order}": time.time() - 1})
            self.stale.add(order)

    def expire(self, which: int, driver: str) -> None:
        order, _ = self._pick(which)
        driver = self.asked.get(order, "")
        fired = writers.due(self.shop.store, "hel", "timer", f"hel offer_expired {order}", "offer_expired", order, time.time())
        assert fired == (order in self.stale)
        if fired:
            self._seeks(order)
            self.passed[order].add(driver)

    def accept(self, which: int, driver: str) -> None:
        order, driver = self._pick(which, driver)
        answer = self._event(order, driver, "accepted")
        asked = self.asked.get(order) == driver and order not in self.stale
        already = self.holder.get(order) == driver
        assert (answer == "recorded") == (asked or already)
        if asked:
            self._seeks(order)
            self.holder[order] = driver
            self.passed[order].clear()

    def decline(self, which: int, driver: str) -> None:
        order, driver = self._pick(which, driver)
        answer = self._event(order, driver, "declined")
        asked, gives_back = self.asked.get(order) == driver, self.holder.get(order) == driver
        assert (answer == "recorded") == (asked or gives_back or (order in self.open and driver in self.passed[order]))
        if answer == "recorded":
            self.declined[order].add(driver)
        if asked or gives_back:
            self._seeks(order)
            self.begun.discard(order)

    def skip(self, which: int, driver: str) -> None:
        """Not now: somebody else may have it."""
        order, driver = self._pick(which, driver)
        answer = self._event(order, driver, "skipped")
        assert (answer == "recorded") == (self.holder.get(order) == driver)
        if answer == "recorded":
            self._seeks(order)
            self.begun.discard(order)
            self.passed[order].add(driver)

    def cancel(self, which: int, driver: str) -> None:
        order, _ = self._pick(which)
        document: Any = readers.record(self.shop.store, "orders", "hel", order)
        result = writers.cancel_order(self.shop.store, document, now=time.time(), at=1_893_484_800)
        assert (result[0] == "cancelled") == (order in self.open)
        self.open.discard(order)
        self._seeks(order)

    def duty(self, which: int, driver: str) -> None:
        _, driver = self._pick(which, driver)
        kind = "off_duty" if which == 0 else "on_duty"
        now = time.time()
        writers.driver_event(self.shop.store, "hel", driver=driver, shift="hel.day-" + driver.partition(".")[2], kind=kind,
                             at=1_893_484_800 + self.number, event_id=self._id(), body={}, now=now, deadline=now + 600)  # fmt: skip
        self.off.discard(driver)
        if kind == "off_duty":
            self.off.add(driver)
            for order in [order for order, other in self.asked.items() if other == driver]:
                self._seeks(order)
            for order in [order for order, other in self.holder.items() if other == driver and order not in self.begun]:
                self._seeks(order)
                self.passed[order].add(driver)

    def arrive(self, which: int, driver: str) -> None:
        """A fact, whatever was agreed."""
        order, driver = self._pick(which, driver)
        self._event(order, driver, "arrived")
        if order in self.open:
            self._seeks(order)
            self.holder[order] = driver
            self.begun.add(order)

    def complete(self, which: int, driver: str) -> None:
        order, driver = self._pick(which, driver)
        self._event(order, driver, "completed")
        self.open.discard(order)
        self._seeks(order)

    def repair(self, which: int, driver: str) -> None:
        """Publish plans: each order that is held is in its holder's route, if it is not done, and in no other."""
        replan.repair(self.shop.store, self.shop.settings, "hel")
        plan = readers.plan(self.shop.store, "hel")
        if plan is None:
            return
        where = {stop.stop_id.rpartition(".")[0]: route.driver_id for route in plan.routes for stop in route.stops}
        for order in self.open:
            if order in self.holder:
                assert where.get(order) == self.holder[order]
            else:
                assert order not in where

    @invariant()
    def nobody_else_holds_it(self) -> None:
        store = self.shop.store
        assert store.hgetall(keys.depot_key("hel", "held")) == self.holder
        assert {order: offer.driver_id for order, offer in readers.offers(store, "hel").items()} == self.asked
        assert store.hgetall(keys.depot_key("hel", "offered")) == {driver: order for order, driver in self.asked.items()}
        assert store.smembers(keys.depot_key("hel", "unmatched")) == self.open - self.holder.keys()
        assert not self.asked.keys() & self.holder.keys()
        stops = [stop for text in store.hvals(keys.depot_key("hel", "trail")) for stop in text.split()]
        assert len(stops) == len(set(stops)), "nobody drives to what somebody else drives to"


@one_server
def test_never_two_hold_the_same_order(shop: Shop) -> None:
    """Whatever comes in whatever order."""
    Holders.shop = shop
    run_state_machine_as_test(Holders, settings=hypothesis_settings(max_examples=30, stateful_step_count=40, deadline=None))
