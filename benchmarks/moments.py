"""What must take but a moment: a repair, a quote for every hour of the day, and the end of a search that is told to stop.

Also how long it takes to tell OR-Tools and PyVRP of one leg, all that they do before and after they search included, which is what
`routing.solve.engines` judges by whether they can answer in time.

Each instance gets one order more than the plan in force has, with all its drivers on the road (`benchmarks.resolve`'s case +1);
`aboard` is the repair where all else are deliveries whose goods have left with them.
"""

from __future__ import annotations

import argparse
import json
import statistics
import threading
import time
from dataclasses import replace
from functools import partial

from benchmarks.resolve import REFERENCES, in_force, one_more
from benchmarks.solve import choice, files
from benchmarks.timing import one_core, timed
from routing.model import OrderKind
from routing.solve import ortools_engine, pyvrp_engine
from routing.solve.improve import improve
from routing.solve.problem import Problem
from routing.solve.quote import quote, slots
from routing.solve.repair import repair


def main() -> None:
    """Measure all instances and print medians and the longest of each, in ms."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.moments", description=__doc__)
    choice(parser)
    parser.add_argument("--repeat", type=int, default=20)
    arguments = parser.parse_args()
    one_core()
    kept = json.loads(REFERENCES.read_text())
    results = []
    for path in files(arguments):
        problem = one_more(path, kept)
        results.append({"instance": path.stem, "n": len(problem.tasks), "crews": len(problem.crews),
                        **_figures("repair", [timed(partial(repair, problem)) for _ in range(arguments.repeat)]),
                        **_figures("aboard", [timed(partial(repair, _aboard(problem))) for _ in range(arguments.repeat)]),
                        **_figures("quote", [_quoted(problem) for _ in range(arguments.repeat)]),
                        **_figures("stop", [_stopped(problem, seed) for seed in range(arguments.repeat)]),
                        **_per_leg(problem)})  # fmt: skip
        print(json.dumps(results[-1]), flush=True)
    if arguments.json:
        print(json.dumps({"results": results}))


def _figures(what: str, seconds: list[float]) -> dict[str, float]:
    return {f"{what}_ms": round(1000 * statistics.median(seconds), 2), f"{what}_most_ms": round(1000 * max(seconds), 2)}


def _per_leg(problem: Problem) -> dict[str, float]:
    """Microseconds for each leg that a library is told of."""
    start = repair(problem)
    found = {}
    for name, engine in (("ortools", ortools_engine), ("pyvrp", pyvrp_engine)):
        seconds = min(timed(partial(engine.improve, problem, start, budget=0.01)) for _ in range(2))
        found[f"{name}_leg_us"] = round(1e6 * seconds / engine.legs(problem), 3)
    return found


def _aboard(problem: Problem) -> Problem:
    """The same with the goods of all planned stops on their driver's vehicle, as they are once it has left."""
    tasks = list(problem.tasks)
    for crew in problem.crews:
        for task in crew.base:
            tasks[task] = replace(tasks[task], kind=OrderKind.DELIVERY, goods_on=crew.shift_id)
    return replace(problem, tasks=tuple(tasks))


def _quoted(problem: Problem) -> float:
    """A quote for the order that the plan in force lacks."""
    [task] = in_force(problem).unassigned
    return timed(partial(quote, problem, task, slots(problem)))


def _stopped(problem: Problem, seed: int) -> float:
    """From the word to stop, at some moment of a search, to its end."""
    told = threading.Event()
    moment: list[float] = []

    def tell() -> None:
        time.sleep(0.05 + 0.02 * seed)
        moment.append(time.perf_counter())
        told.set()

    teller = threading.Thread(target=tell)
    teller.start()
    improve(problem, in_force(problem), budget=30.0, stop=told.is_set, seed=seed)
    ended = time.perf_counter()
    teller.join()
    return ended - moment[0]


if __name__ == "__main__":
    main()
