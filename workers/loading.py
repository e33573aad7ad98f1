"""Loading a file of orders, drivers, vehicles or shifts: judged row by row as the API judges bodies, and written in steps.

The file waits in Redis until it is written, so that a worker that dies is replaced by one that goes on: ids are known by import and
row, and what is written again is found. Before anything is written all rows have been judged; `all` writes only if none has a
fault.
"""

from __future__ import annotations

import base64
import gc
import logging
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import msgspec
import numpy as np
import redis
from pydantic import BaseModel

from ingest import fleet, orders
from ingest.parsing import parse
from ingest.problems import Fault
from ingest.schemas import DriverIn, OrderIn, ShiftIn, VehicleIn
from ingest.settings import Settings
from ingest.store import keys, readers, writers
from ingest.store.connection import Store
from ingest.store.writers import NewOrder
from routing import codec
from routing.model import Depot, Dispatch, Location
from routing.roads import maps
from routing.roads.snapping import MAX_SNAP_M, Snapper
from workers import tables
from workers.imports import Import, RowFault, every, file_of
from workers.tables import BadTable, Layout, Table

log = logging.getLogger(__name__)

STEP = 1000
"""Rows that are written together, and between two reports of progress."""

OVERTAKEN = "Something else took what some rows need while this was written; what had been written is cancelled."
"""Why all rows or none are none in the end."""

MOST_FAULTS = 1000
"""So many faults are listed; all are counted."""

MODELS: dict[str, type[BaseModel]] = {"orders": OrderIn, "drivers": DriverIn, "vehicles": VehicleIn, "shifts": ShiftIn}
"""What rows are judged by."""

COUNTS = ("checked", "written", "accepted", "same", "refused")

Row = tuple[int, BaseModel, str]
"""A good row: its number, what it says, and its print."""

Results = list[tuple[Fault | None, bool]]
"""Of rows that were written: what one was refused for, and whether it is new."""

Told = Callable[[Import], None]
"""What is told of progress."""


def load(client: Store, settings: Settings, depot_id: str) -> int:
    """Do a depot's imports that wait; how many there were."""
    count = 0
    while True:
        client.zadd(keys.shared_key("loadable"), {depot_id: time.time() + 1.0}, xx=True)
        waiting = [made for made in every(client, depot_id) if not made.over]
        if not waiting:
            client.zrem(keys.shared_key("loadable"), depot_id)  # before the last look: who comes now asks again
            waiting = [made for made in every(client, depot_id) if not made.over]
            if not waiting:
                return count
        made = waiting[-1]
        _run(client, settings, made)
        count += 1


TRIES = 3
"""So often is a file begun with: what takes its process down again and again is given up."""


def _run(client: Store, settings: Settings, made: Import) -> None:
    def told(now: Import) -> None:
        client.hset(keys.depot_key(made.depot_id, "imports"), made.id, codec.dumps(now).decode())

    if client.hincrby(keys.depot_key(made.depot_id, "import_tries"), made.id, 1) > TRIES:
        told(msgspec.structs.replace(made, state="failed", reason="Reading this file has ended its process again and again."))
        _drop(client, made)
        return
    packed = client.get(file_of(made))
    if packed is None:
        told(msgspec.structs.replace(made, state="failed", reason="The file is no longer there."))
        return
    try:
        run(client, settings, made, zlib.decompress(base64.b85decode(packed)), told)
    except redis.RedisError:
        client.hincrby(keys.depot_key(made.depot_id, "import_tries"), made.id, -1)  # that was not the file
        raise  # it goes on when Redis is back
    except Exception:
        log.exception("the import %s failed", made.id, extra={"depot": made.depot_id})
        told(msgspec.structs.replace(made, state="failed", reason="This is a defect of the service; it has been logged."))
        writers.request(client, made.depot_id, made.id, time.time())  # for what has been written before
    _drop(client, made)


def _drop(client: Store, made: Import) -> None:
    """The file has been read, or never will be."""
    client.delete(file_of(made))
    client.hdel(keys.depot_key(made.depot_id, "import_tries"), made.id)


def run(client: Store, settings: Settings, made: Import, raw: bytes, told: Told) -> Import:
    """Import a file, telling of progress; how it ended."""
    began = time.monotonic()
    collects = gc.isenabled()
    gc.disable()  # no rings here, and to look for them among so many rows takes half of the time
    try:
        return _steps(client, settings, made, raw, told, began)
    finally:
        if collects:
            gc.enable()


