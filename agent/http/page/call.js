// One call: signalling, the peer connection, and coming back after a lost network.
// The messages in the data channel are RTVI's (Pipecat's protocol between clients and bots).

import * as api from "./api.js";
import { storage } from "./http.js";

const CONNECT_MS = 12_000;
const PING_MS = 1_000;
const RETRY_MS = 1_500;
const MOST_UNSENT = 30; // the server takes 50 messages a second, and gets these at once
const SAVED = "offhook.call";

export class CallError extends Error {
  constructor(kind, message = "") {
    super(message);
    this.kind = kind;
  }
}

/** The call this page had before it was reloaded: { pcId, until }, if the server still keeps it. */
export function savedCall() {
  try {
    const saved = JSON.parse(storage.getItem(SAVED));
    return saved && Date.now() < saved.until ? saved : null;
  } catch {
    return null;
  }
}

/**
 * Events: `connected`, `lost` (trying to come back), `back`, `ended` (detail: reason),
 * `failed` (detail: CallError), `message` (detail: an RTVI message), `sound` (detail: MediaStream).
 */
export class Call extends EventTarget {
  #pc = null;
  #channel = null;
  #pcId = null;
  #config = { ice_servers: [], gone_s: 10 };
  #track;
  #called;
  #unsent = [];
  #timers = new Set();
  #over = false;
  #wasConnected = false;
  #lostAt = 0;
  #nextId = 1;

  /** `called` is a number or name to dial; without one the agent answers. */
  constructor(track, called = "") {
    super();
    this.#track = track;
    this.#called = called;
  }

  /** Start, or go on with the call `pcId`. Throws ApiError or CallError; what the server kept, it keeps then. */
  async start(pcId = null) {
    this.#pcId = pcId;
    try {
      this.#config = await api.config();
      if (this.#over) return;
      await this.#connect();
    } catch (error) {
      this.#drop();
      if (this.#pcId !== pcId || error.status === 404) this.#forget();
      throw error;
    }
    if (this.#over) return;
    this.#every(PING_MS, () => this.#ping());
    this.#after(CONNECT_MS, () => {
      if (!this.#wasConnected) this.#fail(new CallError("ice"));
    });
  }

  async useTrack(track) {
    this.#track = track;
    const sender = this.#pc?.getSenders().find((s) => s.track?.kind === "audio");
    await sender?.replaceTrack(track);
  }

  /** Say something beside the sound; kept for later while the connection is lost. */
  send(type, data) {
    const text = JSON.stringify({ label: "rtvi-ai", id: String(this.#nextId++), type, data });
    if (this.#open) this.#channel.send(text);
    else if (!this.#over && this.#unsent.length < MOST_UNSENT) this.#unsent.push(text);
  }

  hangUp() {
    if (this.#over) return;
    this.#forget();
    this.#end("caller_hangup");
  }

  async #connect() {
    const pc = new RTCPeerConnection({ iceServers: this.#config.ice_servers, bundlePolicy: "max-bundle" });
    this.#drop();
    this.#pc = pc;
    const waiting = [];
    let answered = false;
    pc.onicecandidate = ({ candidate }) => {
      if (!candidate?.candidate) return;
      if (answered) this.#trickle([candidate]);
      else waiting.push(candidate);
    };
    pc.onconnectionstatechange = () => pc === this.#pc && this.#onState(pc.connectionState);
    pc.ontrack = ({ track }) => this.#emit("sound", new MediaStream([track]));
    pc.addTransceiver(this.#track, { direction: "sendrecv" });
    const channel = pc.createDataChannel("rtvi", { ordered: true });
    channel.onopen = () => {
      this.#flush();
      if (!this.#wasReady) {
        this.#wasReady = true;
        this.send("client-ready", { version: "2.2.0", about: { library: "offhook-page" } });
      }
    };
    channel.onmessage = ({ data }) => this.#onMessage(data);
    this.#channel = channel;
    await pc.setLocalDescription();
    const answer = await api.offer(pc.localDescription, this.#pcId, this.#called);
    if (this.#over) {
      api.hangUp(answer.pc_id).catch(() => {});
      return;
    }
    this.#pcId = answer.pc_id;
    this.#save();
    await pc.setRemoteDescription({ sdp: answer.sdp, type: answer.type });
    answered = true;
    if (waiting.length) this.#trickle(waiting);
  }

  #wasReady = false;

  #trickle(found) {
    api.candidates(this.#pcId, found).catch(() => {}); // what it was for shows in the connection's state
  }

  #onState(state) {
    if (state === "connected") {
      const first = !this.#wasConnected;
      this.#wasConnected = true;
      this.#lostAt = 0;
      this.#flush();
      this.#emit(first ? "connected" : "back");
    } else if (this.#wasConnected && !this.#lostAt && ["disconnected", "failed", "closed"].includes(state)) {
      this.#lostAt = Date.now();
      this.#emit("lost");
      this.#after(RETRY_MS, () => this.#comeBack());
    } else if (!this.#wasConnected && state === "failed") {
      this.#fail(new CallError("ice"));
    }
  }

  async #comeBack() {
    if (this.#over || !this.#lostAt) return;
    if (Date.now() - this.#lostAt > this.#config.gone_s * 1000) {
      this.#end("caller_gone");
      return;
    }
    try {
      this.#config = await api.config(); // anew, as credentials for TURN end
      if (this.#over || !this.#lostAt) return;
      await this.#connect();
    } catch (error) {
      if (error.status === 404) {
        this.#end("caller_gone");
        return;
      }
    }
    this.#after(2 * RETRY_MS, () => this.#comeBack());
  }

  #onMessage(text) {
    let message;
    try {
      message = JSON.parse(text);
    } catch {
      return;
    }
    if (message.type === "signalling" && message.message?.type === "peerLeft") {
      this.#end(message.message.reason || "agent_hangup");
    } else if (message.label === "rtvi-ai") {
      this.#emit("message", message);
    }
  }

  /** A lost connection's channel is open still, and would keep all that is said for later. */
  get #open() {
    return this.#channel?.readyState === "open" && !this.#lostAt;
  }

  #flush() {
    if (this.#open) this.#unsent.splice(0).forEach((text) => this.#channel.send(text));
  }

  #ping() {
    if (this.#open) this.#channel.send(`ping: ${Date.now()}`);
    if (!this.#lostAt) this.#save();
  }

  #save() {
    const until = Date.now() + this.#config.gone_s * 1000 - 2000;
    storage.setItem(SAVED, JSON.stringify({ pcId: this.#pcId, until }));
  }

  #fail(error) {
    if (this.#over) return;
    this.#forget();
    this.#finish();
    this.#emit("failed", error);
  }

  #end(reason) {
    if (this.#over) return;
    this.#finish();
    this.#emit("ended", reason);
  }

  /** Have the server end the call; it misses us soon enough if it doesn't hear of that. */
  #forget() {
    storage.removeItem(SAVED);
    if (this.#pcId) api.hangUp(this.#pcId).catch(() => {});
  }

  #finish() {
    this.#over = true;
    storage.removeItem(SAVED);
    this.#timers.forEach((id) => clearInterval(id));
    this.#drop();
  }

  #drop() {
    const pc = this.#pc;
    this.#pc = this.#channel = null;
    pc?.close();
  }

  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  #after(ms, work) {
    this.#timers.add(setTimeout(work, ms));
  }

  #every(ms, work) {
    this.#timers.add(setInterval(work, ms));
  }
}
