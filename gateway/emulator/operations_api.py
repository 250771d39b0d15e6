"""Long-running operations: videos by `predictLongRunning`, which are done when they are read for the second time.

The shapes are those of google-genai's `operations.get` and of https://ai.google.dev/gemini-api/docs/veo. Veo's names
are not in the list of models, because the last of them ended in October 2026 on the Developer API; a client that still
has one is answered.
"""

import re
from uuid import uuid4

from aiohttp import web

from gateway.emulator.errors import Refusal, RefusedError, key_refusal, model_refusal
from gateway.emulator.files_api import FilesApi
from gateway.emulator.objects import Fields, Objects
from gateway.emulator.rest import NOT_FOUND, VERSION, decoded, key_of, page, refused, reply

_VIDEO_MODEL = re.compile(r"veo-[\w.-]+")
_RESPONSE = "type.googleapis.com/google.ai.generativelanguage.v1beta.PredictLongRunningResponse"
_FILE = "https://generativelanguage.googleapis.com/v1beta/{}:download?alt=media"
_VIDEO = b"\x00\x00\x00\x18ftypmp42" + bytes(12)
"""The beginning of an MP4 file (ISO/IEC 14496-12)."""
_READS = " reads"
"""Key of the number of reads beside an operation's fields; no field of Google's has a blank."""
_MOST_VIDEOS = 4


class OperationsApi:
    """Operations by name, which begins with the model's."""

    def __init__(self, objects: Objects, files: FilesApi) -> None:
        self._objects = objects
        self._files = files

    def routes(self) -> list[web.RouteDef]:
        model = VERSION + "/models/{model:[^/:]+}"
        return [
            web.post(model + ":predictLongRunning", self.create),
            web.get(model + "/operations", self.list_operations),
            web.get(model + "/operations/{id}", self.read),
        ]

    async def create(self, request: web.Request) -> web.Response:
        """Begin a video, and answer with the operation's name alone."""
        model = request.match_info["model"]
        refusal = key_refusal(request)
        if refusal is None and not _VIDEO_MODEL.fullmatch(model):
            refusal = model_refusal(model, "predictLongRunning") or Refusal(
                404, "NOT_FOUND", f"models/{model} is not supported for predictLongRunning."
            )
        body = decoded(await request.read())
        instances = body.get("instances")
        if refusal is None and not (isinstance(instances, list) and instances):
            refusal = Refusal(400, "INVALID_ARGUMENT", "* PredictLongRunningRequest.instances: must be set.")
        if refusal is not None:
            return refused(refusal)
        count = (body.get("parameters") or {}).get("sampleCount", 1)
        name = f"models/{model}/operations/{uuid4().hex[:12]}"
        videos = min(count, _MOST_VIDEOS) if isinstance(count, int) else 1
        self._objects.add(key_of(request), name, {"name": name, _READS: 0, "videos": videos})
        return reply({"name": name})

    async def list_operations(self, request: web.Request) -> web.Response:
        """List the operations of a model."""
        if (refusal := key_refusal(request)) is not None:
            return refused(refusal)
        prefix = f"models/{request.match_info['model']}/operations/"
        operations = [self._shown(fields) for fields in self._objects.of(key_of(request), prefix)]
        try:
            return reply(page(request, operations, "operations"))
        except RefusedError as error:
            return refused(error.refusal)

    async def read(self, request: web.Request) -> web.Response:
        """Answer operations.get: the second read finds the videos, which are files that can be downloaded."""
        if (refusal := key_refusal(request)) is not None:
            return refused(refusal)
        name = f"models/{request.match_info['model']}/operations/{request.match_info['id']}"
        fields = self._objects.get(key_of(request), name)
        if fields is None:
            return refused(NOT_FOUND)
        fields[_READS] += 1
        if fields[_READS] >= 2 and "files" not in fields:
            fields["files"] = [f"files/{uuid4().hex[:12]}" for _ in range(fields["videos"])]
            for file in fields["files"]:
                self._files.generate(key_of(request), file, "video/mp4", _VIDEO)
        return reply(self._shown(fields))

    def _shown(self, fields: Fields) -> Fields:
        if "files" not in fields:
            return {"name": fields["name"]}
        samples = [{"video": {"uri": _FILE.format(file)}} for file in fields["files"]]
        response = {"@type": _RESPONSE, "generateVideoResponse": {"generatedSamples": samples}}
        return {"name": fields["name"], "done": True, "response": response}
