// The driver's page: the next stop, the sequence, what changed and why; and reports that reach the server sooner or later.
// An example of what docs/driver-app.md promises: facts wait in a queue, intentions may be refused, one version number.

import { call, hhmm, iso, resume, session, signIn, uuid } from "/web/api.js";
import { $, ask, choice, el, fill, note, theme } from "/web/dom.js";
import { restsAhead } from "/web/rests.js";
import { forget, keep, kept, push, sent, waiting } from "/web/store.js";
import { isReload, trigger } from "/web/words.js";

const PING_S = 10;
const WAIT_S = 10;
const SETTLE_MS = 600;
const AGAIN_MS = 2000;
const ENDED = new Set(["completed", "failed", "cancelled", "moved"]);

let me = null; // {driver_id, csrf_token, expires_at}: of the session
let profile = null; // {name, state}: as the depot knows him
let route = null; // as the server has told it last
let clock = null; // {now, at (ms here), scale} of the depot
let tag = "";
let acknowledged = 0;
let sending = null;
let entered = false;
let rounds = 0;
let told = new Map(); // calls that have been answered, and wait for the route as it is after them
let online = true;
let pings = [];
let seq = 0;
let card = { of: "", since: 0 }; // which stop is shown large, and since when
let refused = new Set(); // stops that were declined here, until the next route

theme();
start();

async function start() {
  $("login").querySelector("form").addEventListener("submit", async (event) => {
    event.preventDefault();
    await tryKey(new FormData(event.target).get("key").trim());
  });
  window.addEventListener("unhandledrejection", (event) => note(event.reason?.text ?? `Something failed: ${event.reason?.message ?? event.reason}`));
  navigator.serviceWorker?.register("/driver-worker.js", { scope: "/driver" });
  const token = location.hash.slice(1);
  if (token) {
    history.replaceState(null, "", location.pathname);
    if (await tryKey(token)) return;
  }
  me = await kept("me");
  if (me) resume(me.csrf_token);
  try {
    const told = await session("driver");
    if (told) await signedIn(told);
    else me = null;
  } catch {
    online = false; // what is kept will do
  }
  if (me) return enter();
  $("login").hidden = false;
}

async function tryKey(key) {
  const error = $("login").querySelector(".error");
  try {
    const told = await signIn(key, "driver");
    if ((await kept("me"))?.driver_id !== told.driver_id) {
      await forget();
      route = clock = profile = null;
      pings = [];
    }
    await signedIn(told);
    tag = "";
    $("login").hidden = true;
    enter();
    return true;
  } catch (problem) {
    $("login").hidden = false;
    error.textContent = problem.text ?? "The server does not answer.";
    error.hidden = false;
    return false;
  }
}

async function signedIn(told) {
  me = told;
  await keep("me", told);
}

async function enter() {
  route = (await kept("route")) ?? null;
  clock = (await kept("clock")) ?? null;
  profile = (await kept("profile")) ?? null;
  seq = (await kept("seq")) ?? 0;
  acknowledged = (await kept("acknowledged")) ?? 0;
  $("login").hidden = true;
  $("app").hidden = false;
  draw();
  follow();
  if (entered) return;
  entered = true;
  window.addEventListener("online", flush);
  setInterval(draw, 15_000);
  setInterval(flush, 5000);
  locate();
}

/** The depot's time now (s); of a clock that was told before, if need be. */
function now() {
  return clock ? clock.now + ((Date.now() - clock.at) / 1000) * clock.scale : Date.now() / 1000;
}

/** A time of day, in the depot. */
const time = (at) => hhmm(at, clock?.zone ?? "UTC");

// The route, by long polls.

async function follow() {
  const round = ++rounds; // who signs in again begins another one
  while (round === rounds) {
    try {
      await flush();
      await readSelf();
      const headers = { "X-CSRF-Token": me.csrf_token, ...(tag ? { "If-None-Match": tag } : {}) };
      const answer = await fetch(`${own()}/route?wait=${tag ? WAIT_S : 0}`, { headers, signal: AbortSignal.timeout((WAIT_S + 20) * 1000) });
      if (round !== rounds) return;
      if (answer.ok) {
        await take(await answer.json());
        tag = answer.headers.get("ETag");
      } else if (answer.status !== 304) throw Object.assign(new Error("no route"), { status: answer.status });
      else await take(await call("GET", `${own()}/route`)); // what others say of stops has no version
      reached(true);
    } catch (problem) {
      if (round !== rounds || await gone(problem)) return;
      reached(false);
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
    }
  }
}

