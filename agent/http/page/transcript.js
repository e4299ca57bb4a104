// Who said what: interim words greyed, words the agent didn't get to say struck.

export class Transcript {
  #log;
  #caller = null; // the caller's entry that may still change
  #agent = null; // the agent's answer being spoken: { p, segments: Map(id -> { said, unsaid }), cutOff }
  #before = null; // the answer that the caller's words, if shown first, are about to interrupt
  #answers = new Map(); // segment -> its answer: words are told a little after they were heard

  constructor(element) {
    this.#log = element;
  }

  clear() {
    this.#log.replaceChildren();
    this.#caller = this.#agent = this.#before = null;
    this.#answers.clear();
  }

  note(text) {
    this.#scroll(() => this.#entry("note", null).append(text));
  }

  caller(text, final) {
    if (!text) return;
    this.#finishAgent();
    this.#scroll(() => {
      this.#caller ??= { p: this.#entry("you", "You"), said: "" };
      const { p } = this.#caller;
      p.parentElement.setAttribute("aria-busy", String(!final));
      if (final) {
        this.#caller.said = join(this.#caller.said, text);
        p.replaceChildren(this.#caller.said);
      } else {
        p.replaceChildren(this.#caller.said, this.#caller.said && " ", part("span", "interim", text));
      }
    });
  }

  /** A part of the agent's answer: what of it was said, and what is still to come. */
  agentSegment(id, said, unsaid) {
    this.#scroll(() => {
      const answer = this.#answers.get(id) ?? this.#openAgent();
      this.#answers.set(id, answer);
      answer.segments.set(id, { said, unsaid });
      this.#draw(answer);
    });
  }

  /** The agent was cut off: what it hadn't said is struck. */
  interrupted() {
    const answer = this.#agent ?? this.#before;
    if (!answer) return;
    answer.cutOff = true;
    this.#scroll(() => this.#draw(answer));
    this.#finishAgent();
  }

  /** The caller goes on with what was answered last: its entry is made anew, and the answer is none. */
  takeBack() {
    while (this.#log.lastElementChild && !this.#log.lastElementChild.classList.contains("you")) {
      this.#log.lastElementChild.remove();
    }
    this.#log.lastElementChild?.remove();
    this.#caller = this.#agent = this.#before = null;
  }

  /** The agent's turn is over. */
  agentDone() {
    this.#finishAgent();
    this.#before = null;
  }

  #openAgent() {
    if (!this.#agent) {
      this.#caller = null;
      this.#agent = { p: this.#entry("agent", "Agent"), segments: new Map(), cutOff: false };
      this.#agent.p.parentElement.setAttribute("aria-busy", "true");
    }
    return this.#agent;
  }

  #finishAgent() {
    if (!this.#agent) return;
    this.#agent.p.parentElement.setAttribute("aria-busy", "false");
    this.#before = this.#agent;
    this.#agent = null;
  }

  #draw({ p, segments, cutOff }) {
    const unsaidTag = cutOff ? "s" : "span";
    const parts = [];
    for (const { said, unsaid } of segments.values()) {
      if (said) parts.push(parts.length ? " " : "", said.trim());
      if (unsaid.trim()) parts.push(parts.length ? " " : "", part(unsaidTag, "unsaid", unsaid.trim()));
    }
    p.replaceChildren(...parts);
  }

  #entry(kind, who) {
    const element = document.createElement("div");
    element.className = `entry ${kind}`;
    const p = document.createElement("p");
    p.dir = "auto"; // each speaks as they like
    if (who) element.append(part("span", "who", who));
    element.append(p);
    this.#log.append(element);
    return p;
  }

  #scroll(change) {
    const log = this.#log;
    const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 60;
    change();
    if (atEnd) log.scrollTop = log.scrollHeight;
  }
}

function part(tag, className, text) {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = text;
  return element;
}

function join(before, text) {
  return before && !/^[\s.,!?;:…]/.test(text) ? `${before} ${text.trim()}` : before + text.trimEnd();
}
