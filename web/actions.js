// What a dispatcher does: each by one call of the public API.

import { call, get, iso, points, uuid } from "/web/api.js";
import { ask, choice, colour, el, note } from "/web/dom.js";
import { L } from "/web/map.js";
import { outcome } from "/web/versions.js";

const number = (name, value, more = {}) => el("input", { name, type: "number", value, min: 0, step: 1, required: true, ...more });

export class Actions {
  constructor(view, { depot, onMode }) {
    this.view = view;
    this.depot = depot;
    this.onMode = onMode;
    this.mode = null;
    this.corners = [];
  }

  /** Aim at the map for something to do there; the same again, or Esc, stops that. */
  aim(mode) {
    this.mode = this.mode === mode ? null : mode;
    this.corners = [];
    this.view.sketch();
    this.view.aim(Boolean(this.mode));
    this.onMode(this.mode);
  }

  async at(place) {
    const where = { lat: Number(place.lat.toFixed(6)), lon: Number(place.lng.toFixed(6)) };
    if (this.mode === "order") return this.order(where);
    if (this.mode === "close") return this.close(where);
    if (this.mode === "slow") return this.corner(place);
  }

  async order(location) {
    const depot = this.depot();
    this.view.sketch(L.circleMarker([location.lat, location.lon], { radius: 9, color: colour("accent"), interactive: false }));
    const now = depot.clock.now();
    const once = uuid(); // sent again, it is the same order
    const amounts = Object.fromEntries(depot.about.dimensions.map((name) => [`${name[0].toUpperCase()}${name.slice(1)}`, number(`of ${name}`, name === depot.about.dimensions[0] ? 1 : 0)]));
    const wanted = (told) => {
      const demand = Object.fromEntries(depot.about.dimensions.map((name) => [name, Number(told[`of ${name}`])]).filter(([, amount]) => amount));
      return {
        depot_id: depot.id, kind: told.kind, location, service_time: Number(told.service), priority: Number(told.priority),
        windows: [{ from: iso(now), to: iso(now + 60 * Number(told.within)) }],
        ...(told.kind === "service" ? {} : { demand }), ...(told.recipient ? { recipient: { name: told.recipient } } : {}),
      };
    };
    const made = await ask("New order", {
      Kind: choice("kind", [["collection", "Collection"], ["delivery", "Delivery"], ["service", "Service"]]),
      ...amounts,
      "Within (min)": number("within", 120, { min: 5 }),
      "Service (s)": number("service", 120),
      "Priority": number("priority", 0, { max: 100 }),
      "Recipient": el("input", { name: "recipient", maxlength: 100, autocomplete: "off" }),
    }, { ok: "Add order", send: (told) => call("POST", "/v1/orders", wanted(told), { "Idempotency-Key": once }),
         look: (told) => this.look({ orders: [wanted(told)] }) });
    this.view.sketch();
    if (made) note("The order is accepted.");
    this.aim(null);
  }

  async close({ lat, lon }) {
    const depot = this.depot();
    let street;
    try {
      street = await get(`/v1/maps/${depot.about.map}/street?lat=${lat}&lon=${lon}`);
    } catch (problem) {
      return note(problem.text);
    }
    if (this.mode !== "close" || document.querySelector("dialog[open]")) return; // something else is being done by now
    this.view.sketch(L.polyline(points(street.points), { color: colour("bad"), weight: 8, interactive: false }));
    const made = await ask("Close this street", {
      "For (min)": number("minutes", 45, { min: 1 }), "Reason": el("input", { name: "reason", maxlength: 200, autocomplete: "off" }),
    }, { ok: "Close street", danger: true, text: `${street.metres} m of ${street.kind.replace("_", " ")}, both ways.`,
         send: (told) => this.report(this.event(told, { kind: "close", edges: street.edges })),
         look: (told) => this.look({ road_events: [this.event(told, { kind: "close", edges: street.edges })] }) });
    this.view.sketch();
    if (made) note("The street is closed.");
    this.aim(null);
  }

  corner(place) {
    this.corners.push(place);
    const shape = this.corners.length > 2 ? L.polygon(this.corners, { color: colour("warn"), interactive: false })
      : L.polyline(this.corners, { color: colour("warn"), interactive: false });
    this.view.sketch(shape, ...this.corners.map((corner) => L.circleMarker(corner, { radius: 4, color: colour("warn"), interactive: false })));
  }

