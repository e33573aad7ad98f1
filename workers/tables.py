"""Tables and requests: a file's rows as the bodies that the API takes, and back which cell a fault is in.

A column is named for a field; what is nested in a body has a flat name here (`window_from`). Cells with several values have `;`
between them. Amounts have a column for each of the depot's dimensions.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from ingest.problems import Fault
from routing.errors import LastlegError
from routing.model import Depot

FORMATS = ("csv", "ndjson", "parquet")

SEVERAL = ("windows", "breaks")
"""What a row may have several of."""

MOST_ROWS = 1_000_000
"""So many rows may a file have."""

HEAD = 1 << 16
"""The head of a CSV file is within so many bytes."""


class BadTable(LastlegError):
    """A file that cannot be read as a table at all."""

    code = "bad_table"


@dataclass(frozen=True, slots=True)
class Column:
    """Where a column's cells go in a body, and how they are read there."""

    path: tuple[str, ...]
    read: Callable[[Any], Any]


def _text(cell: Any) -> Any:
    return str(cell) if isinstance(cell, int) and not isinstance(cell, bool) else cell


def _moment(cell: Any) -> Any:
    return cell.isoformat() if hasattr(cell, "isoformat") else cell


def _whole(cell: Any) -> Any:
    """A whole number; what is none stays as it is, for the model to say so."""
    text = cell.strip() if isinstance(cell, str) else cell
    if isinstance(text, str) and text.removeprefix("-").isascii() and text.removeprefix("-").isdigit() and len(text) < 19:
        return int(text)
    return int(text) if isinstance(text, float) and text.is_integer() else text


def _number(cell: Any) -> Any:
    if isinstance(cell, str):
        try:
            return float(cell)
        except ValueError:
            return cell
    return cell


def _truth(cell: Any) -> Any:
    return {"true": True, "false": False, "1": True, "0": False}.get(cell.strip().lower(), cell) if isinstance(cell, str) else cell


def _list(cell: Any) -> Any:
    return [part.strip() for part in cell.split(";") if part.strip()] if isinstance(cell, str) else cell


ORDERS: dict[str, Column] = {
    "external_id": Column(("external_id",), _text), "kind": Column(("kind",), _text),
    "lat": Column(("location", "lat"), _number), "lon": Column(("location", "lon"), _number), "kerb": Column(("kerb",), _text),
    "window_from": Column(("windows", "from"), _moment), "window_to": Column(("windows", "to"), _moment),
    "lateness": Column(("lateness",), _text), "service_time": Column(("service_time",), _whole),
    "setup_time": Column(("setup_time",), _whole), "skills": Column(("skills",), _list), "priority": Column(("priority",), _whole),
    "promised_by": Column(("promised_by",), _moment), "dispatch": Column(("dispatch",), _text),
    "pickup_lat": Column(("pickup", "location", "lat"), _number), "pickup_lon": Column(("pickup", "location", "lon"), _number),
    "pickup_kerb": Column(("pickup", "kerb"), _text), "pickup_service_time": Column(("pickup", "service_time"), _whole),
    "pickup_window_from": Column(("pickup", "windows", "from"), _moment),
    "pickup_window_to": Column(("pickup", "windows", "to"), _moment),
    "recipient_name": Column(("recipient", "name"), _text), "recipient_phone": Column(("recipient", "phone"), _text),
    "recipient_note": Column(("recipient", "note"), _text),
}  # fmt: skip

DRIVERS: dict[str, Column] = {
    "id": Column(("id",), _text), "name": Column(("name",), _text), "phone": Column(("phone",), _text),
    "skills": Column(("skills",), _list),
}  # fmt: skip

VEHICLES: dict[str, Column] = {
    "id": Column(("id",), _text), "skills": Column(("skills",), _list), "cost_fixed": Column(("costs", "fixed"), _whole),
    "cost_per_km": Column(("costs", "per_km"), _whole), "cost_per_hour": Column(("costs", "per_hour"), _whole),
}  # fmt: skip

SHIFTS: dict[str, Column] = {
    "id": Column(("id",), _text), "driver_id": Column(("driver_id",), _text), "vehicle_id": Column(("vehicle_id",), _text),
    "start": Column(("start",), _moment), "end": Column(("end",), _moment), "overtime": Column(("overtime",), _whole),
    "open_end": Column(("open_end",), _truth),
    **{f"max_{name}": Column(("limits", name), _whole) for name in ("stops", "distance", "duration", "driving", "stretch")},
    "rest": Column(("limits", "rest"), _whole), "preset": Column(("limits", "preset"), _text),
    "break_from": Column(("breaks", "from"), _moment), "break_to": Column(("breaks", "to"), _moment),
    "break_duration": Column(("breaks", "duration"), _whole),
    "reloads": Column(("reloads",), _whole), "reload_time": Column(("reload_time",), _whole),
    "start_lat": Column(("start_location", "lat"), _number), "start_lon": Column(("start_location", "lon"), _number),
    "end_lat": Column(("end_location", "lat"), _number), "end_lon": Column(("end_location", "lon"), _number),
}  # fmt: skip

