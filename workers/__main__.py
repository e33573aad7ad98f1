"""`python -m workers run|dispatch|archive|learn|etas|report|import|export|key|env|…`: what operators need."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis
from rich.console import Console

from ingest import logs
from ingest.auth import Principal, Role, make_key
from ingest.settings import Settings
from ingest.store import backup, embedded, keys, migrations, readers
from ingest.store.connection import Store, check_schema, connect
from routing.errors import LastlegError
from routing.model import Depot
from workers import archive, dispatcher, feed, imports, supervisor


def main(argv: list[str] | None = None) -> int:
    """Run one command; errors are one line on stderr and exit status 1."""
    arguments = _parser().parse_args(argv)
    try:
        logs.setup(Settings.read().log)
        arguments.run(arguments)
    except LastlegError as error:
        print(f"{error.code}: {error}", file=sys.stderr)
        return 1
    except redis.RedisError as error:
        print(f"redis: {error}", file=sys.stderr)
        return 1
    except OSError as error:  # a file that is not there, or may not be read or written
        print(f"file: {error.strerror}: {error.filename}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m workers", description=__doc__)
    commands = parser.add_subparsers(required=True)
    for name, run, text in (
        ("run", _run, "start everything on this machine, until Ctrl-C"),
        ("dispatch", _dispatch, "run a dispatcher"),
        ("archive", _archive, "run the archiver"),
        ("env", _env, "print what RQ's command line must be told, for eval"),
    ):
        commands.add_parser(name, help=text).set_defaults(run=run)
    command = commands.add_parser("key", help="make an operator key")
    command.add_argument("--tenant", default=supervisor.TENANT)
    command.set_defaults(run=_key)
    command = commands.add_parser("replay", help="plan again, without Redis, what a worker has failed on")
    command.add_argument("file", type=Path, help="of <state>/aside")
    command.set_defaults(run=_replay)
    command = commands.add_parser("learn", help="learn speeds and service times from the archive")
    command.add_argument("--days", type=_days, default=28, help="that far back")
    command.set_defaults(run=_learn)
    command = commands.add_parser("etas", help="how well ETAs have held, from the archive")
    command.add_argument("--days", type=_days, default=7, help="that far back")
    command.add_argument("--json", action="store_true")
    command.set_defaults(run=_etas)
    command = commands.add_parser("import", help="read a file of orders, drivers, vehicles or shifts into a depot")
    command.add_argument("file", type=Path)
    command.add_argument("--depot", required=True)
    command.add_argument("--what", choices=("orders", "drivers", "vehicles", "shifts"), default="orders")
    command.add_argument("--format", choices=tuple(sorted(set(FORMS.values()))), help="by the file's name unless said")
    command.add_argument("--mode", choices=("all", "best"), default="all", help="all rows or none, or as many as are good")
    command.add_argument("--columns", type=json.loads, default={}, help='{"name in the file": "ours"}')
    command.add_argument("--dry-run", action="store_true", help="only judge the rows")
    command.set_defaults(run=_import)
    command = commands.add_parser("export", help="write routes, stops, pings or key figures of a depot to a file")
    command.add_argument("what", choices=("routes", "stops", "pings", "kpis"))
    command.add_argument("--depot", required=True)
    command.add_argument("--out", type=Path, required=True, help="its suffix is the format: .csv, .parquet, .geojson …")
    command.add_argument("--days", type=_days, default=1, help="that far back, of pings and key figures")
    command.add_argument("--driver", help="only this one's")
    command.set_defaults(run=_export)
    command = commands.add_parser("report", help="key figures by depot and day, from the archive")
    command.add_argument("--depot", help="one only")
    command.add_argument("--days", type=_days, default=7, help="that far back")
    command.add_argument("--out", type=Path, help="a folder: kpis.parquet and kpis.png are written there")
    command.add_argument("--json", action="store_true")
    command.set_defaults(run=_report)
    command = commands.add_parser("migrate", help="bring data of an older version up to this one")
    command.add_argument("--anyway", action="store_true", help="though others are connected")
    command.set_defaults(run=_migrate)
    command = commands.add_parser("backup", help="write a depot to a file")
    command.add_argument("depot")
    command.add_argument("--out", type=Path, required=True)
    command.set_defaults(run=_backup)
    command = commands.add_parser("restore", help="bring a depot back from a file")
    command.add_argument("file", type=Path)
    command.add_argument("--replace", action="store_true", help="throw away what there is of it")
    command.set_defaults(run=_restore)
    return parser


@contextmanager
def _store() -> Iterator[Store]:
    """The store; an embedded one that does not run is started for as long as it is needed."""
    settings = Settings.read()
    server = embedded.ensure(settings)
    try:
        yield connect(settings)
    finally:
        if server is not None:
            server.terminate()
            server.wait()


def _stop_on_signal() -> threading.Event:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


def _run(arguments: argparse.Namespace) -> None:
    del arguments
    stop = _stop_on_signal()
    settings = Settings.read()
    with supervisor.Stack(settings) as stack:
        print(f"API           {stack.url}")
        print(f"operator key  {settings.state / 'operator.key'}")
        print(f"logs          {settings.state / 'log'}")
        print(f"Ctrl-C stops everything; `kill -HUP {os.getpid()}` starts all processes anew, one after the other.", flush=True)
        anew = threading.Event()
        signal.signal(signal.SIGHUP, lambda *_: anew.set())
        while not stop.wait(0.5):
            stack.watch()
            if anew.is_set():
                anew.clear()
                stack.roll(stop.is_set)
                print("started anew", flush=True)
        print("stopping", flush=True)


def _dispatch(arguments: argparse.Namespace) -> None:
    del arguments
    settings, stop = Settings.read(), _stop_on_signal()
    teller = threading.Thread(target=feed.follow, args=(settings, stop))
    teller.start()
    try:
        dispatcher.run(settings, stop)
    finally:
        stop.set()
        teller.join()


def _archive(arguments: argparse.Namespace) -> None:
    del arguments
    archive.run(Settings.read(), _stop_on_signal())


def _env(arguments: argparse.Namespace) -> None:
    del arguments
    for name, value in supervisor.rq_environment().items():
        print(f"export {name}={value}")


def _replay(arguments: argparse.Namespace) -> None:
    from workers import replan  # kernels and solvers, which no other command needs

    print(replan.replay(Settings.read(), arguments.file))


def _learn(arguments: argparse.Namespace) -> None:
    from workers import learn  # polars and kernels, which few other commands need

    settings = Settings.read()
    with _store() as client:
        check_schema(client)
        found = [readers.depot(client, depot_id) for depot_id in readers.depots(client)]
    for line in learn.run(settings, [depot for depot in found if depot], now=time.time(), days=arguments.days):
        print(line, flush=True)


def _etas(arguments: argparse.Namespace) -> None:
    from workers import learn

    events = learn.archived(Settings.read().archive / "events", time.time() - arguments.days * 86_400, ("depot", "type", "data"))
    table = learn.calibration(events)
    if arguments.json:
        print(table.write_json())
        return
    print(f"{'depot':20} {'minutes ahead':>13} {'arrivals':>9} {'by P50':>7} {'by P80':>7} {'mean error':>11}")
    for depot, minutes, arrivals, even, sure, error in table.iter_rows():
        print(f"{depot:20} {minutes:>13} {arrivals:>9} {even:>7.1%} {sure:>7.1%} {error:>9.0f} s")


def _import(arguments: argparse.Namespace) -> None:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from workers import loading  # polars and the streets

    raw, form = arguments.file.read_bytes(), arguments.format or FORMS.get(arguments.file.suffix.lower(), "csv")
    with _store() as client, Progress(
        TextColumn("{task.description:9}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
        console=Console(stderr=True), transient=True,
    ) as progress:  # fmt: skip
        check_schema(client)
        depot = readers.depot(client, arguments.depot)
        if depot is None:
            raise LastlegError(f"There is no depot {arguments.depot!r}.", remedy=f"There are: {', '.join(readers.depots(client))}.")
        who = Principal("command-line", Role.OPERATOR, depot.tenant)
        made = imports.Import(imports.new_id(depot.id, who.id, None), depot.id, arguments.what, form, who, arguments.mode == "all",
                              arguments.dry_run, arguments.columns, time.time())  # fmt: skip
        bar = progress.add_task("reading")

        def told(now: imports.Import) -> None:
            done = now.checked if now.state == "checking" else now.written
            progress.update(bar, description=now.state, total=now.rows or None, completed=done)

        made = loading.run(client, Settings.read(), made, raw, told)
    for fault in made.faults:
        where = f"line {fault.line}" + (f", {fault.column}" if fault.column else "")
        print(f"{where}: {fault.code}: {fault.detail} {fault.remedy}".rstrip())
    print(f"{made.rows} rows, {made.accepted} accepted, {made.same} there before, {made.refused} refused, {made.seconds:.1f} s")
    if made.state == "failed":
        raise ImportFailed(made.reason)


class ImportFailed(LastlegError):
    """An import of which nothing has come."""

    code = "import_failed"


def _days(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 3660:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of days from 1 on")
    return int(text)


FORMS = {".csv": "csv", ".ndjson": "ndjson", ".jsonl": "ndjson", ".parquet": "parquet"}
"""How files are written, by what their names end with."""


def _depots(client: Store, only: str | None) -> dict[str, Depot]:
    found = {depot_id: depot for depot_id in readers.depots(client)
             if only in (None, depot_id) and (depot := readers.depot(client, depot_id)) is not None}  # fmt: skip
    if only is not None and not found:
        raise LastlegError(f"There is no depot {only!r}.", remedy=f"There are: {', '.join(readers.depots(client))}.")
    return found


def _export(arguments: argparse.Namespace) -> None:
    from workers import exports  # polars and the streets

    with _store() as client:
        check_schema(client)
        depot = _depots(client, arguments.depot)[arguments.depot]
        form = arguments.out.suffix.removeprefix(".").lower()
        raw = exports.export(client, Settings.read(), depot, arguments.what, form, days=arguments.days, driver=arguments.driver,
                             now=time.time())  # fmt: skip
    arguments.out.write_bytes(raw)
    print(f"{arguments.out}: {len(raw):,} bytes")


def _report(arguments: argparse.Namespace) -> None:
    from workers import report  # polars

    with _store() as client:
        check_schema(client)
        table = report.of(Settings.read(), _depots(client, arguments.depot), days=arguments.days)
    if arguments.out is not None:
        arguments.out.mkdir(parents=True, exist_ok=True)
        table.write_parquet(arguments.out / "kpis.parquet")
        report.draw(table, arguments.out / "kpis.png")
    if arguments.json:
        print(report.as_json(table))
        return
    for row in report.lines(table):
        print(row)


def _migrate(arguments: argparse.Namespace) -> None:
    with _store() as client:
        if not arguments.anyway:
            migrations.check_alone(client)
        found, depots = migrations.migrate(client)
        print(f"schema {found} -> {keys.SCHEMA}, {depots} depots")


def _backup(arguments: argparse.Namespace) -> None:
    with _store() as client:
        check_schema(client)
        lines = list(backup.dump(client, arguments.depot))
    part = arguments.out.with_name(arguments.out.name + ".part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)  # names and phones are in it
    with os.fdopen(descriptor, "w") as file:
        file.writelines(line + "\n" for line in lines)
    part.replace(arguments.out)
    print(f"{arguments.out}: {len(lines) - 1} keys of depot {arguments.depot}")


def _restore(arguments: argparse.Namespace) -> None:
    with _store() as client, arguments.file.open() as file:
        check_schema(client)
        print(f"depot {backup.load(client, file, replace=arguments.replace)} is back; a plan is asked for")


def _key(arguments: argparse.Namespace) -> None:
    with _store() as client:
        check_schema(client)
        secret, principal = make_key(client, Role.OPERATOR, tenant=arguments.tenant, name=f"cli {time.strftime('%F')}")
    print(f"{secret}  (operator of tenant {principal.tenant}; shown once)")


if __name__ == "__main__":
    sys.exit(main())
