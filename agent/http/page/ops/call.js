// One call, live or past: who, how it sounded, what was said, and where the time of each answer went.

import { ask } from "../http.js";
import { confirm } from "./dialog.js";
import { full, h, heading, icon, length, ms, pill, seconds, trouble, words } from "./dom.js";
import { STAGES, cause, clustered, slow, who } from "./names.js";
import { paced } from "./pacing.js";
import { Player } from "./player.js";

const TRUTH_MS = 5000;

export async function show(page, { id, server, signal }) {
  const path = `api/v1/sessions/${encodeURIComponent(id)}`;
  const head = h("div");
  const actions = h("div", { class: "actions", role: "group", "aria-label": "Act on the call", hidden: true });
  const failed = h("div");
  const gone = h("p", { class: "soft", hidden: true }, "The call is over. There is no record of it, or none yet.");
  const summary = h("p", { class: "sentence", hidden: true });
  const sound = h("div", { class: "sound" });
  let player = null; // once the call is over, where it was recorded
  let hearing = null; // while its outlines are fetched
  let recorded = false; // what is shown is what is kept of the call
  const log = h("ol", { class: "log" });
  const facts = h("dl", { class: "facts" });
  let call = null;
  let open = new Set(); // answers whose waterfall is open, by when they began

  async function refresh() {
    let now;
    try {
      now = await ask("GET", path);
    } catch (error) {
      if (error.status === 404 && call) over({ ended: new Date().toISOString() });
      if (call?.state === "ended") gone.hidden = false;
      throw error;
    }
    if (signal.aborted || (call?.state === "ended" && now.state !== "ended")) return;
    call = now;
    recorded = call.state === "ended";
    gone.hidden = true;
    draw();
  }

  /** No more is known yet, and perhaps never, than what is shown. */
  function over(how) {
    if (signal.aborted || call.state === "ended") return;
    call = { ...call, ...how, state: "ended" };
    draw();
  }

  function draw() {
    const state = `${call.state} ${call.cause}`;
    if (head.dataset.state !== state) head.replaceChildren(title(call));
    head.dataset.state = state;
    summary.textContent = call.summary;
    summary.hidden = !call.summary;
    facts.replaceChildren(...about(call, clustered(server.health)));
    open = new Set([...log.querySelectorAll("details[open]")].map((details) => details.dataset.at));
    const focused = document.activeElement?.closest?.(".log [data-at]")?.dataset.at;
    const end = innerHeight + scrollY > document.documentElement.scrollHeight - 80;
    log.replaceChildren(...happened(call, open, player));
    if (focused) log.querySelector(`[data-at="${focused}"] summary`)?.focus({ preventScroll: true });
    if (end && call.state !== "ended") scrollTo(0, document.documentElement.scrollHeight);
    act();
    if (recorded && call.recording && !player) hearing ??= hear().finally(() => (hearing = null));
  }

  async function hear() {
    const made = new Player(`${path}/recording`, call, signal);
    try {
      await made.load();
    } catch (error) {
      sound.replaceChildren(error.status === 404 ? h("p", { class: "soft" }, "The recording isn't kept any more, or on another machine.") : trouble(error, draw));
      return;
    }
    if (signal.aborted) return;
    player = made;
    sound.replaceChildren(player.element);
    draw();
    player.addEventListener("turn", () => {
      for (const entry of log.children) entry.toggleAttribute("data-now", entry.dataset.at === player.now?.at);
    });
  }

  function act() {
    const live = call.state !== "ended";
    actions.hidden = !live;
    if (!live) return;
    const mute = (change) => ({ caller: call.caller_muted, agent: call.agent_muted, ...change });
    const button = (name, text, does, props = {}) => {
      const made = actions.querySelector(`[data-do="${name}"]`) ?? actions.appendChild(h("button", { type: "button", "data-do": name, ...props }));
      made.textContent = text;
      made.onclick = () => doIt(does);
      return made;
    };
    button("say", "Say…", async () => {
      const text = await confirm({ title: "Have the agent say", text: "Behind what it is saying now. The caller hears it, and the model is told of it.", field: "Words", action: "Say it" });
      return text && ask("POST", `${path}/say`, { text });
    });
    button("instruct", "Instruct…", async () => {
      const text = await confirm({ title: "Tell the model", text: "It holds from the next answer on. The caller doesn't hear it.", field: "Instruction", action: "Tell it" });
      return text && ask("POST", `${path}/messages`, { text });
    });
    button("mute-caller", call.caller_muted ? "Unmute the caller" : "Mute the caller", async () => {
      const sure = call.caller_muted || await confirm({ title: "Mute the caller?", text: "The agent doesn't hear them until you unmute them. What they say meanwhile is lost.", action: "Mute the caller" });
      return sure && ask("POST", `${path}/mute`, mute({ caller: !call.caller_muted }));
    }).setAttribute("aria-pressed", call.caller_muted);
    button("mute-agent", call.agent_muted ? "Unmute the agent" : "Mute the agent", async () => {
      const sure = call.agent_muted || await confirm({ title: "Mute the agent?", text: "The caller hears nothing until you unmute it. What it has to say waits.", action: "Mute the agent" });
      return sure && ask("POST", `${path}/mute`, mute({ agent: !call.agent_muted }));
    }).setAttribute("aria-pressed", call.agent_muted);
    if (call.recording) {
      const { paused } = call.recording;
      button("record", paused ? "Resume recording" : "Pause recording", () => ask("PUT", `${path}/recording`, { paused: !paused })).setAttribute("aria-pressed", paused);
    }
    button("hangup", "Hang up…", async () => {
      const sure = await confirm({ title: `Hang up on ${who(call)}?`, text: "The call ends at once, without a goodbye.", action: "Hang up", danger: true });
      return sure && ask("DELETE", path);
    }, { class: "danger" });
  }

  async function doIt(does) {
    failed.replaceChildren();
    try {
      await does();
      await refresh().catch(soon); // a call that has just ended may not be written down yet
    } catch (error) {
      failed.replaceChildren(trouble(error));
    }
  }

  const soon = paced(async () => signal.aborted || !call || recorded || refresh());

  page.append(head, actions, failed, gone, summary, sound, h("div", { class: "columns" },
    h("section", { "aria-labelledby": "said" }, h("h2", { id: "said" }, "What was said"), log),
    h("aside", { "aria-labelledby": "about" }, h("h2", { id: "about" }, "The call"), facts)));
  server.addEventListener("event", ({ detail }) => {
    if (detail.session !== id) return;
    if (detail.type === "ended" && call) over({ ended: detail.at, cause: detail.cause });
    soon();
  }, { signal });
  server.addEventListener("here", soon, { signal });
  const timer = setInterval(() => document.hidden || soon(), TRUTH_MS);
  const ticking = setInterval(() => {
    const running = head.querySelector(".running");
    if (running) running.textContent = length(seconds(call.since, Date.now()));
  }, 1000);
  signal.addEventListener("abort", () => [timer, ticking].forEach(clearInterval));
  await refresh();
}

