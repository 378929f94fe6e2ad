"""SageMaker's routes: `/ping`, `/invocations`, `/execution-parameters`, and those of multi-model endpoints below `/models`.

https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html, your-algorithms-batch-code.html,
mms-container-apis.html; the attributes `tfs-…` are those of https://github.com/aws/sagemaker-tensorflow-serving-container.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Coroutine, Mapping
from typing import Any, cast
from urllib.parse import parse_qs, unquote

import msgspec

from serving.contracts.invoking import Asked, Invoker, Verb
from serving.http.desk import SAGEMAKER_ATTRIBUTES, Desk
from serving.http.messages import Exchange, Response, encode_text, error
from serving.interface import Code, StatusError
from serving.models import Models
from serving.options import WorkerOptions

LONGEST_NAME = 1024
PAGE = 100
"""Models in one answer to `GET /models`."""
TRANSFORM_MIB = 100
"""What a batch transform may have under way in all."""
PAYLOAD_MIB = 6
"""SageMaker's own usual size of a request."""
TARGET = b"x-amzn-sagemaker-target-model"
_VERBS = ("predict", "classify", "regress")
_MODEL = re.compile(r"/models/(?P<name>[^/]+)(?P<invoke>/invoke)?", re.ASCII)

_NOTHING = Asked()


class _Addition(msgspec.Struct):
    model_name: str
    url: str


