// @anthropic-ai/sdk: messages, files and batches.
import {
  API_KEY, BAD_KEY, CHAT_PROMPT, IMAGE_PROMPT, ISSUED_KEY, MODEL, PERSON_SCHEMA, PNG_B64, ROOT_URL, SCHEMA_PROMPT, TOOL_PROMPT,
  TOOL_RESULT, WEATHER_PARAMETERS, excerpt, expectError, isParis, load, need, person, run, toolNote,
} from "./common.mjs";

const { default: Anthropic, toFile } = await load("@anthropic-ai/sdk");
const connect = (apiKey) => new Anthropic({ baseURL: ROOT_URL, apiKey, maxRetries: 0 });
const client = connect(API_KEY);
const body = { model: MODEL, max_tokens: 1000 };
const tools = [{ name: "get_weather", description: "Weather", input_schema: WEATHER_PARAMETERS }];
const user = (content) => [{ role: "user", content }];
const textOf = (message) => message.content.filter((block) => block.type === "text").map((block) => block.text).join("");

async function chat() {
  const message = await client.messages.create({ ...body, system: "Be terse.", messages: user(CHAT_PROMPT) });
  need(message.stop_reason === "end_turn", message);
  return excerpt(textOf(message));
}

async function stream() {
  const events = client.messages.stream({ ...body, messages: user(CHAT_PROMPT) });
  let count = 0;
  events.on("text", () => count++);
  const message = await events.finalMessage();
  need(count && textOf(message), message);
  need(message.usage.output_tokens, message);
  return `${count} deltas`;
}

async function toolUse() {
  const first = await client.messages.create({ ...body, tools, messages: user(TOOL_PROMPT) });
  const block = first.content.find((item) => item.type === "tool_use");
  need(isParis(block?.input.city), first);
  need(first.stop_reason === "tool_use", first);
  const result = { type: "tool_result", tool_use_id: block.id, content: TOOL_RESULT };
  const messages = [...user(TOOL_PROMPT), { role: "assistant", content: first.content }, ...user([result])];
  return toolNote(textOf(await client.messages.create({ ...body, tools, messages })));
}

async function structured() {
  const output_config = { format: { type: "json_schema", schema: PERSON_SCHEMA } };
  return person(JSON.parse(textOf(await client.messages.create({ ...body, messages: user(SCHEMA_PROMPT), output_config }))));
}

async function image() {
  const source = { type: "base64", media_type: "image/png", data: PNG_B64 };
  const content = [{ type: "text", text: IMAGE_PROMPT }, { type: "image", source }];
  return excerpt(textOf(await client.messages.create({ ...body, messages: user(content) })));
}

function badkey() {
  const call = () => connect(BAD_KEY).messages.create({ ...body, messages: user("x") });
  return expectError(call, (error) => error instanceof Anthropic.AuthenticationError);
}

// Upload, list, use, delete; a client's own file cannot be downloaded.
async function files() {
  const file = await client.files.upload({ file: await toFile(Buffer.from("The meeting is on Friday."), "a.txt", { type: "text/plain" }) });
  need(file.filename === "a.txt" && file.mime_type === "text/plain" && file.size_bytes === 25, file);
  const listed = [];
  for await (const entry of client.files.list({ limit: 1 })) listed.push(entry.id);
  need(listed.includes(file.id), listed);
  const document = { type: "document", source: { type: "file", file_id: file.id } };
  const message = await client.messages.create({ ...body, messages: user([document, { type: "text", text: CHAT_PROMPT }]) });
  need(textOf(message), message);
  await expectError(() => client.files.download(file.id), (error) => error.details?.error_code === "file_not_downloadable", 400);
  need((await client.files.delete(file.id)).type === "file_deleted", "not deleted");
  await expectError(() => client.files.retrieveMetadata(file.id), (error) => error instanceof Anthropic.NotFoundError, 404);
  return excerpt(textOf(message));
}

// A batch with a key of the client's own, and with an issued one.
async function batches() {
  const notes = [];
  for (const key of [API_KEY, ISSUED_KEY].filter(Boolean)) notes.push(await batch(connect(key).messages.batches));
  return notes.join(", ");
}

// Create a batch of a good and a bad request, list it by pages, read its results, and delete it; cancel another.
async function batch(api) {
  const params = { ...body, messages: user(CHAT_PROMPT) };
  const requests = [{ custom_id: "good", params }, { custom_id: "bad", params: { ...params, messages: [] } }];
  const created = await api.create({ requests });
  need(created.processing_status === "in_progress", created);
  const other = await api.cancel((await api.create({ requests: [{ custom_id: "other", params }] })).id);
  need(["canceling", "ended"].includes(other.processing_status), other);
  const listed = [];
  for await (const entry of api.list({ limit: 1 })) listed.push(entry.id);
  need(listed.indexOf(other.id) === 0 && listed.includes(created.id), listed);
  const shown = await ended(api, created.id);
  need(shown.request_counts.succeeded === 1 && shown.request_counts.errored === 1, shown);
  const results = {};
  for await (const { custom_id, result } of await api.results(created.id)) results[custom_id] = result;
  need(results.bad.type === "errored" && results.bad.error.error.type === "invalid_request_error", results);
  need((await api.delete(created.id)).type === "message_batch_deleted", "not deleted");
  const { request_counts: counts } = await ended(api, other.id);
  need(counts.canceled + counts.succeeded === 1, counts);
  return excerpt(textOf(results.good.message));
}

// The batch, once it has ended.
async function ended(api, id) {
  let shown = await api.retrieve(id);
  for (let i = 0; i < 300 && shown.processing_status !== "ended"; i++) {
    await new Promise((resolve) => setTimeout(resolve, 200));
    shown = await api.retrieve(id);
  }
  need(shown.processing_status === "ended", shown);
  return shown;
}

await run("anthropic-node", { chat, stream, tools: toolUse, structured, image, badkey, files, batches });