function title(call) {
  const live = call.state !== "ended";
  const [text, tone] = live ? [words(call.state), call.state] : cause(call.cause);
  return h("div", null,
    h("a", { class: "back", href: live ? "#/live" : "#/calls" }, live ? "‹ Live calls" : "‹ Calls"),
    heading(`${call.from || "unknown"} → ${call.to || "unknown"}`, pill(text, tone),
      h("span", { class: live ? "soft running" : "soft" }, length(seconds(call.since, call.ended ?? Date.now())))));
}

function about(call, several) {
  const { quality } = call;
  const answers = call.transcript.filter((turn) => total(turn)).map(total).sort((a, b) => a - b);
  const lost = quality.packets_lost != null && quality.packets_received
    ? `${((100 * quality.packets_lost) / (quality.packets_lost + quality.packets_received)).toFixed(1)} % of ${(quality.packets_lost + quality.packets_received).toLocaleString()}` : null;
  const facts = [
    ["Began", full(call.since)],
    ["Ended", call.ended && full(call.ended)],
    ["Over", [call.transport, call.account && `account ${call.account}`, call.direction === "outbound" && "outgoing"].filter(Boolean).join(", ")],
    ["Name", call.from_name !== call.from && call.from_name],
    ["Diverted from", call.diverted_from.join(", ")],
    ["Address", call.remote],
    ["Node", several && call.node],
    ["Sound", [call.codec, call.encryption ? `encrypted (${call.encryption})` : "not encrypted"].filter(Boolean).join(", ")],
    ["Persona", `${call.persona} (${call.language})`],
    ["Flow", call.flow && stands(call.flow)],
    ["Understood", call.flow && Object.entries(call.flow.slots).map(([name, value]) => `${words(name)}: ${shown(value)}`).join("; ")],
    ["Answers", answers.length && `${answers.length}, median ${ms(answers[(answers.length - 1) >> 1])}, slowest ${ms(answers.at(-1))}`],
    ["MOS", quality.mos?.toFixed(2)],
    ["Packets lost", lost],
    ["Jitter", quality.jitter_ms != null && ms(quality.jitter_ms)],
    ["Round trip", quality.round_trip_ms != null && ms(quality.round_trip_ms)],
    ["False starts", String(call.false_starts)],
    ["Begun ahead", call.guesses && `${call.guesses}, ${call.guesses_discarded} thrown away`],
    ["Id", call.id],
  ];
  return facts.filter(([, value]) => value).map(([name, value]) => h("div", null, h("dt", null, name), h("dd", null, value)));
}

