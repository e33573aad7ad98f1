// Keeps the driver's page at hand where there is no network: always the newest that could be had.

const NAME = "lastleg-driver";
const PARTS = ["/driver", "/web/base.css", "/web/driver.css", "/web/driver.js", "/web/api.js", "/web/dom.js", "/web/store.js", "/web/rests.js", "/web/words.js"];

self.addEventListener("install", (event) => {
  event.waitUntil(caches.open(NAME).then((cache) => cache.addAll(PARTS)).then(() => self.skipWaiting()));
});

self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));

self.addEventListener("fetch", (event) => {
  const { pathname, origin } = new URL(event.request.url);
  if (event.request.method !== "GET" || origin !== location.origin || !PARTS.includes(pathname)) return;
  event.respondWith((async () => {
    const cache = await caches.open(NAME);
    try {
      const answer = await fetch(event.request);
      if (!answer.ok) throw new TypeError(`the server answers ${answer.status}`);
      await cache.put(pathname, answer.clone());
      return answer;
    } catch (error) {
      const known = await cache.match(pathname);
      if (known) return known;
      throw error;
    }
  })());
});
