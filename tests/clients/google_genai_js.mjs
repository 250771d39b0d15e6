// @google/genai: the native Gemini surface.
import {
  API_KEY, BAD_KEY, CHAT_PROMPT, IMAGE_PROMPT, MODEL, PERSON_SCHEMA, PNG_B64, ROOT_URL, SCHEMA_PROMPT, TOOL_PROMPT,
  TOOL_RESULT, WEATHER_PARAMETERS, excerpt, expectError, isParis, load, need, person, run, toolNote,
} from "./common.mjs";

const { GoogleGenAI } = await load("@google/genai");
const connect = (apiKey) => new GoogleGenAI({ apiKey, vertexai: false, httpOptions: { baseUrl: ROOT_URL } });
const { models } = connect(API_KEY);
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

// Google's own answer to a key that does not exist is a 400, and this surface answers as Google does.
function badkey() {
  const call = () => connect(BAD_KEY).models.generateContent({ model: MODEL, contents: "x" });
  return expectError(call, (error) => error.message.includes("API key not valid. Please pass a valid API key."), 400);
}

await run("google-genai-js", { chat, stream, tools, structured, image, badkey });