function stands({ task, step, waits_for: slot }) {
  return [task && words(task), step && words(step), slot && `waits for ${words(slot)}`].filter(Boolean).join(", ") || "between tasks";
}

const shown = (value) => (value === null ? "left out" : typeof value === "string" ? value : JSON.stringify(value));

/** Everything in the order in which it happened. */
function happened(call, open, player) {
  const most = Math.max(...call.transcript.map(total), 1);
  const all = [
    ...call.transcript.map((turn) => [turn.at, () => spoken(call, turn, most, open, player)]),
    ...call.tool_calls.map((tool) => [tool.at, () => entry(call, tool.at, "tool", "Tool", ...used(tool))]),
    ...call.actions.map((action) => [action.at, () => entry(call, action.at, "action", "Operator", done(action))]),
    ...call.problems.map((problem) => [problem.at, () => entry(call, problem.at, "problem", "Problem", problem.text)]),
  ];
  if (!all.length) return [h("li", { class: "soft" }, call.state === "ended" ? "Nothing is kept of what was said." : "Nothing has been said yet.")];
  return all.sort(([one], [other]) => new Date(one) - new Date(other)).map(([, make]) => make());
}

function used({ name, arguments: how, seconds: took, result, error }) {
  const outcome = error ?? (result === null ? null : JSON.stringify(result));
  return [
    h("code", null, `${name}(${JSON.stringify(how)})`),
    outcome !== null && ` → ${outcome}`,
    took !== null && h("small", { class: "soft" }, ` ${took.toFixed(1)} s`),
  ].filter(Boolean);
}

function done({ name, arguments: how, by }) {
  const details = Object.entries(how).map(([what, value]) => (typeof value === "string" ? `“${value}”` : `${words(what)}: ${value === true ? "yes" : value === false ? "no" : value}`)).join(", ");
  return `${words(name)}${details && ` ${details}`}${by && `, by ${by}`}`;
}

const total = (turn) => Object.values(turn.ledger).reduce((sum, part) => sum + part, 0);

function entry(call, at, kind, name, ...what) {
  return h("li", { class: kind, "data-at": at },
    h("time", { datetime: at, title: full(at) }, length(seconds(call.since, at))),
    h("span", { class: "name" }, name),
    h("div", { class: "what" }, ...what));
}

function spoken(call, turn, most, open, player) {
  const parts = Object.entries(turn.ledger);
  const { wait_ms: waited, probability, reason, patience } = turn.end_of_turn;
  const why = [
    waited != null && `waited ${ms(waited)}`, reason && words(reason), probability != null && `p ${probability.toFixed(2)}`, patience,
  ].filter(Boolean);
  const made = entry(call, turn.at, turn.speaker, turn.speaker === "caller" ? "Caller" : "Agent",
    h("p", null, turn.text),
    why.length > 0 && h("p", { class: "why" }, why.join(" · ")),
    turn.sources.length > 0 && h("p", { class: "why" }, `From ${turn.sources.join(" · ")}`),
    parts.length > 0 && waterfall(turn, parts, most, open));
  if (player && turn.recorded_s != null) {
    const at = length(seconds(call.since, call.recording.began) + turn.recorded_s);
    made.firstChild.replaceWith(h("button", { type: "button", class: "from", "aria-label": `Play from ${at}`, title: full(turn.at), click: () => player.playFrom(turn.recorded_s) }, icon("play"), h("span", null, at)));
  }
  return made;
}

function waterfall(turn, parts, most, open) {
  const sum = total(turn);
  const bar = (from, part, stage) => {
    const made = h("i", { class: stage, title: `${STAGES[stage] ?? words(stage)}: ${ms(part)}` });
    made.style.setProperty("--from", `${(100 * from) / most}%`);
    made.style.setProperty("--part", `${(100 * part) / most}%`);
    return made;
  };
  let from = 0;
  const bars = parts.map(([stage, part]) => {
    const made = [stage, part, bar(from, part, stage), bar(from, part, stage)];
    from += part;
    return made;
  });
  return h("details", { class: "latency", open: open.has(turn.at), "data-at": turn.at },
    h("summary", null, h("span", { class: `ms ${slow(sum)}` }, ms(sum)), h("span", { class: "track", "aria-hidden": "true" }, ...bars.map(([, , one]) => one))),
    h("ol", { class: "waterfall", "aria-label": "Where the time went" }, ...bars.map(([stage, part, , one]) =>
      h("li", null, h("span", null, STAGES[stage] ?? words(stage)), h("span", { class: "track", "aria-hidden": "true" }, one), h("span", { class: "ms" }, ms(part))))));
}
