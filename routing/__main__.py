"""`python -m routing solve|check|convert`: replay a problem without Redis or a server, also one in VROOM's JSON."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from routing import codec
from routing.errors import BadProblem, LastlegError
from routing.model import Plan
from routing.solve import instances, vroom, wellformed
from routing.solve.checker import check
from routing.solve.engines import ENGINES, able
from routing.solve.evaluation import parts
from routing.solve.plan import publishable
from routing.solve.problem import Problem, Solution
from routing.solve.stopping import never


def main(argv: list[str] | None = None) -> int:
    """Run one command. Exit status 1: the plan breaks rules; 2: the input cannot be read."""
    parser = argparse.ArgumentParser(prog="python -m routing", description=__doc__)
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("solve", help="print a plan for a problem")
    command.add_argument("problem", type=Path)
    command.add_argument("--engine", choices=sorted(ENGINES), default="improve")
    command.add_argument("--budget", type=_seconds, default=2.0, help="seconds of search (default 2)")
    command.add_argument("--seed", type=_seed, default=1)
    command.add_argument("--warm", type=Path, metavar="PLAN", help="search from this plan instead of the one in force")
    command.add_argument("--out", type=Path, help="write the plan here instead of to standard output")
    command.add_argument("--map", type=Path, help="a .map file, for a problem of VROOM's with coordinates")
    command.add_argument("--format", choices=("plan", "vroom"), help="how the plan is written (default: as the problem was)")
    command.set_defaults(run=_solve)
    command = commands.add_parser("convert", help="write a problem as VROOM's JSON")
    command.add_argument("problem", type=Path)
    command.add_argument("--out", type=Path, help="write it here instead of to standard output")
    command.set_defaults(run=_convert, map=None)
    command = commands.add_parser("check", help="list every rule a plan breaks")
    command.add_argument("problem", type=Path)
    command.add_argument("plan", type=Path)
    command.set_defaults(run=_check, map=None)
    arguments = parser.parse_args(argv)
    try:
        return int(arguments.run(arguments))
    except LastlegError as error:
        print(f"{error.code}: {error}", file=sys.stderr)
        return 2


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds <= 86_400:
        raise argparse.ArgumentTypeError("give seconds between 0 and a day")
    return seconds


def _seed(text: str) -> int:
    seed = int(text)
    if not 0 <= seed < 2**32:
        raise argparse.ArgumentTypeError("give a number from 0 to 4294967295")
    return seed


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text)
    except OSError as error:
        raise BadProblem(f"{path} cannot be written: {error.strerror}.") from None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadProblem(f"{path} cannot be read: {error.strerror}.") from None


def _problem(path: Path, map_: Path | None = None) -> Problem:
    """Read a problem whose numbers fit together, one of VROOM's, or a public benchmark's instance.

    Raises
    ------
    BadProblem
        If the file is none, or its parts do not fit together.
    """
    if path.suffix.lower() in instances.SUFFIXES:
        return instances.read(path)
    raw = _read(path)
    if _of_vroom(raw):
        return vroom.read(raw, path.stem, _matrix_of(map_) if map_ else None)
    problem = codec.loads(raw, Problem)
    wrong = list(wellformed.faults(problem))
    if wrong:
        more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        raise BadProblem(f"{path}: {wrong[0]}{more}.")
    return problem


def _of_vroom(raw: bytes) -> bool:
    try:
        return vroom.is_vroom(json.loads(raw))
    except (ValueError, RecursionError):
        return False


def _matrix_of(path: Path) -> vroom.MatrixOf:
    """Travel times on a map as it is without traffic and closures."""
    from routing.roads.metric import customize
    from routing.roads.network import Network
    from routing.roads.snapping import Snapper
    from routing.roads.travel import Roads

    network = Network.open(path)
    roads, snapper = Roads(network, customize(network)), Snapper(network)
    return lambda places: roads.matrix([snapper.snap(place.location) for place in places])


def _convert(arguments: argparse.Namespace) -> int:
    text = json.dumps(vroom.write(_problem(arguments.problem)))
    if arguments.out:
        _write(arguments.out, text)
    else:
        print(text)
    return 0


def _solve(arguments: argparse.Namespace) -> int:
    problem = _problem(arguments.problem, arguments.map)
    initial = _solution(problem, codec.loads(_read(arguments.warm), Plan)) if arguments.warm else None
    engine = able(arguments.engine, problem, arguments.budget)
    if engine != arguments.engine:
        print(f"{arguments.engine} cannot express this problem, or not in time: {engine} instead", file=sys.stderr)
    solution = ENGINES[engine](problem, initial, budget=arguments.budget, stop=never, seed=arguments.seed)
    plan = publishable(problem, solution, progress={}, engine=engine)
    form = arguments.format or ("vroom" if _of_vroom(_read(arguments.problem)) else "plan")
    text = json.dumps(vroom.solution(problem, solution)) if form == "vroom" else codec.dumps(plan).decode()
    if arguments.out:
        _write(arguments.out, text)
    else:
        print(text)
    stops = sum(len(route.stops) for route in plan.routes)
    print(f"{stops} stops in {len(plan.routes)} routes, {len(plan.unassigned)} unassigned, cost {plan.cost}", file=sys.stderr)
    print(", ".join(f"{name} {cost}" for name, cost in parts(problem, solution).items() if cost), file=sys.stderr)
    return _report(problem, plan)


def _solution(problem: Problem, plan: Plan) -> Solution:
    """A plan's routes, as far as the problem has their stops; the frozen ones come first whatever the plan says."""
    number = {task.stop_id: index for index, task in enumerate(problem.tasks)}
    fixed = {task for crew in problem.crews for task in crew.frozen}
    wanted = {route.shift_id: [number[stop.stop_id] for stop in route.stops if stop.stop_id in number] for route in plan.routes}
    seen: set[int] = set(fixed)
    routes = []
    for crew in problem.crews:
        free = [task for task in dict.fromkeys(wanted.get(crew.shift_id, [])) if task not in seen]
        seen |= set(free)
        routes.append((*crew.frozen, *free))
    return Solution(tuple(routes), tuple(task for task in range(len(problem.tasks)) if task not in seen))


def _check(arguments: argparse.Namespace) -> int:
    return _report(_problem(arguments.problem), codec.loads(_read(arguments.plan), Plan))


def _report(problem: Problem, plan: Plan) -> int:
    violations = check(problem, plan)
    for violation in violations:
        print(f"{violation.code} {violation.subject}: {violation.detail}", file=sys.stderr)
    print("no violations" if not violations else f"{len(violations)} violations", file=sys.stderr)
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
