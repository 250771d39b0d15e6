// @ts-check
// The pages in the order of the navigation. Each is loaded when it is opened.

/** @type {{id: string, key: string, load: () => Promise<{page: import("./main.js").Page}>}[]} */
export const pages = [
  { id: "overview", key: "o", load: () => import("./pages/overview.js") },
  { id: "requests", key: "r", load: () => import("./pages/requests.js") },
  { id: "keys", key: "k", load: () => import("./pages/keys.js") },
  { id: "usage", key: "u", load: () => import("./pages/usage.js") },
  { id: "pool", key: "p", load: () => import("./pages/pool.js") },
  { id: "errors", key: "e", load: () => import("./pages/errors.js") },
  { id: "health", key: "h", load: () => import("./pages/health.js") },
  { id: "models", key: "m", load: () => import("./pages/models.js") },
  { id: "config", key: "c", load: () => import("./pages/config.js") },
  { id: "playground", key: "y", load: () => import("./pages/playground.js") },
  { id: "about", key: "a", load: () => import("./pages/about.js") },
];
