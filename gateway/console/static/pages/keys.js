import { url } from "../api.js";
import { budget } from "../charts.js";
import { badge, button, choice, code, confirmName, copyButton, dialog, el, facts, field, fill, panel, time, toast } from "../dom.js";
import { money, n, tokens } from "../i18n.js";
import { table } from "../table.js";

const KINDS = { active: "ok", suspended: "warn", expired: "mute", revoked: "mute", "over budget": "bad" };
const PRESETS = {
  person: { requests_per_minute: 30, streams: 4, dollars: { month: 20 } },
  program: { requests_per_minute: 300, streams: 50, dollars: { month: 100 } },
  trial: { requests_per_minute: 5, streams: 1, dollars: { total: 1 } },
};
const NUMBERS = ["requests_per_minute", "requests_per_day", "tokens_per_minute", "tokens_per_day", "streams"];
const PERIODS = ["day", "month", "total"];

const path = (id, action = "") => `/admin/keys/${encodeURIComponent(id)}${action && `/${action}`}`;

const per = (unit, period, t) => t(`keys.${unit}_per`, { period: t(`keys.${period}`) });

function bar(key, t) {
  const most = key.budgets?.find((b) => b.period === "month") ?? key.budgets?.[0];
  if (!most) return el("span.muted", money(key.dollars?.month ?? 0));
  const label = per(most.unit, most.period, t);
  return el("div", budget({ ...most, format: most.unit === "dollars" ? money : tokens, label }), el("small.muted", label));
}

function perMinute(key) {
  const limit = key.limits?.find((l) => l.counted === "requests" && l.seconds === 60);
  return limit ? `${n(limit.limit - limit.left)} / ${n(limit.limit)}` : "–";
}

function columns(t) {
  return [
    { id: "name", label: t("name"), value: (k) => k.name },
    { id: "state", label: t("state"), value: (k) => k.state, render: (k) => badge(t(`keys.${k.state.replace(" ", "_")}`), KINDS[k.state] ?? "info") },
    { id: "used", label: t("keys.last_used"), value: (k) => k.last_used ?? 0, render: (k) => (k.last_used ? time(k.last_used) : t("keys.never")) },
    { id: "budget", label: t("keys.this_month"), value: (k) => k.dollars?.month ?? 0, render: (k) => bar(k, t) },
    { id: "minute", label: t("keys.requests_per_minute"), value: (k) => k.limits?.[0]?.limit ?? 0, align: "end", render: perMinute },
    { id: "running", label: t("running"), value: (k) => k.running ?? 0, align: "end", hide: true },
    { id: "models", wide: true, label: t("page.models"), value: (k) => (k.rules.models ?? []).join(", ") || t("keys.all") },
    { id: "expires", label: t("keys.expires"), value: (k) => k.expires ?? Infinity, render: (k) => (k.state === "revoked" ? "–" : k.expires ? time(k.expires) : t("keys.never")) },
    { id: "note", label: t("keys.note"), value: (k) => k.note ?? "", hide: true },
  ];
}

/** The rules in words. */
function ruleRows(rules, t) {
  return Object.entries(rules).flatMap(([name, value]) => {
    if (name === "dollars" || name === "tokens") return Object.entries(value).map(([p, most]) => [per(name, p, t), name === "dollars" ? money(most) : n(most)]);
    const label = name === "models" ? t("page.models") : NUMBERS.includes(name) ? t(`keys.${name}`) : name;
    return [[label, typeof value === "number" ? n(value) : Array.isArray(value) ? value.join(", ") : JSON.stringify(value)]];
  });
}

/** The fields of a key's rules, and a function that reads them. */
function ruleFields(rules, t) {
  const number = (name, value, step = "1") => el("input", { name, type: "number", min: "0", step, value: value ?? "" });
  const inputs = Object.fromEntries(NUMBERS.map((name) => [name, number(name, rules[name])]));
  const money_ = Object.fromEntries(PERIODS.map((p) => [p, number(`dollars_${p}`, rules.dollars?.[p], "0.01")]));
  const counts = Object.fromEntries(PERIODS.map((p) => [p, number(`tokens_${p}`, rules.tokens?.[p])]));
  const models = el("input", { name: "models", value: (rules.models ?? []).join(", "), placeholder: "gemini-*" });
  const node = el("div.grid",
    field(t("page.models"), models, t("keys.models_help")),
    NUMBERS.map((name) => field(t(`keys.${name}`), inputs[name])),
    PERIODS.map((p) => field(per("dollars", p, t), money_[p])),
    PERIODS.map((p) => field(per("tokens", p, t), counts[p])));
  const set = (values) => {
    for (const name of NUMBERS) inputs[name].value = values[name] ?? "";
    for (const p of PERIODS) { money_[p].value = values.dollars?.[p] ?? ""; counts[p].value = values.tokens?.[p] ?? ""; }
  };
  const read = () => {
    const result = { ...rules, dollars: {}, tokens: {} }; // what has no field here stays as it is
    for (const name of NUMBERS) { delete result[name]; if (inputs[name].value) result[name] = Number(inputs[name].value); }
    for (const p of PERIODS) {
      if (money_[p].value) result.dollars[p] = Number(money_[p].value);
      if (counts[p].value) result.tokens[p] = Number(counts[p].value);
    }
    result.models = models.value.split(",").map((text) => text.trim()).filter(Boolean);
    return result;
  };
  return { node, set, read };
}

