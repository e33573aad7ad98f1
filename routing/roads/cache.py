"""Matrices that grow by what is new: a table of the places seen, in a file that all jobs of a depot share.

A new stop costs one row and one column; what was known on the same state of the roads is looked up. A process may
be killed at any moment: a number is in the table or it is not (stored plus one, zero is unknown), and a place's
numbers are wiped before its slot is given away. The lock is never waited for: whoever does not get it computes.
"""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numba import types
from numpy.typing import NDArray

from routing.jit import kernel, read, write
from routing.roads.spot import Spot, sides
from routing.roads.travel import Matrix, Roads

log = logging.getLogger(__name__)

MAX_PLACES = 10_240
"""Places in a table. It takes 8 bytes a pair: 0.84 GB at this size, 2 MB for a depot of 200 stops."""

KEEP = 2
"""Tables of a depot that stay: today's roads, and those before the last event for whoever still solves on them."""

@kernel(read(types.int32, 2), read(types.int32, 2), read(types.int64), write(types.int32, 2), write(types.int32, 2),
        returns=write(types.int64))  # fmt: skip
def _gather(stored_seconds, stored_metres, slot, seconds, metres):  # type: ignore[no-untyped-def]  # numba
    """Look up all pairs of slots, row by row; how many of each row are unknown (-1 in either)."""
    missing = np.zeros(len(slot), np.int64)
    for i in range(len(slot)):
        for j in range(len(slot)):
            s, m = stored_seconds[slot[i], slot[j]] - 1, stored_metres[slot[i], slot[j]] - 1
            seconds[i, j], metres[i, j] = s, m
            missing[i] += s < 0 or m < 0
    return missing


@kernel(write(types.int32, 2), write(types.int32, 2), read(types.int64), read(types.int64), read(types.int32, 2),
        read(types.int32, 2))  # fmt: skip
def _scatter(stored_seconds, stored_metres, rows, columns, seconds, metres):  # type: ignore[no-untyped-def]  # numba
    """Store numbers between slots."""
    for i in range(len(rows)):
        for j in range(len(columns)):
            stored_seconds[rows[i], columns[j]], stored_metres[rows[i], columns[j]] = seconds[i, j] + 1, metres[i, j] + 1


_MAGIC = 0x4C4C_4D41_5452_4931
_FRACTION_BITS = 20


