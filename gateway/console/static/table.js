// @ts-check
// Tables with sorting, a choice of columns, keys, and rows that exist only while they are seen.
import { button, copy, dialog, el, fill, toast } from "./dom.js";
import { t } from "./i18n.js";
import { bind } from "./keys.js";

const MOST = 300;
const PAGE = 300;

/**
 * @typedef {{id: string, label: string, value: (row: any) => any, render?: (row: any) => any, align?: string, sort?: boolean, hide?: boolean}} Column
 * @typedef {{columns: Column[], rows: any[], key: (row: any) => string | number, onopen?: (row: any) => void, actions?: (row: any) => any[],
 *   empty: string, name: string, label: string, chooser?: boolean, main?: boolean, onLeave?: (run: () => void) => void}} Options
 */

/** @param {string} name @returns {string[] | null} */
function kept(name) {
  try { return JSON.parse(localStorage.getItem(`gw.columns.${name}`) ?? "null"); } catch { return null; }
}

/** @param {Options} options */
export function table(options) {
  const { columns, key, name } = options;
  const saved = kept(name);
  let shown = new Set(saved ?? columns.filter((column) => !column.hide).map(({ id }) => id));
  let rows = options.rows;
  let needle = "";
  /** @type {{id: string, down: boolean} | null} */
  let order = null;
  /** @type {string | number | null} */
  let selected = null;
  let drawn = 0;

  const head = el("tr");
  const body = el("tbody");
  const more = el("div", { class: "more" });
  const wrap = el("div", { class: "scroll table", tabindex: "0", role: "region", "aria-label": options.label },
    el("table", {}, el("caption", { class: "visually-hidden", text: options.label }), el("thead", {}, head), body), more);
  const chooser = options.chooser ? button(t("columns"), choose, { kind: "quiet" }) : null;
  const node = el("div", {}, wrap, chooser && el("div", { class: "row end" }, chooser));

  const visible = () => columns.filter(({ id }) => shown.has(id));

  function current() {
    let list = rows;
    if (needle) list = list.filter((row) => columns.some((column) => String(column.value(row) ?? "").toLowerCase().includes(needle)));
    const by = order && columns.find(({ id }) => id === order?.id);
    if (by) {
      const sign = order?.down ? -1 : 1;
      list = [...list].sort((a, b) => {
        const [x, y] = [by.value(a) ?? "", by.value(b) ?? ""];
        return sign * (typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y)));
      });
    }
    return list;
  }

  function drawHead() {
    fill(head, visible().map((column) => {
      const sorted = order?.id === column.id ? (order.down ? "descending" : "ascending") : null;
      return el("th", { scope: "col", class: column.align ?? "", "aria-sort": sorted },
        column.sort ? el("button", { type: "button", class: "sort", onclick: () => {
          order = { id: column.id, down: order?.id === column.id ? !order.down : column.align === "end" };
          draw();
        } }, column.label, sorted ? (sorted === "ascending" ? " ▲" : " ▼") : "") : column.label);
    }), options.actions && el("th", { scope: "col" }, el("span", { class: "visually-hidden", text: t("actions") })));
  }

  /** @param {any} row */
  function line(row) {
    const id = key(row);
    const node = el("tr", { dataset: { id }, "aria-selected": String(id === selected), class: options.onopen ? "opens" : "",
      onclick: (/** @type {MouseEvent} */ e) => {
        if (e.target instanceof Element && e.target.closest("a, button, input, select")) return;
        select(id);
        options.onopen?.(row);
      } }, visible().map((column, i) => {
      const value = column.render ? column.render(row) : column.value(row) ?? "–";
      const content = typeof value === "string" && !column.align ? el("span", { class: "clip", title: value, text: value }) : value;
      const first = i === 0 && options.onopen;
      return el(i === 0 ? "th" : "td", { class: `${column.align ?? ""}${value === "" || value === "–" ? " blank" : ""}`, scope: i === 0 ? "row" : null, dataset: { label: column.label } },
        first ? el("button", { type: "button", class: "link", onclick: () => { select(id); options.onopen?.(row); } }, content) : content);
    }), options.actions && el("td", { class: "row actions" }, options.actions(row)));
    return node;
  }

  function draw() {
    drawHead();
    const list = current();
    drawn = Math.min(list.length, Math.max(MOST, 0));
    fill(body, list.slice(0, drawn).map(line),
      !list.length && el("tr", {}, el("td", { colspan: visible().length + (options.actions ? 1 : 0), class: "muted none", text: options.empty })));
    watch();
  }

  function watch() {
    const rest = current().length - drawn;
    fill(more, rest > 0 && button(t("more.rows", { count: rest }), extend));
  }

  function extend() {
    const list = current();
    body.append(...list.slice(drawn, drawn + PAGE).map(line));
    drawn = Math.min(list.length, drawn + PAGE);
    watch();
  }
  if ("IntersectionObserver" in window) {
    const observer = new IntersectionObserver((entries) => { if (entries.some((entry) => entry.isIntersecting) && more.firstChild) extend(); });
    observer.observe(more);
    options.onLeave?.(() => observer.disconnect());
  }

  /** @param {string | number | null} id */
  function select(id) {
    selected = id;
    for (const row of body.children) row.setAttribute("aria-selected", String(row.dataset.id === String(id)));
  }

  /** @param {number} step */
  function move(step) {
    const list = current().slice(0, drawn);
    if (!list.length) return;
    const at = list.findIndex((row) => key(row) === selected);
    const next = list[Math.max(0, Math.min(list.length - 1, at < 0 ? 0 : at + step))];
    select(key(next));
    const node = [...body.children].find((row) => row.dataset.id === String(selected));
    node?.scrollIntoView({ block: "nearest" });
    node?.querySelector("button, a")?.focus();
    if (document.getElementById("panel")) options.onopen?.(next);
  }

  async function choose() {
    await dialog(t("columns"), (close) => [
      el("div", { class: "stack" }, columns.map((column) => el("label", { class: "check" }, el("input", { type: "checkbox", checked: shown.has(column.id),
        onchange: (/** @type {any} */ e) => {
          if (e.target.checked) shown.add(column.id);
          else if (shown.size > 1) shown.delete(column.id);
          else e.target.checked = true;
          try { localStorage.setItem(`gw.columns.${name}`, JSON.stringify([...shown])); } catch { /* private mode */ }
          draw();
        } }), column.label))),
      el("div", { class: "row end" }, button(t("reset"), () => {
        shown = new Set(columns.filter((column) => !column.hide).map(({ id }) => id));
        try { localStorage.removeItem(`gw.columns.${name}`); } catch { /* private mode */ }
        draw();
        close();
      }), button(t("done"), () => close(), { kind: "primary" })),
    ]);
  }

  if (options.main) {
    const row = () => rows.find((one) => key(one) === selected);
    const unbind = [
      bind("j", t("keys.down"), () => move(1)), bind("k", t("keys.up"), () => move(-1)),
      bind("Enter", t("keys.open"), () => { const one = row(); if (one) options.onopen?.(one); }),
      bind("y", t("keys.copy"), async () => { if (selected !== null && await copy(String(selected))) toast(t("copied")); }),
    ];
    options.onLeave?.(() => unbind.forEach((end) => end()));
  }
  draw();
  return {
    node,
    /** @param {any[]} list */
    set(list) { rows = list; draw(); },
    /** @param {any[]} list @param {number} most */
    prepend(list, most) {
      rows = [...list, ...rows].slice(0, most);
      if (order || needle) { draw(); return; }
      body.querySelector(".none")?.parentElement?.remove();
      body.prepend(...list.map(line));
      drawn = Math.min(rows.length, drawn + list.length);
      while (body.children.length > Math.max(MOST, most)) body.lastElementChild?.remove();
      drawn = Math.min(drawn, body.children.length);
      watch();
    },
    select,
    /** @param {string} text */
    filter(text) { needle = text.trim().toLowerCase(); draw(); },
    get rows() { return rows; },
  };
}
