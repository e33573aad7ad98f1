"""Plans in force that the day has overtaken: gaps to 60-second references, and how much of the plan is kept.

Each instance is changed in four ways: one or ten orders more, five fewer, a third of the legs between stops a fifth slower.
Engines start from a plan that was good before (20 seconds of `improve`). In the first table changes cost nothing; in the
second every driver is on the road, and taking a stop from one costs what a stop costs on average, another predecessor a
tenth of that. References (the better of 60 seconds of `improve` and of PyVRP from the same plan, changes free) are kept in a
file and made where they are missing.
"""

from __future__ import annotations

import argparse
import json
import time
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers import PEERS, cost
from benchmarks.solve import best_known, files, options, result, table
from benchmarks.timing import one_core
from routing.model import OrderKind
from routing.solve import instances
from routing.solve.problem import Problem, Solution, of_routes

CASES = ("+1", "+10", "-5", "+20%")

REFERENCES = Path(__file__).with_name("references.json")
"""Base plans and costs found in 60 seconds, by instance and case."""


def main() -> None:
    """Run all cases, print a line for each result and two tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.resolve", description=__doc__)
    options(parser)
    parser.set_defaults(engines=["improve", "pyvrp", "ortools"])
    parser.add_argument("--cases", type=lambda text: text.split(","), default=list(CASES), help=f"of {', '.join(CASES)}")
    parser.add_argument("--references", type=Path, default=REFERENCES)
    parser.add_argument("--seconds", type=float, default=60.0, help="of search for references that are missing")
    arguments = parser.parse_args()
    one_core()
    kept = json.loads(arguments.references.read_text()) if arguments.references.exists() else {}
    best_known(arguments.bks)
    results = []
    for path in files(arguments):
        for case in arguments.cases:
            problem, reference = _case(path, case, kept, arguments)
            for price in ("off", "on"):
                live = problem if price == "off" else _priced(problem)
                results += _run(path.stem, case, price, live, reference, arguments)
    for price, title in (("off", "changes are free"), ("on", "changes have a price")):
        mine = [row for row in results if row["changes"] == price]
        print(f"\n--- {title}")
        table(mine, arguments.engines, arguments.budgets)
        for column in ("kept_arcs_pct", "seconds"):
            table(mine, arguments.engines, arguments.budgets, column)
    if arguments.json:
        print(json.dumps({"results": results}))


def _run(name: str, case: str, price: str, problem: Problem, reference: float,
         arguments: argparse.Namespace) -> list[dict[str, Any]]:  # fmt: skip
    results = []
    start = in_force(problem)
    for budget in arguments.budgets:
        for engine in arguments.engines:
            for seed in range(1, arguments.seeds + 1):
                begin = time.perf_counter()
                solution = PEERS[engine](problem, start, budget, seed)
                seconds = round(time.perf_counter() - begin, 4)
                kept = round(100 * kept_arcs(problem, start, solution), 1)
                results.append(result(name, len(problem.tasks), engine, budget, seed, cost(problem, solution), reference, kept,
                                      case=case, changes=price, seconds=seconds))  # fmt: skip
                print(json.dumps(results[-1]), flush=True)
    return results


def _case(path: Path, case: str, kept: dict[str, Any], arguments: argparse.Namespace) -> tuple[Problem, float]:
    """The changed problem with the plan in force, and the cost to compare with."""
    problem = _collecting(instances.read(path))
    random = np.random.default_rng(zlib.crc32(f"{path.stem}{case}".encode()))
    count = len(problem.tasks)
    some = set(random.choice(count, 10 if case == "+10" else 5 if case == "-5" else 1, replace=False).tolist())
    found = kept.setdefault(f"{path.stem} {case}", {})
    if "plan" not in found:
        before = _without(problem, some) if case.startswith("+") and case != "+20%" else problem
        solution = PEERS["improve"](before, None, arguments.seconds / 3, 1)
        names = [[before.tasks[task].stop_id for task in route] for route in solution.routes]
        found["plan"] = [[int(name.split(".")[1]) for name in route] for route in names if route]
    if case == "-5":
        problem = _without(problem, some)
    if case == "+20%":
        slower = random.random(problem.matrix.seconds.shape) < 1 / 3
        slower[0, :] = slower[:, 0] = False  # nobody becomes unreachable in time
        seconds = np.where(slower, problem.matrix.seconds * 6 // 5, problem.matrix.seconds).astype(np.int32)
        problem = replace(problem, matrix=replace(problem.matrix, seconds=seconds))
    number = {int(task.stop_id.split(".")[1]): index for index, task in enumerate(problem.tasks)}
    bases = [tuple(number[place] for place in route if place in number) for route in found["plan"]]
    bases += [()] * (len(problem.crews) - len(bases))
    problem = replace(problem, crews=tuple(replace(crew, base=base) for crew, base in zip(problem.crews, bases, strict=True)))
    if "cost" not in found:
        tries = [cost(problem, PEERS[name](problem, in_force(problem), arguments.seconds, 1)) for name in ("improve", "pyvrp")]
        found["cost"] = min(each for each in tries if each is not None)
        arguments.references.write_text(json.dumps(kept, separators=(",", ":")) + "\n")
    return problem, found["cost"]


def _collecting(problem: Problem) -> Problem:
    """The same with goods that are collected, which join drivers on the road, too."""
    return replace(problem, tasks=tuple(replace(task, kind=OrderKind.COLLECTION) for task in problem.tasks))


def _without(problem: Problem, some: set[int]) -> Problem:
    return replace(problem, tasks=tuple(task for number, task in enumerate(problem.tasks) if number not in some))


def in_force(problem: Problem) -> Solution:
    """The plan in force as far as its stops still keep their windows."""
    return of_routes(problem, [crew.base for crew in problem.crews])


def one_more(path: Path, kept: dict[str, Any]) -> Problem:
    """The case +1 of an instance whose references are kept, all drivers on the road and changes priced.

    Raises
    ------
    SystemExit
        If its plan in force is not kept.
    """
    if "cost" not in kept.get(f"{path.stem} +1", {}):
        raise SystemExit(f"{path.stem} has no plan in force: run benchmarks.resolve on it first")
    return _priced(_case(path, "+1", kept, argparse.Namespace())[0])


def _priced(problem: Problem) -> Problem:
    """All drivers are on the road, and changes have their price."""
    stops = max(1, sum(len(crew.base) for crew in problem.crews))
    mean = sum(_length(problem, crew.base, crew.place) for crew in problem.crews) // stops
    policy = replace(problem.policy, move_price=mean, reorder_price=max(1, mean // 10))
    return replace(problem, policy=policy, crews=tuple(replace(crew, departed=True) for crew in problem.crews))


def _length(problem: Problem, route: tuple[int, ...], depot: int) -> int:
    path = [depot, *(problem.tasks[task].place for task in route), depot]
    return sum(int(problem.matrix.seconds[a, b]) for a, b in zip(path, path[1:], strict=False))


def kept_arcs(problem: Problem, before: Solution, after: Solution) -> float:
    """The share of the legs between stops of one solution that are in another."""
    def arcs(solution: Solution) -> set[tuple[int, int]]:
        return {(a, b) for route in solution.routes for a, b in zip(route, route[1:], strict=False)}

    old = arcs(before)
    return len(old & arcs(after)) / max(1, len(old))


if __name__ == "__main__":
    main()
