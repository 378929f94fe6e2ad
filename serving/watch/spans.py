"""Requests as OpenTelemetry's spans: one of the server, and below it one for each phase.

Names and attributes: https://opentelemetry.io/docs/specs/semconv/http/http-spans/ and …/rpc/grpc/. What is ours begins with `skylift.`.
Never a tensor, a key or who asked.
"""

from __future__ import annotations

import random
from operator import attrgetter
from typing import Any, NamedTuple

from serving.calls import Api, Call, Way
from serving.interface import Code
from serving.watch.status_names import is_grpc, name_of
from serving.watch.trace_context import Parent

_ROUTES: dict[Way, str] = {
    "tfs-rest": "/v1/models/{model}:",
    "v2-rest": "/v2/models/{model}/infer",
    "sagemaker": "/invocations",
    "vertex": "/predict",
    "azureml": "/score",
}
_METHODS: dict[tuple[Way, Api], str] = {
    ("tfs-grpc", "predict"): "tensorflow.serving.PredictionService/Predict",
    ("tfs-grpc", "classify"): "tensorflow.serving.PredictionService/Classify",
    ("tfs-grpc", "regress"): "tensorflow.serving.PredictionService/Regress",
    ("tfs-grpc", "multi_inference"): "tensorflow.serving.PredictionService/MultiInference",
    ("v2-grpc", "infer"): "inference.GRPCInferenceService/ModelInfer",
}
_SERVERS_FAULT = {
    Code.UNKNOWN,
    Code.DEADLINE_EXCEEDED,
    Code.UNIMPLEMENTED,
    Code.INTERNAL,
    Code.UNAVAILABLE,
    Code.DATA_LOSS,
}
"""Of gRPC's codes those that count as a server's error, by the conventions."""


class Facts(NamedTuple):
    """What of a call goes into spans."""

    protocol: Way
    api: Api
    request_id: str
    model: str
    version: int
    deployment: int | None
    is_canary: bool
    signature: str
    rows: int
    batch_rows: int
    request_bytes: int
    response_bytes: int
    status: int
    client: str
    arrived: float
    parsed: float
    started: float
    gathered: float
    computed: float
    answered: float


facts_of: Any = attrgetter(*Facts._fields)
"""`Facts` of a call as a plain tuple, in 0.5 us: the call itself would keep its tensors."""


class Traced(NamedTuple):
    """A request that is part of a trace."""

    trace_id: int
    parent: Parent | None
    facts: tuple[Any, ...]


def take(call: Call, trace_id: int, parent: Parent | None) -> Traced:
    return Traced(trace_id, parent, facts_of(call))


class Spans:
    """Makes the spans of one server, by OpenTelemetry's SDK."""

    def __init__(self, resource: Any, scope: Any) -> None:
        from opentelemetry import trace
        from opentelemetry.sdk.trace import ReadableSpan

        self._trace = trace
        self._span = ReadableSpan
        self._resource = resource
        self._scope = scope

    def of(self, traced: Traced, offset_ns: int) -> list[Any]:
        """The server's span, then the phases that the request came through.

        Args:
            offset_ns: from `time.monotonic` to the time since 1970.
        """
        facts = Facts._make(traced.facts)
        own = self._context(traced.trace_id, random.getrandbits(64) or 1)
        above = traced.parent
        parent = self._context(above.trace_id, above.span_id, is_remote=True) if above is not None else None
        spans = [self._server(facts, own, parent, offset_ns)]
        for name, begin, end in _phases(facts):
            context = self._context(traced.trace_id, random.getrandbits(64) or 1)
            spans.append(self._made(name, context, own, begin, end, offset_ns))
        return spans

    def _context(self, trace_id: int, span_id: int, *, is_remote: bool = False) -> Any:
        sampled = self._trace.TraceFlags(self._trace.TraceFlags.SAMPLED)
        return self._trace.SpanContext(trace_id, span_id, is_remote, sampled)

    def _server(self, facts: Facts, own: Any, parent: Any, offset_ns: int) -> Any:
        status = self._trace.Status(self._trace.StatusCode.ERROR) if _is_error(facts) else self._trace.Status()
        more = {
            "kind": self._trace.SpanKind.SERVER,
            "attributes": _attributes(facts),
            "status": status,
        }
        return self._made(_name(facts), own, parent, facts.arrived, facts.answered, offset_ns, **more)

    def _made(self, name: str, context: Any, parent: Any, begin: float, end: float, offset_ns: int, **more: Any) -> Any:
        return self._span(
            name,
            context=context,
            parent=parent,
            resource=self._resource,
            instrumentation_scope=self._scope,
            start_time=int(begin * 1e9) + offset_ns,
            end_time=int(end * 1e9) + offset_ns,
            **more,
        )


def _phases(facts: Facts) -> list[tuple[str, float, float]]:
    moments = (facts.arrived, facts.parsed, facts.started, facts.gathered, facts.computed, facts.answered)
    found = []
    for name, begin, end in zip(("parse", "queue", "batch", "run", "write"), moments, moments[1:], strict=False):
        if not begin or not end:
            break
        found.append((name, begin, end))
    return found


def _name(facts: Facts) -> str:
    if is_grpc(facts.protocol):
        return _METHODS.get((facts.protocol, facts.api), "_OTHER")
    return f"POST {_route(facts)}"


def _route(facts: Facts) -> str:
    if facts.api == "explain":
        return "/v1/models/{model}:explain"
    route = _ROUTES[facts.protocol]
    return f"{route}{facts.api}" if route.endswith(":") else route


def _is_error(facts: Facts) -> bool:
    return facts.status in _SERVERS_FAULT if is_grpc(facts.protocol) else facts.status >= 500


def _attributes(facts: Facts) -> dict[str, Any]:
    found: dict[str, Any] = {
        "skylift.request_id": facts.request_id,
        "skylift.model.name": facts.model,
        "skylift.model.version": facts.version,
        "skylift.model.signature": facts.signature,
        "skylift.canary": facts.is_canary,
        "skylift.rows": facts.rows,
        "skylift.batch.rows": facts.batch_rows,
    }
    if facts.deployment is not None:
        found["skylift.deployment"] = facts.deployment
    if facts.client:
        found["client.address"] = facts.client
    if is_grpc(facts.protocol):
        found["rpc.system.name"] = "grpc"
        found["rpc.method"] = _METHODS.get((facts.protocol, facts.api), "_OTHER")
        found["rpc.response.status_code"] = name_of(facts.protocol, facts.status)
        if _is_error(facts):
            found["error.type"] = name_of(facts.protocol, facts.status)
        return found
    found["http.request.method"] = "POST"
    found["http.route"] = _route(facts)
    found["http.response.status_code"] = facts.status
    found["http.request.body.size"] = facts.request_bytes
    found["http.response.body.size"] = facts.response_bytes
    if _is_error(facts):
        found["error.type"] = str(facts.status)
    return found
