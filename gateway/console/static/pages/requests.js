import { url } from "../api.js";
import { bar } from "../charts.js";
import { badge, button, clock, code, copyButton, el, facts, field, fill, kind, panel, place, refusal, toast, words } from "../dom.js";
import { ms, money, n, share, tokens } from "../i18n.js";
import { table } from "../table.js";

const GRAMMAR = "status:429 status:4xx status:failed -status:200 key:ada model:*flash* surface:chat project:blue error:overloaded refused:pool upstream:503 path:/v1/* id:req_… note:seed cached:hit tries:2 >5s first>1s since:2026-11-26 until:2026-11-27T14:30Z";
const MOST = 10000; // rows kept on the page
const PAGE = innerWidth <= 640 ? 30 : 500;

function status(row, t) {
  const word = refusal(row) || (row.error ?? (kind(row) === "saved" ? t("req.saved") : ""));
  return [badge(String(row.status), kind(row)), " ", word && el("small.muted", word)];
}

function models(row) {
  const asked = row.requested_model, answered = row.model ?? "";
  return asked && answered && asked !== answered ? `${asked} → ${answered}` : answered || (asked ?? "");
}

function total(row) {
  return (row.prompt_tokens ?? 0) + (row.completion_tokens ?? 0);
}

function columns(t) {
  return [
    { id: "at", label: t("time"), value: (r) => r.at, render: (r) => clock(r.at) },
    { id: "status", label: t("req.status"), value: (r) => r.status, render: (r) => status(r, t) },
    { id: "key", label: t("key"), value: (r) => r.key_name ?? r.client ?? "" },
    { id: "model", label: t("model"), value: models },
    { id: "surface", wide: true, label: t("surface"), value: (r) => r.surface ?? r.path },
    { id: "project", wide: true, label: t("project"), value: (r) => r.project ?? "" },
    { id: "tries", wide: true, label: t("req.tries"), value: (r) => r.attempts ?? 0, align: "end" },
    { id: "first", wide: true, label: t("req.first"), value: (r) => r.first_byte_ms ?? 0, align: "end",
      render: (r) => (r.first_byte_ms ? ms(r.first_byte_ms) : "–") },
    { id: "total", label: t("req.total"), value: (r) => r.duration_ms ?? 0, align: "end",
      render: (r) => ms(r.duration_ms ?? 0) },
    { id: "tokens", wide: true, label: t("req.tokens"), value: total, align: "end", render: (r) => tokens(total(r)) },
    { id: "dollars", wide: true, label: t("cost"), value: (r) => r.dollars ?? 0, align: "end",
      render: (r) => (r.dollars == null ? "–" : money(r.dollars)) },
    { id: "instance", label: t("instance"), value: (r) => r.instance ?? "", hide: true },
    { id: "id", label: t("req.id"), value: (r) => r.request_id, hide: true },
  ];
}

/** A command for such a request. The log holds no body: the message is an example. */
function curl(row) {
  const body = { model: row.requested_model ?? row.model, messages: [{ role: "user", content: "Hello!" }] };
  return `curl "$GATEWAY${row.path}" -H "Authorization: Bearer $API_KEY" -d '${JSON.stringify(body)}'`;
}

/** The calls of a request, each with a bar in the colours of the phases. */
function timeline({ attempts, phases, request }, t) {
  const whole = request.duration_ms, first = phases.some(({ name }) => name === "first") ? request.first_byte_ms : Infinity;
  const parts = (a) => {
    const from = a.offset_ms, to = from + (a.duration_ms ?? whole), middle = Math.min(to, Math.max(from, first));
    return a.outcome === "ok" ? [{ from, to: middle, kind: "a" }, ...(middle < to ? [{ from: middle, to, kind: "b" }] : [])] : [{ from, to, kind: "bad" }];
  };
  return el("ol.timeline", attempts.map((a) => el("li",
    badge(a.outcome === "ok" ? "ok" : (a.why || a.outcome || "?"), a.outcome === "ok" ? "ok" : "bad"),
    el("span", a.model ?? "", " ", el("span.muted", [a.project, a.status].filter(Boolean).join(" · "))),
    el("span", a.offset_ms != null && `+${ms(a.offset_ms)}`, a.duration_ms != null && ` · ${ms(a.duration_ms)}`),
    el("span", a.dollars != null && money(a.dollars), a.exact === false && el("small.muted", ` ${t("req.estimated")}`)),
    a.offset_ms != null && bar(parts(a), whole),
  )));
}

const PHASES = { failed: "bad", first: "a", answer: "a", stream: "b" };

