// What the API's words mean to people.

const FINE = "fine";
const ODD = "warn";
const BAD = "bad";

export const CAUSES = {
  caller_hangup: ["Caller hung up", FINE],
  agent_hangup: ["Agent hung up", FINE],
  transferred: ["Put through", FINE],
  called_hangup: ["They hung up", FINE],
  operator_hangup: ["Operator hung up", FINE],
  caller_cancelled: ["Gave up ringing", FINE],
  answering_machine: ["Answering machine", FINE],
  busy: ["Busy", FINE],
  declined: ["Declined", FINE],
  no_answer: ["No answer", FINE],
  idle: ["Silence", ODD],
  max_duration: ["Longest time", ODD],
  limit_reached: ["Limit reached", ODD],
  drain: ["Server stopped", ODD],
  caller_gone: ["Caller lost", BAD],
  called_gone: ["Called side lost", BAD],
  model_failure: ["Model failed", BAD],
  transport_failure: ["Line failed", BAD],
  not_reached: ["Not reached", BAD],
  unauthorized: ["Login refused", BAD],
  process_died: ["Server died", BAD],
  node_lost: ["Machine lost", BAD],
};

export const cause = (name) => CAUSES[name] ?? [name ?? "Unknown", ODD];
export const failed = (name) => cause(name)[1] === BAD;

export const STAGES = {
  transcript: "Words heard",
  transcript_network: "Network, of words",
  end_of_turn: "End of turn",
  first_token: "First token",
  first_sentence: "First sentence",
  first_audio: "First sound",
  audio_network: "Network, of sound",
  first_packet: "On the wire",
};

/** By which a part of the server, or all of it, is well. */
export const TONES = {
  ok: FINE, ready: FINE, registered: FINE, trunk: FINE, off: "",
  starting: ODD, loading: ODD, restarting: ODD, registering: ODD, degraded: ODD, draining: ODD,
  down: BAD, failed: BAD, silent: BAD, lost: BAD,
};

/** Whether there are several machines. */
export const clustered = (health) => !!health?.components.some((part) => part.name === "cluster");

/** Above these, an answer feels late, and slow. Milliseconds. */
export const slow = (latency) => (latency > 2000 ? BAD : latency > 1200 ? ODD : "");

export const who = (call, name = call.direction === "outbound" ? call.to : call.from) => name || "unknown";

export const over = (call) => (call.direction === "outbound" ? `${call.transport}, outgoing` : call.transport);
