import { url } from "../api.js";
import { strip } from "../charts.js";
import { badge, button, choice, el, empty, field, fill, kind, place, refusal, time, words } from "../dom.js";
import { n, t, when } from "../i18n.js";

const HALF_HOUR = 1800;

const chips = (keys, filter) => keys.length > 0 && el("p", t("errors.keys"), " ", keys.map((key) => [
  el("a.chip", { href: url("#/requests", { filter: `${filter} key:${key.id}` }) }, `${key.name || key.id} (${n(key.count)})`), " "]));

/** The errors of each key in all groups. */
function sums(groups) {
  const keys = {};
  for (const { id, name, count } of groups.flatMap((group) => group.keys)) if (id) (keys[id] ??= { id, name, count: 0 }).count += count;
  return Object.values(keys).sort((a, b) => b.count - a.count).slice(0, 9);
}

function card(group, since, ctx) {
  const colour = kind({ ...group, error: group.code });
  const cells = group.strip.map((count, i) => ({
    value: count, kind: colour,
    title: `${when(since + i * HALF_HOUR, { hour: "2-digit", minute: "2-digit" })}: ${n(count)}`,
  }));
  const filter = [`error:${group.code}`, `status:${group.status}`, (!group.refused_by || group.refused_by === "google") && `upstream:${group.upstream_status ?? "none"}`,
    group.model && `model:${JSON.stringify(group.model)}`, group.refused_by && `refused:${group.refused_by}`].filter(Boolean).join(" ");
  return el("section.card.stack",
    el("h2", badge(String(group.status), colour), " ", refusal(group) || group.code, " ",
      el("small.muted", [group.refused_by && group.code, group.model, group.upstream_status && `Google ${group.upstream_status}`, group.instances.length > 1 && group.instances.join(", ")].filter(Boolean).join(" · "))),
    el("div.tally", el("strong", `${n(group.count)} ×`), strip({ cells, label: t("errors.day") }), time(group.last)),
    group.cause && el("p", words(group.cause)),
    group.remedy && el("p", el("strong", t("errors.do"), " "), words(group.remedy)),
    chips(group.keys.filter((key) => key.id), filter),
    el("div.row",
      button(t("page.requests"), () => ctx.go(url("#/requests", { filter: filter }))),
      place({ ...group, keys: group.keys.length > 1 ? [] : group.keys }, group.place), group.samples?.slice(0, 3).map((id) => el("a.chip.mono", { href: url("#/requests", { id: id }) }, id.slice(-8)))));
}

/** @type {import("../main.js").Page} */
export const page = {
  id: "errors",
  async render(root, ctx) {
    const { since, data, others } = await ctx.api.get("/admin/errors", { window: 86400 });
    const list = el("div.page"), order = choice({ onchange: draw }, ["last", "count"], (id) => t(`errors.by.${id}`), ctx.query.get("order"));
    function draw() {
      ctx.setQuery({ order: order.value });
      fill(list, [...data].sort((a, b) => b[order.value] - a[order.value]).map((group) => card(group, since, ctx)));
    }
    draw();
    fill(root, data.length ? [el("p.muted", t("errors.what"), " ", el("a", { href: "#/usage", text: t("page.usage") })), chips(sums(data), "status:failed"), el("div.bar", field(t("errors.order"), order))] : empty(t("errors.none"), t("errors.none.hint")),
      list,
      others > 0 && el("p.muted", t("errors.others", { count: n(others) })));
  },
};
