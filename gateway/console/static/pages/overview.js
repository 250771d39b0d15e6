import { url } from "../api.js";
import { columns } from "../charts.js";
import { badge, button, code, el, fill, kind, refusal, time, toast } from "../dom.js";
import { money, ms, n, share, t } from "../i18n.js";

const KINDS = { ready: "ok", cooling_down: "warn", refused: "bad", paused: "mute" };

/** @param {string} label @param {string} value @param {any} [change] @param {string} [href] */
function figure(label, value, change, href) {
  return el(href ? "a" : "div", { class: "card figure", href }, el("span.label", label), el("strong", value), el("small.muted", change ?? ""));
}

function change(now, before) {
  if (!before || now === null || now === undefined) return t("overview.no.before");
  const part = (now - before) / before;
  return t("overview.against", { change: n(part, { style: "percent", signDisplay: "always" }) });
}

function needs(data, ctx, again) {
  if (!data.needs.length) return el("p.notice.ok", t("overview.well"));
  return el("ul.plain.needs", data.needs.map((need) => {
    return el("li", { class: `notice ${need.level}` }, el("span", badge(t(`level.${need.level}`), need.level), " ", need.message, (need.values.until ?? need.values.last) && [" · ", time(need.values.until ?? need.values.last)]),
      need.action && ctx.mayWrite ? button(t(`action.${need.code}`), async () => {
        await ctx.api.post(need.action.path, need.action.body);
        toast(t("done"), "ok");
        again();
      }) : el("a.button", { href: need.page, text: t("look") }));
  }));
}

function steps(address) {
  return el("section.card.stack", el("h2", t("overview.empty")),
    el("ol.stack",
      el("li", el("p", t("overview.step.key"), " ", el("a", { href: "#/keys", text: t("page.keys") })), code("gateway keys add ada")),
      el("li", el("p", t("overview.step.call")), code(`curl ${address.startsWith("http") ? address : "$GATEWAY"}/v1/chat/completions -H "Authorization: Bearer $KEY" -H "Content-Type: application/json" -d '{"messages": [{"role": "user", "content": "Hello!"}]}'`)),
      el("li", el("p", t("overview.step.see")))),
    el("p.muted", { role: "status", text: t("overview.waiting") }));
}

/** @type {import("../main.js").Page} */
export const page = {
  id: "overview",
  async render(root, ctx) {
    let clients = "";
    async function draw() {
      const data = await ctx.api.get("/admin/summary", { window: 3600 });
      const { now, before, dollars, series } = data, within = now.first_byte_p95_within_ms;
      if (data.first_request === null && !clients) clients = (await ctx.api.get("/admin/about")).listeners.find(({ name }) => name === "clients")?.address ?? "$";
      const open = document.querySelector("#page-overview details[open]");
      if (open || root.contains(document.activeElement) && document.activeElement?.closest("button, a, summary")) return;
      fill(root, data.first_request === null && steps(clients),
        el("div.figures",
          figure(t("overview.requests"), n(now.requests), change(now.requests, before?.requests), "#/requests"),
          figure(t("overview.refused"), share(now.refused_share), before ? t("overview.yesterday", { value: share(before.refused_share) }) : `${n(now.refused)} ${t("overview.of", { value: n(now.requests) })}`, "#/errors"),
          figure(t("overview.first"), within ? `≈ ${ms(now.first_byte_p95_ms)}` : "–", within && t(within[1] ? "overview.within" : "overview.over", { low: ms(within[0]), high: ms(within[1]) }), url("#/requests", { filter: within && `first>${within[0]}ms` })),
          figure(t("overview.dollars"), money(dollars?.today), dollars ? t("overview.yesterday", { value: money(dollars.yesterday) }) : t(data.ledger ? "overview.reading" : "overview.no.ledger"), "#/usage?days=1&bucket=1h"),
          figure(t("running"), n(data.running), t("overview.of", { value: n(data.limit) }), "#/requests")),
        el("section", el("h2", t("overview.needs")), needs(data, ctx, draw)),
        el("div.grid.wide",
          el("section.card", columns({ start: series.start, step: series.step, label: t("overview.by.minute"), series: ["ok", "saved", "refused", "failed"].map((kind) => ({ name: t(`kind.${kind}`), kind, values: series[kind] })) })),
          data.days && el("section.card", columns({ start: data.days[0]?.start ?? 0, step: 86400, label: t("overview.by.day"), format: money, series: [{ name: t("cost"), kind: "a", values: data.days.map((day) => day.dollars) }] }))),
        data.instances.length > 1 && el("p.muted", t("overview.instances"), " ", data.instances.map((one) => one.name).join(", ")),
        data.pool.length ? el("section", el("h2", t("page.pool")), el("ul.squares", data.pool.map((one) => el("li", el("a", { class: `square ${KINDS[/** @type {"ready"} */ (one.state)]}`, href: url("#/pool", { project: one.project }), title: t(`state.${one.state}`) }, el("strong", one.project), " ", el("small", one.resting_models ? t("overview.resting", { count: one.resting_models }) : t(`state.${one.state}`))))))) : null,
        el("section.card", el("h2", t("overview.failures")),
          data.failures.length ? el("ul.plain.failures", data.failures.map((row) => el("li", el("a", { href: url("#/requests", { id: row.request_id }) }, badge(String(row.status), kind(row)), el("span", refusal(row) || (row.error ?? "–")), el("span.muted", [row.key_name, row.model ?? row.requested_model ?? row.path, data.instances.length > 1 && row.instance].filter(Boolean).join(" · ")), time(row.at))))) : el("p.muted", t("overview.no.failures"))));
    }
    await draw();
    setTimeout(() => { if (!ctx.signal.aborted) draw(); }, 500); // with what the ledger's first reading brings
    ctx.every(5000, draw);
  },
};
