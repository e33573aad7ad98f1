"""Everything that writes the state, plans excepted: each function is one script, and so all or nothing."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from ingest.store import keys, readers
from ingest.store.connection import Store, run
from routing import codec
from routing.model import Depot, Driver, Order, Policy, RoadEvent, Shift, Vehicle, order_of

ONCE_TTL_S = 24 * 3600
"""How long idempotency keys and event ids are remembered."""

ANY_DEPOT = "-"
"""Where idempotency keys are kept: they are a shipper's own, whatever depot an order is for."""


def fingerprint(body: Any) -> str:
    """A hash that is equal for equal requests."""
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _fields(personal: dict[str, str]) -> list[Any]:
    return [len(personal), *(part for pair in personal.items() for part in pair)]


def put_depot(client: Store, depot: Depot, now: float) -> bool:
    """Make a depot; False if the id is taken."""
    return bool(run(client, depot.id, "depot", [codec.dumps(depot), "", now]))


def change_depot(client: Store, depot_id: str, change: Callable[[Depot], Depot], now: float) -> Depot:
    """Change a depot that is there, whoever else does so at the same time, and ask for a re-solve under another policy."""
    while True:
        before = client.get(keys.depot_key(depot_id, "depot"))
        changed = change(codec.loads(before, Depot))
        if run(client, depot_id, "depot", [codec.dumps(changed), before, now]):
            return changed


def put_record(client: Store, family: str, record: Driver | Vehicle | Shift, *, print_: str, now: float,
               personal: dict[str, str], timers: dict[str, float] | None = None) -> list[str]:  # fmt: skip
    """Make a driver, vehicle or shift: `created`, `same`, `conflict`, `unknown` + field, `overlap` + field, id, `full` + most."""
    arguments = [family, record.id, codec.dumps(record), print_, json.dumps({"id": record.id}), now,
                 *_fields(personal)]  # fmt: skip
    if isinstance(record, Shift):
        arguments += [record.driver_id, record.vehicle_id, record.start, record.end,
                      *(part for timer in (timers or {}).items() for part in timer)]  # fmt: skip
    return list(run(client, record.depot_id, "put", arguments, PERSONAL=keys.personal(record.depot_id, record.id)))


def lock_shift(client: Store, shift: Shift, *, expected: int, now: float) -> bool:
    """Lock or unlock a shift's route, as the record says; False if it has changed since it was read."""
    arguments = [shift.id, codec.dumps(shift), expected, int(shift.locked), json.dumps({"shift_id": shift.id}), now]
    return bool(run(client, shift.depot_id, "lock", arguments))


@dataclass(frozen=True, slots=True)
class NewOrder:
    """An order to accept: what its request looked like, by which key it is known if it comes again, and who waits for it.

    With `match_at` (real s) it cannot wait for a plan, and is matched then. `again`: it may take a cancelled one's place.
    """

    order: Order
    print: str
    token: str | None
    personal: dict[str, str]
    match_at: float | None = None
    again: bool = False


def create_orders(client: Store, new: Sequence[NewOrder], *, now: float, dry: bool = False,
                  expected: int | None = None) -> list[list[str]]:  # fmt: skip
    """Accept orders, one by one in one go.

    For each: `created` + its id and revision; `replayed`, `key_reused` or `duplicate` + the id of the order there is; or `full` +
    how many may be open; or `stale` if the depot's revision is not the `expected` one. With `dry` nothing is changed, and the
    answers are what they would be one by one.
    """
    if not new:
        return []
    if len(new) == 1:
        return [_create(client, new[0], now, dry, expected)]
    with client.pipeline(transaction=False) as pipeline:
        for item in new:
            _create(pipeline, item, now, dry, expected)
        return [list(result) for result in pipeline.execute()]


def known_by(client: Store, new: NewOrder) -> list[str] | None:
    """What `create_orders` would say of an order whose key has come before; None if it has not."""
    text = client.get(_asked_by(new))
    if text is None:
        return None
    print_, order_id = text.split(" ")
    return ["replayed" if print_ == new.print else "key_reused", order_id]


