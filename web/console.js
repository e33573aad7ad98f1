// The dispatcher's console. Everything it shows and does goes through the public API: it is also an example of how to use it.

import { call, get, hhmm, seconds, session, signIn } from "/web/api.js";
import { Actions } from "/web/actions.js";
import { DONE, Depot, WAITING, finished, lateness, linesOf } from "/web/depot.js";
import { $, el, fill, note, otherTheme, theme } from "/web/dom.js";
import { MapView, hues } from "/web/map.js";
import { each, givesWay, inShort } from "/web/reasons.js";
import { restsAhead } from "/web/rests.js";
import { Timelines } from "/web/timelines.js";
import { changes, disturbed, minutes, showVersions, why } from "/web/versions.js";
import { isReload } from "/web/words.js";

const AGAIN_MS = 3000;

/** So many of what was found are shown. */
const FOUND = 30;

let depot = null;
let view = null;
let actions = null;
let timelines = null;
let chosen = null; // a driver whose route stands out
let past = null; // the version shown, or null for what is in force
let wanted = null; // the version that was asked for last
let compared = false; // whether a proposal is drawn over the map
let opener = null; // what had the focus before details were shown
let showing = null; // what draws the details that are open
let drawing = false; // whether details are drawn anew under somebody's eyes
let fits = {}; // what would make an order fit: {id, lines}
let scrubbing = false;
let settings = {};
let waiting = false;

theme();
start();

async function start() {
  window.addEventListener("unhandledrejection", (event) => failed(event.reason));
  const key = location.hash.slice(1);
  const error = $("login").querySelector(".error");
  if (key.startsWith("ll_")) {
    history.replaceState(null, "", location.pathname); // the key of a link does not stay in the address
    const failed = await signIn(key, "operator").then(() => null, (problem) => problem);
    if (!failed) return enter();
    error.textContent = failed.text ?? "The server does not answer.";
    error.hidden = false;
  }
  const told = await patiently(() => session("operator"));
  if (told) return enter();
  $("login").hidden = false;
  $("login").querySelector("input").focus();
  $("login").querySelector("form").addEventListener("submit", async (event) => {
    event.preventDefault();
    error.hidden = true;
    try {
      await signIn(new FormData(event.target).get("key").trim(), "operator");
      event.target.reset();
      $("login").hidden = true;
      enter();
    } catch (problem) {
      error.textContent = problem.text ?? "The server does not answer.";
      error.hidden = false;
    }
  });
}

/** Try until the server answers. */
async function patiently(step) {
  for (;;) {
    try {
      return await step();
    } catch (problem) {
      if (problem.final) throw problem;
      note("The server does not answer; trying again.");
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
    }
  }
}

async function enter() {
  $("app").hidden = false;
  settings = await patiently(() => get("/web/settings.json"));
  const { depots } = await patiently(() => get("/v1/depots"));
  view = new MapView("map", { onStop: showStop, onDriver: showDriver, onRoad: showRoad, onPlace: (place) => actions.at(place) });
  actions = new Actions(view, { depot: () => depot, onMode: showMode });
  timelines = new Timelines({ onChoose: (id) => (chosen === id ? chooseDriver(null) : showDriver(id)) });
  wire();
  $("depot").replaceChildren(...depots.map((one) => el("option", { value: one.id }, one.name || one.id)));
  const named = () => depots.find((one) => one.id === location.hash.slice(1));
  window.addEventListener("hashchange", () => named() && named().id !== depot.id && open(named().id));
  const first = named() ?? depots[depots.length - 1];
  if (!first) return note("There is no depot yet: make one with POST /v1/depots.");
  $("depot").value = first.id;
  open(first.id);
}

