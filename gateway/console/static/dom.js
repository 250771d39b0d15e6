// Elements from data. Text is always a text node, never markup.
import { ago, has, n, t, utc, when } from "./i18n.js";
import { bind } from "./keys.js";

/** @typedef {Node | string | number | null | undefined | false} Child */
/** @typedef {Child | Child[]} Children */

const SVG = "http://www.w3.org/2000/svg";
const PROPERTIES = new Set(["hidden", "disabled", "checked", "selected", "value", "multiple", "open", "required"]);

/** @param {Element} node @param {Children[]} children */
function append(node, children) {
  for (const child of children.flat(9)) {
    if (child === null || child === undefined || child === false) continue;
    node.append(child instanceof Node ? child : String(child));
  }
}

/**
 * Make an element. `on…` are listeners, `dataset` is an object, `text` is its text.
 * @param {string} tag such as `div.row.end` @param {...any} children the first may be properties @returns {any}
 */
export function el(tag, ...children) {
  const props = children[0]?.constructor === Object ? children.shift() : {};
  const [kind, ...classes] = tag.split("."), /** @type {any} */ node = document.createElement(kind);
  node.classList.add(...classes);
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined) continue;
    if (name === "text") node.textContent = String(value);
    else if (name === "dataset") Object.assign(node.dataset, value);
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (PROPERTIES.has(name)) node[name] = value;
    else if (value !== false) node.setAttribute(name, value === true ? "" : String(value));
  }
  append(node, children);
  return node;
}

/** @param {string} tag @param {Record<string, any>} [attrs] @param {...Children} children @returns {any} */
export function svg(tag, attrs = {}, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attrs)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, String(value));
  }
  append(node, children);
  return node;
}

/** Replace the content of a node. @param {Element} node @param {...Children} children */
export function fill(node, ...children) {
  node.replaceChildren();
  append(node, children);
  return node;
}

/** @param {string} label @param {(event: Event) => any} onclick @param {{kind?: string, key?: string, disabled?: boolean, title?: string}} [options] */
export function button(label, onclick, options = {}) {
  return el("button", {
    type: "button", class: `button ${options.kind ?? ""}`, onclick, disabled: options.disabled ?? false,
    title: options.title, "aria-keyshortcuts": options.key,
  }, label);
}

/** A choice. @param {Record<string, any>} props @param {(string | number)[]} ids @param {(id: any) => string} name @param {any} [chosen] */
export function choice(props, ids, name, chosen) {
  return el("select", props, ids.map((id) => el("option", { value: id, selected: id === chosen }, name(id))));
}

/** @param {{url: string, name: string}} entry */
export const outward = ({ url, name }) => (url ? el("a", { href: url, rel: "noreferrer noopener", target: "_blank", text: name }) : name);

/** Names and values; what has no value is left out. @param {any[][]} rows */
export function facts(rows) {
  return el("dl.facts", rows.filter(([, value]) => value || value === 0).map(([name, value]) => el("div", el("dt", name), el("dd", value))));
}

let number = 0;

/** A label over its input. @param {string} label @param {HTMLElement} input @param {string} [help] */
export function field(label, input, help) {
  number += 1;
  const id = input.id || `f${number}`;
  input.id = id;
  if (help) input.setAttribute("aria-describedby", `${id}h`);
  return el("div.field", el("label", { for: id, text: label }), input,
    help && el("small.muted", { id: `${id}h`, text: help }));
}

/** @param {string} text @param {string} [label] */
export function copyButton(text, label) {
  const name = label ?? t("copy");
  const node = button(name, async () => {
    const done = await copy(text);
    node.textContent = t(done ? "copied" : "copy.failed");
    announce(node.textContent ?? "");
    setTimeout(() => { node.textContent = name; }, 1500);
  }, { kind: "quiet" });
  return node;
}

/** @param {string} text */
export async function copy(text) {
  try { await navigator.clipboard.writeText(text); return true; } catch { /* without TLS there is none */ }
  const area = el("textarea.visually-hidden", { value: text });
  (document.querySelector("dialog[open]") ?? document.body).append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  return done;
}

