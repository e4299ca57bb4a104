// The page: what is pressed, and what is shown.

import * as api from "./api.js";
import { Call, CallError, savedCall } from "./call.js";
import { rememberKey } from "./http.js";
import { Latency } from "./latency.js";
import { Meter } from "./meter.js";
import { describe } from "./problems.js";
import { Transcript } from "./transcript.js";

const $ = (id) => document.getElementById(id);
const KEYS = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "*", "0", "#"];
const TESTS = {
  echo: "hear yourself",
  tone: "a tone and a sweep",
  keys: "each key is read back",
  repeat: "what the recognizer hears",
  latency: "how long answers take",
  quality: "lost packets, jitter, delay",
};
const ENDINGS = {
  caller_hangup: "You hung up.",
  agent_hangup: "The agent hung up.",
  operator_hangup: "The server's operator ended the call.",
  idle: "Nothing was heard for long, so the agent hung up.",
  max_duration: "The call reached the longest time that the server allows.",
  limit_reached: "The call took more than the server allows.",
  drain: "The server is shutting down. Call again in a while.",
  model_failure: "Something went wrong on the server. Call again in a moment.",
  caller_gone: "The connection was lost, and the call with it.",
  transport_failure: "The call failed.",
};

const transcript = new Transcript($("transcript"));
const latency = new Latency();
let testNumbers = []; // that the server answers
let call = null;
let ending = null; // why the server is about to end the call, where it said so
let microphone = null; // the MediaStream that is sent
let asked = 0; // how often for a microphone: only the last that was asked for is wanted
let context = null;
let meters = [];
let startedAt = 0;
let awake = null; // keeps the screen on

function show(state, status = "") {
  document.body.dataset.state = state;
  $("status").textContent = status;
  $("call").setAttribute("aria-disabled", String(state === "calling"));
  $("clock").hidden = state !== "talking" && state !== "lost";
  offer();
}

/** What "Call" does now. */
function offer() {
  const { state } = document.body.dataset;
  const saved = savedCall();
  $("call-label").textContent = state === "calling" ? "Calling…" : saved ? "Rejoin" : "Call";
  $("dial-field").hidden = !testNumbers.length || saved !== null;
  if (saved && state === "idle") setTimeout(offer, saved.until - Date.now());
}

function explain(error) {
  const { title, text, typeOnly } = describe(error);
  $("problem-title").textContent = title;
  $("problem-text").textContent = text;
  $("type-only").hidden = !typeOnly || call !== null;
  $("key-form").hidden = error.status !== 401;
  $("problem").hidden = false;
  if (error.status === 401) $("key").focus();
}

async function start({ silent = false } = {}) {
  if (call || document.body.dataset.state === "calling") return;
  $("problem").hidden = true;
  show("calling", "Calling…");
  context ??= new AudioContext();
  context.resume();
  try {
    microphone = silent ? silence() : await newMicrophone();
  } catch (error) {
    show("idle");
    explain(error);
    return;
  }
  if (!microphone) return;
  const resumed = savedCall()?.pcId ?? null;
  if (!resumed) {
    transcript.clear();
    latency.clear();
    $("keys").textContent = "";
  }
  setMuted(false);
  ending = null;
  const starting = new Call(microphone.getAudioTracks()[0], $("dial").value);
  call = starting;
  call.addEventListener("connected", connected);
  call.addEventListener("lost", () => show("lost", "Connection lost. Trying again…"));
  call.addEventListener("back", () => show("talking", "Connected again"));
  call.addEventListener("ended", ({ detail }) => {
    const reason = detail === "agent_hangup" ? ending ?? detail : detail;
    ended(ENDINGS[reason] ?? "The call is over.");
  });
  call.addEventListener("failed", ({ detail }) => ended("", detail));
  call.addEventListener("message", ({ detail }) => heard(detail));
  call.addEventListener("sound", ({ detail }) => play(detail));
  try {
    await begin(starting, resumed);
  } catch (error) {
    if (call === starting) ended("", error);
  }
}

/** A saved call that the server no longer has becomes a new one. */
async function begin(starting, resumed) {
  try {
    await starting.start(resumed);
  } catch (error) {
    if (!resumed || error.status !== 404) throw error;
    await starting.start(null);
  }
}

async function openMicrophone() {
  if (!window.isSecureContext || !navigator.mediaDevices) throw new CallError("insecure");
  const audio = { echoCancellation: true, noiseSuppression: true, autoGainControl: true, channelCount: 1 };
  const device = $("microphone").value;
  if (device) {
    try {
      return await navigator.mediaDevices.getUserMedia({ audio: { ...audio, deviceId: { exact: device } } });
    } catch (error) {
      if (error.name !== "OverconstrainedError") throw error; // else what was chosen is gone
    }
  }
  return navigator.mediaDevices.getUserMedia({ audio });
}

