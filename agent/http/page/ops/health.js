// How each part of the server is, and what to do.

import { ask } from "../http.js";
import { confirm } from "./dialog.js";
import { h, heading, length, pill, trouble, words } from "./dom.js";
import { TONES, clustered } from "./names.js";

// What helps where a part doesn't say so itself.
const REMEDIES = {
  down: "It isn't there. Look into the log, and see that what it needs runs.",
  failed: "It couldn't be started. “offhook doctor” says what is missing.",
  restarting: "It died and comes back by itself. If that repeats, the log says why.",
  loading: "It is being loaded. Calls are taken when it is ready.",
  degraded: "It works, but not as it should.",
};

export async function show(page, { server, signal }) {
  const body = h("div", { class: "sections" });
  const failed = h("div");
  const drain = h("button", { type: "button", click: turn });
  page.append(heading("Health", h("span", { class: "spacer" }), drain), failed, body);

  let nodes = []; // of the cluster, where there is one
  const draining = () => /drain/i.test(server.health?.reason ?? "");
  async function turn() {
    failed.replaceChildren();
    try {
      if (draining()) await ask("DELETE", "api/v1/drain");
      else if (await confirm({ title: "Take no new calls?", text: "Live calls go on. New ones are refused until you take them again.", action: "Take no new calls", danger: true })) await ask("POST", "api/v1/drain");
      else return;
      server.health = await ask("GET", "health");
      await fill();
    } catch (error) {
      failed.replaceChildren(trouble(error, turn));
    }
  }

  async function fill() {
    const { health } = server;
    if (!health) return;
    if (clustered(health)) ({ nodes } = await ask("GET", "api/v1/nodes").catch(() => ({ nodes })));
    if (signal.aborted) return;
    drain.textContent = draining() ? "Take calls again" : "Take no new calls…";
    body.replaceChildren(...sections(health, nodes));
  }
  server.addEventListener("health", fill, { signal });
  server.health ??= await ask("GET", "health");
  await fill();
}

function sections(health, nodes) {
  const sick = health.components.filter((part) => TONES[part.state] !== "fine" && part.state !== "off");
  const say = sick.length
    ? `${sick.map((part) => part.name).join(", ")} ${sick.length === 1 ? "needs" : "need"} attention.`
    : "Every part is well.";
  return [
    h("p", { class: "sentence" }, pill(words(health.status), TONES[health.status]), " ", say, " ",
      health.accepting ? "New calls are answered." : health.reason || "New calls aren't answered."),
    nodes.length > 0 && section("Nodes", table(["Node", "State", "Calls", "Heard", "Runs"], nodes.map(node), "nodes")),
    section("Parts", table(["Part", "State", "Runs", "Waiting", "What to do"], [...health.components].sort(worstFirst).map(part))),
    health.llm && section("Language models", h("p", { class: "soft" }, health.llm.why),
      table(["Model", "State", "At", "", "What to do"], health.llm.endpoints.map((one) => row(one.model, one.state, `${one.kind}, ${one.url}`, one.device, one.last_error)))),
    health.accounts.length > 0 && section("SIP accounts", table(["Account", "State", "Server", "Renewed in", "What to do"],
      health.accounts.map((one) => row(one.name, one.state, one.server, one.expires_in_s == null ? "" : length(one.expires_in_s), one.last_error)))),
    section("Ignored addresses", health.banned.length
      ? table(["Address", "", "Why", "For", ""], health.banned.map((ban) => row(ban.address, "banned", ban.why, length(ban.seconds_left), "")))
      : h("p", { class: "soft" }, "None: no scanner or flood is banned now.")),
  ].filter(Boolean);
}

const worstFirst = (one, other) => rank(one) - rank(other);
const rank = (part) => ["bad", "warn", "fine", ""].indexOf(TONES[part.state] ?? "warn");

function part(one) {
  const runs = [one.model, one.device, one.precision, one.weights_mb && `${Math.round(one.weights_mb).toLocaleString()} MB`].filter(Boolean).join(" · ");
  const remedy = [one.last_error, one.remedy].filter(Boolean).join(" ") || one.note || REMEDIES[one.state];
  return row(one.name, one.state, runs, one.queued ? String(one.queued) : "", remedy);
}

/** One that is down was stopped, and is no worry. */
function node(one) {
  const tone = one.state === "down" ? "" : TONES[one.state] ?? "warn";
  const runs = `${one.version} · configuration ${one.configuration} · personas ${one.personas}`;
  const ago = `${length(one.silent_s)} ago`;
  return row(one.name, one.state, `${one.calls} of ${one.max_calls}`, ago, [one.stray && pill("not as most others", "warn"), " ", runs], one.stray ? "warn" : tone, tone);
}

function row(name, state, what, more, remedy, tone = TONES[state], shown = tone ?? "warn") {
  return h("tr", { class: tone === "bad" || tone === "warn" ? "sick" : null },
    h("th", { scope: "row" }, name),
    h("td", null, pill(words(state), shown)),
    h("td", { class: "what" }, what),
    h("td", { class: "more number" }, more),
    h("td", { class: "remedy" }, remedy));
}

function table(heads, rows, kind = "") {
  return h("table", { class: `list parts ${kind}` },
    h("thead", null, h("tr", null, ...heads.map((name) => h("th", { scope: "col" }, name)))),
    h("tbody", null, ...rows));
}

const section = (name, ...what) => h("section", null, h("h2", null, name), ...what);