def _asked_by(new: NewOrder) -> str:
    token = hashlib.sha256(f"{new.order.tenant}|{new.order.shipper}|{new.token}".encode()).hexdigest()[:32]
    return keys.once(ANY_DEPOT, "order", token)


def _create(client: Store, new: NewOrder, now: float, dry: bool, expected: int | None) -> list[str]:
    order = new.order
    external = f"{order.shipper}|{order.external_id}" if order.external_id else ""
    reserved, revision = order.reserved_until or "", "" if expected is None else expected
    due, how = "" if new.match_at is None else new.match_at, "dry " * dry + "again" * new.again
    arguments = [order.id, codec.dumps(order), new.print, external, json.dumps({"order_id": order.id}), now,
                 ONCE_TTL_S if new.token else 0, due, how, revision, reserved,
                 *_fields(new.personal)]  # fmt: skip
    result = run(client, order.depot_id, "order_create", arguments,
                 PERSONAL=keys.personal(order.depot_id, order.id), ONCE=_asked_by(new))  # fmt: skip
    return list(result) if isinstance(result, list) else []


def change_order(client: Store, order: Order, *, expected: int, print_: str, now: float,
                 personal: dict[str, str], dry: bool = False, whole: bool = False) -> list[str]:  # fmt: skip
    """Replace an order: `changed` + its revision, or `closed`, `started` or `stale`. `whole`: nothing of its recipient stays."""
    arguments = [order.id, " ".join(order.stop_ids), codec.dumps(order), expected, print_, json.dumps({"order_id": order.id}), now,
                 "dry" if dry else "whole" if whole else "", *_fields(personal)]  # fmt: skip
    return list(run(client, order.depot_id, "order_change", arguments,
                    PERSONAL=keys.personal(order.depot_id, order.id)))  # fmt: skip


def import_orders(client: Store, depot: Depot, new: Sequence[NewOrder], *, now: float) -> list[list[str]]:
    """Accept orders of a file that wait for plans, and ask for none yet. Written again, they are replayed: their ids are known.

    For each `created`, `replayed` or `duplicate` + the id of the order there is, or `full` + how many may be open.
    """
    if not new:
        return []
    rows = [[item.order.id, codec.dumps(item.order).decode(), item.print,
             f"{item.order.shipper}|{item.order.external_id}" if item.order.external_id else "", item.personal]
            for item in new]  # fmt: skip
    results = run(client, depot.id, "orders_import", [now, codec.dumps(rows)], PERSONAL=keys.personal(depot.id, ""))
    return [list(row) for row in results]


def withdraw_orders(client: Store, depot: Depot, orders: Sequence[Order], *, now: float) -> None:
    """Cancel orders that were not to be accepted after all, as if they had not been: their external ids are free again."""
    rows = [[order.id, " ".join(order.stop_ids), f"{order.shipper}|{order.external_id}" if order.external_id else ""]
            for order in orders]  # fmt: skip
    run(client, depot.id, "orders_withdraw", [now, depot.clock.depot(now), codec.dumps(rows)], PERSONAL=keys.personal(depot.id, ""))


def confirm_order(client: Store, order: Order, *, expected: int) -> str:
    """Keep a reserved order: `confirmed`, `over`, or `stale`."""
    arguments = [order.id, codec.dumps(order), expected, json.dumps({"order_id": order.id})]
    return str(run(client, order.depot_id, "order_confirm", arguments))


def cancel_order(client: Store, order: Order, *, now: float, at: int, expected: int | None = None, dry: bool = False) -> list[str]:
    """Cancel an order: `cancelled` + its revision, or `already`, `closed` + state, or `stale`."""
    arguments = [order.id, " ".join(order.stop_ids), json.dumps({"order_id": order.id}), now, at,
                 "" if expected is None else expected, "dry" if dry else ""]  # fmt: skip
    return list(run(client, order.depot_id, "order_cancel", arguments))


