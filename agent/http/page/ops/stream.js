// All calls' events, as they happen. An EventSource can't send the API key.

import { request } from "../http.js";

const AGAIN_MS = 2000;
const SILENT_MS = 45_000; // the server says something every 15 s

/** Fires "event" with each one, "here" and "lost" as the connection comes and goes, "refused" with the error. */
export class Stream extends EventTarget {
  async run() {
    for (;;) {
      const gone = new AbortController();
      try {
        const response = await request("GET", "api/v1/events?nodes=all", null, { signal: gone.signal });
        this.#tell("here");
        await this.#read(response.body, gone);
      } catch (error) {
        if (error.status) this.#tell("refused", error);
        if (error.status === 401 || error.status === 403) return;
      }
      this.#tell("lost");
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