/** Who he is and whether he is on duty: others may have said so. And what time it is there: phones' clocks drift. */
async function readSelf() {
  const [driver, depot] = await Promise.all([call("GET", own()), call("GET", `/v1/depots/${me.driver_id.split(".")[0]}`)]);
  profile = { name: driver.name, state: driver.state };
  clock = { now: Date.parse(depot.clock.now) / 1000, at: Date.now(), scale: depot.clock.scale, zone: depot.timezone };
  await Promise.all([keep("profile", profile), keep("clock", clock)]);
  draw();
}

async function take(told) {
  if (route && told.route_version > route.route_version) refused = new Set();
  route = told;
  await keep("route", route);
  draw();
}

function reached(yes) {
  if (online !== yes) {
    online = yes;
    draw();
  }
}

/** By name and not as `me`: a session of somebody else on this phone reaches nothing of his. */
const own = () => `/v1/drivers/${me.driver_id}`;

/** Whether the server refuses because this session is over, or is somebody else's: then one signs in again, and nothing is lost. */
async function gone(problem) {
  if (![401, 403, 404].includes(problem.status)) return false;
  const told = await session("driver").catch(() => undefined);
  if (told === undefined) return false;
  if (told?.driver_id === me.driver_id) {
    await signedIn(told); // in another tab, maybe
    return false;
  }
  signedOut();
  return true;
}

function signedOut() {
  rounds += 1;
  $("app").hidden = true;
  $("login").hidden = false;
  note("Sign in again; what has not been sent is kept.");
}

// Reports: into the queue first, then to the server, the oldest first.

async function report(path, body, more = {}) {
  const event = { event_id: uuid(), occurred_at: iso(now()), ...(path.startsWith("/v1/stops/") ? { driver_id: me.driver_id } : {}), ...body };
  await push({ driver: me.driver_id, path, body: event, ...more });
  draw();
  flush();
}

async function flush() {
  sending ??= (async () => {
    if ($("app").hidden) return; // nobody is signed in
    const mine = me.driver_id;
    const calls = await waiting(mine);
    for (const [key, { path, body }] of calls) {
      if (told.has(key)) continue;
      try {
        await call("POST", path, body);
      } catch (problem) {
        if (!problem.final || await gone(problem) || me.driver_id !== mine || [401, 403].includes(problem.status)) throw problem;
        note(problem.status === 409 ? "That stop is no longer yours." : problem.text);
        if (body.type === "declined") refused = new Set(); // they are his after all
      }
      told.set(key, body);
    }
    if (!calls.length) return;
    await readSelf();
    await take(await call("GET", `${own()}/route`)); // states have no version: nobody would be woken by them
    for (const [key] of calls) await sent(key); // only now: until then they are shown as they were reported
    for (const [key] of calls) told.delete(key);
    reached(true);
  })().catch(() => reached(false)).finally(() => {
    sending = null;
    draw();
  });
  return sending;
}

const DUTY = { on_duty: "available", off_break: "available", on_break: "on_break", off_duty: "off_duty" };

/** What is queued, as the state it will be, of stops and of the driver himself: he sees his own reports at once. */
function states(queue) {
  const found = new Map();
  for (const [, { path, body }] of queue) {
    if (body.type === "returned") found.set("home", true);
    if (body.type in DUTY) found.set("me", DUTY[body.type]);
    const stop = /^\/v1\/stops\/(.+)\/events$/.exec(path)?.[1];
    const state = { arrived: "arrived", completed: "completed", failed: "failed", declined: "moved", skipped: "moved" }[body.type];
    if (stop && state) found.set(stop, state);
  }
  return found;
}

// Where he is, if he lets it be known.

function locate() {
  navigator.geolocation?.watchPosition((seen) => {
    const { latitude, longitude, accuracy, speed, heading } = seen.coords;
    if (profile?.state === "off_duty") return; // where he is then is his own business
    seq = Math.max(seq + 1, Date.now()); // a new phone goes on where the old one was
    const ping = { lat: latitude, lon: longitude, recorded_at: iso(now()), seq, accuracy_m: accuracy };
    if (speed !== null && speed >= 0) ping.speed = speed;
    if (heading !== null && heading >= 0) ping.heading = heading;
    pings = [...pings, ping].slice(-1000);
  }, () => {}, { enableHighAccuracy: true, maximumAge: 5000 });
  setInterval(async () => {
    if (!pings.length || $("app").hidden) return;
    const batch = pings;
    const mine = me.driver_id;
    pings = [];
    await keep("seq", seq);
    try {
      await call("POST", `${own()}/pings`, batch);
    } catch (problem) {
      if ((!problem.final || [401, 403, 404].includes(problem.status)) && me.driver_id === mine) pings = [...batch, ...pings].slice(-1000);
    }
  }, PING_S * 1000);
}

// What is shown.

let drawing = null;

function draw() {
  drawing ??= show().finally(() => (drawing = null));
}

