// Vercel AI SDK: its providers for OpenAI (chat and responses), OpenAI-compatible servers, Anthropic and Google.
import {
  API_KEY, BAD_KEY, BASE_URL, CHAT_PROMPT, EMBED_MODEL, IMAGE_PROMPT, MODEL, PICTURE_MODEL, PNG_B64, ROOT_URL,
  SCHEMA_PROMPT, SPEECH_MODEL, TOOL_PROMPT, TOOL_RESULT, TRANSCRIPTION_MODEL, excerpt, expectError, isParis, load, need, person, prefixed, run, toolNote,
} from "./common.mjs";

globalThis.AI_SDK_LOG_WARNINGS = false;
const ai = await load("ai");
const { z } = await load("zod");
const { createOpenAI } = await load("@ai-sdk/openai");
const { createOpenAICompatible } = await load("@ai-sdk/openai-compatible");
const { createAnthropic } = await load("@ai-sdk/anthropic");
const { createGoogleGenerativeAI } = await load("@ai-sdk/google");

const compatible = (apiKey) =>
  createOpenAICompatible({ name: "gateway", baseURL: BASE_URL, apiKey, includeUsage: true, supportsStructuredOutputs: true });
const maxRetries = 0;
const stopWhen = ai.stepCountIs(3);

// The checks on one provider; connect makes its model for a key. A bad key's status differs on Google's surface.
function suite(connect, badKeyStatus = 401) {
  const model = connect(API_KEY);

  async function chat() {
    const answer = await ai.generateText({ model, prompt: CHAT_PROMPT, maxRetries });
    need(answer.usage.totalTokens, "no usage");
    return excerpt(answer.text);
  }

  // streamText reports an error to onError only.
  async function streamed(options) {
    let failure;
    const onError = ({ error }) => {
      failure = error;
    };
    const answer = ai.streamText({ model, maxRetries, onError, ...options });
    const deltas = [];
    for await (const delta of answer.textStream) deltas.push(delta);
    if (failure) throw failure;
    need((await answer.usage).totalTokens, "no usage");
    return deltas;
  }

  async function stream() {
    const deltas = await streamed({ prompt: CHAT_PROMPT });
    need(deltas.join(""), "no text");
    return `${deltas.length} deltas`;
  }

  function weather() {
    const calls = [];
    const execute = async (value) => {
      calls.push(value);
      return TOOL_RESULT;
    };
    const tool = ai.tool({ description: "Weather", inputSchema: z.object({ city: z.string() }), execute });
    return [calls, { get_weather: tool }];
  }

  async function tools() {
    const [calls, tools] = weather();
    const answer = await ai.generateText({ model, prompt: TOOL_PROMPT, tools, stopWhen, maxRetries });
    need(isParis(calls[0]?.city), { calls });
    return toolNote(answer.text);
  }

  async function streamTools() {
    const [calls, tools] = weather();
    const deltas = await streamed({ prompt: TOOL_PROMPT, tools, stopWhen });
    need(isParis(calls[0]?.city), { calls });
    return toolNote(deltas.join(""));
  }

  async function structured() {
    const schema = z.object({ name: z.string(), age: z.number().int() });
    return person((await ai.generateObject({ model, schema, prompt: SCHEMA_PROMPT, maxRetries })).object);
  }

  async function image() {
    const picture = { type: "image", image: Buffer.from(PNG_B64, "base64"), mediaType: "image/png" };
    const messages = [{ role: "user", content: [{ type: "text", text: IMAGE_PROMPT }, picture] }];
    return excerpt((await ai.generateText({ model, messages, maxRetries })).text);
  }

  function badkey() {
    const call = () => ai.generateText({ model: connect(BAD_KEY), prompt: "x", maxRetries });
    return expectError(call, (error) => ai.APICallError.isInstance(error), badKeyStatus);
  }

  return { chat, stream, tools, stream_tools: streamTools, structured, image, badkey };
}

// The default provider names what was stored by its id: each later turn refers to the items of all earlier ones.
async function turns() {
  const model = createOpenAI({ baseURL: BASE_URL, apiKey: API_KEY })(MODEL);
  const tools = {
    get_weather: ai.tool({ description: "Weather", inputSchema: z.object({ city: z.string() }), execute: async () => TOOL_RESULT }),
  };
  const messages = [];
  let calls = 0;
  for (let turn = 0; turn < 5; turn++) {
    messages.push({ role: "user", content: TOOL_PROMPT });
    const options = { model, messages, tools, stopWhen, maxRetries };
    const answer = turn % 2 ? ai.streamText(options) : await ai.generateText(options);
    need(await answer.text, `no text in turn ${turn}`);
    calls += (await answer.steps).flatMap((step) => step.toolCalls).length;
    messages.push(...(await answer.response).messages);
  }
  return `${messages.length} messages, ${calls} calls`;
}

