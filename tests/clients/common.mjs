// Settings, prompts and the report of results that the JavaScript drivers share; the same contract as common.py.
import { randomUUID } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { pathToFileURL } from "node:url";

const environ = process.env;
export const BASE_URL = environ.BASE_URL.replace(/\/$/, "");
export const ROOT_URL = BASE_URL.replace(/\/v1$/, "");
export const API_KEY = environ.API_KEY || "sk-good";
// A key that the gateway has issued; "" where it has issued none.
export const ISSUED_KEY = environ.ISSUED_KEY || "";
export const BAD_KEY = environ.BAD_KEY || "sk-bad-key";
export const MODEL = environ.MODEL || "gemini-3.8-flash";
export const PICTURE_MODEL = environ.PICTURE_MODEL || "gemini-nano-banana-2.1";
export const SPEECH_MODEL = environ.SPEECH_MODEL || "gemini-3.8-flash-lite-tts";
export const TRANSCRIPTION_MODEL = environ.TRANSCRIPTION_MODEL || "gemini-3.5-transcribe";
export const EMBED_MODEL = environ.EMBED_MODEL || "gemini-embedding-001";

// Eight by eight pixels of red.
export const PNG_B64 =
  "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAEklEQVR4nGP4z8CAFWEXHbQSACj/P8Fu7N9hAAAAAElFTkSuQmCC";
export const PNG_URI = `data:image/png;base64,${PNG_B64}`;

export const CHAT_PROMPT = "Reply with the single word PONG.";
export const TOOL_PROMPT = "What is the weather in Paris? Use the get_weather tool, then answer in one sentence.";
export const TOOL_RESULT = "SUNNY-42";
export const SCHEMA_PROMPT = "Extract: Ada is 36 years old.";
export const IMAGE_PROMPT = "What colour is this picture? One word.";
export const WEATHER_PARAMETERS = {
  type: "object",
  properties: { city: { type: "string" } },
  required: ["city"],
  additionalProperties: false,
};
export const PERSON_SCHEMA = {
  type: "object",
  properties: { name: { type: "string" }, age: { type: "integer" } },
  required: ["name", "age"],
  additionalProperties: false,
};

// Throws an error with the message or the value if the condition does not hold.
export function need(condition, message) {
  if (!condition) throw new Error(typeof message === "string" ? message : JSON.stringify(message));
}

// The start of an answer as a note.
export function excerpt(text) {
  need(text, "no text");
  return JSON.stringify(text.slice(0, 40));
}

// A note on the answer that followed a tool's result.
export function toolNote(text) {
  need(text, "no text after the tool's result");
  return text.includes(TOOL_RESULT) ? "the answer quotes the tool's result" : `the answer: ${excerpt(text)}`;
}

// A note on an object of PERSON_SCHEMA.
export function person(value) {
  need(value.name && Number.isInteger(value.age), value);
  return JSON.stringify(value);
}

export const isParis = (city) => /paris/i.test(city);

// Packages are looked up in CLIENT_DIR, where install.sh put them, and not beside the driver.
const { resolve } = createRequire(path.join(environ.CLIENT_DIR, "driver.js"));
export async function load(name) {
  return await import(pathToFileURL(resolve(name)).href);
}

// Calls, and returns a note on the error; throws if there is none or it is another one.
export async function expectError(call, isRight, status = 401) {
  errorsExpected = true;
  let error;
  try {
    await call();
  } catch (caught) {
    error = caught;
  }
  need(error, "no error raised");
  need(isRight(error), `raised ${error.constructor.name}: ${String(error.message).slice(0, 150)}`);
  const code = error.status ?? error.statusCode;
  need(code === status, `status ${code}`);
  return `${error.constructor.name} ${code}`;
}

// The checks with a prefix before each name.
export function prefixed(prefix, checks) {
  return Object.fromEntries(Object.entries(checks).map(([name, check]) => [`${prefix}_${name}`, check]));
}

// The log lines of the gateway and of the client during one check; see watch.py.
const COMPLAINT = /\bretr(?:y|ies|ied|ying)\b|\bf[ae]ll(?:ing|s)? ?back\b|\bdegraded\b|\boverloaded\b/i;
const DEGRADED = ["adjusted", "fallbacks", "failures", "unknown_reason", "error"];
const logFile = environ.GATEWAY_LOG;
let errorsExpected = false;
let complaints = [];
let logBegin = 0;
for (const level of ["warn", "error", "log", "info"]) {
  const print = console[level].bind(console);
  console[level] = (...words) => {
    const text = words.map(String).join(" ");
    const fromDriver = /^(PASS|FAIL|SKIP) /.test(text);
    if (!fromDriver && (level === "error" || COMPLAINT.test(text))) complaints.push(text.slice(0, 200));
    (fromDriver ? print : console.debug)(...words);
  };
}
console.debug = (...words) => process.stderr.write(`${words.map(String).join(" ")}\n`);

async function beginWatch() {
  errorsExpected = false;
  complaints = [];
  if (!logFile) return;
  await exchanges(); // those of an earlier check, of which the last may not be logged yet
  logBegin = statSync(logFile).size;
}

// The number of requests as a note. Throws for a complaint of the client, or for an answer that is no plain 200.
async function verdict() {
  if (errorsExpected) return "";
  need(!complaints.length, `the client's log: ${complaints.slice(0, 3).join("; ")}`);
  if (!logFile) return "";
  const lines = await exchanges();
  need(lines.length, "the gateway's log has no request");
  const wrong = lines.filter((line) => ![200, 101, 302].includes(line.status) || (line.attempts > 1 && line.surface !== "images") || DEGRADED.some((name) => line[name]));
  need(!wrong.length, `the gateway's log: ${JSON.stringify(wrong.slice(0, 3))}`);
  return `; ${lines.length} requests`;
}

// The gateway's lines of requests. A request of our own ends them, so that none is missed.
async function exchanges() {
  const last = `watch-${randomUUID()}`;
  const headers = { authorization: `Bearer ${API_KEY}`, "x-request-id": last };
  await (await fetch(`${BASE_URL}/models`, { headers })).arrayBuffer();
  for (let i = 0; i < 200; i++) {
    const text = readFileSync(logFile).subarray(logBegin).toString();
    const whole = text.slice(0, text.lastIndexOf("\n") + 1).split("\n").filter((line) => line.startsWith("{"));
    const lines = whole.map((line) => JSON.parse(line)).filter((line) => line.event === "exchange");
    if (lines.some((line) => line.request_id === last)) return lines.filter((line) => line.request_id !== last);
    await new Promise((wake) => setTimeout(wake, 50));
  }
  throw new Error("the gateway has not logged its last answer within 10 s");
}

// Prints a line for each check, and exits with 1 if any failed. ONLY names the checks to run, with commas. A check also
// fails if the log of the gateway or of the client shows an error, a retry or a fallback that it did not expect.
export async function run(client, checks) {
  const only = new Set((environ.ONLY || "").split(",").filter(Boolean));
  let failed = false;
  for (const [name, check] of Object.entries(checks)) {
    if (only.size && !only.has(name)) continue;
    await beginWatch();
    try {
      const note = await check();
      console.log(`PASS ${client} ${name}: ${note}${await verdict()}`);
    } catch (error) {
      failed = true;
      console.debug(error?.stack ?? error);
      console.log(`FAIL ${client} ${name}: ${error?.name}: ${String(error?.message).replace(/\s+/g, " ").slice(0, 300)}`);
    }
  }
  process.exit(failed ? 1 : 0);
}