def stop_event(client: Store, depot_id: str, *, driver: str, shift: str, stop: str, kind: str, at: int,
               event_id: str, body: dict[str, Any], now: float, deadline: float,
               proof: dict[str, str] | None = None) -> list[str]:  # fmt: skip
    """Record what a driver reports of a stop: `recorded`, `conflict`, `refused` or `reused`, then whether that is a replay.

    Third, of an arrival, what was expected: minutes ahead, P50 and P80, as often as that was remembered. `proof` is kept if this is
    the report that says how the stop ended.
    """
    shown = [part for pair in (proof or {}).items() for part in pair]
    arguments = [driver, shift, stop, kind, at, json.dumps(body), now, ONCE_TTL_S * 7, deadline, *shown]
    return list(run(client, depot_id, "stop_event", arguments, ONCE=keys.once(depot_id, f"event:{driver}", event_id),
                    PERSONAL=keys.personal(depot_id, order_of(stop))))  # fmt: skip


def infer(client: Store, depot_id: str, *, driver: str, shift: str, stop: str, kind: str, at: int, body: dict[str, Any],
          now: float) -> str | None:  # fmt: skip
    """Say that a driver has arrived, or is done, as pings show; what was expected of an arrival ("" if nothing).

    None if that is not what happens next to the shift.
    """
    arguments = [driver, shift, stop, kind, at, json.dumps(body), now, ONCE_TTL_S * 7, ""]
    result = run(client, depot_id, "stop_event", arguments, ONCE=keys.once(depot_id, "inferred", f"{stop}|{kind}"),
                 PERSONAL=keys.personal(depot_id, order_of(stop)))  # fmt: skip
    return str(result[2]) if result[0] == "recorded" else None


def driver_event(client: Store, depot_id: str, *, driver: str, shift: str, kind: str, at: int, event_id: str, body: dict[str, Any],
                 now: float, deadline: float, until: tuple[int, float] = (0, 0.0), exact: float | None = None
                 ) -> list[str]:  # fmt: skip
    """Record what a driver reports of the shift: `recorded`, `no_shift` or `reused`, and maybe `replayed`.

    `until` is the end of a break (depot s, real s), `exact` when it occurred to the fraction of a second.
    """
    arguments = [driver, shift, kind, at, json.dumps(body), now, ONCE_TTL_S * 7, deadline, *until, at if exact is None else exact]
    return list(run(client, depot_id, "driver_event", arguments, ONCE=keys.once(depot_id, f"event:{driver}", event_id)))


def acknowledge(client: Store, depot_id: str, driver: str, version: int) -> tuple[bool, int, int]:
    """Say that a driver has seen a route version; whether there is such a one, the newest acknowledged, and the newest there is."""
    result, known, newest = run(client, depot_id, "ack", [driver, version])
    return result == "acknowledged", int(known), int(newest)


def pings(client: Store, depot_id: str, driver: str, rows: list[tuple[int, float, str]], *, now: float,
          deadline: float, most: int) -> tuple[int, int, int]:  # fmt: skip
    """Store a driver's pings (seq, recorded at, document): how many were new, seen before, and late.

    Where `most` batches wait for the archiver already, they move the driver and are not kept beyond that.
    """
    ordered = sorted(rows, key=lambda row: (row[1], row[0]))
    arguments = [driver, now, deadline, most, *(part for row in ordered for part in row)]
    new, duplicates, late = run(client, depot_id, "pings", arguments, SEQS=keys.ping_seqs(depot_id, driver),
                                RECENT=keys.recent_pings(depot_id, driver))  # fmt: skip
    return int(new), int(duplicates), int(late)


def put_road_event(client: Store, event: RoadEvent, *, now: float, start: float, end: float) -> bool:
    """Close or slow streets between two real times; False if the depot has as many road events as it may."""
    arguments = ["put", event.id, codec.dumps(event), json.dumps({"id": event.id}), now, start, end]
    return bool(run(client, event.depot_id, "roads", arguments))


def drop_road_event(client: Store, depot_id: str, event_id: str, *, now: float) -> bool:
    """End a road event early; False if there is none."""
    return bool(run(client, depot_id, "roads", ["drop", event_id, "", json.dumps({"id": event_id}), now, 0, 0]))


def due(client: Store, depot_id: str, source: str, member: str, kind: str, subject: str, now: float) -> bool:
    """Fire a timer or a silence, once whoever asks; False if somebody else did or it is not due."""
    return bool(run(client, depot_id, "due", [source, member, kind, subject, now], PERSONAL=keys.personal(depot_id, subject)))


