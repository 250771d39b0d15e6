// @openai/agents: agents on the Responses API and on chat completions.
import {
  API_KEY, BAD_KEY, BASE_URL, CHAT_PROMPT, IMAGE_PROMPT, MODEL, PNG_URI, SCHEMA_PROMPT, TOOL_PROMPT, TOOL_RESULT,
  excerpt, expectError, isParis, load, need, person, prefixed, run, toolNote,
} from "./common.mjs";

process.env.OPENAI_AGENTS_DISABLE_TRACING = "1"; // otherwise traces go to api.openai.com
const agents = await load("@openai/agents");
const { default: OpenAI } = await load("openai");
const { z } = await load("zod");
agents.setTracingDisabled(true);

// The checks on one of the two model classes.
function suite(Model) {
  const agent = (options = {}, apiKey = API_KEY) => {
    const model = new Model(new OpenAI({ baseURL: BASE_URL, apiKey, maxRetries: 0 }), MODEL);
    return new agents.Agent({ name: "A", instructions: "Be terse.", model, ...options });
  };

  async function chat() {
    return excerpt((await agents.run(agent(), CHAT_PROMPT)).finalOutput);
  }

  async function stream() {
    const result = await agents.run(agent(), CHAT_PROMPT, { stream: true });
    let count = 0;
    for await (const event of result) {
      if (event.type === "raw_model_stream_event" && event.data.type === "output_text_delta") count++;
    }
    need(count, "no deltas");
    need(result.finalOutput, "no text");
    return `${count} deltas`;
  }

  async function tools() {
    let argument;
    const execute = async (value) => {
      argument = value;
      return TOOL_RESULT;
    };
    const parameters = z.object({ city: z.string() });
    const weather = agents.tool({ name: "get_weather", description: "Weather", parameters, execute });
    const { finalOutput } = await agents.run(agent({ tools: [weather] }), TOOL_PROMPT);
    need(isParis(argument?.city), { argument });
    return toolNote(finalOutput);
  }

  async function structured() {
    const outputType = z.object({ name: z.string(), age: z.number() });
    return person((await agents.run(agent({ outputType }), SCHEMA_PROMPT)).finalOutput);
  }

  async function image() {
    const content = [{ type: "input_text", text: IMAGE_PROMPT }, { type: "input_image", image: PNG_URI }];
    return excerpt((await agents.run(agent(), [{ role: "user", content }])).finalOutput);
  }

  function badkey() {
    return expectError(() => agents.run(agent({}, BAD_KEY), "x"), (error) => error.status === 401);
  }

  return { chat, stream, tools, structured, image, badkey };
}

await run("openai-agents-js", {
  ...prefixed("responses", suite(agents.OpenAIResponsesModel)),
  ...prefixed("chat", suite(agents.OpenAIChatCompletionsModel)),
});
