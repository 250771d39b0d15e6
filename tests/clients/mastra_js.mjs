// Mastra: an agent with two tools over several turns, unary and streamed, by its model router's own OpenAI-compatible client.
import { API_KEY, BAD_KEY, BASE_URL, MODEL, SCHEMA_PROMPT, TOOL_RESULT, expectError, load, need, person, run } from "./common.mjs";

process.env.MASTRA_TELEMETRY_DISABLED = "1";
const { Agent } = await load("@mastra/core/agent");
const { createTool } = await load("@mastra/core/tools");
const { z } = await load("zod");

const QUESTIONS = [
  "Use get_weather and get_time in Paris, in two steps.",
  "And now get_time in Rome.",
  "Compare: get_weather in Oslo.",
];
const CALLS = ["get_time Paris", "get_time Paris", "get_time Rome", "get_weather Oslo", "get_weather Paris", "get_weather Paris"];

function agent(calls, apiKey = API_KEY) {
  const inputSchema = z.object({ city: z.string() });
  const weather = createTool({
    id: "get_weather", description: "Weather of a city", inputSchema,
    execute: async ({ city }) => (calls.push(`get_weather ${city}`), { weather: TOOL_RESULT }),
  });
  const time = createTool({
    id: "get_time", description: "Local time in a city", inputSchema,
    execute: async ({ city }) => (calls.push(`get_time ${city}`), { time: "12:00" }),
  });
  return new Agent({
    id: "terse", name: "terse", instructions: "You are terse.", tools: { get_weather: weather, get_time: time },
    model: { id: `gateway/${MODEL}`, url: BASE_URL, apiKey }, maxRetries: 0,
  });
}

// Asks all questions in one conversation; ask returns the new messages and the text.
async function turns(ask) {
  const calls = [];
  const terse = agent(calls);
  const messages = [];
  let answer;
  for (const content of QUESTIONS) {
    messages.push({ role: "user", content });
    answer = await ask(terse, messages);
    messages.push(...answer.messages);
  }
  need(String(calls.sort()) === String(CALLS), calls);
  need(answer.text.includes(TOOL_RESULT), answer.text);
  return `${messages.length} messages, ${calls.length} calls`;
}

async function generate(terse, messages) {
  const { text, response, totalUsage } = await terse.generate(messages);
  need(totalUsage.totalTokens, "no usage");
  return { text, messages: response.messages };
}

async function stream(terse, messages) {
  const answer = await terse.stream(messages);
  const pieces = [];
  for await (const piece of answer.textStream) pieces.push(piece);
  need(pieces.length > 1, pieces);
  return { text: pieces.join(""), messages: (await answer.response).messages };
}

async function structured() {
  const schema = z.object({ name: z.string(), age: z.number().int() });
  const { object } = await agent([]).generate(SCHEMA_PROMPT, { structuredOutput: { schema } });
  return person(object);
}

function badkey() {
  return expectError(() => agent([], BAD_KEY).generate("x"), (error) => error.statusCode === 401);
}

await run("mastra", { agent: () => turns(generate), agent_stream: () => turns(stream), structured, badkey });