function open(id) {
  depot?.close();
  document.body.classList.remove("history");
  $("live").setAttribute("aria-pressed", "true");
  $("detail").hidden = $("proposal").hidden = $("found").hidden = true;
  $("feed").replaceChildren();
  view.clear();
  const opened = (depot = new Depot(id));
  chosen = past = wanted = showing = null;
  $("depot").value = id;
  location.hash = id;
  depot.addEventListener("all", async () => {
    await patiently(() => view.base(`/v1/maps/${opened.about.map}`, settings));
    if (opened !== depot) return;
    view.roads(depot.roads);
    later();
  });
  for (const type of ["plan", "order", "etas", "shift"]) depot.addEventListener(type, later);
  depot.addEventListener("proposal", showProposal);
  depot.addEventListener("roads", () => {
    if (view.street) view.roads(depot.roads);
    later();
  });
  depot.addEventListener("drivers", (event) => {
    if (past === null) view.move(new Map(event.detail.map((one) => [one, depot.drivers.get(one)])));
    later();
  });
  depot.addEventListener("connected", async (event) => {
    $("connection").textContent = event.detail ? "" : "Not connected; trying again";
    if (!event.detail && (await session("operator").catch(() => true)) === null) location.reload(); // the session is over
  });
  depot.addEventListener("failed", (event) => failed(event.detail));
  depot.open();
}

function failed(error) {
  if (error?.status === 401) return location.reload();
  note(error?.text ?? "The server does not answer.");
}

/** Draw soon, once for all that has changed; parts of it in tasks of their own, so that none takes long. */
function later() {
  if (waiting || !depot?.ready) return;
  waiting = true;
  setTimeout(async () => {
    waiting = false;
    for (const part of [drawMap, drawTimelines, drawLists, drawCounts, drawDetail]) {
      if (!depot.ready) return; // another depot has been opened
      part();
      await new Promise((resolve) => setTimeout(resolve));
    }
  }, 250);
}

const zone = () => depot.about.timezone;
const name = (id) => depot.name(id);
const colours = () => hues(depot.drivers.keys());

function shown() {
  return past ?? { routes: depot.routes, lines: depot.lines };
}

function drawMap() {
  const { routes, lines } = shown();
  view.show({ routes, lines, etas: past ? new Map() : depot.etas, orders: depot.orders, unassigned: past ? past.unassigned : depot.unassigned,
    waiting: waitingOrders().map((order) => order.id), colours: colours(), drivers: depot.drivers });
}

/** Orders that nobody has in a route yet; of an older version it is not known. */
const waitingOrders = () => (past ? [] : [...depot.orders.values()].filter((order) => order.status in WAITING));

function drawTimelines() {
  timelines.show({ routes: shown().routes, etas: past ? new Map() : depot.etas, colours: colours(), name, drivers: depot.drivers, at: past ? past.at : depot.clock.now(),
    zone: zone(), chosen });
}

function drawLists() {
  const unassigned = past ? past.unassigned : depot.unassigned;
  const waits = waitingOrders();
  $("unassigned-count").textContent = [unassigned.size || "", waits.length ? `${waits.length} waiting` : ""].filter(Boolean).join(" · ");
  list($("unassigned"), [
    ...[...unassigned].map(([id, reasons]) => [id, label(depot.orders.get(id), id), inShort(reasons)]),
    ...waits.map((order) => [order.id, label(order, order.id), WAITING[order.status]]),
  ].slice(0, 200), showOrder, "Every order has a driver.");
  $("roads-count").textContent = depot.roads.length || "";
  list($("roads"), depot.roads.map((event) => [event.id, event.kind === "close" ? "Closed" : "Slow", [event.reason, `until ${hhmm(event.end, zone())}`].filter(Boolean).join(", ")]), (id) => {
    view.goToRoad(id);
    showRoad(id);
  }, "All streets are open.");
  showVersions({ versions: depot.versions, chosen: past?.version ?? null, name, zone: zone(), onChoose: showVersion });
  const slider = $("version");
  slider.min = depot.versions[0]?.version ?? 0;
  slider.max = depot.version;
  if (past === null && !scrubbing) slider.value = depot.version;
  $("version-told").textContent = past ? `v${past.version} of v${depot.version}` : `v${depot.version}, now`;
}