// Tools that OpenAI's models know and the client runs.
async function clientRun() {
  const openai = createOpenAI({ baseURL: BASE_URL, apiKey: API_KEY });
  const run = [];
  const keep = (name, result) => async (call) => {
    run.push([name, call]);
    return result;
  };
  const exit = { stdout: "hi", stderr: "", outcome: { type: "exit", exitCode: 0 } };
  const tools = {
    shell: openai.tools.shell({ execute: keep("shell", { output: [exit] }) }),
    local_shell: openai.tools.localShell({ execute: keep("local_shell", { output: "hi" }) }),
    apply_patch: openai.tools.applyPatch({ execute: keep("apply_patch", { status: "completed", output: "done" }) }),
  };
  for (const name of Object.keys(tools)) {
    const options = { model: openai(MODEL), prompt: `Use the tool ${name}.`, tools: { [name]: tools[name] }, stopWhen, maxRetries };
    need((await ai.generateText(options)).text, `no text after ${name}`);
    need(await ai.streamText(options).text, `no text after a streamed ${name}`);
  }
  need(run.length >= 6, { run });
  return run.map(([name]) => name).join(" ");
}

async function embeddings() {
  const model = compatible(API_KEY).textEmbeddingModel(EMBED_MODEL);
  const answer = await ai.embedMany({ model, values: ["a", "b"] });
  need(answer.embeddings.length === 2, `${answer.embeddings.length} vectors`);
  return `${answer.embeddings[0].length} dimensions`;
}

// A picture and an edit of it, by the provider of OpenAI-compatible servers and by OpenAI's own.
async function pictures() {
  const models = [compatible(API_KEY).imageModel(PICTURE_MODEL), openai.image(PICTURE_MODEL)];
  const sizes = [];
  for (const model of models) {
    const { image } = await ai.generateImage({ model, prompt: "a blue square", size: "1536x1024", maxRetries });
    need(/^image\/(png|jpeg)$/.test(image.mediaType) && image.uint8Array.length > 500, image.mediaType);
    const prompt = { images: [image.uint8Array], text: "make it red" };
    const edited = await ai.generateImage({ model, prompt, maxRetries });
    need(edited.image.uint8Array.length > 500, "no edited picture");
    sizes.push(image.uint8Array.length);
  }
  return `${sizes} bytes`;
}

async function spoken(outputFormat) {
  const model = openai.speech(SPEECH_MODEL);
  const { audio } = await ai.experimental_generateSpeech({ model, text: "Good morning.", voice: "alloy", outputFormat, maxRetries });
  need(audio.uint8Array.length > 500, audio);
  return audio;
}

async function speech() {
  const audio = await spoken("mp3");
  return `${audio.mediaType}, ${audio.uint8Array.length} bytes`;
}

async function transcription() {
  const { uint8Array: audio } = await spoken("wav");
  const texts = [];
  for (const name of [TRANSCRIPTION_MODEL, MODEL]) {
    const { text } = await ai.experimental_transcribe({ model: openai.transcription(name), audio, maxRetries });
    need(text, name);
    texts.push(text);
  }
  return excerpt(texts[0]);
}

const openai = createOpenAI({ baseURL: BASE_URL, apiKey: API_KEY });
const google = (apiKey) => createGoogleGenerativeAI({ baseURL: `${ROOT_URL}/v1beta`, apiKey })(MODEL);
await run("ai-sdk", {
  ...prefixed("compatible", suite((apiKey) => compatible(apiKey)(MODEL))),
  ...prefixed("chat", suite((apiKey) => createOpenAI({ baseURL: BASE_URL, apiKey }).chat(MODEL))),
  ...prefixed("responses", suite((apiKey) => createOpenAI({ baseURL: BASE_URL, apiKey }).responses(MODEL))),
  ...prefixed("anthropic", suite((apiKey) => createAnthropic({ baseURL: BASE_URL, apiKey })(MODEL))),
  // Google's own answer to a key that does not exist is a 400, and this surface answers as Google does.
  ...prefixed("google", suite(google, 400)),
  responses_turns: turns,
  responses_client_run: clientRun,
  embeddings,
  pictures,
  speech,
  transcription,
});
