"""Traces by OpenTelemetry, sent over HTTP to a collector: asked for by its own variables, free where they do not.

OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT or OTEL_TRACES_EXPORTER=otlp turns them on; headers, certificates,
timeout and compression are the exporter's (https://opentelemetry.io/docs/specs/otel/protocol/exporter/). The event loop only decides
whether a request is traced and notes its facts; spans are made and sent by a thread.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from serving import log
from serving.calls import Call
from serving.watch.spans import Spans, Traced, take
from serving.watch.trace_context import sampler_of

SPANS = 6
"""Of a request that came through all its phases."""

Count = Callable[[str, int], None]


def is_wanted(environ: Mapping[str, str]) -> bool:
    """Whether the environment asks for traces that we can send. What it asks for beyond that is named in the log."""
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    asked = [name.strip().lower() for name in environ.get("OTEL_TRACES_EXPORTER", "").split(",") if name.strip()]
    endpoints = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
    if asked and "otlp" not in asked:
        if asked != ["none"]:
            _refuse(f"OTEL_TRACES_EXPORTER={','.join(asked)} is not one that this server has", "write `otlp` or `none`")
        return False
    if not asked and not any(environ.get(name) for name in endpoints):
        return False
    protocol = environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or environ.get("OTEL_EXPORTER_OTLP_PROTOCOL")
    if protocol not in (None, "http/protobuf"):
        _refuse(
            f"traces are sent by http/protobuf, not by {protocol!r}",
            "set OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=http/protobuf and the collector's port for it (4318)",
        )
        return False
    return True


def _refuse(message: str, hint: str) -> None:
    log.event("tracing_off", message=message, hint=hint)


def from_environment(environ: Mapping[str, str], service: str, count: Count) -> Tracer | None:
    """What traces requests, or None where nothing asks for it.

    Args:
        service: the service's name where the environment has none.
        count: is told of spans by what became of them: `sent`, `not_sent`, `dropped`. From any thread.
    """
    if not is_wanted(environ):
        return None
    try:
        import opentelemetry.exporter.otlp.proto.http.trace_exporter
        import opentelemetry.sdk.trace  # noqa: F401
    except ImportError as error:
        _refuse(f"OpenTelemetry cannot be imported: {error}", "install it: `pip install 'skylift[serve]'`")
        return None
    return Tracer(environ, service, count)


class Tracer:
    """One per process."""

    def __init__(self, environ: Mapping[str, str], service: str, count: Count) -> None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.util.instrumentation import InstrumentationScope

        from skylift import __version__

        self._problem = _Problem()
        named = "service.name=" in environ.get("OTEL_RESOURCE_ATTRIBUTES", "") or environ.get("OTEL_SERVICE_NAME")
        resource = Resource.create({} if named else {"service.name": service})
        self._sampler = sampler_of(environ)
        self._spans = Spans(resource, InstrumentationScope("skylift.serving", __version__))
        self._exporter = OTLPSpanExporter()
        self._count = count
        self._most = _whole(environ, "OTEL_BSP_MAX_QUEUE_SIZE", 2048)
        self._at_once = _whole(environ, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512)
        self._pause = _whole(environ, "OTEL_BSP_SCHEDULE_DELAY", 5000) / 1000
        self._waiting: deque[Traced] = deque()
        self._is_due = threading.Event()
        self._is_full = threading.Event()
        self._is_closing = False
        self._thread = threading.Thread(target=self._work, name="traces", daemon=True)
        self._thread.start()

    def observe(self, call: Call) -> None:
        """Note a request if it is traced. Called from the event loop's thread."""
        chosen = self._sampler.takes(call.traceparent)
        if chosen is None:
            return
        if len(self._waiting) >= self._most:
            self._count("dropped", 1)
            return
        self._waiting.append(take(call, *chosen))
        if not self._is_due.is_set():
            self._is_due.set()
        if len(self._waiting) * SPANS >= self._at_once and not self._is_full.is_set():
            self._is_full.set()

    def close(self, seconds: float = 3.0) -> None:
        """Send what is left, as far as that goes within the time."""
        self._is_closing = True
        self._is_full.set()
        self._is_due.set()
        self._thread.join(seconds)
        if left := len(self._waiting):
            self._waiting.clear()
            self._count("dropped", left)
        self._exporter.shutdown()  # type: ignore[no-untyped-call]
        if not self._thread.is_alive():
            self._problem.close()

    def _work(self) -> None:
        """The thread: sends when there is enough, or after a while."""
        while not self._is_closing or self._waiting:
            self._is_due.wait()
            self._is_full.wait(self._pause)
            self._is_due.clear()
            if not self._is_closing:
                self._is_full.clear()
            while self._waiting:
                self._send()

    def _send(self) -> None:
        offset = time.time_ns() - time.monotonic_ns()
        spans: list[Any] = []
        while self._waiting and len(spans) < self._at_once:
            try:
                spans += self._spans.of(self._waiting.popleft(), offset)
            except IndexError:  # `close` gave up
                break
            except Exception as error:  # one odd request must not end the thread
                self._problem.tell(f"{type(error).__name__}: {error}")
                self._count("dropped", 1)
        is_sent = False
        try:
            is_sent = bool(spans) and self._exporter.export(spans).name == "SUCCESS"
        except Exception as error:
            self._problem.tell(f"{type(error).__name__}: {error}")
        self._count("sent" if is_sent else "not_sent", len(spans))
        if is_sent:
            self._problem.is_over()


class _Problem(logging.Handler):
    """Tells once of each spell of trouble; the exporter would fill stderr with it."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._is_told = False
        logger = logging.getLogger("opentelemetry")
        logger.addHandler(self)
        logger.propagate = False

    def emit(self, record: logging.LogRecord) -> None:
        self.tell(record.getMessage())

    def tell(self, message: str) -> None:
        if not self._is_told:
            self._is_told = True
            log.event("spans_not_sent", message=message[:300], hint="see OTEL_EXPORTER_OTLP_ENDPOINT and its headers")

    def is_over(self) -> None:
        self._is_told = False

    def close(self) -> None:
        logging.getLogger("opentelemetry").removeHandler(self)
        super().close()


def _whole(environ: Mapping[str, str], name: str, default: int) -> int:
    text = environ.get(name, "").strip()
    if text.isdecimal() and int(text):
        return int(text)
    if text:
        log.event("option_ignored", message=f"{name}={text!r} is no whole number above 0; {default} is taken")
    return default