class SageMaker:
    """Answers for the routes of SageMaker."""

    def __init__(self, models: Models, desk: Desk, invoker: Invoker, options: WorkerOptions) -> None:
        self._models = models
        self._desk = desk
        self._invoker = invoker
        self._options = options
        self._tasks: set[asyncio.Task[None]] = set()

    def invocations(self, exchange: Exchange) -> None:
        try:
            asked = asked_by(exchange.request.headers, self._models.served_names())
        except StatusError as problem:
            self._desk.refuse(exchange, problem)
            return
        self._invoker.invoke(exchange, "sagemaker", asked)

    def execution_parameters(self, exchange: Exchange) -> None:
        """What a batch transform should send at once, where its job does not say."""
        if not _is_asked_by(exchange, b"GET", b"HEAD"):
            return
        at_once = max(1, min(16, 2 * self._options.workers * max(1, self._options.threads)))
        most = max(1, min(PAYLOAD_MIB, self._options.limits.body_bytes // 2**20, TRANSFORM_MIB // at_once))
        plain = {"MaxConcurrentTransforms": at_once, "BatchStrategy": "MULTI_RECORD", "MaxPayloadInMB": most}
        exchange.respond(Response(200, encode_text(plain)))

    # several models

    def models(self, exchange: Exchange, path: str) -> bool:
        """Answer below /models; False where it is none of these routes."""
        if path == "/models":
            if _is_asked_by(exchange, b"GET", b"HEAD", b"POST"):
                (self._add if exchange.request.method == b"POST" else self._list)(exchange)
            return True
        match = _MODEL.fullmatch(path)
        if match is None:
            return False
        name = unquote(match["name"])
        if match["invoke"]:
            self._invoke(exchange, name)
        elif _is_asked_by(exchange, b"GET", b"HEAD", b"DELETE"):
            if exchange.request.method == b"DELETE":
                self._later(exchange, self._remove(exchange, name))
            else:
                self._later(exchange, self._tell(exchange, name))
        return True

    def _invoke(self, exchange: Exchange, name: str) -> None:
        if name not in self._models.served_names():
            exchange.respond(error(404, f"Model {name} is not loaded yet."))
            return
        try:
            asked = asked_by(exchange.request.headers, (), name)
        except StatusError as problem:
            self._desk.refuse(exchange, problem)
            return
        self._invoker.invoke(exchange, "sagemaker", asked)

    def _add(self, exchange: Exchange) -> None:
        try:
            asked = msgspec.json.decode(exchange.request.body, type=_Addition)
        except (msgspec.MsgspecError, ValueError, RecursionError) as problem:
            exchange.respond(error(400, f'expected {{"model_name": "...", "url": "..."}}: {problem}'))
            return
        name = asked.model_name
        if not name or len(name) > LONGEST_NAME or "/" in name or not name.isprintable():
            exchange.respond(
                error(400, f'"model_name" is {name[:100]!r}, expected 1 to {LONGEST_NAME} characters without /')
            )
            return
        self._later(exchange, self._load(exchange, asked))

    async def _load(self, exchange: Exchange, asked: _Addition) -> None:
        try:
            await self._manage("add", {"name": asked.model_name, "url": asked.url})
        except StatusError as problem:
            self._desk.refuse(exchange, _told(problem))
        else:
            exchange.respond(Response(200, encode_text({"modelName": asked.model_name, "modelUrl": asked.url})))

    async def _remove(self, exchange: Exchange, name: str) -> None:
        await self._manage("remove", {"name": name})
        exchange.respond(Response(200, b"{}"))

    async def _tell(self, exchange: Exchange, name: str) -> None:
        url = dict(await self._all()).get(name)
        if url is None:
            raise StatusError(Code.NOT_FOUND, f"there is no model {name!r}")
        exchange.respond(Response(200, encode_text({"modelName": name, "modelUrl": url})))

    def _list(self, exchange: Exchange) -> None:
        query = parse_qs(exchange.request.target.partition(b"?")[2].decode("latin-1"))
        after = query.get("next_page_token", [""])[0]

        async def tell() -> None:
            rest = [one for one in await self._all() if one[0] > after]
            page = [{"modelName": name, "modelUrl": url} for name, url in rest[:PAGE]]
            plain: dict[str, object] = {"models": page}
            if len(rest) > PAGE:
                plain["nextPageToken"] = rest[PAGE - 1][0]
            exchange.respond(Response(200, encode_text(plain)))

        self._later(exchange, tell())

    async def _all(self) -> list[tuple[str, str]]:
        """Names and places, by name."""
        if self._models.endpoint:  # its deployments lie in its bucket
            return sorted((name, "") for name in self._models.served_names())
        return msgspec.json.decode(await self._manage("list", {}), type=list[tuple[str, str]])

    async def _manage(self, what: str, body: Any) -> str:
        if self._models.manage is None:
            raise StatusError(Code.UNIMPLEMENTED, "models cannot be changed here")
        return await self._models.manage(what, body)

    def _later(self, exchange: Exchange, work: Coroutine[Any, Any, None]) -> None:
        async def run() -> None:
            try:
                await work
            except StatusError as problem:
                self._desk.refuse(exchange, problem)

        task = asyncio.get_running_loop().create_task(run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def asked_by(headers: Mapping[bytes, bytes], served: Any, name: str | None = None) -> Asked:
    """What the custom attributes ask for, and which model the header for the target names, where it is served.

    Args:
        name: the model, where the path has said it.

    Raises:
        StatusError: `tfs-method` is none.
    """
    given = headers.get(SAGEMAKER_ATTRIBUTES)
    if given is None and TARGET not in headers:
        return _NOTHING if name is None else Asked(name)
    attributes = attributes_of(given or b"")
    verb = attributes.get("tfs-method", "predict")
    if verb not in _VERBS:
        raise StatusError(Code.INVALID_ARGUMENT, f"tfs-method is {verb[:40]!r}, expected {', '.join(_VERBS)}")
    if name is None:
        target = headers.get(TARGET, b"").decode("latin-1").removesuffix(".tar.gz")
        name = attributes.get("tfs-model-name") or (target if target in served else None)
    return Asked(name, attributes.get("tfs-model-version"), cast(Verb, verb))


def attributes_of(header: bytes) -> dict[str, str]:
    """The `tfs-…` among `name=value,…`."""
    found = {}
    for part in header.decode("latin-1").split(","):
        name, equals, value = part.strip().partition("=")
        if equals and name.startswith("tfs-"):
            found[name] = value.strip()
    return found


def _told(problem: StatusError) -> StatusError:
    """As SageMaker understands it: 507 makes it unload others, 409 says that there is nothing to do."""
    if problem.code is Code.RESOURCE_EXHAUSTED:
        return StatusError(problem.code, problem.message, reason="memory", http=507)
    if problem.code in (
        Code.UNAVAILABLE,
        Code.UNKNOWN,
        Code.DATA_LOSS,
    ):  # the model's files are to blame, not the server
        return StatusError(problem.code, problem.message, http=400)
    return problem


def _is_asked_by(exchange: Exchange, *methods: bytes) -> bool:
    if exchange.request.method in methods:
        return True
    allowed = b", ".join(methods)
    message = f"{exchange.request.path} answers {allowed.decode()}"
    exchange.respond(error(405, message, extra=b"Allow: %b\r\n" % allowed))
    return False
