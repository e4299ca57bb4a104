// Where the time of the last answer went, and how long answers usually take.

const NAMES = {
  transcript: "Your words",
  transcript_network: "Network",
  end_of_turn: "End of turn",
  first_token: "First token",
  first_sentence: "First sentence",
  first_audio: "First sound",
  audio_network: "Network",
  first_packet: "On the wire",
};

export class Latency {
  #all = [];

  clear() {
    this.#all = [];
    get("latency-last").textContent = get("latency-median").textContent = "–";
    get("waterfall").replaceChildren();
  }

  /** `parts` are milliseconds by stage, in the order in which the stages were reached. */
  add(totalMs, parts) {
    this.#all.push(totalMs);
    const sorted = [...this.#all].sort((a, b) => a - b);
    const middle = sorted.length >> 1;
    const median = sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
    get("latency-last").textContent = ms(totalMs);
    get("latency-median").textContent = ms(median);
    let from = 0;
    get("waterfall").replaceChildren(
      ...Object.entries(parts).map(([stage, took]) => {
        const row = line(NAMES[stage] ?? stage.replaceAll("_", " "), took, from / totalMs, took / totalMs);
        from += took;
        return row;
      }),
    );
  }
}

function line(name, took, from, part) {
  const row = document.createElement("li");
  const label = document.createElement("span");
  const span = document.createElement("span");
  const bar = document.createElement("i");
  const value = document.createElement("span");
  label.textContent = name;
  span.className = "span";
  bar.style.setProperty("--from", `${(100 * from).toFixed(1)}%`);
  bar.style.setProperty("--part", `${(100 * part).toFixed(1)}%`);
  span.append(bar);
  value.className = "ms";
  value.textContent = ms(took);
  row.append(label, span, value);
  return row;
}

const ms = (value) => `${Math.round(value)} ms`;
const get = (id) => document.getElementById(id);
