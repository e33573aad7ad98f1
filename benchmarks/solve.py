"""Plans from nothing: gaps to the best known solutions of public instances, engine by engine, at equal CPU seconds.

Costs are added up again from the matrix, and every plan is judged by the checker.
"""

from __future__ import annotations

import argparse
import csv
import json
import statistics
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from fnmatch import fnmatch
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from benchmarks.peers import CORES, PEERS, cost, group
from benchmarks.timing import one_core
from routing.solve import instances
from routing.solve.problem import Problem


def main() -> None:
    """Run the instances, print a line for each result and the means by class."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.solve", description=__doc__)
    options(parser)
    arguments = parser.parse_args()
    best = best_known(arguments.bks)
    if arguments.cores == 1:
        one_core()
    results = []
    for path in files(arguments):
        problem = instances.read(path)
        for budget in arguments.budgets:
            for name in arguments.engines:
                for seed in range(1, arguments.seeds + 1):
                    begin = time.perf_counter()
                    found = best_of(problem, name, budget, seed, arguments.cores)
                    seconds = round(time.perf_counter() - begin, 4)
                    results.append(result(path.stem, len(problem.tasks), name, budget, seed, found, best.get(path.stem),
                                          seconds=seconds))  # fmt: skip
                    print(json.dumps(results[-1]), flush=True)
    table(results, arguments.engines, arguments.budgets)
    table(results, arguments.engines, arguments.budgets, "seconds")
    if arguments.json:
        print(json.dumps({"results": results}))


def best_of(problem: Problem, name: str, budget: float, seed: int, cores: int) -> int | None:
    """What an engine finds on so many cores: one for one core runs on each, from other seeds, and the better counts."""
    runs = max(1, cores // CORES.get(name, 1))
    if runs == 1:
        return cost(problem, PEERS[name](problem, None, budget, seed))
    with ProcessPoolExecutor(runs, mp_context=get_context("fork")) as side_by_side:
        found = side_by_side.map(partial(_one, problem, name, budget), range(runs * seed, runs * seed + runs))
        return min((one for one in found if one is not None), default=None)


def _one(problem: Problem, name: str, budget: float, seed: int) -> int | None:
    return cost(problem, PEERS[name](problem, None, budget, seed))


def options(parser: argparse.ArgumentParser) -> None:
    """What benchmarks of engines take."""
    choice(parser)
    parser.add_argument("--budgets", type=_numbers, default=[0.5, 1.0, 2.0, 5.0], help="CPU seconds, by commas")
    parser.add_argument("--engines", type=_names, default=["improve", "pyvrp", "ortools", "vroom"], help=f"of {', '.join(PEERS)}")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--cores", type=int, default=1, help="for each engine; those for one core run more often")


def choice(parser: argparse.ArgumentParser) -> None:
    """Which instances, and how to tell the results."""
    parser.add_argument("--instances", type=Path, required=True, help="a folder of Solomon and VRPLIB files")
    parser.add_argument("--bks", type=Path, required=True, help="best known solutions: a CSV with instance, bks and scale")
    parser.add_argument("--only", type=lambda text: text.split(","), default=["*"], help="patterns of names, by commas")
    parser.add_argument("--json", action="store_true", help="end with all results as one line of JSON")


def _numbers(text: str) -> list[float]:
    return [float(part) for part in text.split(",")]


def _names(text: str) -> list[str]:
    names = text.split(",")
    unknown = set(names) - set(PEERS)
    if unknown:
        raise argparse.ArgumentTypeError(f"no such engine: {', '.join(sorted(unknown))}")
    return names


def files(arguments: argparse.Namespace) -> list[Path]:
    """The instances asked for that have a best known solution."""
    best = best_known(arguments.bks)
    found = [path for path in sorted(arguments.instances.rglob("*")) if path.suffix in instances.SUFFIXES and path.stem in best]
    return [path for path in found if any(fnmatch(path.stem, pattern) for pattern in arguments.only)]


def best_known(path: Path) -> dict[str, float]:
    """Costs in the units of `instances.read`."""
    with path.open() as lines:
        return {row["instance"]: float(row["bks"]) * int(row["scale"]) for row in csv.DictReader(lines)}


def result(name: str, stops: int, engine: str, budget: float, seed: int, found: int | None, best: float | None,
           kept: float | None = None, **more: Any) -> dict[str, Any]:  # fmt: skip
    """One line of the results."""
    gap = None if found is None or not best else round(100 * (found / best - 1), 3)
    return {"instance": name, "n": stops, "engine": engine, "budget_s": budget, "seed": seed, "cost": found, "gap_pct": gap,
            "kept_arcs_pct": kept, "feasible": found is not None, **more}  # fmt: skip


def table(results: Iterable[dict[str, Any]], engines: list[str], budgets: list[float], column: str = "gap_pct") -> None:
    """Means by class; in brackets how many runs had no plan that serves everybody."""
    rows = list(results)
    for name in dict.fromkeys(group(row["n"]) for row in rows):
        mine = [row for row in rows if group(row["n"]) == name]
        print(f"\n{name} stops, {len({row['instance'] for row in mine})} instances: mean {column}")
        print(f"{'engine':10}" + "".join(f"{budget:>14g} s" for budget in budgets))
        for engine in engines:
            cells = []
            for budget in budgets:
                runs = [row for row in mine if row["engine"] == engine and row["budget_s"] == budget]
                values = [row[column] for row in runs if row[column] is not None]
                failed = f" ({len(runs) - len(values)})" if len(values) < len(runs) else ""
                cells.append((f"{statistics.mean(values):.3f}" if values else "none") + failed)
            print(f"{engine:10}" + "".join(f"{cell:>16}" for cell in cells))


if __name__ == "__main__":
    main()
