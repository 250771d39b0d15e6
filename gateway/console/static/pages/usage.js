import { url } from "../api.js";
import { columns } from "../charts.js";
import { button, el, empty, field, fill } from "../dom.js";
import { money, ms, n, share, tokens, when } from "../i18n.js";
import { table } from "../table.js";

const DAYS = { 1: 1, 7: 7, 30: 30, 90: 90 };
const KINDS = ["a", "b", "c", "d", "e", "f"];
const BY = { model: (r) => r.model, client: (r) => r.name || r.client, project: (r) => r.project, surface: (r) => r.surface };
const COUNT = { dollars: (r) => r.dollars ?? 0, tokens: (r) => r.prompt + r.completion, calls: (r) => r.calls };
const SUMS = ["calls", "failures", "estimated", "prompt", "cached", "completion", "thoughts", "searches", "dollars"];

/** Rows of one name, added. @param {any[]} rows @param {(row: any) => string} name */
function totals(rows, name) {
  const result = new Map();
  for (const row of rows) {
    const key = name(row) || "–", sum = result.get(key) ?? { ...row, name: key, ...Object.fromEntries(SUMS.map((s) => [s, 0])) };
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
    const { t, query } = ctx, result = el("div.stack");
    const choose = (name, options, fallback) => el("select", { name, onchange: load }, options.map((id) => el("option", { value: id, selected: id === (query.get(name) ?? fallback) }, t(`usage.${name}.${id}`))));
    const what = choose("what", Object.keys(COUNT), "dollars"), bucket = choose("bucket", ["1d", "1h"], "1d");
    const by = choose("by", Object.keys(BY), "model"), days = choose("days", Object.keys(DAYS), "30");
    const client = query.get("client") ?? "", model = query.get("model") ?? "";
    const parameters = (step) => {
      const until = Math.floor(Date.now() / 1000), back = Number(days.value) * 86400;
      return { since: until - (until % 86400) - back + 86400, until, by: by.value, bucket: step, client, model };
    };

    async function load() {
      ctx.setQuery({ what: what.value, bucket: bucket.value, by: by.value, days: days.value });
      const asked = parameters(bucket.value);
      const [now, before] = await Promise.all([ctx.api.get("/admin/usage", { ...asked, percentiles: 1 }),
        ctx.api.get("/admin/usage", { ...asked, bucket: "1d", since: 2 * asked.since - asked.until, until: asked.since })]);
      draw(now, totals(before.data, BY[by.value]), asked);
    }

    function draw(answer, before, asked) {
      const name = BY[by.value], count = COUNT[what.value], format = what.value === "dollars" ? money : tokens;
      const sums = [...totals(answer.data, name).values()].sort((a, b) => count(b) - count(a)), all = sums.reduce((sum, row) => sum + count(row), 0);
      const step = bucket.value === "1h" ? 3600 : 86400, start = asked.since - (asked.since % step), length = Math.max(1, Math.ceil((asked.until - start) / step));
      const series = sums.slice(0, 5).map((row, i) => ({ name: row.name, kind: KINDS[i], values: Array(length).fill(0) }));
      const rest = { name: t("usage.rest"), kind: "f", values: Array(length).fill(0) };
      for (const row of answer.data) (series.find((one) => one.name === (name(row) || "–")) ?? rest).values[Math.floor((row.start - start) / step)] += count(row);
      if (sums.length > 5) series.push(rest);
      const column = (id, value, show = n, hide = false) => ({ id, label: t(`usage.${id}`), value, align: "end", hide, render: (r) => show(value(r)) });
      const list = table({ name: "usage", label: t("page.usage"), chooser: true, rows: sums, key: (r) => r.name, empty: t("usage.none"),
        onopen: (r) => ctx.go(url("#/requests", { filter: `${{ client: "key" }[by.value] ?? by.value}:${JSON.stringify(by.value === "client" ? r.client : r.name)}` })),
        columns: [{ id: "name", label: t(`usage.by.${by.value}`), value: (r) => r.name }, column("part", (r) => (all ? count(r) / all : 0), share),
          column("change", (r) => (before.get(r.name) && count(before.get(r.name)) ? count(r) / count(before.get(r.name)) - 1 : null), (v) => n(v, { style: "percent", signDisplay: "always", maximumFractionDigits: 0 })),
          column("dollars", (r) => r.dollars, money), column("calls", (r) => r.calls), column("failures", (r) => r.failures), column("prompt", (r) => r.prompt, tokens), column("cached", (r) => r.cached, tokens),
          column("completion", (r) => r.completion, tokens), column("thoughts", (r) => r.thoughts, tokens), column("searches", (r) => r.searches, n, true), column("estimated", (r) => r.estimated, n, true),
          column("first", (r) => r.first_byte_p95_ms || null, about), column("duration", (r) => r.duration_p95_ms || null, about, true)] });
      fill(result, el("p", el("strong", format(all)), " ", el("span.muted", `${when(asked.since, { dateStyle: "medium" })} – ${when(asked.until, { dateStyle: "medium" })}`)),
        answer.more && el("p.notice.warn", t("usage.more")),
        sums.length ? el("div.card", columns({ start, step, series, format, label: t(`usage.what.${what.value}`), onpick: bucket.value === "1d" ? () => { bucket.value = "1h"; days.value = "1"; load(); } : undefined })) : empty(t("usage.none"), t("usage.none.hint")), list.node);
    }
    fill(root, el("div.bar", field(t("usage.show"), what), field(t("usage.each"), bucket), field(t("usage.split"), by), field(t("usage.range"), days),
      button(t("usage.csv"), () => ctx.api.download("/admin/usage", { ...parameters(bucket.value), format: "csv" }, "usage.csv"))),
    client && el("p.notice.info", t("usage.only", { name: client })),
    el("p.muted", t("usage.of"), " ", el("a", { href: "#/errors", text: t("page.errors") })), result);
    await load();
  },
};