def _steps(client: Store, settings: Settings, made: Import, raw: bytes, told: Told, began: float) -> Import:
    def tell(now: Import) -> Import:
        now = msgspec.structs.replace(now, seconds=round(time.monotonic() - began, 3))
        told(now)
        return now

    depot = readers.depot(client, made.depot_id)
    try:
        assert depot is not None  # whoever made the import has looked
        table = tables.read(raw, made.form)
        layout = tables.layout(table, made.kind, depot, made.columns, list(MODELS[made.kind].model_fields))
    except BadTable as error:
        return tell(msgspec.structs.replace(made, state="failed", reason=f"{error.detail} {error.remedy}".strip()))
    work = _Work(client, settings, depot, made, table, layout)
    now = tell(msgspec.structs.replace(made, state="checking", rows=len(table), reason="", **dict.fromkeys(COUNTS, 0), faults=()))
    for step in work.check(now):
        now = tell(step)
    if (now.whole or made.dry) and made.state != "writing":  # what has been begun with is gone on with
        now = tell(work.against_the_store(now))
    if now.refused and now.whole:
        return tell(msgspec.structs.replace(now, state="failed", reason="Nothing was written, as some rows have faults."))
    if made.dry:
        return tell(msgspec.structs.replace(now, state="done"))
    for step in work.write(msgspec.structs.replace(now, state="writing")):
        now = tell(step)
        if now.whole and now.refused and made.kind == "orders":  # somebody else was faster with one of them
            work.withdraw()
            return tell(msgspec.structs.replace(now, state="failed", accepted=0, reason=OVERTAKEN))
    if made.kind == "orders" and now.accepted:
        writers.request(client, depot.id, made.id, time.time())  # one plan for all of them
    return tell(msgspec.structs.replace(now, state="done"))


