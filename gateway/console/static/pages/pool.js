// @ts-check
import { badge, button, el, empty, fill, panel, time, toast } from "../dom.js";
import { ms, n } from "../i18n.js";

const KINDS = { ready: "ok", cooling_down: "warn", refused: "bad", paused: "mute" };

/** @param {number} until @param {Function} t */
function left(until, t) {
  const s = Math.max(0, Math.round(until - Date.now() / 1000));
  return t("pool.left", { time: s >= 3600 ? `${Math.floor(s / 3600)}:${String(Math.floor((s % 3600) / 60)).padStart(2, "0")} h` : `${Math.floor(s / 60)}:${String(s % 60).padStart(2, "0")}` });
}

function state(one, t) {
  return [badge(t(`state.${one.paused ? "paused" : one.state}`), KINDS[one.paused ? "paused" : one.state] ?? "info"),
    one.reason && el("small", { class: "muted" }, ` ${one.reason}`),
    one.until && el("small", { class: "countdown", dataset: { until: one.until } }, ` ${left(one.until, t)}`)];
}

/** @type {import("../main.js").Page} */
export const page = {
  id: "pool",
  async render(root, ctx) {
    const { t } = ctx, path = (project, action) => `/admin/pool/${encodeURIComponent(project)}/${action}`;
    const act = (label, work, kind = "") => ctx.mayWrite && button(label, async () => {
      try { toast((await work()) ?? t("done"), "ok"); await draw(); } catch (error) { toast(error.message, "bad"); }
    }, { kind });
    const probe = (project, model) => act(t("pool.probe"), async () => {
      const answer = await ctx.api.post(path(project, "probe"), { model });
      if (!answer.ok) throw new Error(`${answer.status}: ${answer.said}`);
      return t("pool.probed", { status: answer.status, time: ms(answer.ms) });
    });

    function cell(project, one) {
      panel(`${project.name} · ${one.model}`, el("p", {}, state(one, t)), el("p", {}, t("pool.flight", { count: n(one.in_flight) })),
        one.said && [el("h3", {}, t("pool.said")), el("blockquote", {}, one.said, " ", one.said_at && time(one.said_at))],
        one.ceilings?.length > 0 && [el("h3", {}, t("pool.ceilings")), el("ul", {}, one.ceilings.map((c) =>
          el("li", {}, t("pool.ceiling", { used: n(c.used), limit: n(c.limit), counts: c.counts, per: c.per }), " ", time(c.learned))))],
        el("div", { class: "row" }, act(t("pool.clear"), () => ctx.api.post(path(project.name, "clear"), { model: one.model, key_id: "" }).then(() => null), "primary"), probe(project.name, one.model)));
    }

    async function draw() {
      let data;
      try { data = await ctx.api.get("/admin/pool", {}, { signal: ctx.signal }); } catch (error) {
        if (error.code !== "no_pool") throw error;
        fill(root, empty(t("pool.none"), error.message));
        return;
      }
      const { projects, models } = data;
      fill(root, models.length > 0 && el("div", { class: "scroll card", tabindex: "0", role: "region", "aria-label": t("pool.grid") }, el("table", { class: "cells" },
        el("thead", {}, el("tr", {}, el("th", { scope: "col" }, t("project")), models.map((model) => el("th", { scope: "col" }, model)))),
        el("tbody", {}, projects.map((project) => el("tr", {}, el("th", { scope: "row" }, project.name), models.map((model) => {
          const one = project.cells.find((entry) => entry.model === model);
          return el("td", {}, one ? el("button", { type: "button", class: `cell ${KINDS[one.state] ?? ""}`, dataset: { model }, onclick: () => cell(project, one) }, el("span", { class: "visually-hidden" }, `${project.name} ${model} `), state(one, t)) : "–");
        })))))),
      el("div", { class: "grid wide" }, projects.map((project) => el("section", { class: "card stack" }, el("h2", {}, project.name, " ", state(project, t)),
        project.advice && el("p", {}, project.advice), el("p", { class: "muted" }, [...project.patterns, t("pool.flight", { count: n(project.in_flight) })].join(" · ")),
        el("ul", { class: "plain" }, project.keys.map((key) => el("li", { class: "row" }, el("code", {}, key.id), state(key, t), key.advice,
          key.state !== "ready" && act(t("pool.clear"), () => ctx.api.post(path(project.name, "clear"), { model: "", key_id: key.id }).then(() => null))))),
        el("div", { class: "row" },
          project.paused ? act(t("pool.resume"), () => ctx.api.post(path(project.name, "resume")).then(() => null)) : act(t("pool.pause"), () => ctx.api.post(path(project.name, "pause")).then(() => null)),
          act(t("pool.clear.all"), () => ctx.api.post(path(project.name, "clear"), { model: "", key_id: "" }).then(() => null)), probe(project.name, models[0] ?? ""))))));
    }
    await draw();
    ctx.every(1000, () => { for (const node of root.querySelectorAll(".countdown")) node.textContent = ` ${left(Number(/** @type {HTMLElement} */ (node).dataset.until), t)}`; });
    ctx.every(10000, () => (root.contains(document.activeElement) ? null : draw()));
  },
};
