"""The kernel of this checkout against that of another: how long so many iterations take on plain instances, in turns.

The other checkout is a folder with this project in it as it was (`git worktree add ../before REVISION`). Both run in processes
of their own, one after the other, on one core and from the same seed; ratios are of the least CPU seconds of each pair.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

from benchmarks.solve import choice, files
from benchmarks.timing import one_core

RUN = """
import json, sys, time
from pathlib import Path
from routing.solve import instances, kernel, repair
from routing.solve.arrays import Arrays
arrays = Arrays(instances.read(Path(sys.argv[1])))
arrays.live.random[0] = 12345
repair.mend(arrays)
state = [arrays.constants, arrays.live]  # what is not among the constants is apart
for name, attribute in (("key", "keys"), ("around", "around")):
    if name not in arrays.constants._fields:
        state.append(getattr(arrays, attribute))
least = []
for _ in range(5):
    begin = time.process_time()
    kernel.search(*state, int(sys.argv[2]), 50.0, 1.0, 12.0, 10.0, 0.5, 0.5, 0.01, 0.05, 0.5, 10)
    least.append(time.process_time() - begin)
print(json.dumps({"seconds": min(least), "cost": int(arrays.live.total[kernel.BEST])}))
"""


def main() -> None:
    """Run each instance in both checkouts in turns; print a line for each, and the median of all ratios."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.against", description=__doc__)
    choice(parser)
    parser.add_argument("--other", type=Path, required=True, help="the folder of the other checkout")
    parser.add_argument("--iterations", type=int, default=4000)
    parser.add_argument("--pairs", type=int, default=5)
    arguments = parser.parse_args()
    one_core()
    ratios = []
    for path in files(arguments):
        pairs = [[_run(folder, path, arguments.iterations) for folder in (Path.cwd(), arguments.other)]
                 for _ in range(arguments.pairs)]  # fmt: skip
        ratio = statistics.median(mine["seconds"] / its["seconds"] for mine, its in pairs)
        same = len({run["cost"] for pair in pairs for run in pair}) == 1
        ms = [round(1000 * statistics.median(pair[side]["seconds"] for pair in pairs), 1) for side in (0, 1)]
        ratios.append(ratio)
        told = {"instance": path.stem, "ms": ms[0], "other_ms": ms[1], "ratio": round(ratio, 3), "same_plan": same}
        print(json.dumps(told), flush=True)
    print(f"median ratio {statistics.median(ratios):.3f} of {len(ratios)} instances")


def _run(folder: Path, path: Path, iterations: int) -> dict[str, float]:
    command = [sys.executable, "-c", RUN, str(path), str(iterations)]
    environment = os.environ | {"PYTHONPATH": str(folder.resolve())}
    done = subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


if __name__ == "__main__":
    main()
