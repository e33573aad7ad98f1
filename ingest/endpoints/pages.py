"""The pages: the dispatcher's console, the driver's, the recipient's; and the files that they are made of.

They need nothing from elsewhere, and use the public interface only.
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from flask import Blueprint, Response, send_from_directory

from ingest.context import services
from ingest.problems import not_found
from ingest.settings import ROOT

blueprint = Blueprint("pages", __name__)

WEB = ROOT / "web"


@blueprint.get("/")
def console() -> Response:
    """For dispatchers."""
    return _file(WEB, "console.html")


@blueprint.get("/driver")
def driver() -> Response:
    """For drivers, in their phone's browser."""
    return _file(WEB, "driver.html")


@blueprint.get("/track/<token>")
def recipient(token: str) -> Response:
    """For who waits for a delivery; what the link shows is asked for by the page."""
    answer = _file(WEB, "recipient.html")
    answer.headers |= {"X-Robots-Tag": "noindex", "Referrer-Policy": "no-referrer"}
    return answer


@blueprint.get("/web/settings.json")
def settings() -> dict[str, Any]:
    """What pages are told of this server: a raster map of the operator's choice, if there is one."""
    told = services().settings
    return {"tiles": told.tiles or None, "attribution": told.tiles_attribution}


@blueprint.get("/web/<path:name>")
def part(name: str) -> Response:
    """A page's script or style, or one of Leaflet's."""
    if name.startswith("leaflet/"):
        return _file(_leaflet(), name.removeprefix("leaflet/"))
    if Path(name).suffix == ".html":
        raise not_found("file", name)
    return _file(WEB, name)


@blueprint.get("/driver-worker.js")
def worker() -> Response:
    """What keeps the driver's page at hand without network: it must stand beside it."""
    answer = _file(WEB, "driver-worker.js")
    answer.headers["Service-Worker-Allowed"] = "/driver"
    return answer


@cache
def _leaflet() -> Path:
    """Where the package with Leaflet is; it is never imported, only its files are served."""
    found = find_spec("xstatic.pkg.leaflet")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / "data"


def _file(folder: Path, name: str) -> Response:
    """A file, asked for again each time whether it has changed; nothing in it may come from anywhere else."""
    answer = send_from_directory(folder, name, max_age=0)
    answer.headers |= {"Content-Security-Policy": _policy(services().settings.tiles), "X-Content-Type-Options": "nosniff",
                       "Cross-Origin-Opener-Policy": "same-origin", "Permissions-Policy": "geolocation=(self)"}  # fmt: skip
    return answer


@cache
def _policy(tiles: str) -> str:
    pictures = f" {urlsplit(tiles).scheme}://{urlsplit(tiles).netloc.replace('{s}', '*')}" if tiles else ""
    return (f"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:{pictures}; connect-src 'self'; "
            "worker-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")  # fmt: skip
