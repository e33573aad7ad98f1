"""Webhooks: be told of what becomes of orders, signed, at least once, and again for a day."""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import msgspec
from flask import Blueprint

from ingest import context, webhooks
from ingest.auth import Role
from ingest.context import allow, caller, my_depot, services, store
from ingest.openapi import describe
from ingest.parsing import body, checked, query
from ingest.problems import ApiProblem, Fault, invalid, not_found
from ingest.schemas import DeliveriesQuery, DepotQuery, RotateIn, WebhookIn, WebhookPatch, iso
from ingest.store import readers
from ingest.webhooks import Webhook
from routing.model import Depot
from workers import deliveries
from workers.views import DeliveriesView, DeliveryView, NewWebhookView, RetriedView, SentView, WebhooksView, WebhookView

blueprint = Blueprint("webhooks", __name__)

MOST_SECRETS = 3
"""So many secrets before the newest one may still be good."""

TESTING = threading.BoundedSemaphore(2)
"""So many test events are on their way at a time: each keeps a thread that other calls wait for."""


@blueprint.post("/v1/webhooks")
@allow(Role.OPERATOR, Role.SHIPPER)
@describe({201: NewWebhookView}, body=WebhookIn, problems=(404, 409))
def make() -> tuple[dict[str, Any], int]:
    """Be told of events from now on; the secret that they are signed with is in this answer and nowhere else.

    Shippers hear of their own orders, operators of all, and of plans. Messages have the format of Standard Webhooks: `webhook-id`,
    `webhook-timestamp`, `webhook-signature`; the body is an event as in the feed.
    """
    wanted = checked(WebhookIn, body())
    _judge(wanted.url)
    for depot_id in wanted.depots:
        my_depot(depot_id)
    if sum(webhook.owner == _owner() for webhook in _mine()) >= webhooks.MOST:
        raise ApiProblem(409, "too_many_webhooks", f"You have {webhooks.MOST} webhooks.", "Delete one, or let one have more types.")
    made = Webhook(webhooks.new_id(), caller().tenant, _owner(), wanted.url, webhooks.new_secret(), context.now(),
                   tuple(wanted.types), tuple(wanted.depots) or caller().depots)  # fmt: skip
    webhooks.put(store(), made)
    return _view(made) | {"secret": made.secret}, 201


def _owner() -> str:
    return "" if caller().role is Role.OPERATOR else caller().account


def _judge(url: str) -> None:
    try:
        webhooks.judged(urlsplit(url), services().settings.webhook_networks)
    except (webhooks.Unsafe, ValueError) as error:
        raise invalid([Fault("unsafe_url", "/url", f"Nothing is sent there: {error}.",
                             "Give an https URL on the public internet.")]) from None  # fmt: skip


def _mine() -> list[Webhook]:
    """The caller's, at depots that the key reaches; operators see those of their tenant's shippers, too."""
    who = caller()
    return [webhook for webhook in webhooks.every(store())
            if webhook.tenant == who.tenant and (who.role is Role.OPERATOR or webhook.owner == who.account)
            and (not who.depots or (webhook.depots and set(webhook.depots) <= set(who.depots)))]  # fmt: skip


def _one(webhook_id: str) -> Webhook:
    found = next((webhook for webhook in _mine() if webhook.id == webhook_id), None)
    if found is None:
        raise not_found("webhook", webhook_id)
    return found


@blueprint.get("/v1/webhooks")
@allow(Role.OPERATOR, Role.SHIPPER)
@describe({200: WebhooksView})
def listing() -> dict[str, Any]:
    """The caller's webhooks, without their secrets."""
    return {"webhooks": [_view(webhook) for webhook in _mine()]}


@blueprint.get("/v1/webhooks/<webhook_id>")
@allow(Role.OPERATOR, Role.SHIPPER)
@describe({200: WebhookView})
def one(webhook_id: str) -> dict[str, Any]:
    """One webhook."""
    return _view(_one(webhook_id))


@blueprint.patch("/v1/webhooks/<webhook_id>")
@allow(Role.OPERATOR, Role.SHIPPER)
@describe({200: WebhookView}, body=WebhookPatch, problems=(404,))
def change(webhook_id: str) -> dict[str, Any]:
    """Change what a webhook listens to, and where; or be silent for a time.

    What waited when it was disabled is sent when it is enabled again; what happened in between is in the feed.
    """
    before, wanted = _one(webhook_id), checked(WebhookPatch, body())
    if wanted.url is not None:
        _judge(wanted.url)
    for depot_id in wanted.depots or ():
        my_depot(depot_id)
    given: dict[str, Any] = {"url": wanted.url} if wanted.url else {}
    given |= {"types": tuple(wanted.types)} if wanted.types is not None else {}
    given |= {"depots": tuple(wanted.depots) or caller().depots} if wanted.depots is not None else {}
    given |= {"enabled": wanted.enabled, "why_disabled": ""} if wanted.enabled is not None else {}
    after = _changed(before, lambda webhook: msgspec.structs.replace(webhook, **given))
    if after.enabled and not before.enabled:
        deliveries.resume(store(), after)
    return _view(after)


def _changed(webhook: Webhook, change: Callable[[Webhook], Webhook]) -> Webhook:
    made = webhooks.change(store(), webhook.id, change)
    if made is None:
        raise not_found("webhook", webhook.id)
    return made


