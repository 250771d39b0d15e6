import { button, choice, code, el, facts, field, fill, tabs, toast } from "../dom.js";
import { money, ms, n } from "../i18n.js";

const MOST = 15e6; // bytes of a file

/** A part of a message for a file. @param {File} file @returns {Promise<any>} */
async function part(file) {
  const url = await new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(String(reader.result));
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });
  if (file.type.startsWith("image/")) return { type: "image_url", image_url: { url } };
  if (file.type.startsWith("audio/")) return { type: "input_audio", input_audio: { data: url.split(",")[1], format: file.type.includes("wav") ? "wav" : "mp3" } };
  return { type: "file", file: { filename: file.name, file_data: url } };
}

/** Files are shown by their beginning. @param {string} _ */
const short = (_, value) => (typeof value === "string" && value.length > 4000 ? `${value.slice(0, 60)}… (${value.length})` : value);

/** Programs for what is on screen. */
function programs(body) {
  const json = JSON.stringify(body, short, 2), stream = body.stream;
  const { model, messages, ...rest } = body;
  const python = JSON.stringify(rest).replace(/\btrue\b/g, "True").replace(/\bfalse\b/g, "False").replace(/\bnull\b/g, "None");
  return [
    ["curl", `curl "$GATEWAY/v1/chat/completions" -H "Authorization: Bearer $API_KEY" -H "Content-Type: application/json" -d @- <<'END'\n${json}\nEND`],
    ["Python", `import json, os\nfrom openai import OpenAI\n\nclient = OpenAI(base_url=os.environ["GATEWAY"] + "/v1", api_key=os.environ["API_KEY"])\nmessages = json.loads(r"""${JSON.stringify(messages, short)}""")\nanswer = client.chat.completions.create(model=${JSON.stringify(model)}, messages=messages, **${python})\n${stream ? "for chunk in answer:\n    print(chunk.choices[0].delta.content or \"\", end=\"\", flush=True)" : "print(answer.choices[0].message.content)"}`],
    ["JavaScript", `import OpenAI from "openai";\n\nconst client = new OpenAI({ baseURL: process.env.GATEWAY + "/v1", apiKey: process.env.API_KEY });\nconst answer = await client.chat.completions.create(${json});\n${stream ? "for await (const chunk of answer) process.stdout.write(chunk.choices[0]?.delta?.content ?? \"\");" : "console.log(answer.choices[0].message.content);"}`],
  ];
}

