"""The ASGI front on the one public port: it waits and streams, Flask decides everything else.

Streams and long polls cost a coroutine each, not a thread. One reader of the `published` stream serves all of
them; it resumes where it was after any gap, so a subscriber misses nothing while Redis is away.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Any

import redis
import redis.asyncio
import redis.asyncio.retry
from a2wsgi import WSGIMiddleware
from flask import Flask
from redis.backoff import ConstantBackoff

from ingest.settings import Settings
from ingest.store import embedded, keys, readers
from ingest.store.connection import Store
from workers import live
from workers.live import event

log = logging.getLogger(__name__)

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

THREADS = 16
"""Requests Flask works on at a time."""

BODY_S = 30.0
"""So long a request's body may take."""

HELD = 64 << 20
"""Bytes of bodies that Flask has not answered yet, of all callers together; files that are imported are counted apart."""

UNASKED = 64 << 10
"""Bytes of a body that are taken from anybody; for more it is asked first who calls."""

HEARTBEAT_S = 15.0
KNOWN_S = 60.0
"""After so long it is asked again whether a stream's caller may still read it."""

BACKLOG = 100
"""Versions a slow client may be behind before its stream is closed; it resumes by Last-Event-ID."""

DEAF_S = 60.0
"""After so long without hearing of what is published some of it may be gone: streams are ended, and resume from what is kept of
each driver's versions."""

HOOK_S = 0.2
"""After so long the server runs, and has its own handlers of signals."""

_BLOCK_MS = 2000


Item = tuple[int | None, str]
"""A server-sent event, and its number (a route version, or a place in a depot's feed) if a stream can be resumed from it."""

LOOK_S = 1.0
"""How often a depot that somebody watches is looked at."""


class Busy(Exception):
    """There is no room for a body at the moment."""


class Stranger(Exception):
    """Nobody known sends a long body; `answer` is what he gets: status, headers and text."""

    def __init__(self, *answer: Any) -> None:
        super().__init__()
        self.answer = answer


class Hub:
    """Routes as they are published, to whoever subscribed to their driver."""

    def __init__(self, settings: Settings) -> None:
        self._url = embedded.url(settings)
        self._subscribers: dict[str, set[asyncio.Queue[Item | None]]] = {}
        self._last = ""
        self._ending = False

    def subscribe(self, driver: str) -> asyncio.Queue[Item | None]:
        """A queue of (route version, document), or (None, offer); None means: too slow, or the end."""
        queue: asyncio.Queue[Item | None] = asyncio.Queue()
        self._subscribers.setdefault(driver, set()).add(queue)
        if self._ending:
            queue.put_nowait(None)
        return queue

    def end(self) -> None:
        """The process is to end: nobody waits here any more."""
        self._ending = True
        self.close()

    def unsubscribe(self, driver: str, queue: asyncio.Queue[Item | None]) -> None:
        """Stop delivering to a queue."""
        queues = self._subscribers.get(driver, set())
        queues.discard(queue)
        if not queues:
            self._subscribers.pop(driver, None)

    def close(self) -> None:
        """End all streams and long polls, so that their clients ask again: somebody else, if this process is to end."""
        for queues in self._subscribers.values():
            for queue in queues:
                queue.put_nowait(None)

    async def run(self) -> None:
        """Read what is published, for ever."""
        retry = redis.asyncio.retry.Retry(ConstantBackoff(0.05), 1)
        client: Store = redis.asyncio.Redis.from_url(
            self._url, decode_responses=True, socket_timeout=_BLOCK_MS / 1000 + 2, retry=retry)  # fmt: skip
        heard = time.monotonic()
        while True:
            try:
                if time.monotonic() - heard > DEAF_S:
                    self.close()
                if not self._last:
                    newest = await client.xrevrange(keys.shared_key("published"), count=1)
                    self._last = newest[0][0] if newest else "0"
                found = await client.xread({keys.shared_key("published"): self._last}, block=_BLOCK_MS, count=200)
                heard = time.monotonic()
                for _, rows in found or []:
                    for entry, fields in rows:
                        self._last = entry
                        if "offers" in fields:
                            self._tell("offer", None, json.loads(fields["offers"]))
                        else:
                            self._tell("route", int(fields["version"]), json.loads(fields["routes"]))
            except (KeyError, ValueError) as error:  # not ours; what follows is
                log.error("passed over %s of what was published: %r", self._last, error)
            except (redis.RedisError, OSError) as error:
                log.warning("The hub cannot read: %s", error)
                await asyncio.sleep(0.5)

    def _tell(self, name: str, version: int | None, documents: dict[str, str]) -> None:
        for driver, text in documents.items():
            self.deliver(driver, (version, event(name, version, text)))

    def deliver(self, topic: str, item: Item) -> None:
        """Put something into the queues of all who subscribed to a driver or a depot."""
        for queue in self._subscribers.get(topic, ()):
            queue.put_nowait(item if queue.qsize() < BACKLOG else None)

    def listens(self, topic: str) -> bool:
        """Whether anybody does."""
        return topic in self._subscribers


