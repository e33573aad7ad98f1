"""Files in and out: imports of orders, drivers, vehicles and shifts, with their progress; exports of what came of them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, Response, request

from ingest import context
from ingest.auth import Role
from ingest.context import allow, caller, my_depot, services, store
from ingest.openapi import describe
from ingest.parsing import headers, query
from ingest.problems import ApiProblem, Fault, invalid, not_found
from ingest.schemas import DepotQuery, ExportQuery, IdempotencyHeaders, ImportQuery
from routing.model import depot_of
from workers import imports
from workers.imports import Import
from workers.views import ImportsView, ImportView

blueprint = Blueprint("bulk", __name__)


@blueprint.post("/v1/imports")
@allow(Role.OPERATOR, Role.SHIPPER)
@describe({202: ImportView, 200: ImportView}, body=bytes, query=ImportQuery, headers=IdempotencyHeaders, problems=(403,),
          takes="text/csv")  # fmt: skip
def make() -> tuple[dict[str, Any], int, dict[str, str]]:
    """Import a file: the body is the file itself. It is read by a worker; the answer says where its progress is.

    Columns are named for fields of the bodies that the API takes (`docs/api.md` has them all), `columns` maps others:
    `{"Customer no": "external_id", "Remark": ""}`. With `mode=all` nothing is written if any row has a fault, with `best` what is
    good. The same `Idempotency-Key` is the same import.
    """
    request.max_content_length = services().settings.import_limit
    asked, token = query(ImportQuery), headers(IdempotencyHeaders).idempotency_key
    depot, who = my_depot(asked.depot_id), caller()
    if who.role is not Role.OPERATOR and asked.what != "orders":
        raise ApiProblem(403, "forbidden", f"A {who.role} key may not import {asked.what}.", "Use a key of role operator.")
    raw = request.get_data()
    if not raw:
        raise invalid([Fault("missing", "", "The body is empty.", "Send the file.")])
    made = Import(imports.new_id(depot.id, who.account, token), depot.id, asked.what, asked.format, who, asked.mode == "all",
                  asked.dry_run, _columns(asked.columns), context.now(),
                  imports.print_of(raw, asked.what, asked.format, asked.mode, asked.dry_run, asked.columns))  # fmt: skip
    found = imports.begin(store(), made, raw)
    if found is None:
        raise ApiProblem(429, "too_many_imports", f"{imports.WAITING} imports of yours wait at this depot.",
                         "Wait until one of them is over.", headers={"Retry-After": "10"})  # fmt: skip
    if found.print != made.print:
        raise ApiProblem(422, "idempotency_key_reused", "This Idempotency-Key was used with another import.", "Use a new key.")
    return imports.view(found), 202 if found is made else 200, {"Location": f"/v1/imports/{made.id}"}


def _columns(text: str) -> dict[str, str]:
    try:
        found = json.loads(text or "{}")
        json.dumps(found, ensure_ascii=False).encode()  # half a character can be written so, and cannot be stored
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found.values()):
        raise invalid([Fault("wrong_type", "", 'Give a JSON object such as {"Customer no": "external_id"}.', parameter="columns")])
    return found


@blueprint.get("/v1/imports")
@allow(Role.OPERATOR, Role.SHIPPER)
@describe({200: ImportsView}, query=DepotQuery)
def listing() -> dict[str, Any]:
    """The caller's imports of a week at a depot, the newest first."""
    depot, who = my_depot(query(DepotQuery).depot_id), caller()
    mine = [made for made in imports.every(store(), depot.id) if who.role is Role.OPERATOR or made.who.account == who.account]
    return {"imports": [imports.view(made) for made in mine]}


@blueprint.get("/v1/imports/<import_id>")
@allow(Role.OPERATOR, Role.SHIPPER)
@describe({200: ImportView})
def one(import_id: str) -> dict[str, Any]:
    """How far an import is, and what came of it: `errors` has the line and column of each fault."""
    made, who = imports.one(store(), depot_of(import_id), import_id), caller()
    if made is None or made.who.tenant != who.tenant or not (who.role is Role.OPERATOR or made.who.account == who.account):
        raise not_found("import", import_id)
    my_depot(made.depot_id)
    return imports.view(made)


EXPORTED = ("text/csv", "application/vnd.apache.parquet", "application/x-ndjson", "application/geo+json", "application/gpx+xml")


@blueprint.get("/v1/exports/<what>")
@allow(Role.OPERATOR)
@describe({200: bytes}, query=ExportQuery, media=EXPORTED)
def export(what: str) -> Response:
    """A file: `routes` (geojson, gpx) and `stops` (csv, parquet, ndjson, geojson) of the plan in force, `pings`, `kpis` by day.

    Routes go along the streets as they are now. Pings (all five) and key figures (tables) are from the archive, which is half a
    minute behind.
    """
    from workers import exports  # polars and what draws lines, which no other call needs

    if what not in exports.WHAT:
        raise not_found("export", what)
    asked, now = query(ExportQuery), context.now()
    depot = my_depot(asked.depot_id)
    form = asked.format or exports.WHAT[what][0]
    try:
        raw = exports.export(store(), services().settings, depot, what, form, days=asked.days, driver=asked.driver_id, now=now)
    except exports.CannotExport as error:
        raise invalid([Fault(error.code, "", error.detail, error.remedy, parameter="format")]) from None
    name = exports.name_of(depot, what, form, datetime.fromtimestamp(depot.clock.depot(now), UTC).date())
    return Response(raw, content_type=exports.TYPES[form], headers={"Content-Disposition": f'attachment; filename="{name}"'})
