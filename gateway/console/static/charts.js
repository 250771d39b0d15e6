// @ts-check
// Six charts in SVG. Each is a figure with a table of the same numbers.
import { el, svg } from "./dom.js";
import { n, t, when } from "./i18n.js";

const W = 640;
const H = 160;
const LEFT = 48;
const BOTTOM = 20;

/** @param {number} max */
function scale(max) {
  const power = 10 ** Math.floor(Math.log10(max || 1));
  return ([1, 2, 5, 10].find((step) => step * power >= max) ?? 10) * power;
}

/** @param {number} step seconds */
function clock(step) {
  return step < 86400 ? { hour: "2-digit", minute: "2-digit" } : { day: "numeric", month: "short" };
}

/** @param {string} label @param {Node[]} drawing @param {string[]} heads @param {(string | number)[][]} rows @param {Node | null} [legend] */
function figure(label, drawing, heads, rows, legend = null, height = H) {
  return el("figure", { class: "chart" },
    el("figcaption", {}, el("strong", { text: label }), legend),
    svg("svg", { viewBox: `0 0 ${W} ${height}`, role: "img", "aria-label": label, preserveAspectRatio: "none" }, ...drawing),
    el("details", {}, el("summary", { text: t("chart.table") }), el("div", { class: "scroll", tabindex: "0" }, el("table", {},
      el("thead", {}, el("tr", {}, heads.map((head) => el("th", { scope: "col", text: head })))),
      el("tbody", {}, rows.map((row) => el("tr", {}, row.map((cell, i) => (i ? el("td", { class: "end", text: cell }) : el("th", { scope: "row", text: cell }))))))))));
}

/** @param {number} top @param {(value: number) => string} format */
function axis(top, format) {
  return [0, 0.5, 1].map((part) => {
    const y = H - BOTTOM - part * (H - BOTTOM - 12);
    return svg("g", {}, svg("line", { x1: LEFT, x2: W, y1: y, y2: y, class: "grid-line" }),
      svg("text", { x: LEFT - 6, y: y + 4, class: "tick end" }, format(top * part)));
  });
}

/** @param {number} start @param {number} step @param {number} count */
function times(start, step, count) {
  const width = (W - LEFT) / count;
  return [0, 0.25, 0.5, 0.75].map((part) => {
    const at = Math.floor(part * count);
    return svg("text", { x: LEFT + at * width, y: H - 5, class: "tick" }, when(start + at * step, /** @type {any} */ (clock(step))));
  });
}

/** @param {{name: string, kind: string}[]} series */
function legend(series) {
  return el("span", { class: "legend" }, series.map(({ name, kind }) => el("span", {}, el("i", { class: `mark k-${kind}` }), name)));
}

/** Stacked columns by time. @param {{start: number, step: number, series: {name: string, kind: string, values: number[]}[], label: string, format?: (value: number) => string, onpick?: (index: number) => void}} data */
export function columns({ start, step, series, label, format = (value) => n(value), onpick }) {
  const count = series[0]?.values.length ?? 0;
  const sums = Array.from({ length: count }, (_, i) => series.reduce((sum, one) => sum + one.values[i], 0));
  const top = scale(Math.max(...sums, 0));
  const width = (W - LEFT) / Math.max(1, count);
  const stacks = sums.map((_, i) => {
    let y = H - BOTTOM;
    const bars = series.map(({ kind, values, name }) => {
      const height = (values[i] / top) * (H - BOTTOM - 12);
      y -= height;
      return height > 0 && svg("rect", { x: LEFT + i * width + 0.5, y, width: Math.max(1, width - 1), height, class: `k-${kind}` },
        svg("title", {}, `${when(start + i * step)} · ${name}: ${format(values[i])}`));
    });
    return svg("g", onpick ? { class: "pick", onclick: () => onpick(i) } : {}, bars,
      onpick && svg("rect", { x: LEFT + i * width, y: 0, width, height: H - BOTTOM, class: "hit" }));
  });
  const rows = sums.map((_, i) => [when(start + i * step, { dateStyle: "short", timeStyle: "short" }), ...series.map(({ values }) => format(values[i]))]);
  return figure(label, [...axis(top, format), ...stacks, ...times(start, step, count)], [t("time"), ...series.map(({ name }) => name)],
    rows.filter((_, i) => sums[i]), series.length > 1 ? legend(series) : null);
}

