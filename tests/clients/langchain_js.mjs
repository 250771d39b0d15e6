// LangChain.js: agents with two tools over several turns of a thread, unary and streamed, on two APIs of ChatOpenAI.
import { API_KEY, BAD_KEY, BASE_URL, MODEL, SCHEMA_PROMPT, TOOL_RESULT, expectError, load, need, person, prefixed, run } from "./common.mjs";

const { createAgent, providerStrategy, tool } = await load("langchain");
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

  function badkey() {
    const call = () => connect(BAD_KEY).invoke("x");
    return expectError(call, (error) => error.status === 401 || error.lc_error_code === "MODEL_AUTHENTICATION");
  }

  return { agent: unary, agent_stream: streamed, structured, badkey };
}

await run("langchain-js", { ...suite(false), ...prefixed("responses", suite(true)) });
