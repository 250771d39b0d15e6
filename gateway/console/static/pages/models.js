import { url } from "../api.js";
import { badge, button, el, facts, fill, panel } from "../dom.js";
import { n } from "../i18n.js";
import { table } from "../table.js";

/** @type {import("../main.js").Page} */
export const page = {
  id: "models",
  async render(root, ctx) {
    const { t } = ctx, price = (m, name) => (m.price?.known ? `$${n(m.price[name], { minimumFractionDigits: 2, maximumFractionDigits: 4 })}` : "–");
    const head = el("p.muted"), google = el("div");
    const list = table({
      name: "models", label: t("page.models"), main: true, chooser: true, rows: [], key: (m) => `${m.kind} ${m.name}`, empty: t("models.none"), onopen: open,
      columns: [
        { id: "name", label: t("models.asked"), value: (m) => m.name },
        { id: "kind", label: t("models.kind"), value: (m) => m.kind, render: (m) => badge(t(`models.${m.kind}`), "info") },
        { id: "becomes", label: t("models.becomes"), value: (m) => m.becomes },
        { id: "in", label: t("models.in"), value: (m) => m.price?.input ?? -1, align: "end", render: (m) => price(m, "input") },
        { id: "cached", label: t("models.cached"), value: (m) => m.price?.cached ?? -1, align: "end", render: (m) => price(m, "cached") },
        { id: "out", label: t("models.out"), value: (m) => m.price?.output ?? -1, align: "end", render: (m) => price(m, "output") },
        { id: "fallbacks", label: t("models.fallbacks"), value: (m) => (m.fallbacks ?? []).join(", ") },
        { id: "calls", label: t("usage.calls"), value: (m) => m.calls ?? "–", align: "end" },
      ],
    });
    function open(m) {
      panel(m.name, facts(Object.entries({ [t("models.becomes")]: m.becomes, [t("models.answers")]: m.answers, ...m.capabilities })
        .map(([name, value]) => [name, Array.isArray(value) ? value.join(", ") : String(value ?? "")])),
      button(t("page.requests"), () => ctx.go(url("#/requests", { filter: `model:${m.becomes || m.name}` }))));
    }
    async function load(ask) {
      const answer = await ctx.api.get("/admin/models", ask ? { google: 1 } : {});
      fill(head, t("models.age", { date: answer.date, days: n(answer.age_days) }));
      list.set(answer.data);
      if (answer.google) fill(google, el("h2", t("models.google")), el("p", answer.google.map((m) => [el("span", { class: `chip ${m.known ? "" : "warn"}` }, m.name, m.known ? "" : ` · ${t("models.unknown")}`), " "])));
    }
    fill(root, head, el("div.bar", button(t("models.ask"), () => load(true))), google, list.node);
    await load(false);
  },
};