/** Rows of a list: id, what it is, and more; what has not changed keeps its focus. */
function list(element, rows, onChoose, none) {
  const told = JSON.stringify(rows);
  if (told === element.told) return;
  element.told = told;
  const items = rows.map(([id, what, more]) => el("li", {}, el("button", { onclick: () => onChoose(id) }, el("strong", {}, what), el("br"), el("span", { class: "dim" }, more))));
  fill(element, items.length ? items : el("li", { class: "empty" }, none));
}

function drawCounts() {
  $("clock").textContent = hhmm(depot.clock.now(), zone());
  let open = 0;
  let done = 0;
  let late = 0;
  for (const shifts of depot.routes.values()) for (const shift of shifts) for (const stop of shift.stops) {
    if (finished(stop)) done += 1;
    else open += 1;
    if (!finished(stop) && lateness(stop, depot.etas) > 0) late += 1;
  }
  const about = [...depot.drivers.values()].filter((driver) => driver.location && driver.state === "available").length;
  $("counts").textContent = `${open} open · ${done} done · ${late} late · ${about} drivers out`;
}

const label = (order, id, stopId = "") => isReload(stopId) ? "Back to the depot" : order?.recipient?.name || order?.external_id || `${order?.kind ?? "order"} ${id.slice(-5)}`;

// Details, and what can be done about what they show.

function detail(title, rows, buttons, more = [], again = null) {
  const heading = el("h2", { tabindex: "-1" }, title);
  const focused = document.activeElement;
  showing = again;
  const told = el("div", {},
    el("button", { class: "close", "aria-label": "Close details", onclick: () => chooseDriver(null) }, "×"),
    heading,
    el("dl", {}, rows.filter(([, value]) => value).flatMap(([term, value]) => [el("dt", {}, term), el("dd", {}, value)])),
    ...more, el("div", { class: "row" }, buttons));
  if (drawing && told.innerHTML === $("detail").firstChild?.innerHTML) return;
  fill($("detail"), told);
  if (drawing) return;
  if ($("detail").hidden) opener = focused;
  $("detail").hidden = false;
  if (focused !== $("version")) heading.focus({ preventScroll: true }); // who scrubs goes on scrubbing
}

/** Details as things are now: the focus and what is chosen stay, and nothing moves under a pointer that is down. */
function drawDetail() {
  if ($("detail").hidden || !showing || $("dialog").open || $("detail").querySelector(":active, details:not([open])")) return;
  drawing = true;
  try {
    showing();
  } finally {
    drawing = false;
  }
}

/** Let a driver's route stand out; with null none does, and details are closed. */
function chooseDriver(id) {
  chosen = id;
  view.choose(id);
  if (id === null && !$("detail").hidden) {
    const within = $("detail").contains(document.activeElement);
    $("detail").hidden = true;
    showing = null;
    if (within && opener?.isConnected) opener.focus({ preventScroll: true });
  }
  later();
}

function find(stopId) {
  for (const [driver, shifts] of shown().routes) for (const shift of shifts) {
    const place = shift.stops.findIndex((stop) => stop.stop_id === stopId);
    if (place >= 0) return { driver, stop: shift.stops[place], place: place + 1 };
  }
  return null;
}

function showStop(stopId) {
  if (stopId === null) return chooseDriver(null);
  return showOrder(stopId.slice(0, stopId.lastIndexOf(".")), stopId);
}

