// @ts-check
import { badge, button, code, el, field, fill, time, toast } from "../dom.js";

/** @type {import("../main.js").Page} */
export const page = {
  id: "config",
  async render(root, ctx) {
    const { t } = ctx, result = el("div", { "aria-live": "polite" });
    const text = el("textarea", { rows: "12", spellcheck: "false", class: "mono", maxlength: "1000000" });
    const only = el("input", { type: "checkbox", checked: true, onchange: () => draw() });
    let data = await ctx.api.get("/admin/config", {}, { signal: ctx.signal });
    const settings = el("div"), disk = el("div", { class: "stack" });

    function draw() {
      fill(settings, el("dl", { class: "facts settings" }, data.settings.filter((one) => one.own || !only.checked).map((one) => el("div", { class: one.own ? "mono" : "mono muted" }, el("dt", { title: one.description }, one.path), el("dd", {}, JSON.stringify(one.value), one.restart && [" ", badge(t("config.restart"), "mute")])))));
      fill(disk, el("p", {}, el("code", {}, data.file ?? t("config.no.file")), " ", el("code", {}, data.hash), " ", time(data.loaded)),
        data.restart_needed?.length > 0 && el("p", { class: "notice warn" }, t("config.needs", { settings: data.restart_needed.join(", ") })),
        data.on_disk?.fault ? el("div", { class: "notice bad" }, t("config.faulty"), code(data.on_disk.fault))
          : data.on_disk?.differs ? el("div", { class: "notice warn" }, t("config.differs"), code(data.on_disk.changes.join("\n"))) : data.file && !data.restart_needed?.length && el("p", { class: "notice ok" }, t("config.same")));
    }
    async function check() {
      const answer = await ctx.api.post("/admin/config/check", { yaml: text.value });
      fill(result, answer.ok ? el("div", { class: "notice ok" }, t("config.good"), answer.changes.length > 0 && code(answer.changes.join("\n")), answer.restart.length > 0 && el("p", {}, t("config.needs", { settings: answer.restart.join(", ") })))
        : el("ul", { class: "plain notice bad" }, answer.faults.map((fault) => el("li", {}, el("a", { href: `#/config`, onclick: (event) => { event.preventDefault(); jump(fault); } }, `${fault.line}:${fault.column}`), " ", el("code", {}, fault.path), " ", fault.message))));
    }
    function jump({ line, column }) {
      const at = text.value.split("\n").slice(0, line - 1).join("\n").length + (line > 1 ? 1 : 0) + column - 1;
      text.focus();
      text.setSelectionRange(at, at);
    }
    async function reload() {
      const answer = await ctx.api.post("/admin/config/reload");
      fill(result, code(answer.message));
      toast(t(answer.changed ? "config.reloaded" : "config.unchanged"), answer.changed ? "ok" : "info");
      data = await ctx.api.get("/admin/config", {}, { signal: ctx.signal });
      draw();
    }
    fill(root, disk, el("section", { class: "card stack" }, el("div", { class: "row" }, ctx.mayWrite && button(t("config.reload"), reload, { kind: "primary" }), el("label", { class: "check" }, only, t("config.own"))), settings),
      el("section", { class: "card stack" }, el("h2", {}, t("config.try")), field(t("config.yaml"), text, t("config.yaml.help")),
      el("div", { class: "row" }, ctx.mayWrite ? button(t("config.check"), check) : el("p", { class: "muted" }, t("may.read"))), result));
    draw();
  },
};
