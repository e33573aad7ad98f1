// What the console knows of a depot: read once, then kept up to date by the depot's stream.

import { Clock, get, points, seconds } from "/web/api.js";

export const DONE = new Set(["completed", "failed", "cancelled"]);

/** Stop states that an order's status stands for. */
const STATE_OF = { planned: "open", picked_up: "open", en_route: "en_route", arrived: "arrived", completed: "completed", failed: "failed", cancelled: "cancelled" };

/** A browser tries by itself again what was broken off, but not what was refused, as by a server that is starting. */
const AGAIN_MS = 3000;

/** Statuses of orders that nobody has in a route yet, in words. */
export const WAITING = { accepted: "waits for a plan", reserved: "reserved, waits for a plan", matching: "a driver is looked for", offered: "offered to a driver" };

/** After all versions: what is told then is only which is in force. */
const LAST = 1e12;

/** So many versions are listed by one call. */
const PAGE = 100;

/** What is there, or null. */
async function find(path) {
  try {
    return await get(path);
  } catch (problem) {
    if (problem.status === 404) return null;
    throw problem;
  }
}

export class Depot extends EventTarget {
  constructor(id) {
    super();
    this.id = id;
    this.drivers = new Map(); // id -> {id, name, state, location, heading}
    this.orders = new Map(); // id -> order
    this.routes = new Map(); // driver id -> [{shift_id, stops}]
    this.unassigned = new Map(); // order id -> reasons
    this.etas = new Map(); // stop id -> {p50, p80}
    this.lines = new Map(); // shift id -> {driver_id, points: [[lat, lon]]}
    this.roads = [];
    this.versions = []; // oldest first
    this.version = 0;
    this.shifts = new Map();
    this.queue = Promise.resolve();
    this.ready = false;
  }

  /** Listen, read everything, and go on from there; after an outage, from the last event that was heard. */
  open() {
    this.source = new EventSource(`/v1/depots/${this.id}/stream${this.heard ? `?last_event_id=${this.heard}` : ""}`);
    const json = (apply) => (event) => this.later(() => apply.call(this, JSON.parse(event.data)));
    this.source.addEventListener("hello", (event) => {
      this.heard ??= Number(event.lastEventId);
      this.later(() => (this.ready ? this.readAgain() : this.read()));
    });
    this.source.addEventListener("reset", (event) => {
      this.heard = Number(event.lastEventId);
      this.later(() => this.read());
    });
    this.source.addEventListener("feed", (event) => {
      this.heard = Number(event.lastEventId);
      this.later(() => this.happened(JSON.parse(event.data)));
    });
    this.source.addEventListener("drivers", (event) => this.moved(JSON.parse(event.data))); // need not wait for anything
    this.source.addEventListener("etas", (event) => this.expected(JSON.parse(event.data)));
    this.source.addEventListener("roads", json(this.readRoads));
    this.source.addEventListener("open", () => this.tell("connected", true));
    this.source.addEventListener("error", () => {
      this.tell("connected", false);
      if (this.source.readyState === EventSource.CLOSED && !this.closed) this.again = setTimeout(() => this.open(), AGAIN_MS);
    });
  }

  close() {
    this.closed = true;
    clearTimeout(this.again);
    clearTimeout(this.anew);
    this.source?.close();
  }

  /**
   * One after the other: what comes while something is read is applied to what has been read.
   * Where something could not be read, everything is read anew: nobody knows what else is missing.
   */
  later(step) {
    this.queue = this.queue.then(() => !this.closed && step()).catch((error) => {
      if (this.closed) return;
      this.tell("failed", error);
      clearTimeout(this.anew);
      if (!error.final) this.anew = setTimeout(() => this.later(() => this.read()), AGAIN_MS);
    });
  }

  tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  /** What may have changed during an outage, and no event tells of; and the time: a computer that slept has missed some. */
  async readAgain() {
    await Promise.all([this.readAbout(), this.readRoads()]);
  }

  async readAbout() {
    this.about = await get(`/v1/depots/${this.id}`);
    this.clock = new Clock(this.about.clock);
  }

  async read() {
    await this.readAbout();
    await Promise.all([this.readFleet(), this.readOrders(), this.readRoads(), this.readPlan(), this.readProposal()]);
    for (const order of this.orders.values()) {
      if (order.status === "unassigned" && !this.unassigned.has(order.id)) this.unassigned.set(order.id, order.reasons ?? []); // by other means than a plan
    }
    if (this.closed) return;
    this.ready = true;
    this.tell("all");
    this.later(() => this.readEarlier());
  }

