// Level meters, from -60 dB (empty) to 0 dB (full).

const FLOOR_DB = -60;

export class Meter {
  #bar;
  #context;
  #source = null;
  #analyser;
  #samples;
  #shown = 0;
  #spokenAt = 0;

  constructor(element, context) {
    this.#bar = element.querySelector("[role=meter]");
    this.#context = context;
    this.#analyser = context.createAnalyser();
    this.#analyser.fftSize = 1024;
    this.#samples = new Float32Array(this.#analyser.fftSize);
  }

  listen(stream) {
    this.stop();
    this.#source = this.#context.createMediaStreamSource(stream);
    this.#source.connect(this.#analyser);
  }

  stop() {
    this.#source?.disconnect();
    this.#source = null;
    this.#show(0, 0);
  }

  update(now) {
    this.#analyser.getFloatTimeDomainData(this.#samples);
    let sum = 0;
    for (const sample of this.#samples) sum += sample * sample;
    const db = 10 * Math.log10(sum / this.#samples.length + 1e-12);
    const level = Math.min(1, Math.max(0, 1 - db / FLOOR_DB));
    this.#show(Math.max(level, this.#shown * 0.88), now); // rises at once, falls gently
  }

  #show(level, now) {
    this.#shown = level;
    this.#bar.style.setProperty("--level", level.toFixed(3));
    if (now - this.#spokenAt > 250 || !now) {
      this.#spokenAt = now;
      this.#bar.setAttribute("aria-valuenow", Math.round(level * 100));
    }
  }
}
