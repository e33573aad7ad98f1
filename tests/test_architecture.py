"""The shape of the house: imports point inwards, and few may know the big libraries."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from ingest.settings import ROOT

MAY_IMPORT = {
    "routing": {"routing"},
    "ingest": {"routing", "ingest"},
    "workers": {"routing", "ingest", "workers"},
    "demo": {"routing", "ingest", "workers", "demo"},
}
ONLY_IN = {
    "ortools": {"routing/solve/ortools_engine.py", "routing/solve/alike.py", "routing/solve/immediate.py",
                "routing/solve/recombine.py", "workers/jobs.py"},
    "pyvrp": {"routing/solve/pyvrp_engine.py"},
    "rq": {"workers/dispatcher.py", "workers/rq_worker.py"},
    "flask": {"app.py", "ingest/audit.py", "ingest/context.py", "ingest/openapi.py", "ingest/parsing.py", "ingest/problems.py",
              "ingest/endpoints/", "workers/endpoints/", "workers/front.py"},
    "redis": {"app.py", "ingest/", "workers/"},
    "polars": {"workers/archive.py", "workers/learn.py", "workers/tables.py", "workers/report.py", "workers/exports.py"},
    "osmium": {"routing/roads/"},
    "osmnx": {"routing/roads/"},
}  # fmt: skip
OUR_OWN = {"routing", "ingest", "workers", "demo", "app"}


def _imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_imports_point_inwards(package: str) -> None:
    """routing ← ingest ← workers ← app.py."""
    for path in (ROOT / package).rglob("*.py"):
        outwards = (_imports(path) & OUR_OWN) - MAY_IMPORT[package]
        assert not outwards, f"{path} imports {outwards}"


@pytest.mark.parametrize("library", ONLY_IN)
def test_few_know_a_library(library: str) -> None:
    """Who may import Redis, RQ, Flask, OR-Tools and the importers' libraries."""
    for path in [ROOT / "app.py", *(path for package in MAY_IMPORT for path in (ROOT / package).rglob("*.py"))]:
        name = str(path.relative_to(ROOT))
        if library in _imports(path):
            assert any(name.startswith(allowed) for allowed in ONLY_IN[library]), f"{name} imports {library}"


def test_the_core_reads_no_clock_and_no_environment() -> None:
    """`now` is an argument. Only an engine's stop rule and commands look at a clock, to stop and to tell how far they are."""
    clocks = {*(f"routing/solve/{name}.py" for name in (
        "improve", "annealing", "portfolio", "recombine", "stopping", "ortools_engine", "pyvrp_engine")),
              "routing/roads/__main__.py",
              "routing/jit.py"}  # fmt: skip
    for path in (ROOT / "routing").rglob("*.py"):
        if str(path.relative_to(ROOT)) not in clocks:
            used = _imports(path) & {"time", "datetime", "socket"}
            assert not used, f"{path} imports {used}"
            assert "environ" not in path.read_text(), path