/** Where the time of a request went. */
function spent(phases, t) {
  const whole = phases.reduce((sum, { ms: part }) => sum + part, 0), most = Math.max(...phases.map(({ ms: part }) => part));
  return facts(phases.map(({ name, ms: part }) => [[el("i", { class: `mark k-${PHASES[name] ?? "reserved"}` }), t(`req.at.${name}`)],
    el(part === most ? "strong" : "span", `${ms(part)} · ${share(part / whole)}`)]));
}

/** When the client may try again. */
function until(row, t) {
  const left = row.at + row.retry_after - Date.now() / 1000;
  return left > 0 ? t("req.free", { time: ms(left * 1000) }) : t("req.was_free", { time: ms(row.retry_after * 1000) });
}

async function open(ctx, id) {
  const { t } = ctx;
  let detail;
  try {
    detail = await ctx.api.get(`/admin/requests/${encodeURIComponent(id)}`);
  } catch (error) {
    if (error.code === "not_found") { toast(t("req.gone"), "warn"); return; }
    throw error;
  }
  const row = detail.request;
  const rows = [
    [t("req.status"), status(row, t)], [t("time"), clock(row.at)], [t("model"), models(row)],
    [t("key"), row.key ? el("a", { href: `#/keys?id=${row.key}` }, row.key_name || row.key) : row.client], [t("req.path"), `${row.method} ${row.path}`],
    [t("req.first"), row.first_byte_ms && ms(row.first_byte_ms)], [t("req.total"), ms(row.duration_ms ?? 0)],
    [t("req.tokens"), `${n(row.prompt_tokens ?? 0)} → ${n(row.completion_tokens ?? 0)}`],
    [t("cost"), row.dollars != null && money(row.dollars)], [t("req.upstream"), row.upstream_status],
    [t("instance"), row.instance],
  ];
  panel(t("req.one"),
    el("div.row", el("code", row.request_id), copyButton(row.request_id)),
    detail.error && el("div", { class: `notice stack ${kind(row)}` },
      el("p", el("strong", refusal(row, true) || detail.error.code), refusal(row) && ` · ${detail.error.code}`),
      row.retry_after > 0 && el("p", until(row, t)),
      el("p", words(detail.error.cause)), el("p", el("strong", t("errors.do"), " "), words(detail.error.remedy)),
      el("div.row", place(row, detail.error.place))),
    facts(rows),
    detail.attempts?.length > 0 && [el("h3", t("req.timeline")), timeline(detail, t)],
    detail.phases.length > 0 && [el("h3", t("req.spent")), spent(detail.phases, t)],
    detail.notes?.length > 0 && [el("h3", t("req.notes")),
      el("ul", detail.notes.map((note) => el("li", el("code", note.path), " ", words(note.meaning))))],
    detail.headers?.length > 0 && [el("h3", t("req.headers")),
      code(detail.headers.map(([name, value]) => `${name}: ${value}`).join("\n"))],
    el("h3", t("req.curl")), code(curl(row)),
    el("div.row",
      row.key && button(t("req.of_key"), () => ctx.go(url("#/requests", { filter: `key:${row.key}` }))),
      row.error && button(t("req.of_error"), () => ctx.go(url("#/requests", { filter: `error:${row.error}` }))),
      button(t("req.play"), () => ctx.go(url("#/playground", { model: row.requested_model ?? row.model ?? "" })))));
}

async function running(ctx, node) {
  const { t } = ctx, answer = await ctx.api.get("/admin/running");
  const stop = async (row) => {
    await ctx.api.del(`/admin/running/${encodeURIComponent(row.id)}`);
    toast(t("req.stopped"), "ok");
    await running(ctx, node);
    document.getElementById("panel")?.focus();
  };
  const list = table({
    name: "running", label: t("running"), key: (r) => r.id, empty: t("req.none_running"),
    columns: [
      { id: "since", label: t("req.since"), value: (r) => r.seconds, align: "end", render: (r) => ms(r.seconds * 1000) },
      { id: "key", label: t("key"), value: (r) => r.key_name ?? r.client ?? "" },
      { id: "model", label: t("model"), value: models },
      { id: "surface", label: t("surface"), value: (r) => r.surface ?? r.path },
      { id: "project", label: t("project"), value: (r) => r.project ?? "" },
      { id: "tries", label: t("req.tries"), value: (r) => r.attempts ?? 0, align: "end" },
      { id: "instance", label: t("instance"), value: (r) => r.instance ?? "" },
    ],
    rows: answer.data,
    actions: (r) => (ctx.mayWrite ? [button(t("req.stop"), () => stop(r), { kind: "danger" })] : []),
  });
  fill(node, el("p.muted", t("req.places", { running: n(answer.data.length), limit: n(answer.limit) })), list.node);
}