/** Nothing where meanwhile another was asked for, or the call is over: a browser may ask the caller first. */
async function newMicrophone() {
  const nth = ++asked;
  const stream = await openMicrophone().catch((error) => {
    if (nth === asked) throw error;
  });
  if (nth !== asked) {
    stream?.getTracks().forEach((track) => track.stop());
    return null;
  }
  // Only by this does a browser tell that it was unplugged, or that it may no longer be used.
  stream.getAudioTracks()[0].addEventListener("ended", () => stream === microphone && replaceMicrophone());
  return stream;
}

function silence() {
  return context.createMediaStreamDestination().stream;
}

function connected() {
  startedAt = Date.now();
  document.body.dataset.talked = "";
  show("talking", "Connected");
  const mine = new Meter($("level-you"), context);
  mine.listen(microphone);
  meters = [mine, ...meters];
  requestAnimationFrame(tick);
  stayAwake();
  listDevices();
  if (!testNumbers.length) offerTests(); // the key is known now
  // Nothing to type into, where M, K and the keypad's keys would be text.
  $("transcript").focus({ preventScroll: true });
}

function play(stream) {
  const audio = $("agent");
  audio.srcObject = stream;
  audio.play().catch((error) => {
    if (error.name !== "NotAllowedError") return; // another connection's sound has taken its place
    transcript.note("The browser keeps the sound off. Press any key to hear the agent.");
  });
  const meter = new Meter($("level-agent"), context);
  meter.listen(stream);
  meters = [...meters.filter((m) => !m.isAgent), Object.assign(meter, { isAgent: true })];
}

function tick(now) {
  if (!call) return;
  meters.forEach((meter) => meter.update(now));
  const seconds = Math.floor((Date.now() - startedAt) / 1000);
  $("clock").textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
  requestAnimationFrame(tick);
}

/** A telephone's screen would go dark, and the page, with its microphone, be put to sleep. */
async function stayAwake() {
  if (!call || document.hidden) return;
  await awake?.release();
  awake = await navigator.wakeLock?.request("screen").catch(() => null);
  if (!call) awake?.release();
}

function ended(why, error) {
  call = null;
  awake?.release();
  meters.forEach((meter) => meter.stop());
  meters = [];
  asked += 1;
  microphone?.getTracks().forEach((track) => track.stop());
  microphone = null;
  $("agent").srcObject = null;
  open("keypad", false);
  open("devices", false);
  show("idle", why);
  transcript.agentDone();
  if (why && "talked" in document.body.dataset) transcript.note(why);
  $("call").focus();
  if (error) explain(error);
}

function heard({ type, data }) {
  switch (type) {
    case "user-transcription":
      transcript.caller(data.text, data.final);
      break;
    case "bot-output":
      if (!data.will_be_spoken) break;
      transcript.agentSegment(
        data.segment_id, data.spoken_progress?.accumulated_text ?? "", data.spoken_progress?.remaining_text ?? data.text,
      );
      break;
    case "bot-interrupted":
      transcript.interrupted();
      break;
    case "bot-started-speaking":
      mood("Speaking");
      break;
    case "bot-stopped-speaking":
      transcript.agentDone();
      mood("Listening");
      break;
    case "user-started-speaking":
      mood("Listening");
      break;
    case "user-stopped-speaking":
      mood("Thinking…");
      break;
    case "server-message":
      if (data.type === "latency") latency.add(data.voice_to_voice_ms, data.parts);
      if (data.type === "persona") transcript.note(`${data.name} goes on, in ${languageName(data.language)}.`);
      if (data.type === "taken-back") transcript.takeBack();
      if (data.type === "ending") ending = data.reason;
      break;
  }
}

function languageName(tag) {
  return new Intl.DisplayNames("en", { type: "language" }).of(tag);
}

function mood(text) {
  if (document.body.dataset.state === "talking") $("status").textContent = text;
}

function setMuted(muted) {
  microphone?.getAudioTracks().forEach((track) => (track.enabled = !muted));
  $("mute").setAttribute("aria-pressed", String(muted));
  $("mute").querySelector("use").setAttribute("href", muted ? "#mic-off" : "#mic");
  document.body.classList.toggle("muted", muted);
}

const toggleMute = () => setMuted($("mute").getAttribute("aria-pressed") !== "true");

