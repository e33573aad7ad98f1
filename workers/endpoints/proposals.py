"""Proposed plans: where a depot's policy says `review`, plans wait for a dispatcher's yes."""

from __future__ import annotations

import time
from typing import Any

from flask import Blueprint

from ingest.auth import Role
from ingest.context import allow, my_depot, services, store
from ingest.openapi import describe
from ingest.problems import ApiProblem, not_found
from routing.model import Depot
from workers import commit
from workers.commit import Outcome, Proposal
from workers.endpoints.plans import shown, way
from workers.lines import lines
from workers.views import AcceptedView, LinesView, ProposalView

blueprint = Blueprint("proposals", __name__)


@blueprint.get("/v1/depots/<depot_id>/proposal")
@allow(Role.OPERATOR)
@describe({200: ProposalView})
def current(depot_id: str) -> dict[str, Any]:
    """The plan that waits, whole, with what it would change; null if none does."""
    depot = my_depot(depot_id)
    made = commit.proposal(store(), depot.id)
    if made is None:
        return {"proposal_id": None, "base": None, "plan": None}
    return {"proposal_id": made.id, "base": made.base, "plan": shown(depot, made.plan, made.record)}


@blueprint.get("/v1/depots/<depot_id>/proposal/lines")
@allow(Role.OPERATOR)
@describe({200: LinesView})
def drawn(depot_id: str) -> dict[str, Any]:
    """The ways that its routes would take; none if no plan waits."""
    depot = my_depot(depot_id)
    made = commit.proposal(store(), depot.id)
    if made is None:
        return {"version": 0, "lines": []}
    found = lines(store(), services().settings, depot, made.plan, now=time.time())
    return {"version": made.plan.version, "lines": [way(one) for one in found]}


@blueprint.post("/v1/depots/<depot_id>/proposals/<proposal_id>/accept")
@allow(Role.OPERATOR)
@describe({200: AcceptedView}, problems=(409,))
def accept(depot_id: str, proposal_id: str) -> dict[str, Any]:
    """Publish it. 409 `proposal_outdated` if what it was made from has changed: another one is asked for then."""
    depot, made = _waiting(depot_id, proposal_id)
    outcome, detail = commit.accept(store(), depot.id, made, now=time.time())
    if outcome is not Outcome.PUBLISHED:
        raise ApiProblem(409, "proposal_outdated", f"Something has changed since it was made ({detail}).", "Wait for the next one.")
    return {"version": int(detail)}


@blueprint.post("/v1/depots/<depot_id>/proposals/<proposal_id>/discard")
@allow(Role.OPERATOR)
@describe({204: None}, problems=(409,))
def discard(depot_id: str, proposal_id: str) -> tuple[str, int]:
    """Drop it: the plan in force stays, and what it would have answered waits for the next."""
    depot, made = _waiting(depot_id, proposal_id)
    if not commit.discard(store(), depot.id, made):
        raise not_found("proposal", proposal_id)
    return "", 204


def _waiting(depot_id: str, proposal_id: str) -> tuple[Depot, Proposal]:
    """The one that is named; another one may have taken its place."""
    depot = my_depot(depot_id)
    made = commit.proposal(store(), depot.id)
    if made is None:
        raise not_found("proposal", proposal_id)
    if made.id != proposal_id:
        raise ApiProblem(409, "proposal_outdated", "Another proposal has taken its place.", "Look at that one.",
                         extra={"proposal_id": made.id})  # fmt: skip
    return depot, made
