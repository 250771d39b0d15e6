// The frame of all pages: signing in, navigation, language, theme, keys, notices.
import { api, ApiError, hooks } from "./api.js";
import { button, choice, closePanel, dialog, el, field, fill, toast } from "./dom.js";
import { has, keep, kept, language, languages, load, setLanguage, t } from "./i18n.js";
import { bind, bound } from "./keys.js";

/**
 * @typedef {Record<string, any>} Session
 * @typedef {{api: typeof api, t: typeof t, session: Session, query: URLSearchParams, go: (hash: string) => void,
 *   setQuery: (values: Record<string, any>) => void,
 *   every: (ms: number, run: () => any) => void, signal: AbortSignal, onLeave: (run: () => void) => void, mayWrite: boolean}} Context
 * @typedef {{id: string, keys?: {key: string, label: string, run: (ctx: Context) => void}[],
 *   render: (root: HTMLElement, ctx: Context) => Promise<void | (() => void)> | void | (() => void)}} Page
 */

// The pages in order, with their keys. Each is loaded when opened.
const PAGES = { overview: "o", requests: "r", keys: "k", usage: "u", pool: "p", errors: "e", health: "h", models: "m", config: "c", playground: "y", about: "a" };

/** @type {{id: string, key: string, load: () => Promise<{page: Page}>}[]} */
const pages = Object.entries(PAGES).map(([id, key]) => ({ id, key, load: () => import(`./pages/${id}.js`) }));

const app = /** @type {HTMLElement} */ (document.getElementById("app"));
/** @type {Session | null} */
let session = null;
/** @type {(() => void)[]} */
let leaving = [];
/** @type {HTMLElement} */
let main = el("main");

function leave() {
  for (const run of leaving.splice(0)) run();
  closePanel();
}

/** @returns {{id: string, query: URLSearchParams}} */
function place() {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  return { id: pages.some((page) => page.id === path) ? path : "overview", query: new URLSearchParams(query ?? "") };
}

/** @param {Session} current @param {URLSearchParams} query @returns {Context} */
function context(current, query) {
  const abort = new AbortController();
  leaving.push(() => abort.abort());
  return {
    api: { ...api, get: (path, params) => api.get(path, params, { signal: abort.signal }) }, t, session: current, query, signal: abort.signal, mayWrite: current.may === "write",
    go: (hash) => { location.hash = hash; },
    setQuery: (values) => {
      for (const [name, value] of Object.entries(values)) {
        if (value === null || value === undefined || value === "") query.delete(name);
        else query.set(name, String(value));
      }
      const text = query.toString();
      history.replaceState(null, "", `#/${place().id}${text ? `?${text}` : ""}`);
    },
    every: (ms, run) => {
      const timer = setInterval(async () => {
        if (document.hidden) return;
        try { await run(); lost(false); } catch (error) { if (error instanceof ApiError && !error.status) lost(true); }
      }, ms);
      leaving.push(() => clearInterval(timer));
    },
    onLeave: (run) => leaving.push(run),
  };
}

/** Say that the page shows what it knew. @param {boolean} away */
function lost(away) {
  const note = document.getElementById("lost");
  if (!away) note?.remove();
  else if (!note) document.getElementById("notices")?.append(el("p.notice.bad", { id: "lost", role: "alert", text: t("error.unreachable") }));
}

async function show() {
  if (!session) return;
  leave();
  const { id, query } = place();
  const entry = pages.find((page) => page.id === id) ?? pages[0];
  for (const link of document.querySelectorAll("nav a")) {
    if (link.getAttribute("data-page") !== id) { link.removeAttribute("aria-current"); continue; }
    link.setAttribute("aria-current", "page");
    link.scrollIntoView({ inline: "center", block: "nearest" });
  }
  const root = el("div.page", { id: `page-${id}` });
  const heading = el("h1", { tabindex: "-1", text: t(`page.${id}`) });
  fill(main, heading, root);
  document.title = `${t(`page.${id}`)} · ${t("console")}`;
  heading.focus({ preventScroll: true });
  try {
    const { page } = await entry.load();
    if (place().id !== id) return;
    const ctx = context(session, query);
    for (const { key, label, run } of page.keys ?? []) leaving.push(bind(key, t(label), () => run(ctx)));
    const end = await page.render(root, ctx);
    if (end) leaving.push(end);
  } catch (error) {
    if (/** @type {Error} */ (error).name !== "AbortError") fill(root, problem(error, show));
  }
}

/** A notice about an error, with a way to try again. @param {unknown} error @param {() => void} again */
export function problem(error, again) {
  const known = error instanceof ApiError;
  if (!known) console.error(error);
  const advice = known && has(`error.${error.code}`) ? t(`error.${error.code}`) : "";
  return el("div.notice.bad", { role: "alert" },
    el("p", known ? error.message : t("error.page")), advice && el("p", advice),
    button(t("again"), again));
}

