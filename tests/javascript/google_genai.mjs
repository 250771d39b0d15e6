// Drives @google/genai against BASE_URL under API_VERSION. Prints for each use the answers that fetch gave the SDK (status,
// SHA-256 of the bytes, headers that SDKs read) and the SDK's own result, as one JSON object.
import { createHash } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { GoogleGenAI } from "@google/genai";

const { BASE_URL: baseUrl, API_VERSION: apiVersion, FOLDER: folder } = process.env;
const READ = ["content-type", "x-goog-upload-status", "x-gemini-service-tier", "retry-after", "content-disposition"];
let answers = [];
const network = globalThis.fetch;
globalThis.fetch = async (...call) => {
  const response = await network(...call);
  const bytes = Buffer.from(await response.clone().arrayBuffer());
  const headers = READ.map((name) => response.headers.get(name));
  answers.push([response.status, createHash("sha256").update(bytes).digest("hex"), ...headers]);
  return response;
};

const model = "gemini-2.5-flash";
const client = new GoogleGenAI({ apiKey: "AIza-own-key-of-a-client", vertexai: false, httpOptions: { baseUrl, apiVersion } });
const all = async (pages) => { const names = []; for await (const entry of pages) names.push(entry.name); return names; };
const request = { contents: [{ role: "user", parts: [{ text: "<hi> & 'é'" }] }] };

const uses = {
  chats: async () => {
    const chat = client.chats.create({ model, config: { temperature: 0.5 } });
    const first = (await chat.sendMessage({ message: "<hi> & 'é' 😀" })).text, texts = [];
    for await (const chunk of await chat.sendMessageStream({ message: "again" })) texts.push(chunk.text);
    return [first, texts];
  },
  "count tokens": async () => (await client.models.countTokens({ model, contents: "x" })).totalTokens,
  embeddings: async () => (await client.models.embedContent({ model: "gemini-embedding-001", contents: "x" })).embeddings,
  models: async () => [(await client.models.get({ model })).name, await all(await client.models.list())],
  files: async () => {
    const file = await client.files.upload({ file: new Blob([new Uint8Array(300)]), config: { mimeType: "text/plain", displayName: "é" } });
    const large = await client.files.upload({ file: new Blob([new Uint8Array(9 * 2 ** 20)]), config: { mimeType: "video/mp4" } });
    const names = [(await client.files.get({ name: file.name })).name, await all(await client.files.list({ config: { pageSize: 3 } }))];
    await client.files.delete({ name: large.name });
    return names;
  },
  download: async () => {
    await client.files.download({ file: "files/abc", downloadPath: `${folder}/video` });
    return createHash("sha256").update(await readFile(`${folder}/video`)).digest("hex");
  },
  caches: async () => {
    const { name } = await client.caches.create({ model, config: { contents: "<long>", ttl: "60s", displayName: "x & y" } });
    await client.caches.update({ name, config: { ttl: "90s" } });
    const result = [(await client.caches.get({ name })).model, await all(await client.caches.list())];
    await client.caches.delete({ name });
    return result;
  },
  batches: async () => {
    const { name } = await client.batches.create({ model, src: [{ ...request, metadata: { k: "v" } }], config: { displayName: "<é>" } });
    await client.batches.create({ model, src: "files/abc" });
    const result = [(await client.batches.get({ name })).state, await all(await client.batches.list({ config: { pageSize: 5 } }))];
    await client.batches.cancel({ name });
    await client.batches.delete({ name });
    return result;
  },
  operations: async () => {
    const operation = await client.models.generateVideos({ model: "veo-3.1-generate-preview", prompt: "a <cat>" });
    return (await client.operations.getVideosOperation({ operation })).response;
  },
  interactions: async () => {
    const { id } = await client.interactions.create({ model, input: "<hi> & 'é'" }), events = [];
    for await (const event of await client.interactions.create({ model, input: "x", stream: true })) events.push(event.event_type);
    return [(await client.interactions.get(id)).status, events];
  },
  "auth tokens": async () => (await client.authTokens.create({ config: { uses: 1 } })).name,
};

const results = {};
for (const [name, use] of Object.entries(uses)) {
  answers = [];
  let result;
  try { result = await use(); } catch (error) { result = `${error?.name}: ${error?.message}`; }
  results[name] = { result, answers };
}
await writeFile(`${folder}/results.json`, JSON.stringify(results));