async function show() {
  const queue = await waiting(me.driver_id);
  const queued = states(queue);
  const count = queue.length;
  $("network").textContent = online ? (count ? `sending ${count}` : "connected") : count ? `no network · ${count} to send` : "no network";
  $("network").classList.toggle("away", !online);
  const stops = (route?.shifts ?? []).flatMap((shift) => shift.stops).map((stop) => ({ ...stop, state: queued.get(stop.stop_id) ?? stop.state }));
  const left = stops.filter((stop) => !ENDED.has(stop.state) && !refused.has(stop.stop_id));
  const next = left.find((stop) => stop.state === "arrived") ?? left.find((stop) => stop.state === "en_route") ?? left[0];
  showOffer();
  showNews();
  showNext(next, stops);
  showDuty(queued.get("me") ?? profile?.state, left, stops, queued.has("home"));
  $("insecure").hidden = isSecureContext;
  $("who").textContent = profile?.name || me.driver_id.slice(me.driver_id.indexOf(".") + 1);
  const fresh = new Set(unseen() ? route.changes?.gained ?? [] : []);
  const waits = new Set(left.filter((stop) => stop.state !== "arrived").map((stop) => stop.stop_id));
  const rests = (route?.shifts ?? []).flatMap((shift) => restsAhead(shift, (stop) => waits.has(stop.stop_id)));
  const resting = (before) => rests.filter((rest) => rest.before === before).map((rest) => el("li", {},
    el("span", { class: "dim" }, time(rest.begin)), el("span", {}, `${rest.driving ? "Rest from driving" : "Break"} until ${time(rest.end)}`),
    rest.location ? el("a", { href: mapLink(rest.location.lat, rest.location.lon) }, "where") : el("span")));
  fill($("later"), ...(next ? resting(next.stop_id) : []), ...left.filter((stop) => stop !== next).flatMap((stop) => [...resting(stop.stop_id), el("li", {},
    el("span", { class: "dim" }, time(stop.eta?.p50 ?? stop.arrive)), el("span", { class: fresh.has(stop.stop_id) ? "new" : "" }, title(stop)), el("span", { class: "dim" }, stop.kind))]),
    ...resting(null));
  $("later-title").hidden = !$("later").children.length;
}

const title = (stop) => isReload(stop.stop_id) ? "Back to the depot" : stop.recipient?.name ?? `${stop.kind[0].toUpperCase()}${stop.kind.slice(1)} ${stop.order_id.slice(-4)}`;
const unseen = () => Boolean(route && route.route_version > Math.max(acknowledged, route.acknowledged ?? 0) && route.route_version > 0);

function showNext(stop, stops) {
  if (!stop) {
    const done = stops.filter((one) => one.state === "completed").length;
    const [heading, text] = !stops.length ? ["No stops yet", "They appear here as soon as there is a plan."]
      : stops.some((one) => refused.has(one.stop_id)) ? ["No stop left for you", `${done} completed. What you declined is being planned anew.`]
      : ["All stops are done", `${done} completed. Drive back to the depot.`];
    return fill($("next"), el("h2", {}, heading), el("p", { class: "dim" }, text));
  }
  const there = stop.state === "arrived";
  const { lat, lon } = stop.location ?? {};
  const window = stop.windows?.map((one) => `${time(one.from)}–${time(one.to)}`).join(", ");
  const path = `/v1/stops/${stop.stop_id}/events`;
  const of = `${stop.stop_id} ${there}`;
  if (card.of !== of) { // a second tap is not meant for what takes the first one's place
    card = { of, since: performance.now() };
    setTimeout(draw, SETTLE_MS);
  }
  const settled = () => performance.now() - card.since >= SETTLE_MS - 10;
  const button = (text, act, more = {}) => el("button", { ...more, "aria-disabled": settled() ? null : "true", onclick: () => settled() && act() }, text);
  const tell = (type) => () => report(path, { type, plan_version_seen: route.route_version });
  fill($("next"),
    el("p", { class: "dim" }, there ? "You are at" : "Next stop"), el("h2", {}, title(stop)),
    el("p", { class: "when" }, there ? `${Math.round((stop.service_time ?? 0) / 60)} min of ${stop.kind}` : `about ${time(stop.eta?.p50 ?? stop.arrive)}`),
    ...toLoad(stop, stops),
    window && el("p", {}, `Window ${window}`), stop.recipient?.note && el("p", { class: "place" }, stop.recipient.note),
    stop.recipient?.phone && el("p", {}, el("a", { href: `tel:${stop.recipient.phone.replace(/[^+\d]/g, "")}` }, stop.recipient.phone)),
    el("div", { class: "actions" },
      there ? button("Done", tell("completed"), { class: "main" }) : button("Arrived", tell("arrived"), { class: "main" }),
      lat !== undefined && el("a", { class: "button", href: mapLink(lat, lon) }, "Navigate"),
      button("Failed…", () => failed(stop, path)),
      !there && !isReload(stop.stop_id) && button("Decline…", () => declined(stop, path))));
}

