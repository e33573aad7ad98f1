"""What README and docs say is there: commands, endpoints, files, keys, codes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ingest import openapi
from ingest.settings import ROOT
from ingest.store import keys
from routing.model import ReasonCode

DOCS = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
UNUSED_REASONS = {"unreachable", "locked_route", "invalid_location"}
"""In the closed list for rules that are not there yet."""


@pytest.mark.parametrize("document", DOCS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    """Every relative link is a file."""
    for target in re.findall(r"\]\(([^)#]+)\)", document.read_text()):
        if "://" not in target:
            assert (document.parent / target).exists(), target


def test_make_has_the_commands_readme_names() -> None:
    """Each `make X` of README is a target that make knows how to run."""
    targets = set(re.findall(r"\bmake ([a-z]+)\b", (ROOT / "README.md").read_text()))
    assert {"demo", "test", "run"} <= targets
    for target in targets:
        done = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("module", ["routing", "routing.roads", "workers", "demo", "benchmarks.day", "benchmarks.roads",
                                    "benchmarks.map"])
def test_python_commands_explain_themselves(module: str) -> None:
    """`python -m X --help`."""
    done = subprocess.run([sys.executable, "-m", module, "--help"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0
    assert f"python -m {module}" in done.stdout


def test_every_key_is_in_the_table() -> None:
    """And nothing else looks like one."""
    told = set(re.findall(r"`([a-z_]+)(?::<[a-z]+>)*`", (ROOT / "docs" / "keys.md").read_text()))
    assert set(keys.DEPOT) | set(keys.SHARED) <= told


def test_every_error_and_reason_is_in_the_index() -> None:
    """Codes raised anywhere in the code stand in docs/errors.md."""
    index = (ROOT / "docs" / "errors.md").read_text()
    sources = [ROOT / "app.py", *(ROOT / "ingest").rglob("*.py"), *(ROOT / "workers").rglob("*.py")]
    text = "\n".join(path.read_text() for path in sources)
    codes = set(re.findall(r'(?:ApiProblem\(\d+|Fault\(), ?"([a-z_]+)"', text)) | set(re.findall(r'Fault\("([a-z_]+)"', text))
    assert len(codes) > 15
    for code in codes | ({reason.value for reason in ReasonCode} - UNUSED_REASONS):
        assert f"`{code}`" in index, code


def test_every_endpoint_is_in_the_api_page(shop: Any) -> None:
    """Paths of the application, as docs/api.md writes them."""
    page = (ROOT / "docs" / "api.md").read_text()
    for described in openapi.operations(shop.app):
        path = described.path.split("/")
        resource = path[2] if len(path) > 2 else path[1]
        assert resource in page, described.path
        if len(path) > 4:
            assert path[4] in page, described.path


def test_the_curl_tour_works_as_written(stack: Any, tmp_path: Path) -> None:
    """README's tour, line by line in a shell, against the running system: an order becomes a route."""
    readme = (ROOT / "README.md").read_text()
    tour = re.search(r"with curl\n.*?```sh\n(.*?)```", readme, re.DOTALL)
    assert tour is not None
    script = tour[1].replace("http://127.0.0.1:8080", stack.url).replace("var/operator.key", f"{stack.settings.state}/operator.key")
    script = script.replace("curl -sN ", "curl -sN --max-time 4 ")
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60, env=os.environ | {"LC_ALL": "C"})
    assert '"code"' not in done.stdout, done.stdout
    version = re.search(r'^etag: "([1-9]\d*)"', done.stdout.lower(), re.MULTILINE)
    assert version is not None  # the first or, if the shift was planned before the order came, the second
    assert f'"route_version":{version[1]}' in done.stdout.replace(" ", "")
    assert "delivery" in done.stdout
    assert "event: snapshot" in done.stdout


def test_the_quickstart_works_as_written(stack: Any) -> None:
    """docs/quickstart-shipper.md, every line in one shell against the running system: each step shows what it says."""
    page = (ROOT / "docs" / "quickstart-shipper.md").read_text()
    _, *blocks = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)  # the first one starts the service
    script = "\n".join(f"echo '--- {number}'\n{block}" for number, block in enumerate(blocks))
    script = script.replace("http://127.0.0.1:8080", stack.url).replace("var/operator.key", f"{stack.settings.state}/operator.key")
    script = script.replace(".venv/bin/python", sys.executable)
    done = subprocess.run(["bash", "-ec", "set -o pipefail\n" + script], capture_output=True, text=True, timeout=90, cwd=ROOT)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    shown = dict(re.findall(r"--- (\d)\n(.*?)(?=--- \d|\Z)", done.stdout, re.DOTALL))
    asked = {"1": '"role":"shipper"', "2": '"external_id":"A-17"', "3": '"external_id":"A-18"', "4": "unknown_dimension",
             "5": '"stops_before"', "6": '"type":"order.planned"', "7": '"code":"unsafe_url"', "8": "3 accepted"}  # fmt: skip
    for number, text in asked.items():
        assert text in shown[number], f"step {number}: {text} is not in {shown[number]}"
    assert "order.planned B-3" in shown["8"]
    assert shown["5"].count('"windows"') >= 2


def test_the_example_is_short() -> None:
    """A client that does it all in at most sixty lines."""
    assert len((ROOT / "examples" / "shipper.py").read_text().splitlines()) <= 60


def test_the_roads_page_works_as_written() -> None:
    """docs/roads.md, from top to bottom in one interpreter."""
    page = (ROOT / "docs" / "roads.md").read_text()
    script = "\n".join(re.findall(r"```python\n(.*?)```", page, re.DOTALL))
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "each reaches every other" in done.stdout


def test_the_project_speaks_of_itself_alone() -> None:
    """No machine's paths or registry's hosts in what is committed."""
    files = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    for name in files:
        path = ROOT / name
        if path.suffix in {".py", ".md", ".txt", ".toml", ".lua", ""} and path.is_file() and path != Path(__file__):
            text = path.read_text(errors="ignore")
            assert "/work/" not in text, name
            assert "index-url" not in text, name
