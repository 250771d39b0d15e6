import { badge, el, facts, fill, outward, time } from "../dom.js";
import { t, when } from "../i18n.js";

/** @type {import("../main.js").Page} */
export const page = {
  id: "about",
  async render(root, ctx) {
    const about = await ctx.api.get("/admin/about");
    const rows = [
      [t("about.version"), about.version], [t("about.python"), about.python], [t("instance"), about.instance],
      [t("about.process"), about.pid], [t("about.started"), [time(about.started), " · ", when(about.started)]],
      ...about.listeners.map((one) => [t(`about.listener.${one.name}`), el("code", one.address)]),
      [t("about.plugins"), about.plugins.join(", ")], [t("about.licence"), about.licence],
    ];
    fill(root,
      el("div.grid.wide",
        el("section.card", el("h2", t("about.process.title")),
          facts(rows)),
        el("section.card", el("h2", t("about.features")),
          el("ul.plain", about.features.map((one) => el("li", badge(t(one.on ? "on" : "off"), one.on ? "ok" : "mute"), " ", el("strong", one.name), " ", el("span.muted", one.detail))))),
        el("section.card", el("h2", t("about.links")),
          el("ul.plain", about.links.map((one) => el("li", outward(one))))),
        el("section.card", el("h2", t("about.libraries")),
          el("ul.plain", about.libraries.map((one) => el("li", outward(one), " ", one.version, " ", el("span.muted", one.licence)))))));
  },
};
