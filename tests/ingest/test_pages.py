"""The pages and what they are made of: served by ourselves, and nothing in them from anywhere else."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from ingest.settings import ROOT, BadSettings, Settings
from routing.model import ReasonCode, TriggerKind
from tests.conftest import Shop, one_server

PAGES = ("/", "/driver", "/track/some-token")


@one_server
def test_pages_come_with_a_policy_that_allows_nothing_from_elsewhere(shop: Shop) -> None:
    """No script or style in the page itself, no frames, no other hosts; and every file they name is there."""
    for path in PAGES:
        answer = shop.client.get(path)
        assert (answer.status_code, answer.mimetype) == (200, "text/html")
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "http" not in policy
        assert not re.search(r"<script(?![^>]* src=)|<style| style=| on[a-z]+=", answer.text)
        for name in re.findall(r'(?:src|href)="([^"#]+)"', answer.text):
            assert name.startswith("data:") or shop.client.get(name).status_code == 200, name


@one_server
def test_scripts_are_there_and_name_no_other_host(shop: Shop) -> None:
    """Nor has any of them a URL of another host in it."""
    for file in sorted((ROOT / "web").glob("*")):
        assert not re.search(r"https?://", file.read_text()), file.name
        if file.suffix == ".js" and not file.name.startswith("reference"):
            for name in re.findall(r'from "([^"]+)"', file.read_text()):
                answer = shop.client.get(name)
                assert (answer.status_code, answer.mimetype) == (200, "text/javascript"), name


@one_server
@pytest.mark.parametrize("path", ["/web/../app.py", "/web/%2e%2e/app.py", "/web/leaflet/../../__init__.py", "/web/nothing.js",
                                  "/web/console.html", "/web/leaflet//etc/passwd"])  # fmt: skip
def test_other_files_are_not_served(shop: Shop, path: str) -> None:
    assert shop.client.get(path).status_code == 404


@one_server
def test_a_raster_map_of_ones_choice(settings: Settings) -> None:
    """Its host, and no other, is in the policy."""
    tiles = "https://{s}.tiles.example/{z}/{x}/{y}.png"
    shop = Shop(replace(settings, tiles=tiles, tiles_attribution="© them"))
    assert shop.client.get("/web/settings.json").json == {"tiles": tiles, "attribution": "© them"}
    assert "img-src 'self' data: https://*.tiles.example;" in shop.client.get("/").headers["Content-Security-Policy"]
    for wrong in ("javascript:alert(1)", "https://a.example;script-src *", "tiles"):
        with pytest.raises(BadSettings):
            Settings.read({"LASTLEG_TILES": wrong})


@one_server
def test_the_console_has_words_for_every_reason_and_trigger(shop: Shop) -> None:
    """A new one cannot be forgotten."""
    for name, kinds in (("reasons.js", ReasonCode), ("words.js", TriggerKind)):
        text = (ROOT / "web" / name).read_text()
        assert not [kind for kind in kinds if not re.search(rf"\b{kind}: \"", text)], name