function showOrder(id, stopId) {
  const order = depot.orders.get(id);
  const found = find(stopId ?? order?.stop_id ?? "");
  const eta = found && depot.etas.get(found.stop.stop_id);
  const window = order?.windows?.map((one) => `${hhmm(one.from, zone())}–${hhmm(one.to, zone())}`).join(", ");
  const late = found ? lateness(found.stop, depot.etas) : 0;
  const reasons = (past ? past.unassigned : depot.unassigned).get(id);
  const over = DONE.has(order?.status);
  const pin = order?.pin && [order.pin.driver_id && name(order.pin.driver_id), order.pin.position].filter(Boolean).join(", ");
  detail(label(order, id, stopId), [
    ["Status", (order?.status ?? found?.stop.state)?.replace("_", " ")], ["Kind", order?.kind ?? found?.stop.kind], ["Window", window],
    ["Driver", found && `${name(found.driver)}, stop ${found.place}`],
    ["Expected", eta ? `${hhmm(eta.p50, zone())}, by ${hhmm(eta.p80, zone())} in four of five cases` : found && !finished(found.stop) ? hhmm(found.stop.arrive, zone()) : ""],
    ["Late by", late > 0 ? `${Math.ceil(late / 60)} min` : ""], ["Pinned", pin], ["Note", order?.recipient?.note],
    ["Proof", order?.proof?.reason ?? order?.proof?.note],
  ], over || !order ? [] : [
    el("button", { onclick: () => actions.pin(order).then(() => refresh(id)) }, "Pin…"),
    el("button", { class: "danger", onclick: () => actions.cancel(order) }, "Cancel order…"),
  ], reasons?.length ? [el("details", { open: true }, el("summary", {}, "Why nobody takes it"), el("ul", {}, each(reasons, name).map((text) => el("li", {}, text)))), ...fitting(id)] : [], () => showOrder(id, stopId));
  if (found && !drawing) {
    chosen = found.driver;
    view.choose(chosen);
    later();
  }
}

/** What would make an order fit: looked for when it is asked for. */
function fitting(id) {
  if (past) return [];
  const stop = (stopId) => label(depot.orders.get(stopId.slice(0, stopId.lastIndexOf("."))), stopId, stopId);
  const ask = async () => {
    const { verdict, relaxations = [] } = await get(`/v1/orders/${id}/explanation?relax=true`);
    const none = verdict ? "No single rule that gives way would do." : "It can be served as all is; a plan is on its way.";
    const lines = relaxations.length ? relaxations.map((one) => givesWay(one, name, stop)) : [none];
    fits = { id, lines: verdict === "impossible" ? ["No driver could serve it, even without other orders.", ...lines] : lines };
    drawDetail();
  };
  return [el("button", { onclick: () => ask().catch(failed) }, "What would make it fit?"),
    el("ul", { "aria-live": "polite" }, (fits.id === id ? fits.lines : []).map((text) => el("li", {}, text)))];
}

async function refresh(id) {
  const order = await get(`/v1/orders/${id}`);
  depot.orders.set(id, order);
  showOrder(id);
}

function showDriver(id) {
  const driver = depot.drivers.get(id);
  const routes = shown().routes.get(id) ?? [];
  const stops = routes.flatMap((shift) => shift.stops);
  const open = stops.filter((stop) => !finished(stop));
  const away = driver?.state === "off_duty" || driver?.state === "broken_down";
  if (!drawing) chooseDriver(id);
  const shifts = [...depot.shifts.values()].filter((shift) => shift.driver_id === id && seconds(shift.end) > depot.clock.now());
  detail(name(id), [
    ["State", driver?.state?.replace("_", " ")], ["Stops", `${stops.length - open.length} of ${stops.length} done`],
    ["Late", String(open.filter((stop) => lateness(stop, depot.etas) > 0).length || "")], ["Heard of", driver?.seen_at && hhmm(driver.seen_at, zone())],
    ["Skills", driver?.skills?.join(", ")],
    ["Rests", routes.flatMap((shift) => restsAhead(shift, (stop) => !finished(stop))).map((rest) => `${hhmm(rest.begin, zone())}–${hhmm(rest.end, zone())}`).join(", ")],
  ], [
    driver?.location && el("button", { onclick: () => view.goTo(driver.location) }, "Show"),
    ...shifts.map((shift) => lockButton(shift, shifts.length > 1)),
    away ? el("button", { onclick: () => actions.duty(id, "on_duty") }, "On duty") : el("button", { class: "danger", onclick: () => actions.duty(id, "off_duty") }, "Off duty"),
  ], [el("ol", {}, open.slice(0, 30).map((stop) => el("li", {}, el("button", { onclick: () => showStop(stop.stop_id) },
    `${hhmm(depot.etas.get(stop.stop_id)?.p50 ?? stop.arrive, zone())} ${label(depot.orders.get(stop.order_id), stop.order_id, stop.stop_id)}`))))], () => showDriver(id));
}

