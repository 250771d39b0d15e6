import { badge, button, el, fill, time, words } from "../dom.js";
import { n } from "../i18n.js";

const KINDS = { passed: "ok", failed: "bad", skipped: "mute" };

/** @type {import("../main.js").Page} */
export const page = {
  id: "health",
  async render(root, ctx) {
    const { t } = ctx, result = el("div.stack", { "aria-live": "polite" });
    async function look(online) {
      fill(result, el("p.muted", t("health.looking")));
      const report = await ctx.api.get("/admin/doctor", online ? { online: 1 } : {});
      const failed = report.findings.filter((one) => one.result === "failed").length;
      fill(result,
        el("p", { class: `notice ${report.ok ? "ok" : "bad"}` }, report.ok ? t("health.well") : t("health.count", { count: n(failed) }), " · ", time(report.at)),
        el("ul.card.plain.findings", [...report.findings].sort((a, b) => Number(b.result === "failed") - Number(a.result === "failed")).map((one) =>
          el("li", el("span", badge(t(`health.${one.result}`), KINDS[one.result])), el("strong", one.check), el("div", words(one.message),
            one.result === "failed" && one.remedy && el("p", el("strong", t("errors.do"), " "), words(one.remedy)))))));
    }
    fill(root, el("div.bar", button(t("health.again"), () => look(false)), button(t("health.online"), () => look(true))), result);
    await look(false);
  },
};
