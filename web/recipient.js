// The recipient's page: when the driver comes, and where to. The link is all it knows.

import { get, hhmm } from "/web/api.js";
import { L, basemap } from "/web/basemap.js";
import { $, colour, theme } from "/web/dom.js";

const EVERY_MS = 15_000;
const TITLES = {
  accepted: "Your order is being planned", matching: "Your order is being planned", offered: "Your order is being planned", reserved: "Your order is reserved",
  planned: "Your order is planned", unassigned: "Your order is being planned anew", picked_up: "Your order is on its way", en_route: "The driver is on the way to you",
  arrived: "The driver is there", completed: "Done", failed: "It could not be done", cancelled: "Cancelled",
};

const path = `/v1/tracking/${location.pathname.split("/").pop()}`;
let map = null;
let van = null;

theme();
look();
setInterval(look, EVERY_MS);

async function look() {
  let told;
  try {
    told = await get(path);
  } catch (problem) {
    if (problem.status === 410 || problem.status === 404) {
      $("status").textContent = "This link is no longer good.";
      $("when").textContent = "Ask whoever sent it for a new one.";
      $("map").hidden = true;
    }
    else $("progress").textContent = "No connection; this may be out of date.";
    return; // and it is tried again
  }
  const time = (text) => hhmm(text, told.timezone);
  $("status").textContent = TITLES[told.status];
  const over = ["completed", "failed", "cancelled"].includes(told.status);
  const window = told.windows.map((one) => `${time(one.from)} – ${time(one.to)}`).join(", ");
  $("when").textContent = over ? (told.left_at ? `at ${time(told.left_at)}` : "")
    : told.eta ? between(time(told.eta.p50), time(told.eta.p80)) : window ? `between ${window}` : "";
  $("progress").textContent = over || told.status === "arrived" || told.stops_before === undefined ? ""
    : told.stops_before === 0 ? "You are next." : `${told.stops_before} ${told.stops_before === 1 ? "stop" : "stops"} before you.`;
  await place(told, over).catch(() => {}); // the words are what matters; the map is tried again
}

const between = (from, to) => (from === to ? `about ${from}` : `${from} – ${to}`);

async function place(told, over) {
  const at = [told.location.lat, told.location.lon];
  $("map").hidden = over;
  if (over) return;
  if (!map) {
    const settings = await get("/web/settings.json");
    const fresh = L.map("map", { attributionControl: true });
    fresh.attributionControl.setPrefix("");
    fresh.setView(at, 16);
    try {
      await basemap(fresh, `${path}/map`, settings);
    } catch (problem) {
      fresh.remove(); // and made anew next time
      throw problem;
    }
    map = fresh;
    L.circleMarker(at, { radius: 10, color: colour("panel"), fillColor: colour("accent"), fillOpacity: 1, weight: 3 }).addTo(map);
  }
  if (told.vehicle) {
    const now = [told.vehicle.lat, told.vehicle.lon];
    const first = !van;
    van ??= L.circleMarker(now, { radius: 9, color: colour("text"), fillColor: colour("good"), fillOpacity: 1, weight: 3 }).addTo(map);
    van.setLatLng(now);
    if (first || !map.getBounds().contains(now)) map.fitBounds(L.latLngBounds([at, now]).pad(0.3), { maxZoom: 16 });
  } else if (van) {
    van.remove();
    van = null;
  }
}
