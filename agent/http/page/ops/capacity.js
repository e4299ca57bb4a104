// How much this machine bears now, and what it bore over hours.

import { ask } from "../http.js";
import { empty, h, heading, length, ms, zone } from "./dom.js";
import { failed } from "./names.js";

const AGAIN_MS = 60_000;
const SPANS = { 24: "24 hours", 72: "3 days", 168: "7 days" };

export async function show(page, { query, server, signal }) {
  const hours = query.get("hours") in SPANS ? Number(query.get("hours")) : 24;
  const now = h("dl", { class: "tiles", "aria-label": "Now" });
  const why = h("p", { class: "soft" });
  const spans = h("p", { class: "segments", role: "group", "aria-label": "Over" }, ...Object.entries(SPANS).map(([value, text]) =>
    h("a", { href: `#/capacity?hours=${value}`, "aria-current": Number(value) === hours && "true" }, text)));
  const charts = h("div", { class: "charts" });
  page.append(heading("Capacity"), now, why, h("div", { class: "heading" }, h("h2", null, "Over hours"), h("span", { class: "spacer" }), spans), charts);

  let stats = null;
  const look = async () => {
    stats = (await ask("GET", `api/v1/stats?hours=${hours}`)).hours;
    if (!signal.aborted) draw();
  };
  const draw = () => {
    forget();
    const calls = stats.some((hour) => hour.calls || hour.peak);
    charts.replaceChildren(...(calls ? plots(stats, server.health?.max_calls) : [empty("No calls in these hours.", "Once there are some, their number, how they ended and how fast they were answered is drawn here, hour by hour.")]));
  };
  const tell = () => {
    if (!server.health) return;
    now.replaceChildren(...tiles(server.health));
    why.textContent = server.health.capacity;
  };

  await library();
  await look();
  if (signal.aborted) return;
  tell();
  server.addEventListener("health", tell, { signal });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw, { signal });
  addEventListener("resize", draw, { signal });
  requestAnimationFrame(() => signal.aborted || draw()); // once it is on the page, it has a width
  const timer = setInterval(() => document.hidden || look().catch(() => {}), AGAIN_MS);
  signal.addEventListener("abort", () => {
    clearInterval(timer);
    forget();
  });
}

let drawn = [];
/** uPlot keeps each of its plots until it is told not to. */
function forget() {
  for (const plot of drawn) plot.destroy();
  drawn = [];
}

function tiles({ calls, max_calls: most, process: { cpu_s, uptime_s, memory_mb, loop_lag_p99_ms, threads, open_files }, gpu, components }) {
  const used = h("i");
  used.style.setProperty("--part", `${Math.min(100, (100 * calls) / Math.max(1, most))}%`);
  const waiting = components.reduce((sum, part) => sum + part.queued, 0);
  const tile = (name, value, more, ...rest) => h("div", null, h("dt", null, name), h("dd", null, value, more && h("small", null, ` ${more}`)), ...rest);
  return [
    tile("Calls", String(calls), `of ${most}`, h("span", { class: "track", "aria-hidden": "true" }, used)),
    tile("Waiting for models", String(waiting), waiting === 1 ? "job" : "jobs"),
    tile("Loop late by", ms(loop_lag_p99_ms), "p99"),
    tile("Processor", `${((100 * cpu_s) / Math.max(1, uptime_s)).toFixed(0)} %`, "of a core on average"),
    tile("Memory", `${Math.round(memory_mb).toLocaleString()} MB`),
    gpu && tile("GPU memory", gpu.used_mb == null ? "–" : `${Math.round(gpu.used_mb).toLocaleString()} MB`, gpu.memory_mb && `of ${Math.round(gpu.memory_mb).toLocaleString()}`),
    gpu && tile("GPU", gpu.utilisation == null ? "–" : `${gpu.utilisation} %`, gpu.name),
    tile("Up", length(uptime_s), `${threads} threads, ${open_files} files`),
  ].filter(Boolean);
}

/** uPlot, which is no module. */
let loaded = null;
function library() {
  return (loaded ??= new Promise((resolve, reject) => {
    document.head.append(
      h("link", { rel: "stylesheet", href: "ops/uplot.css" }),
      h("script", { src: "ops/uplot.js", load: resolve, error: () => reject(new Error("ops/uplot.js can't be loaded. Reload the page.")) }));
  }));
}

