// @ts-check
import { columns } from "../charts.js";
import { badge, button, code, el, fill, time, toast } from "../dom.js";
import { has, money, ms, n, share, t, until } from "../i18n.js";

const KINDS = { ready: "ok", cooling_down: "warn", refused: "bad", paused: "mute" };

/** @param {string} label @param {string} value @param {any} [change] @param {string} [href] */
function figure(label, value, change, href) {
  return el(href ? "a" : "div", { class: "card figure", href }, el("span", { class: "label", text: label }), el("strong", { text: value }), el("small", { class: "muted" }, change ?? ""));
}

/** @param {number | null | undefined} now @param {number | null | undefined} before */
function change(now, before) {
  if (!before || now === null || now === undefined) return t("overview.no.before");
  const part = (now - before) / before;
  return t("overview.against", { change: n(part, { style: "percent", signDisplay: "always" }) });
}

/** @param {any} data @param {import("../main.js").Context} ctx @param {() => void} again */
function needs(data, ctx, again) {
  if (!data.needs.length) return el("p", { class: "notice ok", text: t("overview.well") });
  return el("ul", { class: "plain needs" }, data.needs.map((/** @type {any} */ need) => {
    const values = { ...need.values, until: need.values.until ? until(need.values.until) : "" };
    const text = has(`needs.${need.code}`) ? t(`needs.${need.code}`, values) : need.message;
    return el("li", { class: `notice ${need.level}` }, el("span", {}, badge(t(`level.${need.level}`), need.level), " ", text),
      need.action && ctx.mayWrite ? button(t(`action.${need.code}`), async () => {
        await ctx.api.post(need.action.path, need.action.body);
        toast(t("done"), "ok");
        again();
      }) : el("a", { class: "button", href: need.page, text: t("look") }));
  }));
}

function steps() {
  return el("section", { class: "card stack" }, el("h2", { text: t("overview.empty") }),
    el("ol", { class: "stack" },
      el("li", {}, el("p", { text: t("overview.step.key") }), code("gateway keys issue ada")),
      el("li", {}, el("p", { text: t("overview.step.call") }), code(`curl $GATEWAY/v1/chat/completions -H "Authorization: Bearer $KEY" -H "Content-Type: application/json" -d '{"messages": [{"role": "user", "content": "Hello!"}]}'`)),
      el("li", {}, el("p", { text: t("overview.step.see") }))),
    el("p", { class: "muted", role: "status", text: t("overview.waiting") }));
}

/** @type {import("../main.js").Page} */
export const page = {
  id: "overview",
  async render(root, ctx) {
    async function draw() {
      const data = await ctx.api.get("/admin/summary", { window: 3600 }, { signal: ctx.signal });
      const { now, before, dollars, series } = data;
      const open = document.querySelector("#page-overview details[open]");
      if (open || root.contains(document.activeElement) && document.activeElement?.closest("button, a, summary")) return;
      fill(root,
        el("div", { class: "figures" },
          figure(t("overview.requests"), n(now.requests), change(now.requests, before?.requests), "#/requests"),
          figure(t("overview.refused"), share(now.refused_share), before ? t("overview.yesterday", { value: share(before.refused_share) }) : n(now.refused), "#/errors"),
          figure(t("overview.first"), ms(now.first_byte_p95_ms), before ? t("overview.yesterday", { value: ms(before.first_byte_p95_ms) }) : `p50 ${ms(now.first_byte_p50_ms)}`, "#/usage"),
          figure(t("overview.dollars"), money(dollars?.today), dollars?.budget_day ? t("overview.of", { value: money(dollars.budget_day) }) : dollars ? t("overview.yesterday", { value: money(dollars.yesterday) }) : t("overview.no.ledger"), "#/usage"),
          figure(t("overview.running"), n(data.running), t("overview.of", { value: n(data.limit) }), "#/requests")),
        data.first_request === null ? steps() : null,
        el("section", {}, el("h2", { text: t("overview.needs") }), needs(data, ctx, draw)),
        el("div", { class: "grid wide" },
          el("section", { class: "card" }, columns({ start: series.start, step: series.step, label: t("overview.by.minute"), series: ["ok", "saved", "refused", "failed"].map((kind) => ({ name: t(`kind.${kind}`), kind, values: series[kind] })) })),
          data.days && el("section", { class: "card" }, columns({ start: data.days[0]?.start ?? 0, step: 86400, label: t("overview.by.day"), format: money, series: [{ name: t("cost"), kind: "a", values: data.days.map((/** @type {any} */ day) => day.dollars) }] }))),
        data.pool.length ? el("section", {}, el("h2", { text: t("page.pool") }), el("ul", { class: "squares" }, data.pool.map((/** @type {any} */ one) => el("li", {}, el("a", { class: `square ${KINDS[/** @type {"ready"} */ (one.state)]}`, href: `#/pool?project=${encodeURIComponent(one.project)}`, title: t(`state.${one.state}`) }, el("strong", { text: one.project }), " ", el("small", { text: one.resting_models ? t("overview.resting", { count: one.resting_models }) : t(`state.${one.state}`) })))))) : null,
        el("section", { class: "card" }, el("h2", { text: t("overview.failures") }),
          data.failures.length ? el("ul", { class: "plain failures" }, data.failures.map((/** @type {any} */ row) => el("li", {}, el("a", { href: `#/requests?id=${encodeURIComponent(row.request_id)}` }, badge(String(row.status), row.status >= 500 || row.status === 200 ? "bad" : "warn"), el("span", {}, row.error ?? "–"), el("span", { class: "muted", text: [row.key_name, row.model ?? row.path].filter(Boolean).join(" · ") }), time(row.at))))) : el("p", { class: "muted", text: t("overview.no.failures") })));
    }
    await draw();
    ctx.every(5000, draw);
  },
};