/** A form in a dialog. `send` may throw an ApiError, which the form shows. */
function form(title, label, t, content, send) {
  return dialog(title, (close) => {
    const problem = el("p.notice.bad", { role: "alert", hidden: true });
    const submit = async (event) => {
      event.preventDefault();
      try { close(await send()); } catch (error) { problem.textContent = error.message; problem.hidden = false; }
    };
    return el("form.form", { onsubmit: submit }, content, problem,
      el("div.row", el("button.button.primary", label), button(t("cancel"), () => close(null), { kind: "quiet" })));
  }, { wide: true });
}

function lines(key) {
  return { SDK: `export OPENAI_BASE_URL=$GATEWAY/v1\nexport OPENAI_API_KEY=${key}`, Codex: `export GATEWAY_API_KEY=${key}\ngateway connect codex --write --url $GATEWAY`, "Claude Code": `export ANTHROPIC_BASE_URL=$GATEWAY\nexport ANTHROPIC_AUTH_TOKEN=${key}` };
}

/** Show a new key, this once. */
function showOnce(answer, t) {
  return dialog(t("keys.once"), (close) => {
    const saved = el("input", { type: "checkbox", onchange: () => { done.disabled = !saved.checked; } });
    const done = button(t("done"), () => close(true), { kind: "primary" });
    done.disabled = true;
    return el("div.stack",
      el("p", t("keys.once_hint")),
      el("div.row", el("code", { id: "new-key" }, answer.key), copyButton(answer.key)),
      (answer.notes ?? []).map((note) => el("p.notice.warn", note)),
      Object.entries(lines(answer.key)).map(([name, text]) => el("details", el("summary", name), code(text))),
      el("label.row", saved, t("keys.saved")), done);
  }, { wide: true, by: "none" });
}

async function create(ctx) {
  const { t } = ctx;
  const name = el("input", { name: "name", required: true, maxlength: "100" });
  const note = el("input", { name: "note", maxlength: "500" });
  const days = el("input", { name: "days", type: "number", min: "1", max: "3650" });
  const rules = ruleFields(PRESETS.person, t);
  const preset = choice({ name: "preset", onchange: () => { rules.set(PRESETS[preset.value]); if (preset.value === "trial") days.value = "7"; } },
    Object.keys(PRESETS), (id) => t(`keys.${id}`));
  const answer = await form(t("keys.new"), t("keys.create"), t, [
    el("div.grid", field(t("name"), name), field(t("keys.preset"), preset),
      field(t("keys.days"), days, t("keys.days_help")), field(t("keys.note"), note)),
    el("details", { open: true }, el("summary", t("keys.rules")), rules.node),
  ], () => ctx.api.post("/admin/keys", { name: name.value.trim(), note: note.value.trim(), days: days.value ? Number(days.value) : null, rules: rules.read() }));
  if (answer) await showOnce(answer, t);
  return answer;
}

async function edit(ctx, key, at = "") {
  const { t } = ctx;
  const name = el("input", { name: "name", required: true, maxlength: "100", value: key.name });
  const note = el("input", { name: "note", maxlength: "500", value: key.note ?? "" });
  const expires = el("input", { name: "expires", type: "date", value: key.expires ? new Date(key.expires * 1000).toISOString().slice(0, 10) : "" });
  const rules = ruleFields(key.rules, t);
  rules.node.querySelector(`[name="${CSS.escape(at)}"]`)?.setAttribute("autofocus", "");
  return form(t(at ? "keys.limits_of" : "keys.edit_one", { name: key.name }), t("keys.save"), t, [
    el("div.grid", field(t("name"), name), field(t("keys.expires"), expires), field(t("keys.note"), note)), rules.node,
  ], () => ctx.api.patch(path(key.id), {
    name: name.value.trim(), note: note.value.trim(), rules: rules.read(),
    expires: expires.value ? Date.parse(`${expires.value}T00:00:00Z`) / 1000 : null,
  }));
}

async function rotate(ctx, key) {
  const { t } = ctx;
  const grace = choice({ name: "grace" }, [0, 3600, 86400, 604800], (s) => t(`keys.grace_${s}`));
  const answer = await form(t("keys.rotate_one", { name: key.name }), t("keys.rotate"), t, [field(t("keys.grace"), grace, t("keys.grace_help"))],
    () => ctx.api.post(path(key.id, "rotate"), { grace: Number(grace.value) }));
  if (answer) await showOnce(answer, t);
  return answer;
}

