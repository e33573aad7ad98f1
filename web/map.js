// The console's map: routes in their colours, stops by state and lateness, drivers as they move, closed and slow streets.

import { L, basemap } from "/web/basemap.js";
import { points } from "/web/api.js";
import { finished, lateness } from "/web/depot.js";
import { colour } from "/web/dom.js";

/** A colour for each driver, as far from its neighbours' as the circle allows. */
export function hues(ids) {
  return new Map([...ids].sort().map((id, number) => [id, Math.round((number * 137.508) % 360)]));
}

export function inColour(hue) {
  return document.documentElement.dataset.theme === "dark" ? `hsl(${hue} 70% 66%)` : `hsl(${hue} 75% 36%)`;
}

export class MapView {
  constructor(element, { onStop, onDriver, onRoad, onPlace }) {
    this.map = L.map(element, { preferCanvas: true, zoomControl: true, maxZoom: 19, attributionControl: true });
    this.map.attributionControl.setPrefix("");
    this.on = { onStop, onDriver, onRoad };
    const pane = (name, z) => {
      this.map.createPane(name).style.zIndex = z;
      return L.canvas({ pane: name, padding: 0.3 });
    };
    this.canvas = { lines: pane("route-lines", 410), roads: pane("road-events", 420), stops: pane("stops", 430), drivers: pane("drivers", 440) };
    for (const name of ["route-lines", "road-events", "stops"]) this.map.getPane(name).style.pointerEvents = "none";
    this.groups = Object.fromEntries(Object.keys(this.canvas).map((name) => [name, L.layerGroup().addTo(this.map)]));
    this.drawn = L.layerGroup().addTo(this.map); // what is being pointed at or drawn
    this.stops = new Map();
    this.drivers = new Map();
    this.shown = new Map(); // shift -> polyline
    this.map.on("click", (event) => this.clicked(event, onPlace));
    this.map.on("mousemove", (event) => this.hover(event));
    this.chosen = null;
  }

  /** Put a map of streets under everything; one that is there already stays, and so does what is looked at. */
  async base(path, settings) {
    if (this.street?.path === path) return;
    const street = await basemap(this.map, path, settings);
    this.street?.layer.remove();
    this.street = { ...street, path };
    this.map.fitBounds(this.street.bounds, { animate: false });
  }

  /** Forget a depot's drivers and what was drawn. */
  clear() {
    this.groups.drivers.clearLayers();
    this.drivers.clear();
    this.drawn.clearLayers();
    this.chosen = null;
  }

  theme() {
    this.street?.redraw();
    this.style();
  }

  /** All panes but the topmost let clicks through, so what is under the pointer is found here. */
  clicked(event, onPlace) {
    if (this.aiming) return onPlace(event.latlng);
    const found = this.under(event.latlng);
    if (found) return found();
    this.on.onStop(null);
  }

  under(latlng) {
    const at = this.map.latLngToContainerPoint(latlng);
    const near = (marker, reach) => this.map.latLngToContainerPoint(marker.getLatLng()).distanceTo(at) <= reach;
    for (const [id, marker] of this.drivers) if (near(marker, 11)) return () => this.on.onDriver(id);
    let best = null;
    let least = 11;
    for (const [id, marker] of this.stops) {
      const distance = this.map.latLngToContainerPoint(marker.getLatLng()).distanceTo(at);
      if (distance < least) [best, least] = [id, distance];
    }
    if (best) return () => this.on.onStop(best);
    for (const layer of this.groups.roads.getLayers()) {
      if (L.PolyUtil && layer.getLatLngs && nearLine(this.map, layer, at, 8)) return () => this.on.onRoad(layer.options.road);
    }
    return null;
  }

  hover(event) {
    clearTimeout(this.hovering);
    this.hovering = setTimeout(() => {
      this.map.getContainer().style.cursor = this.aiming ? "crosshair" : this.under(event.latlng) ? "pointer" : "";
    }, 40);
  }

  /** Let a place be pointed at: by clicking it, or by moving the map under its cross with the arrow keys. */
  aim(on) {
    this.aiming = on;
    this.map.getContainer().classList.toggle("aiming", on);
    if (on) this.map.getContainer().focus({ preventScroll: true });
    if (on) this.map.doubleClickZoom.disable();
    else this.map.doubleClickZoom.enable();
  }

  /** Show routes: lines by shift, stops in their order; only what has changed is drawn anew. */
  show({ routes, lines, etas, orders, unassigned, waiting, colours, drivers }) {
    this.colours = colours;
    this.etas = etas;
    for (const [shift, shape] of this.shown) {
      if (lines.get(shift)?.points !== shape.told) {
        shape.remove();
        this.shown.delete(shift);
      }
    }
    for (const [shift, line] of lines) {
      if (this.shown.has(shift)) continue;
      const shape = L.polyline(line.points, { renderer: this.canvas.lines, interactive: false, weight: 3.5, opacity: 0.8 });
      shape.told = line.points;
      shape.driver = line.driver_id;
      this.groups.lines.addLayer(shape);
      this.shown.set(shift, shape);
    }
    const now = new Map();
    for (const [driver, shifts] of routes) for (const shift of shifts) for (const stop of shift.stops) {
      const order = orders.get(stop.order_id);
      const place = stop.location ?? order?.location;
      if (place) now.set(stop.stop_id, { place, driver, stop });
    }
    for (const [ids, state] of [[waiting, "waiting"], [unassigned.keys(), "unassigned"]]) for (const id of ids) {
      const order = orders.get(id);
      if (order && !now.has(order.stop_id)) now.set(order.stop_id, { place: order.location, driver: null, stop: { stop_id: order.stop_id, order_id: id, state } });
    }
    for (const [id, marker] of this.stops) {
      if (now.has(id)) continue;
      marker.remove();
      this.stops.delete(id);
    }
    for (const [id, told] of now) {
      let marker = this.stops.get(id);
      if (!marker) {
        marker = L.circleMarker([told.place.lat, told.place.lon], { renderer: this.canvas.stops, interactive: false, radius: 6 });
        this.stops.set(id, marker);
        this.groups.stops.addLayer(marker);
      }
      marker.told = told;
    }
    this.style();
    this.move(drivers);
  }

