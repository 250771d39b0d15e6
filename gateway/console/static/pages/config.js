import { badge, button, code, el, field, fill, time, words } from "../dom.js";

/** @type {import("../main.js").Page} */
export const page = {
  id: "config",
  async render(root, ctx) {
    const { t } = ctx, wanted = ctx.query.get("setting") ?? "", result = el("div", { "aria-live": "polite" }), outcome = el("div", { "aria-live": "polite" });
    const text = el("textarea.mono", { rows: "12", spellcheck: "false", maxlength: "1000000" });
    const only = el("input", { type: "checkbox", checked: !wanted, onchange: () => draw() });
    let data = await ctx.api.get("/admin/config");
    const settings = el("div"), disk = el("div.stack");

    /** The differences, with a mark at those that wait for a restart. */
    const listed = (changes, restart) => code(changes.map((line) => (restart.includes(line.split(":")[0]) ? `${line}  (${t("config.restart")})` : line)).join("\n"));
    const said = (value) => (value === null || /^(\{\}|\[\])$/.test(JSON.stringify(value)) ? t("config.unset") : JSON.stringify(value));
    const differs = (one) => JSON.stringify(one.value) !== JSON.stringify(one.running);
    function draw() {
      fill(settings, el("dl.facts.settings", data.settings.filter((one) => one.own || !only.checked).map((one) => el("div", { class: one.own ? "mono" : "mono muted", "aria-current": one.path === wanted && "true" }, el("dt", { title: one.description }, one.path), el("dd", said(one.running), differs(one) ? [" ", badge(t("config.later", { value: JSON.stringify(one.value) }), "warn")] : one.restart && [" ", badge(t("config.restart"), "mute")], one.path === wanted && el("p", words(one.description)))))));
      fill(disk, el("p", el("code", data.file), " ", el("code", data.hash), " ", time(data.loaded)),
        data.restart_needed.length > 0 && el("p.notice.warn", t("config.needs", { settings: data.restart_needed.join(", ") })),
        data.on_disk?.fault ? el("div.notice.bad", t("config.faulty"), code(data.on_disk.fault))
          : data.on_disk?.differs ? el("div.notice.warn", t("config.differs"), listed(data.on_disk.changes, data.restart_needed)) : !data.on_disk ? el("p.notice.info", t("config.no.file")) : !data.restart_needed.length && el("p.notice.ok", t("config.same")));
    }
    async function check() {
      const answer = await ctx.api.post("/admin/config/check", { yaml: text.value });
      fill(result, answer.ok ? el("div.notice.ok", t("config.good"), answer.changes.length > 0 && listed(answer.changes, answer.restart), answer.restart.length > 0 && el("p", t("config.needs", { settings: answer.restart.join(", ") })))
        : el("ul.plain.notice.bad", answer.faults.map((fault) => el("li", el("a", { href: `#/config`, onclick: (event) => { event.preventDefault(); jump(fault); } }, `${fault.line}:${fault.column}`), " ", el("code", fault.path), " ", fault.message))));
    }
    function jump({ line, column }) {
      const at = text.value.split("\n").slice(0, line - 1).join("\n").length + (line > 1 ? 1 : 0) + column - 1;
      text.focus();
      text.setSelectionRange(at, at);
    }
    async function reload() {
      const answer = await ctx.api.post("/admin/config/reload");
      const [word, kind] = !answer.changed ? ["refused", "bad"] : answer.differs ? ["reloaded", "ok"] : ["unchanged", "info"];
      fill(outcome, el("div", { class: `notice ${kind}` }, t(`config.${word}`), code(answer.message)));
      data = await ctx.api.get("/admin/config");
      draw();
    }
    fill(root, disk, el("section.card.stack", el("div.row", ctx.mayWrite && button(t("reload"), reload, { kind: "primary" }), el("label.check", only, t("config.own"))), outcome, settings),
      el("section.card.stack", el("h2", t("config.try")), field(t("config.yaml"), text, t("config.yaml.help")),
      el("div.row", ctx.mayWrite ? button(t("config.check"), check) : el("p.muted", t("may.read"))), result));
    draw();
    settings.querySelector("[aria-current]")?.scrollIntoView({ block: "center" });
  },
};
