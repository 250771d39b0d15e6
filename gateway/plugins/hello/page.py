"""The page that a browser gets at `/`: what this is, the base URL, which key to use, and four ways to call it."""

from pathlib import Path

from aiohttp import web
from msgspec import Struct

from gateway.exchange.replies.web_page import WebPage

_FILES = Path(__file__).parent
_FRAME = WebPage(
    _FILES.joinpath("page.css").read_text("utf-8"), _FILES.joinpath("page.js").read_text("utf-8")
)

TEXTS = {
    "en": {
        "what": "This is an OpenAI-compatible gateway to Google Gemini. It is {status}.",
        "ready": "ready", "draining": "about to restart",
        "base": "Base URL for programs",
        "copy": "Copy", "copied": "Copied",
        "key": "API key",
        "own": 'your own Gemini API key (<a href="https://aistudio.google.com/apikey">Google AI Studio</a> makes one)',
        "issued": "a key that this gateway has issued; ask {contact} for one", "operator": "its operator",
        "or": " or ", "stop": ".", "colon": ": ", "none": "none is accepted",
        "use": "What your key may do, has used and has left: <a href='usage'>usage</a>.",
        "try": "Try it", "agents": "Agents",
    },
    "zh": {
        "what": "这是一个兼容 OpenAI 接口的 Google Gemini 网关，当前状态：{status}。",
        "ready": "正常（ready）", "draining": "即将重启（about to restart）",
        "base": "程序使用的 Base URL",
        "copy": "复制", "copied": "已复制",
        "key": "API 密钥",
        "own": '你的 Gemini API 密钥（在 <a href="https://aistudio.google.com/apikey">Google AI Studio</a> 创建）',
        "issued": "本网关签发的密钥，请向{contact}申请", "operator": "管理员",
        "or": "，或", "stop": "。", "colon": "：", "none": "不接受任何密钥",
        "use": "查看密钥的权限、用量和余额：<a href='usage'>usage</a>。",
        "try": "试一试", "agents": "Agent",
    },
}  # fmt: skip
"""Texts of the page by language. Values are markup."""


class Facts(Struct, frozen=True):
    """Facts that the page tells."""

    address: str
    """Of the gateway, without a path."""
    draining: bool
    passthrough: bool
    """Whether Gemini keys of clients are taken."""
    issued: bool
    """Whether keys of the gateway are taken."""
    contact: str
    """Name or address of the issuer of keys, or an empty text."""
    usage: bool
    """Whether there is a page `/usage`."""
    model: str
    """The default model, for the examples."""


def page(facts: Facts, lang: str) -> web.Response:
    """Return the page. Each value of `facts` is a text, which is escaped here."""
    texts, base = TEXTS[lang], _escape(f"{facts.address}/v1")
    status = texts["draining" if facts.draining else "ready"]
    parts = [
        f"<h1>hello</h1>\n<p>{texts['what'].format(status=status)}</p>",
        f'<h2 id="base">{texts["base"]}</h2>\n<p class="row"><code id="url">{base}</code> {_copy("url", texts)}</p>',
        f"<p>{texts['key']}{texts['colon']}{_keys(facts, texts)}{texts['stop']}</p>",
        f"<p>{texts['use']}</p>" if facts.usage else "",
        f'<h2>{texts["try"]}</h2>\n<div class="tabs" role="radiogroup" aria-label="{texts["try"]}">',
    ]
    for number, (name, code) in enumerate(_examples(facts, texts["agents"]).items()):
        checked = "" if number else " checked"
        parts.append(
            f'<input type="radio" name="example" id="t{number}"{checked}><label for="t{number}">{name}</label>'
            f'<pre tabindex="0">{_escape(code)}</pre>'
        )
    return _FRAME.response(lang, "hello", "\n".join([*parts, "</div>"]))


def _escape(text: str) -> str:
    from html import escape  # 0.4 MB, since it has the names of all characters

    return escape(text)


def _copy(target: str, texts: dict[str, str]) -> str:
    return f'<button type="button" value="{target}" data-done="{texts["copied"]}">{texts["copy"]}</button>'


def _keys(facts: Facts, texts: dict[str, str]) -> str:
    contact = _escape(facts.contact) or texts["operator"]
    keys = [texts["own"]] if facts.passthrough else []
    keys += [texts["issued"].format(contact=contact)] if facts.issued else []
    return texts["or"].join(keys) or texts["none"]


def _examples(facts: Facts, agents: str) -> dict[str, str]:
    """Return the code of each tab."""
    address, model = facts.address, facts.model
    body = f'{{"model": "{model}", "messages": [{{"role": "user", "content": "Hello!"}}]}}'
    return {
        "curl": f"curl {address}/v1/chat/completions -H \"Authorization: Bearer $API_KEY\" -d '{body}'",
        "Python": f"""import os
from openai import OpenAI

client = OpenAI(base_url="{address}/v1", api_key=os.environ["API_KEY"])
answer = client.chat.completions.create(
    model="{model}", messages=[{{"role": "user", "content": "Hello!"}}]
)
print(answer.choices[0].message.content)""",
        "JavaScript": f"""import OpenAI from "openai";

const client = new OpenAI({{ baseURL: "{address}/v1", apiKey: process.env.API_KEY }});
const answer = await client.chat.completions.create({{
  model: "{model}", messages: [{{ role: "user", content: "Hello!" }}],
}});
console.log(answer.choices[0].message.content);""",
        agents: f"""# Claude Code
export ANTHROPIC_BASE_URL={address}
export ANTHROPIC_AUTH_TOKEN=$API_KEY
export ANTHROPIC_MODEL={model}

# Codex: ~/.codex/config.toml, with the key in API_KEY
model = "{model}"
model_provider = "gateway"
[model_providers.gateway]
name = "gateway"
base_url = "{address}/v1"
env_key = "API_KEY"
wire_api = "responses"

# Programs that read OpenAI's variables
export OPENAI_BASE_URL={address}/v1
export OPENAI_API_KEY=$API_KEY""",
    }