  async readFleet() {
    const [{ drivers }, { shifts }] = await Promise.all([get(`/v1/drivers?depot_id=${this.id}`), get(`/v1/shifts?depot_id=${this.id}`)]);
    for (const driver of drivers) this.drivers.set(driver.id, { ...this.drivers.get(driver.id), ...driver });
    this.shifts = new Map(shifts.map((shift) => [shift.id, shift]));
  }

  async readOrders() {
    const found = new Map();
    let cursor = "0";
    while (cursor !== null) {
      const page = await get(`/v1/orders?depot_id=${this.id}&cursor=${cursor}`);
      for (const order of page.orders) found.set(order.id, order);
      cursor = page.next_cursor;
    }
    this.orders = found;
  }

  async readRoads() {
    this.roads = (await get(`/v1/road-events?depot_id=${this.id}`)).road_events;
    this.tell("roads");
  }

  /** The plan in force, whole. */
  async readPlan() {
    if ((await get(`/v1/depots/${this.id}/plans?after=${LAST}`)).version === 0) return; // there is none yet
    const plan = await get(`/v1/depots/${this.id}/plan`);
    const [listed, lines] = await Promise.all([
      get(`/v1/depots/${this.id}/plans?after=${Math.max(0, plan.version - PAGE)}`), get(`/v1/depots/${this.id}/plans/${plan.version}/lines`)]);
    this.versions = [...this.versions.filter((known) => known.version <= plan.version - PAGE), ...listed.plans];
    this.version = plan.version;
    this.routes = routesOf(plan);
    this.unassigned = new Map(plan.unassigned.map((row) => [row.order_id, row.reasons]));
    this.lines = linesOf(lines);
    await this.planned();
  }

  /** What goes with routes: their shifts are known, and arrivals at stops that are gone are forgotten. */
  async planned() {
    const stops = new Set();
    let unknown = false;
    for (const shifts of this.routes.values()) for (const shift of shifts) {
      unknown ||= !this.shifts.has(shift.shift_id);
      for (const stop of shift.stops) stops.add(stop.stop_id);
    }
    for (const stop of this.etas.keys()) {
      const order = this.orders.get(stop.slice(0, stop.lastIndexOf(".")));
      if (!stops.has(stop) && (!order || DONE.has(order.status))) this.etas.delete(stop);
    }
    if (unknown && this.ready) await this.readFleet();
  }

  /** Versions before those that are known, as many as are kept. */
  async readEarlier() {
    for (;;) {
      const first = this.versions[0]?.version ?? 1;
      if (first === 1) return;
      const { plans } = await get(`/v1/depots/${this.id}/plans?after=${Math.max(0, first - 1 - PAGE)}`);
      const earlier = plans.filter((plan) => plan.version < first);
      if (!earlier.length) return;
      this.versions = [...earlier, ...this.versions];
      this.tell("plan");
    }
  }

  /** The plan that waits for a yes, where plans are reviewed. */
  async readProposal() {
    const told = await get(`/v1/depots/${this.id}/proposal`);
    this.proposal = told.plan ? told : null;
    this.tell("proposal");
  }

  /** Another plan version: who is concerned is read anew. */
  async published(data) {
    const { plans } = await get(`/v1/depots/${this.id}/plans?after=${this.version}`);
    const newest = plans.at(-1)?.version ?? 0;
    const drivers = [...new Set(plans.flatMap((plan) => plan.diff.routes.map((route) => route.driver_id)))];
    if (newest < data.version || drivers.length > 8 || data.newly_unassigned.length) return this.readPlan().then(() => this.tell("plan"));
    const read = await Promise.all(drivers.flatMap((driver) => [
      get(`/v1/drivers/${driver}/route`), get(`/v1/depots/${this.id}/plans/${newest}/lines?driver_id=${driver}`)]));
    drivers.forEach((driver, number) => {
      const [route, lines] = read.slice(2 * number, 2 * number + 2);
      this.routes.set(driver, route.shifts);
      for (const [shift, line] of this.lines) if (line.driver_id === driver) this.lines.delete(shift);
      for (const [shift, line] of linesOf(lines)) this.lines.set(shift, line);
    });
    for (const plan of plans) for (const id of plan.diff.no_longer_unassigned) this.unassigned.delete(id);
    this.versions = [...this.versions, ...plans];
    await this.planned();
    this.version = newest; // only now: what could not be read is asked for again
    this.tell("plan");
  }

