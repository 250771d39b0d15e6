"""Table of programs and of the settings that connect each to the gateway.

`gateway connect` prints or writes these settings, and docs/clients/ has a page for each program. Texts contain
`{url}` (base URL without `/v1`), `{key}` and `{model}`.
"""

from dataclasses import dataclass
from typing import Any, Literal

from gateway.policy.models.catalog import ModelsConfig

Format = Literal["env", "toml", "yaml", "json"]


@dataclass(frozen=True)
class SettingsFile:
    """Settings in one file of a program."""

    path: str
    """Below the home directory."""
    format: Format
    top: str = ""
    """Lines for the begin of the file: keys of TOML that stand before all tables, or of YAML."""
    lines: str = ""
    """Lines for the end of the file."""
    item: str = ""
    """Lines of one item for the list `models` of a YAML file."""
    values: dict[str, Any] | None = None
    """Values that are merged into a JSON object."""
    aside: tuple[str, ...] = ()
    """More keys at the top that would defeat those of `top`."""
    moved: tuple[tuple[str, str], ...] = ()
    """Variables that replace the first folders of the path, and these folders. The first that is set counts."""


@dataclass(frozen=True)
class Client:
    """A program, a library or an application."""

    name: str
    """As in `gateway connect NAME`."""
    title: str
    link: str
    """Its own documentation of these settings."""
    surface: str
    """API of the gateway that it speaks."""
    environment: tuple[tuple[str, str], ...] = ()
    """Variables in the shell that starts it."""
    files: tuple[SettingsFile, ...] = ()
    rivals: tuple[str, ...] = ()
    """Variables of the shell that count more than the settings."""
    project: tuple[tuple[str, str], ...] = ()
    """Files in a project's folder, or below `~/`, that count more, and a pattern of what in them does."""
    steps: tuple[str, ...] = ()
    """Steps for a person, in the program's own screens."""
    attempt: str = ""
    """A command that shows that it works."""
    remark: str = ""
    seen: str = ""
    """Release that `make test-clients` runs with these settings."""