function open(id, shown = $(id).hidden) {
  for (const other of ["keypad", "devices"]) if (shown && other !== id) open(other, false);
  $(id).hidden = !shown;
  $(`show-${id}`).setAttribute("aria-expanded", String(shown));
}

function press(key) {
  if (!call) return;
  call.send("dtmf", { buttons: [key] });
  $("keys").textContent = ($("keys").textContent + key).slice(-16);
  const button = $("key-buttons").children[KEYS.indexOf(key)];
  button.classList.add("down");
  setTimeout(() => button.classList.remove("down"), 120);
}

async function listDevices() {
  const devices = await navigator.mediaDevices?.enumerateDevices().catch(() => []) ?? [];
  fill($("microphone"), devices.filter((d) => d.kind === "audioinput"));
  fill($("speaker"), devices.filter((d) => d.kind === "audiooutput"));
  $("speaker-field").hidden = !("setSinkId" in HTMLMediaElement.prototype);
}

/** Without the API key, where one is asked for, there is only the agent. */
async function offerTests() {
  testNumbers = (await api.config().catch(() => null))?.test_numbers ?? [];
  const chosen = $("dial").value;
  const tests = testNumbers.map((number) => new Option(`${number}: ${TESTS[number]}`, number, false, number === chosen));
  $("dial").replaceChildren($("dial").options[0], ...tests);
  offer();
}

function fill(select, devices) {
  const chosen = select.value;
  select.replaceChildren(
    ...devices.map((d, n) => new Option(d.label || `${select.id} ${n + 1}`, d.deviceId, false, d.deviceId === chosen)),
  );
}

/** Whether there is one now. */
async function changeMicrophone() {
  const changing = call;
  try {
    const changed = await newMicrophone();
    if (!changed) return false;
    microphone.getTracks().forEach((track) => track.stop());
    microphone = changed;
    setMuted($("mute").getAttribute("aria-pressed") === "true");
    meters.find((m) => !m.isAgent)?.listen(microphone);
    await changing.useTrack(microphone.getAudioTracks()[0]);
    $("problem").hidden = true;
    return true;
  } catch (error) {
    if (changing === call) explain(error);
    return false;
  }
}

async function replaceMicrophone() {
  if (await changeMicrophone()) transcript.note("The microphone was lost. The call goes on with another.");
}

function devicesChanged() {
  if (!call) return;
  listDevices();
  if (microphone.getAudioTracks()[0].readyState === "ended") replaceMicrophone();
}

function shortcut(event) {
  if (!call || event.ctrlKey || event.metaKey || event.altKey) return;
  const key = event.key.toLowerCase();
  if (key === "escape") {
    open("keypad", false);
    open("devices", false);
  } else if (event.target.matches("input, select")) return;
  else if (event.repeat) {
    if (!event.target.matches("button")) return; // one that has the focus would be pressed again and again
  } else if (KEYS.includes(key) && !$("keypad").hidden) press(key);
  else if (key === "m") toggleMute();
  else if (key === "k") open("keypad");
  else return;
  event.preventDefault();
}

for (const key of KEYS) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = key;
  button.ariaLabel = { "*": "star", "#": "pound" }[key] ?? key;
  button.addEventListener("click", () => press(key));
  $("key-buttons").append(button);
}

$("call").addEventListener("click", () => start());
$("type-only").addEventListener("click", () => start({ silent: true }));
// Without a call the browser still asks for the microphone.
$("hangup").addEventListener("click", () => (call ? call.hangUp() : ended(ENDINGS.caller_hangup)));
$("mute").addEventListener("click", toggleMute);
$("show-keypad").addEventListener("click", () => open("keypad"));
$("show-devices").addEventListener("click", () => open("devices"));
$("microphone").addEventListener("change", changeMicrophone);
$("speaker").addEventListener("change", () => $("agent").setSinkId($("speaker").value).catch(explain));
$("type").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = $("text").value.trim();
  if (!text || !call) return;
  call.send("send-text", { content: text, options: { run_immediately: true, audio_response: true } });
  $("text").value = "";
});
$("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  rememberKey($("key").value);
  $("key").value = "";
  start();
});
document.addEventListener("keydown", shortcut);
document.addEventListener("visibilitychange", stayAwake); // who leaves the page loses that
for (const pressed of ["keydown", "pointerdown"]) {
  document.addEventListener(pressed, () => call && $("agent").paused && $("agent").play().catch(() => {}));
}
navigator.mediaDevices?.addEventListener("devicechange", devicesChanged);

$("call").disabled = false; // a button that nothing listens to would be pressed in vain
show("idle");
offerTests();
if (!window.isSecureContext) explain(new CallError("insecure"));
