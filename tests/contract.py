"""Holds answers to the interface's own description, and to nothing more than it tells."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

import jsonschema_rs
from flask import Flask
from werkzeug.exceptions import HTTPException
from werkzeug.test import TestResponse

from ingest import openapi

_made: list[tuple[dict[str, Any], dict[tuple[str, str], openapi.Described]]] = []


def description(app: Flask) -> tuple[dict[str, Any], dict[tuple[str, str], openapi.Described]]:
    """The document, and what it describes by endpoint and method; made once, as all applications are alike."""
    if not _made:
        _made.append((openapi.document(app), {(one.name, one.method): one for one in openapi.operations(app)}))
    return _made[0]


def hold(app: Flask, method: str, path: str, answer: TestResponse) -> None:
    """Fail if an endpoint of the interface answers with a status, a media type or a body that is not described."""
    try:
        rule, _ = app.url_map.bind("localhost").match(path.split("?")[0], method=method, return_rule=True)
    except HTTPException:  # no endpoint
        return
    document, described = description(app)
    one = described.get((rule.endpoint, method))
    if one is None or answer.status_code == 405:
        return
    responses = document["paths"][one.path][method.lower()]["responses"]
    assert str(answer.status_code) in responses, f"{method} {path}: {answer.status_code} is not described: {answer.text[:300]}"
    content = responses[str(answer.status_code)].get("content")
    if content is None:
        assert answer.data == b"", f"{method} {path}: content where none is described"
        return
    assert answer.mimetype in content, f"{method} {path}: {answer.mimetype} is not {list(content)}"
    if str(answer.mimetype) in ("application/json", "application/problem+json"):
        schema = content[answer.mimetype]["schema"]
        problems = [f"{error.instance_path}: {error.message}" for error in _validator(json.dumps(schema)).iter_errors(answer.json)]
        assert not problems, f"{method} {path}: {problems[:3]} in {answer.text[:2000]}"


@lru_cache
def _validator(schema: str) -> jsonschema_rs.Draft202012Validator:
    components = json.loads(json.dumps(_made[0][0]["components"]))
    for name, component in components["schemas"].items():
        if name != "Problem":  # some codes come with more
            component.setdefault("additionalProperties", False) if "properties" in component else None
    return jsonschema_rs.Draft202012Validator(json.loads(schema) | {"components": components}, validate_formats=True)
