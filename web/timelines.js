// Routes as timelines: what each driver does when, with windows, waiting, expected arrivals (P50 to P80) and lateness.

import { hhmm, seconds } from "/web/api.js";
import { finished, lateness } from "/web/depot.js";
import { $, colour, el } from "/web/dom.js";
import { inColour } from "/web/map.js";
import { restsAhead } from "/web/rests.js";

export class Timelines {
  constructor({ onChoose }) {
    this.rows = new Map();
    this.onChoose = onChoose;
    this.seen = new IntersectionObserver((entries) => {
      for (const entry of entries) {
        entry.target.seen = entry.isIntersecting;
        if (entry.isIntersecting) this.draw(entry.target.driver);
      }
    }, { root: $("routes"), rootMargin: "100px" });
  }

  /** Make a row for each driver with stops, and write what it says. */
  show({ routes, etas, colours, name, drivers, at, zone, chosen }) {
    Object.assign(this, { routes, etas, colours, at, zone });
    const ids = [...routes.keys()].filter((id) => routes.get(id).some((shift) => shift.stops.length)).sort();
    for (const [id, row] of this.rows) {
      if (routes.has(id) && ids.includes(id)) continue;
      this.seen.unobserve(row.item);
      row.item.remove();
      this.rows.delete(id);
    }
    ids.forEach((id, number) => {
      if (!this.rows.has(id)) this.rows.set(id, this.row(id));
      const row = this.rows.get(id);
      if ($("routes").children[number] !== row.item) $("routes").insertBefore(row.item, $("routes").children[number] ?? null);
      this.write(id, name(id), drivers.get(id)?.state, id === chosen);
    });
    $("routes-count").textContent = ids.length ? `${ids.length}` : "";
    if (!ids.length && !$("routes").children.length) $("routes").append(el("li", { class: "empty" }, "No routes yet."));
    else if (ids.length) $("routes").querySelector(".empty")?.remove();
    this.span();
    this.drawAxis();
    for (const id of ids) this.draw(id);
  }

  row(id) {
    const swatch = el("span", { class: "swatch", "aria-hidden": "true" });
    const title = el("span", { class: "name" });
    const told = el("span", { class: "dim" });
    const canvas = el("canvas", { height: 24, "aria-hidden": "true" });
    const button = el("button", { class: "route", onclick: () => this.onChoose(id) }, swatch, title, " ", told, canvas);
    const item = el("li", {}, button);
    item.driver = id;
    this.seen.observe(item);
    return { item, button, swatch, title, told, canvas };
  }

  write(id, name, state, chosen) {
    const row = this.rows.get(id);
    const stops = this.stops(id);
    const open = stops.filter((stop) => !finished(stop));
    const late = open.filter((stop) => lateness(stop, this.etas) > 0).length;
    row.swatch.style.background = inColour(this.colours.get(id));
    row.title.textContent = name;
    const next = open[0];
    const parts = [`${stops.length - open.length}/${stops.length}`];
    if (next?.state === "arrived") parts.push(`there since ${hhmm(next.arrive, this.zone)}`);
    else if (next) parts.push(`next ${hhmm(this.etas.get(next.stop_id)?.p50 ?? next.arrive, this.zone)}`);
    if (state && state !== "available") parts.push(state.replace("_", " "));
    row.told.replaceChildren(parts.join(" · "), ...(late ? [" · ", el("span", { class: "late" }, `${late} late`)] : []));
    row.item.classList.toggle("chosen", chosen);
    row.button.setAttribute("aria-pressed", String(chosen));
  }

  stops(id) {
    return (this.routes.get(id) ?? []).flatMap((shift) => shift.stops);
  }

  /** The rests that are planned before what is still to be done. */
  rests(id) {
    return (this.routes.get(id) ?? []).flatMap((shift) => restsAhead(shift, (stop) => !finished(stop)));
  }

  /** The hours shown: from an hour before the time in question to the last stop. */
  span() {
    let last = this.at + 3600;
    for (const id of this.rows.keys()) for (const stop of this.stops(id)) last = Math.max(last, seconds(stop.leave));
    this.from = this.at - 3600;
    this.to = Math.min(last, this.at + 10 * 3600);
  }

  x(at, width) {
    return ((at - this.from) / (this.to - this.from)) * width;
  }

  prepare(canvas, height) {
    const width = canvas.clientWidth || 300;
    const dpr = Math.min(2, window.devicePixelRatio || 1);
    if (canvas.width !== Math.round(width * dpr)) {
      canvas.width = Math.round(width * dpr);
      canvas.height = height * dpr;
    }
    const context = canvas.getContext("2d");
    context.setTransform(dpr, 0, 0, dpr, 0, 0);
    context.clearRect(0, 0, width, height);
    return [context, width];
  }

  drawAxis() {
    const [context, width] = this.prepare($("axis"), 18);
    context.fillStyle = colour("dim");
    context.font = "11px system-ui, sans-serif";
    const step = (this.to - this.from) / width * 55 > 3600 ? 7200 : 3600;
    for (let at = Math.ceil(this.from / step) * step; at < this.to; at += step) context.fillText(hhmm(at, this.zone), 12 + this.x(at, width - 24), 13);
  }

  draw(id) {
    const row = this.rows.get(id);
    if (!row?.item.seen) return;
    const [context, width] = this.prepare(row.canvas, 24);
    const x = (at) => Math.max(0, this.x(at, width));
    const own = inColour(this.colours.get(id));
    context.fillStyle = colour("sunk");
    context.fillRect(0, 10, width, 4);
    context.strokeStyle = colour("dim");
    for (const rest of this.rests(id)) context.strokeRect(x(seconds(rest.begin)) + .5, 7.5, Math.max(2, x(seconds(rest.end)) - x(seconds(rest.begin)) - 1), 9);
    for (const stop of this.stops(id)) {
      const late = lateness(stop, this.etas) > 0;
      const eta = this.etas.get(stop.stop_id);
      if (!finished(stop)) {
        context.fillStyle = colour("line");
        for (const window of stop.windows ?? []) context.fillRect(x(seconds(window.from)), 20, Math.max(2, x(seconds(window.to)) - x(seconds(window.from))), 2);
      }
      const from = x(eta ? seconds(eta.p50) : seconds(stop.arrive));
      if (eta) {
        context.globalAlpha = 0.35;
        context.fillStyle = late ? colour("bad") : own;
        context.fillRect(from, 5, Math.max(1, x(seconds(eta.p80)) - from), 14);
        context.globalAlpha = 1;
      }
      context.fillStyle = finished(stop) ? colour("dim") : late ? colour("bad") : own;
      const begin = Math.max(from, x(seconds(stop.begin)));
      context.fillRect(from, 11, begin - from, 2); // waits
      context.fillRect(begin, finished(stop) ? 9 : 5, Math.max(2.5, x(seconds(stop.leave)) - x(seconds(stop.begin))), finished(stop) ? 6 : 14);
    }
    context.fillStyle = colour("text");
    context.fillRect(x(this.at), 0, 1.5, 24);
  }
}
