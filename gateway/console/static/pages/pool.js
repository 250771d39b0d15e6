import { badge, button, el, empty, fill, panel, time, toast } from "../dom.js";
import { ms, n } from "../i18n.js";

const KINDS = { ready: "ok", cooling_down: "warn", refused: "bad", paused: "mute" };

function left(until, t) {
  return t("pool.left", { time: ms(Math.max(0, Math.round(until - Date.now() / 1000)) * 1000) });
}

function state(one, t) {
  return [badge(t(`state.${one.state}`), KINDS[one.state] ?? "info"),
    one.why && el("small.muted", ` ${one.why}`),
    one.until && el("small.countdown", { dataset: { until: one.until } }, ` ${left(one.until, t)}`)];
}

/** Models that a project, which may be used, rests for. */
const resting = (project) => (project.state === "ready" ? project.cells.filter((one) => one.state !== "ready").length : 0);

/** @type {import("../main.js").Page} */
export const page = {
  id: "pool",
  async render(root, ctx) {
    const { t } = ctx, path = (project, action) => `/admin/pool/${encodeURIComponent(project)}/${action}`;
    const act = (label, work, kind = "") => ctx.mayWrite && button(label, async () => {
      try { const word = await work(); toast(typeof word === "string" ? word : t("done"), "ok"); await draw(); } catch (error) { toast(error.message, "bad"); }
    }, { kind });
    const probe = (project, model) => act(t("pool.probe"), async () => {
      const answer = await ctx.api.post(path(project, "probe"), { model });
      if (!answer.ok) throw new Error(`${answer.status}: ${answer.said}`);
      return t("pool.probed", { status: answer.status, time: ms(answer.ms) });
    });

    function cell(project, one) {
      panel(`${project.name} · ${one.model}`, el("p", state(one, t)), el("p", t("pool.flight", { count: n(one.in_flight) })),
        one.said && [el("h3", t("pool.said")), el("blockquote", one.said, " ", one.said_at && time(one.said_at))],
        one.ceilings?.length > 0 && [el("h3", t("pool.ceilings")), el("ul", one.ceilings.map((c) =>
          el("li", t("pool.ceiling", { used: n(c.used), limit: n(c.limit), counts: c.counts, per: c.per }), " ", time(c.learned))))],
        el("div.row", one.until && act(t("pool.clear"), () => ctx.api.post(path(project.name, "clear"), { model: one.model, key_id: "" }), "primary"), probe(project.name, one.model)));
    }

    async function draw() {
      let data;
      try { data = await ctx.api.get("/admin/pool"); } catch (error) {
        if (error.code !== "no_pool") throw error;
        fill(root, empty(t("pool.none"), error.message));
        return;
      }
      const { projects, models } = data;
      fill(root, models.length > 0 && el("div.scroll.table", { tabindex: "0", role: "region", "aria-label": t("pool.grid") }, el("table.cells",
        el("thead", el("tr", el("th", { scope: "col" }, t("project")), models.map((model) => el("th", { scope: "col" }, model)))),
        el("tbody", projects.map((project) => el("tr", el("th", { scope: "row" }, project.name), models.map((model) => {
          const one = project.cells.find((entry) => entry.model === model);
          return el("td", { dataset: { label: model } }, one ? el("button", { type: "button", class: `cell ${KINDS[one.state] ?? ""}`, dataset: { model }, onclick: () => cell(project, one) }, el("span.visually-hidden", `${project.name} ${model} `), state(one, t), one.state === "ready" && one.said && el("small.muted", { title: one.said }, t("pool.last"), " ", time(one.said_at))) : "–");
        })))))),
      el("div.grid.wide", projects.map((project) => el("section.card.stack", { id: `project-${project.name}` }, el("h2", project.name, " ", resting(project) ? badge(t("overview.resting", { count: resting(project) }), "warn") : state(project, t)),
        project.advice && el("p", project.advice), el("p.muted", [project.kind === "vertex" && `Vertex AI ${project.location}`, ...project.patterns, t("pool.flight", { count: n(project.in_flight) })].filter(Boolean).join(" · ")),
        el("ul.plain", project.keys.map((key) => el("li.row", el("code", key.id), state(key, t), key.advice,
          key.state !== "ready" && act(t("pool.clear"), () => ctx.api.post(path(project.name, "clear"), { model: "", key_id: key.id }))))),
        el("div.row",
          project.paused ? act(t("keys.resume"), () => ctx.api.post(path(project.name, "resume"))) : act(t("pool.pause"), () => ctx.api.post(path(project.name, "pause"))),
          act(t("pool.clear.all"), () => ctx.api.post(path(project.name, "clear"), { model: "", key_id: "" })), probe(project.name, models[0] ?? ""))))));
    }
    await draw();
    document.getElementById(`project-${ctx.query.get("project")}`)?.scrollIntoView({ block: "nearest" });
    ctx.every(1000, () => { for (const node of root.querySelectorAll(".countdown")) node.textContent = ` ${left(Number(/** @type {HTMLElement} */ (node).dataset.until), t)}`; });
    ctx.every(10000, () => (root.contains(document.activeElement) ? null : draw()));
  },
};
