"""What the HTTP interface promises: what each endpoint takes and gives, and the OpenAPI document (3.1) made from that.

Bodies, queries and headers are described by the models that validate them, answers by the types of `ingest.views` and
`workers.views`, which the tests hold every answer to.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, TypeVar

import msgspec
from flask import Flask
from pydantic import BaseModel, TypeAdapter

from ingest.views import Problem

F = TypeVar("F", bound=Callable[..., Any])

REF = "#/components/schemas/{}"
PROBLEMS = {
    400: "The body is not JSON", 401: "No key, or one that is unknown, revoked or expired", 403: "The key's role may not do this",
    404: "There is no such thing for this key", 408: "The body came too slowly", 409: "The state does not allow it",
    410: "It is no longer kept", 412: "It has changed since it was read", 413: "The body is too large",
    422: "Faults of the request, all at once", 429: "Too many calls; `Retry-After` says how long to wait",
    503: "The store cannot answer; the same call will do later",
}  # fmt: skip
"""What errors there are; `docs/errors.md` has their codes."""

FILE = """external_id,kind,lat,lon,window_from,window_to
A-21,service,60.1712,24.9441,2027-03-01T09:00:00+02:00,2027-03-01T11:00:00+02:00
"""
"""The example of a file to import."""

PARAMETERS = {
    "depot_id": ("hel", "A depot's id"), "order_id": ("hel.o3w5e11264sg0", "An order's id"),
    "driver_id": ("hel.anna", "A driver's id, or `me` for the driver whose token calls"),
    "vehicle_id": ("hel.van-1", "A vehicle's id"), "shift_id": ("hel.monday-anna", "A shift's id"),
    "stop_id": ("hel.o3w5e11264sg0.delivery", "A stop's id"), "record_id": ("hel.o3w5e11264sg0", "An order's or road event's id"),
    "event_id": ("hel.r5f3759df86", "A road event's id"), "key_id": ("shipper-5f3759df86b0", "A key's id"),
    "version": (12, "A plan version"), "external_id": ("A-17", "The id that you gave your order"),
    "webhook_id": ("wh_3f5c0a9d1b2e4f60", "A webhook's id"),
    "proposal_id": ("5f3759df86a1", "A proposal's id"),
    "quote_id": ("hel.q5f3759df86a1b2c3", "A quote's id"),
    "import_id": ("hel.i5f3759df86a1b2c3", "An import's id"),
    "what": ("stops", "`routes`, `stops`, `pings` or `kpis`"),
    "message_id": ("evt_hel_17", "An event's id"),
    "map_name": ("helsinki", "A map's name"), "zoom": (15, "The zoom, up to 19"), "column": (18653, "From the west"),
    "row": (9484, "From the north"),
    "token": ("WyJoZWwubzN3NWUxMTI2NHNnMCIsMTgwMDAwMDAwMF0.sig", "What a link ends with"),
}  # fmt: skip
"""What stands in paths: an example and its meaning."""


@dataclass(frozen=True, slots=True)
class Operation:
    """What an endpoint takes and gives: types by status (None: no content), and which problems beside those that any may have."""

    gives: Mapping[int, Any]
    body: Any = None
    query: type[BaseModel] | None = None
    headers: type[BaseModel] | None = None
    problems: tuple[int, ...] = ()
    media: tuple[str, ...] = ("application/json",)
    takes: str = "application/json"


def describe(gives: Mapping[int, Any], *, body: Any = None, query: type[BaseModel] | None = None,
             headers: type[BaseModel] | None = None, problems: Sequence[int] = (), media: str | Sequence[str] = "application/json",
             takes: str = "application/json") -> Callable[[F], F]:  # fmt: skip
    """Say what an endpoint takes and gives; its docstring says what it does."""

    def decorate(endpoint: F) -> F:
        medias = (media,) if isinstance(media, str) else tuple(media)
        endpoint.operation = Operation(gives, body, query, headers, tuple(problems), medias, takes)  # type: ignore[attr-defined]  # read by `operations`
        return endpoint

    return decorate


@dataclass(frozen=True, slots=True)
class Described:
    """An endpoint as it is registered: method, path with `{parameters}`, and what it does."""

    name: str
    method: str
    path: str
    parameters: tuple[tuple[str, str], ...]
    view: Callable[..., Any]
    operation: Operation

    @property
    def roles(self) -> tuple[str, ...]:
        """Who may call; nobody named: anybody."""
        return tuple(getattr(self.view, "allowed_roles", ()))


def operations(app: Flask) -> Iterator[Described]:
    """All endpoints that are part of the interface, by path."""
    for rule in sorted(app.url_map.iter_rules(), key=lambda rule: rule.rule):
        view = app.view_functions[rule.endpoint]
        if hasattr(view, "operation"):
            parameters = tuple((name, kind or "string") for kind, name in re.findall(r"<(?:(\w+):)?(\w+)>", rule.rule))
            path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)
            for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
                yield Described(rule.endpoint, method, path, parameters, view, view.operation)


def document(app: Flask) -> dict[str, Any]:
    """The OpenAPI document of an application."""
    described = list(operations(app))
    schemas, components = _schemas(described)
    paths: dict[str, dict[str, Any]] = {}
    for one in described:
        paths.setdefault(one.path, {})[one.method.lower()] = _operation(one, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Lastleg", "version": "1", "description": "Orders and drivers' pings in, routes that are right out. "
                 "Times are ISO 8601 with an offset, durations whole seconds, distances metres, places `{lat, lon}` in degrees."},
        "servers": [{"url": "/"}],
        "security": [{"key": []}],
        "tags": [{"name": name, "description": text} for name, text in _tags(app, described)],
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": {"key": {
            "type": "http", "scheme": "bearer", "description": "A key of an operator, a shipper or a driver"}}},
    }  # fmt: skip


def _tags(app: Flask, described: Sequence[Described]) -> Iterator[tuple[str, str]]:
    used = {one.name.split(".")[0] for one in described}
    for name in (name for name in app.blueprints if name in used):
        yield name, (inspect.getdoc(sys.modules[app.blueprints[name].import_name]) or "").split("\n\n")[0]


def _operation(one: Described, schemas: dict[tuple[str, str], Any]) -> dict[str, Any]:
    summary, _, text = (inspect.getdoc(one.view) or one.name).partition("\n")
    roles = f"For {', '.join(one.roles)}." if one.roles else "Needs no key."
    said: dict[str, Any] = {
        "operationId": one.name, "tags": [one.name.split(".")[0]], "summary": summary.rstrip("."),
        "description": "\n\n".join(part for part in (text.strip(), roles) if part), "x-roles": list(one.roles),
        "responses": _responses(one, schemas),
    }  # fmt: skip
    if not one.roles:
        said["security"] = []
    parameters = [_path_parameter(name, kind) for name, kind in one.parameters]
    for where, model in (("query", one.operation.query), ("header", one.operation.headers)):
        parameters += _model_parameters(where, schemas[one.name, where]) if model is not None else []
    if parameters:
        said["parameters"] = parameters
    if one.operation.body is not None:
        schema = schemas[one.name, "body"]
        content = {one.operation.takes: {"schema": schema, "example": _example(one.operation.body)}}
        said["requestBody"] = {"required": True, "content": content}
    return said


def _example(body: Any) -> Any:
    """The example that a model gives of itself; of a file, the file."""
    if body is bytes:
        return FILE
    if _is_struct(body):
        return [part.EXAMPLE for part in body.__args__]
    return body.model_config["json_schema_extra"]["examples"][0]


def _path_parameter(name: str, kind: str) -> dict[str, Any]:
    example, text = PARAMETERS[name]
    schema: dict[str, Any] = {"type": "integer", "minimum": 0} if kind == "int" else {"type": "string", "minLength": 1}
    schema |= {"pattern": "^[^/]+$"} if kind == "string" else {}
    return {"name": name, "in": "path", "required": True, "description": text, "schema": schema, "example": example}


def _model_parameters(where: str, schema: dict[str, Any]) -> list[dict[str, Any]]:
    required = schema.get("required", [])
    rows = []
    for name, field in schema["properties"].items():
        kept = {key: value for key, value in field.items() if key not in ("title", "description", "default")}
        kept |= {"default": field["default"]} if field.get("default") is not None else {}
        options = [option for option in kept.get("anyOf", ()) if option != {"type": "null"}]
        if len(options) == 1:  # a parameter that may be left out is never null
            kept = {key: value for key, value in kept.items() if key != "anyOf"} | options[0]
        rows.append({"name": name, "in": where, "required": name in required, "schema": kept}
                    | ({"description": field["description"]} if "description" in field else {}))  # fmt: skip
    return rows


def _responses(one: Described, schemas: dict[tuple[str, str], Any]) -> dict[str, Any]:
    said: dict[str, Any] = {}
    for status, kind in sorted(one.operation.gives.items()):
        said[str(status)] = {"description": HTTPStatus(status).phrase}
        if kind is not None:
            content = {media: {"schema": _of_media(media, kind, schemas[one.name, str(status)])} for media in one.operation.media}
            said[str(status)]["content"] = content
    for status in sorted(problems(one)):
        content = {"application/problem+json": {"schema": {"$ref": REF.format("Problem")}}}
        said[str(status)] = {"description": PROBLEMS[status], "content": content}
    return dict(sorted(said.items()))


def _of_media(media: str, kind: Any, schema: Any) -> Any:
    """A file is bytes, but for one that is JSON all the same."""
    return {"type": "object"} if kind is bytes and media.endswith("json") else schema


def problems(one: Described) -> set[int]:
    """Statuses of the problems that an endpoint may answer with."""
    operation = one.operation
    found = set(operation.problems) | {503}
    if one.roles:
        found |= {401, 422, 429}
        found |= {403} if len(one.roles) < 3 else set()
    if one.parameters or any("depot_id" in getattr(model, "model_fields", {}) for model in (operation.body, operation.query)):
        found.add(404)
    if operation.body is not None:
        found |= {400, 408, 413, 422}
    if operation.query is not None or operation.headers is not None:
        found.add(422)
    return found


def _schemas(described: Sequence[Described]) -> tuple[dict[tuple[str, str], Any], dict[str, Any]]:
    """Each schema by operation and by `body`, `query`, `header` or status; and what they refer to."""
    asked: list[tuple[tuple[str, str], Any, Any]] = [(("", "problem"), "serialization", TypeAdapter(Problem))]
    found: dict[tuple[str, str], Any] = {}
    components: dict[str, Any] = {}
    for one in described:
        parts = {"body": one.operation.body, "query": one.operation.query, "header": one.operation.headers}
        for where, kind in parts.items():
            if _is_struct(kind):  # of the hot path
                (found[one.name, where],), more = msgspec.json.schema_components([kind], ref_template=REF.format("{name}"))
                components |= more
            elif kind is not None:
                asked.append(((one.name, where), "validation", TypeAdapter(kind)))
        asked += [((one.name, str(status)), "serialization", TypeAdapter(kind))
                  for status, kind in one.operation.gives.items() if kind is not None]  # fmt: skip
    made, definitions = TypeAdapter.json_schemas(asked, ref_template=REF.format("{model}"))
    components |= definitions["$defs"]
    found |= {key: schema for (key, _), schema in made.items()}
    for key, schema in found.items():  # parameters are listed one by one
        if key[1] in ("query", "header") and "$ref" in schema:
            found[key] = components[schema["$ref"].rsplit("/", 1)[1]]
    used = set(re.findall(REF.format(r"([^'\"]+)"), str([*found.values(), *components.values()])))
    return found, {name: components[name] for name in sorted(components) if name in used or name == "Problem"}


def _is_struct(kind: Any) -> bool:
    return any(isinstance(part, type) and issubclass(part, msgspec.Struct) for part in (kind, *getattr(kind, "__args__", ())))