async function revoke(ctx, key) {
  const { t } = ctx, can = key.state !== "suspended";
  const choice = await confirmName(t("keys.revoke_one", { name: key.name }), t(can ? "keys.revoke_hint" : "keys.revoke_final"), key.name, can ? t("keys.suspend") : "");
  return choice === "other" ? ctx.api.post(path(key.id, "suspend")) : choice && ctx.api.del(path(key.id));
}

/** Do something to a key, and say so. @returns {Promise<boolean>} */
async function change(ctx, key, work, again) {
  try {
    if (!(await work())) return false;
    toast(ctx.t("keys.changed", { name: key.name }), "ok");
    await again();
    return true;
  } catch (error) { toast(error.message, "bad"); return false; }
}

async function open(ctx, id, again) {
  const { t } = ctx, key = await ctx.api.get(path(id));
  const may = ctx.mayWrite && key.state !== "revoked";
  const act = (label, work, props) => button(label, async () => { if (await change(ctx, key, work, again)) await open(ctx, id, again); }, props);
  panel(key.name,
    el("p", badge(t(`keys.${key.state.replace(" ", "_")}`), KINDS[key.state] ?? "info"), " ", el("code", key.id), " ", copyButton(key.id)),
    key.grace_until && el("p.notice.info", t("keys.grace_until"), " ", time(key.grace_until)),
    key.note && el("p", key.note),
    (key.budgets ?? []).map((b) => budget({ ...b, format: b.unit === "dollars" ? money : tokens, label: per(b.unit, b.period, t) })),
    facts([[t("keys.created"), time(key.created)], [t("keys.last_used"), key.last_used ? time(key.last_used) : t("keys.never")],
      [t("keys.expires"), key.state !== "revoked" && (key.expires ? time(key.expires) : t("keys.never"))]]),
    el("h3", t("keys.rules")), facts(ruleRows(key.rules, t)),
    may && el("div.row",
      act(t("keys.edit"), () => edit(ctx, key), { kind: "primary" }),
      key.state === "suspended" ? act(t("keys.resume"), () => ctx.api.post(path(id, "resume"))) : act(t("keys.suspend"), () => ctx.api.post(path(id, "suspend"))),
      act(t("keys.rotate"), () => rotate(ctx, key)), act(t("keys.revoke"), () => revoke(ctx, key), { kind: "danger" })),
    el("div.row",
      button(t("page.requests"), () => ctx.go(url("#/requests", { filter: `key:${id}` }))),
      button(t("page.usage"), () => ctx.go(url("#/usage", { client: id })))));
}

/** @type {import("../main.js").Page} */
export const page = {
  id: "keys",
  keys: [
    { key: "n", label: "keys.new", run: () => document.getElementById("new")?.click() },
    { key: "/", label: "keys.search", run: () => document.getElementById("search")?.focus() },
  ],
  async render(root, ctx) {
    const { t } = ctx;
    let q = ctx.query.get("q") ?? "", state = ctx.query.get("state") ?? "", next = null, all = [];
    const list = table({
      name: "keys", label: t("page.keys"), main: true, chooser: true, columns: columns(t), rows: [], key: (k) => k.id,
      onopen: (k) => open(ctx, k.id, load),
      actions: (k) => (ctx.mayWrite && k.state !== "revoked" ? [button(t("keys.limit"), () => change(ctx, k, () => edit(ctx, k, "requests_per_minute"), load), { kind: "quiet", title: t("keys.limits_of", { name: k.name }) }),
        button(t("keys.revoke"), () => change(ctx, k, () => revoke(ctx, k), load), { kind: "quiet danger", title: t("keys.revoke_one", { name: k.name }) })] : []), empty: t(q || state ? "keys.none_match" : "keys.none"),
    });
    const more = button(t("more"), () => load(next), { kind: "quiet" });
    async function load(cursor = null) {
      const answer = await ctx.api.get("/admin/keys", { q, state, limit: 200, ...(cursor ? { cursor } : {}) });
      all = cursor ? [...all, ...answer.data] : answer.data;
      next = answer.next;
      more.hidden = !next;
      list.set(all);
    }
    async function find(event) {
      event.preventDefault();
      q = search.value;
      state = states.value;
      ctx.setQuery({ q, state, id: "" });
      await load();
    }
    const search = el("input", { id: "search", type: "search", value: q, maxlength: "100" });
    const states = choice({ onchange: find }, ["", "active", "suspended", "expired", "revoked"], (id) => t(`keys.${id || "all"}`), state);
    const make = button(t("keys.new"), async () => { if (await create(ctx)) await load(); }, { kind: "primary" });
    make.id = "new";
    make.disabled = !ctx.mayWrite;
    fill(root,
      el("form.bar", { role: "search", onsubmit: find },
        el("div.grow", field(t("keys.search"), search)), field(t("state"), states), make),
      list.node, more);
    await load();
    const id = ctx.query.get("id"), at = ctx.query.get("edit");
    ctx.setQuery({ edit: "" });
    if (id) await open(ctx, id, load);
    if (id && at && ctx.mayWrite) {
      const key = await ctx.api.get(path(id));
      if (await change(ctx, key, () => edit(ctx, key, at), load)) await open(ctx, id, load);
    }
  },
};
