// The operators' page: which view is shown, how the server is, and the API key where one is asked for.

import { ask, hasKey, rememberKey } from "../http.js";
import { show as showCall } from "./call.js";
import { show as showCalls } from "./calls.js";
import { show as showCapacity } from "./capacity.js";
import { clock, h, trouble, words } from "./dom.js";
import { show as showHealth } from "./health.js";
import { show as showLive } from "./live.js";
import { TONES } from "./names.js";
import { Stream } from "./stream.js";

const HEALTH_MS = 5000;
const VIEWS = {
  live: ["Live", showLive],
  calls: ["Calls", showCalls],
  call: ["Call", showCall, "calls"],
  health: ["Health", showHealth],
  capacity: ["Capacity", showCapacity],
};

const $ = (id) => document.getElementById(id);
/** What every view may look at and listen to; `health` and the stream's events are fired on it. */
const server = Object.assign(new EventTarget(), { health: null });
let leave = null; // stops the view that is shown
let stream = null;
let asking = false; // for the key
let looking = false;

/** Where `#/view/id?filters` leads. */
function place() {
  const [path, query] = location.hash.slice(1).split("?");
  const [, view, ...rest] = path.split("/");
  let id = rest.join("/");
  try {
    id = decodeURIComponent(id);
  } catch {} // no call has such an id
  return { view: view in VIEWS ? view : "live", id, query: new URLSearchParams(query) };
}

async function show(focus = true) {
  if (leave && location.hash && !location.hash.startsWith("#/")) return; // the skip link
  leave?.abort();
  const mine = (leave = new AbortController());
  const { view, id, query } = place();
  const [title, fill, tab = view] = VIEWS[view];
  document.title = `${title} · offhook`;
  for (const link of $("nav").children) {
    if (link.hash === `#/${tab}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const page = h("div", { class: `view ${view}` });
  try {
    await fill(page, { id, query, server, signal: mine.signal });
  } catch (error) {
    if (mine.signal.aborted) return;
    page.append(trouble(error, () => show()));
    refused(error);
  }
  if (mine.signal.aborted) return;
  $("main").replaceChildren(page);
  if (focus) {
    scrollTo(0, 0);
    (page.querySelector("h1") ?? $("main")).focus({ preventScroll: true });
  }
}

async function look() {
  looking = true;
  try {
    server.health = await ask("GET", "health");
    if (!asking) $("notices").replaceChildren();
  } catch (error) {
    server.health = null;
    if (!refused(error) && $("notices").textContent !== error.message) $("notices").replaceChildren(trouble(error));
  } finally {
    looking = false;
  }
  tell(server.health);
  server.dispatchEvent(new Event("health"));
}

function tell(health) {
  const well = health && (health.status === "ok" ? health.accepting ? "ready" : "full" : health.status);
  $("status").textContent = health ? `${words(well)} · ${health.calls} of ${health.max_calls}` : asking ? "no key" : "no answer";
  $("status").title = health?.reason ?? "";
  $("status").className = `pill ${health ? TONES[well] ?? "warn" : "bad"}`;
}

/** Whether it is the key that was wrong or missing: it is asked for then. */
function refused(error) {
  if (error.status !== 401 && !(error.status === 403 && hasKey())) return false;
  if (asking) return true;
  asking = true;
  leave?.abort(); // what asks again with a wrong key keeps the whole address waiting
  $("main").replaceChildren();
  const field = h("input", { id: "key", type: "password", autocomplete: "off", spellcheck: "false", required: true });
  const form = h("form", { class: "notice", submit: (event) => {
    event.preventDefault();
    rememberKey(field.value);
    asking = false;
    $("notices").replaceChildren();
    begin();
  } },
  h("p", null, h("strong", null, hasKey() ? error.message : "This server asks for its API key.")),
  h("p", null, "It stays in this tab until it is closed."),
  h("p", { class: "field" }, h("label", { for: "key" }, "API key"), field, h("button", { class: "primary" }, "Use it")));
  $("notices").replaceChildren(form);
  field.focus();
  return true;
}

async function follow() {
  if (stream) return;
  stream = new Stream();
  for (const type of ["event", "here", "lost"]) {
    stream.addEventListener(type, ({ detail }) => server.dispatchEvent(new CustomEvent(type, { detail })));
  }
  stream.addEventListener("refused", ({ detail }) => refused(detail));
  await stream.run();
  stream = null;
}

async function begin(focus = true) {
  await look();
  if (asking) return;
  follow();
  await show(focus);
}

addEventListener("hashchange", () => asking || show());
setInterval(() => ($("clock").textContent = clock()), 1000);
$("clock").textContent = clock();
const lookAgain = () => document.hidden || asking || looking || look();
setInterval(lookAgain, HEALTH_MS);
document.addEventListener("visibilitychange", lookAgain);
begin(false);
