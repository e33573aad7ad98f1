"""Public benchmark files as problems: Solomon and Gehring-Homberger text files, and VRPLIB files with time windows.

Distances of the former are Euclidean x 10, truncated, and so are their times (the convention of the DIMACS challenge of
2022); VRPLIB files with explicit weights keep their integer seconds. What counts is travel time alone: metres are zero.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from routing.errors import BadProblem
from routing.model import OrderKind, Policy, TimeWindow
from routing.roads.travel import Matrix
from routing.solve import wellformed
from routing.solve.problem import Crew, Problem, Task

SUFFIXES = frozenset({".txt", ".vrp"})
"""Of the files this reads; a problem of our own is `.json`."""

MOST_VEHICLES = 10_000
"""More than any instance has, and than would fit into memory."""

SCALE = 10
"""Units of time and distance in one unit of a Solomon file."""


def read(path: Path) -> Problem:
    """Read an instance file of either kind.

    Raises
    ------
    BadProblem
        If the file is none, or its numbers do not fit together.
    """
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise BadProblem(f"{path} cannot be read: {error}.") from None
    try:
        found = _vrplib(path.stem, text) if "DIMENSION" in text else _solomon(path.stem, text)
    except KeyError as error:
        raise BadProblem(f"{path} has no {error.args[0]}.") from None
    except (ValueError, IndexError, OverflowError, StopIteration) as error:
        raise BadProblem(f"{path} is no Solomon or VRPLIB instance: {error}.") from None
    wrong = next(wellformed.faults(found), None)
    if wrong is not None:
        raise BadProblem(f"{path}: {wrong}.")
    return found


def _solomon(name: str, text: str) -> Problem:
    rows = [line.split() for line in text.splitlines() if line.strip()]
    numbers = [[float(cell) for cell in row] for row in rows[1:] if not row[0][:1].isalpha()]  # but for the name and titles
    vehicles, capacity = (int(cell) for cell in numbers[0])
    table = np.array([row[:7] for row in numbers[1:]])
    if table[:, 0].tolist() != list(range(len(table))) or not np.isfinite(table).all():
        raise ValueError("its customers are not numbered from 0 on, the depot first")
    xy = table[:, 1:3]
    if (table[:, 3] % 1).any() or table[:, 3].max() > wellformed.LARGEST:
        raise ValueError("its demands are no whole numbers, or too large")
    demand = table[:, 3].astype(int)
    times = (table[:, 4:7] * SCALE).astype(int)
    matrix = np.floor(np.hypot(*(xy[:, None] - xy[None]).transpose(2, 0, 1)) * SCALE + 1e-9).astype(np.int32)
    return _problem(name, matrix, demand, times, vehicles, capacity)


def _vrplib(name: str, text: str) -> Problem:
    values: dict[str, str] = {}
    sections: dict[str, list[list[int]]] = {}
    current: list[list[int]] = []
    for line in text.splitlines():
        if line.rstrip().endswith("_SECTION"):
            current = sections.setdefault(line.strip(), [])
        elif ":" in line:
            key, _, value = line.partition(":")
            values[key.strip()] = value.strip()
        elif line.strip() not in {"", "EOF"}:
            current.append([int(cell) for cell in line.split()])
    size = int(values["DIMENSION"])
    if values.get("EDGE_WEIGHT_FORMAT") != "FULL_MATRIX":
        raise ValueError("only explicit full matrices are read")
    matrix = np.array([cell for row in sections["EDGE_WEIGHT_SECTION"] for cell in row], np.int32).reshape(size, size)
    demand = _column(sections["DEMAND_SECTION"], size)[:, 0]
    windows = _column(sections["TIME_WINDOW_SECTION"], size)
    service = _column(sections["SERVICE_TIME_SECTION"], size)
    vehicles = int(values["VEHICLES"]) if "VEHICLES" in values else size - 1
    if sections.get("DEPOT_SECTION", [[1]])[0] != [1]:
        raise ValueError("only the first place can be the depot")
    return _problem(name, matrix, demand, np.column_stack([windows, service]), vehicles, int(values["CAPACITY"]))


def _column(rows: list[list[int]], size: int) -> NDArray[Any]:
    """Rows of (node, values ...) in the order of their nodes."""
    found = np.array(sorted(rows))
    if found[:, 0].tolist() != list(range(1, size + 1)):
        raise ValueError("a section does not name each node once")
    return found[:, 1:]


def _problem(name: str, matrix: NDArray[np.int32], demand: NDArray[Any], times: NDArray[Any], vehicles: int,
             capacity: int) -> Problem:  # fmt: skip
    """Place 0 is the depot; `times` are opening, closing and service of each place."""
    if not 0 <= vehicles <= MOST_VEHICLES:
        raise ValueError(f"it has {vehicles} vehicles, not 0 to {MOST_VEHICLES}")
    tasks = tuple(
        Task(stop_id=f"{name}.{place}.delivery", order_id=f"{name}.{place}", kind=OrderKind.DELIVERY, place=place,
             windows=(TimeWindow(int(times[place, 0]), int(times[place, 1])),), hard=True, service_time=int(times[place, 2]),
             demand=(int(demand[place]),), skills=frozenset(), priority=0, declined_by=frozenset(), goods_on=None, revision=0,
             was_unassigned=True)
        for place in range(1, len(matrix))
    )  # fmt: skip
    crews = tuple(
        Crew(shift_id=f"{name}.v{number}", driver_id=f"{name}.d{number}", vehicle_id=f"{name}.v{number}", place=0,
             ready=int(times[0, 0]), end_place=0, shift_end=int(times[0, 1]), capacity=(capacity,), load=(0,), skills=frozenset(),
             departed=False, absent=False, serving=False, done=(), frozen=(), base=(), revisions={})
        for number in range(vehicles)
    )  # fmt: skip
    return Problem(depot_id=name, now=0, revision=0, version=0, roads=0, dimensions=("load",), policy=Policy(min_gain=0),
                   tasks=tasks, crews=crews, matrix=Matrix(matrix, np.zeros_like(matrix)))  # fmt: skip