/** Lock a shift's route, so that plans leave it alone; or unlock it. What comes of it is told by the depot's stream. */
function lockButton(shift, several) {
  const which = several ? ` of ${hhmm(shift.start, zone())}` : "";
  return el("button", { "aria-pressed": String(shift.locked), onclick: () => actions.lock(shift) }, `${shift.locked ? "Unlock" : "Lock"} route${which}`);
}

function showRoad(id) {
  const event = depot.roads.find((one) => one.id === id);
  if (!event) return drawing ? chooseDriver(null) : null; // it is open again
  detail(event.kind === "close" ? "Closed street" : "Slow street", [
    ["Reason", event.reason], ["Until", hhmm(event.end, zone())], ["Speed", event.factor && `${Math.round(100 / event.factor)} %`],
  ], [el("button", { onclick: () => actions.reopen(id) }, "Open it again")], [], () => showRoad(id));
}

// A plan that waits for a yes.

function showProposal() {
  const panel = $("proposal");
  const told = depot.proposal;
  const within = panel.contains(document.activeElement);
  uncompare(); // it was of a proposal that is no longer this one
  panel.hidden = !told;
  if (!told) {
    panel.replaceChildren();
    if (within) $("feed").focus();
    return;
  }
  const plan = told.plan;
  const answer = async (how) => {
    if (holds(panel)) panel.firstChild.focus(); // while it can be told: a button that is disabled has no focus
    for (const button of panel.querySelectorAll("button")) button.disabled = true;
    try {
      await call("POST", `/v1/depots/${depot.id}/proposals/${told.proposal_id}/${how}`);
      note(how === "accept" ? "The plan is in force." : "The plan is discarded.");
    } catch (problem) {
      note(problem.text);
    }
    await depot.readProposal();
  };
  const compare = async () => {
    const after = linesOf(await get(`/v1/depots/${depot.id}/proposal/lines`));
    view.compare(depot.lines, after, new Set(plan.diff.routes.map((route) => route.driver_id)));
    compared = true;
  };
  panel.replaceChildren(el("h2", { tabindex: "-1" }, `Proposed: ${why(plan)}`), el("p", {}, changes(plan, name).join(", ") || "no route changed"),
    plan.diff.newly_unassigned.length ? el("p", { class: "error" }, `${plan.diff.newly_unassigned.length} would be unassigned`) : "",
    el("p", { class: "dim" }, `${minutes(plan.cost)} · ${disturbed(plan)}`),
    el("div", { class: "row" }, el("button", { class: "main", onclick: () => answer("accept") }, "Accept"), el("button", { onclick: () => answer("discard") }, "Discard"),
      el("button", { onclick: () => compare().catch(failed) }, "Show on the map")));
  if (within) panel.firstChild.focus(); // not the button: another plan is to be read first
}

const holds = (element) => element.contains(document.activeElement);

/** Take away what a proposal would change, unless something is drawn there now. */
function uncompare() {
  if (compared && !actions.mode) view.sketch();
  compared = false;
}

// The day's versions.

async function showVersion(version) {
  const asked = (wanted = version);
  if (version >= depot.version && !depot.versions.some((plan) => plan.version === version)) return live();
  const listed = depot.versions.find((plan) => plan.version === version);
  const [now, before] = await Promise.all([depot.past(version), version > 1 ? depot.past(version - 1).catch(() => null) : null]);
  scrubbing = false;
  if (wanted !== asked) return; // something else was asked for meanwhile
  past = { version, at: seconds(now.plan.created_at), routes: now.routes, lines: now.lines, unassigned: new Map(now.plan.unassigned.map((row) => [row.order_id, row.reasons])) };
  document.body.classList.add("history");
  $("live").setAttribute("aria-pressed", "false");
  $("version").value = version;
  const plan = listed ?? now.plan;
  view.compare(before?.lines ?? new Map(), now.lines, new Set(plan.diff.routes.map((route) => route.driver_id)));
  chooseDriver(null);
  detail(`v${version}: ${why(plan)}`, [
    ["Made", hhmm(plan.created_at, zone())], ["Changed", changes(plan, name).join(", ") || "no route"],
    ["Cost", minutes(plan.cost)], ["Before", before && minutes(before.plan.cost)], ["Disruption", disturbed(plan)],
    ["Unassigned", plan.diff.newly_unassigned.map((id) => label(depot.orders.get(id), id)).join(", ")],
    ["Engine", plan.engine], ["Solved in", plan.timings.solve !== undefined ? `${Math.round(plan.timings.solve)} ms` : ""],
  ], [el("button", { onclick: live }, "Back to now")], [el("p", { class: "dim" }, "Dashed: before. Solid: after."), stopsOf(plan)]);
}

