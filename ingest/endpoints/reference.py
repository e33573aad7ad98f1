"""The interface's own description: an OpenAPI document, and a page to read it and try it that needs no internet."""

from __future__ import annotations

from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec
from flask import Blueprint, Response, current_app, send_file

from ingest import openapi
from ingest.openapi import describe
from ingest.problems import not_found
from ingest.settings import ROOT

blueprint = Blueprint("reference", __name__)

POLICY = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'"
"""Nothing from elsewhere; the page's library sets styles by itself."""


@blueprint.get("/openapi.json")
@describe({200: dict[str, Any]})
def document() -> Response:
    """The description of this interface, in OpenAPI 3.1."""
    return Response(_document(), content_type="application/json")


@lru_cache(maxsize=1)
def _document() -> bytes:
    """Made once: it tells of the code, which is the same in all applications of a process."""
    return msgspec.json.encode(openapi.document(current_app))


@blueprint.get("/docs")
def page() -> Response:
    """The page."""
    return _file(ROOT / "web" / "reference.html")


@blueprint.get("/docs/<name>")
def part(name: str) -> Response:
    """Its script, and the library's files."""
    files = {"reference.js": ROOT / "web" / "reference.js", "swagger-ui-bundle.js": _swagger() / "js" / "swagger-ui-bundle.js",
             "swagger-ui.css": _swagger() / "css" / "swagger-ui.css"}  # fmt: skip
    if name not in files:
        raise not_found("file", name)
    return _file(files[name])


def _swagger() -> Path:
    """Where the package with Swagger UI is; it is never imported, only its files are served."""
    found = find_spec("flask_openapi3_swagger")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / "templates" / "swagger"


def _file(path: Path) -> Response:
    answer = send_file(path, max_age=3600)
    answer.headers["Content-Security-Policy"] = POLICY
    return answer
