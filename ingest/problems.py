"""Errors as `application/problem+json` (RFC 9457): a stable code, and every fault at once with its JSON pointer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from http import HTTPStatus
from itertools import islice
from typing import Any

from flask import Response, json

from routing.errors import LastlegError


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong: code (`docs/errors.md`), where (JSON pointer into the body, or a parameter), what, the remedy."""

    code: str
    pointer: str
    detail: str
    remedy: str = ""
    parameter: str = ""


@dataclass
class ApiProblem(Exception):
    """An answer other than success. Raised anywhere below an endpoint, rendered by the application."""

    status: int
    code: str
    detail: str
    remedy: str = ""
    faults: list[Fault] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)


MOST_FAULTS = 100
"""So many faults of one request are listed."""


def invalid(faults: Iterable[Fault]) -> ApiProblem:
    """422 with all faults (the first hundred); the top-level code is the only fault's own, or `invalid`."""
    listed = list(islice(faults, MOST_FAULTS))
    code = listed[0].code if len({fault.code for fault in listed}) == 1 else "invalid"
    detail = listed[0].detail if len(listed) == 1 else f"The request has {len(listed)} faults."
    return ApiProblem(422, code, detail, faults=listed)


def not_found(what: str, record_id: str) -> ApiProblem:
    """404; also the answer for another tenant's records, which do not exist for this caller."""
    return ApiProblem(404, "not_found", f"There is no {what} {record_id!r}.", "Check the id and the key you call with.")


def full(detail: str, policy: str) -> ApiProblem:
    """409 at a limit of the depot's policy."""
    return ApiProblem(409, "depot_full", detail, f"Raise `{policy}` in the depot's policy, or wait for orders and shifts to end.")


def from_core(error: LastlegError) -> ApiProblem:
    """The core's own errors, as an answer."""
    return ApiProblem(422, error.code, error.detail, error.remedy)


def _where(fault: Fault) -> dict[str, str]:
    return {"parameter": fault.parameter} if fault.parameter else {"pointer": fault.pointer}


def content(problem: ApiProblem) -> dict[str, Any]:
    """The problem document."""
    told: dict[str, Any] = {
        "type": f"urn:lastleg:error:{problem.code}", "title": HTTPStatus(problem.status).phrase,
        "status": problem.status, "code": problem.code, "detail": problem.detail,
    }  # fmt: skip
    if problem.remedy:
        told["remedy"] = problem.remedy
    if problem.faults:
        told["errors"] = [
            {"code": fault.code} | _where(fault) | {"detail": fault.detail} | ({"remedy": fault.remedy} if fault.remedy else {})
            for fault in problem.faults
        ]
    return told | problem.extra


def render(problem: ApiProblem) -> Response:
    """The HTTP answer."""
    response = Response(json.dumps(content(problem)), problem.status, content_type="application/problem+json")
    response.headers.update(problem.headers)
    return response
