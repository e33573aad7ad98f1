// When drivers rest, by their routes.

/** The rests of a shift's route that are before a stop that is open still; before the way home (null) as long as there is one. */
export function restsAhead({ stops, rests = [] }, open) {
  const ahead = new Set(stops.filter(open).map((stop) => stop.stop_id));
  return rests.filter((rest) => (rest.before === null ? ahead.size : ahead.has(rest.before)));
}
