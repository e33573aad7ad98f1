// The base map, drawn from the road network's own vector tiles; or a raster map, where the operator has named one.

import * as L from "/web/leaflet/leaflet-src.esm.js";
import { get } from "/web/api.js";
import { colour } from "/web/dom.js";

const WIDTHS = { motorway: 5, primary: 4, secondary: 3.2, tertiary: 2.6, street: 2, service: 1.2 };
const ORDER = ["service", "street", "tertiary", "secondary", "primary", "motorway"];

const Streets = L.GridLayer.extend({
  initialize(path, { extent, edition }, options) {
    L.GridLayer.prototype.initialize.call(this, options);
    Object.assign(this, { path, extent, edition });
    this.kept = new Map();
  },

  createTile(coords, done) {
    const size = this.getTileSize();
    const dpr = Math.min(2, window.devicePixelRatio || 1);
    const tile = document.createElement("canvas");
    tile.width = size.x * dpr;
    tile.height = size.y * dpr;
    const key = `${coords.z}/${coords.x}/${coords.y}`;
    const drawn = this.kept.has(key) ? Promise.resolve(this.kept.get(key)) : get(`${this.path}/${key}?edition=${this.edition}`);
    drawn.then((lines) => {
      if (this.kept.size > 400) this.kept.clear();
      this.kept.set(key, lines);
      draw(tile, lines, (size.x * dpr) / this.extent, dpr, coords.z);
      done(null, tile);
    }, (error) => done(error, tile));
    return tile;
  },
});

function draw(tile, lines, scale, dpr, zoom) {
  const context = tile.getContext("2d");
  const wide = dpr * Math.max(0.45, Math.min(2.6, 2 ** ((zoom - 16) * 0.7)));
  context.lineCap = context.lineJoin = "round";
  const kinds = ORDER.filter((kind) => lines[kind]);
  const paths = new Map(kinds.map((kind) => [kind, path(lines[kind], scale)]));
  if (zoom >= 14) {
    for (const kind of kinds) stroke(context, paths.get(kind), WIDTHS[kind] * wide + 2 * dpr, edge(kind));
  }
  for (const kind of kinds) stroke(context, paths.get(kind), Math.max(dpr * 0.7, WIDTHS[kind] * wide), inner(kind, zoom));
}

const major = (kind) => kind === "motorway" || kind === "primary" || kind === "secondary";
const edge = (kind) => colour(major(kind) ? "road-edge" : "street-edge");
const inner = (kind, zoom) => colour(major(kind) ? "road" : zoom < 14 ? "street-edge" : "street");

function path(lines, scale) {
  const made = new Path2D();
  for (const line of lines) {
    let x = line[0];
    let y = line[1];
    made.moveTo(x * scale, y * scale);
    for (let i = 2; i < line.length; i += 2) {
      x += line[i];
      y += line[i + 1];
      made.lineTo(x * scale, y * scale);
    }
  }
  return made;
}

function stroke(context, made, width, style) {
  context.lineWidth = width;
  context.strokeStyle = style;
  context.stroke(made);
}

/** Put a depot's base map under a Leaflet map; `path` is the map's own, such as /v1/maps/helsinki. */
export async function basemap(map, path, settings = {}) {
  const told = await get(path);
  const { south, west, north, east } = told.bounds;
  const bounds = L.latLngBounds([south, west], [north, east]);
  const layer = settings.tiles
    ? L.tileLayer(settings.tiles, { attribution: settings.attribution, maxZoom: 19 })
    : new Streets(`${path}/tiles`, told, { attribution: told.attribution, maxZoom: told.max_zoom, bounds: bounds.pad(0.1), keepBuffer: 1 });
  map.setMaxBounds(bounds.pad(0.5));
  layer.addTo(map);
  return { bounds, layer, redraw: () => layer.redraw() };
}

export { L };