class _Work:
    """A table on its way into a depot."""

    def __init__(self, client: Store, settings: Settings, depot: Depot, made: Import, table: Table, layout: Layout) -> None:
        self.client, self.depot, self.made, self.table, self.layout = client, depot, made, table, layout
        self.snapper = Snapper(maps.network(maps.find(depot.map, settings.maps)))
        self.good: list[Row] = []

    def check(self, now: Import) -> Iterator[Import]:
        """Judge all rows, some at a time."""
        bodies = self.layout.bodies(self.table, self.depot.id)
        seen: dict[str, int] = {}
        batch: list[tuple[int, dict[str, Any], BaseModel | None, list[Fault]]] = []
        for row, data in enumerate(bodies):
            wanted, right, faults = parse(MODELS[self.made.kind], data)
            if data["depot_id"] != self.depot.id:
                faults.append(Fault("inconsistent", "/depot_id", "It is of another depot.", "Import it there."))
            faults += self._faults(right)
            if row in self.table.broken:
                wanted, faults = None, [self.table.broken[row]]
            name = data.get("external_id" if self.made.kind == "orders" else "id")
            if isinstance(name, str) and seen.setdefault(name, row) != row:
                where = "/external_id" if self.made.kind == "orders" else "/id"
                faults.append(Fault("duplicate", where, f"Line {self.table.lines[seen[name]]} has it, too.", "Leave one out."))
            batch.append((row, data, wanted, faults))
            if len(batch) == STEP or row == len(self.table) - 1:
                now = self._judged(now, batch)
                batch = []
                yield now

    def _faults(self, right: dict[str, Any]) -> list[Fault]:
        """What a schema cannot see, but for places: those are looked at many at a time."""
        if self.made.kind == "orders":
            return orders.Rules(self.client, self.depot, None, self.made.who).faults(right)
        if self.made.kind == "vehicles":
            return fleet.vehicle_faults(self.depot, right)
        return fleet.shift_faults(self.depot, self.snapper, right) if self.made.kind == "shifts" else []

    def against_the_store(self, now: Import) -> Import:
        """Judge what is good by what is there: so that all rows are written, or none. What comes in between is told afterwards."""
        faults = self._known_orders() if self.made.kind == "orders" else self._known_records()
        kept = [(row, wanted, print_) for row, wanted, print_ in self.good if row not in faults]
        listed = [*now.faults, *(self._row_fault(row, fault) for row, fault in faults.items())]
        self.good = kept
        return msgspec.structs.replace(now, refused=now.refused + len(faults), faults=tuple(listed[:MOST_FAULTS]))

    def _known_orders(self) -> dict[int, Fault]:
        account, new = self.made.who.account, 0
        found: dict[int, Fault] = {}
        room = self.depot.policy.max_open_orders - int(self.client.scard(keys.depot_key(self.depot.id, "open")))
        for first in range(0, len(self.good), STEP):
            rows = self.good[first : first + STEP]
            ids = [wanted.external_id for _, wanted, _ in rows if isinstance(wanted, OrderIn)]
            names = [f"{account}|{name}" if name else "" for name in ids]
            there = self.client.hmget(keys.depot_key(self.depot.id, "external"), names)
            prints = self.client.hmget(keys.depot_key(self.depot.id, "fingerprints"), [order or "" for order in there])
            for (row, _, print_), order, before in zip(rows, there, prints, strict=True):
                new += order is None
                if order is not None and before != print_:
                    found[row] = _clash(order)
                elif order is None and new > room:
                    found[row] = _full(self.depot.policy.max_open_orders)
        return found

    def _known_records(self) -> dict[int, Fault]:
        """Ids that are taken; for shifts also drivers and vehicles that are not there, or busy."""
        depot_id, taken = self.depot.id, []
        found: dict[int, Fault] = {}
        records = {row: self._record(wanted)[0] for row, wanted, _ in self.good}
        names = [f"{self.made.kind}|{record.id}" for record in records.values()]
        prints = self.client.hmget(keys.depot_key(depot_id, "fingerprints"), names) if names else []
        if self.made.kind == "shifts":
            back = self.client.hkeys(keys.depot_key(depot_id, "returned"))
            taken = [shift for shift in readers.records(self.client, "shifts", depot_id) if shift.id not in back]
        people, vehicles = (set(self.client.hkeys(keys.depot_key(depot_id, name))) for name in ("drivers", "vehicles"))
        for (row, _, print_), before in zip(self.good, prints, strict=True):
            record = records[row]
            if before is not None:
                found |= {row: fleet.put_faults(["conflict"])[0]} if before != print_ else {}
                continue
            if self.made.kind != "shifts":
                continue
            pairs = (("driver_id", people), ("vehicle_id", vehicles))
            absent = [name for name, known in pairs if getattr(record, name) not in known]
            busy = [(name, other.id) for other in taken if record.start < other.end and other.start < record.end
                    for name in ("driver_id", "vehicle_id") if getattr(record, name) == getattr(other, name)]  # fmt: skip
            if absent:
                found[row] = fleet.put_faults(["unknown", absent[0]])[0]
            elif busy:
                found[row] = fleet.put_faults(["overlap", *busy[0]])[0]
            else:
                taken.append(record)
        return found

    def _judged(self, now: Import, batch: Sequence[tuple[int, dict[str, Any], BaseModel | None, list[Fault]]]) -> Import:
        away = self._off_the_map([wanted for _, _, wanted, _ in batch])
        refused, listed = now.refused, list(now.faults)
        for (row, data, wanted, faults), off in zip(batch, away, strict=True):
            if wanted is not None and not faults and not off:
                self.good.append((row, wanted, writers.fingerprint(data)))
                continue
            refused += 1
            listed += [self._row_fault(row, fault) for fault in [*faults, *off]]
        return msgspec.structs.replace(now, checked=now.checked + len(batch), refused=refused, faults=tuple(listed[:MOST_FAULTS]))

    def _row_fault(self, row: int, fault: Fault) -> RowFault:
        return RowFault(self.table.lines[row], self.layout.cell(fault), fault.code, fault.detail, fault.remedy)

    def _off_the_map(self, wanted: Sequence[BaseModel | None]) -> list[list[Fault]]:
        """For each order a fault for each of its places that is too far from any street."""
        places: list[tuple[int, str, Location]] = []
        for number, order in enumerate(wanted):
            if isinstance(order, OrderIn):
                places.append((number, "/location", order.location.location()))
                if order.pickup is not None:
                    places.append((number, "/pickup/location", order.pickup.location.location()))
        found: list[list[Fault]] = [[] for _ in wanted]
        if not places:
            return found
        at = np.array([(place.lat, place.lon) for _, _, place in places])
        metres = self.snapper.arrays(at[:, 0], at[:, 1])[2]
        for index in np.flatnonzero(metres > MAX_SNAP_M).tolist():
            number, where, place = places[index]
            text = f"({place.lat}, {place.lon}) is {metres[index]:,.0f} m from the nearest street."
            found[number].append(Fault("off_map", where, text, f"Give a place within {MAX_SNAP_M:,.0f} m of a street of this map."))
        return found

    def write(self, now: Import) -> Iterator[Import]:
        """Write what is good, some rows at a time: while the store takes some, the next ones are made ready."""
        prepare = self._orders if self.made.kind == "orders" else self._records
        pending: tuple[Sequence[Row], Future[Results]] | None = None
        with ThreadPoolExecutor(1) as pool:
            for first in range(0, len(self.good), STEP):
                rows = self.good[first : first + STEP]
                ready = prepare(rows)
                if pending is not None:
                    now = self._written(now, pending[0], pending[1].result())
                    yield now
                pending = rows, pool.submit(ready)
            if pending is not None:
                yield self._written(now, pending[0], pending[1].result())

    def withdraw(self) -> None:
        """Take back what this import has written."""
        now = time.time()
        for first in range(0, len(self.good), STEP):
            ids = [orders.id_of(self.depot, f"{self.made.id}|{row}") for row, _, _ in self.good[first : first + STEP]]
            found = readers.records_of(self.client, "orders", self.depot.id, ids)
            writers.withdraw_orders(self.client, self.depot, [order for order in found if order], now=now)

    def _written(self, now: Import, rows: Sequence[Row], results: Results) -> Import:
        accepted, same, refused, listed = now.accepted, now.same, now.refused, list(now.faults)
        for (row, _, _), (fault, new) in zip(rows, results, strict=True):
            accepted += fault is None and new
            same += fault is None and not new
            refused += fault is not None
            listed += [self._row_fault(row, fault)] if fault else []
        return msgspec.structs.replace(now, written=now.written + len(rows), accepted=accepted, same=same, refused=refused,
                                       faults=tuple(listed[:MOST_FAULTS]))  # fmt: skip

    def _orders(self, rows: Sequence[Row]) -> Callable[[], Results]:
        now, new = time.time(), []
        for row, wanted, print_ in rows:
            assert isinstance(wanted, OrderIn)
            token = f"{self.made.id}|{row}"
            made = orders.made(self.depot, wanted, shipper=self.made.who.account, now=now, token=token)
            recipient = wanted.recipient.fields() if wanted.recipient else {}
            new.append(NewOrder(made, print_, token, recipient, orders.match_at(self.depot, made, now)))
        planned = [item for item in new if item.order.dispatch is Dispatch.PLANNED]
        others = [item for item in new if item.order.dispatch is not Dispatch.PLANNED]

        def put() -> Results:
            found = [*zip(planned, writers.import_orders(self.client, self.depot, planned, now=now), strict=True),
                     *zip(others, writers.create_orders(self.client, others, now=now), strict=True)]  # fmt: skip
            results = {item.order.id: result for item, result in found}
            told = [(item.order.id, results[item.order.id]) for item in new]
            return [(_refusal(result), result[0] == "created" or result[1] == order_id) for order_id, result in told]

        return put

    def _records(self, rows: Sequence[Row]) -> Callable[[], Results]:
        def put() -> Results:
            results: Results = []
            for _, wanted, print_ in rows:
                record, personal, timers = self._record(wanted)
                result = writers.put_record(self.client, self.made.kind, record, print_=print_, now=time.time(), personal=personal,
                                            timers=timers)  # fmt: skip
                results.append((next(iter(fleet.put_faults(result)), None), result[0] == "created"))
            return results

        return put

    def _record(self, wanted: BaseModel) -> tuple[Any, dict[str, str], dict[str, float] | None]:
        if isinstance(wanted, DriverIn):
            return (*fleet.driver(self.depot, wanted), None)
        if isinstance(wanted, VehicleIn):
            return fleet.vehicle(self.depot, wanted), {}, None
        assert isinstance(wanted, ShiftIn)
        made = fleet.shift(self.depot, wanted)
        return made, {}, fleet.timers(self.depot, made)


def _refusal(result: Sequence[str]) -> Fault | None:
    if result[0] == "full":
        return _full(int(result[1]))
    return _clash(result[1]) if result[0] in ("duplicate", "key_reused") else None


def _full(most: int) -> Fault:
    return Fault("depot_full", "", f"{most} orders are open at this depot; it takes no more.", "Raise `max_open_orders`.")


def _clash(order_id: str) -> Fault:
    return Fault("duplicate", "/external_id", f"Order {order_id} has it, with other values.", "PUT that one, or take another.")
