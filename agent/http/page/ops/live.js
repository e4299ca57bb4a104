// Who is on the line now.

import { ask } from "../http.js";
import { empty, h, heading, hour, length, midnight, ms, pill, seconds, words } from "./dom.js";
import { TONES, clustered, failed, over, slow, who } from "./names.js";
import { paced } from "./pacing.js";

const TRUTH_MS = 5000; // states change without an event
const STATS_MS = 60_000;
const HOUR_MS = 3_600_000;

export async function show(page, { server, signal }) {
  const said = new Map(); // a call's last words, by its id
  const rows = new Map();
  const body = h("tbody");
  const table = h("table", { class: "list live-calls" },
    h("thead", null, h("tr", null,
      ...["State", "Caller", "Called", "Node", "Length", "Last answer", "Turns", "Last words"].map((name, n) =>
        h("th", { scope: "col", class: n === 3 ? "node" : n > 3 && n < 7 ? "number" : null }, name)))),
    body);
  const nobody = empty("Nobody is on the line.", "Calls appear here by themselves. To make one, dial in, or ",
    h("a", { href: "./" }, "call from this browser"), ".");
  const summary = h("dl", { class: "tiles", "aria-label": "Today" });
  const why = h("p");
  const lost = h("div", { hidden: true, class: "notice warn" }, why);
  const away = h("p");
  const silent = h("div", { hidden: true, class: "notice warn" }, away);
  const sick = h("div");
  page.append(heading("Live calls"), lost, silent, sick, summary, table, nobody);

  async function refresh() {
    const { sessions, unreachable } = await ask("GET", "api/v1/sessions?nodes=all");
    if (signal.aborted) return;
    away.textContent = unreachable.length ? `No answer from ${unreachable.join(", ")}. Calls there are shown as they were last written, or not at all.` : "";
    silent.hidden = !unreachable.length;
    table.classList.toggle("alone", !clustered(server.health));
    for (const [id, row] of rows) {
      if (sessions.some((call) => call.id === id)) continue;
      row.remove();
      rows.delete(id);
    }
    for (const call of sessions) {
      const row = rows.get(call.id) ?? newRow(call);
      fill(row, call);
      if (call.turns && !said.has(call.id)) lastWords(call.id);
    }
    table.hidden = !sessions.length;
    nobody.hidden = !!sessions.length;
  }

  function newRow(call) {
    const row = h("tr", null,
      h("td", { class: "state" }),
      h("th", { scope: "row", class: "who" }, h("a", { class: "row", href: `#/call/${call.id}` }, who(call, call.from)),
        call.from_name && call.from_name !== call.from && h("small", null, call.from_name)),
      h("td", { class: "to" }, who(call, call.to), h("small", null, over(call))),
      h("td", { class: "node" }, call.node),
      h("td", { class: "number length" }),
      h("td", { class: "number answer" }),
      h("td", { class: "number turns" }),
      h("td", { class: "words" }));
    row.dataset.since = call.since;
    rows.set(call.id, row);
    body.append(row);
    return row;
  }

  function fill(row, call) {
    const muted = [call.caller_muted && "caller muted", call.agent_muted && "agent muted"].filter(Boolean).join(", ");
    row.querySelector(".state").replaceChildren(pill(muted || words(call.state), muted ? "warn" : call.state));
    row.querySelector(".length").textContent = length(seconds(row.dataset.since, Date.now()));
    const latency = call.last_voice_to_voice_ms;
    row.querySelector(".answer").textContent = ms(latency);
    row.querySelector(".answer").className = `number answer ${slow(latency)}`;
    row.querySelector(".turns").textContent = call.turns;
    const last = said.get(call.id);
    row.querySelector(".words").replaceChildren(
      last ? h("span", null, h("b", null, last.speaker === "caller" ? "Caller" : "Agent"), ` ${last.text}`) : h("span", { class: "soft" }, call.turns ? "…" : "Nothing said yet"));
  }

  async function lastWords(id) {
    if (!said.has(id)) said.set(id, null);
    const detail = await ask("GET", `api/v1/sessions/${id}`).catch(() => null);
    const last = detail?.transcript.at(-1);
    if (last && !(said.get(id)?.at > last.at)) said.set(id, last);
    soon();
  }

  let hours = []; // the last day's
  async function look() {
    ({ hours } = await ask("GET", "api/v1/stats?hours=26").catch(() => ({ hours: [] })));
    if (!signal.aborted) summarize();
  }

  function summarize() {
    const found = server.health ? warnings(server.health) : [];
    if (found.map((one) => one.textContent).join("") !== sick.textContent) sick.replaceChildren(...found);
    const first = midnight() - HOUR_MS; // not every zone's days begin with an hour
    const today = hours.filter((hour) => new Date(hour.since) > first);
    const all = today.reduce((sum, hour) => sum + hour.calls, 0);
    const bad = today.reduce((sum, hour) => sum + Object.entries(hour.causes).reduce((n, [name, of]) => n + (failed(name) ? of : 0), 0), 0);
    const last = hours.findLast((hour) => hour.answers);
    const health = server.health;
    summary.replaceChildren(
      tile("On the line", health ? `${health.calls}` : "–", health ? `of ${health.max_calls}` : ""),
      tile("Today", all.toLocaleString(), all === 1 ? "call" : "calls"),
      tile("Failed today", bad.toLocaleString(), all ? `${((100 * bad) / all).toFixed(bad ? 1 : 0)} %` : "", bad ? "bad" : ""),
      tile(last ? `Voice to voice since ${hour(last.since)}` : "Voice to voice", ms(last?.voice_to_voice_median_ms), last ? `p95 ${ms(last.voice_to_voice_p95_ms)}` : ""));
  }

  const soon = paced(async () => signal.aborted || refresh());

  const every = (wait, work) => {
    const timer = setInterval(() => document.hidden || work(), wait);
    signal.addEventListener("abort", () => clearInterval(timer));
  };
  server.addEventListener("event", ({ detail }) => {
    if (detail.turn) said.set(detail.session, detail.turn);
    if (detail.type === "ended") said.delete(detail.session);
    soon();
  }, { signal });
  server.addEventListener("here", () => {
    lost.hidden = true;
    for (const id of said.keys()) {
      if (rows.has(id)) lastWords(id); // more may have been said meanwhile
      else said.delete(id); // nobody told that it ended
    }
    soon();
  }, { signal });
  server.addEventListener("lost", ({ detail }) => {
    why.textContent = `${detail?.status ? detail.message : "The live stream is interrupted."} What is shown may be old; it is tried again.`;
    lost.hidden = false;
  }, { signal });
  server.addEventListener("health", summarize, { signal });
  every(TRUTH_MS, soon);
  every(STATS_MS, look);
  every(1000, () => {
    for (const row of rows.values()) row.querySelector(".length").textContent = length(seconds(row.dataset.since, Date.now()));
  });
  await Promise.all([refresh(), look()]);
}

/** What somebody should look at, before anything else. */
function warnings({ accepting, reason, components }) {
  const parts = components.filter((part) => ["warn", "bad"].includes(TONES[part.state] ?? "warn"));
  if (accepting && !parts.length) return [];
  return [h("div", { class: `notice ${accepting ? "warn" : "bad"}` }, h("ul", null,
    !accepting && h("li", null, h("strong", null, "No new call is answered."), ` ${reason}`),
    ...parts.map((part) => h("li", null, h("strong", null, `${part.name} is ${words(part.state)}. `), [part.last_error, part.remedy].filter(Boolean).join(" ")))),
  h("a", { href: "#/health" }, "All parts and what to do"))];
}

function tile(name, value, more, tone = "") {
  return h("div", null, h("dt", null, name), h("dd", { class: tone }, value, more && h("small", null, ` ${more}`)));
}
