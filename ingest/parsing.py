"""Reading requests: a body, the query or headers become a model of `ingest/schemas.py`, or all their faults at once."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import lru_cache
from typing import Annotated, Any, TypeVar, cast

from flask import g, request
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from ingest.problems import MOST_FAULTS, ApiProblem, Fault, invalid

M = TypeVar("M", bound=BaseModel)

_CODES = {
    "missing": "missing", "unknown_id": "unknown_id", "extra_forbidden": "unknown_field", "value_error": "inconsistent",
    "timezone_aware": "no_offset", "string_pattern_mismatch": "pattern", "enum": "not_one_of", "literal_error": "not_one_of",
}  # fmt: skip

_REMEDIES = {
    "missing": "Give it.", "unknown_field": "Leave it out, or spell it as in /openapi.json.", "not_one_of": "Give one of those.",
    "wrong_type": "Give it in the type that /openapi.json has.", "out_of_range": "Give one within the limits.",
    "pattern": "Write it so that it matches.", "no_offset": "Write it as 2027-03-01T09:00:00+02:00.",
}  # fmt: skip
"""What to do about faults that say nothing more of it."""


def body() -> Any:
    """The request's JSON, whatever its shape.

    Raises
    ------
    ApiProblem
        400 if it is none.
    """
    raw = request.get_data()
    try:
        data = json.loads(raw)
        if rb"\ud" in raw.lower():  # half a character can be written so, and cannot be stored
            json.dumps(data, ensure_ascii=False).encode()
        return data
    except RecursionError:
        raise ApiProblem(400, "malformed_json", "The body is nested too deeply.", "A few levels are enough.") from None
    except ValueError as error:
        raise ApiProblem(400, "malformed_json", f"The body is not JSON: {error}.", "Send JSON in UTF-8.") from None


def parse(kind: type[M], data: Any) -> tuple[M | None, dict[str, Any], list[Fault]]:
    """Validate a body: the model (None if it has faults), the fields that are right in any case, and the faults.

    The right fields let an endpoint look for further faults (a place off the map) and tell all at once.
    """
    try:
        model = kind.model_validate(data)
    except ValidationError as error:
        items = error.errors(include_url=False, include_input=False, include_context=False)
        faults = [_fault(item) for item in items[:MOST_FAULTS]]
        wrong = {str(item["loc"][0]) for item in items if item["loc"]}
        return None, _right_fields(kind, data, wrong), faults
    return model, model.__dict__, []


def checked(kind: type[M], data: Any) -> M:
    """Validate a body that needs no further checks; raises 422 with all faults."""
    model, _, faults = parse(kind, data)
    if model is None:
        raise invalid(faults)
    return model


def query(kind: type[M]) -> M:
    """Validate the query; raises 422 with all faults, each with its parameter."""
    found = _parameters(kind, request.args.to_dict())
    g.dry_run = g.get("dry_run", False) or getattr(found, "dry_run", False)  # what is only tried is not noted
    return found


def headers(kind: type[M]) -> M:
    """Validate those headers that a model names; raises 422 with all faults."""
    names = {field.alias or name for name, field in kind.model_fields.items()}
    return _parameters(kind, {name: request.headers[name] for name in names if name in request.headers})


def _parameters(kind: type[M], data: dict[str, str]) -> M:
    model, _, faults = parse(kind, data)
    if model is None:
        raise invalid([replace(fault, pointer="", parameter=fault.pointer[1:]) for fault in faults])
    return model


def _right_fields(kind: type[BaseModel], data: Any, wrong: set[str]) -> dict[str, Any]:
    if not isinstance(data, dict):
        return {}
    return {
        name: _adapter(kind, name).validate_python(data[name])
        for name in kind.model_fields
        if name in data and name not in wrong
    }


@lru_cache(maxsize=1024)
def _adapter(kind: type[BaseModel], name: str) -> TypeAdapter[Any]:
    """What validates one field: a file with a hundred thousand faults needs it as often."""
    field = kind.model_fields[name]
    return TypeAdapter(cast(Any, Annotated[field.annotation, field]))


def _fault(item: ErrorDetails) -> Fault:
    kind = str(item["type"])
    code = _CODES.get(kind) or ("wrong_type" if kind.endswith(("_type", "_parsing")) else "out_of_range")
    message = str(item["msg"]).removeprefix("Value error, ")
    return Fault(code, pointer(item["loc"]), message[:1].upper() + message[1:] + ".", _REMEDIES.get(code, ""))


def pointer(path: tuple[str | int, ...] | list[str | int]) -> str:
    """A JSON pointer (RFC 6901)."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)