function plots(hours, most) {
  const times = hours.map((hour) => new Date(hour.since) / 1000);
  const bad = hours.map((hour) => Object.entries(hour.causes).reduce((sum, [name, of]) => sum + (failed(name) ? of : 0), 0));
  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const accent = color("--go");
  const bars = uPlot.paths.bars({ size: [0.72, 48], align: 1 });
  const whole = (_, value) => (value == null ? "–" : value.toLocaleString());
  return [
    chart("Calls begun", times, [
      { label: "all", data: hours.map((hour) => hour.calls), stroke: accent, fill: accent, width: 0, paths: bars, points: { show: false }, value: whole },
      { label: "failed", data: bad, stroke: color("--stop"), fill: color("--stop"), width: 0, paths: bars, points: { show: false }, value: whole },
    ], color),
    chart("Most at once", times, [
      { label: "calls", data: hours.map((hour) => hour.peak), stroke: accent, fill: accent, width: 0, paths: bars, points: { show: false }, value: whole },
      ...(most ? [{ label: "limit", data: hours.map(() => most), stroke: color("--soft"), dash: [4, 4], width: 1, points: { show: false }, value: whole }] : []),
    ], color),
    chart("Voice to voice, ms", times, [
      { label: "median", data: hours.map((hour) => hour.voice_to_voice_median_ms), stroke: accent, width: 2, value: (_, value) => ms(value), points: { size: 5, fill: accent } },
      { label: "p95", data: hours.map((hour) => hour.voice_to_voice_p95_ms), stroke: color("--soft"), dash: [5, 3], width: 1.5, value: (_, value) => ms(value), points: { size: 4, fill: color("--soft") } },
    ], color),
    figures(hours, bad),
  ];
}

function chart(title, times, series, color) {
  const place = h("figure", null, h("figcaption", null, title));
  const axis = { stroke: color("--soft"), grid: { stroke: color("--line"), width: 1 }, ticks: { show: false }, font: "12px system-ui" };
  const width = Math.max(240, (document.querySelector(".charts")?.clientWidth ?? 600) - 26);
  const clockwise = uPlot.fmtDate("{HH}:{mm}");
  const days = uPlot.fmtDate("{D} {MMM}");
  drawn.push(new uPlot({
    width, height: 170, cursor: { y: false, points: { size: 6 } }, legend: { live: true },
    scales: { x: { range: [times[0], times.at(-1) + 3600] }, y: { range: (_, least, most) => [0, Math.max(1, most * 1.1)] } },
    axes: [
      { ...axis, grid: { show: false }, space: 56, size: 30, values: (_, ticks) => ticks.map((tick) => {
        const date = new Date(tick * 1000);
        return date.getHours() || date.getMinutes() ? clockwise(date) : days(date);
      }) },
      { ...axis, size: 52, incrs: [1, 2, 5].flatMap((n) => [n, 10 * n, 100 * n, 1000 * n, 10_000 * n]).sort((a, b) => a - b), values: (_, ticks) => ticks.map((tick) => tick.toLocaleString()) },
    ],
    series: [
      { label: zone, value: (_, value) => (value == null ? "–" : uPlot.fmtDate("{D} {MMM} {HH}:{mm}")(new Date(value * 1000))) },
      ...series.map(({ data, ...one }) => one),
    ],
  }, [times, ...series.map((one) => one.data)], place));
  return place;
}

/** The same, for those who can't see it, and for whoever wants the figures. */
function figures(hours, bad) {
  const hour = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  return h("details", { class: "figures" }, h("summary", null, "As a table"), h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Figures by hour" }, h("table", { class: "list" },
    h("thead", null, h("tr", null, ...[`From (${zone})`, "Begun", "Failed", "Most at once", "Answers", "Median", "p95"].map((name, n) => h("th", { scope: "col", class: n && "number" }, name)))),
    h("tbody", null, ...hours.map((one, n) => h("tr", null,
      h("th", { scope: "row" }, hour.format(new Date(one.since))),
      ...[one.calls, bad[n], one.peak, one.answers].map((value) => h("td", { class: "number" }, value.toLocaleString())),
      ...[one.voice_to_voice_median_ms, one.voice_to_voice_p95_ms].map((value) => h("td", { class: "number" }, ms(value))))).reverse()))));
}
