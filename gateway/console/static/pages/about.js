// @ts-check
import { badge, el, fill, time } from "../dom.js";
import { t, when } from "../i18n.js";

/** @type {import("../main.js").Page} */
export const page = {
  id: "about",
  async render(root, ctx) {
    const about = await ctx.api.get("/admin/about", {}, { signal: ctx.signal });
    const facts = [
      [t("about.version"), about.version], [t("about.python"), about.python], [t("about.instance"), about.instance],
      [t("about.process"), about.pid], [t("about.started"), [time(about.started), " · ", when(about.started)]],
      ...about.listeners.map((/** @type {any} */ one) => [t(`about.listener.${one.name}`), el("code", { text: one.address })]),
      [t("about.plugins"), about.plugins.join(", ")], [t("about.licence"), about.licence],
    ];
    fill(root,
      el("div", { class: "grid wide" },
        el("section", { class: "card" }, el("h2", { text: t("about.process.title") }),
          el("dl", { class: "facts" }, facts.map(([name, value]) => el("div", {}, el("dt", { text: name }), el("dd", {}, value))))),
        el("section", { class: "card" }, el("h2", { text: t("about.features") }),
          el("ul", { class: "plain" }, about.features.map((/** @type {any} */ one) => el("li", {}, badge(t(one.on ? "on" : "off"), one.on ? "ok" : "mute"), " ", el("strong", { text: one.name }), " ", el("span", { class: "muted", text: one.detail }))))),
        el("section", { class: "card" }, el("h2", { text: t("about.links") }),
          el("ul", { class: "plain" }, about.links.map((/** @type {any} */ one) => el("li", {}, el("a", { href: one.url, rel: "noreferrer noopener", target: "_blank", text: one.name })))))));
  },
};