function signIn(/** @type {ApiError | null} */ reason = null) {
  leave();
  session = null;
  document.title = t("console");
  const off = reason?.code === "no_admin_token";
  const input = el("input", { type: "password", name: "password", autocomplete: "current-password", required: true, id: "token" });
  const note = el("p.bad-text", { role: "alert" });
  const form = el("form.card.stack.signin", { onsubmit: async (event) => {
    event.preventDefault();
    note.textContent = "";
    try {
      await api.post("/console/session", { token: input.value });
      input.value = "";
      await start();
    } catch (error) {
      const code = error instanceof ApiError ? error.code : "";
      note.textContent = has(`error.${code}`) ? t(`error.${code}`) : /** @type {Error} */ (error).message;
      input.select();
    }
  } },
  el("h1", t("console")),
  off ? el("div.notice.warn", el("p", t("error.no_admin_token")), el("pre", el("code", "admin:\n  port: 8081\n  token: {env: ADMIN_TOKEN}")))
    : [el("input.visually-hidden", { type: "text", name: "username", value: "admin", autocomplete: "username", tabindex: "-1", "aria-hidden": "true" }),
      field(t("signin.token"), input, t("signin.help")), el("button.button.primary", { type: "submit", text: t("signin.go") })],
  note, preferences());
  fill(app, el("main.center", form));
  input.focus();
}

/** @returns {"auto" | "light" | "dark"} */
function theme() {
  const value = kept("gw.theme");
  return value === "light" || value === "dark" ? value : "auto";
}

/** @param {"auto" | "light" | "dark"} value */
function setTheme(value) {
  keep("gw.theme", value);
  apply();
}

function apply() {
  const value = theme();
  if (value === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = value;
}

function preferences() {
  const lang = el("select", { "aria-label": t("language"), onchange: async () => { await setLanguage(lang.value); await start(); } },
    Object.entries(languages).map(([id, name]) => el("option", { value: id, selected: id === language(), text: name, lang: id })));
  const look = choice({ "aria-label": t("theme"), onchange: () => setTheme(look.value) },
    ["auto", "light", "dark"], (name) => t(`theme.${name}`), theme());
  return el("div.row.preferences", lang, look);
}

function help() {
  dialog(t("keys.help"), (close) => [
    el("dl.keys", bound().map(({ key, label }) => el("div", el("dt", key.split(" ").map((part) => el("kbd", part))), el("dd", label)))),
    el("div.row.end", button(t("close"), () => close(), { kind: "primary" })),
  ]);
}

async function signOut() {
  await api.del("/console/session").catch(() => {});
  signIn();
}

/** @param {Session} current */
function frame(current) {
  const links = pages.map(({ id, key }) => el("a", { href: `#/${id}`, dataset: { page: id }, "aria-keyshortcuts": `g ${key}`, text: t(`page.${id}`) }));
  main = el("main", { id: "main", tabindex: "-1" });
  fill(app,
    el("a.skip", { href: "#main", text: t("skip"), onclick: (e) => { e.preventDefault(); main.focus(); } }),
    el("header.top",
      el("a.brand", { href: "#/overview" }, el("img", { src: new URL("./icon.svg", import.meta.url), alt: "", width: "20", height: "20" }), t("console")),
      el("span.muted.instance", { title: t(current.shared ? "instance.all" : "instance.alone"), text: current.shared ? current.instance : t("instance.only", { name: current.instance }) }),
      el("span.grow"),
      preferences(),
      button("?", help, { kind: "quiet", key: "?", title: t("keys.help") }),
      el("span.who", { title: current.name, text: current.name }),
      current.how === "cookie" && button(t("signout"), signOut, { kind: "quiet" })),
    el("div", { id: "notices" },
      current.exposed && el("p.notice.bad", t("exposed")),
      current.may === "read" && el("p.notice.info", t("may.read"))),
    el("div.frame", el("nav", { "aria-label": t("navigation") }, links), main),
    el("div.visually-hidden", { id: "live", "aria-live": "polite" }),
    el("div", { id: "toasts" }));
}

/** @type {(() => void)[]} */
const shellKeys = [];

/** @param {Promise<Session>} asked */
async function start(asked = api.get("/console/session")) {
  try {
    session = await asked;
  } catch (error) {
    signIn(error instanceof ApiError ? error : null);
    if (error instanceof ApiError && error.code === "unreachable") fill(app, el("main.center", problem(error, () => start())));
    return;
  }
  frame(session);
  for (const unbind of shellKeys.splice(0)) unbind();
  shellKeys.push(bind("?", t("keys.help"), help));
  for (const { id, key } of pages) shellKeys.push(bind(`g ${key}`, t(`page.${id}`), () => { location.hash = `#/${id}`; }));
  await show();
}

let stale = false;
hooks.signedOut = () => { if (session) signIn(); };
hooks.stale = () => {
  if (stale) return;
  stale = true;
  document.getElementById("notices")?.append(el("p.notice.info", { role: "status" }, t("stale"), " ", button(t("reload"), () => location.reload())));
};
window.addEventListener("hashchange", show);
window.addEventListener("unhandledrejection", (event) => {
  const { name, message } = event.reason ?? {};
  if (name !== "AbortError" && name !== "ApiError") return;
  event.preventDefault();
  if (name === "ApiError") toast(message, "bad");
});
apply();
const asked = api.get("/console/session");
asked.catch(() => {}); // it is said when the texts are there
await load();
await start(asked);