class Watch:
    """Looks at depots that somebody watches, once for all who do."""

    def __init__(self, hub: Hub, store: Store) -> None:
        self._hub, self._store = hub, store
        self._watchers: dict[str, live.Watcher] = {}

    async def begin(self, depot_id: str) -> None:
        """Be ready to tell what happens at a depot from now on."""
        if depot_id not in self._watchers:
            depot = await asyncio.to_thread(readers.depot, self._store, depot_id)
            if depot is not None:
                self._watchers.setdefault(depot_id, await asyncio.to_thread(live.Watcher, self._store, depot))

    async def run(self) -> None:
        """Look, for ever."""
        while True:
            await asyncio.sleep(LOOK_S)
            for depot_id, watcher in list(self._watchers.items()):
                if not self._hub.listens(depot_id):
                    del self._watchers[depot_id]
                    continue
                try:
                    told = await asyncio.to_thread(watcher.look)
                except (redis.RedisError, OSError) as error:
                    log.warning("The depot %s cannot be looked at: %s", depot_id, error)
                    continue
                except Exception:  # a defect at one depot; others are looked at all the same
                    log.exception("The depot %s cannot be looked at", depot_id)
                    continue
                for item in told:
                    self._hub.deliver(depot_id, item)


class Front:
    """The ASGI application."""

    def __init__(self, app: Flask, settings: Settings) -> None:
        self._flask = WSGIMiddleware(app, workers=THREADS)  # type: ignore[arg-type]  # Flask is a WSGI application
        self._hub = Hub(settings)
        self._watch = Watch(self._hub, app.extensions["lastleg"].redis)
        self._limit, self._limits = settings.body_limit, {"/v1/imports": settings.import_limit}
        self._room = {"/v1/imports": 2 * settings.import_limit}
        self._held: Counter[str] = Counter()
        self._tasks: list[asyncio.Task[None]] = []

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Serve one connection event."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                self._tasks = [asyncio.create_task(self._hub.run()), asyncio.create_task(self._watch.run())]
                asyncio.get_running_loop().call_later(HOOK_S, _before_the_server, self._hub.end)
            else:
                self._hub.close()
                for task in self._tasks:
                    task.cancel()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return

    async def _http(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["path"] == "/healthz" and scope["method"] in ("GET", "HEAD"):  # this process answers, whatever Flask waits for
            await _answer(send, 200, [(b"content-type", b"application/json")], b'{"status":"alive"}')
            return
        held: list[int] = []
        try:
            await self._answered(scope, receive, send, held)
        finally:
            self._release(scope, held)

    def _release(self, scope: dict[str, Any], held: list[int]) -> None:
        self._held[self._account(scope)] -= sum(held)
        held.clear()

    def _account(self, scope: dict[str, Any]) -> str:
        """What a body is counted with: files that are long on their way keep nobody else from sending."""
        return str(scope["path"]) if scope["path"] in self._room else ""

    async def _answered(self, scope: dict[str, Any], receive: Receive, send: Send, held: list[int]) -> None:
        try:
            body = await self._body(scope, receive, held)
        except TimeoutError:
            await _refuse(send, 408, "body_too_slow", f"The body did not come within {BODY_S:.0f} s.")
            return
        except Busy:
            await _refuse(send, 503, "busy", "Too much is being sent at the moment.", retry_after=True)
            return
        except Stranger as stranger:
            await _answer(send, *stranger.answer)
            return
        if body is None:
            return
        own = [(name, value) for name, value in scope["headers"] if not name.replace(b"_", b"-").startswith(b"x-lastleg-")
               and name not in {b"content-length", b"transfer-encoding"}]  # fmt: skip
        scope = {**scope, "headers": [*own, (b"content-length", str(len(body)).encode())]}
        status, headers, text = await self._ask_flask(scope, body)
        self._release(scope, held)
        told = {name: value.decode() for name, value in headers if name.startswith(b"x-lastleg-")}
        subscribed = {**scope, "headers": [*scope["headers"], (b"x-lastleg-subscribed", b"1")]}
        if b"x-lastleg-wait" in told:
            driver, _, seconds = told[b"x-lastleg-wait"].partition(" ")
            await self._long_poll(subscribed, driver, float(seconds), receive, send)
        elif b"x-lastleg-watch" in told:
            await self._stream(subscribed, told[b"x-lastleg-watch"], receive, send, begin=self._watch.begin)
        elif b"x-lastleg-stream" in told:
            await self._stream(subscribed, told[b"x-lastleg-stream"], receive, send)
        else:
            await _answer(send, status, headers, text)

    async def _body(self, scope: dict[str, Any], receive: Receive, held: list[int]) -> bytes | None:
        """The body, cut just above the limit (Flask then refuses it); None if the client left. `held` gets the sizes of its parts.

        Raises
        ------
        TimeoutError
            If it does not come in time.
        Busy
            If too much of all bodies is held already.
        Stranger
            If it is long, and nobody known sends it.
        """
        parts, size, known, account = [], 0, False, self._account(scope)
        limit, room = self._limits.get(scope["path"], self._limit), self._room.get(account, HELD)
        async with asyncio.timeout(BODY_S):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return None
                parts.append(message.get("body", b""))
                size += len(parts[-1])
                held.append(len(parts[-1]))
                self._held[account] += held[-1]
                if self._held[account] > room:
                    raise Busy
                if size > UNASKED and not known:
                    await self._known(scope)
                    known = True
                if size > limit or not message.get("more_body", False):
                    return b"".join(parts)[: limit + 1]

    async def _known(self, scope: dict[str, Any]) -> None:
        """Ask who calls before more of a body is taken."""
        kept = (b"authorization", b"cookie", b"x-csrf-token")
        headers = [(name, value) for name, value in scope["headers"] if name in kept]
        asked = {**scope, "method": "GET", "path": "/v1/me", "raw_path": b"/v1/me", "query_string": b"", "headers": headers}
        status, told, text = await self._ask_flask(asked, b"")
        if status != 200:
            raise Stranger(status, told, text)

    async def _ask_flask(self, scope: dict[str, Any], body: bytes) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        messages: list[Message] = []
        given = False

        async def receive() -> Message:
            nonlocal given
            if given:
                return {"type": "http.disconnect"}
            given = True
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Message) -> None:
            messages.append(message)

        await self._flask(scope, receive, send)  # type: ignore[arg-type]  # a2wsgi's types are TypedDicts of the same
        start = next(message for message in messages if message["type"] == "http.response.start")
        text = b"".join(message.get("body", b"") for message in messages if message["type"] == "http.response.body")
        return start["status"], [(name.lower(), value) for name, value in start["headers"]], text

    async def _long_poll(self, scope: dict[str, Any], driver: str, seconds: float, receive: Receive, send: Send) -> None:
        queue = self._hub.subscribe(driver)
        try:
            status, headers, text = await self._ask_flask(scope, b"")  # published before we subscribed?
            if status == 304:
                gone, woken = asyncio.ensure_future(_left(receive)), asyncio.ensure_future(queue.get())
                done, _ = await asyncio.wait({gone, woken}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
                gone.cancel()
                woken.cancel()
                if gone in done:
                    return
                status, headers, text = await self._ask_flask(scope, b"")
        finally:
            self._hub.unsubscribe(driver, queue)
        await _answer(send, status, headers, text)

    async def _stream(self, scope: dict[str, Any], topic: str, receive: Receive, send: Send,
                      begin: Callable[[str], Awaitable[None]] | None = None) -> None:  # fmt: skip
        queue = self._hub.subscribe(topic)
        try:
            try:
                await (begin(topic) if begin is not None else asyncio.sleep(0))
            except (redis.RedisError, OSError):
                await _refuse(send, 503, "redis_away", "The store does not answer.", retry_after=True)
                return
            status, headers, text = await self._ask_flask(scope, b"")
            version = int(dict(headers).get(b"x-lastleg-version", b"-1"))
            if status != 200 or version < 0:
                await _answer(send, status, headers, text)
                return
            sse = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store"), (b"x-accel-buffering", b"no")]
            await send({"type": "http.response.start", "status": 200, "headers": sse})
            await _chunk(send, b"retry: 1000\n\n" + text)
            pump = asyncio.ensure_future(self._pump(scope, queue, version, send))
            gone = asyncio.ensure_future(_left(receive))
            await asyncio.wait({pump, gone}, return_when=asyncio.FIRST_COMPLETED)
            gone.cancel()
            pump.cancel()
            if pump.done():
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            self._hub.unsubscribe(topic, queue)

    async def _pump(self, scope: dict[str, Any], queue: asyncio.Queue[Item | None], version: int, send: Send) -> None:
        """Send what is published after `version`; end when the client is too slow, or may not read it any more."""
        asked = time.monotonic() - KNOWN_S * random.random()  # not all of them at once
        while True:
            try:
                item = await asyncio.wait_for(queue.get(), HEARTBEAT_S)
            except TimeoutError:
                item = (version, "")
                await _chunk(send, b": alive\n\n")
            if item is None or (time.monotonic() - asked > KNOWN_S and not await self._may(scope, version)):
                return
            if time.monotonic() - asked > KNOWN_S:
                asked = time.monotonic()
            if item[0] is None or item[0] > version:
                version = version if item[0] is None else item[0]
                await _chunk(send, item[1].encode())

    async def _may(self, scope: dict[str, Any], version: int) -> bool:
        """Whether a stream's caller may still read it; nothing is read for that if there is nothing new."""
        headers = [header for header in scope["headers"] if header[0] != b"last-event-id"]
        status, _, _ = await self._ask_flask({**scope, "headers": [*headers, (b"last-event-id", str(version).encode())]}, b"")
        return status not in (401, 403, 404)


async def _refuse(send: Send, status: int, code: str, detail: str, *, retry_after: bool = False) -> None:
    """An error that Flask is not asked about."""
    text = json.dumps({"type": f"urn:lastleg:error:{code}", "title": HTTPStatus(status).phrase, "status": status, "code": code,
                       "detail": detail, "remedy": "Send the same request again, with the same ids."})  # fmt: skip
    headers = [(b"content-type", b"application/problem+json"), (b"connection", b"close")]
    await _answer(send, status, headers + [(b"retry-after", b"2")] * retry_after, text.encode())


def _before_the_server(first: Callable[[], None]) -> None:
    """Do something when the process is told to stop, before the server waits for all calls it has begun.

    ASGI tells of the end only after that wait, which streams and long polls would outlast. asyncio has no way to add to a handler
    but to find it.
    """
    loop = asyncio.get_running_loop()
    handlers: dict[int, asyncio.Handle] = loop._signal_handlers  # type: ignore[attr-defined]  # see above

    def both(theirs: asyncio.Handle) -> None:
        first()
        theirs._run()

    for number in {signal.SIGTERM, signal.SIGINT} & handlers.keys():
        loop.add_signal_handler(number, both, handlers[number])


async def _left(receive: Receive) -> None:
    """Return when the client is gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _chunk(send: Send, body: bytes) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": True})


async def _answer(send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    public = [(name, value) for name, value in headers if not name.startswith(b"x-lastleg-")]
    await send({"type": "http.response.start", "status": status, "headers": public})
    await send({"type": "http.response.body", "body": body})
