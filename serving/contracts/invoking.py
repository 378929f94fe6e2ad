"""From a service's route for predictions to the protocol that its body speaks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote

from serving.calls import Way
from serving.contracts import bodies
from serving.http.desk import QUICK_BYTES, Desk
from serving.http.json_in import BadRequestError
from serving.http.messages import Exchange, Response, error
from serving.http.tfs import Rest, Target
from serving.http.v2 import OpenInference
from serving.interface import StatusError
from serving.models import Models

Verb = Literal["predict", "classify", "regress"]
JSON_LINES = b"application/jsonlines"
_LENGTH = b"inference-header-content-length"
_SHOWN_LENGTH = b"Inference-Header-Content-Length: "


@dataclass(slots=True, frozen=True)
class Asked:
    """What a request asks for beside its body.

    Args:
        name: the model's, None where it says none.
        version: as the client wrote it.
    """

    name: str | None = None
    version: str | None = None
    verb: Verb = "predict"


class Invoker:
    """Hands a request to the routes of TensorFlow Serving's or v2's protocol, whichever its body speaks.

    Args:
        default_model: answers where a request names none and there are several.
    """

    def __init__(self, models: Models, desk: Desk, rest: Rest, v2: OpenInference, default_model: str) -> None:
        self._models = models
        self._desk = desk
        self._rest = rest
        self._v2 = v2
        self._default_model = default_model

    def name(self, asked: Asked) -> str:
        """
        Raises:
            StatusError: the request names no model, and there is none or more than one.
        """
        if asked.name is not None:
            return asked.name
        if self._default_model and self._default_model in self._models.served_names():
            return self._default_model
        return self._models.only_name()

    def invoke(
        self, exchange: Exchange, way: Way, asked: Asked, change: Callable[[bytes], bytes] = lambda body: body
    ) -> None:
        """Answer a request for a prediction.

        Args:
            change: what the service's own JSON needs before it is TensorFlow Serving's.
        """
        request = exchange.request
        if request.method != b"POST":
            exchange.respond(error(405, f"{request.path} answers POST", extra=b"Allow: POST\r\n"))
            return
        exchange.way = way
        headers = request.headers
        content_type = headers.get(b"content-type", b"")
        if b"accept" in headers:
            _take_lines(exchange)
        try:
            name = self.name(asked)
            if content_type[:20].lower() == bodies.TRITON[:20]:
                _take_triton(exchange, content_type)
        except (StatusError, BadRequestError) as problem:
            self._desk.refuse(exchange, problem)
            return
        if _LENGTH in headers:
            self._to_v2(exchange, name, asked)
        elif content_type == b"application/json" or _may_be_json(content_type):
            self._tell_apart(exchange, name, asked, change)
        else:
            self._to_rest(exchange, name, asked)

    def _tell_apart(self, exchange: Exchange, name: str, asked: Asked, change: Callable[[bytes], bytes]) -> None:
        """Hand on a body of JSON."""
        request = exchange.request

        def read() -> tuple[bodies.Kind, bytes]:
            body = request.body
            kind = bodies.kind_of(body)
            if kind == "tfs":
                return kind, change(body)
            return kind, body if kind == "v2" else bodies.as_instances(body)

        def go_on(found: tuple[bodies.Kind, bytes]) -> None:
            kind, request.body = found
            (self._to_v2 if kind == "v2" else self._to_rest)(exchange, name, asked)

        if len(request.body) > QUICK_BYTES:
            self._desk.read_slowly(exchange, read, go_on, None)
            return
        try:
            go_on(read())
        except (StatusError, BadRequestError) as problem:
            self._desk.refuse(exchange, problem)

    def _to_v2(self, exchange: Exchange, name: str, asked: Asked) -> None:
        version = f"/versions/{quote(asked.version, safe='')}" if asked.version else ""
        self._v2.handle(exchange, f"/v2/models/{quote(name, safe='')}{version}/infer")

    def _to_rest(self, exchange: Exchange, name: str, asked: Asked) -> None:
        if asked.verb == "predict" and asked.version is None:
            self._rest.predict(exchange, Target(name, None, None))
            return
        version = f"/versions/{quote(asked.version, safe='')}" if asked.version else ""
        self._rest.handle(exchange, f"/v1/models/{quote(name, safe='')}{version}:{asked.verb}")


def _take_lines(exchange: Exchange) -> None:
    """`Accept: application/jsonlines` is answered in one line of JSON, as AWS's own container does."""
    headers = exchange.request.headers
    accepted = headers[b"accept"]
    if JSON_LINES not in accepted or b"application/json," in accepted + b",":
        return
    headers[b"accept"] = b"application/json"
    respond = exchange.respond

    def answer(response: Response) -> None:
        if response.status == 200:
            response.body = response.body.replace(b"\n", b"") + b"\n"
            response.content_type = JSON_LINES
        respond(response)

    exchange.respond = answer


def _may_be_json(content_type: bytes) -> bool:
    """Whether a body's type leaves open which JSON it is: also what clients say who do not care."""
    name = content_type.partition(b";")[0].strip().lower()
    return name in _LOOSE or name.endswith(b"+json")


_LOOSE = {
    b"",
    b"application/json",
    b"application/octet-stream",
    b"application/x-www-form-urlencoded",
    b"text/plain",
    *bodies.LINES,
}


def _take_triton(exchange: Exchange, content_type: bytes) -> None:
    """SageMaker hands on the type of a body and none of its other headers: there the length of the JSON is in the type."""
    length = bodies.header_length(content_type)
    if length is None:
        return
    exchange.request.headers[_LENGTH] = length
    respond = exchange.respond

    def answer(response: Response) -> None:
        for line in response.extra.split(b"\r\n"):
            if line.startswith(_SHOWN_LENGTH):
                response.content_type = b"%b;json-header-size=%b" % (bodies.TRITON, line[len(_SHOWN_LENGTH) :])
        respond(response)

    exchange.respond = answer