_V1 = "{url}/v1"
_CODEX_TOP = """model = "{model}"
model_provider = "gateway"
model_context_window = 1048576
"""
_CODEX = """[model_providers.gateway]
name = "gateway"
base_url = "{url}/v1"
env_key = "GATEWAY_API_KEY"
wire_api = "responses"
"""
_CONTINUE = """- name: Gemini
  provider: openai
  model: "{model}"
  apiBase: "{url}/v1"
  apiKey: "{key}"
  roles: [chat, edit, apply]
"""
_LLM = """- model_id: gateway
  model_name: "{model}"
  api_base: "{url}/v1"
  api_key_name: gateway
  can_stream: true
  supports_tools: true
  supports_schema: true
  vision: true
"""
_MODELS = ModelsConfig()
_OPEN_WEBUI = (
    ("OPENAI_API_BASE_URL", _V1),
    ("OPENAI_API_KEY", "{key}"),
    ("ENABLE_IMAGE_GENERATION", "true"),
    ("IMAGES_OPENAI_API_BASE_URL", _V1),
    ("IMAGES_OPENAI_API_KEY", "{key}"),
    ("IMAGE_GENERATION_MODEL", _MODELS.image),
    ("AUDIO_TTS_ENGINE", "openai"),
    ("AUDIO_TTS_OPENAI_API_BASE_URL", _V1),
    ("AUDIO_TTS_OPENAI_API_KEY", "{key}"),
    ("AUDIO_TTS_MODEL", _MODELS.speech),
    ("AUDIO_STT_ENGINE", "openai"),
    ("AUDIO_STT_OPENAI_API_BASE_URL", _V1),
    ("AUDIO_STT_OPENAI_API_KEY", "{key}"),
    ("AUDIO_STT_MODEL", _MODELS.transcription),
    ("RAG_EMBEDDING_ENGINE", "openai"),
    ("RAG_OPENAI_API_BASE_URL", _V1),
    ("RAG_OPENAI_API_KEY", "{key}"),
    ("RAG_EMBEDDING_MODEL", _MODELS.embeddings),
)
_AIDER = """openai-api-base: "{url}/v1"
openai-api-key: "{key}"
model: "openai/{model}"
"""
_OPENCODE = {
    "$schema": "https://opencode.ai/config.json",
    "model": "gateway/{model}",
    "provider": {
        "gateway": {
            "npm": "@ai-sdk/openai-compatible",
            "name": "Gemini",
            "options": {"baseURL": _V1, "apiKey": "{key}"},
            "models": {"{model}": {"name": "{model}"}},
        }
    },
}
_CLINE = {
    "version": 1,
    "lastUsedProvider": "openai-compatible",
    "providers": {
        "openai-compatible": {
            "settings": {
                "provider": "openai-compatible",
                "apiKey": "{key}",
                "model": "{model}",
                "baseUrl": _V1,
            },
            "updatedAt": "2026-01-01T00:00:00.000Z",
            "tokenSource": "manual",
        }
    },
}
_CLAUDE = {
    "env": {
        "ANTHROPIC_BASE_URL": "{url}",
        "ANTHROPIC_AUTH_TOKEN": "{key}",
        "ANTHROPIC_MODEL": "{model}",
        "ANTHROPIC_DEFAULT_OPUS_MODEL": "{model}",
        "ANTHROPIC_DEFAULT_SONNET_MODEL": "{model}",
        "ANTHROPIC_DEFAULT_HAIKU_MODEL": "{model}",
        # Those of the shell, or of this file before, would count more: a second key, and other providers.
        "ANTHROPIC_API_KEY": "",
        "CLAUDE_CODE_USE_ANTHROPIC_AWS": "",
        "CLAUDE_CODE_USE_BEDROCK": "",
        "CLAUDE_CODE_USE_FOUNDRY": "",
        "CLAUDE_CODE_USE_MANTLE": "",
        "CLAUDE_CODE_USE_VERTEX": "",
    }
}
_CLAUDE_PROJECT = r'"(ANTHROPIC|CLAUDE_CODE_USE)_\w+"'
_GEMINI = {"security": {"auth": {"selectedType": "gemini-api-key"}}}
_QWEN = {"security": {"auth": {"selectedType": "openai"}}, "model": {"name": "{model}"}}
_GEMINI_TRUST = (
    "Gemini CLI reads its `.env` only in a folder that it trusts: start `gemini` in your project's folder and trust "
    "it, or set `GEMINI_CLI_TRUST_WORKSPACE=true`."
)