COLUMNS = {"orders": ORDERS, "drivers": DRIVERS, "vehicles": VEHICLES, "shifts": SHIFTS}
"""Of each kind of table; dimensions come to those of orders and vehicles."""

AMOUNTS = {"orders": "demand", "vehicles": "capacity"}


def columns_of(kind: str, depot: Depot) -> dict[str, Column]:
    """The columns a table may have at a depot."""
    amounts = {name: Column((AMOUNTS[kind], name), _whole) for name in depot.dimensions} if kind in AMOUNTS else {}
    return COLUMNS[kind] | amounts | {"depot_id": Column(("depot_id",), _text)}


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of a file: cells by the file's own column names, and the line of the file that each row begins at.

    `broken` are rows, by number, that have no cells of theirs, and why.
    """

    columns: dict[str, list[Any]]
    lines: Sequence[int]
    broken: Mapping[int, Fault] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.lines)


def read(raw: bytes, form: str) -> Table:
    """Read a file.

    Raises
    ------
    BadTable
        If it is no table: with the first thing that is wrong, but not what stands there, which may be anybody's name.
    """
    if form == "csv":
        return _csv(raw)
    return _lines(raw) if form == "ndjson" else _parquet(raw)


def _parquet(raw: bytes) -> Table:
    try:
        rows = int(pl.scan_parquet(io.BytesIO(raw)).select(pl.len()).collect().item())
        _room(rows)
        frame = pl.read_parquet(io.BytesIO(raw))
    except (pl.exceptions.PolarsError, ValueError, OSError) as error:
        raise BadTable(f"This is no parquet that can be read ({type(error).__name__}).",
                       remedy="Write it anew, uncompressed or as zstd.") from None  # fmt: skip
    return Table({name: frame[name].to_list() for name in frame.columns}, range(1, len(frame) + 1))


def _room(rows: int) -> None:
    if rows > MOST_ROWS:
        raise BadTable(f"It has {rows:,} rows.", remedy=f"Import {MOST_ROWS:,} at a time.")


def _csv(raw: bytes) -> Table:
    """With `,` or `;` between cells, as the head has. What polars cannot read is read cell by cell, to tell where it is wrong."""
    head, length = _head(raw)
    separator = ";" if len(head) == 1 and ";" in head[0] else ","
    try:
        frame = pl.read_csv(io.BytesIO(raw), infer_schema=False, truncate_ragged_lines=False, separator=separator)
    except (pl.exceptions.PolarsError, ValueError, OSError):
        return _slowly(raw, separator)
    _room(len(frame))
    lines = _begins(frame, length)
    rows = [number for number, cells in enumerate(frame.iter_rows()) if any(cells)]  # but for blank lines
    columns = {name: frame[name].to_list() for name in frame.columns}
    return Table({name: [cells[row] for row in rows] for name, cells in columns.items()}, [lines[row] for row in rows])


def _head(raw: bytes) -> tuple[list[str], int]:
    """The names of a CSV file's columns, and how many lines they take."""
    reader = csv.reader(io.StringIO(raw[:HEAD].decode("utf-8-sig", "replace"), newline=""))
    try:
        return next(reader, []), max(1, reader.line_num)
    except csv.Error:
        return [], 1


def _utf8(raw: bytes) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise BadTable(f"Line {line} is not in UTF-8.", remedy="Save the file in UTF-8.") from None


def _slowly(raw: bytes, separator: str) -> Table:
    """A CSV file in which something is wrong: in one of its rows, or else all of it."""
    reader = csv.reader(io.StringIO(_utf8(raw), newline=""), delimiter=separator, strict=True)
    names: list[str] = []
    rows: list[list[str]] = []
    lines: list[int] = []
    broken: dict[int, Fault] = {}
    begins = 1
    try:
        for cells in reader:
            if not names:
                names = cells
            elif any(cells):
                _room(len(rows))
                if len(cells) > len(names):
                    broken[len(rows)] = Fault("bad_row", "", f"It has {len(cells)} cells, and the head {len(names)}.",
                                              "Put cells that have a comma in them into quotes.")  # fmt: skip
                    cells = []
                rows.append(cells + [""] * (len(names) - len(cells)))
                lines.append(begins)
            begins = reader.line_num + 1
    except csv.Error:
        raise BadTable(f"Line {begins} is no csv: a quote is not closed, or stands in a cell.",
                       remedy="Double the quotes inside of quotes.") from None  # fmt: skip
    if len(set(names)) < len(names):
        raise BadTable("Two columns have one name.", remedy="Rename one, or leave it out.")
    return Table({name: [row[column] for row in rows] for column, name in enumerate(names)}, lines, broken)


