"""The first example of docs/do/vertex.md answers, on the emulator's Vertex AI."""

import re
from pathlib import Path

from tests.support.paths import ROOT
from tests.support.servers import Fake, Serve
from tests.support.team import Team

PAGE = (ROOT / "docs" / "do" / "vertex.md").read_text("utf-8")


async def test_the_example_is_answered_by_vertex(serve: Serve, fake: Fake, tmp_path: Path) -> None:
    code = re.search(r"^```yaml\n(# build/vertex.yaml\n.*?)^```", PAGE, re.M | re.S)
    assert code is not None
    team = Team(serve, tmp_path, fake.url)
    text = code[1].replace("http://127.0.0.1:8090", fake.url).replace("ledger.db", str(team.file))
    serve.environ["VERTEX_KEY"] = "AQ.vertex"
    key = team.issue()
    team.base = await serve.text(text)

    status, _, answer = await team.ask(key)

    assert (status, answer["choices"][0]["message"]["content"]) == (200, "You said: hello")
    assert fake.last.path == "/v1/publishers/google/models/gemini-2.5-flash:generateContent"
    assert fake.last.headers["x-goog-api-key"] == "AQ.vertex"
