import { url } from "../api.js";
import { columns } from "../charts.js";
import { button, choice as select, el, empty, field, fill } from "../dom.js";
import { money, ms, n, share, t, tokens, when } from "../i18n.js";
import { table } from "../table.js";

const DAYS = { 1: 1, 7: 7, 30: 30, 90: 90 };
const KINDS = ["a", "b", "c", "d", "e", "f"];
const BY = ["model", "client", "project", "surface"];
const COUNT = { dollars: (r) => r.dollars ?? 0, tokens: (r) => r.prompt + r.completion, calls: (r) => r.calls };
const SUMS = ["calls", "failures", "estimated", "prompt", "cached", "completion", "thoughts", "searches", "dollars"];

/** Rows with one value, added. @param {any[]} rows @param {string} by */
function totals(rows, by) {
  const result = new Map();
  for (const row of rows) {
    const key = row[by], sum = result.get(key) ?? { ...row, name: (by === "client" && row.name) || key || t(by === "client" || by === "project" ? "usage.own" : "keys.unknown"), ...Object.fromEntries(SUMS.map((s) => [s, 0])) };
    for (const s of SUMS) sum[s] += row[s] ?? 0;
    for (const s of ["first_byte_p95_ms", "duration_p95_ms"]) sum[s] = Math.max(sum[s] ?? 0, row[s] ?? 0);
    result.set(key, sum);
  }
  return result;
}

/** A percentile, which is interpolated in the buckets of the ledger. */
const about = (value) => (value ? `≈ ${ms(value)}` : "–");

/** @type {import("../main.js").Page} */
export const page = {
  id: "usage",
  async render(root, ctx) {
    const { query } = ctx, result = el("div.stack");
    const choose = (name, options, fallback) => select({ name, onchange: load }, options, (id) => t(`usage.${name}.${id}`), query.get(name) ?? fallback);
    const what = choose("what", Object.keys(COUNT), "dollars"), bucket = choose("bucket", ["1d", "1h"], "1d");
    const by = choose("by", BY, "model"), days = choose("days", Object.keys(DAYS), "30");
    const client = query.get("client") ?? "", only = el("p.notice.info", { hidden: !client }), model = query.get("model") ?? "";
    const parameters = (step) => {
      const until = Math.floor(Date.now() / 1000), back = Number(days.value) * 86400;
      return { since: until - (until % 86400) - back + 86400, until, by: by.value, bucket: step, client, model };
    };

    async function load() {
      ctx.setQuery({ what: what.value, bucket: bucket.value, by: by.value, days: days.value });
      const asked = parameters(bucket.value);
      const [now, before] = await Promise.all([ctx.api.get("/admin/usage", { ...asked, percentiles: 1 }),
        ctx.api.get("/admin/usage", { ...asked, bucket: "1d", since: 2 * asked.since - asked.until, until: asked.since })]);
      draw(now, totals(before.data, by.value), asked);
    }

    function draw(answer, before, asked) {
      const key = by.value, count = COUNT[what.value], format = what.value === "dollars" ? money : tokens;
      const sums = [...totals(answer.data, key).values()].sort((a, b) => count(b) - count(a)), all = sums.reduce((sum, row) => sum + count(row), 0);
      const step = bucket.value === "1h" ? 3600 : 86400, start = asked.since - (asked.since % step), length = Math.max(1, Math.ceil((asked.until - start) / step));
      const series = sums.slice(0, 5).map((row, i) => ({ name: row.name, of: row[key], kind: KINDS[i], values: Array(length).fill(0) }));
      const rest = { name: t("usage.rest"), of: null, kind: "f", values: Array(length).fill(0) };
      for (const row of answer.data) (series.find((one) => one.of === row[key]) ?? rest).values[Math.floor((row.start - start) / step)] += count(row);
      if (sums.length > 5) series.push(rest);
      const column = (id, value, show = n, hide = false) => ({ id, label: t(`usage.${id}`), value, align: "end", hide, render: (r) => show(value(r)) });
      const list = table({ name: "usage", label: t("page.usage"), chooser: true, rows: sums, key: (r) => r[key], empty: t("usage.none"),
        onopen: (r) => ctx.go(url("#/requests", { filter: `${key === "client" ? "key" : key}:${r[key] ? JSON.stringify(r[key]) : "none"} since:${new Date(asked.since * 1000).toISOString().slice(0, 10)}` })),
        columns: [{ id: "name", label: t({ client: "key" }[key] ?? key), value: (r) => r.name }, column("part", (r) => (all ? count(r) / all : 0), share),
          column("change", (r) => (before.get(r[key]) && count(before.get(r[key])) ? count(r) / count(before.get(r[key])) - 1 : null), (v) => n(v, { style: "percent", signDisplay: "always", maximumFractionDigits: 0 })),
          column("dollars", (r) => r.dollars, money), column("calls", (r) => r.calls), column("failures", (r) => r.failures), column("prompt", (r) => r.prompt, tokens), column("cached", (r) => r.cached, tokens),
          column("completion", (r) => r.completion, tokens), column("thoughts", (r) => r.thoughts, tokens), column("searches", (r) => r.searches, n, true), column("estimated", (r) => r.estimated, n, true),
          column("first", (r) => r.first_byte_p95_ms || null, about), column("duration", (r) => r.duration_p95_ms || null, about, true)] });
      only.textContent = t("usage.only", { name: answer.data[0]?.name || client });
      fill(result, el("p", el("strong", format(all)), " ", el("span.muted", `${when(asked.since, { dateStyle: "medium" })} – ${when(asked.until, { dateStyle: "medium" })}`)),
        answer.more && el("p.notice.warn", t("usage.more")),
        sums.length ? el("div.card", columns({ start, step, series, format, label: t(`usage.what.${what.value}`), onpick: bucket.value === "1d" ? () => { bucket.value = "1h"; days.value = "1"; load(); } : undefined })) : empty(t("usage.none"), t("usage.none.hint")), list.node);
    }
    fill(root, el("div.bar", field(t("usage.show"), what), field(t("usage.each"), bucket), field(t("usage.split"), by), field(t("usage.range"), days),
      button(t("usage.csv"), () => ctx.api.download("/admin/usage", { ...parameters(bucket.value), format: "csv" }, "usage.csv"))),
    only,
    el("p.muted", t("usage.of"), " ", el("a", { href: "#/errors", text: t("page.errors") })), result);
    await load();
  },
};
