// Tables with a choice of columns, keys, and rows that exist only while they are near the window.
import { button, copy, dialog, el, fill, toast } from "./dom.js";
import { keep, kept, t } from "./i18n.js";
import { bind } from "./keys.js";

const MOST = 300; // rows that are all drawn
const AROUND = 60; // rows that are drawn before and behind those that are seen

/**
 * @typedef {{id: string, label: string, value: (row: any) => any, render?: (row: any) => any, align?: string, hide?: boolean, wide?: boolean}} Column
 * `hide`: not shown until it is chosen; `wide`: not shown on a phone.
 * @typedef {{columns: Column[], rows: any[], key: (row: any) => string | number, onopen?: (row: any) => void, actions?: (row: any) => any[],
 *   empty: string, name: string, label: string, chooser?: boolean, main?: boolean, onLeave?: (run: () => void) => void}} Options
 */

/** @param {Options} options */
export function table(options) {
  const { columns, key } = options, store = `gw.shown.${options.name}`, saved = kept(store)?.split(",");
  let shown = new Set(saved ?? columns.filter((column) => !column.hide).map(({ id }) => id));
  let rows = options.rows;
  /** @type {string | number | null} */
  let selected = null;
  /** @type {any[]} */
  let list = []; // the rows in their order, of which those from `from` to `to` are drawn, each about `high` pixels high
  let from = 0, to = 0, high = 0;

  const head = el("tr");
  const body = el("tbody");
  const [above, below] = [0, 1].map(() => el("tbody.gap"));
  const grid = el("table", el("caption.visually-hidden", options.label), el("thead", head), above, body, below);
  const wrap = el("div.scroll.table", { tabindex: "0", role: "region", "aria-label": options.label }, grid);
  const chooser = options.chooser ? button(t("columns"), choose, { kind: "quiet" }) : null;
  const node = el("div", wrap, chooser && el("div.row.end", chooser));

  const visible = () => columns.filter(({ id }) => shown.has(id));

  function drawHead() {
    fill(head, visible().map((column) => el("th", { scope: "col", class: column.align ?? "" }, column.label)), options.actions && el("th", { scope: "col" }, el("span.visually-hidden", t("actions"))));
  }

  function line(row) {
    const id = key(row);
    return el("tr", { dataset: { id }, "aria-selected": String(id === selected), class: options.onopen ? "opens" : "",
      onclick: (e) => {
        if (e.target instanceof Element && e.target.closest("a, button, input, select")) return;
        select(id);
        options.onopen?.(row);
      } }, visible().map((column, i) => {
      const value = column.render ? column.render(row) : column.value(row) ?? "–";
      const content = typeof value === "string" && !column.align ? el("span.clip", { title: value, text: value }) : Array.isArray(value) ? el("span", value) : value;
      const first = i === 0 && options.onopen;
      return el(i === 0 ? "th" : "td", { class: `${column.align ?? ""}${value === "" || value === "–" ? " blank" : ""}${column.wide ? " wide-only" : ""}`, scope: i === 0 ? "row" : null, dataset: { label: column.label } },
        first ? el("button.link", { type: "button", onclick: () => { select(id); options.onopen?.(row); } }, content) : content);
    }), options.actions && el("td.actions", options.actions(row)));
  }

  function draw() {
    drawHead();
    list = rows;
    high = 0;
    view(0);
  }

  /** Draw the rows around one. @param {number} at */
  function view(at) {
    const all = list.length <= MOST;
    from = all ? 0 : Math.max(0, Math.min(at, list.length - AROUND) - AROUND);
    to = all ? list.length : Math.min(list.length, at + 3 * AROUND);
    fill(body, list.slice(from, to).map(line),
      !list.length && el("tr", el("td.muted.none", { colspan: visible().length + (options.actions ? 1 : 0), text: options.empty })));
    gaps();
    if (!high) requestAnimationFrame(gaps); // it is not on the page yet
  }

  function gaps() {
    high ||= body.offsetHeight / (to - from || 1);
    above.style.height = `${from * (high || 36)}px`;
    below.style.height = `${(list.length - to) * (high || 36)}px`;
    grid.setAttribute("aria-rowcount", String(list.length + 1));
  }

  function scrolled() {
    if (!node.isConnected) { removeEventListener("scroll", scrolled, true); return; }
    if (list.length <= MOST) return;
    gaps();
    const hidden = Math.max(0, wrap.getBoundingClientRect().top) - above.getBoundingClientRect().top;
    const first = Math.max(0, Math.floor(hidden / high)), seen = Math.ceil(innerHeight / high);
    if ((from > 0 && first < from + 30) || (to < list.length && first + seen > to - 30)) view(first);
  }
  addEventListener("scroll", scrolled, { capture: true, passive: true });

  /** @param {string | number | null} id */
  function select(id) {
    selected = id;
    for (const row of body.children) {
      const is = row.dataset.id === String(id);
      row.setAttribute("aria-selected", String(is));
      if (is) row.scrollIntoView({ block: "nearest" });
    }
  }

  /** @param {number} step */
  function move(step) {
    if (!list.length) return;
    const at = list.findIndex((row) => key(row) === selected);
    const next = Math.max(0, Math.min(list.length - 1, at < 0 ? 0 : at + step));
    if (next < from || next >= to) view(next);
    select(key(list[next]));
    const row = body.children[next - from];
    row?.scrollIntoView({ block: "nearest" });
    row?.querySelector("button, a")?.focus();
    if (document.getElementById("panel")) options.onopen?.(list[next]);
  }

  async function choose() {
    await dialog(t("columns"), (close) => [
      el("div.stack", columns.map((column) => el("label.check", el("input", { type: "checkbox", checked: shown.has(column.id),
        onchange: (e) => {
          if (e.target.checked) shown.add(column.id);
          else if (shown.size > 1) shown.delete(column.id);
          else e.target.checked = true;
          keep(store, [...shown].join());
          draw();
        } }), column.label))),
      el("div.row.end", button(t("reset"), () => {
        shown = new Set(columns.filter((column) => !column.hide).map(({ id }) => id));
        keep(store);
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
    /** @param {any[]} values */
    set(values) { rows = values; draw(); },
    select,
    /** Add rows at the top; what is seen stays where it is. @param {any[]} values @param {number} most */
    prepend(values, most) {
      rows = [...values, ...rows].slice(0, most);
      if (!list.length) { draw(); return; }
      list = rows;
      if (from > 0) {
        from += values.length;
        to = Math.min(list.length, to + values.length);
        while (body.children.length > to - from) body.lastElementChild?.remove();
        gaps();
        const scroller = wrap.scrollHeight > wrap.clientHeight + 1 ? wrap : document.documentElement;
        scroller.scrollTop += values.length * high;
        return;
      }
      body.prepend(...values.map(line));
      to = Math.min(list.length, to + values.length, MOST);
      while (body.children.length > to) body.lastElementChild?.remove();
      gaps();
    },
    /** Show a column, unless the operator has chosen the columns. @param {string} id */
    show(id) { if (!saved && !shown.has(id)) { shown.add(id); draw(); } },
  };
}