/** @type {import("../main.js").Page} */
export const page = {
  id: "requests",
  keys: [
    { key: "/", label: "req.filter", run: () => document.getElementById("filter")?.focus() },
    { key: ".", label: "req.pause", run: () => document.getElementById("follow")?.click() },
  ],
  async render(root, ctx) {
    const { t } = ctx;
    let close, next;
    let filter = ctx.query.get("filter") ?? "", newest = 0, fresh = 0;
    const list = table({
      name: "requests", label: t("page.requests"), main: true, chooser: true, columns: columns(t), rows: [],
      key: (r) => r.request_id, onopen: (r) => open(ctx, r.request_id), empty: t(filter ? "req.none_match" : "req.none"),
    });
    const input = el("input", { id: "filter", type: "search", value: filter, placeholder: "status:429 key:ada model:*flash* >5s", spellcheck: "false" });
    const state = el("span.muted", { "aria-live": "polite" });
    let matched = 0;
    const news = button("", refresh, { kind: "quiet" });
    news.hidden = true;
    const more = button(t("more"), older, { kind: "quiet" });
    const now = button("", () => { const node = el("div"); panel(t("running"), node); return running(ctx, node); }, { kind: "quiet" });
    const live = el("input", { id: "follow", type: "checkbox", onchange: () => (live.checked ? begin() : end()) });
    const problem = el("p.notice.bad", { role: "alert", hidden: true }), only = el("p.notice.info", { hidden: true });
    const all = [];

    async function refresh() {
      try {
        const answer = await ctx.api.get("/admin/requests", { filter, limit: PAGE });
        problem.hidden = true;
        list.node.hidden = false;
        all.splice(0, all.length, ...answer.data);
        list.set(all);
        const of = all.find(({ key }) => key && filter.split(/[\s"]/).some((term, i, terms) => term === `key:${key}` || (term === key && terms[i - 1] === "key:")));
        only.hidden = !of?.key_name;
        only.textContent = t("usage.only", { name: of?.key_name });
        ({ next, newest } = answer);
        news.hidden = true;
        fresh = 0;
        more.hidden = !next;
        matched = answer.matched;
        if (answer.instances.length > 1) list.show("instance");
        tell(answer);
      } catch (error) {
        if (error.code !== "invalid_filter") throw error;
        problem.textContent = error.message;
        problem.hidden = false;
        list.node.hidden = more.hidden = true;
      }
    }

    async function older() {
      const answer = await ctx.api.get("/admin/requests", { filter, limit: PAGE, cursor: next });
      all.push(...answer.data);
      list.set(all);
      next = answer.next;
      more.hidden = !next;
    }

    function tell(answer) {
      now.textContent = t("req.running", { count: n(answer.running) });
      state.textContent = t(filter ? "req.matched" : "req.held", { matched: n(matched), count: n(answer.held) });
    }

    async function look() {
      if (live.checked) return;
      const answer = await ctx.api.get("/admin/requests", { limit: 1 });
      fresh = answer.newest - newest;
      news.hidden = fresh <= 0;
      news.textContent = t("req.new", { count: n(fresh) });
      tell(answer);
    }

    function begin() {
      const batch = [];
      let frame = 0;
      const draw = () => { frame = 0; list.prepend(batch.splice(0).reverse(), MOST); };
      close = ctx.api.tail({ filter }, {
        exchange: (row) => { batch.push(row); newest += 1; frame ||= requestAnimationFrame(draw); },
        lost: ({ count }) => toast(t("req.lost", { count: n(count) }), "warn"),
        state: (word) => { state.textContent = word === "open" ? t("req.live_on") : t("req.reconnecting"); },
      });
      news.hidden = true;
    }

    async function apply(event) {
      event.preventDefault();
      filter = input.value.trim();
      ctx.setQuery({ filter, id: "" });
      close?.();
      await refresh();
      if (live.checked) begin();
    }

    function end() {
      close?.();
      close = null;
      state.textContent = t("state.paused");
    }

    fill(root,
      el("form.bar", { role: "search", onsubmit: apply },
        el("div.grow", field(t("req.filter"), input)), el("button.button.primary", t("req.filter"))),
      el("details", el("summary", t("req.how")), el("p.muted", t("req.grammar")), code(GRAMMAR)),
      problem, only,
      el("div.row", button(t("req.refresh"), refresh), el("label.check", live, t("req.live")), now, news, state),
      list.node, more);
    await refresh();
    const wanted = ctx.query.get("id");
    if (wanted) { list.select(wanted); await open(ctx, wanted); }
    ctx.every(5000, look);
    ctx.onLeave(() => close?.());
  },
};
