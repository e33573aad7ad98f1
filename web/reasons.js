// Why nobody takes an order, in words.

const WORDS = {
  skill: "lacks a skill", capacity: "has no room", time_window: "cannot be there in time", shift_end: "would be back too late",
  break: "has a break then", max_duration: "would work too long", max_distance: "would drive too far", max_stops: "has enough stops", max_driving: "would be at the wheel too long",
  unreachable: "cannot get there", closed_road: "finds the street closed", locked_route: "has a locked route",
  driver_declined: "has declined", driver_excluded: "is excluded", driver_absent: "is off duty or silent", precedence: "does not have its goods", no_vehicle: "there is no vehicle",
  outprioritised: "has what matters more", disruption_budget: "would have too much changed", solver_timeout: "could: the search ran out of time",
  invalid_location: "does not know the place", set_aside: "planning failed on it, and it was set aside",
  pinned: "is not the one it is pinned to", departed: "has left the depot already",
};

const say = (code) => WORDS[code] ?? code.replaceAll("_", " ");

function missing({ shortfall, unit }) {
  if (!shortfall) return "";
  return unit === "s" ? ` (${Math.ceil(shortfall / 60)} min)` : ` (${shortfall} ${unit ?? ""})`.replace(" )", ")");
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
