// Plan versions, newest first: what asked for each, who gained, lost or was reordered, what it costs and whom it disturbs.

import { hhmm } from "/web/api.js";
import { $, el } from "/web/dom.js";
import { trigger } from "/web/words.js";

const SHOWN = 150;

/** What asked for a version, in words: each kind once, with how often. */
export function why(plan) {
  const counts = new Map();
  for (const { kind } of plan.triggers) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  const told = [...counts].map(([kind, count]) => trigger(kind) + (count > 1 ? ` × ${count}` : ""));
  return told.join(", ") || (plan.engine === "repair" ? "planned" : "improved");
}

/** "anna +2 −1 ↻3" for each driver whose route changed. */
export function changes(plan, name) {
  const part = (sign, stops) => (stops.length ? ` ${sign}${stops.length}` : "");
  return plan.diff.routes.map((route) =>
    name(route.driver_id) + part("+", route.gained) + part("−", route.lost) + part("↻", route.reordered) + part("~", route.updated));
}

export function minutes(cost) {
  return `${Math.round((cost % 1e10) / 60)} min`;
}

/** What changes would come to, in lines for people. */
export function outcome({ before, after, diff, disruption, unassigned }, name) {
  const more = (count, what) => (count ? `${count > 0 ? "+" : "−"}${Math.abs(count)} ${what}` : "");
  return [
    changes({ diff }, name).join(", ") || "No route would change.",
    [more(Math.round((after.cost - before.cost) / 60), "min of cost"), more(after.late - before.late, "late"), disturbed({ disruption })].filter(Boolean).join(" · "),
    unassigned.length ? `Nobody could serve ${unassigned.length === 1 ? "one order" : `${unassigned.length} orders`}.` : "",
  ].filter(Boolean);
}

export function disturbed({ disruption }) {
  const parts = [];
  if (disruption.moved) parts.push(`${disruption.moved} moved`);
  if (disruption.resequenced) parts.push(`${disruption.resequenced} resequenced`);
  if (disruption.shifted) parts.push(`${disruption.shifted} beyond their promise`);
  return parts.join(", ") || "nobody disturbed";
}

export function showVersions({ versions, chosen, name, zone, onChoose }) {
  const list = $("feed");
  const rows = versions.slice(-SHOWN).reverse();
  const known = new Map([...list.children].map((item) => [item.dataset.version, item]));
  const items = rows.map((plan) => {
    const item = known.get(String(plan.version)) ?? row(plan, name, zone, onChoose);
    item.classList.toggle("chosen", plan.version === chosen);
    item.firstChild.setAttribute("aria-pressed", String(plan.version === chosen));
    return item;
  });
  items.forEach((item, number) => {
    if (list.children[number] !== item) list.insertBefore(item, list.children[number] ?? null);
  });
  while (list.children.length > items.length) list.lastChild.remove();
}

function row(plan, name, zone, onChoose) {
  const told = changes(plan, name);
  const gone = plan.diff.newly_unassigned.length ? `${plan.diff.newly_unassigned.length} unassigned` : null;
  const latency = plan.latency_s === null ? "" : ` · after ${plan.latency_s < 10 ? plan.latency_s.toFixed(1) : Math.round(plan.latency_s)} s`;
  const item = el("li", { "data-version": plan.version }, el(
    "button", { onclick: () => onChoose(plan.version) },
    el("span", { class: "dim" }, `${hhmm(plan.created_at, zone)} v${plan.version} `), el("span", { class: "why" }, why(plan)),
    el("span", { class: "change" }, [...told, gone].filter(Boolean).join(", ") || "no route changed"),
    el("span", { class: "cost" }, `${minutes(plan.cost)} · ${disturbed(plan)}${latency}`)));
  return item;
}
