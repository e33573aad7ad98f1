// The public API, as any page of the same origin may use it: a session's cookie, its token against other sites, problems as errors.

export class Problem extends Error {
  constructor(status, told) {
    super(told.detail ?? `The server answered ${status}.`);
    this.status = status;
    this.code = told.code ?? "";
    this.told = told;
  }

  /** Whether asking again would change nothing: our server has said no, and not somebody on the way to it. */
  get final() {
    return Boolean(this.code) && this.status < 500 && this.status !== 408 && this.status !== 429;
  }

  /** For people: what is wrong, each fault, and what to do. */
  get text() {
    const faults = (this.told.errors ?? []).map((fault) => `${fault.pointer || fault.parameter || ""} ${fault.detail}`.trim());
    return [faults.length ? faults.join(" ") : this.message, this.told.remedy].filter(Boolean).join(" ");
  }
}

let token = "";

/** The session of a role that this browser has, or null. */
export async function session(role) {
  const told = await call("GET", `/v1/sessions/current?role=${role}`);
  return told.session && begun(told.session);
}

/** Open a session of a role with a key; a Problem if it is another role's. */
export async function signIn(key, role) {
  return begun(await call("POST", "/v1/sessions", { key, role }));
}

function begun(told) {
  token = told.csrf_token;
  return told;
}

/** Use a session's token that was kept from before. */
export function resume(kept) {
  token = kept;
}

/** So long an answer may take: a network that is as good as none is none. */
const PATIENCE_MS = 20_000;

/** A new name for something that may be sent twice; `crypto.randomUUID` is there over HTTPS only. */
export function uuid() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Call; the JSON of the answer (null if it has none). Throws a Problem, or another error where our server does not answer. */
export async function call(method, path, body, headers = {}) {
  const sent = { method, headers: { "X-CSRF-Token": token, ...headers }, signal: AbortSignal.timeout(PATIENCE_MS) };
  if (!token) delete sent.headers["X-CSRF-Token"];
  if (body !== undefined) {
    sent.body = JSON.stringify(body);
    sent.headers["Content-Type"] = "application/json";
  }
  const answer = await fetch(path, sent);
  if (answer.status === 204 || answer.status === 304) return null;
  if (!answer.ok) throw new Problem(answer.status, await answer.json().catch(() => ({})));
  return answer.json(); // an error where it is none: a page of whoever keeps the network
}

export const get = (path) => call("GET", path);

/** A depot's clock, as it was told once. */
export class Clock {
  constructor(told) {
    this.scale = told.scale;
    this.zero = Date.parse(told.now) / 1000;
    this.real = performance.now() / 1000;
  }

  /** Seconds since 1970, in the depot. */
  now() {
    return this.zero + (performance.now() / 1000 - this.real) * this.scale;
  }
}

const HOURS = new Map();

/** "09:41" of a time (s, or ISO text) in a time zone. */
export function hhmm(time, zone = "UTC") {
  if (!HOURS.has(zone)) {
    HOURS.set(zone, new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", timeZone: zone }));
  }
  return HOURS.get(zone).format(typeof time === "number" ? time * 1000 : Date.parse(time));
}

/** Seconds since 1970 of ISO text. */
export const seconds = (text) => Date.parse(text) / 1000;

export const iso = (at) => new Date(at * 1000).toISOString();

/** [lat, lon] pairs of a line that is told in steps of 1e-5 degrees. */
export function points(steps) {
  const found = [];
  let lat = 0;
  let lon = 0;
  for (let i = 0; i < steps.length; i += 2) {
    lat += steps[i];
    lon += steps[i + 1];
    found.push([lat / 1e5, lon / 1e5]);
  }
  return found;
}