  /** The area that has been drawn is whole. */
  async finish() {
    if (this.mode !== "slow" || this.corners.length < 3 || document.querySelector("dialog[open]")) return;
    const polygon = this.corners.map((place) => ({ lat: Number(place.lat.toFixed(6)), lon: Number(place.lng.toFixed(6)) }));
    const made = await ask("Slow zone", {
      "Speed (%)": number("percent", 50, { min: 5, max: 95 }), "For (min)": number("minutes", 60, { min: 1 }),
      "Reason": el("input", { name: "reason", maxlength: 200, autocomplete: "off" }),
    }, { ok: "Slow it down", send: (told) => this.report(this.event(told, { kind: "slow", factor: 100 / Number(told.percent), polygon })),
         look: (told) => this.look({ road_events: [this.event(told, { kind: "slow", factor: 100 / Number(told.percent), polygon })] }) });
    if (made) note("Traffic is slow there now.");
    this.aim(null);
  }

  event({ minutes, reason }, what) {
    const depot = this.depot();
    return { depot_id: depot.id, end: iso(depot.clock.now() + 60 * Number(minutes)), ...(reason ? { reason } : {}), ...what };
  }

  report(event) {
    return call("POST", "/v1/road-events", event);
  }

  /** What changes would come to, in lines: nothing is changed. */
  async look(changes) {
    const depot = this.depot();
    return outcome(await call("POST", `/v1/depots/${depot.id}/what-if`, changes), (id) => depot.name(id));
  }

  async reopen(id) {
    await tried(() => call("DELETE", `/v1/road-events/${id}`), "The street is open again.");
  }

  async cancel(order) {
    await ask("Cancel this order?", {}, { ok: "Cancel order", danger: true, text: order.recipient?.name ?? order.external_id ?? order.id,
      send: () => call("DELETE", `/v1/orders/${order.id}`), look: () => this.look({ cancel: [order.id] }) });
  }

  async pin(order) {
    const depot = this.depot();
    const drivers = [...depot.drivers.keys()].sort().map((id) => [id, depot.name(id)]);
    const longest = Math.max(1, order.pin?.position | 0, ...[...depot.routes.values()].flat().map((shift) => shift.stops.length + 1));
    const numbers = Array.from({ length: longest }, (_, number) => [String(number + 1), `Stop ${number + 1}`]);
    const made = await ask("Pin this order", {
      Driver: choice("driver", [["", "Any"], ...drivers], order.pin?.driver_id ?? ""),
      Position: choice("position", [["", "Any"], ["first", "First"], ["last", "Last"], ...numbers], String(order.pin?.position ?? "")),
    }, { ok: "Pin", text: "Positions count all stops of the shift, those that are done as well.", send: ({ driver, position }) => call("PATCH", `/v1/orders/${order.id}`, {
      pin: { driver_id: driver || null, position: Number(position) || position || null, not_before: order.pin?.not_before ?? null } }) });
    if (made) note("The order is pinned; the next plan holds to it.");
  }

  async duty(driver, type) {
    const depot = this.depot();
    let event = null; // sent again, it is the same one
    const send = () => call("POST", `/v1/drivers/${driver}/events`, (event ??= { event_id: uuid(), type, occurred_at: iso(depot.clock.now()) }));
    if (type === "on_duty") return tried(send, "On duty.");
    await ask(`Take ${depot.name(driver)} off duty?`, {}, { ok: "Off duty", danger: true, text: "What is not on the vehicle goes to others.", send,
      look: () => this.look({ off_duty: [driver] }) });
  }

  async lock(shift) {
    await tried(() => call(shift.locked ? "DELETE" : "PUT", `/v1/shifts/${shift.id}/lock`), shift.locked ? "Plans may change the route again." : "The route stays as it is.");
  }

  async resolve() {
    await tried(() => call("POST", `/v1/depots/${this.depot().id}/resolve`), "Asked for a new plan.");
  }
}

async function tried(step, said) {
  try {
    await step();
    note(said);
  } catch (problem) {
    if (problem.status === 401) throw problem; // the session is over
    note(problem.text ?? "The server does not answer.");
  }
}