/** What comes aboard at a reload, in the order in which it leaves the van. */
function toLoad(stop, stops) {
  if (!stop.loads?.length) return [];
  const loads = stops.filter((one) => stop.loads.includes(one.order_id));
  return [el("p", {}, `Load ${loads.length === 1 ? "one order" : `${loads.length} orders`}:`), el("ol", {}, loads.map((one) => el("li", {}, title(one))))];
}

/** What opens the phone's navigation. */
function mapLink(lat, lon) {
  return /iPhone|iPad|Macintosh/.test(navigator.userAgent) ? `maps:?daddr=${lat},${lon}` : `geo:${lat},${lon}?q=${lat},${lon}`;
}

async function failed(stop, path) {
  const told = await ask("What went wrong?", { Reason: choice("reason", (isReload(stop.stop_id) ? ["Not ready", "Closed", "No room", "No access"] : ["Nobody there", "Refused", "Damaged", "Wrong address", "No access"]).map((text) => [text, text])),
    "More": el("input", { name: "more", maxlength: 300, autocomplete: "off" }) }, { ok: "Failed", danger: true });
  if (told) report(path, { type: "failed", reason: [told.reason, told.more].filter(Boolean).join(": "), plan_version_seen: route.route_version });
}

async function declined(stop, path) {
  const told = await ask("Decline this stop?", { Reason: choice("reason", ["No room", "Cannot get there", "Not safe", "No time"].map((text) => [text, text])) },
    { ok: "Decline", danger: true, text: "Somebody else may get it." });
  if (!told) return;
  refused.add(stop.stop_id);
  report(path, { type: "declined", reason: told.reason, plan_version_seen: route.route_version });
}

function showNews() {
  const card = $("news");
  card.hidden = !unseen();
  if (card.hidden) return;
  const { gained = [], lost = [], reordered = [], updated = [] } = route.changes ?? {};
  const part = (list, one, many) => list.length && `${list.length} ${list.length === 1 ? one : many}`;
  const what = [part(gained, "new stop", "new stops"), part(lost, "stop gone", "stops gone"), part(reordered, "stop moved", "stops moved"),
    part(updated, "stop changed", "stops changed")].filter(Boolean).join(", ") || "your route";
  const why = [...new Set((route.triggers ?? []).map(({ kind }) => trigger(kind)))].join(", ");
  fill(card, el("strong", {}, `Changed: ${what}`), el("p", { class: "dim" }, why ? `Because: ${why}` : "A better sequence was found."),
    el("button", { class: "main", onclick: acknowledge }, "OK"));
}

async function acknowledge() {
  acknowledged = route.route_version;
  await keep("acknowledged", acknowledged);
  await push({ driver: me.driver_id, path: `${own()}/acks`, body: { route_version: acknowledged } });
  draw();
  flush();
}

function showOffer() {
  const offer = route?.offer;
  const open = offer && offer.state === "open" && Date.parse(offer.expires_at) / 1000 > now();
  $("offer").hidden = !open;
  if (!open) return;
  const answer = (type) => {
    route.offer = null;
    report(`/v1/stops/${offer.stop_id}/events`, { type });
  };
  fill($("offer"), el("h2", {}, offer.emergency ? "Emergency" : "Can you take this?"),
    el("p", {}, `${offer.kind}, ${Math.round(offer.wait / 60)} min away`),
    el("div", { class: "actions" }, el("button", { class: "main", onclick: () => answer("accepted") }, "Accept"), el("button", { onclick: () => answer("declined") }, "Decline")));
}

function showDuty(state, left, stops, home) {
  const tell = (type, more = {}) => report(`${own()}/events`, { type, ...more });
  const away = state === "off_duty" || state === "broken_down";
  const begun = stops.some((stop) => stop.state !== "open");
  fill($("duty"),
    !begun && left.length > 0 && !away && state !== "on_break" && el("button", { class: "main", onclick: () => tell("departed") }, "Leave the depot"),
    begun && !left.length && !home && el("button", { class: "main", onclick: () => tell("returned") }, "Back at the depot"),
    state === "on_break" ? el("button", { onclick: () => tell("off_break") }, "End break")
      : !away && el("button", { onclick: () => tell("on_break", { until: iso(now() + 1800) }) }, "Break (30 min)"),
    away ? el("button", { onclick: () => tell("on_duty") }, "On duty") : el("button", { onclick: () => tell("off_duty") }, "Off duty"));
}