@blueprint.delete("/v1/webhooks/<webhook_id>")
@allow(Role.OPERATOR, Role.SHIPPER)
@describe({204: None})
def drop(webhook_id: str) -> tuple[str, int]:
    """Be told nothing more, not even what waits."""
    webhooks.drop(store(), [_one(webhook_id).id])
    return "", 204


@blueprint.post("/v1/webhooks/<webhook_id>/rotate")
@allow(Role.OPERATOR, Role.SHIPPER)
@describe({200: NewWebhookView}, body=RotateIn)
def rotate(webhook_id: str) -> dict[str, Any]:
    """A new secret. Messages are signed with both for `overlap` seconds, so that a listener can change over when it likes."""
    before, wanted = _one(webhook_id), checked(RotateIn, body())
    now, secret = context.now(), webhooks.new_secret()

    def change(webhook: Webhook) -> Webhook:
        earlier = [(webhook.secret, now + wanted.overlap), *((old, until) for old, until in webhook.earlier if until > now)]
        return msgspec.structs.replace(webhook, secret=secret, earlier=tuple(earlier[:MOST_SECRETS] if wanted.overlap else ()))

    return _view(_changed(before, change)) | {"secret": secret}


@blueprint.post("/v1/webhooks/<webhook_id>/test")
@allow(Role.OPERATOR, Role.SHIPPER)
@describe({200: SentView}, problems=(503,))
def test(webhook_id: str) -> dict[str, Any]:
    """Send an event of type `webhook.test` now, and say what came of it."""
    webhook = _one(webhook_id)
    message = f"test_{secrets.token_hex(8)}"
    told: dict[str, Any] = {"id": message, "type": "webhook.test", "timestamp": iso(context.now()), "depot_id": None, "sequence": 0,
                            "data": {}}  # fmt: skip
    if not TESTING.acquire(blocking=False):
        raise ApiProblem(503, "busy", "Other test events are on their way.", "Try again in a moment.", headers={"Retry-After": "5"})
    try:
        sent = webhooks.send(webhook, message, json.dumps(told).encode(), services().settings.webhook_networks)
    finally:
        TESTING.release()
    return {"event_id": message, "delivered": sent.delivered, "status": sent.status, "error": sent.error, "ms": sent.ms}


@blueprint.get("/v1/webhooks/<webhook_id>/deliveries")
@allow(Role.OPERATOR, Role.SHIPPER)
@describe({200: DeliveriesView}, query=DeliveriesQuery)
def log(webhook_id: str) -> dict[str, Any]:
    """What was sent of a depot's events, and what came of it, the newest first; `state=dead` is what was given up after a day."""
    webhook, asked = _one(webhook_id), query(DeliveriesQuery)
    depot = my_depot(asked.depot_id)
    found = deliveries.logged(store(), depot.id, webhook.id, state=asked.state, limit=asked.limit)
    return {"deliveries": [deliveries.view(depot, delivery) for delivery in found]}


@blueprint.post("/v1/webhooks/<webhook_id>/deliveries/<message_id>/retry")
@allow(Role.OPERATOR, Role.SHIPPER)
@describe({202: DeliveryView}, problems=(409,))
def retry(webhook_id: str, message_id: str) -> tuple[dict[str, Any], int]:
    """Send an event again, from the beginning of all tries, whatever came of it before."""
    webhook, named = _one(webhook_id), _named(message_id)
    if not webhook.enabled:
        raise ApiProblem(409, "disabled", "This webhook is disabled.", "Enable it first.")
    found = deliveries.found(store(), named[0].id, webhook.id, named[1]) if named else None
    if named is None or found is None:
        raise not_found("delivery", message_id)
    return deliveries.view(named[0], deliveries.again(store(), named[0].id, found)), 202


def _named(message_id: str) -> tuple[Depot, int] | None:
    """An event's depot and number, by its id."""
    depot_id, _, number = message_id.removeprefix("evt_").rpartition("_")
    depot = readers.depot(store(), depot_id)
    beyond = caller().depots and depot_id not in caller().depots
    counted = number.isascii() and number.isdigit() and len(number) < 16
    if depot is None or beyond or depot.tenant != caller().tenant or not counted:
        return None
    return depot, int(number)


@blueprint.post("/v1/webhooks/<webhook_id>/retry")
@allow(Role.OPERATOR, Role.SHIPPER)
@describe({202: RetriedView}, query=DepotQuery, problems=(409,))
def retry_all(webhook_id: str) -> tuple[dict[str, Any], int]:
    """Send all of a depot's events again that were given up."""
    webhook, depot = _one(webhook_id), my_depot(query(DepotQuery).depot_id)
    if not webhook.enabled:
        raise ApiProblem(409, "disabled", "This webhook is disabled.", "Enable it first.")
    dead = deliveries.logged(store(), depot.id, webhook.id, state="dead", limit=10_000)
    for delivery in dead:
        deliveries.again(store(), depot.id, delivery)
    return {"retried": len(dead)}, 202


def _view(webhook: Webhook) -> dict[str, Any]:
    until = max((until for _, until in webhook.earlier), default=0.0)
    return {
        "id": webhook.id, "url": webhook.url, "types": list(webhook.types), "depots": list(webhook.depots),
        "enabled": webhook.enabled, "why_disabled": webhook.why_disabled, "created_at": iso(webhook.created_at),
        "secret_prefix": webhook.secret[:10], "earlier_secret_until": iso(until) if until > context.now() else None,
    }  # fmt: skip
