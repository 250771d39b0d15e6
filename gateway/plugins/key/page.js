// Shows the report of GET /v1/key. The key is in the field and in one request, and nowhere else.
const lang = document.documentElement.lang;
const words = JSON.parse(document.getElementById("words").textContent);
const form = document.querySelector("form"), field = document.getElementById("key");
const state = document.getElementById("state"), report = document.getElementById("report");
const number = new Intl.NumberFormat(lang);
const dollar = new Intl.NumberFormat(lang, { style: "currency", currency: "USD", maximumFractionDigits: 4 });
const moment = new Intl.DateTimeFormat(lang, { dateStyle: "medium", timeStyle: "short" });
const date = new Intl.DateTimeFormat(lang, { dateStyle: "medium", timeZone: "UTC" });

function el(name, ...children) {
  const node = document.createElement(name);
  node.append(...children.map((child) => (child instanceof Node ? child : String(child))));
  return node;
}

function time(seconds, format = moment) {
  if (seconds == null) return "–";
  const node = el("time", format.format(seconds * 1000));
  node.dateTime = node.title = new Date(seconds * 1000).toISOString();
  return node;
}

function table(heads, rows) {
  const head = el("tr", ...heads.map((text) => Object.assign(el("th", text), { scope: "col" })));
  const body = rows.map((cells) => el("tr", ...cells.map((cell) => el("td", cell))));
  const wide = el("div", el("table", el("thead", head), el("tbody", ...body)));
  Object.assign(wide, { className: "wide", tabIndex: 0, role: "group" });
  return wide;
}

function bar(used, limit, label) {
  const node = Object.assign(el("progress"), { max: limit || 1, value: Math.min(used, limit || 1) });
  node.setAttribute("aria-label", label);
  return node;
}

function span(seconds) {
  return { 60: words.minute, 3600: words.hour, 86400: words.day }[seconds] ?? `${number.format(seconds)} s`;
}

function rule(value) {
  if (Array.isArray(value)) return value.map((item) => (typeof item === "object" ? JSON.stringify(item) : item)).join(", ");
  return typeof value === "object" && value ? JSON.stringify(value) : typeof value === "number" ? number.format(value) : value;
}

function section(title, ...content) {
  report.append(el("h2", title), ...content);
}

function show(data) {
  if (data.message) report.append(el("p", data.message));
  const facts = el("dl");
  const rules = Object.entries(data.rules).filter(([name]) => !/^(requests|tokens|dollars)/.test(name)); // below
  const known = [[words.name, data.name], [words.state, data.state], [words.expires, data.expires && time(data.expires)]];
  for (const [name, value] of [...known, ...rules.map(([name, value]) => [words[name] ?? name, rule(value)])])
    if (value) facts.append(el("dt", name), el("dd", value));
  if (facts.children.length) section(words.rules, facts);
  if (data.limits.length)
    section(words.limits, table([words.limit, words.left, words.of, words.bar, words.resets], data.limits.map((l) => {
      const name = `${words[l.counted] ?? l.counted} / ${span(l.seconds)}`;
      return [name, number.format(l.left), number.format(l.limit), bar(l.limit - l.left, l.limit, name), time(l.resets)];
    })));
  if (data.budgets.length)
    section(words.budgets, table([words.budget, words.spent, words.left, words.bar, words.resets], data.budgets.map((b) => {
      const name = `${words[b.unit] ?? b.unit} / ${words[b.period] ?? b.period}`;
      const format = b.unit === "dollars" ? dollar : number;
      return [name, format.format(b.spent), format.format(b.left), bar(b.spent, b.spent + b.left, name), time(b.resets)];
    })));
  if (data.issued)
    section(words.usage, data.usage.length ? table(
      [words.date, words.model, words.calls, words.input, words.output, words.dollars],
      data.usage.map((u) => [time(u.start, date), u.model, number.format(u.calls), number.format(u.input_tokens),
        number.format(u.output_tokens), dollar.format(u.dollars)]),
    ) : el("p", words.unused));
}

form.onsubmit = async (event) => {
  event.preventDefault();
  report.replaceChildren();
  state.className = "soft";
  state.textContent = words.asking;
  try {
    const answer = await fetch("v1/key", { headers: { Authorization: `Bearer ${field.value.trim()}` } });
    const data = await answer.json();
    if (!answer.ok) throw new Error(data.error?.message ?? answer.statusText);
    show(data);
    state.textContent = "";
  } catch (error) {
    state.className = "bad";
    state.textContent = error.message;
  }
};
