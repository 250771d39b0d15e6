// Charts in SVG, drawn for the width that they have. Columns come with a table of the same numbers.
import { el, fill, svg } from "./dom.js";
import { n, t, when } from "./i18n.js";

const H = 160;
const LEFT = 60;
const BASE = H - 20;

function scale(max) {
  const power = 10 ** Math.floor(Math.log10(max || 1));
  return ([1, 2, 5, 10].find((step) => step * power >= max) ?? 10) * power;
}

function axis(top, width, format) {
  return [0, 0.5, 1].map((part) => {
    const y = BASE - part * (BASE - 12);
    return svg("g", {}, svg("line", { x1: LEFT, x2: width, y1: y, y2: y, class: "grid-line" }),
      svg("text", { x: LEFT - 6, y: y + 4, class: "tick end" }, format(top * part)));
  });
}

/** @param {number} start @param {number} step @param {number} count @param {number} each pixels */
function times(start, step, count, each) {
  const format = step < 86400 ? { hour: "2-digit", minute: "2-digit", hourCycle: "h23" } : { day: "numeric", month: "short" };
  const every = Math.max(1, Math.ceil(count / 4), Math.ceil(64 / each));
  return Array.from({ length: Math.ceil(count / every) }, (_, i) => i * every).filter((at) => at === 0 || (count - at) * each > 40)
    .map((at) => svg("text", { x: LEFT + at * each, y: H - 5, class: "tick" }, when(start + at * step, /** @type {any} */ (format))));
}

/** Stacked columns by time. */
export function columns({ start, step, series, label, format = (value) => n(value), onpick = /** @type {any} */ (null) }) {
  const count = series[0]?.values.length ?? 0;
  const sums = Array.from({ length: count }, (_, i) => series.reduce((sum, one) => sum + one.values[i], 0));
  const top = scale(Math.max(...sums, 0));
  const name = (i) => when(start + i * step, { dateStyle: "short", ...(step < 86400 && { timeStyle: "short" }) });
  const heads = [t("time"), ...series.map((one) => one.name)];
  const rows = sums.map((_, i) => [name(i), ...series.map(({ values }) => format(values[i]))]).filter((_, i) => sums[i]);

  function stack(i, each) {
    let y = BASE;
    const parts = series.map(({ kind, values }) => {
      const height = (values[i] / top) * (BASE - 12);
      y -= height;
      return height > 0 && svg("rect", { x: LEFT + i * each + 0.5, y, width: Math.max(1, Math.min(each - 1, 48)), height, class: `k-${kind}` });
    });
    const lines = series.map((one) => one.values[i] && `${one.name}: ${format(one.values[i])}`).filter(Boolean);
    return svg("g", onpick ? { class: "pick", onclick: () => onpick(i) } : { class: "bar" }, parts,
      svg("rect", { x: LEFT + i * each, y: 0, width: each, height: BASE, class: "hit" }, svg("title", {}, [name(i), ...lines].join("\n"))));
  }

  const drawing = svg("svg", { role: "img", "aria-label": label });
  new ResizeObserver(() => {
    const width = drawing.clientWidth || 640, each = (width - LEFT) / Math.max(1, count);
    drawing.setAttribute("viewBox", `0 0 ${width} ${H}`);
    fill(drawing, axis(top, width, format), sums.map((sum, i) => sum > 0 && stack(i, each)), times(start, step, count, each));
  }).observe(drawing);
  return el("figure.chart",
    el("figcaption", el("strong", label), series.length > 1 && el("span.legend", series.map((one) => el("span", el("i", { class: `mark k-${one.kind}` }), one.name)))),
    drawing,
    el("details", el("summary", t("chart.table")), el("div.scroll", { tabindex: "0" }, el("table",
      el("thead", el("tr", heads.map((head) => el("th", { scope: "col", text: head })))),
      el("tbody", rows.map((row) => el("tr", row.map((cell, i) => (i ? el("td.end", cell) : el("th", { scope: "row", text: cell }))))))))));
}

/** A row of cells, such as 48 half-hours, each as high as its value. */
export function strip({ cells, label }) {
  const width = 100 / Math.max(1, cells.length);
  const hit = cells.filter(({ value }) => value), most = Math.max(...cells.map(({ value }) => value), 1);
  const height = (value) => (value ? 2 + (value / most) * 8 : 10);
  return el("span.strip", svg("svg", { viewBox: "0 0 100 10", preserveAspectRatio: "none", role: "img", "aria-label": `${label}: ${hit.map(({ title }) => title).slice(0, 12).join(", ") || "0"}` },
    cells.map(({ value, kind, title }, i) => svg("rect", { x: i * width + width * 0.1, y: 10 - height(value), width: width * 0.8, height: height(value), class: `k-${value ? kind : "none"}` }, svg("title", {}, title)))));
}

/** A bar for parts of a whole: each has its begin, its end and a kind. @param {{from: number, to: number, kind: string}[]} parts @param {number} whole */
export function bar(parts, whole) {
  const at = (value) => Math.max(0, Math.min(100, (value / (whole || 1)) * 100));
  return el("span.span", svg("svg", { viewBox: "0 0 100 6", preserveAspectRatio: "none", "aria-hidden": "true" }, svg("rect", { width: 100, height: 6, class: "k-none" }),
    parts.map(({ from, to, kind }) => svg("rect", { x: Math.min(99.5, at(from)), width: Math.max(0.5, at(to) - at(from)), height: 6, class: `k-${kind}` }))));
}

/** Spent, reserved and left of a budget. */
export function budget({ spent, reserved, limit, label, format = (value) => n(value) }) {
  const part = (value) => Math.max(0, Math.min(100, (value / (limit || 1)) * 100));
  const used = part(spent);
  const kind = used + part(reserved) >= 100 ? "bad" : used >= 80 ? "warn" : "ok";
  const amount = `${format(spent)} / ${format(limit)}`;
  return el("span.budget", { title: label }, svg("svg", { viewBox: "0 0 100 8", preserveAspectRatio: "none", role: "img", "aria-label": `${label}: ${amount}` },
    svg("rect", { width: 100, height: 8, class: "k-none" }), svg("rect", { width: used, height: 8, class: `k-${kind}` }),
    svg("rect", { x: used, width: Math.min(100 - used, part(reserved)), height: 8, class: "k-reserved" })),
  el("small", amount));
}
