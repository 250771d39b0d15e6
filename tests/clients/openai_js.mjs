// openai (npm): chat completions with the SDK's helpers (stream, runTools, parse), responses, embeddings, models.
import {
  API_KEY, BAD_KEY, BASE_URL, CHAT_PROMPT, EMBED_MODEL, IMAGE_PROMPT, MODEL, PERSON_SCHEMA, PICTURE_MODEL, PNG_B64,
  PNG_URI, SCHEMA_PROMPT,
  TOOL_PROMPT, TOOL_RESULT, WEATHER_PARAMETERS, excerpt, expectError, isParis, load, need, person, run, toolNote,
} from "./common.mjs";

const { default: OpenAI, toFile } = await load("openai");
const connect = (apiKey) => new OpenAI({ baseURL: BASE_URL, apiKey, maxRetries: 0, timeout: 60_000 });
const client = connect(API_KEY);
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
  image_stream: imageStream,
});
