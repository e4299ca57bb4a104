// All calls' events, as they happen. An EventSource can't send the API key.

import { ANSWER_MS, request } from "../http.js";

const AGAIN_MS = 2000;
const SILENT_MS = 45_000; // the server says something every 15 s

/**
 * Fires "event" with each one, "here" and "lost" as the connection comes and goes, the latter with the error, and
 * "refused" with it.
 */
export class Stream extends EventTarget {
  async run() {
    for (;;) {
      await shown();
      const gone = new AbortController();
      const { signal } = gone;
      document.addEventListener("visibilitychange", () => gone.abort(), { signal });
      let why = null;
      try {
        const late = setTimeout(() => gone.abort(), ANSWER_MS);
        const response = await request("GET", "api/v1/events?nodes=all", null, { signal }).finally(() => clearTimeout(late));
        this.#tell("here");
        await this.#read(response.body, gone);
      } catch (error) {
        why = error;
        if (error.status) this.#tell("refused", error);
        if (error.status === 401 || error.status === 403) return;
      } finally {
        gone.abort();
      }
      if (document.hidden) continue;
      this.#tell("lost", why);
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
    }
  }

  async #read(body, gone) {
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    for (;;) {
      const silent = setTimeout(() => gone.abort(), SILENT_MS);
      const { done, value } = await reader.read().finally(() => clearTimeout(silent));
      if (done) return;
      const blocks = (text + value).split("\n\n");
      text = blocks.pop();
      for (const block of blocks) {
        const data = block.split("\n").find((line) => line.startsWith("data: "));
        const event = data && JSON.parse(data.slice(6));
        if (event?.session) this.#tell("event", event);
      }
    }
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

/** Browsers open few connections to a host: tabs that nobody looks at keep none. */
async function shown() {
  while (document.hidden) await new Promise((resolve) => document.addEventListener("visibilitychange", resolve, { once: true }));
}
