// Small means for pages: elements, one dialog, one note at the foot, light and dark.

export const $ = (id) => document.getElementById(id);

const something = (children) => children.flat(Infinity).filter((child) => child || child === 0);

/** An element with attributes and children; text is text, never markup. */
export function el(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (key === "class") made.className = value;
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value !== undefined && value !== null) made.setAttribute(key, value);
  }
  made.append(...something(children));
  return made;
}

/** Put these in place of what an element has; what is nothing is left out. The focus stays on what says the same, or in that place. */
export function fill(element, ...children) {
  const focusable = () => [...element.querySelectorAll("button, a, input, select, summary")];
  const before = document.activeElement;
  const place = element.contains(before) ? focusable().indexOf(before) : -1;
  element.replaceChildren(...something(children));
  if (place < 0 || before.isConnected) return;
  const now = focusable();
  (now.find((one) => one.textContent === before.textContent) ?? now[Math.min(place, now.length - 1)])?.focus({ preventScroll: true });
}

let hiding = 0;

/** Say something at the foot of the page for a while. */
export function note(text) {
  const toast = $("toast");
  toast.textContent = text;
  toast.hidden = false;
  clearTimeout(hiding);
  hiding = setTimeout(() => (toast.hidden = true), 6000);
}

/**
 * Ask in a dialog. `fields` are labelled inputs by name; resolves with their values, or null if it is dismissed.
 * `send(values)` is tried before it closes: what it throws is shown in the dialog. `look(values)` tells, in lines, what would come of it.
 */
export function ask(title, fields, { ok = "OK", danger = false, text = "", send = async () => {}, look = null } = {}) {
  const dialog = $("dialog");
  if (dialog.open) return Promise.resolve(null); // what is being answered comes first
  const error = el("p", { class: "error", role: "alert", hidden: true });
  const found = el("ul", { "aria-live": "polite" });
  const failed = (problem) => {
    if (problem.status === 401) throw problem; // the session is over
    error.textContent = problem.text ?? "The server does not answer.";
    error.hidden = false;
  };
  const values = () => Object.fromEntries(new FormData(form));
  const ahead = async () => {
    error.hidden = true;
    found.replaceChildren(el("li", {}, "…"));
    try {
      found.replaceChildren(...(await look(values())).map((line) => el("li", {}, line)));
    } catch (problem) {
      found.replaceChildren();
      failed(problem);
    }
  };
  const form = el(
    "form", { method: "dialog" },
    text && el("p", { class: "dim" }, text),
    Object.entries(fields).map(([label, input]) => el("label", {}, label, input)),
    found, error,
    el("div", { class: "row end" },
      look && el("button", { type: "button", onclick: ahead }, "What would happen?"),
      el("button", { type: "button", onclick: () => dialog.close("") }, "Cancel"),
      el("button", { class: danger ? "danger" : "main" }, ok)),
  );
  dialog.replaceChildren(el("h2", { id: "dialog-title" }, title), form);
  return new Promise((resolve) => {
    let done = null;
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      if (form.sending) return;
      form.sending = true;
      try {
        const told = values();
        done = (await send(told)) ?? told;
        dialog.close("ok");
      } catch (problem) {
        failed(problem);
      } finally {
        form.sending = false;
      }
    });
    dialog.onclose = () => resolve(done);
    dialog.showModal();
  });
}

/** A select of [value, text] pairs. */
export function choice(name, rows, chosen) {
  return el("select", { name }, rows.map(([value, text]) => el("option", { value, selected: value === chosen }, text)));
}

/** Light or dark: as chosen before, else as the system has it. */
export function theme() {
  const wanted = localStorage.getItem("theme") ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  document.documentElement.dataset.theme = wanted;
  return wanted;
}

export function otherTheme() {
  localStorage.setItem("theme", theme() === "dark" ? "light" : "dark");
  return theme();
}

/** A colour of the theme. */
export const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
