// What things are called.

const TRIGGERS = {
  order_new: "new order", order_changed: "order changed", order_cancelled: "order cancelled", order_readmitted: "order tried again",
  stop_failed: "stop failed", stop_skipped: "stop skipped", stop_declined: "stop declined", stop_conflict: "stop taken over",
  lateness_foreseen: "lateness foreseen", detour: "detour", standing_still: "standing still", driver_silent: "driver silent",
  driver_back: "driver back", driver_off_duty: "driver off duty", driver_on_duty: "driver on duty", driver_returned: "driver returned",
  driver_on_break: "break", driver_off_break: "break ended", break_over: "break over", unacknowledged: "not acknowledged",
  offer_accepted: "offer accepted", vehicle_broken: "vehicle broken", roads_changed: "roads changed", shift_changed: "shift changed",
  shift_started: "shift started", shift_ended: "shift ended", periodic: "periodic", requested: "asked for",
  reservation_over: "reservation over",
};

/** Whether a stop is one at the depot, where a van comes back for more. */
export const isReload = (stopId) => stopId?.endsWith(".reload") ?? false;

export const trigger = (kind) => TRIGGERS[kind] ?? kind.replaceAll("_", " ");