  async happened(event) {
    if (!this.ready) return;
    const { type, data } = event;
    if (type === "shift.locked" || type === "shift.unlocked") {
      const shift = this.shifts.get(data.shift_id);
      if (shift) shift.locked = type === "shift.locked";
      return this.tell("shift", data.shift_id);
    }
    if (type === "plan.proposed" || type === "plan.discarded") return this.readProposal();
    if (type === "plan.published") {
      if (this.proposal) await this.readProposal();
      return data.version > this.version ? this.published(data) : null;
    }
    if (type === "order.accepted" || type === "order.changed" || type === "order.reserved" || !this.orders.has(data.order_id)) {
      const order = data.order_id && await find(`/v1/orders/${data.order_id}`);
      if (order) this.orders.set(order.id, order);
    }
    const order = this.orders.get(data.order_id);
    if (!order) return;
    if (data.status) {
      order.status = data.status;
      if (data.status === "unassigned") this.unassigned.set(order.id, data.reasons ?? []);
      else this.unassigned.delete(order.id);
      this.mark(order, data.status);
    }
    this.tell("order", order);
  }

  /** Set the state of an order's stops where they stand in routes. */
  mark(order, status) {
    const state = STATE_OF[status];
    if (!state) return;
    for (const shifts of this.routes.values()) {
      for (const shift of shifts) {
        for (const stop of shift.stops) {
          if (stop.order_id !== order.id) continue;
          const pickup = stop.stop_id.endsWith(".pickup");
          if (status === "picked_up") stop.state = pickup ? "completed" : stop.state;
          else if (pickup && (state === "completed" || DONE.has(stop.state))) stop.state = "completed";
          else stop.state = state;
        }
      }
    }
  }

  moved(changed) {
    const fresh = this.ready && Object.keys(changed).some((id) => !this.drivers.has(id));
    for (const [id, now] of Object.entries(changed)) {
      const { location, heading, seen_at, ...known } = this.drivers.get(id) ?? {}; // where he is is told whole, or he is nowhere
      this.drivers.set(id, { id, ...known, ...now });
    }
    if (fresh) this.later(() => this.readFleet().then(() => this.tell("drivers", Object.keys(changed))));
    if (this.ready) this.tell("drivers", Object.keys(changed));
  }

  expected(changed) {
    for (const [stop, eta] of Object.entries(changed)) this.etas.set(stop, eta);
    if (this.ready) this.tell("etas");
  }

  name(driver) {
    return this.drivers.get(driver)?.name || driver.slice(driver.indexOf(".") + 1);
  }

  /** A version as it was, with its lines; kept, as it never changes. */
  async past(version) {
    this.kept ??= new Map();
    if (!this.kept.has(version)) {
      const [plan, lines] = await Promise.all([
        get(`/v1/depots/${this.id}/plans/${version}`), get(`/v1/depots/${this.id}/plans/${version}/lines`)]);
      if (this.kept.size > 50) this.kept.clear();
      this.kept.set(version, { plan, routes: routesOf(plan), lines: linesOf(lines) });
    }
    return this.kept.get(version);
  }
}

export function routesOf(plan) {
  const routes = new Map();
  for (const { driver_id, ...shift } of plan.routes) {
    if (!routes.has(driver_id)) routes.set(driver_id, []);
    routes.get(driver_id).push(shift);
  }
  return routes;
}

export function linesOf(told) {
  return new Map(told.lines.map((line) => [line.shift_id, {
    driver_id: line.driver_id, metres: line.metres,
    points: line.legs.flatMap((leg, number) => points(leg.points).slice(number ? 1 : 0)),
  }]));
}

/** How late a stop will be, or was planned to be (s): 0 if in time. */
export function lateness(stop, etas) {
  if (DONE.has(stop.state) || !stop.windows?.length) return stop.late_by ?? 0;
  const eta = etas.get(stop.stop_id);
  const at = eta ? seconds(eta.p50) : seconds(stop.arrive);
  const ends = stop.windows.map((window) => seconds(window.to));
  const open = ends.filter((end) => end >= at);
  return open.length ? 0 : Math.round(at - Math.max(...ends));
}

export const finished = (stop) => DONE.has(stop.state);
