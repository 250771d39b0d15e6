// LangChain.js: files and sounds, and agents with two tools over several turns of a thread, unary and streamed, on two APIs of ChatOpenAI.
import {
  API_KEY, BAD_KEY, BASE_URL, CHAT_PROMPT, MODEL, SCHEMA_PROMPT, SPEECH_MODEL, TOOL_RESULT, excerpt, expectError, load, need, person, prefixed, run,
} from "./common.mjs";

const { createAgent, providerStrategy, tool } = await load("langchain");
const { HumanMessage } = await load("@langchain/core/messages");
const { default: OpenAI, toFile } = await load("openai");
const { ChatOpenAI } = await load("@langchain/openai");
const { MemorySaver } = await load("@langchain/langgraph");
const { z } = await load("zod");

const QUESTIONS = [
  "Use get_weather and get_time in Paris, in two steps.",
  "And now get_time in Rome.",
  "Compare: get_weather in Oslo.",
];
const CALLS = ["get_time Paris", "get_time Paris", "get_time Rome", "get_weather Oslo", "get_weather Paris", "get_weather Paris"];

// The checks on one of ChatOpenAI's two APIs.
function suite(useResponsesApi) {
  const connect = (apiKey) =>
    new ChatOpenAI({ model: MODEL, apiKey, useResponsesApi, maxRetries: 0, configuration: { baseURL: BASE_URL } });

  function agent(calls, options = {}) {
    const schema = z.object({ city: z.string() });
    const weather = tool(({ city }) => (calls.push(`get_weather ${city}`), TOOL_RESULT), {
      name: "get_weather", description: "Weather of a city", schema,
    });
    const time = tool(({ city }) => (calls.push(`get_time ${city}`), JSON.stringify({ time: "12:00", city })), {
      name: "get_time", description: "Local time in a city", schema,
    });
    return createAgent({
      model: connect(API_KEY), tools: [weather, time], systemPrompt: "You are terse.", checkpointer: new MemorySaver(), ...options,
    });
  }

  async function turns(ask) {
    const calls = [];
    const react = agent(calls);
    const config = { configurable: { thread_id: "1" } };
    for (const question of QUESTIONS) await ask(react, { messages: [{ role: "user", content: question }] }, config);
    const { messages } = (await react.getState(config)).values;
    need(String(calls.sort()) === String(CALLS), calls);
    need(messages.at(-1).text.includes(TOOL_RESULT), messages.at(-1));
    return `${messages.length} messages, ${calls.length} calls`;
  }

  const unary = () => turns((react, state, config) => react.invoke(state, config));

  const streamed = () =>
    turns(async (react, state, config) => {
      const pieces = [];
      for await (const [chunk] of await react.stream(state, { ...config, streamMode: "messages" })) {
        if (chunk.type === "ai" && chunk.text) pieces.push(chunk.text);
      }
      need(pieces.length > 1, pieces);
    });

  async function structured() {
    const calls = [];
    const schema = z.object({ name: z.string(), age: z.number().int() });
    // By default a tool takes the object, and LangChain demands its call with a tool_choice that it sends to chat only.
    const responseFormat = useResponsesApi ? providerStrategy(schema) : schema;
    const config = { configurable: { thread_id: "2" } };
    const state = { messages: [{ role: "user", content: `${SCHEMA_PROMPT} Use get_weather in Paris first.` }] };
    const { structuredResponse } = await agent(calls, { responseFormat }).invoke(state, config);
    need(calls.length, "no tool ran");
    return person(structuredResponse);
  }

  // A file that was uploaded before, by its id, in each API's own block.
  async function file() {
    const { files } = new OpenAI({ apiKey: API_KEY, baseURL: BASE_URL, maxRetries: 0 });
    const { id } = await files.create({ file: await toFile(Buffer.from("The meeting is on Friday."), "notes.txt"), purpose: "user_data" });
    const block = useResponsesApi ? { type: "input_file", file_id: id } : { type: "file", file: { file_id: id } };
    const answer = await connect(API_KEY).invoke([new HumanMessage({ content: [{ type: "text", text: CHAT_PROMPT }, block] })]);
    await files.delete(id);
    return excerpt(answer.text);
  }

  // LangChain's block of a sound, which chat completions take.
  async function audio() {
    const { audio: { speech } } = new OpenAI({ apiKey: API_KEY, baseURL: BASE_URL, maxRetries: 0 });
    const sound = await speech.create({ model: SPEECH_MODEL, voice: "alloy", input: "Good morning.", response_format: "wav" });
    const data = Buffer.from(await sound.arrayBuffer()).toString("base64");
    const block = { type: "audio", source_type: "base64", mime_type: "audio/wav", data };
    const answer = await connect(API_KEY).invoke([new HumanMessage({ content: [{ type: "text", text: CHAT_PROMPT }, block] })]);
    return excerpt(answer.text);
  }

  function badkey() {
    const call = () => connect(BAD_KEY).invoke("x");
    return expectError(call, (error) => error.status === 401 || error.lc_error_code === "MODEL_AUTHENTICATION");
  }

  return { agent: unary, agent_stream: streamed, structured, file, ...(useResponsesApi ? {} : { audio }), badkey };
}

await run("langchain-js", { ...suite(false), ...prefixed("responses", suite(true)) });