class MatrixCache:
    """The matrices of one depot (or any other name without dots) on one state of the roads."""

    def __init__(self, folder: Path, name: str, roads: Roads, *, max_places: int = MAX_PLACES) -> None:
        self._folder, self._name, self._roads, self._max = folder, name, roads, max_places
        self._path = folder / f"{name}.{roads.network.fingerprint}-{roads.metric.digest}.matrix"

    def matrix(self, spots: Sequence[Spot]) -> Matrix:
        """As `Roads.matrix`, but for spots that are the same: nothing lies between those."""
        sides(self._roads.network, spots)  # refuses what is not on the map
        distinct, first, where = np.unique(_keys(spots), return_index=True, return_inverse=True)
        order = np.argsort(first)  # as they come: mostly all differ, and then nothing is left to rearrange
        distinct, where = distinct[order], np.argsort(order)[where]
        places = [spots[number] for number in first[order]]
        if len(places) > self._max:
            found = self._roads.matrix(places)
        else:
            with self._table(len(places)) as table:
                found = self._roads.matrix(places) if table is None else self._look_up(table, distinct, places)
        if len(places) == len(spots) and (where == np.arange(len(spots))).all():
            return found
        rows = np.ix_(where, where)
        return Matrix(found.seconds[rows], found.metres[rows], found.roads)

    def _look_up(self, table: _Table, keys: NDArray[np.int64], places: list[Spot]) -> Matrix:
        slot, all_new = table.slots(keys)
        if all_new:
            found = self._roads.matrix(places)
            _scatter(table.seconds, table.metres, slot, slot, found.seconds, found.metres)
            return found
        seconds, metres = (np.empty((len(slot), len(slot)), np.int32) for _ in range(2))
        missing = _gather(table.seconds, table.metres, slot, seconds, metres)
        if missing.any():
            wanted = missing == len(places)  # new places
            of_new = (np.minimum(seconds[:, wanted], metres[:, wanted]) < 0).sum(axis=1)
            if (missing != of_new)[~wanted].any():  # others, whose numbers were lost one by one
                unknown = np.minimum(seconds, metres) < 0
                wanted |= (unknown & ~wanted[:, None] & ~wanted[None, :]).any(axis=1)
            rows = np.flatnonzero(wanted)
            new = [places[row] for row in rows]
            onwards, back = self._roads.table(new, places), self._roads.table(places, new)
            for table_ in (onwards.seconds, onwards.metres):
                table_[np.arange(len(rows)), rows] = 0
            for table_ in (back.seconds, back.metres):
                table_[rows, np.arange(len(rows))] = 0
            seconds[rows], metres[rows] = onwards.seconds, onwards.metres
            seconds[:, rows], metres[:, rows] = back.seconds, back.metres
            _scatter(table.seconds, table.metres, slot[rows], slot, onwards.seconds, onwards.metres)
            _scatter(table.seconds, table.metres, slot, slot[rows], back.seconds, back.metres)
        return Matrix(seconds, metres, self._roads.metric.roads)

    @contextmanager
    def _table(self, size: int) -> Iterator[_Table | None]:
        """The table, with room for `size` places at least, or None while another process has it."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / f"{self._name}.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield None
                return
            yield self._open(size)

    def _open(self, size: int) -> _Table | None:
        table = _Table.open(self._path)
        if table is None or table.capacity < size:
            try:
                table = _Table.create(self._path, min(self._max, max(256, 1 << (2 * size - 1).bit_length())), table)
            except OSError as error:
                log.warning("%s cannot be kept: %s", self._path, error)
                return None
            self._prune()
        return table

    def _prune(self) -> None:
        files = sorted(self._folder.glob(f"{self._name}.*.matrix"), key=lambda path: path.stat().st_mtime_ns)
        for path in files[:-KEEP]:
            path.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True, eq=False)
class _Table:
    """C slots: `key` and last `used` (C,), `seconds` and `metres` plus one (C, C); `clock` counts requests."""

    clock: NDArray[np.int64]
    key: NDArray[np.int64]
    used: NDArray[np.int64]
    seconds: NDArray[np.int32]
    metres: NDArray[np.int32]

    @property
    def capacity(self) -> int:
        return len(self.key)

    @classmethod
    def open(cls, path: Path) -> _Table | None:
        """A table that is there and whole."""
        try:
            raw = np.asarray(np.memmap(path, np.uint8, "r+"))
        except (OSError, ValueError):
            return None
        magic, capacity = raw[:16].view(np.int64).tolist() if len(raw) > 16 else (0, 0)
        return cls._over(raw, capacity) if magic == _MAGIC and len(raw) == _bytes(capacity) else None

    @classmethod
    def create(cls, path: Path, capacity: int, old: _Table | None) -> _Table:
        """An empty table, or one with all that a smaller one knew. Its room on the disk is taken now, not when it is used.

        Raises
        ------
        OSError
            If there is no such room.
        """
        temporary = path.with_name(f"{path.name}.{os.getpid()}.part")
        try:
            with temporary.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, _bytes(capacity))
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        raw = np.asarray(np.memmap(temporary, np.uint8, "r+"))
        raw[:16].view(np.int64)[:] = _MAGIC, capacity
        table = cls._over(raw, capacity)
        if old is not None:
            size = old.capacity
            table.clock[:], table.key[:size], table.used[:size] = old.clock, old.key, old.used
            table.seconds[:size, :size], table.metres[:size, :size] = old.seconds, old.metres
        temporary.replace(path)
        return table

    @classmethod
    def _over(cls, raw: NDArray[np.uint8], capacity: int) -> _Table:
        square = capacity * capacity * 4
        base = 64 + 16 * capacity
        key, used = raw[64:base].view(np.int64).reshape(2, capacity)
        seconds, metres = (raw[start : start + square].view(np.int32).reshape(capacity, capacity)
                           for start in (base, base + square))  # fmt: skip
        return cls(raw[16:24].view(np.int64), key, used, seconds, metres)

    def slots(self, keys: NDArray[np.int64]) -> tuple[NDArray[np.int64], bool]:
        """Where places are, given room for them (those longest unused make way), and whether all of them are new."""
        self.clock[0] += 1
        order = np.argsort(self.key)
        at = order[np.minimum(np.searchsorted(self.key, keys, sorter=order), self.capacity - 1)]
        missing = self.key[at] != keys
        self.used[at[~missing]] = self.clock[0]
        if missing.any():
            free = np.argsort(self.used, kind="stable")[: int(missing.sum())]
            taken = self.key[free] != 0
            for store in (self.seconds, self.metres):
                store[free[taken]] = 0
                store[:, free[taken]] = 0
            self.key[free] = keys[missing]
            self.used[free] = self.clock[0]
            at[missing] = free
        return at, bool(missing.all())


def _bytes(capacity: int) -> int:
    return 64 + 16 * capacity + 8 * capacity * capacity


def _keys(spots: Sequence[Spot]) -> NDArray[np.int64]:
    """(P,) names of spots, never 0; spots in mid-street less than a millionth of it apart are the same."""
    arc, one_side = np.array([spot.arc for spot in spots], np.int64), np.array([spot.one_side for spot in spots], np.int64)
    fraction, most = np.array([spot.fraction for spot in spots], np.float64), (1 << _FRACTION_BITS) - 1
    inside = np.clip(np.rint(fraction * most), 1, most - 1)  # the ends are junctions, and places of their own
    step = np.where(fraction == 0, 0, np.where(fraction == 1, most, inside)).astype(np.int64)
    keys: NDArray[np.int64] = ((arc << 1 | one_side) << _FRACTION_BITS | step) + 1
    return keys
