// @ts-check
import { strip } from "../charts.js";
import { badge, button, el, empty, fill, time, words } from "../dom.js";
import { n, when } from "../i18n.js";

const HALF_HOUR = 1800;

function card(group, since, ctx) {
  const { t } = ctx, most = Math.max(...group.strip, 1);
  const cells = group.strip.map((count, i) => ({
    kind: count === 0 ? "none" : count > most / 2 ? "bad" : "warn",
    title: `${when(since + i * HALF_HOUR, { hour: "2-digit", minute: "2-digit" })}: ${n(count)}`,
  }));
  const filter = `error:${group.code}`;
  return el("section", { class: "card stack" },
    el("h2", {}, badge(String(group.status), group.status === 429 ? "warn" : "bad"), " ", group.code, " ",
      el("small", { class: "muted" }, [group.model, group.upstream_status && `Google ${group.upstream_status}`].filter(Boolean).join(" · "))),
    el("div", { class: "row" }, el("strong", {}, `${n(group.count)} ×`), el("span", { class: "grow" }, strip({ cells, label: t("errors.day") })), time(group.last)),
    group.cause && el("p", {}, words(group.cause)),
    group.remedy && el("p", {}, el("strong", {}, t("errors.do"), " "), words(group.remedy)),
    group.keys?.some((key) => key.id) && el("p", {}, t("errors.keys"), " ", group.keys.filter((key) => key.id).map((key) => [
      el("a", { class: "chip", href: `#/requests?filter=${encodeURIComponent(`${filter} key:${key.id}`)}` }, `${key.name || key.id} (${n(key.count)})`), " "])),
    el("div", { class: "row" },
      button(t("page.requests"), () => ctx.go(`#/requests?filter=${encodeURIComponent(filter)}`)),
      group.samples?.slice(0, 3).map((id) => el("a", { class: "chip mono", href: `#/requests?id=${encodeURIComponent(id)}` }, id.slice(-8)))));
}

/** @type {import("../main.js").Page} */
export const page = {
  id: "errors",
  async render(root, ctx) {
    const { t } = ctx, { since, data, others } = await ctx.api.get("/admin/errors", { window: 86400 }, { signal: ctx.signal });
    fill(root, data.length ? el("p", { class: "muted" }, t("errors.what")) : empty(t("errors.none"), t("errors.none.hint")),
      data.map((group) => card(group, since, ctx)),
      others > 0 && el("p", { class: "muted" }, t("errors.others", { count: n(others) })));
  },
};
