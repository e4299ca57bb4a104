// A call's recording: both sides' outlines with the turns marked, to be played from anywhere.

import { ask, hasKey, request } from "../http.js";
import { h, icon, length, trouble } from "./dom.js";

const HEIGHT = 112;

/** Fires "turn" as playing comes to the next one; `now` is it. */
export class Player extends EventTarget {
  now = null;
  #path;
  #turns;
  #signal;
  #loading = null;
  #peaks = { caller: [], agent: [] };
  #audio = h("audio", { preload: "metadata" });
  #canvas = h("canvas", { "aria-hidden": "true" });
  #at = h("input", { type: "range", min: 0, step: 0.1, value: 0, "aria-label": "Position in the recording" });
  #clock = h("span", { class: "position" });
  #play = h("button", { type: "button", class: "play primary" });
  #failed = h("div");
  element = h("section", { class: "player", "aria-label": "Recording" },
    this.#play,
    h("div", { class: "wave" }, h("span", { class: "side" }, "Caller"), h("span", { class: "side" }, "Agent"), this.#canvas, this.#at),
    this.#clock, this.#failed, this.#audio);

  constructor(path, call, signal) {
    super();
    this.#path = path;
    this.#signal = signal;
    this.#turns = call.transcript.filter((turn) => turn.recorded_s != null).sort((a, b) => a.recorded_s - b.recorded_s);
    this.#at.max = call.recording.seconds;
    this.#play.addEventListener("click", () => (this.#audio.paused ? this.#start() : this.#audio.pause()));
    this.#at.addEventListener("input", () => this.#seek(Number(this.#at.value)));
    for (const event of ["play", "pause", "ended"]) this.#audio.addEventListener(event, () => this.#tick());
    this.#audio.addEventListener("timeupdate", () => this.#show());
    this.#audio.addEventListener("error", () => this.#fail(new Error("The recording can't be played. Is it still kept?")));
    const shape = new ResizeObserver(() => this.#draw());
    shape.observe(this.#canvas);
    signal.addEventListener("abort", () => {
      shape.disconnect();
      this.#audio.pause();
      if (this.#audio.src.startsWith("blob:")) URL.revokeObjectURL(this.#audio.src);
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#draw(), { signal });
    this.#show();
  }

  /** Throws ApiError where nothing is left of it. */
  async load() {
    this.#peaks = await ask("GET", `${this.#path}/peaks?points=800`);
    if (!hasKey()) this.#audio.src = this.#path;
    this.#draw();
  }

  playFrom(seconds) {
    return this.#start(seconds);
  }

  /** An element's own requests can't carry the key. */
  async #load() {
    this.#play.setAttribute("aria-busy", "true");
    try {
      const response = await request("GET", this.#path, null, { signal: this.#signal });
      const sound = await response.blob();
      if (!this.#signal.aborted) this.#audio.src = URL.createObjectURL(sound);
    } finally {
      this.#play.removeAttribute("aria-busy");
      this.#loading = null;
    }
  }

  async #start(from) {
    try {
      if (!this.#audio.src) await (this.#loading ??= this.#load());
      if (this.#signal.aborted) return; // an element that is nowhere plays as well
      if (from !== undefined) this.#seek(from);
      await this.#audio.play();
      this.#failed.replaceChildren();
    } catch (error) {
      if (this.#signal.aborted) return;
      // Some browsers forget that somebody pressed Play while it was fetched.
      this.#fail(error.name === "NotAllowedError" ? new Error("It is here now: press Play once more.") : error);
    }
  }

  #fail(error) {
    this.#failed.replaceChildren(trouble(error));
  }

  #seek(seconds) {
    this.#audio.currentTime = seconds;
    this.#show();
  }

  #tick() {
    this.#show();
    if (!this.#audio.paused) requestAnimationFrame(() => this.#tick());
  }

  #show() {
    const { currentTime: at, paused } = this.#audio;
    const text = paused ? "Play" : "Pause";
    if (this.#play.ariaLabel !== text) {
      this.#play.ariaLabel = text;
      this.#play.replaceChildren(icon(text.toLowerCase()));
    }
    this.#at.value = at;
    this.#at.setAttribute("aria-valuetext", length(at));
    this.#clock.textContent = `${length(at)} / ${length(this.#at.max)}`;
    const now = paused && !at ? null : this.#turns.findLast((turn) => turn.recorded_s <= at + 0.05) ?? null;
    if (now !== this.now) {
      this.now = now;
      this.dispatchEvent(new Event("turn"));
    }
    this.#draw();
  }

  #draw() {
    const canvas = this.#canvas;
    const width = canvas.clientWidth;
    if (!width) return;
    const scale = devicePixelRatio;
    if (canvas.width !== Math.round(width * scale)) [canvas.width, canvas.height] = [Math.round(width * scale), HEIGHT * scale];
    const style = getComputedStyle(canvas);
    const color = (name) => style.getPropertyValue(name).trim();
    const draw = canvas.getContext("2d");
    draw.setTransform(scale, 0, 0, scale, 0, 0);
    draw.clearRect(0, 0, width, HEIGHT);
    const total = Number(this.#at.max) || 1;
    const played = (this.#audio.currentTime / total) * width;
    const middle = HEIGHT / 2;

    draw.fillStyle = color("--line");
    for (const turn of this.#turns) draw.fillRect(Math.round((turn.recorded_s / total) * width), turn.speaker === "caller" ? 0 : middle, 1, middle);
    draw.fillRect(0, middle - 0.5, width, 1);
    for (const [side, direction, base] of [[this.#peaks.caller, -1, middle - 2], [this.#peaks.agent, 1, middle + 2]]) {
      const step = width / (side.length || 1);
      side.forEach((peak, n) => {
        const tall = Math.sqrt(peak) * (middle - 6);
        draw.fillStyle = n * step < played ? color("--go") : color("--wave");
        draw.fillRect(n * step, direction < 0 ? base - tall : base, Math.max(0.6, step - 0.5), tall);
      });
    }
    draw.fillStyle = color("--ink");
    if (this.#audio.currentTime) draw.fillRect(Math.min(width - 2, played), 0, 2, HEIGHT);
  }
}
