// Requests of the admin API. The session is a cookie that scripts cannot read.

export class ApiError extends Error {
  /** @param {number} status @param {string} code @param {string} message */
  constructor(status, code, message) {
    super(message);
    this.name = "ApiError"; this.status = status; this.code = code;
  }
}

/** Called when the session has ended, and when another build is served. */
export const hooks = { signedOut: () => {}, stale: () => {} };
const build = document.documentElement.dataset.build;

/** @param {Response} response @returns {Promise<ApiError>} */
async function failure(response) {
  const data = await response.json().catch(() => ({}));
  const error = data.error ?? {};
  if (error.code === "signed_out") hooks.signedOut();
  return new ApiError(response.status, error.code ?? "unknown", error.message ?? `HTTP ${response.status}`);
}

/** @param {string} method @param {string} path @param {any} [body] @param {{signal?: AbortSignal}} [options] @returns {Promise<Response>} */
async function send(method, path, body, options = {}) {
  /** @type {Record<string, string>} */
  const headers = { Accept: "application/json", "Accept-Language": document.documentElement.lang };
  if (method !== "GET") headers["X-Console"] = "1";
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body),
      signal: options.signal, credentials: "same-origin", cache: "no-store", redirect: "error" });
  } catch (error) {
    if (/** @type {Error} */ (error).name === "AbortError") throw error;
    throw new ApiError(0, "unreachable", "The gateway does not answer.");
  }
  const served = response.headers.get("x-console-build");
  if (served && served !== build) hooks.stale();
  if (!response.ok) throw await failure(response);
  return response;
}

/** @param {string} path @param {Record<string, any>} [params] */
export function url(path, params = {}) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) {
    if (value !== undefined && value !== null && value !== "") query.set(name, String(value));
  }
  const text = query.toString();
  return text ? `${path}?${text}` : path;
}

const json = (response) => response.json();

export const api = {
  get: (path, params = {}, options = {}) => send("GET", url(path, params), undefined, options).then(json),
  post: (path, body = {}) => send("POST", path, body).then(json),
  patch: (path, body) => send("PATCH", path, body).then(json),
  del: (path) => send("DELETE", path).then(json),

  /**
   * Send a body and read the answer's events.
   * @param {string} path @param {any} body @param {(event: {event: string, id: string, data: any}) => void} onEvent
   */
  async stream(path, body, onEvent, options = {}) {
    const response = await send("POST", path, body, options);
    const reader = /** @type {ReadableStream<Uint8Array>} */ (response.body).pipeThrough(/** @type {any} */ (new TextDecoderStream())).getReader();
    let rest = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const frames = (rest + value).split("\n\n");
      rest = frames.pop() ?? "";
      for (const frame of frames) {
        const event = { event: "message", id: "", data: "" };
        for (const line of frame.split("\n")) {
          const at = line.indexOf(":");
          const name = line.slice(0, at);
          if (name === "event" || name === "id" || name === "data") event[name] += line.slice(at + 1).trimStart();
        }
        if (frame.startsWith(":")) continue;
        event.event = event.event.replace(/^message(?=.)/, "");
        onEvent({ ...event, data: event.data ? JSON.parse(event.data) : null });
      }
    }
  },

  /**
   * Follow requests as they end. `state` is called with "open" and "lost".
   * @param {Record<string, any>} params @param {Record<string, (data: any, id: string) => void>} handlers @returns {() => void}
   */
  tail(params, handlers) {
    const source = new EventSource(url("/admin/tail", params));
    for (const [name, handle] of Object.entries(handlers)) {
      if (name === "state") continue;
      source.addEventListener(name, (event) => handle(JSON.parse(event.data), event.lastEventId));
    }
    source.onopen = () => handlers.state?.("open", "");
    source.onerror = () => handlers.state?.("lost", "");
    return () => source.close();
  },

  /** Save an answer as a file. @param {string} path @param {Record<string, any>} params @param {string} name */
  async download(path, params, name) {
    const blob = await (await send("GET", url(path, params))).blob();
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  },
};