/** The stops that a version changed, by driver. */
function stopsOf(plan) {
  const stop = (id) => label(depot.orders.get(id.slice(0, id.lastIndexOf("."))), id.slice(0, id.lastIndexOf(".")));
  const part = (sign, ids) => (ids.length ? ` ${sign} ${ids.map(stop).join(", ")}` : "");
  return el("ul", {}, plan.diff.routes.map((route) => el("li", {}, el("strong", {}, name(route.driver_id)),
    part("+", route.gained) + part("−", route.lost) + part("↻", route.reordered) + part("~", route.updated))));
}

function live() {
  past = wanted = null;
  scrubbing = false;
  document.body.classList.remove("history");
  $("live").setAttribute("aria-pressed", "true");
  view.sketch();
  chooseDriver(null);
}

// Tools, search and keys.

const HINTS = {
  order: "Click where the order is; or move the map with the arrow keys and press Space.", close: "Click the street to close; or move the map with the arrow keys and press Space.",
  slow: "Click the corners of the area, or arrow keys and Space; then press Enter or double-click.",
};

function showMode(mode) {
  compared = false; // what is being pointed at is drawn in its place
  for (const button of document.querySelectorAll("[data-mode]")) button.setAttribute("aria-pressed", String(button.dataset.mode === mode));
  $("hint").textContent = HINTS[mode] ?? "";
}

function search(text) {
  const wanted = text.trim().toLowerCase();
  const hit = (...parts) => parts.some((part) => part && String(part).toLowerCase().includes(wanted));
  const rows = !wanted ? [] : [
    ...[...depot.drivers.values()].filter((driver) => hit(driver.id, driver.name)).map((driver) => [`Driver ${name(driver.id)}`, () => {
      showDriver(driver.id);
      if (driver.location) view.goTo(driver.location);
    }]),
    ...[...depot.orders.values()].filter((order) => hit(order.id, order.external_id, order.recipient?.name, order.recipient?.note, order.status)).map((order) => [
      `${label(order, order.id)} · ${order.status.replace("_", " ")}`, () => {
        showOrder(order.id);
        view.goTo(order.location);
      }]),
  ];
  const shown = rows.slice(0, FOUND).map(([told, act]) => el("li", {}, el("button", { onclick: () => {
    $("found").hidden = true;
    act();
  } }, told)));
  if (rows.length > FOUND) shown.push(el("li", { class: "empty" }, `and ${rows.length - FOUND} more`));
  if (wanted && !rows.length) shown.push(el("li", { class: "empty" }, "Nothing is called so."));
  $("found").replaceChildren(...shown);
  $("found").hidden = !wanted;
}

/** From the field to what was found by the arrow keys, and by Enter to the first. */
function searchKey(event) {
  const rows = [...$("found").querySelectorAll("button")];
  const at = rows.indexOf(document.activeElement);
  const to = { ArrowDown: rows[at + 1], ArrowUp: at > 0 ? rows[at - 1] : $("search") }[event.key];
  if (event.key === "Enter" && at < 0) rows[0]?.click();
  else if (!to) return;
  else to.focus();
  event.preventDefault();
}

const KEYS = {
  "/": ["Search", () => $("search").focus()], n: ["Add an order by clicking the map", () => actions.aim("order")],
  c: ["Close a street", () => actions.aim("close")], z: ["Draw a slow zone", () => actions.aim("slow")], r: ["Re-solve now", () => actions.resolve()],
  l: ["Back to now", () => live()], "[": ["The plan version before", () => step(-1)], "]": ["The plan version after", () => step(1)],
  t: ["Light or dark", () => toggleTheme()], "?": ["This list", () => showKeys()],
};

