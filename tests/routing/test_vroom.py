"""VROOM's JSON, in and out: the same problem, whoever writes it; and what cannot be held to is refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ingest.settings import ROOT
from routing import __main__ as command
from routing.errors import BadProblem
from routing.solve import engines, repair, vroom
from routing.solve.checker import check
from routing.solve.evaluation import total
from routing.solve.plan import publishable
from routing.solve.problem import Problem
from routing.solve.stopping import never
from tests.builders import rich_problem

SMALL: dict[str, Any] = {
    "vehicles": [
        {"id": 7, "start_index": 0, "end_index": 0, "capacity": [4], "skills": [1], "time_window": [1000, 5000]},
        {"id": 9, "start_index": 0, "capacity": [4], "costs": {"fixed": 50}},
    ],
    "jobs": [
        {"id": 1, "location_index": 1, "delivery": [3], "service": 60, "setup": 20},
        {"id": 2, "location_index": 2, "pickup": [2], "skills": [1], "time_windows": [[1500, 1600], [3000, 3100]]},
        {"id": 3, "location_index": 3, "priority": 10},
    ],
    "shipments": [
        {"amount": [2], "pickup": {"id": 4, "location_index": 1}, "delivery": {"id": 5, "location_index": 3, "service": 10}}
    ],
    "matrices": {"car": {"durations": [[0, 100, 200, 300], [100, 0, 100, 200], [200, 100, 0, 100], [300, 200, 100, 0]]}},
}


def changed(**more: Any) -> bytes:
    return json.dumps(json.loads(json.dumps(SMALL)) | more).encode()


def solved(problem: Problem) -> Any:
    found = repair.repair(problem, stop=never)
    assert check(problem, publishable(problem, found, progress={}, engine="repair")) == []
    return found, vroom.solution(problem, found)


def test_a_problem_of_theirs_is_solved_and_answered_as_theirs() -> None:
    """All is served, in time and in order; steps have the input's ids, and times that add up."""
    found, told = solved(vroom.read(changed(), "small"))
    assert told["unassigned"] == []
    steps = {step["id"]: (step, route["vehicle"]) for route in told["routes"] for step in route["steps"] if "id" in step}
    assert set(steps) == {1, 2, 3, 4, 5}
    assert steps[2][1] == 7, "only vehicle 7 has the skill"
    assert 1500 <= steps[2][0]["arrival"] + steps[2][0]["waiting_time"] <= 3100
    assert steps[4][1] == steps[5][1]
    assert steps[4][0]["arrival"] <= steps[5][0]["arrival"]
    assert (steps[4][0]["type"], steps[5][0]["type"], steps[1][0]["type"]) == ("pickup", "delivery", "job")
    for route in told["routes"]:
        first, last = route["steps"][0], route["steps"][-1]
        spent = route["duration"] + route["waiting_time"] + route["service"] + route["setup"]
        end = last["arrival"] if last["type"] == "end" else last["arrival"] + last["waiting_time"] + last["service"] + last["setup"]
        assert end - first["arrival"] == spent
    assert told["summary"]["cost"] == sum(route["cost"] for route in told["routes"])
    assert found.unassigned == ()


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"vehicles": [SMALL["vehicles"][0] | {"breaks": [{"id": 1, "max_load": [1]}]}]}, "max_load"),
        ({"vehicles": [SMALL["vehicles"][0] | {"breaks": [{"id": 1, "time_windows": [[1, 2], [3, 4]]}]}]}, "several windows"),
        ({"vehicles": [SMALL["vehicles"][0] | {"breaks": [{"id": 1, "service": -4}]}]}, "breaks.0. ends before it begins"),
        ({"vehicles": [SMALL["vehicles"][0] | {"max_tasks": -3}]}, "limits.stops is -3"),
        ({"vehicles": [{"id": 1, "end_index": 0}]}, "no start"),
        ({"vehicles": [SMALL["vehicles"][0]] * 2}, "same id"),
        ({"vehicles": [SMALL["vehicles"][0] | {"profile": "bike"}]}, "no matrix"),
        ({"vehicles": [SMALL["vehicles"][0] | {"speed_factor": 2}]}, "speed_factor"),
        ({"jobs": [{"id": 1, "location_index": 1, "delivery": [1], "pickup": [1]}]}, "both delivers and picks up"),
        ({"jobs": [{"id": 1, "location_index": 9}]}, "place"),
        ({"jobs": [{"id": 1}]}, "location"),
        ({"jobs": [{"location_index": 1}]}, "id"),
        ({"matrices": {"car": {"durations": [[0, 1], [1]]}}}, "matri"),
        ({"jobs": [{"id": 1, "location_index": 1, "service": -5}]}, "service_time is -5"),
        ({"jobs": [{"id": 1, "location_index": 1, "time_windows": [[9, 3]]}]}, "windows overlap"),
        ({"jobs": 5}, "jobs"),
        ({"jobs": [{"id": 1, "location_index": 1, "service_per_type": {"a": 5}}]}, "service_per_type"),
        ({"matrices": {"car": {"durations": [[0, 1], [1, 0]], "costs": [[0, 1], [1, 0]]}}}, "costs"),
        ({"vehicles": [SMALL["vehicles"][0] | {"capacity": [4, 4, 4]}]}, "3 numbers"),
        ({"vehicles": [SMALL["vehicles"][0] | {"time_window": [100, 50]}]}, "ends before it begins"),
    ],
)
def test_what_cannot_be_held_to_is_refused(change: dict[str, Any], text: str) -> None:
    with pytest.raises(BadProblem, match=text):
        vroom.read(changed(**change), "small")


