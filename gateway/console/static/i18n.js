// Texts in the operator's language; numbers, money and times by Intl.
const KEY = "gw.language";
/** @type {Record<string, string>} */
let texts = {};
let current = "en";

export const languages = { en: "English", zh: "中文" };

/** @returns {"en" | "zh"} */
function preferred() {
  const wanted = [kept(KEY), ...navigator.languages].find((name) => name && (name.startsWith("zh") || name.startsWith("en")));
  return wanted?.startsWith("zh") ? "zh" : "en";
}

/** What the browser keeps, if it keeps anything. @param {string} name @returns {string | null} */
export function kept(name) { try { return localStorage.getItem(name); } catch { return null; } }

/** @param {string} name @param {string} [value] */
export function keep(name, value) {
  try { if (value) localStorage.setItem(name, value); else localStorage.removeItem(name); } catch { /* private mode */ }
}

/** Load the texts of the operator's language. */
export async function load() {
  current = preferred();
  const response = await fetch(new URL(`./${current}.json`, import.meta.url));
  texts = {};
  for (const [group, entries] of Object.entries(await response.json())) {
    for (const [name, text] of Object.entries(entries)) texts[group ? `${group}.${name}` : name] = text;
  }
  document.documentElement.lang = current;
}

export function language() { return current; }

/** @param {"en" | "zh"} name */
export async function setLanguage(name) {
  keep(KEY, name);
  await load();
}

/** @param {string} name */
export function has(name) { return name in texts; }

/** The text of a name, with values for its {places}. @param {string} name @param {Record<string, any>} [values] @returns {string} */
export function t(name, values = {}) {
  const text = texts[name] ?? name;
  return text.replace(/\{(\w+)\}/g, (place, word) => (word in values ? String(values[word]) : place));
}

export function n(value, options) {
  return value === null || value === undefined ? "–" : new Intl.NumberFormat(current, options).format(value);
}

export function money(dollars) {
  if (dollars === null || dollars === undefined) return "–";
  const small = dollars !== 0 && Math.abs(dollars) < 0.1;
  return new Intl.NumberFormat(current, { style: "currency", currency: "USD", currencyDisplay: "narrowSymbol",
    maximumSignificantDigits: small ? 3 : undefined, minimumFractionDigits: small ? undefined : 2 }).format(dollars);
}

export function tokens(count) { return n(count, { notation: "compact", maximumFractionDigits: 1 }); }

/** A duration: seconds up to two minutes, then two units. milliseconds */
export function ms(value) {
  if (value === null || value === undefined) return "–";
  const s = value / 1000, whole = Math.round(s);
  if (s < 120) return `${n(s, { maximumFractionDigits: s < 0.1 ? 3 : s < 10 ? 2 : 0 })} s`;
  if (s < 7200) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

/** a part of 1 */
export function share(value) { return n(value, { style: "percent", maximumFractionDigits: value && Math.abs(value) < 0.1 ? 1 : 0 }); }

const STEPS = /** @type {[Intl.RelativeTimeFormatUnit, number][]} */ ([["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]]);

/** A time relative to now, also for one to come. @param {number} seconds since 1970 */
export function ago(seconds) {
  const difference = seconds - Date.now() / 1000;
  const [unit, length] = STEPS.find(([, size]) => Math.abs(difference) >= size) ?? STEPS[3];
  return new Intl.RelativeTimeFormat(current, { numeric: "auto", style: "narrow" }).format(Math.trunc(difference / length), unit);
}

/** @param {number} seconds @param {Intl.DateTimeFormatOptions} [options] */
export function when(seconds, options = { dateStyle: "medium", timeStyle: "medium" }) {
  return new Intl.DateTimeFormat(current, options).format(new Date(seconds * 1000));
}

/** @param {number} seconds */
export function utc(seconds) { return `${new Date(seconds * 1000).toISOString().replace("T", " ").slice(0, 19)} UTC`; }
