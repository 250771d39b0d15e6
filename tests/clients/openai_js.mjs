// openai (npm): chat completions with the SDK's helpers (stream, runTools, parse), responses, embeddings, models,
// images, speech, transcriptions, files and uploads.
import { createReadStream, createWriteStream, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { pipeline } from "node:stream/promises";
import {
  API_KEY, BAD_KEY, BASE_URL, CHAT_PROMPT, EMBED_MODEL, IMAGE_PROMPT, MODEL, PERSON_SCHEMA, PICTURE_MODEL, PNG_B64,
  PNG_URI, SCHEMA_PROMPT, SPEECH_MODEL, TOOL_PROMPT, TOOL_RESULT, TRANSCRIPTION_MODEL, WEATHER_PARAMETERS, excerpt, expectError, isParis, load, need, person, run, toolNote,
} from "./common.mjs";

const { default: OpenAI, toFile } = await load("openai");
const connect = (apiKey) => new OpenAI({ baseURL: BASE_URL, apiKey, maxRetries: 0, timeout: 60_000 });
const client = connect(API_KEY);
const folder = mkdtempSync(path.join(tmpdir(), "openai-js-"));
const user = (content) => [{ role: "user", content }];
const responsesTool = { type: "function", name: "get_weather", description: "Weather", parameters: WEATHER_PARAMETERS, strict: true };

async function models() {
  const ids = [];
  for await (const model of client.models.list()) ids.push(model.id);
  need(ids.length, "no models");
  return `${ids.length} models`;
}

async function chat() {
  const answer = await client.chat.completions.create({ model: MODEL, messages: user(CHAT_PROMPT) });
  return excerpt(answer.choices[0].message.content);
}

async function stream() {
  let text = "", count = 0, usage;
  const body = { model: MODEL, messages: user(CHAT_PROMPT), stream: true, stream_options: { include_usage: true } };
  for await (const chunk of await client.chat.completions.create(body)) {
    count++;
    text += chunk.choices[0]?.delta?.content ?? "";
    usage = chunk.usage ?? usage;
  }
  need(text, "no text");
  need(usage, "no usage");
  return `${count} chunks`;
}

async function streamHelper() {
  const events = client.chat.completions.stream({ model: MODEL, messages: user(CHAT_PROMPT) });
  let count = 0;
  events.on("content", () => count++);
  const answer = await events.finalChatCompletion();
  need(count, "no content events");
  need(answer.choices[0].message.content, "no text");
  return `${count} content events`;
}

async function runTools(stream) {
  let argument;
  const weather = (value) => {
    argument = value;
    return TOOL_RESULT;
  };
  const definition = { name: "get_weather", description: "Weather", parameters: WEATHER_PARAMETERS, parse: JSON.parse, function: weather };
  const tools = [{ type: "function", function: definition }];
  const answer = await client.chat.completions.runTools({ model: MODEL, messages: user(TOOL_PROMPT), tools, stream }).finalContent();
  need(isParis(argument?.city), { argument });
  return toolNote(answer);
}

async function structured() {
  const response_format = { type: "json_schema", json_schema: { name: "person", strict: true, schema: PERSON_SCHEMA } };
  const answer = await client.chat.completions.parse({ model: MODEL, messages: user(SCHEMA_PROMPT), response_format });
  return person(JSON.parse(answer.choices[0].message.content));
}

async function image() {
  const content = [{ type: "text", text: IMAGE_PROMPT }, { type: "image_url", image_url: { url: PNG_URI } }];
  const answer = await client.chat.completions.create({ model: MODEL, messages: user(content) });
  return excerpt(answer.choices[0].message.content);
}

function badkey() {
  const call = () => connect(BAD_KEY).chat.completions.create({ model: MODEL, messages: user("x") });
  return expectError(call, (error) => error instanceof OpenAI.AuthenticationError);
}

async function embeddings() {
  const answer = await client.embeddings.create({ model: EMBED_MODEL, input: ["a", "b"] });
  need(answer.data.length === 2, `${answer.data.length} vectors`);
  need(typeof answer.data[0].embedding[0] === "number", answer.data[0].embedding[0]);
  return `${answer.data[0].embedding.length} dimensions`;
}

async function responses() {
  return excerpt((await client.responses.create({ model: MODEL, input: CHAT_PROMPT })).output_text);
}

async function responsesStream() {
  const events = client.responses.stream({ model: MODEL, input: CHAT_PROMPT });
  let count = 0;
  events.on("response.output_text.delta", () => count++);
  const answer = await events.finalResponse();
  need(count, "no deltas");
  need(answer.output_text, "no text");
  return `${count} deltas`;
}

async function responsesTools() {
  const body = { model: MODEL, tools: [responsesTool], store: false };
  const first = await client.responses.create({ ...body, input: user(TOOL_PROMPT) });
  const call = first.output.find((item) => item.type === "function_call");
  need(call, "no function call");
  const result = { type: "function_call_output", call_id: call.call_id, output: TOOL_RESULT };
  const answer = await client.responses.create({ ...body, input: [...user(TOOL_PROMPT), ...first.output, result] });
  return toolNote(answer.output_text);
}

function needPicture(data) {
  const beginning = Buffer.from(data ?? "", "base64").subarray(0, 4).toString("hex");
  need(["89504e47", "ffd8ffe0", "52494646"].includes(beginning), beginning);
}

async function imageGenerate() {
  const body = { model: PICTURE_MODEL, prompt: "a blue square", size: "1536x1024", n: 2 };
  const answer = await client.images.generate(body);
  need(answer.data.length === 2, "not two pictures");
  answer.data.forEach((image) => needPicture(image.b64_json));
  return `${answer.size}, ${answer.output_format}`;
}

async function imageEdit() {
  const files = await Promise.all(["a.png", "b.png"].map(
    (name) => toFile(Buffer.from(PNG_B64, "base64"), name, { type: "image/png" }),
  ));
  const answer = await client.images.edit({ model: PICTURE_MODEL, image: files, prompt: "make it blue" });
  needPicture(answer.data[0].b64_json);
  return `${answer.size}, ${answer.output_format}`;
}

async function imageVariation() {
  const image = await toFile(Buffer.from(PNG_B64, "base64"), "a.png", { type: "image/png" });
  const answer = await client.images.createVariation({ model: PICTURE_MODEL, image, n: 2, response_format: "b64_json" });
  need(answer.data.length === 2, "not two pictures");
  answer.data.forEach((picture) => needPicture(picture.b64_json));
  return `${answer.data.length} pictures`;
}

async function imageStream() {
  const types = [];
  const body = { model: PICTURE_MODEL, prompt: "a red square", stream: true, partial_images: 2 };
  for await (const event of await client.images.generate(body)) {
    types.push(event.type);
    needPicture(event.b64_json);
  }
  need(types.at(-1) === "image_generation.completed", types);
  return `${types.length} events`;
}

// Streams speech into a file; returns its path.
async function speechFile(format) {
  const body = { model: SPEECH_MODEL, voice: "alloy", input: "The train to Oslo leaves at noon.", response_format: format };
  const name = path.join(folder, `speech.${format}`);
  const answer = await client.audio.speech.create(body);
  await pipeline(answer.body, createWriteStream(name));
  return name;
}

async function speech() {
  const beginnings = { mp3: /^(494433|fff)/, opus: /^4f676753/, aac: /^fff/, flac: /^664c6143/, wav: /^52494646/, pcm: /^/ };
  for (const [format, beginning] of Object.entries(beginnings)) {
    const data = readFileSync(await speechFile(format));
    need(data.length > 1000 && beginning.test(data.subarray(0, 4).toString("hex")), `${format}: ${data.length} bytes`);
  }
  return `${Object.keys(beginnings).length} formats`;
}

async function speechStream() {
  const types = [];
  const body = { model: SPEECH_MODEL, voice: "alloy", input: "Good morning.", response_format: "pcm", stream_format: "sse" };
  const answer = await client.audio.speech.create(body);
  for (const line of (await answer.text()).split("\n")) if (line.startsWith("data: {")) types.push(JSON.parse(line.slice(6)).type);
  need(types[0] === "speech.audio.delta" && types.at(-1) === "speech.audio.done", types);
  return `${types.length} events`;
}

async function transcription() {
  const name = await speechFile("wav");
  const create = (more) => client.audio.transcriptions.create({ file: createReadStream(name), model: TRANSCRIPTION_MODEL, ...more });
  const plain = await create({ language: "en" });
  need(plain.text, plain);
  const text = await create({ response_format: "text" });
  need(String(text).trim() === plain.text, { text });
  need((await create({ response_format: "srt" })).startsWith("1\n00:00:0"), "no SRT");
  need((await create({ response_format: "vtt" })).startsWith("WEBVTT\n\n"), "no WebVTT");
  const verbose = await create({ response_format: "verbose_json", timestamp_granularities: ["word"] });
  need(verbose.words.length && verbose.duration > 1, verbose);
  const diarized = await create({ response_format: "diarized_json", chunking_strategy: "auto" });
  need(diarized.segments[0].speaker === "A", diarized);
  const types = [];
  for await (const event of await create({ stream: true })) types.push(event.type);
  need(types.at(-1) === "transcript.text.done", types);
  const english = await client.audio.translations.create({ file: createReadStream(name), model: MODEL });
  need(english.text, english);
  return excerpt(plain.text);
}

async function files() {
  const name = path.join(folder, "notes.txt");
  writeFileSync(name, "The tower is 42 metres high.");
  const file = await client.files.create({ file: createReadStream(name), purpose: "user_data" });
  need(file.filename === "notes.txt" && file.bytes === 28, file);
  const ids = [];
  for await (const listed of client.files.list({ purpose: "user_data" })) ids.push(listed.id);
  need(ids.includes(file.id), ids);
  need((await (await client.files.content(file.id)).text()).includes("42"), "not the content");
  const content = [{ type: "text", text: "How high is it?" }, { type: "file", file: { file_id: file.id } }];
  const answer = await client.chat.completions.create({ model: MODEL, messages: user(content) });
  need(answer.choices[0].message.content, answer);
  need((await client.files.delete(file.id)).deleted, "not deleted");
  await expectError(() => client.files.retrieve(file.id), (error) => error instanceof OpenAI.NotFoundError, 404);
  return file.id.slice(0, 8);
}

// A batch of lines [id, body] that has reached one of the states.
async function batchOf(url, lines, states) {
  const name = path.join(folder, "requests.jsonl");
  writeFileSync(name, lines.map(([id, body]) => `${JSON.stringify({ custom_id: id, method: "POST", url, body })}\n`).join(""));
  const file = await client.files.create({ file: createReadStream(name), purpose: "batch" });
  const batch = await client.batches.create({ input_file_id: file.id, endpoint: url, completion_window: "24h", metadata: { job: "1" } });
  need(batch.status === "validating" && batch.metadata.job === "1", batch);
  return states.includes(batch.status) ? batch : await reached(batch.id, states);
}

async function reached(id, states) {
  for (let i = 0; i < 300; i += 1) {
    const batch = await client.batches.retrieve(id);
    if (states.includes(batch.status)) return batch;
    need(["validating", "in_progress", "finalizing", "cancelling"].includes(batch.status), batch);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  throw new Error(`batch ${id} has not reached ${states}`);
}

async function answersOf(id) {
  return (await (await client.files.content(id)).text()).trim().split("\n").map((each) => JSON.parse(each));
}

// Each endpoint; a line that is too long for its model (see run.sh), and a list of pages.
async function batches() {
  const model = "gemini-3.5-flash-lite";
  const chat = (content) => ({ model, messages: user(content) });
  const batch = await batchOf("/v1/chat/completions", [["b", chat("Hello b")], ["bad", { model: "gemini-3.1-flash-lite", messages: user("word ".repeat(40_000)) }], ["a", chat("Hello a")]], ["completed"]);
  need(batch.request_counts.completed === 2 && batch.request_counts.failed === 1, batch);
  const answers = await answersOf(batch.output_file_id);
  need(answers.map((answer) => answer.custom_id).join() === "b,a", answers);
  need(answers[0].response.body.choices[0].message.content, answers);
  const [error] = await answersOf(batch.error_file_id);
  need(error.custom_id === "bad" && error.response.status_code === 400, error);
  const spoken = await batchOf("/v1/responses", [["r", { model, input: CHAT_PROMPT }]], ["completed"]);
  need((await answersOf(spoken.output_file_id))[0].response.body.output[0].content[0].text, spoken);
  const embedded = await batchOf("/v1/embeddings", [["e", { model: EMBED_MODEL, input: ["a", "b"] }]], ["completed"]);
  need((await answersOf(embedded.output_file_id))[0].response.body.data.length === 2, embedded);
  const ids = [];
  for await (const listed of client.batches.list({ limit: 1 })) ids.push(listed.id);
  need(ids.slice(0, 3).join() === [embedded, spoken, batch].map(({ id }) => id).join(), ids);
  return `${answers.length} answers, ${ids.length} batches`;
}

async function batchCancel() {
  const url = "/v1/chat/completions";
  const batch = await batchOf(url, [["a", { model: "gemini-3.5-flash-lite", messages: user("x") }]], ["validating", "in_progress"]);
  const { status } = await client.batches.cancel(batch.id);
  need(["cancelling", "cancelled"].includes(status), status);
  return (await reached(batch.id, ["cancelled"])).status;
}

async function uploads() {
  const text = Buffer.from("0123456789");
  const upload = await client.uploads.create({ bytes: text.length, filename: "a.txt", mime_type: "text/plain", purpose: "user_data" });
  const parts = [];
  for (const data of [text.subarray(0, 4), text.subarray(4)])
    parts.push((await client.uploads.parts.create(upload.id, { data: await toFile(data, "part") })).id);
  const whole = await client.uploads.complete(upload.id, { part_ids: parts });
  need(whole.status === "completed", whole);
  need((await (await client.files.content(whole.file.id)).text()) === text.toString(), "not the parts in their order");
  await client.files.delete(whole.file.id);
  const other = await client.uploads.create({ bytes: 70_000_000, filename: "b.txt", mime_type: "text/plain", purpose: "user_data" });
  const large = await toFile(Buffer.alloc(64 * 2 ** 20 + 1), "part"); // OpenAI takes parts of 64 MB
  const note = await expectError(() => client.uploads.parts.create(other.id, { data: large }), (error) => error instanceof OpenAI.APIError, 413);
  need((await client.uploads.cancel(other.id)).status === "cancelled", "not cancelled");
  await expectError(() => client.uploads.complete(other.id, { part_ids: ["x"] }), (error) => error instanceof OpenAI.BadRequestError, 400);
  return `${parts.length} parts; too large a part: ${note}`;
}

await run("openai-node", {
  models,
  chat,
  stream,
  stream_helper: streamHelper,
  tools: () => runTools(false),
  stream_tools: () => runTools(true),
  structured,
  image,
  badkey,
  embeddings,
  responses,
  responses_stream: responsesStream,
  responses_tools: responsesTools,
  image_generate: imageGenerate,
  image_edit: imageEdit,
  image_variation: imageVariation,
  image_stream: imageStream,
  speech,
  speech_stream: speechStream,
  transcription,
  files,
  batches,
  batch_cancel: batchCancel,
  uploads,
});
