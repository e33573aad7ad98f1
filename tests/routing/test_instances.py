"""Public benchmark files as problems."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from routing import __main__ as command
from routing.errors import BadProblem
from routing.solve import instances, repair
from routing.solve.checker import check
from routing.solve.evaluation import total
from routing.solve.plan import publishable

SOLOMON = """T1

VEHICLE
NUMBER     CAPACITY
  2         10

CUSTOMER
CUST NO.  XCOORD.   YCOORD.    DEMAND   READY TIME  DUE DATE   SERVICE   TIME

    0      0          0          0          0        100          0
    1      1          1          4         10         50          5
    2      3          4          7          0         80.5        5
"""
VRPLIB = """NAME : V1
TYPE : VRPTW
DIMENSION : 3
VEHICLES : 2
EDGE_WEIGHT_TYPE : EXPLICIT
EDGE_WEIGHT_FORMAT : FULL_MATRIX
CAPACITY : 10
EDGE_WEIGHT_SECTION
0\t5\t6
7\t0\t8
9\t10\t0
DEMAND_SECTION
1 0
2 4
3 7
DEPOT_SECTION
1
-1
SERVICE_TIME_SECTION
1 0
2 3
3 4
TIME_WINDOW_SECTION
1 0 100
2 10 50
3 0 80
EOF
"""


def test_a_solomon_file_is_in_tenths_and_truncated(tmp_path: Path) -> None:
    """Distances, windows and service; each vehicle at the depot."""
    (tmp_path / "t1.txt").write_text(SOLOMON)
    problem = instances.read(tmp_path / "t1.txt")
    assert problem.matrix.seconds.tolist() == [[0, 14, 50], [14, 0, 36], [50, 36, 0]]
    assert [(task.windows[0].start, task.windows[0].end, task.service_time, task.demand) for task in problem.tasks] == [
        (100, 500, 50, (4,)), (0, 805, 50, (7,))]  # fmt: skip
    crews = [(crew.place, crew.end_place, crew.ready, crew.shift_end, crew.capacity) for crew in problem.crews]
    assert crews == [(0, 0, 0, 1000, (10,))] * 2


def test_a_vrplib_file_keeps_its_seconds(tmp_path: Path) -> None:
    """An explicit matrix that is not symmetric."""
    (tmp_path / "v1.vrp").write_text(VRPLIB)
    problem = instances.read(tmp_path / "v1.vrp")
    assert problem.matrix.seconds.tolist() == [[0, 5, 6], [7, 0, 8], [9, 10, 0]]
    assert [(task.windows[0].start, task.windows[0].end, task.service_time, task.demand) for task in problem.tasks] == [
        (10, 50, 3, (4,)), (0, 80, 4, (7,))]  # fmt: skip
    solution = repair.repair(problem)
    assert total(problem, solution) == 5 + 7 + 6 + 9, "7 + 4 are too much for one vehicle"


@pytest.mark.parametrize(
    "text",
    ["", "hello", "1 2 3", SOLOMON.replace("  2         10", ""), VRPLIB.replace("FULL_MATRIX", "LOWER_ROW"),
     SOLOMON.replace("  1      1 ", "  1    nan "), SOLOMON.replace("  2      3", "  5      3"), SOLOMON.replace(" 4  ", " -4 "),
     SOLOMON.replace(" 50 ", " 5  "), VRPLIB.replace("9\t10\t0", "9\t-10\t0"), VRPLIB.replace("9\t10\t0", "9\t9999999999\t0"),
     VRPLIB.replace("9\t10\t0", "9\t10"), VRPLIB.replace("3 7\n", ""), VRPLIB.replace("CAPACITY : 10", ""),
     SOLOMON.replace("  2         10", " -1         10"), SOLOMON.replace("  2         10", "1000000000   10"),
     SOLOMON.replace(" 4  ", " 1.9"), SOLOMON.replace(" 4  ", " 1e300 ")],
)  # fmt: skip
def test_what_is_no_instance_is_refused(tmp_path: Path, text: str) -> None:
    """Empty, foreign, of another layout, or incomplete."""
    (tmp_path / "x.txt").write_text(text)
    with pytest.raises(BadProblem):
        instances.read(tmp_path / "x.txt")


def test_numbers_are_read_however_they_are_written(tmp_path: Path) -> None:
    """With an exponent, or a sign."""
    (tmp_path / "x.txt").write_text(SOLOMON.replace("  1      1 ", "  1    1e0 ").replace("  2      3", "  2     +3"))
    (tmp_path / "t.txt").write_text(SOLOMON)
    read = [instances.read(tmp_path / name) for name in ("x.txt", "t.txt")]
    assert read[0].matrix.seconds.tolist() == read[1].matrix.seconds.tolist()


def test_the_command_solves_an_instance(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`python -m routing solve t1.txt`, whatever the case of its ending; a seed no engine takes is refused."""
    (tmp_path / "T2.TXT").write_text(SOLOMON)
    assert command.main(["solve", str(tmp_path / "T2.TXT"), "--engine", "repair"]) == 0
    for seed in ("-1", "4294967296"):
        with pytest.raises(SystemExit):
            command.main(["solve", str(tmp_path / "T2.TXT"), "--seed", seed])
    (tmp_path / "t1.txt").write_text(SOLOMON)
    assert command.main(["solve", str(tmp_path / "t1.txt"), "--engine", "repair"]) == 0
    assert "2 stops in 2 routes, 0 unassigned, cost 128" in capsys.readouterr().err


@pytest.mark.parametrize("file", ["solomon/RC107.txt", "gehring-homberger/R1_2_1.txt"])
def test_real_instances_have_plans_no_better_than_the_best_known(reference: Path, file: str) -> None:
    """The checker's word on a plan, and the scale of its cost."""
    path = reference / "vrptw" / file
    rows = csv.DictReader((reference / "vrptw" / "bks.csv").read_text().splitlines())
    best = next(float(row["bks"]) * float(row["scale"]) for row in rows if row["instance"] == path.stem)
    problem = instances.read(path)
    solution = repair.repair(problem)
    assert check(problem, publishable(problem, solution, progress={}, engine="repair")) == []
    assert solution.unassigned == ()
    assert round(best) <= total(problem, solution) <= 2 * best


def test_all_reference_files_are_read(reference: Path) -> None:
    """Of three families, with as many stops as their names and numbers say."""
    for file in sorted((reference / "vrptw").glob("*/*.txt"))[::9]:
        problem = instances.read(file)
        assert problem.matrix.seconds.shape == (len(problem.tasks) + 1,) * 2
        assert np.diag(problem.matrix.seconds).max() == 0
        assert max(task.demand[0] for task in problem.tasks) <= problem.crews[0].capacity[0]