/** @type {import("../main.js").Page} */
export const page = {
  id: "playground",
  async render(root, ctx) {
    const { t } = ctx, info = await ctx.api.get("/admin/play");
    if (!ctx.mayWrite) { fill(root, el("p.notice.info", t("may.read"))); return; }
    const messages = [], files = [], chunks = [];
    let translated, done, stop;

    const model = el("input", { list: "models", value: ctx.query.get("model") ?? info.models[0] ?? "", required: true });
    const as = el("select", el("option", { value: "console" }, t("play.console", { spent: money(info.spent), most: money(info.dollars_day) })),
      info.keys.map((key) => el("option", { value: key.id }, key.name || key.id)));
    const effort = choice({}, ["", "none", "low", "medium", "high"], (id) => id || t("play.default"));
    const temperature = el("input", { type: "number", min: "0", max: "2", step: "0.1" });
    const system = el("textarea", { rows: "3" });
    const tools = el("textarea.mono", { rows: "4", spellcheck: "false" });
    const schema = el("textarea.mono", { rows: "4", spellcheck: "false" });
    const talk = el("div.talk", { role: "log", "aria-live": "polite" });
    const text = el("textarea", { rows: "3", id: "prompt", onkeydown: (event) => { if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); send(); } } });
    const dropped = el("p.row");
    const picker = el("input.visually-hidden", { type: "file", multiple: true, accept: "image/*,audio/*,application/pdf", id: "files", onchange: () => add(picker.files) });
    const halt = button(t("play.stop"), () => stop?.abort(), { kind: "danger", disabled: true });

    async function add(list) {
      for (const file of list ?? []) {
        if (file.size > MOST) { toast(t("play.large", { name: file.name }), "bad"); continue; }
        files.push({ file, part: await part(file) });
      }
      fill(dropped, files.map((entry) => el("span.chip", entry.file.name, " ", button("×", () => { files.splice(files.indexOf(entry), 1); add([]); }, { kind: "quiet", title: t("play.remove") }))));
    }

    function json(area, label) {
      if (!area.value.trim()) return undefined;
      try { return JSON.parse(area.value); } catch (error) { throw new Error(`${label}: ${error.message}`); }
    }

    function body(more = []) {
      const parts = [...files.map((entry) => entry.part), ...(text.value.trim() ? [{ type: "text", text: text.value.trim() }] : [])];
      const last = more.length ? more : parts.length ? [{ role: "user", content: parts.length === 1 && parts[0].type === "text" ? parts[0].text : parts }] : [];
      const shape = json(schema, t("play.schema"));
      return {
        model: model.value, messages: [...(system.value ? [{ role: "system", content: system.value }] : []), ...messages, ...last], stream: true,
        ...(effort.value && { reasoning_effort: effort.value }), ...(temperature.value && { temperature: Number(temperature.value) }),
        ...(tools.value.trim() && { tools: json(tools, t("play.tools")) }),
        ...(shape && { response_format: { type: "json_schema", json_schema: { name: "answer", schema: shape } } }),
      };
    }

    const nothing = () => el("p.muted", t("play.nothing"));
    function asked() {
      try { return body(); } catch { return null; } // the fault is shown when it is sent
    }
    const panes = tabs([
      { id: "gemini", label: t("play.gemini"), render: (node) => fill(node, button(t("play.translate"), look),
        translated && [el("p.muted", translated.model, translated.notes?.length > 0 && ` · ${translated.notes.join(", ")}`), translated.bodies.map((one) => code(JSON.stringify(one, short, 2)))]) },
      { id: "answer", label: t("play.answer"), render: (node) => fill(node, chunks.length ? code(chunks.map((chunk) => JSON.stringify(chunk, short)).join("\n")) : nothing()) },
      { id: "cost", label: t("cost"), render: (node) => fill(node, done ? facts([["play.input", n(done.prompt_tokens)], ["usage.cached", n(done.cached_tokens ?? 0)], ["play.output", n(done.completion_tokens)], ["usage.thoughts", n(done.thoughts ?? 0)],
        ["cost", money(done.dollars)], ["req.first", ms(done.first_byte_ms)], ["req.total", ms(done.duration_ms)]].map(([name, value]) => [t(name), value])) : nothing()) },
      { id: "code", label: t("play.code"), render: (node) => fill(node, ...programs(asked() ?? {}).flatMap(([name, source]) => [el("h2", name), code(source)])) },
    ]);
    const side = () => panes.redraw();

    async function look() {
      try {
        ({ translated } = await ctx.api.post("/admin/play", { as: as.value, body: body(), translate_only: true }));
        side();
        panes.querySelector(".button")?.focus();
      } catch (error) { toast(error.message, "bad"); }
    }

    function bubble(role, content) {
      const node = el("div", { class: `bubble ${role}` }, el("strong.visually-hidden", t(`play.${role}`)), el("p", content));
      talk.append(node);
      node.scrollIntoView({ block: "nearest" });
      return node.querySelector("p");
    }

    async function send() {
      let request;
      try { request = body(); } catch (error) { toast(error.message, "bad"); return; }
      if (stop || request.messages.at(-1)?.role !== "user") return;
      const asked = request.messages.at(-1), names = files.map((entry) => entry.file.name);
      messages.push(asked);
      bubble("user", [text.value, names.length > 0 && ` [${names.join(", ")}]`].filter(Boolean).join(""));
      text.value = "";
      text.focus();
      files.splice(0);
      await add([]);
      chunks.splice(0);
      done = null;
      const out = bubble("assistant", "");
      let answer = "", calls = [];
      stop = new AbortController();
      halt.disabled = false;
      try {
        await ctx.api.stream("/admin/play", { as: as.value, body: request }, ({ event, data }) => {
          if (event === "translated") { translated = data; side(); }
          if (event === "error") throw new Error(data.message);
          if (event === "done") done = data;
          if (event !== "chunk") return;
          chunks.push(data);
          const delta = data.choices?.[0]?.delta ?? {};
          answer += delta.content ?? "";
          for (const call of delta.tool_calls ?? []) calls[call.index ?? 0] = { ...calls[call.index ?? 0], ...call.function };
          for (const image of delta.images ?? []) out.append(el("img", { src: image.image_url.url, alt: t("play.picture") }));
          out.firstChild instanceof Text ? (out.firstChild.data = answer) : out.prepend(answer);
        }, { signal: stop.signal });
        if (calls.length) out.append(code(JSON.stringify(calls.filter(Boolean), null, 2)));
        messages.push({ role: "assistant", content: answer });
      } catch (error) {
        if (answer) messages.push({ role: "assistant", content: answer }); else messages.pop();
        out.append(el("span.notice.bad", stop.signal.aborted ? t("play.stopped") : error.message));
      }
      stop = null;
      halt.disabled = true;
      side();
    }

    const drop = (event) => { event.preventDefault(); if (event.type === "drop") add(event.dataTransfer.files); };
    fill(root, el("datalist", { id: "models" }, info.models.map((name) => el("option", { value: name }))),
      el("div.play",
        el("div.card.stack", { onchange: side }, field(t("model"), model), field(t("play.as"), as), field(t("play.effort"), effort), field(t("play.temperature"), temperature), field(t("play.system"), system),
          el("details", el("summary", t("play.more")), field(t("play.tools"), tools), field(t("play.schema"), schema))),
        el("form.card.stack", { ondragover: drop, ondrop: drop, onsubmit: (event) => { event.preventDefault(); send(); } }, talk, dropped, field(t("play.message"), text),
          el("div.row", el("button.button.primary", t("play.send")), halt, picker, el("label.button", { for: "files" }, t("play.attach")),
            button(t("play.clear"), () => { messages.splice(0); talk.replaceChildren(); }, { kind: "quiet" }))),
        el("div.card", panes)));
    ctx.onLeave(() => stop?.abort());
  },
};