def test_breaks_are_steps_and_times_add_up() -> None:
    """A vehicle rests in its window, and goes on; nothing is lost by it, and there and back again it is the same problem."""
    rested = [SMALL["vehicles"][0] | {"breaks": [{"id": 1, "time_windows": [[1600, 1900]], "service": 300}]}]
    problem = vroom.read(changed(vehicles=rested), "small")
    _, told = solved(problem)
    assert told["unassigned"] == []
    (route,) = told["routes"]
    (rest,) = [step for step in route["steps"] if step["type"] == "break"]
    assert 1600 <= rest["arrival"] + rest["waiting_time"] <= 1900
    spent = route["duration"] + route["waiting_time"] + route["service"] + route["setup"]
    assert route["steps"][-1]["arrival"] - route["steps"][0]["arrival"] == spent
    again = vroom.read(json.dumps(vroom.write(problem)).encode(), "again")
    assert [crew.breaks for crew in again.crews] == [crew.breaks for crew in problem.crews]


def test_a_document_that_is_nested_without_end_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    endless = b'{"vehicles": [], "jobs": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    with pytest.raises(BadProblem, match="small"):
        vroom.read(endless, "small")
    (tmp_path / "endless.json").write_bytes(endless)
    assert command.main(["solve", str(tmp_path / "endless.json")]) == 2
    assert "bad_problem" in capsys.readouterr().err


def test_coordinates_need_a_map_and_are_driven_on_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From the command line: VROOM's file in, VROOM's answer out."""
    data = {
        "vehicles": [{"id": 1, "start": [24.938, 60.16865], "end": [24.938, 60.16865]}],
        "jobs": [{"id": 5, "location": [24.9441, 60.1712], "service": 60}, {"id": 6, "location": [24.9322, 60.1688]}],
    }
    (tmp_path / "town.json").write_text(json.dumps(data))
    assert command.main(["solve", str(tmp_path / "town.json")]) == 2
    assert "--map FILE" in capsys.readouterr().err
    assert command.main(["solve", str(tmp_path / "town.json"), "--map", str(ROOT / "data" / "helsinki.map"), "--budget", "0"]) == 0
    told = json.loads(capsys.readouterr().out)
    (route,) = told["routes"]
    assert [step["type"] for step in route["steps"]] == ["start", "job", "job", "end"]
    assert {step.get("id") for step in route["steps"]} == {None, 5, 6}
    assert 500 < route["distance"] < 10_000
    assert route["steps"][1]["location"] in ([24.9441, 60.1712], [24.9322, 60.1688])


@pytest.mark.parametrize("seed", range(60))
def test_out_and_in_again_is_as_hard(seed: int) -> None:
    """A solution of what comes back keeps the rules that went out: capacities, windows, skills, pairs, pins and shift ends."""
    problem = rich_problem(seed)
    again = vroom.read(json.dumps(vroom.write(problem)).encode(), "again")
    found = repair.repair(again, stop=never)
    assert check(again, publishable(again, found, progress={}, engine="repair")) == []
    plan = json.loads(json.dumps(vroom.solution(again, found)))
    assert plan["summary"]["unassigned"] == len(found.unassigned)
    assert sum(route["cost"] for route in plan["routes"]) <= total(again, found)


def test_the_command_converts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "small.json").write_bytes(changed())
    assert command.main(["convert", str(tmp_path / "small.json"), "--out", str(tmp_path / "again.json")]) == 0
    again = vroom.read((tmp_path / "again.json").read_bytes(), "again")
    first = vroom.read(changed(), "small")
    for problem in (first, again):
        found = engines.ENGINES["repair"](problem, budget=5, stop=never)
        assert found.unassigned == ()
    assert command.main(["solve", str(tmp_path / "again.json"), "--budget", "0", "--format", "plan"]) == 0
    assert json.loads(capsys.readouterr().out)["routes"]
