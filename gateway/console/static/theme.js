// @ts-check
const KEY = "gw.theme";

/** @returns {"auto" | "light" | "dark"} */
export function theme() {
  try {
    const value = localStorage.getItem(KEY);
    return value === "light" || value === "dark" ? value : "auto";
  } catch { return "auto"; }
}

/** @param {"auto" | "light" | "dark"} value */
export function setTheme(value) {
  try { localStorage.setItem(KEY, value); } catch { /* private mode */ }
  apply();
}

export function apply() {
  const value = theme();
  if (value === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = value;
}