const LEGEND = ["Large with a dark rim: a driver; dashed rim: off duty, on a break or silent", "Dot: a stop, in its driver's colour; larger: being driven to or served; red ring: late",
  "Small and hollow: done; hollow red: nobody takes it; hollow blue: waits for a plan", "Street dotted red: closed; dashed: slow"];

function showKeys() {
  const dialog = $("dialog");
  dialog.replaceChildren(el("h2", {}, "On the map"), el("ul", {}, LEGEND.map((text) => el("li", {}, text))), el("h2", { id: "dialog-title" }, "Keyboard"), el("p", { class: "keys" }, Object.entries(KEYS).flatMap(([key, [text]]) => [el("kbd", {}, key), el("span", {}, text)]),
    el("kbd", {}, "Esc"), el("span", {}, "Stop what is being done"), el("kbd", {}, "Space"), el("span", {}, "Point at the middle of the map"), el("kbd", {}, "Enter"), el("span", {}, "Finish an area")),
    el("div", { class: "row end" }, el("button", { onclick: () => dialog.close() }, "Close")));
  dialog.onclose = null;
  dialog.showModal();
}

function step(by) {
  const to = (past?.version ?? depot.version) + by;
  if (to > depot.version) return live();
  if (to >= (depot.versions[0]?.version ?? 1)) showVersion(to);
}

function toggleTheme() {
  otherTheme();
  if (!depot?.ready) return;
  view.theme();
  view.roads(depot.roads);
  later();
}

function wire() {
  for (const button of document.querySelectorAll("[data-mode]")) button.addEventListener("click", () => actions.aim(button.dataset.mode));
  view.map.on("dblclick", () => actions.finish());
  $("resolve").addEventListener("click", () => depot && actions.resolve());
  $("theme").addEventListener("click", toggleTheme);
  $("help").addEventListener("click", showKeys);
  $("live").addEventListener("click", live);
  $("depot").addEventListener("change", (event) => open(event.target.value));
  let scrubbed = 0;
  $("version").addEventListener("input", (event) => {
    clearTimeout(scrubbed);
    const to = Number(event.target.value);
    scrubbing = true;
    $("version-told").textContent = `v${to}`;
    scrubbed = setTimeout(() => (to >= depot.version ? live() : showVersion(to)), 120);
  });
  $("search").addEventListener("input", (event) => depot?.ready && search(event.target.value));
  $("search").closest(".search").addEventListener("keydown", searchKey);
  document.addEventListener("click", (event) => $("found").contains(event.target) || event.target === $("search") || ($("found").hidden = true));
  $("sign-out").addEventListener("click", async () => {
    await call("DELETE", "/v1/sessions/current");
    location.reload();
  });
  document.addEventListener("keydown", (event) => {
    if ($("dialog").open) return;
    if (event.key === "Escape") {
      if (holds($("found"))) $("search").focus();
      $("found").hidden = true;
      if (actions.mode) return actions.aim(actions.mode);
      uncompare();
      return chooseDriver(null);
    }
    if (event.target.closest("input:not([type=range]), select, textarea") || event.ctrlKey || event.metaKey || event.altKey || !depot?.ready) return;
    if (event.key === " " && actions.mode && event.target === view.map.getContainer()) {
      event.preventDefault();
      return actions.at(view.map.getCenter());
    }
    if (event.key === "Enter" && actions.mode === "slow" && !event.target.closest("button")) {
      event.preventDefault(); // else it answers the dialog as well
      return actions.finish();
    }
    if (KEYS[event.key]) {
      event.preventDefault();
      KEYS[event.key][1]();
    }
  });
  setInterval(() => depot?.ready && ($("clock").textContent = hhmm(depot.clock.now(), zone())), 1000);
}

/** What is shown at the moment, for whoever looks from outside. */
export const state = () => ({ depot, view, past });
