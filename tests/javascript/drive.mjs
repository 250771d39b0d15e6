// Drives openai (npm) and the Vercel AI SDK against BASE_URL; prints one JSON object: check to what came of it.
import Anthropic from "@anthropic-ai/sdk";
import { GoogleGenAI } from "@google/genai";
import OpenAI from "openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import * as ai from "ai";
import { z } from "zod";

globalThis.AI_SDK_LOG_WARNINGS = false;
const { BASE_URL: baseURL, MODEL: model } = process.env;
const client = new OpenAI({ baseURL, apiKey: "k", maxRetries: 0 });
const bad = new OpenAI({ baseURL, apiKey: "bad", maxRetries: 0 });
const sdk = createOpenAICompatible({ name: "gateway", baseURL, apiKey: "k", includeUsage: true, supportsStructuredOutputs: true })(model);
const root = baseURL.replace(/\/v1$/, "");
const claude = new Anthropic({ baseURL: root, apiKey: "k", maxRetries: 0 });
const google = new GoogleGenAI({ apiKey: "k", httpOptions: { baseUrl: root } });
const user = (content) => [{ role: "user", content }];
const city = { type: "object", properties: { city: { type: "string" } }, required: ["city"], additionalProperties: false };
const person = { type: "object", properties: { name: { type: "string" }, age: { type: "integer" } }, required: ["name", "age"], additionalProperties: false };
const weather = (seen) => [{ type: "function", function: { name: "get_weather", parameters: city, parse: JSON.parse, function: ({ city }) => (seen.push(city), "SUNNY-42") } }];
const prompt = "Use get_weather in Oslo, in 3 steps.";
const tools = (seen) => ({ get_weather: ai.tool({ inputSchema: z.object({ city: z.string() }), execute: ({ city }) => (seen.push(city), "SUNNY-42") }) });
const steps = { stopWhen: ai.stepCountIs(6), maxRetries: 0 };

const checks = {
  "openai create": async () => (await client.chat.completions.create({ model, messages: user("hi") })).choices[0].message.content,
  "openai stream": async () => {
    let text = "", usage;
    for await (const chunk of await client.chat.completions.create({ model, messages: user("hi"), stream: true, stream_options: { include_usage: true } })) {
      text += chunk.choices[0]?.delta?.content ?? "";
      usage = chunk.usage ?? usage;
    }
    return [text, usage.total_tokens > 0];
  },
  "openai tools": async () => { const seen = []; const run = client.chat.completions.runTools({ model, messages: user(prompt), tools: weather(seen) }); return [await run.finalContent(), seen]; },
  "openai streamed tools": async () => { const seen = []; const run = client.chat.completions.runTools({ stream: true, model, messages: user(prompt), tools: weather(seen) }); return [await run.finalContent(), seen]; },
  "openai parse": async () => (await client.chat.completions.parse({ model, messages: user("Ada"), response_format: { type: "json_schema", json_schema: { name: "person", strict: true, schema: person } } })).choices[0].message.parsed,
  "openai error": async () => { try { await bad.chat.completions.create({ model, messages: user("x") }); } catch (error) { return [error instanceof OpenAI.AuthenticationError, error.code]; } },
  "openai responses": async () => { const made = await client.responses.create({ model, input: "hi" }); return [made.output_text, (await client.responses.retrieve(made.id)).status]; },
  "openai embeddings": async () => (await client.embeddings.create({ model: "gemini-embedding-001", input: ["a", "b"] })).data.length,
  "openai models": async () => { for await (const one of client.models.list()) if (one.id === model) return true; },
  "anthropic create": async () => (await claude.messages.create({ model, max_tokens: 99, messages: user("hi") })).content[0].text,
  "anthropic stream": async () => (await claude.messages.stream({ model, max_tokens: 99, messages: user("hi") }).finalMessage()).content[0].text,
  "google generate": async () => (await google.models.generateContent({ model, contents: "hi" })).text,
  "google stream": async () => { let text = ""; for await (const piece of await google.models.generateContentStream({ model, contents: "hi" })) text += piece.text ?? ""; return text; },
  "ai-sdk generate": async () => (await ai.generateText({ model: sdk, prompt: "hi", maxRetries: 0 })).text,
  "ai-sdk stream": async () => { let text = ""; for await (const piece of ai.streamText({ model: sdk, prompt: "hi", maxRetries: 0 }).textStream) text += piece; return text; },
  "ai-sdk tools": async () => { const seen = []; const { text } = await ai.generateText({ model: sdk, prompt, tools: tools(seen), ...steps }); return [text, seen]; },
  "ai-sdk streamed tools": async () => { const seen = []; const result = ai.streamText({ model: sdk, prompt, tools: tools(seen), ...steps }); return [await result.text, seen]; },
  "ai-sdk object": async () => (await ai.generateObject({ model: sdk, prompt: "Ada", schema: z.object({ name: z.string(), age: z.number().int() }), maxRetries: 0 })).object,
};

const found = {};
for (const [name, check] of Object.entries(checks)) {
  try { found[name] = await check(); } catch (error) { found[name] = `${error?.name}: ${error?.message}`; }
}
console.log(JSON.stringify(found));
