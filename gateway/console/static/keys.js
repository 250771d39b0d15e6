// Keys of the keyboard: single ones, and sequences such as "g r". None acts while a text is typed.

/** @typedef {{key: string, label: string, run: () => void}} Binding */
/** @type {Binding[]} */
const bindings = [];
let begun = "";
let timer = 0;

/** @param {string} key @param {string} label @param {() => void} run @returns {() => void} */
export function bind(key, label, run) {
  const binding = { key, label, run };
  bindings.push(binding);
  return () => { const at = bindings.indexOf(binding); if (at >= 0) bindings.splice(at, 1); };
}

/** @returns {Binding[]} */
export function bound() { return bindings.filter((one, i) => bindings.findLastIndex((other) => other.key === one.key) === i); }

/** @param {EventTarget | null} target */
function isTyping(target) {
  return target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));
}

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
  if (document.querySelector("dialog[open]")) return;
  const typed = begun ? `${begun} ${event.key}` : event.key;
  begun = "";
  clearTimeout(timer);
  const binding = bindings.findLast((one) => one.key === typed);
  const onControl = event.target instanceof HTMLElement && /^(BUTTON|A|SUMMARY)$/.test(event.target.tagName);
  if (binding && !(event.key === "Enter" && onControl)) {
    event.preventDefault();
    binding.run();
  } else if (bindings.some((one) => one.key.startsWith(`${typed} `))) {
    begun = typed;
    timer = window.setTimeout(() => { begun = ""; }, 1200);
  }
});