def _begins(frame: pl.DataFrame, head: int) -> list[int]:
    """The line that each row begins at, as an editor counts them: cells may go over several, and so may the head."""
    breaks = pl.sum_horizontal(pl.col(name).str.count_matches("\n").fill_null(0) for name in frame.columns)
    before = frame.select(breaks.cum_sum().shift(1, fill_value=0)).to_series().to_list() if len(frame) else []
    return [1 + head + row + lost for row, lost in enumerate(before)]


def _lines(raw: bytes) -> Table:
    """JSON objects, one a line. Each may have other fields; what is nested is a body as the API takes it."""
    rows, lines = [], []
    _room(raw.count(b"\n"))
    for number, line in enumerate(_utf8(raw).split("\n"), 1):
        if line.strip():
            try:
                row = json.loads(line)
            except RecursionError:
                raise BadTable(f"Line {number} is nested too deeply.", remedy="A few levels are enough.") from None
            except ValueError as error:
                raise BadTable(f"Line {number} is not JSON: {error}.", remedy="One object a line.") from None
            if not isinstance(row, dict):
                raise BadTable(f"Line {number} is no JSON object.", remedy="One object a line.")
            rows.append(row)
            lines.append(number)
    names = dict.fromkeys(name for row in rows for name in row)
    return Table({name: [row.get(name) for row in rows] for name in names}, lines)


@dataclass(frozen=True, slots=True)
class Layout:
    """How a file's columns are taken: for each, by its own name, where its cells go. `whole` are fields as they stand in bodies."""

    taken: dict[str, Column]
    whole: tuple[str, ...]
    kind: str

    def bodies(self, table: Table, depot_id: str) -> Iterator[dict[str, Any]]:
        """The rows as bodies. Empty cells are left out."""
        plan = [(column.path, column.read, table.columns[name]) for name, column in self.taken.items()]
        plan += [((name,), _as_is, table.columns[name]) for name in self.whole]
        for row in range(len(table)):
            body: dict[str, Any] = {"depot_id": depot_id}
            for path, take, cells in plan:
                cell = cells[row]
                if cell is None or cell == "":
                    continue
                if len(path) == 1:
                    body[path[0]] = take(cell)
                elif path[-2] in SEVERAL:
                    _members(body, path, take, cell)
                else:
                    inner = body
                    for part in path[:-1]:
                        inner = inner.setdefault(part, {})
                    inner[path[-1]] = take(cell)
            yield body

    def cell(self, fault: Fault) -> str:
        """The file's column that a fault is in; "" if it is in no single one."""
        parts = fault.pointer.split("/")[1:]
        parts = [part for part in parts if not part.isdigit()]
        for name, column in self.taken.items():
            if parts and list(column.path)[: len(parts)] == parts:
                return name
        return parts[0] if parts and parts[0] in self.whole else ""


def _as_is(cell: Any) -> Any:
    """As it stands, but for what a table has to have in each row though there is nothing."""
    if isinstance(cell, dict):
        return {name: _as_is(inner) for name, inner in cell.items() if inner is not None}
    return [_as_is(inner) for inner in cell] if isinstance(cell, list) else _moment(cell)


def _members(body: dict[str, Any], path: Sequence[str], take: Callable[[Any], Any], cell: Any) -> None:
    """One field of each window or break; all fields of a row have as many cells between `;`."""
    inner = body
    for part in path[:-2]:
        inner = inner.setdefault(part, {})
    members = inner.setdefault(path[-2], [])
    for number, part in enumerate(_list(cell) if isinstance(cell, str) else [cell]):
        if number == len(members):
            members.append({})
        members[number][path[-1]] = take(part)


def layout(table: Table, kind: str, depot: Depot, mapping: Mapping[str, str], fields: Sequence[str]) -> Layout:
    """How a table's columns are taken: by `mapping` (a file's name → ours, or "" to leave it out), else by their own names.

    `fields` are those of the body itself, which may stand in a file as they are (of JSON and Parquet).

    Raises
    ------
    BadTable
        If a column is none of ours, or two are the same, or the mapping names what is not there.
    """
    known, taken, whole = columns_of(kind, depot), {}, []
    absent = [name for name in mapping if name not in table.columns]
    if absent:
        raise BadTable(f"The mapping names columns that the file does not have: {', '.join(absent)}.", remedy=_has(table.columns))
    seen: dict[str, str] = {}
    for name in table.columns:
        ours = mapping.get(name, name)
        if ours == "":
            continue
        if ours in seen:
            raise BadTable(f"Columns {seen[ours]!r} and {name!r} are both {ours!r}.", remedy="Map one of them to nothing.")
        seen[ours] = name
        if ours in known:
            taken[name] = known[ours]
        elif ours in fields and name not in mapping:
            whole.append(name)
        else:
            raise BadTable(f"There is no column {ours!r} of {kind}.",
                           remedy=f"Name it as one of {', '.join(known)}, or map it to nothing.")  # fmt: skip
    return Layout(taken, tuple(whole), kind)


def _has(names: Mapping[str, Any]) -> str:
    return f"It has: {', '.join(names)}."