/** A line in a band. null is a gap. @param {{start: number, step: number, low: (number | null)[], middle: (number | null)[], high: (number | null)[], label: string, names?: string[], format?: (value: number) => string}} data */
export function band({ start, step, low, middle, high, label, names = ["p5", "p50", "p95"], format = (value) => n(value) }) {
  const top = scale(Math.max(...high.map((value) => value ?? 0), 0));
  const width = (W - LEFT) / Math.max(1, high.length);
  const point = (/** @type {number | null} */ value, /** @type {number} */ i) => `${LEFT + (i + 0.5) * width},${H - BOTTOM - ((value ?? 0) / top) * (H - BOTTOM - 12)}`;
  const held = high.map((_, i) => i).filter((i) => high[i] !== null);
  const area = [...held.map((i) => point(high[i], i)), ...held.toReversed().map((i) => point(low[i], i))].join(" ");
  const rows = held.map((i) => [when(start + i * step, { dateStyle: "short", timeStyle: "short" }), ...[low, middle, high].map((values) => format(values[i] ?? 0))]);
  return figure(label, [...axis(top, format), svg("polygon", { points: area, class: "band" }),
    svg("polyline", { points: held.map((i) => point(middle[i], i)).join(" "), class: "line" }), ...times(start, step, high.length)],
  [t("time"), ...names], rows);
}

/** Horizontal bars with their share. @param {{rows: {name: string, value: number, href?: string, share?: number}[], label: string, format?: (value: number) => string}} data */
export function bars({ rows, label, format = (value) => n(value) }) {
  const total = rows.reduce((sum, row) => sum + row.value, 0) || 1;
  const top = Math.max(...rows.map((row) => row.value), 0) || 1;
  return el("figure", { class: "chart bars" }, el("figcaption", {}, el("strong", { text: label })), el("table", {},
    el("thead", { class: "visually-hidden" }, el("tr", {}, [t("name"), t("chart.bar"), t("value"), t("share")].map((head) => el("th", { scope: "col", text: head })))),
    el("tbody", {}, rows.map((row) => el("tr", {},
      el("th", { scope: "row" }, row.href ? el("a", { href: row.href, text: row.name }) : row.name),
      el("td", { class: "bar-cell" }, svg("svg", { viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" }, svg("rect", { width: (row.value / top) * 100, height: 10, class: "k-a" }))),
      el("td", { class: "end", text: format(row.value) }),
      el("td", { class: "end muted", text: n(row.share ?? row.value / total, { style: "percent" }) }))))));
}

/** A row of cells, such as 48 half-hours. @param {{cells: {kind: string, title: string}[], label: string}} data */
export function strip({ cells, label }) {
  const width = 100 / Math.max(1, cells.length);
  const hit = cells.filter(({ kind }) => kind !== "none");
  return el("span", { class: "strip" }, svg("svg", { viewBox: "0 0 100 10", preserveAspectRatio: "none", role: "img", "aria-label": `${label}: ${hit.map(({ title }) => title).slice(0, 12).join(", ") || "0"}` },
    cells.map(({ kind, title }, i) => svg("rect", { x: i * width + width * 0.1, y: 0, width: width * 0.8, height: 10, class: `k-${kind}` }, svg("title", {}, title)))));
}

/** Spent, reserved and left of a budget. @param {{spent: number, reserved: number, limit: number, label: string, format?: (value: number) => string}} data */
export function budget({ spent, reserved, limit, label, format = (value) => n(value) }) {
  const part = (/** @type {number} */ value) => Math.max(0, Math.min(100, (value / (limit || 1)) * 100));
  const used = part(spent);
  const kind = used + part(reserved) >= 100 ? "bad" : used >= 80 ? "warn" : "ok";
  return el("span", { class: "budget", title: label }, svg("svg", { viewBox: "0 0 100 8", preserveAspectRatio: "none", role: "img", "aria-label": `${label}: ${format(spent)} / ${format(limit)}` },
    svg("rect", { width: 100, height: 8, class: "k-none" }), svg("rect", { width: used, height: 8, class: `k-${kind}` }),
    svg("rect", { x: used, width: Math.min(100 - used, part(reserved)), height: 8, class: "k-reserved" })),
  el("small", { text: `${format(spent)} / ${format(limit)}` }));
}

/** A line without axes. @param {{values: (number | null)[], label: string}} data */
export function spark({ values, label }) {
  const top = Math.max(...values.map((value) => value ?? 0), 0) || 1;
  const points = values.map((value, i) => `${(i / Math.max(1, values.length - 1)) * 100},${20 - ((value ?? 0) / top) * 18}`).join(" ");
  return el("span", { class: "spark" }, svg("svg", { viewBox: "0 0 100 21", preserveAspectRatio: "none", role: "img", "aria-label": label }, svg("polyline", { points, class: "line" })));
}
