"""What if: the plan that some changes would lead to, before they are made."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

from flask import Blueprint

from ingest import context, orders
from ingest.auth import Role
from ingest.context import allow, caller, my_depot, my_record, services, snapper_of, store
from ingest.endpoints import roads
from ingest.openapi import describe
from ingest.parsing import body, checked, parse
from ingest.problems import ApiProblem, Fault, invalid
from ingest.schemas import OrderIn, WhatIfIn
from routing import codec
from routing.model import Depot, Dispatch, Order, Plan, RoadEvent
from workers import whatif
from workers.views import WhatIfView

blueprint = Blueprint("whatif", __name__)


@blueprint.post("/v1/depots/<depot_id>/what-if")
@allow(Role.OPERATOR)
@describe({200: WhatIfView}, body=WhatIfIn, problems=(404,))
def ask(depot_id: str) -> dict[str, Any]:
    """The plan that changes would lead to, made, checked and thrown away: nothing is changed.

    New orders, cancellations, road events, and drivers on or off duty, all together. It is compared with the plan that there would
    be without them: who gains and loses what, the cost by part, the disruption of drivers on the road, what nobody could serve.
    """
    depot, data, now = my_depot(depot_id), body(), context.now()
    wanted, faults = checked(WhatIfIn, data), list[Fault]()
    new = tuple(_order(depot, number, data["orders"][number], one, faults) for number, one in enumerate(wanted.orders))
    events = list[RoadEvent]()
    for number, one in enumerate(wanted.road_events):
        wrong: list[Fault] = []
        _here(depot, one.depot_id, wrong)
        events.append(roads.made(depot, one, wrong, now))
        faults += [replace(fault, pointer=f"/road_events/{number}{fault.pointer}") for fault in wrong]
    for name, family, ids in (("cancel", "orders", wanted.cancel), ("reopen", "road_events", wanted.reopen),
                              ("off_duty", "drivers", wanted.off_duty), ("on_duty", "drivers", wanted.on_duty)):  # fmt: skip
        faults += [Fault("unknown_id", f"/{name}/{number}", f"The depot has no {one!r}.", "Use a full id of this depot.")
                   for number, one in enumerate(ids) if not _known(depot, family, one)]  # fmt: skip
    if faults:
        raise invalid(faults)
    changes = whatif.Changes(new, frozenset(wanted.cancel), tuple(events), frozenset(wanted.reopen), frozenset(wanted.off_duty),
                             frozenset(wanted.on_duty))  # fmt: skip
    answer = whatif.ask(store(), services().settings, depot.id, changes, at=now, budget=float(wanted.budget))
    assert answer is not None  # my_depot found it
    after, was = answer.after, {item.order_id for item in answer.before.unassigned}
    return {
        "version": answer.version, "before": _side(answer.before), "after": _side(after), "diff": asdict(answer.diff),
        "disruption": {"moved": after.moved, "resequenced": after.resequenced, "shifted": after.shifted,
                       "cost": after.costs.get("changes", 0)},
        "unassigned": [codec.builtins(item) for item in after.unassigned if item.order_id not in was],
        "orders": [order.id for order in new],
    }  # fmt: skip


def _order(depot: Depot, number: int, data: dict[str, Any], wanted: OrderIn, faults: list[Fault]) -> Order:
    """A prospective order; what is wrong with it comes to the faults."""
    _, right, _ = parse(OrderIn, data)
    wrong = orders.Rules(store(), depot, snapper_of(depot), caller()).faults(right)
    _here(depot, wanted.depot_id, wrong)
    if wanted.dispatch is not Dispatch.PLANNED:
        wrong.append(Fault("inconsistent", "/dispatch", "What cannot wait is offered at once, and not planned.", "Order it."))
    faults += [replace(fault, pointer=f"/orders/{number}{fault.pointer}") for fault in wrong]
    return orders.made(depot, wanted, shipper=caller().account, now=context.now())


def _here(depot: Depot, depot_id: str, faults: list[Fault]) -> None:
    if depot_id != depot.id:
        faults.append(Fault("inconsistent", "/depot_id", f"It is of depot {depot_id!r}.", f"Give {depot.id!r}."))


def _known(depot: Depot, family: str, record_id: str) -> bool:
    try:
        return bool(my_record(family, record_id)[0].id == depot.id)
    except ApiProblem:
        return False


def _side(plan: Plan) -> dict[str, Any]:
    cost = plan.cost - plan.costs.get("unassigned", 0)
    return {"cost": cost, "costs": plan.costs, "late": whatif.late(plan), "unassigned": len(plan.unassigned)}