  /** Colours and sizes of what is there; a style is set only where it is another. */
  style() {
    const ground = colour("panel");
    const bad = colour("bad");
    const accent = colour("accent");
    for (const shape of this.shown.values()) {
      const faint = this.chosen && this.chosen !== shape.driver;
      restyle(shape, { color: this.colour(shape.driver), opacity: faint ? 0.15 : 0.8, weight: this.chosen === shape.driver ? 5 : 3.5 });
    }
    for (const marker of this.stops.values()) {
      const { driver, stop } = marker.told;
      const faint = this.chosen && this.chosen !== driver;
      const late = !finished(stop) && lateness(stop, this.etas ?? new Map()) > 0;
      const own = this.colour(driver);
      const look = !driver ? { color: stop.state === "waiting" ? accent : bad, fillColor: ground, weight: 3, radius: 6 }
        : finished(stop) ? { color: own, fillColor: ground, weight: 1, radius: 3.5 }
        : { color: late ? bad : ground, fillColor: own, weight: late ? 3 : 1.5, radius: stop.state === "open" ? 6 : 8 };
      restyle(marker, { ...look, opacity: faint ? 0.3 : 1, fillOpacity: faint ? 0.3 : 1 });
    }
    for (const [id, marker] of this.drivers) restyle(marker, this.ofDriver(id, marker.state));
  }

  colour(driver) {
    return inColour(this.colours?.get(driver) ?? 0);
  }

  ofDriver(id, state) {
    const away = state !== "available";
    return { color: colour("text"), fillColor: away ? colour("sunk") : this.colour(id), weight: 2.5, radius: 9, fillOpacity: 1,
      dashArray: away ? "3 3" : null };
  }

  /** Where drivers are; a marker that has not moved is left alone. */
  move(drivers) {
    for (const [id, driver] of drivers) {
      let marker = this.drivers.get(id);
      if (!driver.location) {
        marker?.remove();
        this.drivers.delete(id);
        continue;
      }
      const at = [driver.location.lat, driver.location.lon];
      if (!marker) {
        marker = L.circleMarker(at, { renderer: this.canvas.drivers, interactive: false, ...this.ofDriver(id, driver.state) });
        this.drivers.set(id, marker);
        this.groups.drivers.addLayer(marker);
      } else if (marker.getLatLng().lat !== at[0] || marker.getLatLng().lng !== at[1]) {
        marker.setLatLng(at);
      }
      if (marker.state !== driver.state) {
        marker.state = driver.state;
        restyle(marker, this.ofDriver(id, driver.state));
      }
    }
  }

  roads(events) {
    this.groups.roads.clearLayers();
    for (const event of events) {
      const look = event.kind === "close" ? { color: colour("bad"), dashArray: "2 7" } : { color: colour("warn"), dashArray: "8 6" };
      for (const line of event.lines) {
        this.groups.roads.addLayer(L.polyline(points(line), { renderer: this.canvas.roads, interactive: false, weight: 6, opacity: 0.9, road: event.id, ...look }));
      }
    }
  }

  /** Lines of before, dashed, and of after, for drivers whose routes a version changed. */
  compare(before, after, drivers) {
    this.drawn.clearLayers();
    const add = (lines, style) => {
      for (const line of lines.values()) {
        if (drivers.has(line.driver_id)) this.drawn.addLayer(L.polyline(line.points, { interactive: false, ...style(line.driver_id) }));
      }
    };
    add(before, () => ({ color: colour("dim"), weight: 4, dashArray: "3 8", opacity: 0.9 }));
    add(after, (driver) => ({ color: this.colour(driver), weight: 5, opacity: 0.95 }));
  }

  sketch(...layers) {
    this.drawn.clearLayers();
    for (const layer of layers) this.drawn.addLayer(layer);
  }

  choose(driver) {
    this.chosen = driver;
    this.style();
  }

  goToRoad(id) {
    const lines = this.groups.roads.getLayers().filter((layer) => layer.options.road === id);
    if (lines.length) this.map.fitBounds(lines.map((line) => line.getBounds()).reduce((all, one) => all.extend(one)), { maxZoom: 16, padding: [60, 60] });
  }

  goTo(place) {
    this.map.setView([place.lat, place.lon], Math.max(16, this.map.getZoom()), { animate: !matchMedia("(prefers-reduced-motion: reduce)").matches });
  }
}

function restyle(layer, look) {
  const now = layer.options;
  if (Object.entries(look).some(([name, value]) => now[name] !== value)) layer.setStyle(look);
}

function nearLine(map, line, at, reach) {
  const places = line.getLatLngs().map((place) => map.latLngToContainerPoint(place));
  for (let i = 1; i < places.length; i += 1) {
    if (L.LineUtil.pointToSegmentDistance(at, places[i - 1], places[i]) <= reach) return true;
  }
  return false;
}

export { L };
