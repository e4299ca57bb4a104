// Calls that are over, with filters and pages.

import { ask, hasKey, request } from "../http.js";
import { empty, h, heading, length, midnight, ms, pill, seconds, trouble, when, zone } from "./dom.js";
import { CAUSES, cause, clustered, over, slow, who } from "./names.js";
import { paced } from "./pacing.js";

const LIMIT = 50;
const HOUR_MS = 3_600_000;
const PERIODS = { today: "Today", 24: "24 hours", 72: "3 days", 168: "7 days", all: "All" };

export async function show(page, { query, server, signal }) {
  const chosen = {
    period: query.get("period") ?? "today",
    cause: query.get("cause") ?? "",
    transport: query.get("transport") ?? "",
    from: query.get("from") ?? "",
  };
  const since = begins(chosen.period);
  const hours = since && nth(Date.now()) - nth(since) + 1; // the API counts by whole ones
  const results = h("div", { class: "results" });
  const causes = h("div", { class: "causes", role: "group", "aria-label": "Causes" });

  const fitting = new URLSearchParams();
  if (since) fitting.set("since", new Date(since).toISOString());
  for (const name of ["cause", "transport", "from"]) if (chosen[name]) fitting.set(name, chosen[name]);
  const failed = h("div");
  page.append(heading("Calls", h("span", { class: "spacer" }), ...["csv", "jsonl"].map((format) => exported(format, fitting, failed))),
    filters(chosen), failed, causes, results);

  const asked = new URLSearchParams([["state", "ended"], ["limit", LIMIT], ...fitting]);
  if (query.get("cursor")) asked.set("cursor", query.get("cursor"));

  let none = false;
  async function fill() {
    try {
      const [{ sessions, next }, stats] = await Promise.all([
        ask("GET", `api/v1/sessions?${asked}`),
        hours && ask("GET", `api/v1/stats?hours=${hours}`).catch(() => null),
      ]);
      if (signal.aborted) return;
      none = !sessions.length;
      causes.replaceChildren(...(stats ? counts(stats.hours, chosen) : []));
      results.replaceChildren(...(sessions.length ? [table(sessions, clustered(server.health)), pages(query, next)] : [nothing(chosen, query)]));
    } catch (error) {
      if (signal.aborted) return;
      if (error.status === 401) throw error;
      results.replaceChildren(trouble(error, fill));
    }
  }
  const soon = paced(async () => signal.aborted || fill());
  server.addEventListener("event", ({ detail }) => detail.type === "ended" && none && soon(), { signal });
  await fill();
}

/** All that fit, as a file. A link's own request can't carry the key. */
function exported(format, fitting, failed) {
  const href = `api/v1/sessions/export?${new URLSearchParams([["format", format], ...fitting])}`;
  const download = `calls.${format}`;
  const save = async (event) => {
    event.preventDefault();
    try {
      const url = URL.createObjectURL(await (await request("GET", href)).blob());
      h("a", { href: url, download }).click();
      setTimeout(() => URL.revokeObjectURL(url), 60_000);
      failed.replaceChildren();
    } catch (error) {
      failed.replaceChildren(trouble(error));
    }
  };
  return h("a", { class: "button", href, download, click: hasKey() && save }, format === "csv" ? "Export CSV" : "Export JSON Lines");
}

const nth = (time) => Math.floor(time / HOUR_MS);

/** When a period did, this hour being its last; null for all. */
function begins(period) {
  if (period === "all") return null;
  return period === "today" ? midnight() : (nth(Date.now()) - (Number(period) || 24) + 1) * HOUR_MS;
}

function go(chosen, change) {
  const wanted = Object.entries({ ...chosen, ...change }).filter(([name, value]) => value && !(name === "period" && value === "today"));
  const query = new URLSearchParams(wanted).toString();
  return `#/calls${query ? `?${query}` : ""}`;
}