@dataclass(frozen=True, slots=True)
class Ahead:
    """What is to be expected of a shift under the plan in force.

    `subject` will be `late` seconds more than planned ("" if nothing will). `stop` is driven to, in `remaining` seconds and
    `metres` ("" if none is). `still` is since when it has stood still on the way. `etas` are stops with their P50 and P80 (depot
    s); `begun` is whether its hours have.
    """

    shift: str
    driver: str
    subject: str
    late: int
    stop: str
    remaining: int
    metres: int
    still: int | None
    etas: tuple[tuple[str, int, int], ...]
    begun: bool


def foreseen(client: Store, depot_id: str, rows: Sequence[Ahead], *, version: int, policy: Policy, horizons: Sequence[int],
             now: float, at: int) -> int:  # fmt: skip
    """Say what is to be expected under the plan `version`; how many re-solves that asked for.

    The first P50 and P80 that are given with at most so many minutes to go (`horizons`) are kept, to be held against what comes.
    """
    limits = {"late_after": policy.late_after, "detour_after": policy.detour_after, "eta_step": policy.eta_step}
    arguments = [now, at, version, json.dumps(limits), json.dumps(sorted(horizons)), codec.dumps(rows)]
    return int(run(client, depot_id, "track", arguments))


def offer(client: Store, depot_id: str, offers: Sequence[dict[str, Any]]) -> int:
    """Offer orders that cannot wait, each to one driver, as far as that still holds; how many were made."""
    return int(run(client, depot_id, "offer", [json.dumps(offers)]))


def nobody_moves(client: Store, depot_id: str, *, version: int) -> bool:
    """Look at a depot's drivers no longer, if still none is on the road and this plan in force; who is heard of brings it back."""
    return bool(run(client, depot_id, "still", [version]))


def request(client: Store, depot_id: str, subject: str, now: float) -> int:
    """Ask for a re-solve by hand; the revision that will be answered."""
    return int(run(client, depot_id, "request", [subject, now]))


def aside(client: Store, depot_id: str, records: Collection[str], state: str, *, now: float, failure: str = "") -> list[str]:
    """Say of orders and road events whether plans are made without them; those of them that are still there.

    `state` is a `readers.Aside`'s, or `free`. Who comes `on_trial` asks for a re-solve.
    """
    return list(run(client, depot_id, "aside", [state, failure, now, *records])) if records else []


def over(client: Store, depot_id: str, *, closed_before: float, ended_before: float, most: int,
         archived: Collection[str] = ()) -> tuple[list[str], list[str]]:  # fmt: skip
    """What a depot may forget: documents of shifts and of orders. Those that are `archived` (ids) are forgotten."""
    shifts, orders = run(client, depot_id, "forget", [closed_before, ended_before, most, *archived])
    if archived and orders:
        client.delete(*(keys.personal(depot_id, json.loads(document)["id"]) for document in orders))
    return list(shifts), list(orders)


def trim_feed(client: Store, depot_id: str, *, now: float) -> None:
    """Drop events of a depot's feed that are older than its policy keeps them (real s)."""
    depot = readers.depot(client, depot_id)
    before = now - (depot.policy.feed_days * 86_400 if depot else 0)
    number = None
    while rows := readers.feed(client, depot_id, after=number or 0, limit=1000):
        old = [told.number for told in rows if told.at < before]
        number = old[-1] if old else number
        if len(old) < len(rows):
            break
    if number is not None:
        client.xtrim(keys.depot_key(depot_id, "feed"), minid=f"{number + 1}-0", approximate=False)


def keep_crew(client: Store, depot: Depot, *, now: float) -> None:
    """Names and phones of drivers stay as long as they have shifts, and so long after as the policy says."""
    at, ttl = depot.clock.depot(now), depot.policy.personal_days * 86_400
    for driver in {shift.driver_id for shift in readers.records(client, "shifts", depot.id) if shift.end > at}:
        client.expire(keys.personal(depot.id, driver), ttl)


def erase_personal(client: Store, depot_id: str, record_id: str) -> bool:
    """Erase names, phones and notes of one record."""
    return bool(client.delete(keys.personal(depot_id, record_id)))
