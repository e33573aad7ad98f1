// What the driver's page keeps on the phone: its state, and what it has to send, through tunnels and reloads.

const opened = new Promise((resolve, reject) => {
  const asked = indexedDB.open("lastleg-driver", 1);
  asked.onupgradeneeded = () => {
    asked.result.createObjectStore("kept");
    asked.result.createObjectStore("queue", { autoIncrement: true });
  };
  asked.onsuccess = () => resolve(asked.result);
  asked.onerror = () => reject(asked.error);
});

async function run(store, mode, step) {
  const database = await opened;
  return new Promise((resolve, reject) => {
    const transaction = database.transaction(store, mode);
    const asked = step(transaction.objectStore(store));
    transaction.oncomplete = () => resolve(asked?.result);
    transaction.onerror = () => reject(transaction.error);
  });
}

export const kept = (name) => run("kept", "readonly", (store) => store.get(name));
export const keep = (name, value) => run("kept", "readwrite", (store) => store.put(value, name));

/** Forget what is kept, but not what is to be sent: that waits for whose it is. */
export const forget = () => run("kept", "readwrite", (store) => store.clear());

/** Put a call of a driver, {driver, path, body}, at the end of what is to be sent. */
export const push = (call) => run("queue", "readwrite", (store) => store.add(call));

/** What is to be sent for a driver, the oldest first: [key, call]. */
export async function waiting(driver) {
  const [keys, calls] = await Promise.all([run("queue", "readonly", (store) => store.getAllKeys()), run("queue", "readonly", (store) => store.getAll())]);
  return keys.map((key, number) => [key, calls[number]]).filter(([, call]) => call.driver === driver);
}

export const sent = (key) => run("queue", "readwrite", (store) => store.delete(key));