function filters(chosen) {
  const select = (name, label, options) => h("label", null, h("span", null, label),
    h("select", { name, change: (event) => (location.hash = go(chosen, { [name]: event.target.value })) },
      ...options.map(([value, text]) => h("option", { value, selected: value === chosen[name] }, text))));
  const caller = h("input", { type: "search", name: "from", value: chosen.from, placeholder: "+4930123456", autocomplete: "off", enterkeyhint: "search" });
  caller.addEventListener("change", () => (location.hash = go(chosen, { from: caller.value.trim() })));
  return h("form", { class: "filters", role: "search", "aria-label": "Filter", submit: (event) => {
    event.preventDefault();
    location.hash = go(chosen, { from: caller.value.trim() });
  } },
  select("period", "Period", Object.entries(PERIODS)),
  select("cause", "Cause", [["", "Any"], ...Object.keys(CAUSES).map((name) => [name, cause(name)[0]])]),
  select("transport", "Over", [["", "Any"], ["sip", "SIP"], ["webrtc", "Browser"], ["twilio", "Twilio"], ["telnyx", "Telnyx"], ["plivo", "Plivo"], ["exotel", "Exotel"], ["vonage", "Vonage"], ["genesys", "Genesys"]]),
  h("label", null, h("span", null, "Caller"), caller));
}

/** How the period's calls ended, the worst first; each is a filter. */
function counts(hours, chosen) {
  const sums = new Map();
  for (const hour of hours) for (const [name, of] of Object.entries(hour.causes)) sums.set(name, (sums.get(name) ?? 0) + of);
  const order = ["bad", "warn", "fine"];
  return [...sums]
    .sort(([one, n], [other, m]) => order.indexOf(cause(one)[1]) - order.indexOf(cause(other)[1]) || m - n)
    .map(([name, of]) => {
      const [text, tone] = cause(name);
      const on = chosen.cause === name;
      return h("a", { class: `chip ${tone}`, href: go(chosen, { cause: on ? "" : name }), "aria-current": on && "true" },
        text, h("b", null, of.toLocaleString()));
    });
}

function table(calls, several) {
  const heads = [[`Began (${zone})`], ["Caller"], ["Called"], ["Node", "node"], ["Length", "number"], ["Turns", "number"], ["Last answer", "number"], ["Ended by"]];
  return h("table", { class: `list past-calls ${several ? "" : "alone"}` },
    h("thead", null, h("tr", null, ...heads.map(([name, kind]) => h("th", { scope: "col", class: kind }, name)))),
    h("tbody", null, ...calls.map(row)));
}

function row(call) {
  const [text, tone] = cause(call.cause);
  return h("tr", null,
    h("td", { class: "began" }, when(call.since)),
    h("th", { scope: "row", class: "who" }, h("a", { class: "row", href: `#/call/${call.id}` }, who(call, call.from)),
      call.from_name && call.from_name !== call.from && h("small", null, call.from_name)),
    h("td", { class: "to" }, who(call, call.to), h("small", null, over(call))),
    h("td", { class: "node" }, call.node),
    h("td", { class: "number length" }, length(seconds(call.since, call.ended))),
    h("td", { class: "number turns" }, call.turns),
    h("td", { class: `number answer ${slow(call.last_voice_to_voice_ms)}` }, ms(call.last_voice_to_voice_ms)),
    h("td", { class: "cause" }, pill(text, tone)));
}

function pages(query, next) {
  const at = (cursor) => {
    const other = new URLSearchParams(query);
    cursor ? other.set("cursor", cursor) : other.delete("cursor");
    return `#/calls?${other}`;
  };
  return h("nav", { class: "pages", "aria-label": "Pages" },
    query.get("cursor") && h("a", { class: "button", href: at(null) }, "Newest"),
    next && h("a", { class: "button", href: at(next), rel: "next" }, "Older"));
}

function nothing(chosen, query) {
  const narrowed = chosen.cause || chosen.transport || chosen.from || query.get("cursor");
  return narrowed
    ? empty("No call fits.", "Choose a longer period, or ", h("a", { href: go({ period: chosen.period }, {}) }, "drop the filters"), ".")
    : empty("No calls in this period.", "Those that end appear here. ", h("a", { href: go({ period: "all" }, {}) }, "Show all that are kept"), ".");
}
