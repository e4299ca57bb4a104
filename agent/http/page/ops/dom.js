// Elements, and how figures and times are written.

/** An element. Of `props`, functions are listeners, and what is false or null is left out. */
export function h(tag, props, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props ?? {})) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value !== false && value != null) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child != null && child !== false));
  return element;
}

export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  use.setAttribute("href", `#${name}`);
  svg.append(use);
  return svg;
}

/** A view's heading, which takes the focus when the view is shown. */
export const heading = (text, ...more) => h("div", { class: "heading" }, h("h1", { tabindex: -1 }, text), ...more);

export const pill = (text, tone = "") => h("span", { class: `pill ${tone}` }, text);

/** What went wrong and what to do, with a button to try again. */
export function trouble(error, again) {
  return h("div", { class: "notice bad", role: "alert" },
    h("p", null, error.message), again && h("button", { type: "button", click: again }, "Try again"));
}

export const empty = (title, ...text) => h("div", { class: "empty" }, h("p", null, h("strong", null, title)), h("p", null, ...text));

// Times are this browser's. The clock in the header has the zone, as each time has when it is pointed at.
const TIME = new Intl.DateTimeFormat(undefined, { timeStyle: "medium", hourCycle: "h23" });
const DAY = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const DATE = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });
const HOUR = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const FULL = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "long", hourCycle: "h23" });
const ZONED = new Intl.DateTimeFormat(undefined, {
  hour: "2-digit", minute: "2-digit", hourCycle: "h23", timeZoneName: "short",
});

export const zone = ZONED.formatToParts(new Date()).find((part) => part.type === "timeZoneName").value;

export function when(iso) {
  const date = new Date(iso);
  const today = date.toDateString() === new Date().toDateString();
  const day = date.getFullYear() === new Date().getFullYear() ? DAY : DATE;
  return h("time", { datetime: iso, title: FULL.format(date) },
    today ? TIME.format(date) : `${day.format(date)}, ${TIME.format(date)}`);
}

export const midnight = () => new Date().setHours(0, 0, 0, 0);

export const hour = (iso) => HOUR.format(new Date(iso));
export const full = (iso) => FULL.format(new Date(iso));
export const clock = () => ZONED.format(new Date());

/** 1:02:03, of seconds. */
export function length(seconds) {
  const s = Math.max(0, Math.floor(seconds));
  const minutes = Math.floor(s / 60) % 60;
  const hours = Math.floor(s / 3600);
  const pad = (n) => String(n).padStart(2, "0");
  return hours ? `${hours}:${pad(minutes)}:${pad(s % 60)}` : `${minutes}:${pad(s % 60)}`;
}

export const seconds = (from, to) => (new Date(to) - new Date(from)) / 1000;
export const ms = (value) => (value == null ? "–" : `${Math.round(value).toLocaleString()} ms`);
export const words = (name) => name.replaceAll("_", " ");