/** Say something to screen readers. @param {string} text */
export function announce(text) {
  const node = document.getElementById("live");
  if (node) node.textContent = text;
}

/** @param {string} text @param {string} [kind] */
export function toast(text, kind = "info") {
  const node = el("div", { class: `toast ${kind}`, role: kind === "bad" ? "alert" : "status", text });
  (document.getElementById("toasts") ?? document.body).append(node);
  setTimeout(() => node.remove(), kind === "bad" ? 9000 : 4000);
}

/**
 * A dialog. `build` gets the function that closes it with a result; Esc closes it with undefined.
 * @param {string} title @param {(close: (result?: any) => void) => Children} build @param {{wide?: boolean, by?: string}} [options]
 * @returns {Promise<any>}
 */
export function dialog(title, build, options = {}) {
  return new Promise((resolve) => {
    const before = /** @type {HTMLElement | null} */ (document.activeElement);
    /** @type {any} */
    let result;
    number += 1;
    const node = el("dialog", { closedby: options.by, class: options.wide ? "wide" : "", "aria-labelledby": `d${number}` },
      el("h2", { id: `d${number}`, text: title }));
    const close = (value) => { result = value; node.close(); };
    append(node, [build(close)]);
    node.addEventListener("close", () => { node.remove(); before?.focus(); resolve(result); });
    document.body.append(node);
    node.showModal();
    (node.querySelector("[autofocus]") ?? node.querySelector("input, select, textarea, .button.primary"))?.focus();
  });
}

/** Ask to type a name before what cannot be undone. @param {string} title @param {string} sentence @param {string} name @param {string} other what can be done instead @returns {Promise<true | "other" | undefined>} */
export function confirmName(title, sentence, name, other) {
  return dialog(title, (close) => {
    const go = el("button.button.danger", { disabled: true, text: title });
    const input = el("input", { autocomplete: "off", oninput: () => { go.disabled = input.value.trim() !== name.trim(); } });
    return el("form.stack", { onsubmit: (e) => { e.preventDefault(); if (!go.disabled) close(true); } },
      el("p", sentence), field(t("confirm.type", { name }), input),
      el("div.row.end", button(t("cancel"), () => close()), other && button(other, () => close("other")), go));
  });
}

let unbind = () => {};

/** The panel beside the page. Esc or its button closes it. @param {string} title @param {...Children} children */
export function panel(title, ...children) {
  closePanel();
  const before = /** @type {HTMLElement | null} */ (document.activeElement);
  const close = () => { closePanel(); (before?.isConnected ? before : document.getElementById("main"))?.focus(); };
  const node = el("aside.panel", { id: "panel", "aria-label": title, tabindex: "-1" },
    el("header.bar", el("h2", title), button(t("close"), close, { kind: "quiet", key: "Escape" })),
    el("div.panel-body", ...children));
  document.body.append(node);
  node.focus();
  unbind = bind("Escape", t("close"), close);
  return node;
}

export function closePanel() {
  unbind();
  document.getElementById("panel")?.remove();
}

/** @param {string} title @param {string} text @param {...Children} actions */
export function empty(title, text, ...actions) {
  return el("div.empty", el("h2", title), el("p", { text }), el("div.row", ...actions));
}

/** A block of code with a copy button. @param {string} text */
export function code(text) {
  return el("div.code", el("pre", { tabindex: "0" }, el("code", { text })), copyButton(text));
}

/** Tabs; `redraw` draws the open one again. @param {{id: string, label: string, render: (node: HTMLElement) => void}[]} list */
export function tabs(list) {
  let at = 0;
  number += 1;
  const prefix = `t${number}`;
  const body = el("div", { role: "tabpanel", id: `${prefix}p`, tabindex: "0" });
  /** @type {HTMLElement[]} */
  const heads = list.map((tab, i) => el("button", { type: "button", role: "tab", id: `${prefix}${tab.id}`, "aria-controls": `${prefix}p`,
    onclick: () => show(i), onkeydown: (e) => {
      const step = e.key === "ArrowRight" ? 1 : e.key === "ArrowLeft" ? -1 : 0;
      if (step) { show((i + step + list.length) % list.length); heads[(i + step + list.length) % list.length].focus(); }
    } }, tab.label));
  function show(index) {
    heads.forEach((head, i) => { head.setAttribute("aria-selected", String(i === index)); head.tabIndex = i === index ? 0 : -1; });
    body.setAttribute("aria-labelledby", heads[index].id);
    at = index;
    redraw();
  }
  function redraw() {
    body.replaceChildren();
    list[at].render(body);
  }
  show(0);
  return Object.assign(el("div.tabs", el("div.tablist", { role: "tablist" }, heads), body), { redraw });
}

