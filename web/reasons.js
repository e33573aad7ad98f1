// Why nobody takes an order, in words.

const WORDS = {
  skill: "lacks a skill", capacity: "has no room", time_window: "cannot be there in time", shift_end: "would be back too late",
  break: "has a break then", max_duration: "would work too long", max_distance: "would drive too far", max_stops: "has enough stops", max_driving: "would be at the wheel too long",
  unreachable: "cannot get there", closed_road: "finds the street closed", locked_route: "has a locked route",
  driver_declined: "has declined", driver_excluded: "is excluded", driver_absent: "is off duty or silent", precedence: "does not have its goods", relation: "does not go with what it is bound to", no_vehicle: "there is no vehicle",
  outprioritised: "has what matters more", disruption_budget: "would have too much changed", solver_timeout: "could: the search ran out of time",
  invalid_location: "does not know the place", set_aside: "planning failed on it, and it was set aside",
  pinned: "is not the one it is pinned to", departed: "has left the depot already",
};

const say = (code) => WORDS[code] ?? code.replaceAll("_", " ");

function missing({ shortfall, unit }) {
  if (!shortfall) return "";
  return unit === "s" ? ` (${Math.ceil(shortfall / 60)} min)` : ` (${shortfall} ${unit ?? ""})`.replace(" )", ")");
}

const min = (amount) => `${Math.ceil(amount / 60)} min`;

const GIVES_WAY = {
  time_window: ({ amount }) => `its window ${min(amount)} wider`, capacity: ({ amount, unit }) => `room for ${amount} ${unit} more`,
  shift_end: ({ amount }) => `${min(amount)} of overtime`, max_stops: ({ amount }) => `${amount} more stops`,
  max_distance: ({ amount }) => `${(amount / 1000).toFixed(1)} km more`, max_duration: ({ amount }) => `a shift ${min(amount)} longer`,
  max_driving: ({ amount }) => `${min(amount)} more at the wheel`, skill: ({ skills }) => `without ${skills.join(", ")}`,
};

/** What would let an order be served, in words; `name` and `stop` give those of drivers and stops. */
export function givesWay(relaxation, name, stop) {
  const { code, driver_id, cost, stop_id, to_driver_id } = relaxation;
  const what = code === "moved" ? `${stop(stop_id)} given to ${name(to_driver_id)}` : GIVES_WAY[code]?.(relaxation) ?? say(code);
  return `${name(driver_id)}: ${what} (${cost < 0 ? "" : "+"}${Math.round(cost / 60)} min)`;
}

/** One line for a list: the commonest reason, and how many drivers it stops. */
export function inShort(reasons) {
  if (!reasons.length) return "not planned yet";
  const counts = new Map();
  for (const reason of reasons) counts.set(reason.code, (counts.get(reason.code) ?? 0) + 1);
  const [code, count] = [...counts].sort((a, b) => b[1] - a[1])[0];
  const best = reasons.filter((reason) => reason.code === code).sort((a, b) => (a.shortfall ?? 0) - (b.shortfall ?? 0))[0];
  return reasons[0].driver_id ? `${count} of ${reasons.length}: ${say(code)}${missing(best)}` : say(code);
}

/** A line for each driver. */
export const each = (reasons, name) =>
  reasons.map((reason) => `${reason.driver_id ? `${name(reason.driver_id)} ` : ""}${say(reason.code)}${missing(reason)}`);
