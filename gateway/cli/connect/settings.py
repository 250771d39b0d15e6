"""Settings of one program as text for people."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gateway.cli.connect.clients import Client, SettingsFile
from gateway.cli.connect.places import Home

_ANY_HOME = Home(Path("/"), {})


@dataclass(frozen=True)
class Settings:
    """Values for the places in the table of programs."""

    url: str
    """Base URL without `/v1`."""
    key: str
    model: str

    def words(self) -> dict[str, str]:
        """Return the values by name, for `str.format`."""
        return {"url": self.url, "key": self.key, "model": self.model}

    def fill(self, template: str) -> str:
        """Return a template with the values in their places."""
        for name, value in self.words().items():
            template = template.replace(f"{{{name}}}", value)
        return template

    def file(self, template: SettingsFile) -> SettingsFile:
        """Return the same for all texts of a file."""
        return replace(
            template,
            top=self.fill(template.top),
            lines=self.fill(template.lines),
            item=self.fill(template.item),
            values=self.values(template.values),
        )

    def values(self, template: Any) -> Any:
        """Return the same for each text of a JSON value, names included."""
        if isinstance(template, dict):
            return {self.fill(name): self.values(value) for name, value in template.items()}
        return self.fill(template) if isinstance(template, str) else template


def file_text(file: SettingsFile, settings: Settings) -> str:
    """Return what a file contains that has nothing else."""
    file = settings.file(file)
    if file.values is not None:
        return json.dumps(file.values, indent=2) + "\n"
    item = f"models:\n{file.item}" if file.item else ""
    return ("\n" if file.format == "toml" else "").join(filter(None, (file.top, item, file.lines)))


def page(client: Client, settings: Settings, home: Home = _ANY_HOME) -> str:
    """Return the settings as Markdown: variables, files, steps, and a command to try."""
    lines: list[str] = []
    if client.environment:
        exports = "\n".join(f"export {name}={settings.fill(value)}" for name, value in client.environment)
        lines += ["In the shell that starts it:", "", f"```sh\n{exports}\n```", ""]
    for file in client.files:
        body = file_text(file, settings)
        language = "sh" if file.format == "env" else file.format
        lines += [f"In `{home.shown(file)}`:", "", f"```{language}\n{body}```", ""]
    lines += [f"{number}. {settings.fill(step)}" for number, step in enumerate(client.steps, 1)]
    if client.steps:
        lines.append("")
    if client.attempt:
        lines += ["To try it:", "", f"```sh\n{client.attempt}\n```", ""]
    if client.remark:
        lines += [settings.fill(client.remark), ""]
    return "\n".join(lines).rstrip() + "\n"