/** A time, relative, with UTC on hover. @param {number | null | undefined} seconds */
export function time(seconds) {
  if (!seconds) return el("span.muted", "–");
  return el("time", { datetime: new Date(seconds * 1000).toISOString(), title: utc(seconds), text: ago(seconds) });
}

/** The time of day, with the date unless it is today. @param {number} seconds */
export function clock(seconds) {
  const day = (date) => new Date(date).toDateString();
  return el("time", { datetime: new Date(seconds * 1000).toISOString(), title: utc(seconds),
    text: when(seconds, { ...(day(seconds * 1000) !== day(Date.now()) && { dateStyle: "short" }), timeStyle: "medium", hourCycle: "h23" }) });
}

/** A text with `code` in it. @param {string} text */
export function words(text) {
  return text.split("`").map((part, i) => (i % 2 ? el("code", part) : part));
}

/** @param {string} text @param {string} [kind] */
export function badge(text, kind = "mute") {
  return el("span", { class: `badge ${kind}`, text });
}

/** The colour of a request: refused is amber, failed is red. @param {any} row */
export function kind(row) {
  if (row.status >= 500 || (row.error && row.status < 400)) return "bad";
  if (row.status >= 400) return row.status === 499 ? "mute" : "warn";
  return (row.attempts ?? 0) > 1 || row.fallbacks?.length ? "saved" : "ok";
}

/** @param {string} name such as `requests_per_minute` or `dollars.day` */
function title(name) {
  const [unit, period] = name.split(".");
  return has(`keys.${name}`) ? t(`keys.${name}`) : has(`keys.${unit}_per`) ? t(`keys.${unit}_per`, { period: t(`keys.${period}`) }) : name;
}

/** @param {any} row a request or a group of errors @param {boolean} [whole] with the key's name */
export function refusal(row, whole = false) {
  const [name, use = "", value = ""] = (row.refused_by ?? "").split(" ");
  if (!name) return "";
  const state = name.startsWith("key.") && name.slice(4);
  if (state) return t("refused.key", { state: has(`keys.${state}`) ? t(`keys.${state}`) : state });
  if (name === "pool" || name === "google") return [t(`refused.${name}`), use, value].filter(Boolean).join(" ");
  const of = whole && row.key_name && !name.startsWith("limits.") ? ` ${t("refused.of", { name: row.key_name })}` : "";
  const [used, most, needs] = [...use.split("/"), value.slice(1)].map((text) => n(Number(text), { maximumFractionDigits: 6 }));
  return title(name) + of + (use && t("refused.use", { used, most })) + (value && t("refused.needs", { needs }));
}

/** A link to where it is changed. @param {any} row @param {string} page */
export function place(row, page) {
  const name = (row.refused_by ?? "").split(" ")[0], id = row.key ?? row.keys?.[0]?.id;
  const [at, setting] = (name.startsWith("limits.") ? `config?setting=${name}` : page ?? "").split("?setting=");
  if (!at) return null;
  const isKey = at === "keys" && id, edit = name && !name.startsWith("key.") ? `&edit=${name.replace(".", "_")}` : "";
  const href = isKey ? `#/keys?id=${id}${edit}` : `#/${at}${setting ? `?setting=${setting}` : ""}`;
  const what = isKey ? row.key_name ?? row.keys?.[0]?.name : setting;
  return el("a.button", { href }, [t(`page.${at}`), what].filter(Boolean).join(": "));
}
