"""Our own server as a subject: with the defaults that it ships with, and with every feature on."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from benchmarks.serving_bench import asking, calling, features, ours
from benchmarks.serving_bench.asking import Ask
from benchmarks.serving_bench.matrix import Call, Subject
from benchmarks.serving_bench.model import Model
from benchmarks.serving_bench.ours import Bench

DEFAULTS = "Skylift"
EVERYTHING = "Skylift, every feature on"
BINARY, JSON, FLAT, GRPC = "v2 binary", "TF Serving JSON", "v2 JSON", calling.WAY


def all_of(bench: Bench, model: Model, rows: Any, workers: int) -> list[Subject]:
    """With the defaults first; then with every feature, and with TLS as well (which our generator for gRPC cannot)."""
    options = _options(workers)
    folder = bench.folder / "features"
    folder.mkdir()
    every = features.every(folder)
    secure = features.with_tls(every, folder)
    http = [ask for ask in asks(model.name, rows, secure.headers) if isinstance(ask, Ask)]
    return [
        Subject(DEFAULTS, functools.partial(bench.server, *options), asks(model.name, rows), note=" ".join(options)),
        Subject(
            EVERYTHING,
            functools.partial(features.server, bench, every, *options),
            asks(model.name, rows, every.headers),
            note=every.said,
        ),
        Subject(
            f"{EVERYTHING}, TLS", functools.partial(features.server, bench, secure, *options), http, note=secure.said
        ),
    ]


def asks(model: str, rows: Any, headers: dict[str, str] | None = None) -> list[Ask | Call]:
    """The four ways; `headers` go with each, as metadata with gRPC."""
    more = headers or {}
    http: list[Ask | Call] = [
        one(model, rows).with_headers(more) for one in (asking.v2_binary, asking.tfs_json, asking.v2_json)
    ]
    metadata = tuple((name.lower(), value) for name, value in more.items())
    return [*http, Call(calling.predict_request(model, rows), metadata)]


def _options(workers: int) -> Sequence[str]:
    grpc = ("--grpc-port", "0") if "--grpc-port" in ours.known_options() else ()
    return ("--workers", str(workers), *grpc)