CLIENTS = {
    client.name: client
    for client in (
        Client(
            "aider",
            "aider",
            "https://aider.chat/docs/llms/openai-compat.html",
            "chat completions",
            files=(SettingsFile(".aider.conf.yml", "yaml", top=_AIDER),),
            rivals=("AIDER_OPENAI_API_BASE", "AIDER_OPENAI_API_KEY", "AIDER_MODEL"),
            project=(
                (".aider.conf.yml", "^(model|openai-api-)"),
                (".env", "^(export )?AIDER_(MODEL|OPENAI_API_)"),
            ),
            attempt="aider --message 'say hello'",
            seen="0.86.2",
        ),
        Client(
            "anthropic-sdk",
            "Anthropic's SDKs",
            "https://docs.anthropic.com/en/api/client-sdks",
            "Messages",
            environment=(("ANTHROPIC_BASE_URL", "{url}"), ("ANTHROPIC_API_KEY", "{key}")),
            remark="A model's name is Gemini's, such as `{model}`; another name becomes the default model.",
            seen="2.12.0 (Python), 1.12.0 (JavaScript)",
        ),
        Client(
            "claude",
            "Claude Code",
            "https://docs.anthropic.com/en/docs/claude-code/settings",
            "Messages",
            files=(
                SettingsFile(
                    ".claude/settings.json", "json", values=_CLAUDE, moved=(("CLAUDE_CONFIG_DIR", ".claude"),)
                ),
            ),
            project=(
                (".claude/settings.json", _CLAUDE_PROJECT),
                (".claude/settings.local.json", _CLAUDE_PROJECT),
            ),
            attempt="claude -p 'say hello'",
            remark="The variables can also be set in the shell that starts it. With `ENABLE_TOOL_SEARCH` set to `true`"
            " the tools of MCP servers are looked up when they are needed, instead of sent with each request.",
            seen="2.1.197",
        ),
        Client(
            "cline",
            "Cline",
            "https://docs.cline.bot/provider-config/openai-compatible",
            "chat completions",
            files=(
                SettingsFile(
                    ".cline/data/settings/providers.json",
                    "json",
                    values=_CLINE,
                    moved=(("CLINE_DATA_DIR", ".cline/data"), ("CLINE_DIR", ".cline")),
                ),
            ),
            steps=(
                "In an editor, open Cline's settings, and choose the API provider `OpenAI Compatible`.",
                "Base URL: `{url}/v1`",
                "API key: `{key}`",
                "Model ID: `{model}`",
            ),
            attempt="cline 'say hello'",
            remark="The file is its command line's, the steps are its extension's.",
            seen="3.0.65",
        ),
        Client(
            "codex",
            "Codex",
            "https://github.com/openai/codex/blob/main/docs/config.md",
            "Responses",
            environment=(("GATEWAY_API_KEY", "{key}"),),
            files=(
                SettingsFile(
                    ".codex/config.toml",
                    "toml",
                    top=_CODEX_TOP,
                    lines=_CODEX,
                    aside=("profile",),
                    moved=(("CODEX_HOME", ".codex"),),
                ),
            ),
            project=((".codex/config.toml", "^(model|model_provider|profile)[ =]"),),
            attempt="codex exec 'say hello'",
            remark="Codex says once that it has no metadata of the model; the size of its context stands in the file. "
            "Only a catalog with a system prompt of its own would silence it "
            "([openai/codex#35758](https://github.com/openai/codex/issues/35758)). With `supports_websockets = true` "
            "in the same table, Codex keeps a WebSocket open, and sends only what is new in each turn.",
            seen="0.169.0",
        ),
        Client(
            "continue",
            "Continue",
            "https://docs.continue.dev/customize/model-providers/top-level/openai",
            "chat completions",
            files=(
                SettingsFile(
                    ".continue/config.yaml",
                    "yaml",
                    top='name: Local\nversion: "1.0.0"\nschema: v1\n',
                    item=_CONTINUE,
                    moved=(("CONTINUE_GLOBAL_DIR", ".continue"),),
                ),
            ),
        ),
        Client(
            "copilot",
            "GitHub Copilot CLI",
            "https://docs.github.com/en/copilot/how-tos/copilot-cli/customize-copilot/use-byok-models",
            "chat completions",
            environment=(
                ("COPILOT_PROVIDER_BASE_URL", _V1),
                ("COPILOT_PROVIDER_TYPE", "openai"),
                ("COPILOT_PROVIDER_API_KEY", "{key}"),
                ("COPILOT_MODEL", "{model}"),
            ),
            attempt="copilot -p 'say hello'",
            seen="1.0.102",
        ),
        Client(
            "cursor",
            "Cursor",
            "https://docs.cursor.com/settings/api-keys",
            "chat completions",
            steps=(
                "Open Cursor's settings, then Models.",
                "OpenAI API key: `{key}`",
                "Override OpenAI base URL: `{url}/v1`",
                "Add the model `{model}`, and choose it.",
            ),
            remark="Cursor's own servers call the gateway: it must be reachable from the internet over HTTPS.",
        ),
        Client(
            "gemini-cli",
            "Gemini CLI",
            "https://github.com/google-gemini/gemini-cli/blob/main/docs/get-started/authentication.md",
            "Gemini",
            files=(
                SettingsFile(
                    ".gemini/.env",
                    "env",
                    lines="GOOGLE_GEMINI_BASE_URL={url}\nGEMINI_API_KEY={key}\n",
                    moved=(("GEMINI_CLI_HOME", ""),),
                ),
                SettingsFile(
                    ".gemini/settings.json",
                    "json",
                    values=_GEMINI,
                    moved=(("GEMINI_CLI_HOME", ""),),
                ),
            ),
            rivals=("GOOGLE_GEMINI_BASE_URL", "GEMINI_API_KEY"),
            project=((".gemini/.env", ""), (".env", ""), (".gemini/settings.json", '"selectedType"')),
            steps=(_GEMINI_TRUST,),
            attempt="GEMINI_CLI_TRUST_WORKSPACE=true gemini -p 'say hello'",
            seen="0.61.0",
        ),
        Client(
            "google-genai",
            "Google's Gen AI SDKs",
            "https://ai.google.dev/gemini-api/docs/libraries",
            "Gemini",
            environment=(("GOOGLE_GEMINI_BASE_URL", "{url}"), ("GEMINI_API_KEY", "{key}")),
            seen="3.6.1 (Python), 3.3.0 (JavaScript)",
        ),
        Client(
            "llm",
            "llm",
            "https://llm.datasette.io/en/stable/other-models.html#openai-compatible-models",
            "chat completions",
            files=(
                SettingsFile(
                    ".config/io.datasette.llm/extra-openai-models.yaml",
                    "yaml",
                    lines=_LLM,
                    moved=(("LLM_USER_PATH", ".config/io.datasette.llm"), ("XDG_CONFIG_HOME", ".config")),
                ),
            ),
            steps=("Run `llm keys set gateway`, and paste the key `{key}`.",),
            attempt="llm -m gateway 'say hello'",
            seen="0.36",
        ),
        Client(
            "openai-sdk",
            "OpenAI's SDKs",
            "https://platform.openai.com/docs/libraries",
            "chat completions and Responses",
            environment=(("OPENAI_BASE_URL", _V1), ("OPENAI_API_KEY", "{key}")),
            remark="A model's name is Gemini's, such as `{model}`; another name becomes the default model.",
            seen="3.54.0 (Python), 6.49.0 (JavaScript)",
        ),
        Client(
            "opencode",
            "opencode",
            "https://opencode.ai/docs/providers/#custom-provider",
            "chat completions",
            files=(
                SettingsFile(
                    ".config/opencode/opencode.json",
                    "json",
                    values=_OPENCODE,
                    moved=(("XDG_CONFIG_HOME", ".config"),),
                ),
            ),
            rivals=("OPENCODE_CONFIG", "OPENCODE_CONFIG_CONTENT"),
            project=(
                ("opencode.json", '"model"'),
                ("opencode.jsonc", '"model"'),
                ("~/.config/opencode/opencode.jsonc", '"model"'),
            ),
            attempt="opencode run 'say hello'",
            seen="1.18.33",
        ),
        Client(
            "openwebui",
            "Open WebUI",
            "https://docs.openwebui.com/getting-started/env-configuration/#openai",
            "chat completions, images, speech, transcriptions, embeddings",
            environment=_OPEN_WEBUI,
            steps=(
                "Or, as its administrator: Settings, Connections, add an OpenAI connection.",
                "URL: `{url}/v1`",
                "Key: `{key}`",
            ),
            remark="The variables are read by its server at the first start; later the screen's settings count. "
            "The groups after the key are for pictures, reading aloud, the microphone, and knowledge.",
            seen="0.12.4",
        ),
        Client(
            "qwen",
            "Qwen Code",
            "https://qwenlm.github.io/qwen-code-docs/en/cli/openai-auth",
            "chat completions",
            files=(
                SettingsFile(
                    ".qwen/.env",
                    "env",
                    lines="OPENAI_BASE_URL={url}/v1\nOPENAI_API_KEY={key}\nOPENAI_MODEL={model}\n",
                    moved=(("QWEN_HOME", ".qwen"),),
                ),
                SettingsFile(".qwen/settings.json", "json", values=_QWEN, moved=(("QWEN_HOME", ".qwen"),)),
            ),
            rivals=("OPENAI_BASE_URL", "OPENAI_API_KEY", "OPENAI_MODEL"),
            project=(
                (".qwen/.env", "^(export )?OPENAI_"),
                (".env", "^(export )?OPENAI_"),
                (".qwen/settings.json", '"(selectedType|model)"'),
            ),
            attempt="qwen -p 'say hello'",
            seen="0.24.4",
        ),
    )
}
"""By name, in alphabetical order."""
