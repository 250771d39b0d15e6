// @google/genai: the native Gemini surface.
import {
  API_KEY, BAD_KEY, CHAT_PROMPT, IMAGE_PROMPT, ISSUED_KEY, MODEL, PERSON_SCHEMA, PNG_B64, ROOT_URL, SCHEMA_PROMPT, TOOL_PROMPT,
  TOOL_RESULT, WEATHER_PARAMETERS, excerpt, expectError, isParis, load, need, person, run, toolNote,
} from "./common.mjs";

const { GenerateVideosOperation, GoogleGenAI } = await load("@google/genai");
const connect = (apiKey) => new GoogleGenAI({ apiKey, vertexai: false, httpOptions: { baseUrl: ROOT_URL } });
const client = connect(API_KEY);
const { models } = client;
const declaration = { name: "get_weather", description: "Weather", parametersJsonSchema: WEATHER_PARAMETERS };

async function chat() {
  return excerpt((await models.generateContent({ model: MODEL, contents: CHAT_PROMPT })).text);
}

async function stream() {
  let text = "", count = 0;
  for await (const chunk of await models.generateContentStream({ model: MODEL, contents: CHAT_PROMPT })) {
    text += chunk.text ?? "";
    count++;
  }
  need(text, "no text");
  return `${count} chunks`;
}

async function tools() {
  const config = { tools: [{ functionDeclarations: [declaration] }] };
  const first = await models.generateContent({ model: MODEL, contents: TOOL_PROMPT, config });
  const call = first.functionCalls?.[0];
  need(isParis(call?.args?.city), first);
  const functionResponse = { name: call.name, id: call.id, response: { result: TOOL_RESULT } };
  const contents = [
    { role: "user", parts: [{ text: TOOL_PROMPT }] },
    first.candidates[0].content,
    { role: "user", parts: [{ functionResponse }] },
  ];
  return toolNote((await models.generateContent({ model: MODEL, contents, config })).text);
}

async function structured() {
  const config = { responseMimeType: "application/json", responseJsonSchema: PERSON_SCHEMA };
  return person(JSON.parse((await models.generateContent({ model: MODEL, contents: SCHEMA_PROMPT, config })).text));
}

async function image() {
  const contents = [{ text: IMAGE_PROMPT }, { inlineData: { mimeType: "image/png", data: PNG_B64 } }];
  return excerpt((await models.generateContent({ model: MODEL, contents })).text);
}

async function files(own = client) {
  const file = await own.files.upload({ file: new Blob(["hello"]), config: { mimeType: "text/plain" } });
  need(file.sizeBytes === "5", file);
  need((await own.files.get({ name: file.name })).name === file.name, file);
  if (own === client) { // a project's list has the files of other issued keys as well
    const names = [];
    for await (const listed of await own.files.list()) names.push(listed.name);
    need(names.includes(file.name), names);
  }
  const contents = [{ text: "What is in the file?" }, { fileData: { fileUri: file.uri, mimeType: file.mimeType } }];
  const { text } = await own.models.generateContent({ model: MODEL, contents });
  await own.files.delete({ name: file.name });
  return excerpt(text);
}

async function caches() {
  const cache = await client.caches.create({ model: MODEL, config: { contents: "word ".repeat(4000), ttl: "300s" } });
  const config = { cachedContent: cache.name };
  const { usageMetadata } = await models.generateContent({ model: MODEL, contents: "hi", config });
  need(usageMetadata.cachedContentTokenCount > 0, usageMetadata);
  await client.caches.delete({ name: cache.name });
  return `${usageMetadata.cachedContentTokenCount} cached tokens`;
}

// A batch with a key of the client's own, and with an issued one.
async function batches() {
  const notes = [];
  for (const key of [API_KEY, ISSUED_KEY].filter(Boolean)) notes.push(await batch(connect(key).batches));
  return notes.join(", ");
}

async function batch(api) {
  const src = [{ contents: [{ role: "user", parts: [{ text: CHAT_PROMPT }] }], metadata: { key: "1" } }];
  let job = await api.create({ model: MODEL, src, config: { displayName: "one" } });
  for (let i = 0; i < 3; i++) job = await api.get({ name: job.name });
  const [answer] = job.dest.inlinedResponses;
  need(answer.metadata.key === "1" && job.displayName === "one", job);
  await api.delete({ name: job.name });
  const { name } = await api.create({ model: MODEL, src });
  await api.cancel({ name });
  const { state } = await api.get({ name });
  need(state === "JOB_STATE_CANCELLED", state);
  return excerpt(answer.response.candidates[0].content.parts[0].text);
}

// A batch of a file's lines, whose answers are in a file.
async function batchFile() {
  const line = { key: "a", request: { contents: [{ role: "user", parts: [{ text: CHAT_PROMPT }] }] } };
  const blob = new Blob([`${JSON.stringify(line)}\n`]);
  const file = await client.files.upload({ file: blob, config: { mimeType: "application/jsonl" } });
  let job = await client.batches.create({ model: MODEL, src: file.name });
  for (let i = 0; i < 3; i++) job = await client.batches.get({ name: job.name });
  const url = `${ROOT_URL}/v1beta/${job.dest.fileName}:download?alt=media`;
  const text = await (await fetch(url, { headers: { "x-goog-api-key": API_KEY } })).text();
  need(JSON.parse(text).key === "a", text);
  return excerpt(JSON.parse(text).response.candidates[0].content.parts[0].text);
}

// The SDK makes no videos with Gemini's API since its version 3, but still reads operations.
async function operations() {
  const url = `${ROOT_URL}/v1beta/models/veo-3.1-generate-preview:predictLongRunning`;
  const headers = { "x-goog-api-key": API_KEY, "content-type": "application/json" };
  const begun = await fetch(url, { method: "POST", headers, body: JSON.stringify({ instances: [{ prompt: "a cat" }] }) });
  let operation = Object.assign(new GenerateVideosOperation(), await begun.json());
  for (let i = 0; i < 2; i++) operation = await client.operations.getVideosOperation({ operation });
  need(operation.done && operation.response.generatedVideos.length === 1, operation);
  return operation.name.slice(0, 36);
}

async function interactions(own = client) {
  const answer = await own.interactions.create({ model: MODEL, input: CHAT_PROMPT });
  const events = [];
  for await (const event of await own.interactions.create({ model: MODEL, input: "hi", stream: true })) events.push(event.event_type);
  need(events.at(-1) === "interaction.completed", events);
  return excerpt(answer.steps.at(-1).content[0].text);
}

async function authTokens() {
  const { name } = await client.authTokens.create({ config: { uses: 1 } });
  need(name.startsWith("auth_tokens/"), name);
  return name.slice(0, 14);
}

// A Live session, whose messages arrive by callbacks.
async function live(own = client) {
  const messages = [];
  let over;
  const turn = new Promise((resolve, reject) => {
    over = { resolve, reject };
  });
  const session = await own.live.connect({
    model: "gemini-3.8-live",
    config: { responseModalities: ["AUDIO"], outputAudioTranscription: {} },
    callbacks: {
      onmessage: (message) => {
        messages.push(message);
        if (message.serverContent?.turnComplete) over.resolve();
      },
      onerror: (event) => over.reject(new Error(event.message)),
      onclose: (event) => over.reject(new Error(`closed: ${event.code} ${event.reason}`)),
    },
  });
  session.sendClientContent({ turns: CHAT_PROMPT, turnComplete: true });
  await turn;
  session.close();
  need(messages.some((message) => message.data), "no sound");
  return excerpt(messages.map((message) => message.serverContent?.outputTranscription?.text ?? "").join(""));
}

// Google's own answer to a key that does not exist is a 400, and this surface answers as Google does.
function badkey() {
  const call = () => connect(BAD_KEY).models.generateContent({ model: MODEL, contents: "x" });
  return expectError(call, (error) => error.message.includes("API key not valid. Please pass a valid API key."), 400);
}

// The same with an issued key.
const issued = ISSUED_KEY ? connect(ISSUED_KEY) : undefined;
const issuedChecks = issued && {
  files_issued: () => files(issued), interactions_issued: () => interactions(issued), live_issued: () => live(issued),
};

await run("google-genai-js", {
  chat, stream, tools, structured, image, files: () => files(), caches, batches, batchFile, operations,
  interactions: () => interactions(), authTokens, live: () => live(), ...issuedChecks, badkey,
});
